package gateway_test

import (
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehousehq/gatehouse/internal/gateway"
	"github.com/gatehousehq/gatehouse/internal/mockupstream/mockproxy"
	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/transport"
	"github.com/gatehousehq/gatehouse/internal/usage"
)

func TestAllowedPaths(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	reached := 0
	o := h.upstream(routing.OpenAI, func(http.ResponseWriter, *http.Request) { reached++ })
	o.Paths = []string{"chat/completions", "files/*", "model*", "a%20b"}
	a := h.upstream(routing.Anthropic, func(http.ResponseWriter, *http.Request) { reached++ })
	a.Paths = []string{"messages"}
	for path, want := range map[string]int{
		"openai/v1/chat/completions": 200, "openai/v1/files/x": 200, "openai/v1/files/x/content": 200, "openai/v1/files/%78": 200, "openai/v1/models": 200, "openai/v1/models/m": 200,
		"openai/v1/model": 200, "openai/v1/a%20b": 200, "openai/v1/chat/completions?x=y": 200, "anthropic/v1/messages": 200,

		"openai/v1/chat": 403, "openai/v1/chat/completions/x": 403, "openai/v1/files": 403, "openai/v1/Files/x": 403, "openai/v1/embeddings": 403, "openai/v1/chat%2Dcompletions": 403,
		"openai/v1/ch%61t/completions": 403, "openai/v1/a+b": 403, "anthropic/v1/messages/batches": 403, "anthropic/v1/messages/count_tokens": 403, "anthropic/v1/complete": 403,
		"openai/v1/chat/completions/": 400, "openai/v1/files/../embeddings": 400, "openai/v1/files/%2e%2e/embeddings": 400, "openai/v1/files%2fx": 400,
	} {
		before := reached
		name, _, _ := strings.Cut(path, "/")
		got := h.do(h.request("POST", "/ai/"+path, `{"model":"m"}`))
		rec := h.record()
		if got.status != want || (reached > before) != (want == 200) {
			t.Errorf("%s: got %d %q, want %d", path, got.status, rec.Reason, want)
			continue
		}
		if want == 403 {
			if msg := got.message(t, routing.Dialect(name)); rec.Reason != "path_not_served" || !strings.Contains(msg, "limited to certain paths") {
				t.Errorf("%s: %q, %s", path, rec.Reason, msg)
			}
		}
	}
	// It is for clients: whoever tests a key asks what the gateway asks.
	if c := h.gw.Check(t.Context(), a, nil); !c.OK {
		t.Errorf("the check is %+v", c)
	}
}

// Headers of the settings go upstream over those of the client, and are seen
// nowhere else. What a client may send itself is not withheld from it.
func TestAddedHeaders(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const hidden, shown = "tenant-canary-0123456789", "beta-2026-01-01"
	var got http.Header
	status := 200
	for _, dialect := range []routing.Dialect{routing.OpenAI, routing.Anthropic, routing.Azure} {
		p := h.upstream(dialect, func(w http.ResponseWriter, r *http.Request) {
			got = r.Header
			w.Header().Set("X-Tenant", r.Header.Get("X-Tenant"))
			w.WriteHeader(status)
			if r.URL.Query().Get("quote") == "tenant" {
				fmt.Fprintf(w, `{"error":{"message":"your tenant \u0074%s"}}`, r.Header.Get("X-Tenant")[1:])
			} else {
				fmt.Fprintf(w, `{"error":{"message":"no such beta: %s"}}`, r.Header.Get("Anthropic-Beta"))
			}
		}, key("k"))
		p.Added = map[string]secret.Text{"X-Tenant": secret.New(hidden), "Anthropic-Beta": secret.New(shown), "User-Agent": secret.New("house")}
		for _, tc := range []struct {
			name, query string
			upstream    int
			status      int
			reason      string
		}{
			{"all is well", "", 200, 200, ""},
			{"an error that shows what a client could send", "", 400, 400, ""},
			{"an error that shows the addition", "?quote=tenant", 400, 502, "key_in_response"},
		} {
			status = tc.upstream
			req := h.request("POST", "/ai/"+string(dialect)+"/v1/responses"+tc.query, `{"model":"m"}`)
			req.Header.Set("Anthropic-Beta", "mine")
			req.Header.Set("X-Tenant", "mine")
			a := h.do(req)
			rec := h.record()
			if got.Get("X-Tenant") != hidden || got.Get("User-Agent") != "house" || len(got["Anthropic-Beta"]) != 1 || got.Get("Anthropic-Beta") != shown {
				t.Errorf("%s, %s: sent were %v", dialect, tc.name, got)
			}
			if a.status != tc.status || rec.Reason != tc.reason {
				t.Errorf("%s, %s: got %d %q", dialect, tc.name, a.status, rec.Reason)
			}
			if seen := fmt.Sprint(a.header, a.body, rec, p); strings.Contains(seen, "canary") {
				t.Errorf("%s, %s: the addition is seen: %s", dialect, tc.name, seen)
			}
		}
		status = 200
		if c := h.gw.Check(t.Context(), p, &p.Keys[0]); !c.OK || got.Get("X-Tenant") != hidden {
			t.Errorf("%s: a check was %+v, and sent %v", dialect, c, got)
		}
	}
	if logs := h.logs.String(); strings.Contains(logs, "canary") {
		t.Error("the addition is in the log")
	}
}

