package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/gateway"
	"github.com/gatehousehq/gatehouse/internal/keypool"
	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/token"
	"github.com/gatehousehq/gatehouse/internal/transport"
	"github.com/gatehousehq/gatehouse/internal/usage"
)

// tries says which attempts a record has: PROVIDER/KEY OUTCOME.
func tries(r usage.Record) []string {
	var out []string
	for _, a := range r.Attempts {
		provider, id := a.Provider, a.ProviderID
		if id == "" {
			provider, id = r.Provider, r.ProviderID
		}
		if id != "p-"+provider {
			provider += "?" + id
		}
		out = append(out, provider+"/"+a.KeyID+" "+a.Outcome)
	}
	return out
}

// serveShared has a gateway serve a request for a chat under the URL for all
// providers.
func serveShared(gw *gateway.Gateway, tok, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/ai/v1/chat/completions", strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+tok)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	gw.ServeHTTP(w, r)
	return w
}

// What moves a request on to the next target, and what is the client's.
func TestWhatMovesOnToTheNextTarget(t *testing.T) {
	t.Parallel()
	const region = `{"error":{"code":"unsupported_country_region_territory","type":"request_forbidden"}}`
	for _, tc := range []struct {
		name    string
		first   reply
		moves   bool
		outcome string
	}{
		{"a rate limit", reply{status: 429, body: openaiLimit}, true, usage.Limited},
		{"no credit", reply{status: 429, body: openaiQuota}, true, usage.NoQuota},
		{"a refused key", reply{status: 401, body: openaiBadKey}, true, usage.Refused},
		{"payment", reply{status: 402}, true, usage.Refused},
		{"a model that the key may not use", reply{status: 403, body: openaiModel}, true, usage.NotPermitted},
		{"a server error", reply{status: 500}, true, usage.Unavailable},
		{"overload", reply{status: 529}, true, usage.Unavailable},
		{"a connection that breaks", reply{reset: true}, true, "connection_lost"},
		{"a model that is not there", reply{status: 404, body: `{"error":{"code":"model_not_found"}}`}, true, usage.ClientError},
		{"a path that is not there", reply{status: 404, body: "nothing here"}, true, usage.ClientError},
		{"a model that is gone", reply{status: 410}, true, usage.ClientError},
		{"a model that is not there, as 400", reply{status: 400, body: `{"error":{"code":"model_not_found","message":"x"}}`}, true, usage.ClientError},
		{"a redirect", reply{status: 307, header: http.Header{"Location": {"/x"}}}, true, usage.Redirect},
		{"a bad request", reply{status: 400, body: `{"error":{"message":"model_not_found","code":null}}`}, false, usage.ClientError},
		{"too large", reply{status: 413}, false, usage.ClientError},
		{"what cannot be processed", reply{status: 422}, false, usage.ClientError},
		{"another 403", reply{status: 403, body: region}, false, usage.ClientError},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			var d desk
			h.named("open", routing.OpenAI, d.at("open", tc.first), key("a"))
			h.named("spare", routing.OpenAI, d.at("spare"), key("b"))
			h.addRoute("fast", []string{"open/m", "spare/n"})
			got := h.shared("chat/completions", `{"model":"fast"}`)
			want := []string{"open/a " + tc.outcome}
			if tc.moves {
				want = append(want, "spare/b ok")
			}
			rec := h.record()
			if diff := cmp.Diff(want, tries(rec)); diff != "" {
				t.Errorf("attempts (-want +got):\n%s", diff)
			}
			if tc.moves && (got.status != 200 || got.body != "welcome to spare" || rec.Provider != "spare" || rec.Reason != "") {
				t.Errorf("%d %s, recorded as %+v", got.status, got.body, rec)
			}
			if !tc.moves && (got.status != tc.first.status || got.body != tc.first.body) {
				t.Errorf("%d %s", got.status, got.body)
			}
			for _, sent := range d.take() {
				if strings.HasPrefix(sent, "spare") && sent != `spare /v1/chat/completions {"model":"n"}` {
					t.Errorf("sent %s", sent)
				}
			}

			// Of one target alone, the client is told.
			alone := h.shared("chat/completions", `{"model":"open/m"}`)
			if rec := h.record(); alone.status < 300 || rec.Provider != "open" {
				t.Errorf("without another target: %d %s", alone.status, alone.body)
			}
		})
	}
}

