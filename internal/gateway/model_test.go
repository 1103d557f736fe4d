package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/gateway"
	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/secret"
)

// By a token with a list of models these models are reached only, and so are those
// of a provider with one; and nothing that two readers of a body could take
// differently.
func TestModelAllowList(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *gateway.Config) { c.MaxReplayBody = 1000 })
	reached := 0
	open := h.upstream(routing.OpenAI, func(http.ResponseWriter, *http.Request) { reached++ })
	models := []string{"gpt-5", "mini-*", "org/m"}
	limited := h.addToken(&routing.Token{ID: "m", Use: true, Passthrough: true, Models: models})
	h.addProvider(&routing.Provider{Name: "limited", Dialect: routing.OpenAI, Enabled: true, BaseURL: open.BaseURL, Models: models})
	nothing := h.addToken(&routing.Token{ID: "n", Use: true, Models: []string{}})
	const chat = "chat/completions"
	for _, tc := range []struct {
		name   string
		method string
		path   string
		body   string
		header http.Header
		reason string // empty is allowed
		model  string // what is recorded
	}{
		{"an allowed model", "POST", chat, `{"model":"gpt-5","messages":[]}`, nil, "", "gpt-5"},
		{"the model comes last", "POST", chat, `{"messages":[{"model":"x"}],"model":"gpt-5"}`, nil, "", "gpt-5"},
		{"spaces", "POST", "responses", " \n{ \"model\" : \"gpt-5\" } ", nil, "", "gpt-5"},
		{"by the beginning", "POST", "embeddings", `{"model":"mini-3"}`, nil, "", "mini-3"},
		{"an escaped slash", "POST", chat, `{"model":"org\/m"}`, nil, "", "org/m"},
		{"an escape in the value", "POST", chat, `{"model":"gpt\u002d5"}`, nil, "", "gpt-5"},
		{"a nested model of another name", "POST", chat, `{"model":"gpt-5","tools":[{"Model":"x","model":"y"}]}`, nil, "", "gpt-5"},
		{"a charset", "POST", chat, `{"model":"gpt-5"}`, http.Header{"Content-Type": {"application/json; charset=UTF-8"}}, "", "gpt-5"},
		{"no content type", "POST", chat, `{"model":"gpt-5"}`, http.Header{"Content-Type": nil}, "", "gpt-5"},
		{"the model in the path", "GET", "models/mini-1", "", nil, "", "mini-1"},
		{"the model escaped in the path", "GET", "models/gpt%2D5", "", nil, "", "gpt-5"},

		{"another model", "POST", chat, `{"model":"gpt-6"}`, nil, "model_denied", "gpt-6"},
		{"another case", "POST", chat, `{"model":"GPT-5"}`, nil, "model_denied", "GPT-5"},
		{"a longer name", "POST", chat, `{"model":"gpt-5-pro"}`, nil, "model_denied", "gpt-5-pro"},
		{"a shorter name", "POST", chat, `{"model":"mini"}`, nil, "model_denied", "mini"},
		{"an empty name", "POST", chat, `{"model":""}`, nil, "model_denied", ""},
		{"another model in the path", "GET", "models/gpt-6", "", nil, "model_denied", "gpt-6"},
		{"no model", "POST", chat, `{"messages":[]}`, nil, "model_unreadable", ""},
		{"a model that is no string", "POST", chat, `{"model":["gpt-5"]}`, nil, "model_unreadable", ""},
		{"null", "POST", chat, `{"model":null}`, nil, "model_unreadable", ""},
		{"twice", "POST", chat, `{"model":"gpt-5","model":"gpt-6"}`, nil, "model_unreadable", ""},
		{"twice the same", "POST", chat, `{"model":"gpt-5","model":"gpt-5"}`, nil, "model_unreadable", ""},
		{"an escaped key", "POST", chat, `{"\u006dodel":"gpt-5"}`, nil, "model_unreadable", ""},
		{"an escaped key beside", "POST", chat, `{"model":"gpt-5","mo\u0064el":"gpt-6"}`, nil, "model_unreadable", ""},
		{"a key in another case", "POST", chat, `{"Model":"gpt-5"}`, nil, "model_unreadable", ""},
		{"a key in another case beside", "POST", chat, `{"model":"gpt-5","MODEL":"gpt-6"}`, nil, "model_unreadable", ""},
		{"no body", "POST", chat, "", nil, "model_unreadable", ""},
		{"an array", "POST", chat, `[{"model":"gpt-5"}]`, nil, "model_unreadable", ""},
		{"a string", "POST", chat, `"model"`, nil, "model_unreadable", ""},
		{"cut short", "POST", chat, `{"model":"gpt-5"`, nil, "model_unreadable", ""},
		{"more after the end", "POST", chat, `{"model":"gpt-5"}{"model":"gpt-6"}`, nil, "model_unreadable", ""},
		{"a comma too many", "POST", chat, `{"model":"gpt-5",}`, nil, "model_unreadable", ""},
		{"a comment", "POST", chat, `{"model":"gpt-5"/*"*/}`, nil, "model_unreadable", ""},
		{"a byte order mark", "POST", chat, "\ufeff" + `{"model":"gpt-5"}`, nil, "model_unreadable", ""},
		{"half a surrogate pair", "POST", chat, `{"model":"mini-\ud800"}`, nil, "model_unreadable", ""},
		{"bytes that are not UTF-8", "POST", chat, "{\"model\":\"mini-\xff\"}", nil, "model_unreadable", ""},
		{"very deep", "POST", chat, `{"model":"gpt-5","x":` + strings.Repeat("[", 900), nil, "model_unreadable", ""},
		{"gzip", "POST", chat, "\x1f\x8b", http.Header{"Content-Encoding": {"gzip"}}, "model_unreadable", ""},
		{"a coding of no effect", "POST", chat, `{"model":"gpt-5"}`, http.Header{"Content-Encoding": {"identity"}}, "model_unreadable", ""},
		{"a form", "POST", chat, `{"model":"gpt-5"}`, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, "model_unreadable", ""},
		{"another charset", "POST", chat, `{"model":"gpt-5"}`, http.Header{"Content-Type": {"application/json; charset=utf-7"}}, "model_unreadable", ""},
		{"two content types", "POST", chat, `{"model":"gpt-5"}`, http.Header{"Content-Type": {"application/json", "application/json"}}, "model_unreadable", ""},
		{"too large to look into", "POST", chat, `{"model":"gpt-5","x":"` + strings.Repeat("x", 1000) + `"}`, nil, "model_too_large", ""},
		{"the list of models", "GET", "models", "", nil, "model_unknown", ""},
		{"a path outside inference", "POST", "files", `{"model":"gpt-5"}`, nil, "model_unknown", ""},
		{"deletion of an allowed model", "DELETE", "models/gpt-5", "", nil, "model_unknown", ""},
	} {
		for provider, tok := range map[string]secret.Text{"openai": limited, "limited": h.token} {
			before := reached
			req := h.request(tc.method, "/ai/"+provider+"/v1/"+tc.path, tc.body)
			for k, v := range tc.header {
				req.Header[k] = v
			}
			req.Header.Set("Authorization", "Bearer "+tok.Reveal())
			a := h.do(req)
			rec := h.record()
			want, reason, whose := 403, tc.reason, "This token"
			if tc.reason == "" {
				want = 200
			}
			if provider == "limited" {
				whose = "This provider"
				if reason == "model_denied" {
					reason = "model_not_served"
				}
			}
			if a.status != want || rec.Reason != reason || rec.Model != tc.model || (reached > before) != (want == 200) {
				t.Errorf("%s, %s: got %d %q, model %q, upstream reached: %v; want %d %q, model %q", tc.name, whose, a.status, rec.Reason, rec.Model, reached > before, want, reason, tc.model)
			} else if want == 403 {
				if msg := a.message(t, routing.OpenAI); !strings.Contains(msg, whose+" is limited to certain models") || strings.Contains(msg, "gpt-") {
					t.Errorf("%s, %s: the message is %s", tc.name, whose, msg)
				}
			}
		}
	}
	req := h.request("POST", "/ai/openai/v1/"+chat, `{"model":"gpt-5"}`)
	req.Header.Set("Authorization", "Bearer "+nothing.Reveal())
	if a := h.do(req); a.status != 403 {
		t.Errorf("with an empty list: got %d", a.status)
	}
}

