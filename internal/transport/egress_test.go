package transport_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehousehq/gatehouse/internal/mockupstream/mockproxy"
	"github.com/gatehousehq/gatehouse/internal/netguard"
	"github.com/gatehousehq/gatehouse/internal/transport"
)

// An upstream with an authority of its own is reached by the way that trusts it,
// and by no other. What was connected by one way is not used by another.
func TestCertificatesOfAWay(t *testing.T) {
	t.Parallel()
	srv, _, ca := newEcho(t, true)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of who does not trust it
	tr := newTransport(t, transport.Config{})
	trusted := via{tr, newEgress(t, transport.EgressConfig{CA: ca})}
	other := via{tr, newEgress(t, transport.EgressConfig{CA: []*x509.Certificate{otherCA(t)}})}
	both := via{tr, newEgress(t, transport.EgressConfig{CA: append(ca, otherCA(t))})}
	again := via{tr, newEgress(t, transport.EgressConfig{CA: ca})}
	for i, step := range []struct {
		rt     http.RoundTripper
		ok     bool
		dialed int64 // until then
	}{
		{tr, false, 1}, {trusted, true, 2}, {trusted, true, 2}, {again, true, 2}, {tr, false, 3}, {other, false, 4}, {both, true, 5}, {trusted, true, 5},
	} {
		got := try(step.rt, get(t, srv.URL))
		var untrusted *tls.CertificateVerificationError
		if (got.err == nil) != step.ok || !step.ok && !errors.As(got.err, &untrusted) {
			t.Errorf("step %d: got %+v", i, got)
		}
		if s := tr.Stats(); s.Dialed != step.dialed {
			t.Errorf("step %d: %d connections, want %d", i, s.Dialed, step.dialed)
		}
	}
	if s := tr.Stats(); s.Resumed != 0 {
		t.Errorf("%d sessions were resumed by another way than theirs", s.Resumed)
	}
}

// The name is the proxy's to find: it resolves nowhere else.
func TestProxy(t *testing.T) {
	t.Parallel()
	const basic = "Basic YWRhOmNvcnJlY3QtaG9yc2UtYmF0dGVyeQ=="
	for _, tc := range []struct {
		name                  string
		upstreamTLS, proxyTLS bool
		credentials           bool
		asked                 string
		sees                  string // the upstream
	}{
		{"https", true, false, false, "CONNECT example.com:443 example.com:443 ", "HTTP/1.1 example.com/v1/x?a=b body"},
		{"https with a password", true, false, true, "CONNECT example.com:443 example.com:443 " + basic, "HTTP/1.1 example.com/v1/x?a=b body"},
		{"https by an https proxy", true, true, true, "CONNECT example.com:443 example.com:443 " + basic, "HTTP/1.1 example.com/v1/x?a=b body"},
		{"http", false, false, false, "POST http://example.com/v1/x?a=b example.com ", "HTTP/1.1 example.com/v1/x?a=b body"},
		{"http with a password", false, false, true, "POST http://example.com/v1/x?a=b example.com " + basic, "HTTP/1.1 example.com/v1/x?a=b body"},
		{"http by an https proxy", false, true, true, "POST http://example.com/v1/x?a=b example.com " + basic, "HTTP/1.1 example.com/v1/x?a=b body"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, target, ca := newEcho(t, tc.upstreamTLS)
			cfg := transport.EgressConfig{}
			want := ""
			if tc.credentials {
				cfg.ProxyCredentials, want = proxyPassword, password
			}
			p := mockproxy.New(t, mockproxy.Config{Target: target, Credentials: want, TLS: tc.proxyTLS})
			if cfg.Proxy = mustURL(t, p.URL); tc.proxyTLS {
				ca = append(ca, p.Certificate())
			}
			cfg.CA = ca
			tr := newTransport(t, transport.Config{})
			base := "http://example.com"
			if tc.upstreamTLS {
				base = "https://example.com"
			}
			for i := range 3 {
				// Equal ways share connections.
				got := try(via{tr, newEgress(t, cfg)}, request(t, "POST", base+"/v1/x?a=b", strings.NewReader("body")))
				if got.body != tc.sees || got.err != nil {
					t.Fatalf("got %+v", got)
				}
				if i == 0 || !tc.upstreamTLS {
					if asked := <-p.Asked; asked != tc.asked {
						t.Errorf("the proxy was asked %q, want %q", asked, tc.asked)
					}
				}
			}
			if s := tr.Stats(); s.Dialed != 1 || s.Reused != 2 || s.HTTP2 != 0 {
				t.Errorf("stats are %+v", s)
			}
			if n := len(p.Asked); n != 0 {
				t.Errorf("the proxy was asked %d times more", n)
			}
		})
	}
}