// The keys of a target are tried before the next target, and its settings hold.
func TestKeysThenTargets(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var d desk
	first := h.named("open", routing.OpenAI, d.at("open", reply{status: 500}), key("a"), key("b"))
	h.named("second", routing.OpenAI, d.at("second", reply{status: 404}), key("c"), key("d"))
	h.named("last", routing.OpenAI, d.at("last", reply{status: 429, body: openaiLimit}, reply{status: 200, body: "fine"}), key("e"), key("f"))
	h.addRoute("fast", []string{"open/1", "second/longer-than-it-was", "last/3"})
	if got := h.shared("chat/completions", `{"model":"fast","x":1}`); got.body != "fine" {
		t.Errorf("%d %s", got.status, got.body)
	}
	rec := h.record()
	// A model that is not there is not there for the next key either.
	want := []string{"open/a unavailable", "open/b unavailable", "second/c client_error", "last/e rate_limited", "last/f ok"}
	if diff := cmp.Diff(want, tries(rec)); diff != "" || rec.Provider != "last" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
	bodies := []string{
		`open /v1/chat/completions {"model":"1","x":1}`, `open /v1/chat/completions {"model":"1","x":1}`,
		`second /v1/chat/completions {"model":"longer-than-it-was","x":1}`,
		`last /v1/chat/completions {"model":"3","x":1}`, `last /v1/chat/completions {"model":"3","x":1}`,
	}
	if diff := cmp.Diff(bodies, d.take()); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}

	changed := *first
	changed.Final = routing.CauseUnavailable
	h.addProvider(&changed)
	if got := h.shared("chat/completions", `{"model":"fast"}`); got.status != 500 {
		t.Errorf("with settings that keep it there: %d %s", got.status, got.body)
	}
	if diff := cmp.Diff([]string{"open/a unavailable"}, tries(h.record())); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
}

// A target that is not there to serve is passed over, without an attempt.
func TestTargetsThatArePassedOver(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(h *house, p *routing.Provider)
		status int // without another target
		reason string
		retry  string
	}{
		{"a disabled provider", func(_ *house, p *routing.Provider) { p.Enabled = false }, 503, "provider_disabled", ""},
		{"a path that is not served", func(_ *house, p *routing.Provider) { p.Paths = []string{"embeddings"} }, 403, "path_not_served", ""},
		{"a model that is not served", func(_ *house, p *routing.Provider) { p.Models = []string{"n", "fast"} }, 403, "model_not_served", ""},
		{"a faulty provider", func(_ *house, p *routing.Provider) { p.Fault = "x" }, 503, "provider_fault", ""},
		{"cooling keys", func(h *house, _ *routing.Provider) {
			h.pool.Report("a", keypool.Outcome{Reason: keypool.RateLimited, RetryAfter: 42 * time.Second})
		}, 429, "rate_limited", "42"},
		{"failed keys", func(h *house, _ *routing.Provider) {
			h.pool.Report("a", keypool.Outcome{Reason: keypool.Unauthorized, Status: 401})
		}, 502, "keys_failed", ""},
		{"disabled keys", func(_ *house, p *routing.Provider) { p.Keys[0].Disabled = true }, 503, "no_usable_key", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			var d desk
			p := *h.named("open", routing.OpenAI, d.at("open"), key("a"))
			h.named("spare", routing.OpenAI, d.at("spare"), key("b"))
			h.addRoute("fast", []string{"open/m", "spare/n"})
			h.addRoute("alone", []string{"open/m"})
			p.Keys = slices.Clone(p.Keys)
			tc.change(h, &p)
			h.addProvider(&p)
			if got := h.shared("chat/completions", `{"model":"fast"}`); got.body != "welcome to spare" {
				t.Errorf("%d %s", got.status, got.body)
			}
			if rec := h.record(); len(rec.Attempts) != 1 || rec.Provider != "spare" || rec.Reason != "" {
				t.Errorf("recorded as %+v", rec)
			}
			got := h.shared("chat/completions", `{"model":"alone"}`)
			if rec := h.record(); got.status != tc.status || rec.Reason != tc.reason || got.header.Get("Retry-After") != tc.retry {
				t.Errorf("alone: %d %v %s", got.status, got.header, got.body)
			}
			if sent := d.take(); len(sent) != 1 {
				t.Errorf("sent %q", sent)
			}
		})
	}
}

