package transport

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// fallbacks send by http.Transport what is not spoken here. Each way has one of
// its own, which is let go when it has not been used for as long as connections
// are kept. What goes on over it is not cut.
type fallbacks struct {
	cfg  Config
	dial func(ctx context.Context, network, addr string) (net.Conn, error)

	mu sync.Mutex
	by map[egressID]*fallback
}

type fallback struct {
	*http.Transport
	used time.Time
}

// of returns the one for a way.
func (f *fallbacks) of(via *Egress) *http.Transport {
	id, now := via.key(), time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	one, ok := f.by[id]
	if !ok {
		for old, o := range f.by {
			if now.Sub(o.used) > f.cfg.IdleTimeout {
				o.CloseIdleConnections()
				delete(f.by, old)
			}
		}
		if f.by == nil {
			f.by = map[egressID]*fallback{}
		}
		one = &fallback{Transport: f.make(via)}
		f.by[id] = one
	}
	one.used = now
	return one.Transport
}

func (f *fallbacks) make(via *Egress) *http.Transport {
	cfg := f.cfg
	t := &http.Transport{
		Proxy: nil, // HTTP_PROXY and its kind do not steer keys
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, cfg.DialTimeout)
			defer cancel()
			return f.dial(ctx, network, addr)
		},
		TLSClientConfig:        cfg.TLS.Clone(),
		TLSHandshakeTimeout:    cfg.TLSHandshakeTimeout,
		ResponseHeaderTimeout:  cfg.ResponseHeaderTimeout,
		MaxResponseHeaderBytes: int64(cfg.MaxResponseHeaderBytes),
		MaxIdleConns:           cfg.MaxIdle,
		MaxIdleConnsPerHost:    cfg.MaxIdlePerHost,
		IdleConnTimeout:        cfg.IdleTimeout,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
	}
	if via == nil {
		return t
	}
	if via.roots != nil {
		t.TLSClientConfig.RootCAs = via.roots
	}
	if via.connect > 0 {
		// It has no time for a connection as a whole.
		t.TLSHandshakeTimeout = via.connect
		t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, via.connect)
			defer cancel()
			return f.dial(ctx, network, addr)
		}
	}
	if via.proxied() {
		proxy := *via.proxy
		proxy.User = via.user()
		t.Proxy = http.ProxyURL(&proxy)
		t.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, _ *http.Request, res *http.Response) error {
			if res.StatusCode != http.StatusOK {
				return &ProxyError{Status: res.StatusCode}
			}
			return nil
		}
	}
	return t
}

// send sends a request the other way round.
func (f *fallbacks) send(req *http.Request, via *Egress) (*http.Response, error) {
	res, err := f.of(via).RoundTrip(req)
	if !via.proxied() {
		return res, err
	}
	var op *net.OpError
	var told *ProxyError
	if errors.As(err, &op) && op.Op == "proxyconnect" && !errors.As(err, &told) {
		return nil, &ProxyError{Err: err}
	}
	if req.URL.Scheme == "http" {
		return forwarded(res, err)
	}
	return res, err
}

func (f *fallbacks) closeIdle() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range f.by {
		one.CloseIdleConnections()
	}
}