// A provider has times of its own, and the next one those of the gateway.
func TestTimeoutsOfAProvider(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name        string
		first, idle time.Duration
		answers     bool
		took        time.Duration
	}{
		{"no first byte", 3 * time.Second, 0, false, 3 * time.Second},
		{"longer than the gateway's", time.Hour, 0, false, time.Hour},
		{"no first byte, by the gateway's time", 0, time.Second, false, time.Minute},
		{"a pause", 0, 2 * time.Second, true, 2 * time.Second},
		{"a pause longer than the gateway's", time.Second, time.Hour, true, time.Hour},
		{"a pause, by the gateway's time", time.Hour, 0, true, 30 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var rec usage.Record
				answers := tc.answers
				cfg := gateway.Config{FirstByteTimeout: time.Minute, IdleTimeout: 30 * time.Second, Observe: func(r usage.Record) { rec = r }}
				gw, request, p := bareProvider(t, cfg, func(r *http.Request) (*http.Response, error) {
					if !answers {
						return never(r)
					}
					body, w := io.Pipe()
					go func() {
						<-r.Context().Done()
						w.CloseWithError(r.Context().Err())
					}()
					return respond(r, body), nil
				})
				p.FirstByteTimeout, p.IdleTimeout = tc.first, tc.idle
				serveAborting(gw, httptest.NewRecorder(), request(nil))
				if rec.Duration != tc.took {
					t.Errorf("it took %v: %+v", rec.Duration, rec)
				}
				p.FirstByteTimeout, p.IdleTimeout = 0, 0
				if serveAborting(gw, httptest.NewRecorder(), request(nil)); answers && rec.Duration != 30*time.Second || !answers && rec.Duration != time.Minute {
					t.Errorf("the next one, without times of its own, took %v", rec.Duration)
				}
				answers = false
				p.FirstByteTimeout = 5 * time.Second
				began := time.Now()
				if c := gw.Check(t.Context(), p, nil); c.Outcome != "timeout" || time.Since(began) != 5*time.Second {
					t.Errorf("a check was %+v after %v", c, time.Since(began))
				}
			})
		})
	}
}