// Who is told to come again is told when the first of the targets is free.
func TestRetryAfterOfARouteIsTheSoonest(t *testing.T) {
	t.Parallel()
	limit := func(seconds string) reply {
		return reply{status: 429, body: openaiLimit, header: http.Header{"Retry-After": {seconds}}}
	}
	h := newHouse(t)
	var d desk
	h.named("open", routing.OpenAI, d.at("open", limit("7")), key("a"))
	h.named("spare", routing.OpenAI, d.at("spare", limit("30")), key("b"))
	h.addRoute("fast", []string{"open/m", "spare/n"})
	for i, attempts := range []int{2, 0} { // asked, and then not even asked
		got := h.shared("chat/completions", `{"model":"fast"}`)
		if rec := h.record(); got.status != 429 || got.header.Get("Retry-After") != "7" || len(rec.Attempts) != attempts {
			t.Errorf("request %d: %d %v %q", i, got.status, got.header, tries(rec))
		}
	}
}

// A provider that does not answer is not asked while another is left, and one that
// has no place is passed over.
func TestCircuitsAndPlacesOfTargets(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var d desk
	down := h.named("down", routing.OpenAI, d.at("down", reply{status: 500}), key("a"))
	h.named("spare", routing.OpenAI, d.at("spare"), key("b"))
	h.addRoute("fast", []string{"down/m", "spare/n"})
	h.addRoute("alone", []string{"down/m"})
	h.addRoute("reverse", []string{"spare/n", "down/m"})
	for range 10 {
		h.shared("chat/completions", `{"model":"fast"}`)
		if rec := h.record(); len(rec.Attempts) != 2 {
			t.Fatalf("attempts %q", tries(rec))
		}
	}
	h.shared("chat/completions", `{"model":"fast"}`)
	if rec := h.record(); len(rec.Attempts) != 1 || rec.Provider != "spare" {
		t.Errorf("with an open circuit: %q", tries(rec))
	}
	got := h.shared("chat/completions", `{"model":"alone"}`)
	if rec := h.record(); got.status != 503 || rec.Reason != "circuit_open" || got.header.Get("Retry-After") != "5" {
		t.Errorf("alone: %d %v", got.status, got.header)
	}
	// Another endpoint has a circuit of its own.
	h.shared("embeddings", `{"model":"fast"}`)
	if rec := h.record(); len(rec.Attempts) != 2 {
		t.Errorf("another endpoint: %q", tries(rec))
	}
	h.advance(5 * time.Second)
	h.shared("chat/completions", `{"model":"fast"}`) // the trial, which fails
	if rec := h.record(); len(rec.Attempts) != 2 {
		t.Errorf("the trial: %q", tries(rec))
	}
	h.shared("chat/completions", `{"model":"fast"}`)
	if rec := h.record(); len(rec.Attempts) != 1 {
		t.Errorf("after the trial: %q", tries(rec))
	}

	// What the last target that can be asked says is the client's, whatever stands
	// behind it.
	changed := *down
	begun, goOn := make(chan struct{}), make(chan struct{})
	busy := h.named("busy", routing.OpenAI, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		begun <- struct{}{}
		<-goOn
	}, key("c"))
	full := *busy
	full.MaxConcurrency = 1
	h.addProvider(&full)
	changed.NoBreaker = true
	h.addProvider(&changed)
	h.addRoute("crowded", []string{"busy/m", "down/n"})
	h.addRoute("behind", []string{"down/n", "busy/m"})
	done := make(chan struct{})
	first := h.request("POST", "/ai/v1/responses", `{"model":"busy/m"}`)
	go func() {
		defer close(done)
		if res, err := h.client.Do(first); err == nil {
			res.Body.Close()
		}
	}()
	<-begun
	for route, want := range map[string]string{"crowded": "down/a unavailable", "behind": "down/a unavailable"} {
		got := h.shared("responses", `{"model":"`+route+`"}`)
		if rec := h.record(); got.status != 500 || !slices.Equal(tries(rec), []string{want}) {
			t.Errorf("%s: %d, %q", route, got.status, tries(rec))
		}
	}
	if got := h.shared("responses", `{"model":"busy/m"}`); got.status != 429 || h.record().Reason != "provider_concurrency" {
		t.Errorf("full: %d %s", got.status, got.body)
	}
	goOn <- struct{}{}
	<-done
}