// Nobody without the proxy's way uses its connections, nor the other way round.
func TestAnotherProxyIsAnotherConnection(t *testing.T) {
	t.Parallel()
	srv, target, _ := newEcho(t, false)
	first, second := mockproxy.New(t, mockproxy.Config{Target: target}), mockproxy.New(t, mockproxy.Config{Target: target})
	tr := newTransport(t, transport.Config{})
	direct := via{tr, nil}
	one := via{tr, newEgress(t, transport.EgressConfig{Proxy: mustURL(t, first.URL)})}
	two := via{tr, newEgress(t, transport.EgressConfig{Proxy: mustURL(t, second.URL)})}
	named := via{tr, newEgress(t, transport.EgressConfig{Proxy: mustURL(t, first.URL), ProxyCredentials: proxyPassword})}
	for _, rt := range []via{direct, one, two, one, named, direct, two} {
		if got := try(rt, get(t, srv.URL)); got.status != 200 {
			t.Errorf("got %+v", got)
		}
	}
	if a, b := first.Requests.Load(), second.Requests.Load(); a != 3 || b != 2 {
		t.Errorf("the proxies saw %d and %d requests", a, b)
	}
	if s := tr.Stats(); s.Dialed != 4 || s.Idle != 4 {
		t.Errorf("stats are %+v", s)
	}
}

