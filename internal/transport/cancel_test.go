package transport_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehousehq/gatehouse/internal/netguard"
	"github.com/gatehousehq/gatehouse/internal/transport"
)

// Whatever a request waits for, it ends with its context, and so does its
// connection. Time is that of the bubble: nothing here is waited for.
func TestTheEndOfTheContextEndsAll(t *testing.T) {
	t.Parallel()
	cause := errors.New("enough")
	for name, tc := range map[string]struct {
		url   string
		hangs bool   // in the dial
		reads int    // lines of the request; -1 is all
		says  string // then
		size  int64  // of the request's body
		body  string // what comes before the end
	}{
		"while it dials":                    {url: "http://a", hangs: true},
		"while it shakes hands":             {url: "https://a", reads: -1},
		"while it sends a head":             {url: "http://a"},
		"while it sends a body":             {url: "http://a", reads: 4, size: 1 << 20},
		"while it waits for an answer":      {url: "http://a", reads: -1},
		"while it waits for the rest of it": {url: "http://a", reads: 3, says: "HTTP/1.1 200 OK\r\nX"},
		"while it waits for the final one":  {url: "http://a", reads: 3, says: "HTTP/1.1 100 Continue\r\n\r\n"},
		"while it reads a body":             {url: "http://a", reads: 3, says: "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", body: "hello"},
		"while it reads a chunk":            {url: "http://a", reads: 3, says: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello", body: "hello"},
		"while it reads without end":        {url: "http://a", reads: 3, says: "HTTP/1.1 200 OK\r\n\r\nhello", body: "hello"},
		"while both still send":             {url: "http://a", reads: 4, says: "HTTP/1.1 200 OK\r\n\r\nhello", body: "hello", size: 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				over := make(chan struct{})
				tr := newTransport(t, transport.Config{DialTimeout: 2 * time.Hour, TLSHandshakeTimeout: 2 * time.Hour})
				tr.DialWith(func(ctx context.Context, _, _ string) (net.Conn, error) {
					if tc.hangs {
						<-ctx.Done()
						return nil, ctx.Err()
					}
					near, far := net.Pipe()
					go func() {
						defer far.Close()
						in := bufio.NewReader(far)
						for range tc.reads {
							in.ReadString('\n')
						}
						if tc.says != "" {
							io.WriteString(far, tc.says)
						}
						if tc.reads < 0 {
							io.Copy(io.Discard, in)
						}
						<-over
					}()
					return near, nil
				})
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Hour, func() { cancel(cause) })
				r := get(t, tc.url).WithContext(ctx)
				if tc.size > 0 {
					r.Method, r.ContentLength, r.Body = "POST", tc.size, io.NopCloser(io.LimitReader(zeros{}, tc.size))
				}
				began := time.Now()
				got := try(tr, r)
				if !errors.Is(got.err, cause) || got.body != tc.body {
					t.Errorf("got %q, %v", got.body, got.err)
				}
				if took := time.Since(began); took != time.Hour {
					t.Errorf("it took %v", took)
				}
				if tr.Stats().Idle != 0 {
					t.Error("the connection is kept")
				}
				close(over)
			})
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// saying reads a request, says something, and waits.
func saying(what string) func(net.Conn, *bufio.Reader) {
	return func(c net.Conn, in *bufio.Reader) {
		http.ReadRequest(in)
		if what != "" {
			io.WriteString(c, what)
		}
		io.Copy(io.Discard, in)
	}
}

// A request whose context has ended is not sent.
func TestAContextThatHasEnded(t *testing.T) {
	t.Parallel()
	up := listen(t, answering(hello))
	tr := newTransport(t, transport.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := &counted{Reader: strings.NewReader("x")}
	r := get(t, up.url).WithContext(ctx)
	r.Body, r.ContentLength = b, 1
	if got := try(tr, r); !errors.Is(got.err, context.Canceled) || b.closed.Load() == 0 {
		t.Errorf("got %+v, the body was closed %d times", got, b.closed.Load())
	}
}

// The end of a context that comes too late for one request is not that of the
// next on the connection.
func TestALateEndHarmsNobody(t *testing.T) {
	t.Parallel()
	up := listen(t, answering(hello))
	tr := newTransport(t, transport.Config{})
	for range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		if got := try(tr, get(t, up.url).WithContext(ctx)); got.body != "hello" {
			t.Fatalf("got %+v", got)
		}
		cancel()
	}
	if s := tr.Stats(); s.Dialed != 1 || s.Reused != 49 {
		t.Errorf("stats are %+v", s)
	}
}

// Each of the limits ends what it is for, and says that it was one.
func TestLimitsOfTime(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		url    string
		cfg    transport.Config
		script func(net.Conn, *bufio.Reader)
		took   time.Duration
	}{
		"a handshake":         {"https://a", transport.Config{}, func(c net.Conn, _ *bufio.Reader) { io.Copy(io.Discard, c) }, 10 * time.Second},
		"a shorter handshake": {"https://a", transport.Config{TLSHandshakeTimeout: time.Second}, func(c net.Conn, _ *bufio.Reader) { io.Copy(io.Discard, c) }, time.Second},
		"a head":              {"http://a", transport.Config{ResponseHeaderTimeout: time.Minute}, saying(""), time.Minute},
		"a head in pieces": {"http://a", transport.Config{ResponseHeaderTimeout: time.Minute}, func(c net.Conn, in *bufio.Reader) {
			http.ReadRequest(in)
			for _, b := range []byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello") {
				time.Sleep(2 * time.Second) // the bubble's time
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
			}
		}, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var upstream sync.WaitGroup
				defer upstream.Wait()
				tr := newTransport(t, tc.cfg)
				tr.DialWith(func(context.Context, string, string) (net.Conn, error) {
					near, far := net.Pipe()
					upstream.Go(func() { defer far.Close(); tc.script(far, bufio.NewReader(far)) })
					return near, nil
				})
				began := time.Now()
				got := try(tr, get(t, tc.url))
				var timeout net.Error
				if !errors.As(got.err, &timeout) || !timeout.Timeout() {
					t.Errorf("got %v", got.err)
				}
				if took := time.Since(began); took != tc.took {
					t.Errorf("it took %v, want %v", took, tc.took)
				}
			})
		})
	}
}