// A weighted route divides the requests in proportion, and what is left are the
// fallbacks in their order.
func TestWeightedTargets(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var d desk
	h.named("a", routing.OpenAI, d.at("a"), key("a"))
	h.named("b", routing.OpenAI, d.at("b"), key("b"))
	bad := h.named("bad", routing.OpenAI, d.at("bad", reply{status: 500}), key("c"))
	noBreaker := *bad
	noBreaker.NoBreaker = true
	h.addProvider(&noBreaker)
	weigh := func(weights ...uint32) func(*routing.Route) {
		return func(r *routing.Route) {
			r.Weighted = true
			for i, w := range weights {
				r.Targets[i].Weight = w
			}
		}
	}
	count := func(route string, n int) map[string]int {
		got := map[string]int{}
		for range n {
			h.shared("chat/completions", `{"model":"`+route+`"}`)
			var order []string
			for _, try := range tries(h.record()) {
				order = append(order, strings.Split(try, "/")[0])
			}
			got[strings.Join(order, " ")]++
		}
		return got
	}
	h.addRoute("split", []string{"a/m", "b/m", "bad/m"}, weigh(2, 1, 1))
	got := count("split", 80)
	near := func(n, want int) bool { return n >= want-3 && n <= want+3 }
	if len(got) != 3 || !near(got["a"], 40) || !near(got["b"], 20) || !near(got["bad a"], 20) {
		t.Errorf("by 2 to 1 to 1: %v", got)
	}
	h.addRoute("last", []string{"a/m", "bad/m", "b/m"}, weigh(0, 1, 0))
	if got := count("last", 5); got["bad a"] != 5 {
		t.Errorf("one with weight: %v", got)
	}
	h.addRoute("none", []string{"bad/m", "b/m"}, weigh(0, 0))
	if got := count("none", 5); got["bad b"] != 5 {
		t.Errorf("none with weight: %v", got)
	}
	// A token that may not use a target has its share go to the others.
	tok := h.addToken(&routing.Token{ID: "narrow", Use: true, Providers: []string{"b"}})
	for range 5 {
		req := h.request("POST", "/ai/v1/chat/completions", `{"model":"split"}`)
		req.Header.Set("Authorization", "Bearer "+tok.Reveal())
		if a := h.do(req); a.body != "welcome to b" {
			t.Errorf("%d %s", a.status, a.body)
		}
		h.record()
	}
}

// pairOfTargets returns a gateway with the route "fast" to the providers one and two,
// which are reached by to, and a token for it.
func pairOfTargets(t *testing.T, rec *usage.Record, change func(*routing.Provider), to roundTripper) (*gateway.Gateway, string) {
	t.Helper()
	tok := token.New().Reveal()
	var providers []*routing.Provider
	for _, name := range []string{"one", "two"} {
		p := &routing.Provider{
			ID: "p-" + name, Name: name, Dialect: routing.OpenAI, Enabled: true,
			BaseURL: mustURL(t, "http://"+name+".invalid/v1"), Keys: []routing.Key{key(name)},
		}
		change(p)
		providers = append(providers, p)
	}
	snapshot := routing.NewSnapshot(1, providers, map[token.Hash]*routing.Token{token.Sum(tok): {ID: "t", Use: true}}).WithRoutes(&routing.Route{
		ID: "r", Name: "fast", Enabled: true, Targets: []routing.Target{{ProviderID: "p-one", Model: "a"}, {ProviderID: "p-two", Model: "b"}},
	})
	return gateway.New(gateway.Config{
		Snapshot: func() *routing.Snapshot { return snapshot }, Pool: keypool.New(time.Now, keypool.Config{}),
		FirstByteTimeout: time.Minute, Observe: func(r usage.Record) { *rec = r }, Transport: to,
	}), tok
}

