package gateway_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehousehq/gatehouse/internal/gateway"
	"github.com/gatehousehq/gatehouse/internal/keypool"
	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/token"
	"github.com/gatehousehq/gatehouse/internal/transport"
	"github.com/gatehousehq/gatehouse/internal/usage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A house is a gateway with what is around it.
type house struct {
	t      *testing.T
	gw     *gateway.Gateway
	pool   *keypool.Pool
	server *httptest.Server // serves gw; started on first use
	client *http.Client

	gwTransport *transport.Transport // what gw dials with
	snapshot    atomic.Pointer[routing.Snapshot]
	logs        syncBuffer
	records     chan usage.Record
	token       secret.Text // may do anything

	mu        sync.Mutex
	providers map[string]*routing.Provider
	routes    map[string]*routing.Route
	tokens    map[token.Hash]*routing.Token
	uses      []string // "token/key"
	now       time.Time
	start     sync.Once
}

// newHouse returns a house with one token, and nothing else. The settings may
// be changed before it is used.
func newHouse(t *testing.T, change ...func(*gateway.Config)) *house {
	t.Helper()
	h := &house{
		t: t, records: make(chan usage.Record, 1000),
		providers: map[string]*routing.Provider{}, routes: map[string]*routing.Route{}, tokens: map[token.Hash]*routing.Token{},
		now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
	}
	h.pool = keypool.New(h.clock, keypool.Config{})
	dials := transport.New(transport.Config{})
	h.gwTransport = dials
	cfg := gateway.Config{
		Snapshot:  h.snapshot.Load,
		Pool:      h.pool,
		Transport: dials,
		Logger:    slog.New(slog.NewJSONHandler(&h.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Now:       h.clock,
		OnUse: func(tokenID, keyID string, _ time.Time) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.uses = append(h.uses, tokenID+"/"+keyID)
		},
		Observe: func(r usage.Record) { h.records <- r },
	}
	for _, f := range change {
		f(&cfg)
	}
	h.gw = gateway.New(cfg)
	clientTransport := &http.Transport{DisableCompression: true}
	// What never comes must end the test, not the whole run of tests.
	h.client = &http.Client{Timeout: 30 * time.Second, Transport: clientTransport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(func() {
		clientTransport.CloseIdleConnections()
		if h.server != nil {
			h.server.Close()
		}
		dials.CloseIdleConnections()
	})
	h.token = h.addToken(&routing.Token{ID: "t-all", Name: "everything", Use: true, Passthrough: true})
	return h
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *house) advance(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

// publish makes a new snapshot of the providers and tokens.
func (h *house) publish() {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []*routing.Provider
	for _, p := range h.providers {
		list = append(list, p)
	}
	h.snapshot.Store(routing.NewSnapshot(1, list, maps.Clone(h.tokens)).WithRoutes(slices.Collect(maps.Values(h.routes))...))
}

func (h *house) addToken(rec *routing.Token) secret.Text {
	tok := token.New()
	h.mu.Lock()
	h.tokens[token.Sum(tok.Reveal())] = rec
	h.mu.Unlock()
	h.publish()
	return tok
}

func (h *house) addProvider(p *routing.Provider) *routing.Provider {
	if p.ID == "" {
		p.ID = "p-" + p.Name
	}
	h.mu.Lock()
	h.providers[p.Name] = p
	h.mu.Unlock()
	h.publish()
	return p
}

// addRoute adds a route, in order, to targets of the form PROVIDER/MODEL of
// providers that were added by their names. It may be changed by change.
func (h *house) addRoute(name string, targets []string, change ...func(*routing.Route)) {
	r := &routing.Route{ID: "r-" + name, Name: name, Enabled: true}
	for _, t := range targets {
		provider, model, _ := strings.Cut(t, "/")
		r.Targets = append(r.Targets, routing.Target{ProviderID: "p-" + provider, Model: model, Weight: 1})
	}
	for _, f := range change {
		f(r)
	}
	h.mu.Lock()
	h.routes[name] = r
	h.mu.Unlock()
	h.publish()
}

// upstream starts a server and adds a provider for it, named like the dialect,
// with the keys.
func (h *house) upstream(dialect routing.Dialect, handler http.HandlerFunc, keys ...routing.Key) *routing.Provider {
	h.t.Helper()
	return h.named(string(dialect), dialect, handler, keys...)
}

// named is upstream with a name for the provider.
func (h *house) named(name string, dialect routing.Dialect, handler http.HandlerFunc, keys ...routing.Key) *routing.Provider {
	h.t.Helper()
	srv := httptest.NewServer(handler)
	h.t.Cleanup(srv.Close)
	base := srv.URL
	if dialect == routing.OpenAI {
		base += "/v1"
	}
	return h.addProvider(&routing.Provider{Name: name, Dialect: dialect, Enabled: true, BaseURL: mustURL(h.t, base), Keys: keys})
}

func mustURL(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func key(id string) routing.Key {
	return routing.Key{ID: id, Secret: secret.New("sk-upstream-" + id + "-0123456789")}
}

// request builds a request with the token that may do anything.
func (h *house) request(method, path, body string) *http.Request {
	h.t.Helper()
	h.start.Do(func() { h.server = httptest.NewServer(h.gw) })
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(h.t.Context(), method, h.server.URL+path, r)
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+h.token.Reveal())
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	return req
}

// An answer is a response, read to the end.
type answer struct {
	status int
	header http.Header
	body   string
	err    error // of reading the body
}

func (h *house) do(req *http.Request) answer {
	h.t.Helper()
	res, err := h.client.Do(req)
	if err != nil {
		h.t.Fatalf("%s: %v", req.Method, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(body), err}
}

// chat posts a small request for a chat completion.
func (h *house) chat() answer {
	h.t.Helper()
	return h.do(h.request("POST", "/ai/openai/v1/chat/completions", `{"model":"gpt-x","messages":[]}`))
}

// state says how a key is, with the models that it is limited for.
func (h *house) state(id string) string {
	s := h.pool.State(routing.Key{ID: id}).Name
	for _, l := range h.pool.Limits(id) {
		s += " but for " + l.Model
	}
	return s
}

// record waits for the record of the next request.
func (h *house) record() usage.Record {
	h.t.Helper()
	select {
	case r := <-h.records:
		return r
	case <-time.After(30 * time.Second):
		h.t.Fatal("no record came")
		panic("unreachable")
	}
}

// message returns the message of an error, and checks that it is whole and in
// the dialect.
func (a answer) message(t *testing.T, dialect routing.Dialect) string {
	t.Helper()
	var doc struct {
		Type      string `json:"type"`
		RequestID string `json:"request_id"`
		Error     struct {
			Type    string          `json:"type"`
			Message string          `json:"message"`
			Param   json.RawMessage `json:"param"`
		} `json:"error"`
	}
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil {
		t.Fatalf("%d: the error is not JSON: %v\n%s", a.status, err, a.body)
	}
	if ct := a.header.Get("Content-Type"); ct != "application/json" {
		t.Errorf("%d: Content-Type is %q", a.status, ct)
	}
	got := routing.OpenAI
	if doc.Type == "error" {
		got = routing.Anthropic
	}
	if got != dialect {
		t.Errorf("%d: the error is in the dialect of %s, want %s: %s", a.status, got, dialect, a.body)
	}
	if doc.Error.Type == "" || (got == routing.OpenAI && string(doc.Error.Param) != "null") {
		t.Errorf("%d: the error is incomplete: %s", a.status, a.body)
	}
	if got == routing.Anthropic && doc.RequestID != a.header.Get("X-Gatehouse-Request-Id") {
		t.Errorf("%d: request_id differs from the header: %s", a.status, a.body)
	}
	return doc.Error.Message
}

// guarded checks the headers that every response has.
func (a answer) guarded(t *testing.T) {
	t.Helper()
	if len(a.header.Get("X-Gatehouse-Request-Id")) != 36 || a.header.Get("X-Content-Type-Options") != "nosniff" ||
		a.header.Get("Content-Security-Policy") != "sandbox" {
		t.Errorf("%d: a header of every response is missing: %v", a.status, a.header)
	}
}

// A syncBuffer is a buffer for several writers.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func newServer(f http.HandlerFunc) *httptest.Server { return httptest.NewServer(f) }