// The limit for the head counts from when the request is out, and is over when
// the head is there.
func TestALongBodyIsNotALateHead(t *testing.T) {
	t.Parallel()
	for name, early := range map[string]bool{"the answer comes after": false, "the answer comes before": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tr := newTransport(t, transport.Config{ResponseHeaderTimeout: time.Minute})
				tr.DialWith(func(context.Context, string, string) (net.Conn, error) {
					near, far := net.Pipe()
					go func() {
						defer far.Close()
						r, _ := http.ReadRequest(bufio.NewReader(far))
						if early {
							io.WriteString(far, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
						}
						io.Copy(io.Discard, r.Body)
						time.Sleep(59 * time.Second) // the bubble's time, as below
						if !early {
							io.WriteString(far, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
						}
						time.Sleep(time.Hour)
						io.WriteString(far, "hello")
					}()
					return near, nil
				})
				pr, pw := io.Pipe()
				go func() {
					for range 10 {
						time.Sleep(50 * time.Second)
						io.WriteString(pw, "x")
					}
					pw.Close()
				}()
				if got := try(tr, request(t, "POST", "http://a", pr)); got.body != "hello" || got.err != nil {
					t.Errorf("got %+v", got)
				}
			})
		})
	}
}

// Loopback stands for an address that is refused, so that nothing else is
// dialled, be it by way of http.Transport.
func TestTheGuardIsAskedAtTheDial(t *testing.T) {
	t.Parallel()
	up := listen(t, func(*wire) { t.Error("the upstream was reached") })
	tr := newTransport(t, transport.Config{Policy: netguard.Policy{Deny: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}})
	for name, url := range map[string]string{
		"by address":         up.url,
		"over TLS":           strings.Replace(up.url, "http:", "https:", 1),
		"by http.Transport":  strings.Replace(up.url, "127.0.0.1", "１２７.0.0.1", 1),
		"by the other route": strings.Replace(up.url, "127.0.0.1", "[::ffff:127.0.0.1]", 1),
	} {
		if got := try(tr, get(t, url)); !errors.Is(got.err, netguard.ErrRefused) {
			t.Errorf("%s: got %v", name, got.err)
		}
	}
	if s := tr.Stats(); s.HTTP2 != 1 || s.Dialed != 0 {
		t.Errorf("stats are %+v", s)
	}
}

// Proxies of the environment do not steer keys.
func TestNoAmbientProxy(t *testing.T) {
	proxy := listen(t, func(*wire) { t.Error("the proxy was used") })
	t.Setenv("HTTP_PROXY", proxy.url)
	t.Setenv("http_proxy", proxy.url)
	t.Setenv("NO_PROXY", "")
	tr := newTransport(t, transport.Config{})
	dialled := ""
	tr.DialWith(func(_ context.Context, _, addr string) (net.Conn, error) {
		dialled = addr
		return nil, errDeaf
	})
	if got := try(tr, get(t, "http://upstream.invalid/")); !errors.Is(got.err, errDeaf) || dialled != "upstream.invalid:80" {
		t.Errorf("got %v, dialled %s", got.err, dialled)
	}
}
