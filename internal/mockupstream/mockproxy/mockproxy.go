// Package mockproxy is an HTTP proxy for tests, on loopback: it connects to, or
// forwards to, the one address that it knows, whatever it is asked for.
package mockproxy

import (
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// Config is what a [Proxy] is made of.
type Config struct {
	// Target is the address, HOST:PORT, that everything goes to.
	Target string
	// Credentials, USER:PASSWORD, are what it wants to be shown; "" is nothing.
	Credentials string
	// TLS is whether it is reached by HTTPS.
	TLS bool
}

// A Proxy is a proxy that is up until its test ends. Its fields may be used at any
// time.
type Proxy struct {
	*httptest.Server
	// Tunnels and Requests are how often it connected, and forwarded.
	Tunnels, Requests atomic.Int64
	// Status is what it answers instead, if it is not zero.
	Status atomic.Int64
	// Asked gets the method, target and Host of each request, with what was shown,
	// as long as there is room for a hundred.
	Asked chan string
}

// New starts a proxy.
func New(t testing.TB, cfg Config) *Proxy {
	t.Helper()
	p := &Proxy{Asked: make(chan string, 100)}
	out := &http.Transport{}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown := r.Header.Get("Proxy-Authorization")
		select {
		case p.Asked <- r.Method + " " + r.RequestURI + " " + r.Host + " " + shown:
		default:
		}
		switch {
		case cfg.Credentials != "" && shown != "Basic "+base64.StdEncoding.EncodeToString([]byte(cfg.Credentials)):
			w.Header().Set("Proxy-Authenticate", `Basic realm="proxy"`)
			w.WriteHeader(http.StatusProxyAuthRequired)
		case p.Status.Load() != 0:
			w.WriteHeader(int(p.Status.Load()))
		case r.Method == http.MethodConnect:
			p.Tunnels.Add(1)
			tunnel(t, w, cfg.Target)
		default:
			p.Requests.Add(1)
			forward(out, w, r, cfg.Target)
		}
	}))
	if cfg.TLS {
		p.StartTLS()
	} else {
		p.Start()
	}
	t.Cleanup(func() {
		out.CloseIdleConnections()
		p.Close()
	})
	return p
}

func forward(out *http.Transport, w http.ResponseWriter, r *http.Request, target string) {
	req := r.Clone(r.Context())
	req.RequestURI, req.URL.Host = "", target
	req.Header.Del("Proxy-Authorization")
	res, err := out.RoundTrip(req)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer func() { _ = res.Body.Close() }() // it was only read
	w.WriteHeader(res.StatusCode)
	_, _ = io.Copy(w, res.Body) // whoever does not get it all has a test that fails
}

// tunnel copies between the client and the target until either ends.
func tunnel(t testing.TB, w http.ResponseWriter, target string) {
	far, err := net.Dial("tcp", target)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	near, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		_ = far.Close() // nothing was sent
		return
	}
	_, _ = io.WriteString(near, "HTTP/1.0 200 Connection established\r\n\r\n") // as above
	go func() {                                                                // ends with either connection
		_, _ = io.Copy(far, near)
		_ = far.Close()
	}()
	_, _ = io.Copy(near, far)
	_ = near.Close()
}