// With two lists a model must be in both.
func TestModelsOfTokenAndProvider(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.upstream(routing.Anthropic, func(http.ResponseWriter, *http.Request) {}).Models = []string{"claude-*"}
	tok := h.addToken(&routing.Token{ID: "m", Use: true, Models: []string{"claude-haiku", "gpt-5"}})
	for model, reason := range map[string]string{"claude-haiku": "", "claude-opus": "model_denied", "gpt-5": "model_not_served", "other": "model_denied"} {
		req := h.request("POST", "/ai/anthropic/v1/messages", `{"model":"`+model+`"}`)
		req.Header.Set("Authorization", "Bearer "+tok.Reveal())
		a := h.do(req)
		if rec := h.record(); rec.Reason != reason || (a.status == 200) != (reason == "") {
			t.Errorf("%s: got %d %q, want %q", model, a.status, rec.Reason, reason)
		}
		if reason != "" {
			a.message(t, routing.Anthropic)
		}
	}
}

// Without a list, everything passes, and the model is for the record only.
func TestModelForTheRecord(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.upstream(routing.OpenAI, func(http.ResponseWriter, *http.Request) {})
	for body, want := range map[string]string{
		`{"model":"gpt-5"}`:                            "gpt-5",
		`{"messages":[{"model":"no"}],"model":"yes"}`:  "yes",
		`{"model":"a b"}`:                              "a b",
		`{"model":5}`:                                  "",
		`{"model":"` + h.token.Reveal() + `"}`:         "",
		`{"model":"x gate_y"}`:                         "",
		`{"model":"line\nfeed"}`:                       "",
		`{"model":"ünprintable"}`:                      "",
		`{"model":"` + strings.Repeat("x", 129) + `"}`: "",
		`not JSON`:                   "",
		strings.Repeat("[", 100_000): "",
	} {
		if a := h.do(h.request("POST", "/ai/openai/v1/responses", body)); a.status != 200 {
			t.Fatalf("got %d", a.status)
		}
		if rec := h.record(); rec.Model != want {
			t.Errorf("recorded %q, want %q", rec.Model, want)
		}
	}
	h.do(h.request("GET", "/ai/openai/v1/models/gpt-5", ""))
	if rec := h.record(); rec.Model != "gpt-5" || rec.Endpoint != "models/{id}" {
		t.Errorf("recorded %+v", rec)
	}
}
