package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/keypool"
	"github.com/gatehousehq/gatehouse/internal/routing"
)

// A rate limit is one of the model if the upstream must have read the same model as
// we did, and else one of the key.
func TestWhatARateLimitIsOf(t *testing.T) {
	t.Parallel()
	limit := reply{status: 429, body: openaiLimit}
	for _, tc := range []struct {
		name         string
		dialect      routing.Dialect
		method, path string
		body         string
		first        reply
		state        string
	}{
		{"a model", "openai", "POST", "chat/completions", `{"model":"m","messages":[]}`, limit, "ready but for m"},
		{"a model of Anthropic", "anthropic", "POST", "messages", `{"model":"m"}`, reply{status: 429}, "ready but for m"},
		{"a model of an embedding", "openai", "POST", "embeddings", `{"model":"m"}`, limit, "ready but for m"},
		{"a model that comes twice", "openai", "POST", "chat/completions", `{"model":"m","model":"other"}`, limit, "cooling"},
		{"a model in another case beside", "openai", "POST", "chat/completions", `{"model":"m","Model":"other"}`, limit, "cooling"},
		{"no model", "openai", "POST", "chat/completions", `{"messages":[]}`, limit, "cooling"},
		{"a model that is no name", "openai", "POST", "chat/completions", `{"model":"ü"}`, limit, "cooling"},
		{"a model that is too long", "openai", "POST", "chat/completions", `{"model":"` + strings.Repeat("m", 129) + `"}`, limit, "cooling"},
		{"not JSON", "openai", "POST", "chat/completions", `{"model":"m"`, limit, "cooling"},
		{"a path outside inference", "openai", "POST", "files", `{"model":"m"}`, limit, "cooling"},
		{"the list of models", "openai", "GET", "models", "", limit, "cooling"},
		{"what a model is", "openai", "GET", "models/m", "", limit, "cooling"},
		{"no credit", "openai", "POST", "chat/completions", `{"model":"m"}`, reply{status: 429, body: openaiQuota}, "failed"},
		{"a refused key", "openai", "POST", "chat/completions", `{"model":"m"}`, reply{status: 401, body: openaiBadKey}, "failed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			p := h.upstream(tc.dialect, scripted(map[string]reply{"k1": tc.first}), key("k1"), key("k2"))
			ask := func(method, path, body, want string) {
				t.Helper()
				a := h.do(h.request(method, "/ai/"+p.Name+"/v1/"+path, body))
				var tried []string
				for _, try := range h.record().Attempts {
					tried = append(tried, try.KeyID)
				}
				if got := strings.Join(tried, " "); a.status != 200 || got != want {
					t.Errorf("%s %s: got %d, tried %s, want %s", path, body, a.status, got, want)
				}
			}
			ask(tc.method, tc.path, tc.body, "k1 k2")
			if got := h.state("k1"); got != tc.state {
				t.Fatalf("the first key is %s, want %s", got, tc.state)
			}
			ask(tc.method, tc.path, tc.body, "k2") // it is left out for that
			if tc.state == "ready but for m" {
				ask("POST", tc.path, `{"model":"n"}`, "k1 k2")
				ask("POST", tc.path, `{"model":"n"}`, "k2")
				if got := h.state("k1"); got != "ready but for m but for n" {
					t.Errorf("the first key is %s", got)
				}
			} else {
				ask("POST", "completions", `{"model":"n"}`, "k2")
			}
		})
	}
}

// With every key limited for a model the client is told when the first is free, and
// other models are served.
func TestAllKeysAreLimitedForAModel(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	limit := reply{status: 429, body: openaiLimit, header: http.Header{"Retry-After": {"42"}}}
	replies := map[string]reply{"k1": limit, "k2": limit}
	h.upstream(routing.OpenAI, scripted(replies), key("k1"), key("k2"))
	chat := func(model string) answer {
		return h.do(h.request("POST", "/ai/openai/v1/chat/completions", `{"model":"`+model+`"}`))
	}
	for _, attempts := range []int{2, 0} {
		a := chat("m")
		if rec := h.record(); a.status != 429 || a.header.Get("Retry-After") != "42" || len(rec.Attempts) != attempts || !strings.Contains(a.message(t, routing.OpenAI), "for this model") {
			t.Errorf("got %d, %v, %s, %d attempts", a.status, a.header, a.body, len(rec.Attempts))
		}
	}
	clear(replies)
	if a := chat("n"); a.status != 200 {
		t.Errorf("another model: got %d %s", a.status, a.body)
	}
	if c := h.gw.Check(t.Context(), h.snapshot.Load().Provider("openai"), &h.snapshot.Load().Provider("openai").Keys[0]); c.Finding == nil || c.Finding.Model != "" {
		t.Errorf("a check is of the key as a whole: %+v", c.Finding)
	}
	if got := h.pool.Limits("k1"); len(got) != 1 || got[0] != (keypool.Limit{Model: "m", Until: got[0].Until}) {
		t.Errorf("the limits are %v", got)
	}
}

// Of a target it is the model that the target is asked for that is limited, whatever
// the client calls it.
func TestLimitsOfTargets(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var d desk
	h.named("open", routing.OpenAI, d.at("open", reply{status: 429, body: openaiLimit}), key("a"))
	h.named("spare", routing.OpenAI, d.at("spare"), key("b"))
	h.addRoute("fast", []string{"open/m", "spare/n"})
	h.addRoute("slow", []string{"open/other", "spare/n"})
	for range 2 {
		if got := h.shared("chat/completions", `{"model":"fast"}`); got.status != 200 || got.body != "welcome to spare" {
			t.Errorf("got %d %s", got.status, got.body)
		}
	}
	if got := h.state("a"); got != "ready but for m" {
		t.Errorf("the key is %s", got)
	}
	first, second := h.record(), h.record()
	if len(first.Attempts) != 2 || len(second.Attempts) != 1 {
		t.Errorf("attempts are %v and %v", tries(first), tries(second))
	}
	h.shared("chat/completions", `{"model":"slow"}`)
	if got := tries(h.record()); got[0] != "open/a rate_limited" {
		t.Errorf("another model of the key: %v", got)
	}
}
