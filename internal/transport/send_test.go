package transport_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/transport"
)

// writes counts what is written to connections.
type writes struct {
	net.Conn
	list *[]string
}

func (w writes) Write(p []byte) (int, error) {
	*w.list = append(*w.list, string(p))
	return w.Conn.Write(p)
}

// What goes out, byte for byte and write by write.
func TestWhatIsWritten(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(*http.Request)
		want   []string
	}{
		{"GET", func(*http.Request) {}, []string{"GET /v1/x?y=1 HTTP/1.1\r\nHost: HOST\r\n\r\n"}},
		{"headers, in order", func(r *http.Request) {
			r.Header = http.Header{"User-Agent": {"me"}, "Accept": {"a", "b"}, "Content-Type": {"c"}, "X-Empty": {""}, "X-Nil": nil}
		}, []string{"GET /v1/x?y=1 HTTP/1.1\r\nHost: HOST\r\nAccept: a\r\nAccept: b\r\nContent-Type: c\r\nUser-Agent: me\r\nX-Empty: \r\n\r\n"}},
		{"no header that frames or is of the connection", func(r *http.Request) {
			for _, name := range []string{"Host", "Content-Length", "Transfer-Encoding", "Trailer", "Te", "Expect", "Connection", "Keep-Alive", "Proxy-Connection", "Upgrade"} {
				r.Header[name] = []string{"5"}
			}
		}, []string{"GET /v1/x?y=1 HTTP/1.1\r\nHost: HOST\r\n\r\n"}},
		{"an escaped path, and a query that is empty", func(r *http.Request) {
			r.URL.Path, r.URL.RawPath, r.URL.RawQuery, r.URL.ForceQuery = "/a/b c", "/a%2Fb%20c", "", true
		}, []string{"GET /a%2Fb%20c? HTTP/1.1\r\nHost: HOST\r\n\r\n"}},
		{"no path", func(r *http.Request) { r.URL.Path, r.URL.RawQuery, r.Host = "", "", "" }, []string{"GET / HTTP/1.1\r\nHost: HOST\r\n\r\n"}},
		{"another host", func(r *http.Request) { r.Host = "example.com:8443" }, []string{"GET /v1/x?y=1 HTTP/1.1\r\nHost: example.com:8443\r\n\r\n"}},
		{"POST without a body", func(r *http.Request) { r.Method = "POST" }, []string{"POST /v1/x?y=1 HTTP/1.1\r\nHost: HOST\r\nContent-Length: 0\r\n\r\n"}},
		{"a held body goes out with the head", withBody(strings.NewReader("hello"), 5), []string{"POST /v1/x?y=1 HTTP/1.1\r\nHost: HOST\r\nContent-Length: 5\r\n\r\nhello"}},
		{"a body that is not held does not", withBody(io.MultiReader(strings.NewReader("he"), strings.NewReader("llo")), 5), []string{
			"POST /v1/x?y=1 HTTP/1.1\r\nHost: HOST\r\nContent-Length: 5\r\n\r\n", "he", "llo",
		}},
		{"nor does a long one", withBody(strings.NewReader(strings.Repeat("x", transport.MaxInline+1)), transport.MaxInline+1), []string{
			fmt.Sprintf("POST /v1/x?y=1 HTTP/1.1\r\nHost: HOST\r\nContent-Length: %d\r\n\r\n", transport.MaxInline+1), strings.Repeat("x", transport.MaxInline+1),
		}},
		{"a body of unknown length is sent in chunks", withBody(io.MultiReader(strings.NewReader("he"), strings.NewReader(strings.Repeat("x", 20))), -1), []string{
			"POST /v1/x?y=1 HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n", "2\r\nhe\r\n", "14\r\n" + strings.Repeat("x", 20) + "\r\n", "0\r\n\r\n",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			up := listen(t, answering(hello))
			tr := newTransport(t, transport.Config{})
			var got []string
			dial := tr.Dialer()
			tr.DialWith(func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := dial(ctx, network, addr)
				return writes{c, &got}, err
			})
			r := get(t, up.url+"/v1/x?y=1")
			tc.change(r)
			if o := try(tr, r); o.err != nil || o.body != "hello" {
				t.Fatalf("got %+v", o)
			}
			host := strings.TrimPrefix(up.url, "http://")
			for i := range tc.want {
				tc.want[i] = strings.Replace(tc.want[i], "HOST", host, 1)
			}
			if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", tc.want) {
				t.Errorf("got  %q\nwant %q", got, tc.want)
			}
		})
	}
}

func withBody(body io.Reader, n int64) func(*http.Request) {
	return func(r *http.Request) {
		r.Method, r.ContentLength, r.Body = "POST", n, io.NopCloser(body)
		if s, ok := body.(*strings.Reader); ok {
			r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(s), nil }
		}
	}
}

