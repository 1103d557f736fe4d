package gateway_test

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/secret"
)

// ask sends a small request with a token.
func (h *house) ask(token secret.Text, path string) answer {
	h.t.Helper()
	req := h.request("POST", path, `{"model":"m","messages":[]}`)
	req.Header.Set("Authorization", "Bearer "+token.Reveal())
	return h.do(req)
}

func TestRequestsAMinuteOfAToken(t *testing.T) {
	t.Parallel()
	for _, dialect := range []routing.Dialect{routing.OpenAI, routing.Anthropic} {
		t.Run(string(dialect), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			p := h.upstream(dialect, scripted(nil), key("k"))
			path := "/ai/" + p.Name + "/v1/messages"
			if dialect == routing.OpenAI {
				path = "/ai/" + p.Name + "/v1/chat/completions"
			}
			limited := h.addToken(&routing.Token{ID: "limited", Use: true, RPM: 2, Models: []string{"m"}})
			// What is refused for other reasons does not count.
			h.ask(limited, "/ai/nobody/v1/chat/completions")
			h.ask(limited, "/ai/"+p.Name+"/v1/files")
			for range 2 {
				if a := h.ask(limited, path); a.status != 200 {
					t.Fatalf("within its limit: %d %s", a.status, a.body)
				}
			}
			a := h.ask(limited, path)
			if msg := a.message(t, dialect); a.status != 429 || a.header.Get("Retry-After") != "30" || !strings.Contains(msg, "in a minute") || a.header.Get("X-Should-Retry") != "" {
				t.Errorf("past its limit: %d %v %s", a.status, a.header, a.body)
			}
			a.guarded(t)
			if a := h.ask(h.token, path); a.status != 200 {
				t.Errorf("another token: %d %s", a.status, a.body)
			}
			h.advance(30 * time.Second)
			if a := h.ask(limited, path); a.status != 200 {
				t.Errorf("half a minute later: %d %s", a.status, a.body)
			}
			for _, want := range []string{"no_provider", "no_passthrough", "", "", "token_rate", "", ""} {
				if rec := h.record(); rec.Reason != want || want == "token_rate" && len(rec.Attempts) != 0 {
					t.Errorf("recorded as %q with %d attempts, want %q", rec.Reason, len(rec.Attempts), want)
				}
			}
		})
	}
}

// A place is held until the end of the stream, and given back then, whatever the
// end.
func TestRequestsAtATime(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]func(*routing.Token, *routing.Provider){
		"token_concurrency":    func(tok *routing.Token, _ *routing.Provider) { tok.Concurrency = 1 },
		"provider_concurrency": func(_ *routing.Token, p *routing.Provider) { p.MaxConcurrency = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			begun, goOn := make(chan struct{}), make(chan struct{})
			p := h.upstream(routing.OpenAI, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				if r.URL.Path == "/v1/models" {
					io.WriteString(w, "quick")
					return
				}
				io.WriteString(w, "first ")
				w.(http.Flusher).Flush()
				begun <- struct{}{}
				<-goOn
				if r.URL.Query().Has("cut") {
					panic(http.ErrAbortHandler)
				}
				io.WriteString(w, "last")
			}, key("k"))
			rec := &routing.Token{ID: "limited", Use: true, Passthrough: true}
			limit(rec, p)
			tok := h.addToken(rec)
			for _, query := range []string{"", "?cut"} {
				done := make(chan answer, 1)
				req := h.request("POST", "/ai/openai/v1/responses"+query, "{}")
				req.Header.Set("Authorization", "Bearer "+tok.Reveal())
				go func() {
					res, err := h.client.Do(req)
					if err != nil {
						done <- answer{err: err}
						return
					}
					defer res.Body.Close()
					b, err := io.ReadAll(res.Body)
					done <- answer{status: res.StatusCode, body: string(b), err: err}
				}()
				<-begun
				a := h.ask(tok, "/ai/openai/v1/models")
				if msg := a.message(t, routing.OpenAI); a.status != 429 || a.header.Get("Retry-After") != "1" || !strings.Contains(msg, "at a time") {
					t.Errorf("while one is under way: %d %s", a.status, a.body)
				}
				if rec := h.record(); rec.Reason != name {
					t.Errorf("recorded as %q, want %q", rec.Reason, name)
				}
				goOn <- struct{}{}
				if a := <-done; query == "" && a.body != "first last" {
					t.Errorf("the one under way: %+v", a)
				}
				h.record() // when it is over
				if a := h.ask(tok, "/ai/openai/v1/models"); a.status != 200 {
					t.Errorf("when it is over: %d %s", a.status, a.body)
				}
				h.record()
			}
		})
	}
}

func TestAProviderThatDoesNotAnswerIsLeftAlone(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]reply{"errors": {status: 500}, "overload": {status: 529}, "lost connections": {reset: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			var asked atomic.Int64
			var well atomic.Bool
			ill, fine := scripted(map[string]reply{"k": bad}), scripted(nil)
			p := h.upstream(routing.OpenAI, func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				if well.Load() {
					fine(w, r)
					return
				}
				ill(w, r)
			}, key("k"))
			const path = "/ai/openai/v1/chat/completions"
			for i := range 10 {
				if a := h.ask(h.token, path); a.status < 500 || a.header.Get("Retry-After") != "" {
					t.Fatalf("request %d: %d %s", i, a.status, a.body)
				}
				h.record()
			}
			before := asked.Load()
			a := h.ask(h.token, path)
			if msg := a.message(t, routing.OpenAI); a.status != 503 || a.header.Get("Retry-After") != "5" || !strings.Contains(msg, "was not sent") || asked.Load() != before {
				t.Errorf("after ten failures: %d %v %s", a.status, a.header, a.body)
			}
			if rec := h.record(); rec.Reason != "circuit_open" || len(rec.Attempts) != 0 {
				t.Errorf("recorded as %+v", rec)
			}
			// Other endpoints and providers are not concerned, and it can be turned off.
			h.ask(h.token, "/ai/openai/v1/responses")
			if asked.Load() != before+1 {
				t.Error("another endpoint is left alone, too")
			}
			off := *p
			off.NoBreaker = true
			h.addProvider(&off)
			h.ask(h.token, path)
			if asked.Load() != before+2 {
				t.Error("left alone although the settings say otherwise")
			}
			h.addProvider(p)

			// A request that is not sent after all is no trial.
			h.advance(5 * time.Second)
			picky := h.addToken(&routing.Token{ID: "picky", Use: true, Models: []string{"other"}})
			if a := h.ask(picky, path); a.status != 403 {
				t.Errorf("a model that is not allowed: %d %s", a.status, a.body)
			}
			well.Store(true)
			for range 3 {
				if a := h.ask(h.token, path); a.status != 200 {
					t.Errorf("when it answers again: %d %s", a.status, a.body)
				}
			}
		})
	}
}

// Answers of any kind, and failures between them, keep it in use.
func TestAProviderThatAnswersNowAndThenIsUsed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var n atomic.Int64
	h.upstream(routing.OpenAI, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1)%9 == 0 {
			w.WriteHeader(400)
			return
		}
		w.WriteHeader(500)
	}, key("k"))
	for i := range 40 {
		if a := h.chat(); a.status == 503 {
			t.Fatalf("request %d: %s", i, a.body)
		}
	}
}