// Each target has the time that its own provider is given.
func TestTimeoutsOfTargets(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		slow string
		took time.Duration
	}{{"one", 3*time.Second + time.Minute}, {"two", time.Minute + 3*time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			var rec usage.Record
			gw, tok := pairOfTargets(t, &rec, func(p *routing.Provider) {
				if p.Name == tc.slow {
					p.FirstByteTimeout = 3 * time.Second
				}
			}, never)
			if w := serveShared(gw, tok, `{"model":"fast"}`); w.Code != 504 || rec.Duration != tc.took || len(rec.Attempts) != 2 {
				t.Errorf("%s: %d after %v %s, %q", tc.slow, w.Code, rec.Duration, w.Body, tries(rec))
			}
		})
	}
}

// A request that may have been billed goes on, and is marked; or it does not, if
// the settings of its provider say so.
func TestReplayAfterSendAcrossTargets(t *testing.T) {
	t.Parallel()
	for _, final := range []bool{false, true} {
		t.Run(fmt.Sprint(final), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var rec usage.Record
				gw, tok := pairOfTargets(t, &rec, func(p *routing.Provider) { p.NoReplay = final }, func(r *http.Request) (*http.Response, error) {
					if r.URL.Host == "one.invalid" {
						return nil, &transport.Error{Err: io.ErrUnexpectedEOF, Sent: true}
					}
					return respond(r, strings.NewReader("second")), nil
				})
				w := serveShared(gw, tok, `{"model":"fast"}`)
				switch {
				case final:
					if w.Code != 502 || w.Header().Get("X-Should-Retry") != "false" || len(rec.Attempts) != 1 {
						t.Errorf("%d %s %q", w.Code, w.Body, tries(rec))
					}
				case w.Body.String() != "second" || len(rec.Attempts) != 2 || !rec.Attempts[0].BilledTwice:
					t.Errorf("%d %s %+v", w.Code, w.Body, rec.Attempts)
				}
			})
		})
	}
}

// A stream goes on to its end whatever is done to its route and to the provider
// that serves it, while others go by what there is.
func TestAnEditOfARouteCutsNoStream(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	step := make(chan struct{})
	h.named("slow", routing.OpenAI, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 20 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
			<-step
		}
	}, key("a"))
	var d desk
	h.named("other", routing.OpenAI, d.at("other"), key("b"))
	h.addRoute("fast", []string{"slow/m"})
	res, err := h.client.Do(h.request("POST", "/ai/v1/chat/completions", `{"model":"fast","stream":true}`))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	for i := range 20 {
		if !lines.Scan() || lines.Text() != "data: "+strconv.Itoa(i) || !lines.Scan() {
			t.Fatalf("the stream ended at event %d: %v", i, lines.Err())
		}
		switch i % 4 {
		case 0:
			h.addRoute("fast", []string{"other/n"})
		case 1:
			h.mu.Lock()
			delete(h.routes, "fast")
			delete(h.providers, "slow")
			h.mu.Unlock()
			h.publish()
		case 2:
			h.addRoute("fast", []string{"gone/n", "other/n"})
		case 3:
			if a := h.shared("chat/completions", `{"model":"fast"}`); a.body != "welcome to other" {
				t.Errorf("beside it: %d %s", a.status, a.body)
			}
		}
		step <- struct{}{}
	}
	if lines.Scan() || lines.Err() != nil {
		t.Errorf("after its end: %q, %v", lines.Text(), lines.Err())
	}
}
