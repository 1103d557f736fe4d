package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/gateway"
	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/usage"
)

// A desk notes what reaches upstreams, by the name of the provider.
type desk struct {
	mu   sync.Mutex
	sent []string
}

// at returns a handler that notes a request as NAME PATH BODY and answers by
// replies, one after the other; the last one stays. None is a welcome.
func (d *desk) at(name string, replies ...reply) http.HandlerFunc {
	n := 0
	return func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		d.mu.Lock()
		d.sent = append(d.sent, name+" "+r.URL.RequestURI()+" "+string(b))
		i := min(n, len(replies)-1)
		n++
		d.mu.Unlock()
		if i < 0 {
			io.WriteString(w, "welcome to "+name)
			return
		}
		a := replies[i]
		if a.reset {
			panic(http.ErrAbortHandler)
		}
		for k, v := range a.header {
			w.Header()[k] = v
		}
		w.WriteHeader(a.status)
		io.WriteString(w, a.body)
	}
}

// take returns what came since it was last called.
func (d *desk) take() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer func() { d.sent = nil }()
	return d.sent
}

// shared posts a body to the URL for all providers.
func (h *house) shared(path, body string) answer {
	h.t.Helper()
	req := h.request("POST", "/ai/v1/"+path, body)
	if strings.HasPrefix(path, "messages") {
		req.Header.Set("Anthropic-Version", "2023-06-01")
	}
	return h.do(req)
}

func TestModelSaysWhereARequestGoes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var d desk
	h.named("open", routing.OpenAI, d.at("open"), key("k"))
	h.named("other", routing.OpenAI, d.at("other"), key("k2"))
	h.named("claude", routing.Anthropic, d.at("claude"), key("k3"))
	h.addRoute("fast", []string{"open/org/gpt-x", "other/gpt-y"})
	h.addRoute("gpt-5.1:mini_x", []string{"claude/claude-x", "other/gpt-y"})
	for _, tc := range []struct{ name, path, body, sent string }{
		{"provider and model", "chat/completions", `{"model":"open/gpt-5","messages":[]}`, `open /v1/chat/completions {"model":"gpt-5","messages":[]}`},
		{"a model with slashes", "responses", `{"model":"open/a/b/c"}`, `open /v1/responses {"model":"a/b/c"}`},
		{"a route", "embeddings", `{"input":"x","model":"fast"}`, `open /v1/embeddings {"input":"x","model":"org/gpt-x"}`},
		{"the older completions", "completions", `{"model":"other/m"}`, `other /v1/completions {"model":"m"}`},
		{"Anthropic's", "messages", `{"model":"claude/opus","max_tokens":1}`, `claude /v1/messages {"model":"opus","max_tokens":1}`},
		{"a count of tokens, with a query", "messages/count_tokens?beta=true", `{"model":"claude/opus"}`, `claude /v1/messages/count_tokens?beta=true {"model":"opus"}`},
		{"the target that speaks it", "messages/count_tokens", `{"model":"gpt-5.1:mini_x"}`, `claude /v1/messages/count_tokens {"model":"claude-x"}`},
		{"the other target that speaks it", "embeddings", `{"model":"gpt-5.1:mini_x"}`, `other /v1/embeddings {"model":"gpt-y"}`},
		{"all else byte for byte", "chat/completions", " \n{ \"n\" : 1.50e1,\"a\":{\"model\":\"fast\"},\"s\":\"\\u00e9\\/\\ud83d\\ude00\", \"model\" :\t\"f\\u0061st\" , \"z\":[ ] }\n",
			"open /v1/chat/completions  \n{ \"n\" : 1.50e1,\"a\":{\"model\":\"fast\"},\"s\":\"\\u00e9\\/\\ud83d\\ude00\", \"model\" :\t\"org/gpt-x\" , \"z\":[ ] }\n"},
	} {
		got := h.shared(tc.path, tc.body)
		if got.status != 200 || !strings.HasPrefix(got.body, "welcome to ") {
			t.Errorf("%s: %d %s", tc.name, got.status, got.body)
		}
		got.guarded(t)
		if diff := cmp.Diff([]string{tc.sent}, d.take()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
		rec := h.record()
		var asked struct{ Model string }
		if err := json.Unmarshal([]byte(tc.body), &asked); err != nil {
			t.Fatal(err)
		}
		provider, _, _ := strings.Cut(tc.sent, " ")
		path, _, _ := strings.Cut(tc.path, "?")
		if rec.Model != asked.Model || rec.Provider != provider || rec.ProviderID != "p-"+provider || rec.Endpoint != path || rec.Path != path || rec.RequestBytes != int64(len(tc.body)) {
			t.Errorf("%s: recorded as %+v", tc.name, rec)
		}
	}
}