// A request that would become another one is not sent at all.
func TestRequestsThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*http.Request){
		"a line in a value":      func(r *http.Request) { r.Header["X"] = []string{"a\r\nY: b"} },
		"a LF in a value":        func(r *http.Request) { r.Header["X"] = []string{"a\nb"} },
		"a NUL in a value":       func(r *http.Request) { r.Header["X"] = []string{"a\x00b"} },
		"a colon in a name":      func(r *http.Request) { r.Header["X:"] = []string{"a"} },
		"an empty name":          func(r *http.Request) { r.Header[""] = []string{"a"} },
		"a line in a method":     func(r *http.Request) { r.Method = "GET / HTTP/1.1\r\nX:" },
		"a space in a query":     func(r *http.Request) { r.URL.RawQuery = "a b" },
		"a line in a query":      func(r *http.Request) { r.URL.RawQuery = "a HTTP/1.1\r\nX: y" },
		"a line in the host":     func(r *http.Request) { r.Host = "a\r\nX: y" },
		"a host of two":          func(r *http.Request) { r.Host = "a,b" },
		"a host with a user":     func(r *http.Request) { r.URL.Host = "a@" + r.URL.Host },
		"a scheme of its own":    func(r *http.Request) { r.URL.Scheme = "ftp" },
		"no host":                func(r *http.Request) { r.URL.Host = "" },
		"a host that is no host": func(r *http.Request) { r.URL.Host = "127.0.0.1 :80" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := listen(t, answering(hello))
			tr := newTransport(t, transport.Config{})
			r := request(t, "POST", up.url, nil)
			b := &counted{Reader: strings.NewReader("x")}
			r.Body, r.ContentLength = b, 1
			change(r)
			if got := try(tr, r); got.err == nil {
				t.Errorf("got %+v", got)
			}
			if up.conns.Load() != 0 {
				t.Error("there was a connection")
			}
			if b.closed.Load() == 0 {
				t.Error("the body stays open")
			}
		})
	}
}

// counted counts how often a body is closed.
type counted struct {
	io.Reader
	closed atomic.Int64
}

func (c *counted) Close() error { c.closed.Add(1); return nil }

