package gateway_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehousehq/gatehouse/internal/gateway"
	"github.com/gatehousehq/gatehouse/internal/keypool"
	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/usage"
)

// Each cause can be made final by itself, and the others still move on.
func TestWhatTheSettingsMakeFinal(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		cause  routing.Causes
		first  reply
		status int // where the cause is final
		says   string
		state  string // of the first key
	}{
		{"a rate limit", routing.CauseRateLimited, reply{status: 429, body: openaiLimit, header: http.Header{"Retry-After": {"7"}}}, 429, "keep requests from going on", "ready but for gpt-x"},
		{"no quota", routing.CauseQuota, reply{status: 429, body: openaiQuota}, 429, "keep requests from going on", keypool.Failed},
		{"payment", routing.CauseQuota, reply{status: 402}, 429, "keep requests from going on", keypool.Failed},
		{"a wrong key", routing.CauseRefused, reply{status: 401, body: openaiBadKey}, 429, "keep requests from going on", keypool.Failed},
		{"a model that the key may not use", routing.CauseNotPermitted, reply{status: 403, body: openaiModel}, 403, "does not have access", keypool.Ready},
		{"a server error", routing.CauseUnavailable, reply{status: 503, body: "busy"}, 503, "busy", keypool.Ready},
		{"a lost connection", routing.CauseUnreachable, reply{reset: true}, 502, "could not be reached", keypool.Ready},
	} {
		for _, final := range []bool{true, false} {
			t.Run(tc.name, func(t *testing.T) {
				t.Parallel()
				h := newHouse(t)
				p := h.upstream(routing.OpenAI, scripted(map[string]reply{"k1": tc.first}), key("k1"), key("k2"))
				p.Final = ^tc.cause
				if final {
					p.Final = tc.cause
				}
				a := h.chat()
				switch {
				case final && (a.status != tc.status || !strings.Contains(a.body, tc.says)):
					t.Errorf("final: got %d %s", a.status, a.body)
				case !final && a.body != "welcome":
					t.Errorf("not final: got %d %s", a.status, a.body)
				}
				if strings.Contains(a.body, "sk-up") {
					t.Errorf("the answer shows something of the key: %s", a.body)
				}
				if got := h.state("k1"); got != tc.state {
					t.Errorf("the first key is %s, want %s", got, tc.state)
				}
				if rec := h.record(); final != (len(rec.Attempts) == 1) {
					t.Errorf("%d attempts", len(rec.Attempts))
				}
			})
		}
	}
}

func TestAFinalRateLimitSaysWhenToComeAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.upstream(routing.OpenAI, scripted(map[string]reply{"k1": {status: 429, header: http.Header{"Retry-After": {"7"}}}}), key("k1"), key("k2"))
	p.Final = routing.CauseRateLimited
	if a := h.chat(); a.header.Get("Retry-After") != "7" || a.header.Get("X-Should-Retry") != "" {
		t.Errorf("got %v", a.header)
	}
}

// A request that was sent may be billed. It is sent again and marked, or not sent
// again, as the settings have it.
func TestReplayAfterSend(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		method   string
		first    reply
		noReplay bool
		status   int
		attempts int
		twice    bool // whether the first attempt may be billed besides
	}{
		{"a lost connection is replayed and marked", "POST", reply{reset: true}, false, 200, 2, true},
		{"a lost connection is not replayed", "POST", reply{reset: true}, true, 502, 1, false},
		{"nobody bills for a GET", "GET", reply{reset: true}, true, 200, 2, false},
		{"an error is an answer", "POST", reply{status: 500}, true, 200, 2, false},
		{"a rate limit is an answer", "POST", reply{status: 429}, true, 200, 2, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			p := h.upstream(routing.OpenAI, scripted(map[string]reply{"k1": tc.first}), key("k1"), key("k2"))
			p.NoReplay = tc.noReplay
			body := ""
			if tc.method == "POST" {
				body = `{"model":"m"}`
			}
			a := h.do(h.request(tc.method, "/ai/openai/v1/models", body))
			rec := h.record()
			if a.status != tc.status || len(rec.Attempts) != tc.attempts || rec.Attempts[0].BilledTwice != tc.twice {
				t.Errorf("got %d, attempts %+v", a.status, rec.Attempts)
			}
			if tc.status == 502 && a.header.Get("X-Should-Retry") != "false" {
				t.Error("the client is not told to leave it")
			}
			if last := rec.Attempts[len(rec.Attempts)-1]; last.BilledTwice {
				t.Error("the attempt that was answered is marked")
			}
		})
	}
}

// A connection that is not made carried nothing.
func TestWhatWasNotSentIsNotBilled(t *testing.T) {
	t.Parallel()
	var rec usage.Record
	n := 0
	gw, request := bare(t, gateway.Config{Observe: func(r usage.Record) { rec = r }}, func(r *http.Request) (*http.Response, error) {
		if n++; n == 1 {
			return nil, errors.New("no connection")
		}
		return respond(r, strings.NewReader("second")), nil
	})
	w := httptest.NewRecorder()
	gw.ServeHTTP(w, request(strings.NewReader(`{}`)))
	if w.Body.String() != "second" || rec.Attempts[0].BilledTwice {
		t.Errorf("got %d %q, %+v", w.Code, w.Body, rec.Attempts)
	}
}

// A timeout after the request was sent is one that may be billed, too.
func TestATimeoutAfterSend(t *testing.T) {
	t.Parallel()
	for name, noReplay := range map[string]bool{"replayed": false, "not replayed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, func(c *gateway.Config) { c.FirstByteTimeout = 2 * time.Second })
			p := h.upstream(routing.OpenAI, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				if strings.Contains(r.Header.Get("Authorization"), "k1") {
					<-r.Context().Done()
					return
				}
				io.WriteString(w, "welcome")
			}, key("k1"), key("k2"))
			p.NoReplay = noReplay
			a := h.chat()
			rec := h.record()
			if noReplay {
				if a.status != 504 || a.header.Get("X-Should-Retry") != "false" || len(rec.Attempts) != 1 || rec.Attempts[0].BilledTwice {
					t.Errorf("got %d %v, %+v", a.status, a.header, rec.Attempts)
				}
				return
			}
			if a.body != "welcome" || !rec.Attempts[0].BilledTwice || rec.Attempts[1].BilledTwice {
				t.Errorf("got %d %q, %+v", a.status, a.body, rec.Attempts)
			}
		})
	}
}

// Slow headers are waited for as long as the settings say, and no longer.
func TestSlowHeadersMoveOnWhenTheyAreTooLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := 0
		slow := func(d time.Duration) roundTripper {
			return func(r *http.Request) (*http.Response, error) {
				if n++; n == 1 {
					select {
					case <-time.After(d):
						return respond(r, strings.NewReader("first")), nil
					case <-r.Context().Done():
						return nil, r.Context().Err()
					}
				}
				return respond(r, strings.NewReader("second")), nil
			}
		}
		for d, want := range map[time.Duration]string{59 * time.Second: "first", 61 * time.Second: "second"} {
			n = 0
			gw, request := bare(t, gateway.Config{FirstByteTimeout: time.Minute}, slow(d))
			w := httptest.NewRecorder()
			gw.ServeHTTP(w, request(strings.NewReader(`{}`)))
			if w.Body.String() != want {
				t.Errorf("headers after %v: got %q, want %q", d, w.Body, want)
			}
		}
	})
}