// The answer of an upstream is metered as that of a request that names its
// provider.
func TestUsageOfATargetIsMetered(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.named("open", routing.OpenAI, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"model":"gpt-x-2026","usage":{"prompt_tokens":3,"completion_tokens":4}}`)
	}, key("k"))
	h.addRoute("fast", []string{"open/gpt-x"})
	h.shared("chat/completions", `{"model":"fast"}`)
	rec := h.record()
	if rec.Model != "fast" || rec.ActualModel != "gpt-x-2026" || rec.Tokens != (usage.Tokens{Input: 3, Output: 4, Known: true}) {
		t.Errorf("recorded as %+v", rec)
	}
}

func TestSharedRefusals(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *gateway.Config) { c.MaxReplayBody, c.MaxReplayMemory = 1000, 1600 })
	var d desk
	h.named("open", routing.OpenAI, d.at("open"), key("k"))
	h.named("claude", routing.Anthropic, d.at("claude"), key("k"))
	h.addProvider(&routing.Provider{Name: "off", Dialect: routing.OpenAI, BaseURL: mustURL(t, "http://127.0.0.1:1/v1")})
	h.addProvider(&routing.Provider{Name: "broken", Dialect: routing.OpenAI, Enabled: true, Fault: "x", BaseURL: mustURL(t, "http://127.0.0.1:1/v1")})
	h.addRoute("fast", []string{"open/m"})
	h.addRoute("stopped", []string{"open/m"}, func(r *routing.Route) { r.Enabled = false })
	h.addRoute("gone", []string{"deleted/m"})
	h.addRoute("dark", []string{"off/m", "deleted/m"})
	h.addRoute("sick", []string{"broken/m"})
	h.addRoute("mute", []string{"claude/m"})
	h.addRoute("half", []string{"claude/m", "off/m"})
	h.addProvider(&routing.Provider{Name: "google", Dialect: routing.Gemini, Enabled: true, BaseURL: mustURL(t, "http://127.0.0.1:1")})
	const chat = "chat/completions"
	for _, tc := range []struct {
		name, path, body string
		header           http.Header
		status           int
		reason           string
	}{
		{"no such route", chat, `{"model":"slow"}`, nil, 404, "no_model"},
		{"no such route, Anthropic's client", "messages", `{"model":"slow"}`, nil, 404, "no_model"},
		{"no such provider", chat, `{"model":"nope/m"}`, nil, 404, "no_model"},
		{"no model of the provider", chat, `{"model":"open/"}`, nil, 404, "no_model"},
		{"no provider of the model", chat, `{"model":"/m"}`, nil, 404, "no_model"},
		{"the name of a provider", chat, `{"model":"open"}`, nil, 404, "no_model"},
		{"a route with a model", chat, `{"model":"fast/m"}`, nil, 404, "no_model"},
		{"a route in another case", chat, `{"model":"Fast"}`, nil, 404, "no_model"},
		{"an empty model", chat, `{"model":""}`, nil, 404, "no_model"},
		{"a reserved name", chat, `{"model":"v1/m"}`, nil, 404, "no_model"},
		{"a route of deleted providers", chat, `{"model":"gone"}`, nil, 404, "no_model"},
		{"a disabled route", chat, `{"model":"stopped"}`, nil, 503, "route_disabled"},
		{"a disabled provider", chat, `{"model":"off/m"}`, nil, 503, "provider_disabled"},
		{"a route of disabled providers", chat, `{"model":"dark"}`, nil, 503, "provider_disabled"},
		{"a route of a faulty provider", chat, `{"model":"sick"}`, nil, 503, "provider_fault"},
		{"a provider that counts no tokens", "messages/count_tokens", `{"model":"open/m"}`, nil, 400, "no_speaker"},
		{"a route that counts no tokens", "messages/count_tokens", `{"model":"fast"}`, nil, 400, "no_speaker"},
		{"a route whose one target that would is disabled", "embeddings", `{"model":"half"}`, nil, 503, "provider_disabled"},
		{"a provider of Gemini's API", chat, `{"model":"google/m"}`, nil, 400, "no_speaker"},
		{"a route that embeds nothing", "embeddings", `{"model":"mute"}`, nil, 400, "no_speaker"},

		{"two models", chat, `{"model":"fast","model":"open/m"}`, nil, 400, "model_unreadable"},
		{"an escaped key beside", chat, `{"model":"fast","mo\u0064el":"open/m"}`, nil, 400, "model_unreadable"},
		{"a key in another case beside", chat, `{"model":"fast","MODEL":"open/m"}`, nil, 400, "model_unreadable"},
		{"no model", chat, `{}`, nil, 400, "model_unreadable"},
		{"a model that is no string", chat, `{"model":["fast"]}`, nil, 400, "model_unreadable"},
		{"half a surrogate pair", chat, `{"model":"fast\ud800"}`, nil, 400, "model_unreadable"},
		{"not JSON", chat, `{"model":"fast"}}`, nil, 400, "model_unreadable"},
		{"a content coding", chat, `{"model":"fast"}`, http.Header{"Content-Encoding": {"gzip"}}, 400, "model_unreadable"},
		{"another type", chat, `{"model":"fast"}`, http.Header{"Content-Type": {"text/plain"}}, 400, "model_unreadable"},
		{"another charset", "messages", `{"model":"fast"}`, http.Header{"Content-Type": {"application/json; charset=utf-16"}}, 400, "model_unreadable"},
		{"too large", chat, `{"model":"fast","x":"` + strings.Repeat("x", 1000) + `"}`, nil, 413, "body_not_held"},
		{"too large for Anthropic's client", "messages", `{"model":"claude/m","x":"` + strings.Repeat("x", 1000) + `"}`, nil, 413, "body_not_held"},
	} {
		req := h.request("POST", "/ai/v1/"+tc.path, tc.body)
		for k, v := range tc.header {
			req.Header[k] = v
		}
		got := h.do(req)
		dialect := routing.OpenAI
		if strings.HasPrefix(tc.path, "messages") {
			dialect = routing.Anthropic
		}
		got.message(t, dialect)
		got.guarded(t)
		if rec := h.record(); got.status != tc.status || rec.Reason != tc.reason || len(rec.Attempts) > 0 {
			t.Errorf("%s: %d, recorded as %q, want %d %q", tc.name, got.status, rec.Reason, tc.status, tc.reason)
		}
	}
	req := h.request("POST", "/ai/v1/"+chat, "")
	req.Body, req.ContentLength = io.NopCloser(strings.NewReader(`{"model":"fast","x":"`+strings.Repeat("x", 1000)+`"}`)), -1
	req.Header.Set("Content-Type", "application/json")
	if got := h.do(req); got.status != 413 {
		t.Errorf("too large, of unknown length: %d %s", got.status, got.body)
	}
	if sent := d.take(); len(sent) > 0 {
		t.Errorf("what is refused was sent: %q", sent)
	}
}

// A request for which there is no memory is to come again, and the memory is given
// back.
func TestSharedRequestsShareTheMemoryForBodies(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *gateway.Config) { c.MaxReplayBody, c.MaxReplayMemory = 1000, 1000 })
	begun, goOn := make(chan struct{}), make(chan struct{})
	h.named("slow", routing.OpenAI, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		begun <- struct{}{}
		<-goOn
	}, key("k"))
	body := func(n int) string { return `{"model":"slow/m","x":"` + strings.Repeat("x", n) + `"}` }
	done := make(chan answer, 1)
	first := h.request("POST", "/ai/v1/chat/completions", body(600))
	go func() {
		res, err := h.client.Do(first)
		if err == nil {
			res.Body.Close()
			done <- answer{status: res.StatusCode}
			return
		}
		done <- answer{err: err}
	}()
	<-begun
	got := h.shared("chat/completions", body(600))
	if got.message(t, routing.OpenAI); got.status != 429 || got.header.Get("Retry-After") != "1" || h.record().Reason != "body_memory" {
		t.Errorf("while another is held: %d %s", got.status, got.body)
	}
	goOn <- struct{}{}
	if a := <-done; a.status != 200 {
		t.Errorf("the first: %+v", a)
	}
	for range 5 {
		go func() { <-begun; goOn <- struct{}{} }()
		if got := h.shared("chat/completions", body(600)); got.status != 200 {
			t.Errorf("afterwards: %d %s", got.status, got.body)
		}
	}
}

// A token reaches what its lists allow, by the name that was asked for or by what
// it stands for, and learns nothing of the rest.
func TestListsOfATokenHoldForTargets(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var d desk
	h.named("open", routing.OpenAI, d.at("open"), key("k"))
	h.named("spare", routing.OpenAI, d.at("spare"), key("k"))
	h.addRoute("fast", []string{"open/a", "spare/b"})
	for _, tc := range []struct {
		name              string
		providers, models []string
		model             string
		reason            string // empty is allowed
		provider          string
	}{
		{"no list", nil, nil, "fast", "", "open"},
		{"the provider of the second target", []string{"spare"}, nil, "fast", "", "spare"},
		{"the provider by its id", []string{"p-spare"}, nil, "fast", "", "spare"},
		{"no provider of the route", []string{"other"}, nil, "fast", "no_model", ""},
		{"no provider at all", []string{}, nil, "fast", "no_model", ""},
		{"a provider that is left out", []string{"spare"}, nil, "open/a", "no_model", ""},
		{"the name of the route", nil, []string{"fast"}, "fast", "", "open"},
		{"the name of the route, not its target", nil, []string{"fast"}, "open/a", "model_denied", ""},
		{"the model of the second target", nil, []string{"b"}, "fast", "", "spare"},
		{"the model with its provider", nil, []string{"open/a"}, "open/a", "", "open"},
		{"the model with its provider, of a route", nil, []string{"open/a"}, "fast", "model_denied", ""},
		{"the model without its provider", nil, []string{"a"}, "open/a", "", "open"},
		{"all models of a provider", nil, []string{"open/*"}, "open/x/y", "", "open"},
		{"all models of another provider", nil, []string{"open/*"}, "spare/x", "model_denied", ""},
		{"another model", nil, []string{"c"}, "fast", "model_denied", ""},
		{"no model", nil, []string{}, "fast", "model_denied", ""},
		{"a provider and the model of another", []string{"open"}, []string{"b"}, "fast", "model_denied", ""},
	} {
		tok := h.addToken(&routing.Token{ID: tc.name, Use: true, Providers: tc.providers, Models: tc.models})
		req := h.request("POST", "/ai/v1/chat/completions", fmt.Sprintf(`{"model":%q}`, tc.model))
		req.Header.Set("Authorization", "Bearer "+tok.Reveal())
		got := h.do(req)
		rec := h.record()
		if rec.Reason != tc.reason || rec.Provider != tc.provider || (got.status == 200) != (tc.reason == "") {
			t.Errorf("%s: %d, recorded as %q at %q, want %q at %q", tc.name, got.status, rec.Reason, rec.Provider, tc.reason, tc.provider)
		}
	}
}

func TestListOfModels(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var d desk
	h.named("open", routing.OpenAI, d.at("open"), key("k"))
	h.named("spare", routing.OpenAI, d.at("spare"), key("k"))
	h.addProvider(&routing.Provider{Name: "off", Dialect: routing.OpenAI, BaseURL: mustURL(t, "http://127.0.0.1:1/v1")})
	limited := *h.named("few", routing.OpenAI, d.at("few"), key("k"))
	limited.Models = []string{"m", "n*", "b"}
	h.addProvider(&limited)
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	h.addRoute("narrow", []string{"few/z"})
	h.addRoute("fast", []string{"open/org/a", "spare/b"}, func(r *routing.Route) { r.CreatedAt = since })
	h.addRoute("stopped", []string{"open/c"}, func(r *routing.Route) { r.Enabled = false })
	h.addRoute("dark", []string{"off/d", "deleted/e"})
	h.addProvider(&routing.Provider{Name: "google", Dialect: routing.Gemini, Enabled: true, Models: []string{"gemini-x"}, BaseURL: mustURL(t, "http://127.0.0.1:1")})
	h.addRoute("alien", []string{"google/gemini-x"})
	list := func(token *routing.Token, header string) answer {
		tok := h.addToken(token)
		req := h.request("GET", "/ai/v1/models", "")
		req.Header.Set("Authorization", "Bearer "+tok.Reveal())
		if header != "" {
			req.Header.Set("Anthropic-Version", header)
		}
		return h.do(req)
	}
	for _, tc := range []struct {
		name  string
		token routing.Token
		want  []string
	}{
		{"no list", routing.Token{}, []string{"fast", "few/b", "few/m", "open/c", "open/org/a", "spare/b"}},
		{"one provider", routing.Token{Providers: []string{"spare"}}, []string{"fast", "spare/b"}},
		{"no provider", routing.Token{Providers: []string{}}, []string{}},
		{"the route alone", routing.Token{Models: []string{"fast"}}, []string{"fast"}},
		{"a model, which the route leads to, too", routing.Token{Models: []string{"b"}}, []string{"fast", "few/b", "spare/b"}},
		{"models with their provider", routing.Token{Models: []string{"open/z", "open/y*", "off/x", "nope/x", "open/"}}, []string{"open/z"}},
	} {
		tc.token.ID, tc.token.Use = tc.name, true
		var doc struct {
			Object string
			Data   []struct {
				ID, Object string
				Created    *int64
				OwnedBy    string `json:"owned_by"`
			}
		}
		got := list(&tc.token, "")
		if err := json.Unmarshal([]byte(got.body), &doc); err != nil || got.status != 200 || doc.Object != "list" || got.header.Get("Content-Type") != "application/json" {
			t.Fatalf("%s: %d %s, %v", tc.name, got.status, got.body, err)
		}
		got.guarded(t)
		ids := []string{}
		for _, m := range doc.Data {
			ids = append(ids, m.ID)
			owner, _, direct := strings.Cut(m.ID, "/")
			if !direct {
				owner = "gatehouse"
			}
			if m.Object != "model" || m.Created == nil || (m.ID == "fast") != (*m.Created == since.Unix()) || m.OwnedBy != owner {
				t.Errorf("%s: %+v", tc.name, m)
			}
		}
		if diff := cmp.Diff(tc.want, ids); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
		if rec := h.record(); rec.Endpoint != "models" || rec.Status != 200 || rec.Reason != "" || rec.Provider != "" || rec.ResponseBytes != int64(len(got.body)) {
			t.Errorf("%s: recorded as %+v", tc.name, rec)
		}
	}
	got := list(&routing.Token{ID: "a", Use: true, Models: []string{"fast", "b"}}, "2023-06-01")
	const want = `{"data":[{"type":"model","id":"fast","display_name":"fast","created_at":"2026-01-02T03:04:05Z"},` +
		`{"type":"model","id":"few/b","display_name":"few/b","created_at":"1970-01-01T00:00:00Z"},` +
		`{"type":"model","id":"spare/b","display_name":"spare/b","created_at":"1970-01-01T00:00:00Z"}],"has_more":false,"first_id":"fast","last_id":"spare/b"}`
	if got.body != want {
		t.Errorf("Anthropic's form:\n%s\nwant\n%s", got.body, want)
	}
	if got := list(&routing.Token{ID: "n", Use: true, Models: []string{}}, "2023-06-01"); got.body != `{"data":[],"has_more":false,"first_id":null,"last_id":null}` {
		t.Errorf("nothing in Anthropic's form: %s", got.body)
	}
	for path, status := range map[string]int{"fast": 200, "open/org/a": 200, "spare%2Db": 404, "spare/b": 200, "open/%6Frg/a": 200, "slow": 404, "stopped": 404} {
		got := h.do(h.request("GET", "/ai/v1/models/"+path, ""))
		var doc struct{ ID string }
		if err := json.Unmarshal([]byte(got.body), &doc); err != nil || got.status != status || (status == 200) != (doc.ID != "") {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	if sent := d.take(); len(sent) > 0 {
		t.Errorf("a list asked providers: %q", sent)
	}
}