// Bodies of all sizes arrive as they are, the connection serves on, and every
// body is closed.
func TestBodiesArrive(t *testing.T) {
	t.Parallel()
	up := listen(t, func(w *wire) {
		for {
			r, body := w.request()
			if r == nil {
				return
			}
			w.say("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		}
	})
	tr := newTransport(t, transport.Config{})
	for _, size := range []int{1, 100, transport.MaxInline, transport.MaxInline + 1, 32 << 10, 100_000, 3 << 20} {
		want := bytes.Repeat([]byte("0123456789abcdefg"), size/17+1)[:size]
		for _, kind := range []string{"held", "streamed", "in chunks"} {
			b := &counted{Reader: struct{ io.Reader }{bytes.NewReader(want)}}
			r := request(t, "POST", up.url, nil)
			r.Body, r.ContentLength = b, int64(size)
			switch kind {
			case "held":
				r.GetBody = func() (io.ReadCloser, error) { panic("it is sent once") }
			case "in chunks":
				r.ContentLength = -1
			}
			if got := try(tr, r); got.body != string(want) || got.err != nil {
				t.Errorf("%s, %d: %d bytes came back, %v", kind, size, len(got.body), got.err)
			}
			settle(t, "the body is closed", func() bool { return b.closed.Load() > 0 && tr.Stats().Idle == 1 })
		}
	}
	if s := tr.Stats(); s.Dialed != 1 {
		t.Errorf("%d connections", s.Dialed)
	}
}

// Bodies that are not what they say end the connection; the rest of one would be
// taken for the next request.
func TestBodiesThatAreWrong(t *testing.T) {
	t.Parallel()
	broken := errors.New("it broke")
	for name, tc := range map[string]struct {
		body string
		end  error
		n    int64
		held bool
	}{
		"too short":           {"hell", io.EOF, 5, false},
		"too short, held":     {"hell", io.EOF, 5, true},
		"too long":            {"hello!", io.EOF, 5, false},
		"too long, held":      {"hello!", io.EOF, 5, true},
		"broken":              {"hell", broken, 5, false},
		"broken, held":        {"hell", broken, 5, true},
		"broken, in chunks":   {"hell", broken, -1, false},
		"long and broken":     {strings.Repeat("x", 50_000), broken, 100_000, false},
		"long, short, held":   {strings.Repeat("x", 50_000), io.EOF, 100_000, true},
		"long and long, held": {strings.Repeat("x", 50_001), io.EOF, 50_000, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := listen(t, answering(hello))
			tr := newTransport(t, transport.Config{})
			b := &counted{Reader: io.MultiReader(strings.NewReader(tc.body), failing{tc.end})}
			r := request(t, "POST", up.url, nil)
			r.Body, r.ContentLength = b, tc.n
			if tc.held {
				r.GetBody = func() (io.ReadCloser, error) { panic("it is sent once") }
			}
			got := try(tr, r)
			// An upstream may have the whole of a body that goes on, and answer.
			if long := strings.Contains(name, "too long") || strings.Contains(name, "and long"); got.err == nil && !long {
				t.Errorf("got %+v", got)
			}
			if tc.end == broken && !errors.Is(got.err, broken) && !errors.As(got.err, new(*transport.Error)) {
				t.Errorf("got %v", got.err)
			}
			settle(t, "the body is closed", func() bool { return b.closed.Load() > 0 })
			if s := tr.Stats(); s.Idle != 0 {
				t.Error("the connection is kept")
			}
		})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// An answer that comes before the body is passed on at once, and nothing of the
// body goes anywhere afterwards.
func TestAnEarlyAnswer(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"complete":             "HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nhello",
		"and closing":          "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
		"until it closes":      "HTTP/1.1 413 Too Large\r\n\r\nhello",
		"after an information": "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nhello",
	} {
		for _, length := range []int64{-1, 1 << 30} {
			t.Run(fmt.Sprint(name, length), func(t *testing.T) {
				t.Parallel()
				up := listen(t, func(w *wire) {
					http.ReadRequest(w.in)
					w.say("%s", answer)
					if name != "complete" {
						w.Conn.(*net.TCPConn).CloseWrite()
					}
					io.Copy(io.Discard, w.in)
				})
				tr := newTransport(t, transport.Config{})
				pr, pw := io.Pipe() // its end never comes
				r := request(t, "POST", up.url, pr)
				r.ContentLength = length
				wrote := make(chan error)
				go func() {
					var err error
					for err == nil {
						_, err = pw.Write(make([]byte, 1000))
					}
					wrote <- err
				}()
				got := try(tr, r)
				if got.status != 413 || got.body != "hello" || got.err != nil {
					t.Errorf("got %+v", got)
				}
				if err := <-wrote; !errors.Is(err, io.ErrClosedPipe) {
					t.Errorf("the body ended with %v", err)
				}
				if s := tr.Stats(); s.Idle != 0 {
					t.Error("the connection is kept")
				}
			})
		}
	}
}

// An upstream may answer while it still reads, and both go on together.
func TestBothWaysAtOnce(t *testing.T) {
	t.Parallel()
	up := listen(t, func(w *wire) {
		r, err := http.ReadRequest(w.in)
		if err != nil {
			return
		}
		w.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		b := make([]byte, 1)
		for {
			if _, err := r.Body.Read(b); err != nil {
				break
			}
			w.say("1\r\n%s\r\n", b)
		}
		w.say("0\r\n\r\n")
		answering(hello)(w)
	})
	tr := newTransport(t, transport.Config{})
	pr, pw := io.Pipe()
	res, err := tr.RoundTrip(request(t, "POST", up.url, pr))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	for c := byte('a'); c <= 'z'; c++ {
		pw.Write([]byte{c})
		b := make([]byte, 10)
		if n, err := res.Body.Read(b); string(b[:n]) != string(c) || err != nil {
			t.Fatalf("got %q, %v", b[:n], err)
		}
	}
	pw.Close()
	if rest, err := io.ReadAll(res.Body); len(rest) > 0 || err != nil {
		t.Errorf("got %q, %v", rest, err)
	}
	settle(t, "the connection is kept", func() bool { return tr.Stats().Idle == 1 })
	if got := try(tr, get(t, up.url)); got.body != "hello" || up.conns.Load() != 1 {
		t.Errorf("got %+v on connection %d", got, up.conns.Load())
	}
}

// A server that is full says so before it is asked.
func TestARefusalBeforeTheRequest(t *testing.T) {
	t.Parallel()
	tr := newTransport(t, transport.Config{})
	tr.DialWith(func(context.Context, string, string) (net.Conn, error) {
		return &deaf{Reader: strings.NewReader("HTTP/1.1 503 Full\r\nContent-Length: 4\r\n\r\nfull")}, nil
	})
	b := &counted{Reader: strings.NewReader("x")}
	r := request(t, "POST", "http://127.0.0.1:1", nil)
	r.Body, r.ContentLength = b, 1
	if got := try(tr, r); got.status != 503 || got.body != "full" || got.err != nil {
		t.Errorf("got %+v", got)
	}
	if tr.Stats().Idle != 0 || b.closed.Load() == 0 {
		t.Error("the connection is kept, or the body not closed")
	}
	tr.DialWith(func(context.Context, string, string) (net.Conn, error) {
		return &deaf{Reader: strings.NewReader("")}, nil
	})
	got := try(tr, get(t, "http://127.0.0.1:1"))
	var failed *transport.Error
	if !errors.As(got.err, &failed) || !errors.Is(failed, errDeaf) || failed.Sent || failed.Reused {
		t.Errorf("got %#v", got.err)
	}
}

var errDeaf = errors.New("it does not listen")

// A deaf connection takes nothing.
type deaf struct {
	io.Reader
}

func (*deaf) Write([]byte) (int, error)        { return 0, errDeaf }
func (*deaf) Close() error                     { return nil }
func (*deaf) LocalAddr() net.Addr              { return nil }
func (*deaf) RemoteAddr() net.Addr             { return nil }
func (*deaf) SetDeadline(time.Time) error      { return nil }
func (*deaf) SetReadDeadline(time.Time) error  { return nil }
func (*deaf) SetWriteDeadline(time.Time) error { return nil }
