package gateway

import (
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"github.com/gatehousehq/gatehouse/internal/breaker"
	"github.com/gatehousehq/gatehouse/internal/journal"
	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/token"
	"github.com/gatehousehq/gatehouse/internal/upstream"
	"github.com/gatehousehq/gatehouse/internal/usage"
)

// statusClientGone is what a request is recorded with whose client did not wait
// for the end. It is never sent.
const statusClientGone = 499

// An exchange is one request on its way through the gateway. It belongs to the
// goroutine that serves the request, and serves the next one afterwards: what
// outlives it, as a body that a transport still reads, does not refer to it.
type exchange struct {
	g     *Gateway
	watch watch
	meter usage.Meter
	request
}

// A request is the part of an exchange that ends with it.
type request struct {
	w   http.ResponseWriter
	r   *http.Request
	ctl http.ResponseController

	// client is the dialect of the client, which errors are written in: guessed
	// from the request until the provider or the path settles it. dialect is that
	// of the provider.
	client   *upstream.Dialect
	dialect  *upstream.Dialect
	token    *routing.Token
	provider *routing.Provider
	endpoint *upstream.Endpoint // nil is passthrough
	path     string             // raw, after /v1/
	version  string             // what goes before path upstream: "" or a version and a slash
	body     body
	places   places
	circuit  *breaker.Circuit // nil if the provider has none
	trial    bool             // the circuit waits to hear of this request
	answered bool             // by the provider, to one attempt at least
	failed   bool             // to get an answer, in one attempt at least
	journey  journey          // of a request under the URL for all providers

	socket *socket    // nil for all but WebSockets
	hash   token.Hash // of the token

	rec      usage.Record
	ticket   journal.Ticket
	noted    bool             // the ticket is for it
	attempts [2]usage.Attempt // backs rec.Attempts

	wrote bool // the status has been sent
	abort bool // the connection must not end as if all were well
}

// Values of headers that all responses share. Nobody changes them: there is no
// room to append.
var (
	nosniff = []string{"nosniff"}
	sandbox = []string{"sandbox"}
	noType  []string
)

func (g *Gateway) begin(w http.ResponseWriter, r *http.Request) *exchange {
	x := g.exchanges.Get().(*exchange)
	x.w, x.r, x.ctl = w, r, *http.NewResponseController(w)
	x.watch.start(&x.ctl, g.cfg.IdleTimeout, g.cfg.FirstByteTimeout)
	x.rec.Began = g.cfg.Now()
	x.rec.ID = newID(x.rec.Began)
	x.rec.Attempts = x.attempts[:0]
	x.rec.Client = usage.ClientName(r.UserAgent())
	h := w.Header()
	h["X-Gatehouse-Request-Id"] = []string{x.rec.ID}
	h["X-Content-Type-Options"] = nosniff
	h["Content-Security-Policy"] = sandbox
	return x
}

// serve decides, and answers or relays.
func (x *exchange) serve() {
	dest, bad := parsePath(rawPath(x.r))
	x.client = x.g.claimed(dest.path, x.r.Header)

	snapshot := x.g.cfg.Snapshot()
	if r := x.authenticate(snapshot); r != nil {
		x.refuse(r)
		return
	}
	if bad == nil && dest.shared {
		x.serveShared(snapshot, dest.path)
		return
	}
	if bad == nil {
		bad = x.admit(snapshot, dest)
	}
	if bad == nil {
		if !x.enter() {
			return
		}
		bad = x.receive()
	}
	if bad != nil {
		x.refuse(bad)
		return
	}
	x.attempt()
}

// admit finds the provider and decides what needs no body.
func (x *exchange) admit(s *routing.Snapshot, dest destination) *refusal {
	p := s.Provider(dest.provider)
	if p == nil || !providerAllowed(x.token.Providers, p) {
		return noProvider
	}
	x.rec.ProviderID, x.rec.Provider = p.ID, p.Name
	d := x.g.byName[p.Dialect]
	if d != nil {
		x.client, x.dialect = d, d
	}
	switch {
	case !p.Enabled:
		return providerDisabled
	case p.Fault != "" || d == nil || p.BaseURL == nil:
		return providerFault
	case !methods[x.r.Method]:
		return badMethod
	}
	x.endpoint = d.Endpoint(x.r.Method, dest.path)
	if upgrades(x.r.Header) {
		if x.endpoint = x.socketEndpoint(d, dest.path); x.endpoint == nil {
			return upgradeRefused
		}
	}
	if !x.takeVersion(dest.version) {
		return noPath
	}
	if d.RefuseQuery != nil && d.RefuseQuery(x.r.URL.RawQuery) {
		return badQuery
	}
	x.provider, x.path = p, dest.path
	x.watch.upstream(p.FirstByteTimeout, p.IdleTimeout)
	x.rec.Endpoint = "passthrough"
	if x.endpoint != nil {
		x.rec.Endpoint, x.rec.Path = x.endpoint.Name, dest.path
		if x.endpoint.PathModel() {
			x.rec.Path = x.endpoint.Name // the path has something in it that the client chose
		}
	} else if !x.token.Passthrough {
		return noPassthrough
	}
	if !servesPath(p, dest.path) {
		return pathDenied
	}
	return x.admitPathModel()
}