// egress returns a way through the proxy, trusting ca.
func egress(t *testing.T, proxy, credentials string, ca ...*x509.Certificate) *transport.Egress {
	t.Helper()
	u, err := url.Parse(proxy)
	if err != nil {
		t.Fatal(err)
	}
	e, err := transport.NewEgress(transport.EgressConfig{Proxy: u, ProxyCredentials: secret.New(credentials), CA: ca})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Requests and checks go through the proxy of the settings, to a name that only
// it can find.
func TestProviderBehindAProxy(t *testing.T) {
	t.Parallel()
	const good, wrong = "ada:correct-horse", "ada:wrong-canary-horse"
	for _, secure := range []bool{false, true} {
		h := newHouse(t)
		up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Proxy-Authorization") != "" && secure {
				t.Error("the upstream is shown the password")
			}
			io.WriteString(w, `{"host":"`+r.Host+`"}`)
		}))
		base := "http://example.com/v1"
		var ca []*x509.Certificate
		if secure {
			up.StartTLS()
			base, ca = "https://example.com/v1", []*x509.Certificate{up.Certificate()}
		} else {
			up.Start()
		}
		t.Cleanup(up.Close)
		g := mockproxy.New(t, mockproxy.Config{Target: up.Listener.Addr().String(), Credentials: good})
		p := h.addProvider(&routing.Provider{
			Name: "openai", Dialect: routing.OpenAI, Enabled: true, BaseURL: mustURL(t, base), Egress: egress(t, g.URL, good, ca...), Keys: []routing.Key{key("k")},
		})
		for range 2 {
			if a := h.chat(); a.status != 200 || a.body != `{"host":"example.com"}` {
				t.Errorf("got %d %s", a.status, a.body)
			}
			h.record()
		}
		if c := h.gw.Check(t.Context(), p, &p.Keys[0]); !c.OK {
			t.Errorf("a check was %+v", c)
		}
		if tunnels, requests := g.Tunnels.Load(), g.Requests.Load(); secure && (tunnels != 1 || requests != 0) || !secure && (tunnels != 0 || requests != 3) {
			t.Errorf("secure: %v: %d tunnels, %d requests", secure, tunnels, requests)
		}

		for _, tc := range []struct {
			name, proxy, password string
			status                int // of the proxy
			outcome, says         string
		}{
			{"a wrong password", g.URL, wrong, 0, "proxy_denied", "proxy_credentials"},
			{"it has no connection", g.URL, good, 502, "proxy", "The proxy in its settings"},
			{"it is not there", "http://127.0.0.1:1", good, 0, "proxy", "The proxy in its settings"},
		} {
			if tc.status != 0 && !secure {
				continue // it may as well be the upstream's
			}
			g.Status.Store(int64(tc.status))
			p.Egress = egress(t, tc.proxy, tc.password, ca...)
			a := h.chat()
			msg, rec := a.message(t, routing.OpenAI), h.record()
			if a.status != 502 || !strings.Contains(msg, tc.says) || rec.Attempts[0].Outcome != tc.outcome {
				t.Errorf("%s: got %d %s, recorded as %+v", tc.name, a.status, a.body, rec)
			}
			c := h.gw.Check(t.Context(), p, &p.Keys[0])
			if c.Outcome != tc.outcome || !strings.Contains(c.Message(), tc.says) || c.Finding != nil {
				t.Errorf("%s: a check was %+v: %s", tc.name, c, c.Message())
			}
			for _, seen := range []string{a.body, h.logs.String(), fmt.Sprint(rec, c, p)} {
				if strings.Contains(seen, "horse") || strings.Contains(seen, g.Listener.Addr().String()) {
					t.Errorf("%s: proxy or password are seen in %s", tc.name, seen)
				}
			}
		}
		if h.pool.Troubled() != 0 {
			t.Error("the key is blamed for the proxy")
		}
	}
}

// A transport that knows one way only must not take that one.
func TestAWayThatTheTransportDoesNotKnow(t *testing.T) {
	t.Parallel()
	var rec usage.Record
	gw, request, p := bareProvider(t, gateway.Config{Observe: func(r usage.Record) { rec = r }}, func(*http.Request) (*http.Response, error) {
		t.Error("it was sent")
		return nil, io.EOF
	})
	p.Egress = egress(t, "http://127.0.0.1:1", "")
	w := httptest.NewRecorder()
	gw.ServeHTTP(w, request(nil))
	if w.Code != 502 || rec.Status != 502 {
		t.Errorf("got %d, recorded as %+v", w.Code, rec)
	}
}