func TestProxyThatDoesNotConnect(t *testing.T) {
	t.Parallel()
	silent := listen(t, func(w *wire) { w.request() })
	odd := listen(t, answering("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
	notHTTP := listen(t, func(w *wire) { w.say("SSH-2.0-x\r\n") })
	gone, _ := net.Listen("tcp", "127.0.0.1:0")
	gone.Close()
	status := func(credentials string, n int64) string {
		p := mockproxy.New(t, mockproxy.Config{Credentials: credentials})
		p.Status.Store(n)
		return p.URL
	}
	for name, tc := range map[string]struct {
		proxy, upstream string
		status          int
		cause           error
	}{
		"asks for a password":             {status("a:b", 0), "https://example.com", 407, nil},
		"asks for one to forward":         {status("a:b", 0), "http://example.com", 407, nil},
		"cannot reach it":                 {status("", 502), "https://example.com", 502, nil},
		"forbids it":                      {status("", 403), "https://example.com", 403, nil},
		"answers with a redirect":         {status("", 302), "https://example.com", 302, nil},
		"closes":                          {silent.url, "https://example.com", 0, io.ErrUnexpectedEOF},
		"speaks for the upstream":         {odd.url, "https://example.com", 0, transport.ErrMalformed},
		"speaks another protocol":         {notHTTP.url, "https://example.com", 0, transport.ErrMalformed},
		"is not there":                    {"http://" + gone.Addr().String(), "https://example.com", 0, syscall.ECONNREFUSED},
		"is not there to forward":         {"http://" + gone.Addr().String(), "http://example.com", 0, syscall.ECONNREFUSED},
		"is not trusted":                  {mockproxy.New(t, mockproxy.Config{TLS: true}).URL, "https://example.com", 0, nil},
		"is not there, by http.Transport": {"http://" + gone.Addr().String(), "https://exämple.com", 0, syscall.ECONNREFUSED},
		"forbids it to http.Transport":    {status("", 403), "https://exämple.com", 403, nil},
		"asks http.Transport":             {status("a:b", 0), "http://exämple.com", 407, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := newTransport(t, transport.Config{})
			rt := via{tr, newEgress(t, transport.EgressConfig{Proxy: mustURL(t, tc.proxy), ProxyCredentials: proxyPassword})}
			got := try(rt, request(t, "POST", tc.upstream, strings.NewReader("body")))
			var told *transport.ProxyError
			if !errors.As(got.err, &told) || told.Status != tc.status || tc.cause != nil && !errors.Is(got.err, tc.cause) {
				t.Fatalf("got %+v", got)
			}
			for _, part := range []string{"ada", "correct", "YWRh"} {
				if strings.Contains(got.err.Error(), part) {
					t.Errorf("the error shows the password: %v", got.err)
				}
			}
			if s := tr.Stats(); s.Idle != 0 && tc.status == 0 || s.Buffers != 0 {
				t.Errorf("stats are %+v", s)
			}
		})
	}
}

// The guard judges the proxy when it is dialled, and of the upstream what is an
// address already.
func TestTheGuardHoldsBehindAProxy(t *testing.T) {
	t.Parallel()
	_, target, _ := newEcho(t, false)
	p := mockproxy.New(t, mockproxy.Config{Target: target})
	way := newEgress(t, transport.EgressConfig{Proxy: mustURL(t, p.URL)})
	tr := newTransport(t, transport.Config{})
	for _, host := range []string{"169.254.169.254", "[fd00:ec2::254]", "0xa9fea9fe", "169.254.169.254:8080", "１６９.２５４.１６９.２５４"} {
		for _, scheme := range []string{"http://", "https://"} {
			if got := try(via{tr, way}, get(t, scheme+host)); !errors.Is(got.err, netguard.ErrRefused) {
				t.Errorf("%s%s: got %+v", scheme, host, got)
			}
		}
	}
	if s := tr.Stats(); s.Dialed != 0 || len(p.Asked) != 0 {
		t.Errorf("stats are %+v, and the proxy was asked %d times", s, len(p.Asked))
	}
	guarded := newTransport(t, transport.Config{Policy: netguard.Policy{Deny: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}})
	for _, upstream := range []string{"http://example.com", "https://example.com", "https://exämple.com"} {
		got := try(via{guarded, way}, get(t, upstream))
		var told *transport.ProxyError
		if !errors.Is(got.err, netguard.ErrRefused) || !errors.As(got.err, &told) {
			t.Errorf("%s: got %+v", upstream, got)
		}
	}
}

// An upstream of HTTP/2 alone is reached by the same way.
func TestHTTP2OnlyBehindAProxy(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(echo))
	srv.EnableHTTP2 = true
	srv.TLS = &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		cfg := srv.TLS.Clone()
		cfg.GetConfigForClient = nil
		cfg.NextProtos = []string{"h2", "none of ours"}
		if h.SupportedProtos[0] == "http/1.1" {
			cfg.NextProtos = []string{"none of ours"}
		}
		return cfg, nil
	}}
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	p := mockproxy.New(t, mockproxy.Config{Target: srv.Listener.Addr().String(), Credentials: password})
	tr := newTransport(t, transport.Config{})
	cfg := transport.EgressConfig{CA: []*x509.Certificate{srv.Certificate()}, Proxy: mustURL(t, p.URL), ProxyCredentials: proxyPassword}
	for range 3 {
		got := try(via{tr, newEgress(t, cfg)}, request(t, "POST", "https://example.com/x", strings.NewReader("body")))
		if got.body != "HTTP/2.0 example.com/x body" || got.err != nil {
			t.Fatalf("got %+v", got)
		}
	}
	if s := tr.Stats(); s.HTTP2 != 3 || p.Tunnels.Load() != 2 {
		t.Errorf("stats are %+v, %d tunnels", s, p.Tunnels.Load())
	}
	cfg.CA = []*x509.Certificate{otherCA(t)}
	var untrusted *tls.CertificateVerificationError
	if got := try(via{tr, newEgress(t, cfg)}, get(t, "https://example.com/x")); !errors.As(got.err, &untrusted) {
		t.Errorf("by a way that does not trust it: got %+v", got)
	}
}

