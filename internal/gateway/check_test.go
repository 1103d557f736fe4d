package gateway_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/routing"
)

func TestCheckSaysWhatAKeyIsGoodFor(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		dialect routing.Dialect
		reply   reply
		ok      bool
		outcome string
		finding string // "-" is none
		says    string
	}{
		{"a key that works", "openai", reply{status: 200, body: "{}"}, true, "ok", "", "accepts the key"},
		{"a wrong key", "openai", reply{status: 401, body: openaiBadKey}, false, "key_refused", "unauthorized", "refuses the key"},
		{"a wrong key, Anthropic", "anthropic", reply{status: 401}, false, "key_refused", "unauthorized", "refuses the key"},
		{"a key that may not list models", "openai", reply{status: 401, body: openaiScope}, true, "not_permitted", "", "may not list models"},
		{"no quota", "openai", reply{status: 429, body: openaiQuota}, false, "insufficient_quota", "insufficient_quota", "no credit"},
		{"no credit", "anthropic", reply{status: 400, body: anthropicPoor}, false, "insufficient_quota", "insufficient_quota", "no credit"},
		{"a rate limit", "openai", reply{status: 429, header: http.Header{"Retry-After": {"7"}}}, false, "rate_limited", "rate_limited", "rate limited"},
		{"no list of models", "openai", reply{status: 404}, false, "no_models", "-", "no list of models"},
		{"a server error", "anthropic", reply{status: 529}, false, "unavailable", "-", "could not be judged"},
		{"a redirect", "openai", reply{status: 302}, false, "redirect", "-", "redirect"},
		{"a bad request", "openai", reply{status: 400, body: "{}"}, false, "client_error", "-", "could not be judged"},
		{"a lost connection", "openai", reply{reset: true}, false, "connection_lost", "-", "closed the connection"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			p := h.upstream(tc.dialect, scripted(map[string]reply{"k": tc.reply}), key("k"))
			c := h.gw.Check(t.Context(), p, &p.Keys[0])
			if c.OK != tc.ok || c.Outcome != tc.outcome || c.Status != tc.reply.status {
				t.Errorf("got %+v", c)
			}
			finding := "-"
			if c.Finding != nil {
				finding = string(c.Finding.Reason)
				if !c.Finding.Trial || c.Finding.Began.IsZero() || c.Finding.Status != c.Status {
					t.Errorf("the finding is %+v", c.Finding)
				}
			}
			if finding != tc.finding || c.Finding != nil && tc.name == "a rate limit" && c.Finding.RetryAfter != 7*time.Second {
				t.Errorf("the finding is %+v, want %q", c.Finding, tc.finding)
			}
			if m := c.Message(); !strings.Contains(m, tc.says) || strings.Contains(m, "sk-up") {
				t.Errorf("the message is %q", m)
			}
			if h.pool.Troubled() != 0 {
				t.Error("a check by itself changes the pool")
			}
		})
	}
}

func TestCheckAsksForModels(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var got *http.Request
	note := func(w http.ResponseWriter, r *http.Request) {
		got = r.Clone(context.Background())
		w.Write([]byte("{}"))
	}
	for dialect, want := range map[routing.Dialect]string{"openai": "GET /v1/models", "anthropic": "GET /v1/models?limit=1"} {
		p := h.upstream(dialect, note, key("k"))
		p.Headers = map[string]string{"Openai-Project": "p"}
		if c := h.gw.Check(t.Context(), p, &p.Keys[0]); !c.OK {
			t.Fatalf("%s: %+v", dialect, c)
		}
		if line := got.Method + " " + got.URL.String(); line != want || got.Header.Get("Openai-Project") != "p" {
			t.Errorf("%s: sent %s with %v", dialect, line, got.Header)
		}
		if version := got.Header.Get("Anthropic-Version"); (version != "") != (dialect == "anthropic") {
			t.Errorf("%s: anthropic-version is %q", dialect, version)
		}
		if c := h.gw.Check(t.Context(), p, nil); !c.OK || got.Header.Get("Authorization")+got.Header.Get("X-Api-Key") != "" {
			t.Errorf("%s: without a key: %+v, sent %v", dialect, c, got.Header)
		}
	}
}

func TestCheckOfWhatCannotBeReached(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.upstream(routing.OpenAI, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, key("k"))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if c := h.gw.Check(ctx, p, &p.Keys[0]); c.OK || c.Outcome != "timeout" || c.Finding != nil || !strings.Contains(c.Message(), "in time") {
		t.Errorf("a provider that does not answer: %+v, %s", c, c.Message())
	}
	for name, change := range map[string]func(*routing.Provider){
		"a fault":           func(p *routing.Provider) { p.Fault = "x" },
		"an unreadable key": func(p *routing.Provider) { p.Keys[0].Unreadable = true },
		"an unknown API":    func(p *routing.Provider) { p.Dialect = "x" },
	} {
		q := *p
		q.Keys = []routing.Key{key("k")}
		change(&q)
		if c := h.gw.Check(t.Context(), &q, &q.Keys[0]); c.OK || c.Outcome != "provider_fault" || c.Finding != nil {
			t.Errorf("%s: %+v", name, c)
		}
	}
	closed := newServer(nil)
	closed.Close()
	p = h.addProvider(&routing.Provider{Name: "closed", Dialect: routing.OpenAI, Enabled: true, BaseURL: mustURL(t, closed.URL), Keys: []routing.Key{key("k")}})
	if c := h.gw.Check(t.Context(), p, &p.Keys[0]); c.Outcome != "connection_refused" || !strings.Contains(c.Message(), "base_url") {
		t.Errorf("nobody there: %+v, %s", c, c.Message())
	}
}
