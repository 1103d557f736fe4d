// Package transport sends requests to upstreams by HTTP/1.1, on the goroutine
// of the caller.
//
// A [Transport] is an [http.RoundTripper]. It differs from [http.Transport] in
// what it costs: a request needs no other goroutine, and a connection has no
// buffer while it waits (over TLS, while it waits for the next request). A
// request body that is held (its GetBody is set) and is small goes out in one
// write with the head; others are sent by a second goroutine, so that an answer
// can come first.
//
// It dials only what the policy allows, takes no proxy and no credential from
// the environment (an [Egress] has what is to be taken), adds no header of its own, follows no redirect, and leaves
// content codings alone. A connection serves again only if the answer was read
// to its end, its framing left no doubt, neither side wants to close, and nothing
// has come on it since. What is not HTTP/1.1 to the letter is an error, see
// [errMalformed]; trailers are checked and dropped; informational answers are
// skipped. Upstreams that speak only HTTP/2 are reached through http.Transport.
//
// A request for another protocol is sent by [Transport.Upgrade] alone.
//
// It never sends a request twice: see [Error] for when the caller can. It sets no
// limit to how long an answer takes, unless told to: that is up to the context.
//
// A Transport may be used concurrently. The Body of a response has the method
// [Body.Next], which spares a copy; it belongs to one goroutine at a time.
package transport

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gatehousehq/gatehouse/internal/netguard"
)

// Config are the settings of a Transport. Zero fields take the defaults.
type Config struct {
	// Policy says what may be dialled. It is asked for each address.
	Policy netguard.Policy
	// DialTimeout is for finding and connecting to an upstream. Default 10 s.
	DialTimeout time.Duration
	// TLSHandshakeTimeout is for the handshake after that. Default 10 s.
	TLSHandshakeTimeout time.Duration
	// ResponseHeaderTimeout is for the headers of a response once the request
	// has been sent. Zero is no limit.
	ResponseHeaderTimeout time.Duration
	// MaxResponseHeaderBytes bounds those headers, with those of informational
	// answers before them. Default 256 KiB.
	MaxResponseHeaderBytes int
	// MaxIdlePerHost is how many connections are kept for each upstream.
	// Default 256.
	MaxIdlePerHost int
	// MaxIdle is how many are kept in all. Default 1024.
	MaxIdle int
	// IdleTimeout is for how long they are kept. Default 90 s.
	IdleTimeout time.Duration
	// TLS is what connections by TLS start from. Nil is the zero config. Its
	// ServerName, NextProtos and ClientSessionCache are set by the Transport.
	TLS *tls.Config
}

// Stats count what a Transport did.
type Stats struct {
	Dialed  int64 // connections made
	Reused  int64 // requests sent on a connection that had served before
	Stale   int64 // idle connections found unusable when they were wanted
	Resumed int64 // TLS sessions resumed
	HTTP2   int64 // requests left to http.Transport
	Idle    int   // connections that wait now
	Buffers int64 // buffers that answers are read into, now
}

// A Transport sends requests. Make one with [New].
type Transport struct {
	cfg      Config
	dial     func(ctx context.Context, network, addr string) (net.Conn, error)
	tls      *tls.Config
	idle     pool
	http2    hostSet
	fallback fallbacks

	dialed, reused, stale, resumed, viaHTTP2, buffers atomic.Int64
}

// New returns a Transport. Its owner calls CloseIdleConnections in the end.
func New(cfg Config) *Transport {
	cfg.DialTimeout = cmp.Or(cfg.DialTimeout, 10*time.Second)
	cfg.TLSHandshakeTimeout = cmp.Or(cfg.TLSHandshakeTimeout, 10*time.Second)
	cfg.MaxResponseHeaderBytes = cmp.Or(cfg.MaxResponseHeaderBytes, 256<<10)
	cfg.MaxIdlePerHost = cmp.Or(cfg.MaxIdlePerHost, 256)
	cfg.MaxIdle = cmp.Or(cfg.MaxIdle, 1024)
	cfg.IdleTimeout = cmp.Or(cfg.IdleTimeout, 90*time.Second)
	if cfg.TLS == nil {
		cfg.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	dial := (&net.Dialer{Control: cfg.Policy.Control}).DialContext
	t := &Transport{cfg: cfg, dial: dial, tls: cfg.TLS.Clone(), fallback: fallbacks{cfg: cfg, dial: dial}}
	t.tls.NextProtos = []string{"http/1.1"}
	t.tls.ClientSessionCache = tls.NewLRUClientSessionCache(256)
	t.idle.init(cfg.MaxIdle, cfg.MaxIdlePerHost, cfg.IdleTimeout)
	return t
}

// CloseIdleConnections closes the connections that wait.
func (t *Transport) CloseIdleConnections() {
	t.idle.closeAll()
	t.fallback.closeIdle()
}

// Stats returns the counts so far.
func (t *Transport) Stats() Stats {
	return Stats{
		Dialed: t.dialed.Load(), Reused: t.reused.Load(), Stale: t.stale.Load(),
		Resumed: t.resumed.Load(), HTTP2: t.viaHTTP2.Load(), Idle: t.idle.size(), Buffers: t.buffers.Load(),
	}
}

// RoundTrip sends a request and returns the head of its answer. The body of the
// request is closed once it is not needed any more, which may be later.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	return t.RoundTripVia(req, nil)
}

// RoundTripVia is RoundTrip by a way of one's own. What fails at a proxy on the
// way is a [ProxyError].
func (t *Transport) RoundTripVia(req *http.Request, via *Egress) (*http.Response, error) {
	h, ok := hostOf(req.URL)
	h.via = via.key()
	if !ok || t.http2.has(h) {
		return t.fallBack(req, via)
	}
	out := getOutput()
	if err := out.head(req, via); err != nil {
		out.release()
		closeBody(req)
		return nil, err
	}
	c, err := t.conn(req.Context(), h, via)
	if err != nil {
		out.release()
	}
	if err == errOnlyHTTP2 { //nolint:errorlint // it is returned bare
		t.http2.add(h)
		return t.fallBack(req, via)
	}
	if err != nil {
		closeBody(req)
		return nil, cancelled(req.Context(), err)
	}
	x := &Body{t: t, c: c, ctx: req.Context(), req: req}
	x.in.c, x.in.held = c, &t.buffers
	if via.forwards(h) {
		return forwarded(x.exchange(out))
	}
	return x.exchange(out)
}

// fallBack sends by http.Transport.
func (t *Transport) fallBack(req *http.Request, via *Egress) (*http.Response, error) {
	t.viaHTTP2.Add(1)
	if via.proxied() && req.URL != nil {
		if err := t.cfg.Policy.CheckHost(req.URL.Hostname()); err != nil {
			closeBody(req)
			return nil, err
		}
	}
	return t.fallback.send(req, via)
}

// conn returns a connection to a host that nothing else uses.
func (t *Transport) conn(ctx context.Context, h host, via *Egress) (*conn, error) {
	for {
		c := t.idle.take(h)
		if c == nil {
			return t.connect(ctx, h, via)
		}
		if c.quiet() {
			t.reused.Add(1)
			return c, nil
		}
		t.stale.Add(1)
		c.close()
	}
}