// The time for a connection covers all that it takes, and may be longer than the
// one that a step has otherwise. Time is that of the bubble.
func TestConnectTimeout(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		url   string
		proxy bool
		hangs bool // in the dial
		says  string
	}{
		"the dial":              {url: "http://a", hangs: true},
		"the handshake":         {url: "https://a"},
		"the proxy's dial":      {url: "https://a", proxy: true, hangs: true},
		"the proxy's answer":    {url: "https://a", proxy: true},
		"half of its answer":    {url: "https://a", proxy: true, says: "HTTP/1.1 200"},
		"the handshake through": {url: "https://a", proxy: true, says: "HTTP/1.1 200 OK\r\n\r\n"},
	} {
		for _, limit := range []time.Duration{time.Second, time.Minute} {
			t.Run(fmt.Sprint(name, " ", limit), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					tr := newTransport(t, transport.Config{})
					over := make(chan struct{})
					tr.DialWith(func(ctx context.Context, _, _ string) (net.Conn, error) {
						if tc.hangs {
							<-ctx.Done()
							return nil, ctx.Err()
						}
						near, far := net.Pipe()
						go func() {
							defer far.Close()
							in := bufio.NewReader(far)
							if tc.says != "" {
								http.ReadRequest(in)
								io.WriteString(far, tc.says)
							}
							go io.Copy(io.Discard, in)
							<-over
						}()
						return near, nil
					})
					cfg := transport.EgressConfig{ConnectTimeout: limit}
					if tc.proxy {
						cfg.Proxy = mustURL(t, "http://proxy:3128")
					}
					began := time.Now()
					got := try(via{tr, newEgress(t, cfg)}, get(t, tc.url))
					var timeout net.Error
					if !errors.As(got.err, &timeout) || !timeout.Timeout() || time.Since(began) != limit {
						t.Errorf("got %+v after %v", got, time.Since(began))
					}
					close(over)
				})
			})
		}
	}
}

// Time for a connection is none for the answer.
func TestConnectTimeoutIsOverWithTheConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := newTransport(t, transport.Config{})
		tr.DialWith(func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			go func() {
				defer far.Close()
				http.ReadRequest(bufio.NewReader(far))
				time.Sleep(time.Hour)
				io.WriteString(far, hello)
			}()
			return near, nil
		})
		got := try(via{tr, newEgress(t, transport.EgressConfig{ConnectTimeout: time.Second})}, get(t, "http://a"))
		if got.body != "hello" || got.err != nil {
			t.Errorf("got %+v", got)
		}
	})
}

// Ways that nobody uses any more leave nothing behind.
func TestOldFallbacksAreLetGo(t *testing.T) {
	t.Parallel()
	gone, _ := net.Listen("tcp", "127.0.0.1:0")
	gone.Close()
	synctest.Test(t, func(t *testing.T) {
		tr := newTransport(t, transport.Config{IdleTimeout: time.Minute})
		tr.DialWith(func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no") })
		for i := range 10 {
			e := newEgress(t, transport.EgressConfig{ConnectTimeout: time.Duration(i+1) * time.Hour, Proxy: mustURL(t, "http://"+gone.Addr().String())})
			try(via{tr, e}, get(t, "https://exämple.com"))
			time.Sleep(30 * time.Second)
		}
		if n := tr.Fallbacks(); n > 4 {
			t.Errorf("%d are kept", n)
		}
	})
}

func TestWaysThatAreNone(t *testing.T) {
	t.Parallel()
	if e, err := transport.NewEgress(transport.EgressConfig{}); e != nil || err != nil {
		t.Errorf("the zero config is %v, %v", e, err)
	}
	for _, s := range []string{"socks5://a", "http://", "//a", "http://exämple.com"} {
		if e, err := transport.NewEgress(transport.EgressConfig{Proxy: mustURL(t, s)}); err == nil {
			t.Errorf("%s is %v", s, e)
		}
	}
}
