package gateway_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehousehq/gatehouse/internal/gateway"
	"github.com/gatehousehq/gatehouse/internal/keypool"
	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/token"
	"github.com/gatehousehq/gatehouse/internal/usage"
)

// evils are what can become of an attempt with a key.
var evils = map[string]roundTripper{
	"rate limit":        answers(429, openaiLimit, "Retry-After", "2"),
	"rate limit, mute":  answers(429, ""),
	"no quota":          answers(429, openaiQuota),
	"wrong key":         answers(401, openaiBadKey),
	"model not allowed": answers(403, openaiModel),
	"server error":      answers(500, "<html>"),
	"overload":          answers(529, `{"type":"error","error":{"type":"overloaded_error"}}`),
	"reset":             func(*http.Request) (*http.Response, error) { return nil, errors.New("connection reset") },
	"stall":             never,
	"half an error": func(r *http.Request) (*http.Response, error) {
		res := respond(r, io.MultiReader(strings.NewReader(`{"error":`), failing{}))
		res.StatusCode = 500
		return res, nil
	},
}

// failing is a body that breaks off.
type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func answers(status int, body string, header ...string) roundTripper {
	return func(r *http.Request) (*http.Response, error) {
		res := respond(r, strings.NewReader(body))
		res.StatusCode = status
		for i := 0; i < len(header); i += 2 {
			res.Header.Set(header[i], header[i+1])
		}
		return res, nil
	}
}

// Whatever the other keys do, no request fails that one key can serve: under load,
// with each strategy, while the configuration changes many times a second.
func TestNoRequestFailsThatAKeyCanServe(t *testing.T) {
	t.Parallel()
	for _, strategy := range []routing.Strategy{routing.InOrder, routing.Weighted, routing.LeastLoaded} {
		for name, evil := range evils {
			t.Run(fmt.Sprint(strategy, " ", name), func(t *testing.T) {
				t.Parallel()
				chaos(t, strategy, false, func(n int) roundTripper {
					if n%7 == 0 { // now and then even a bad key works
						return nil
					}
					return evil
				})
			})
		}
		t.Run(fmt.Sprint(strategy, " all of them"), func(t *testing.T) {
			t.Parallel()
			var all []roundTripper
			for _, evil := range evils {
				all = append(all, evil)
			}
			chaos(t, strategy, false, func(int) roundTripper { return all[rand.IntN(len(all))] })
		})
	}
}

// The same holds for the targets of a route, each a provider of its own, in order
// and by weight, while the route changes.
func TestNoRequestFailsThatATargetCanServe(t *testing.T) {
	t.Parallel()
	more := maps.Clone(evils)
	more["no such model"] = answers(404, `{"error":{"code":"model_not_found"}}`)
	more["redirect"] = answers(302, "", "Location", "/x")
	for _, strategy := range []routing.Strategy{routing.InOrder, routing.Weighted} {
		for name, evil := range more {
			t.Run(fmt.Sprint(strategy, " ", name), func(t *testing.T) {
				t.Parallel()
				chaos(t, strategy, true, func(n int) roundTripper {
					if n%7 == 0 {
						return nil
					}
					return evil
				})
			})
		}
	}
}

// chaos has clients send requests to a provider of four keys or, if they are spread
// out, to a route of four providers with a key each. One key always works.
func chaos(t *testing.T, strategy routing.Strategy, spread bool, evil func(n int) roundTripper) {
	synctest.Test(t, func(t *testing.T) {
		const clients, requests = 20, 15
		good := 1 + rand.IntN(3) // in order, others are tried before it
		var n, bad, failed atomic.Int64
		transport := roundTripper(func(r *http.Request) (*http.Response, error) {
			if !strings.Contains(r.Header.Get("Authorization"), fmt.Sprintf("-k%d-", good)) {
				if do := evil(int(n.Add(1))); do != nil {
					bad.Add(1)
					return do(r)
				}
			}
			time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond) // the bubble's time
			return respond(r, strings.NewReader("welcome")), nil
		})
		tok := token.New()
		var snapshot atomic.Pointer[routing.Snapshot]
		path, body := "/ai/openai/v1/chat/completions", `{"model":"m"}`
		if spread {
			path, body = "/ai/v1/chat/completions", `{"model":"fast"}`
		}
		change := func() {
			tokens := map[token.Hash]*routing.Token{token.Sum(tok.Reveal()): {ID: "t", Use: true}}
			if spread {
				route := &routing.Route{ID: "r", Name: "fast", Enabled: true, Weighted: strategy == routing.Weighted}
				var providers []*routing.Provider
				for i := range 4 {
					id := fmt.Sprint("p", i)
					providers = append(providers, &routing.Provider{
						ID: id, Name: id, Dialect: routing.OpenAI, Enabled: i == good || rand.IntN(4) > 0, BaseURL: mustURL(t, "http://upstream.invalid/v1"),
						Keys: []routing.Key{key(fmt.Sprint("k", i))},
					})
					route.Targets = append(route.Targets, routing.Target{ProviderID: id, Model: strings.Repeat("m", 1+rand.IntN(9)), Weight: uint32(rand.IntN(4))})
				}
				snapshot.Store(routing.NewSnapshot(1, providers, tokens).WithRoutes(route))
				return
			}
			p := &routing.Provider{ID: "p", Name: "openai", Dialect: routing.OpenAI, Enabled: true, Strategy: strategy, BaseURL: mustURL(t, "http://upstream.invalid/v1")}
			for i := range 4 {
				k := key(fmt.Sprint("k", i))
				k.Weight = uint32(rand.IntN(4))
				p.Keys = append(p.Keys, k)
			}
			snapshot.Store(routing.NewSnapshot(1, []*routing.Provider{p}, tokens))
		}
		change()
		pool := keypool.New(time.Now, keypool.Config{})
		gw := gateway.New(gateway.Config{
			Snapshot: snapshot.Load, Pool: pool, Transport: transport, FirstByteTimeout: time.Second, IdleTimeout: time.Second,
			Observe: func(r usage.Record) {
				if r.Status != 200 {
					failed.Add(1)
				}
			},
		})
		over := make(chan struct{})
		go func() {
			for {
				select {
				case <-over:
					return
				case <-time.After(20 * time.Millisecond):
					change()
				}
			}
		}()
		var work sync.WaitGroup
		for range clients {
			work.Go(func() {
				for range requests {
					r := httptest.NewRequest("POST", path, strings.NewReader(body))
					r.Header.Set("Authorization", "Bearer "+tok.Reveal())
					w := httptest.NewRecorder()
					gw.ServeHTTP(w, r)
					if w.Code != 200 || w.Body.String() != "welcome" {
						t.Errorf("%d %s", w.Code, w.Body)
					}
					time.Sleep(time.Duration(rand.IntN(500)) * time.Millisecond)
				}
			})
		}
		work.Wait()
		close(over)
		if failed.Load() != 0 || bad.Load() == 0 {
			t.Errorf("%d of %d requests failed, after %d failures of other keys", failed.Load(), clients*requests, bad.Load())
		}
		for i := range 4 {
			if n := pool.InFlight(fmt.Sprint("k", i)); n != 0 {
				t.Errorf("%d attempts with key %d are still counted", n, i)
			}
		}
	})
}

// The control: without the good key they do fail, and the count shows it.
func TestWithoutAKeyThatCanServeRequestsFail(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.upstream(routing.OpenAI, scripted(map[string]reply{"k1": {status: 401}, "k2": {status: 429}}), key("k1"), key("k2"))
	if a := h.chat(); a.status == 200 {
		t.Error("it was served by nobody")
	}
}