// admitForm decides on the form of the request.
func (x *exchange) admitForm() *refusal {
	switch {
	case !methods[x.r.Method]:
		return badMethod
	case upgrades(x.r.Header):
		return upgradeRefused
	}
	return nil
}

// takeVersion reports whether the dialect has a version of the API.
func (x *exchange) takeVersion(version string) bool {
	if x.dialect.Versions == nil {
		return version == "v1"
	}
	x.version = version + "/"
	return slices.Contains(x.dialect.Versions, version)
}

// receive takes in the body, if it is to be held, and with it the model.
func (x *exchange) receive() *refusal {
	if bad := x.hold(); bad != nil {
		return bad
	}
	return x.admitBodyModel()
}

// refuse answers with an error of the gateway's own.
func (x *exchange) refuse(r *refusal) { x.answer(r, r.message, 0) }

// answer is refuse with a message for the occasion and, if it is not zero, the
// time after which to come again.
func (x *exchange) answer(r *refusal, message string, retryAfter time.Duration) {
	x.rec.Status, x.rec.Reason = r.status, r.reason
	if r.status == statusClientGone {
		x.abort = true
		return
	}
	h := x.w.Header()
	if r.status == http.StatusUnauthorized {
		h["Www-Authenticate"] = []string{"Bearer"}
	}
	if r.status == http.StatusBadGateway || r.status == http.StatusServiceUnavailable {
		h["X-Should-Retry"] = []string{"false"}
	}
	if r == badSocket {
		h["Sec-Websocket-Version"] = []string{"13"}
	}
	if r.status == http.StatusMethodNotAllowed {
		h["Allow"] = []string{"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"}
	}
	if retryAfter > 0 {
		retryAfter = x.journey.soonest(retryAfter)
		seconds := (retryAfter + time.Second - 1) / time.Second
		h["Retry-After"] = []string{strconv.FormatInt(int64(seconds), 10)}
	}
	x.body.mindConnection(h)
	body := x.client.AppendError(nil, upstream.Error{Status: r.status, Code: r.code, Message: message, RequestID: x.rec.ID, RetryAfter: retryAfter})
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	x.wrote = true
	x.w.WriteHeader(r.status)
	_, _ = x.w.Write(body) // a client that has left is no one's loss
}

// finish writes the request down, whatever became of it.
func (x *exchange) finish() {
	if p := recover(); p != nil {
		x.panicked(p)
	}
	x.watch.stop()
	x.release()
	x.leave()
	if n, streamed := x.body.letGo(); streamed {
		x.rec.RequestBytes = n
	}
	cfg := &x.g.cfg
	now := cfg.Now()
	x.rec.Duration = now.Sub(x.rec.Began)
	if x.token != nil && len(x.rec.Attempts) == 0 && cfg.OnUse != nil {
		cfg.OnUse(x.token.ID, "", now)
	}
	attrs := [...]slog.Attr{
		slog.String("id", x.rec.ID), slog.String("token", x.rec.Token), slog.String("provider", x.rec.Provider),
		slog.String("model", x.rec.Model), slog.String("endpoint", x.rec.Endpoint), slog.Int("status", x.rec.Status),
		slog.Int("attempts", len(x.rec.Attempts)), slog.Int64("ms", x.rec.Duration.Milliseconds()), slog.String("reason", x.rec.Reason),
	}
	used := len(attrs)
	if x.rec.Reason == "" {
		used--
	}
	cfg.Logger.LogAttrs(x.r.Context(), slog.LevelInfo, "gateway request", attrs[:used]...)
	if refused := x.rec.Status == http.StatusUnauthorized || x.rec.Status == http.StatusForbidden; refused && x.rec.Reason != "" && cfg.OnRefused != nil {
		cfg.OnRefused(x.r, x.record())
	}
	if cfg.Journal != nil && x.token != nil {
		cfg.Journal.End(x.ticket, &x.rec) // it counts what it has no room for
	}
	if cfg.Observe != nil {
		cfg.Observe(x.record())
	}
	if x.socket != nil && x.socket.counted {
		x.g.sockets.closed()
	}
	abort := x.abort
	x.request = request{}
	x.g.exchanges.Put(x)
	if abort {
		panic(http.ErrAbortHandler)
	}
}

// record returns the record for someone who may keep it.
func (x *exchange) record() usage.Record {
	rec := x.rec
	rec.Attempts = slices.Clone(rec.Attempts)
	return rec
}

// panicked turns a panic into an answer. Its value may hold anything, so only
// the stack is logged.
func (x *exchange) panicked(p any) {
	if p == http.ErrAbortHandler { //nolint:errorlint // a panic value, compared as net/http does
		x.abort = true
		return
	}
	x.g.cfg.Logger.LogAttrs(x.r.Context(), slog.LevelError, "gateway panic",
		slog.String("id", x.rec.ID), slog.String("stack", string(debug.Stack())))
	if x.wrote {
		x.rec.Reason = internalError.reason
		x.abort = true
		return
	}
	x.dropRelayed()
	x.refuse(internalError)
}

// dropRelayed removes from the response what was copied from an upstream.
func (x *exchange) dropRelayed() {
	h := x.w.Header()
	for name := range h {
		switch name {
		case "X-Gatehouse-Request-Id", "X-Content-Type-Options", "Content-Security-Policy":
		default:
			delete(h, name)
		}
	}
}
