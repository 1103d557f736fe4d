package gateway_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/gateway"
	"github.com/gatehousehq/gatehouse/internal/keypool"
	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/token"
	"github.com/gatehousehq/gatehouse/internal/upstream/azure"
)

// TestMessagesAtOpenAI: a client of Messages is served by Responses where that is
// what OpenAI has for the model, and by Chat Completions everywhere else.
func TestMessagesAtOpenAI(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		base, model, path string
		paths             []string
		want, limit       string // the path, and the name of max_tokens
	}{
		"a model of OpenAI at OpenAI":              {"https://api.openai.com/v1", "gpt-5.5", "messages", nil, "/v1/responses", "max_output_tokens"},
		"at OpenAI in a region":                    {"https://eu.api.openai.com/v1", "gpt-5.5", "messages", nil, "/v1/responses", "max_output_tokens"},
		"an older model":                           {"https://api.openai.com/v1", "gpt-4.1", "messages", nil, "/v1/chat/completions", "max_completion_tokens"},
		"a tuned model":                            {"https://api.openai.com/v1", "ft:gpt-4.1:x", "messages", nil, "/v1/chat/completions", "max_completion_tokens"},
		"at another server":                        {"https://llm.example/v1", "gpt-5.5", "messages", nil, "/v1/chat/completions", "max_completion_tokens"},
		"a deployment at Azure":                    {"https://x.openai.azure.com/openai/v1", "mine", "messages", nil, "/openai/v1/chat/completions", "max_completion_tokens"},
		"another model at another server":          {"https://llm.example/v1", "ft:gpt-4.1:x", "messages", nil, "/v1/chat/completions", "max_tokens"},
		"at a server with a name like it":          {"https://notapi.openai.com.example/v1", "ft:x", "messages", nil, "/v1/chat/completions", "max_tokens"},
		"where its path is not allowed":            {"https://api.openai.com/v1", "gpt-5.5", "messages", []string{"chat/completions"}, "/v1/chat/completions", "max_completion_tokens"},
		"a client of Chat Completions has its own": {"https://api.openai.com/v1", "gpt-5.5", "chat/completions", nil, "/v1/chat/completions", "max_tokens"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tok := token.New().Reveal()
			dialect, access := routing.OpenAI, any(nil)
			if strings.Contains(c.base, "azure") {
				dialect, access = routing.Azure, &azure.Access{}
			}
			snapshot := routing.NewSnapshot(1, []*routing.Provider{{
				ID: "p", Name: "p", Dialect: dialect, Access: access, Enabled: true, BaseURL: mustURL(t, c.base), Paths: c.paths, Keys: []routing.Key{key("k")},
			}}, map[token.Hash]*routing.Token{token.Sum(tok): {Use: true}})
			var got string
			var sent []byte
			g := gateway.New(gateway.Config{
				Snapshot: func() *routing.Snapshot { return snapshot },
				Pool:     keypool.New(time.Now, keypool.Config{}),
				Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
					got = r.URL.Path
					if r.Body != nil {
						sent, _ = io.ReadAll(r.Body)
					}
					return respond(r, strings.NewReader("{}")), nil
				}),
			})
			req := httptest.NewRequest("POST", "/ai/v1/"+c.path, strings.NewReader(`{"model":"p/`+c.model+`","max_tokens":20,"messages":[{"role":"user","content":"x"}]}`))
			req.Header.Set("Authorization", "Bearer "+tok)
			req.Header.Set("Content-Type", "application/json")
			g.ServeHTTP(httptest.NewRecorder(), req)
			if got != c.want || !strings.Contains(string(sent), `"`+c.limit+`":20`) {
				t.Errorf("asked at %q, want %q and %s: %s", got, c.want, c.limit, sent)
			}
		})
	}
}

// A target that would be asked by an API that it does not answer is none to go on to,
// whatever its other APIs do.
func TestMessagesAtOpenAIWithoutAnswer(t *testing.T) {
	t.Parallel()
	tok := token.New().Reveal()
	at := func(name, base string) *routing.Provider {
		return &routing.Provider{ID: name, Name: name, Dialect: routing.OpenAI, Enabled: true, BaseURL: mustURL(t, base), Keys: []routing.Key{key(name)}}
	}
	snapshot := routing.NewSnapshot(1, []*routing.Provider{at("other", "https://llm.example/v1"), at("openai", "https://api.openai.com/v1")},
		map[token.Hash]*routing.Token{token.Sum(tok): {Use: true}}).WithRoutes(&routing.Route{
		ID: "r", Name: "r", Enabled: true, Targets: []routing.Target{{ProviderID: "other", Model: "m"}, {ProviderID: "openai", Model: "gpt-5.5"}},
	})
	g := gateway.New(gateway.Config{
		Snapshot: func() *routing.Snapshot { return snapshot },
		Pool:     keypool.New(time.Now, keypool.Config{}),
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			res := respond(r, strings.NewReader("{}"))
			if res.StatusCode = http.StatusBadRequest; r.URL.Path == "/v1/responses" {
				res.StatusCode = http.StatusInternalServerError
			} else if r.URL.Host == "llm.example" {
				res.StatusCode = http.StatusTooManyRequests
			}
			return res, nil
		}),
	})
	ask := func(model string) int {
		req := httptest.NewRequest("POST", "/ai/v1/messages", strings.NewReader(`{"model":"`+model+`","max_tokens":20,"messages":[{"role":"user","content":"x"}]}`))
		req.Header.Set("Authorization", "Bearer "+tok)
		req.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		g.ServeHTTP(w, req)
		return w.Code
	}
	for range 10 {
		ask("openai/gpt-5.5")
	}
	if got := ask("openai/gpt-5.5"); got != http.StatusServiceUnavailable {
		t.Fatalf("the circuit is not open: %d", got)
	}
	if got := ask("r"); got != http.StatusTooManyRequests {
		t.Errorf("status %d, want that of the target that answered", got)
	}
}

// TestThoughtsOfTargets: a client gets thoughts to send back only where no target
// of the route gets them as they are.
func TestThoughtsOfTargets(t *testing.T) {
	t.Parallel()
	const (
		answer = `{"id":"a","model":"m","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"b","reasoning_content":"thinks"}}]}`
		body   = `{"model":"fast","max_tokens":20,"messages":[{"role":"user","content":"x"}]}`
	)
	for name, c := range map[string]struct {
		targets []string
		want    bool
	}{
		"one that is translated":         {[]string{"other/m"}, true},
		"with one of the client's own":   {[]string{"other/m", "own/m"}, false},
		"with two that are translated":   {[]string{"other/m", "second/m"}, true},
		"after one of the client's own ": {[]string{"own/m", "other/m"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			for _, p := range []string{"other", "second"} {
				h.named(p, routing.OpenAI, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "application/json")
					_, _ = io.WriteString(w, answer)
				}, key(p))
			}
			h.named("own", routing.Anthropic, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(529) }, key("own"))
			h.addRoute("fast", c.targets)
			got := h.do(h.request("POST", "/ai/v1/messages", body))
			if has := strings.Contains(got.body, `"thinking":"thinks"`); got.status != 200 || has != c.want {
				t.Errorf("%d, with thoughts: %t, want %t\n%s", got.status, has, c.want, got.body)
			}
		})
	}
}
