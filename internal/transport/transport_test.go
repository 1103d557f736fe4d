package transport_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehousehq/gatehouse/internal/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// An upstream is a script for each connection, on loopback.
type upstream struct {
	t     *testing.T
	ln    net.Listener
	url   string
	conns atomic.Int64
}

// A wire is a connection as the upstream sees it.
type wire struct {
	net.Conn
	in *bufio.Reader
	n  int // the how manieth connection, from 0
}

// request reads a request with its body, or ends the script.
func (w *wire) request() (*http.Request, string) {
	r, err := http.ReadRequest(w.in)
	if err != nil {
		return nil, ""
	}
	body, _ := io.ReadAll(r.Body)
	return r, string(body)
}

func (w *wire) say(format string, args ...any) {
	if len(args) > 0 {
		format = fmt.Sprintf(format, args...)
	}
	io.WriteString(w, format)
}

// reset closes the connection with a reset.
func (w *wire) reset() {
	w.Conn.(*net.TCPConn).SetLinger(0)
	w.Close()
}

// listen starts an upstream that plays script on each connection, which ends
// with it.
func listen(t *testing.T, script func(*wire)) *upstream {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, ln, "http", script)
}

func serve(t *testing.T, ln net.Listener, scheme string, script func(*wire)) *upstream {
	u := &upstream{t: t, ln: ln, url: scheme + "://" + ln.Addr().String()}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			n := int(u.conns.Add(1)) - 1
			go func() {
				defer c.Close()
				script(&wire{c, bufio.NewReader(c), n})
			}()
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-ended
	})
	return u
}

// answering plays one answer to each request.
func answering(answer string) func(*wire) {
	return func(w *wire) {
		for {
			if r, _ := w.request(); r == nil {
				return
			}
			w.say("%s", answer)
		}
	}
}

func newTransport(t *testing.T, cfg transport.Config) *transport.Transport {
	tr := transport.New(cfg)
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

func get(t *testing.T, url string) *http.Request {
	t.Helper()
	return request(t, http.MethodGet, url, nil)
}

func request(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// An outcome is what a caller sees of a round trip.
type outcome struct {
	status int
	header http.Header
	body   string
	err    error // of the round trip, or else of reading the body
	res    *http.Response
}

func try(rt http.RoundTripper, r *http.Request) outcome {
	res, err := rt.RoundTrip(r)
	if err != nil {
		return outcome{err: err}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return outcome{res.StatusCode, res.Header, string(body), err, res}
}

// settle waits for what a connection does on its own.
func settle(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

const hello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

// What an upstream says, what comes of it, and whether the connection serves
// again.
func TestAnswers(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789abcdef", 10_000)
	for _, tc := range []struct {
		name   string
		method string
		answer string
		status int // 0 is an error of the round trip
		body   string
		broken bool // reading the body fails
		reused bool
	}{
		{"with a length", "GET", hello, 200, "hello", false, true},
		{"long, with a length", "GET", fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(long), long), 200, long, false, true},
		{"nothing, with a length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "", false, true},
		{"an error", "GET", "HTTP/1.1 429 Slow down\r\nContent-Length: 1\r\n\r\nx", 429, "x", false, true},
		{"without a reason", "GET", "HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx", 200, "x", false, true},
		{"the same length twice", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\nx", 200, "x", false, true},
		{"in chunks", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", 200, "hello", false, true},
		{"in chunks, capitals", "GET", "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n", 200, "0123456789", false, true},
		{"a long chunk", "GET", fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(long), long), 200, long, false, true},
		{"chunks with extensions", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0;c\r\n\r\n", 200, "hello", false, true},
		{"chunks with a trailer", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\nZ: z\r\n\r\n", 200, "hello", false, true},
		{"until it closes", "GET", "HTTP/1.1 200 OK\r\n\r\nhello", 200, "hello", false, false},
		{"HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello", 200, "hello", false, false},
		{"it says that it closes", "GET", "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", false, false},
		{"HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", 200, "", false, true},
		{"HEAD in chunks", "HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, "", false, true},
		{"HEAD with a body", "HEAD", hello, 200, "", false, false},
		{"204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", false, true},
		{"204 with a length", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 204, "", false, false},
		{"204 with a body", "GET", "HTTP/1.1 204 No Content\r\n\r\nhello", 204, "", false, false},
		{"304 with a length", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, "", false, true},
		{"304 in chunks", "GET", "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", 304, "", false, false},
		{"after informational ones", "GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + hello, 200, "hello", false, true},
		{"more than its length", "GET", hello + "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong", 200, "hello", false, false},
		{"more than its chunks", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nx", 200, "hello", false, false},
		{"more than nothing", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nx", 200, "", false, false},
		{"101", "GET", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", 0, "", false, false},
		{"informational without end", "GET", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 200<<10/25+3000), 0, "", false, false},
		{"a chunk without an end", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\n0\r\n\r\n", 200, "hello", true, false},
		{"a chunk of a strange size", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n-3\r\nllo\r\n0\r\n\r\n", 200, "he", true, false},
		{"a trailer that is none", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nHTTP/1.1 200 OK\r\n\r\n", 200, "hello", true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			up := listen(t, func(w *wire) {
				for {
					if r, _ := w.request(); r == nil {
						return
					}
					w.say("%s", tc.answer)
					if strings.HasSuffix(tc.answer, "\r\n\r\nhello") && !strings.Contains(tc.answer, "-Length") {
						return
					}
				}
			})
			tr := newTransport(t, transport.Config{})
			got := try(tr, request(t, tc.method, up.url+"/x", nil))
			if got.status != tc.status || got.body != tc.body || (got.err != nil) != (tc.broken || tc.status == 0) {
				t.Fatalf("got %d, %d bytes, %v; want %d, %d bytes, broken: %v", got.status, len(got.body), got.err, tc.status, len(tc.body), tc.broken)
			}
			if tc.status != 0 {
				for _, name := range []string{"Transfer-Encoding"} {
					if got.header[name] != nil {
						t.Errorf("%s is among the headers", name)
					}
				}
			}
			settle(t, "the connection is kept or not", func() bool { return tr.Stats().Idle == map[bool]int{true: 1}[tc.reused] })
			// A second request must not see anything of the first.
			try(tr, request(t, tc.method, up.url+"/x", nil))
			if n := up.conns.Load(); (n == 1) != tc.reused {
				t.Errorf("%d connections for two requests", n)
			}
		})
	}
}

// A head that two readers may read differently is refused, and so are its like.
func TestDoubtfulHeadsAreRefused(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"two lengths":                       "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
		"a list of lengths":                 "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
		"a signed length":                   "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
		"a negative length":                 "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
		"an empty length":                   "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
		"a length without end":              "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
		"a hexadecimal length":              "HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello",
		"a length and chunks":               "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"chunks and a length":               "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"chunks twice":                      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"another coding":                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"identity":                          "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
		"chunks in HTTP/1.0":                "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"a space before the colon":          "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello",
		"a tab in a name":                   "HTTP/1.1 200 OK\r\nContent\tLength: 5\r\n\r\nhello",
		"a continued line":                  "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 5\r\n\r\nhello",
		"a continued first line":            "HTTP/1.1 200 OK\r\n X: a\r\nContent-Length: 5\r\n\r\nhello",
		"a line without a colon":            "HTTP/1.1 200 OK\r\nX\r\nContent-Length: 5\r\n\r\nhello",
		"a line without a name":             "HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 5\r\n\r\nhello",
		"lines that end with LF":            "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
		"a line that ends with LF":          "HTTP/1.1 200 OK\r\nX: y\nContent-Length: 5\r\n\r\nhello",
		"a CR in a value":                   "HTTP/1.1 200 OK\r\nX: y\rContent-Length: 5\r\n\r\nhello",
		"a NUL in a value":                  "HTTP/1.1 200 OK\r\nX: y\x00z\r\nContent-Length: 5\r\n\r\nhello",
		"a NUL in a name":                   "HTTP/1.1 200 OK\r\nX\x00: y\r\nContent-Length: 5\r\n\r\nhello",
		"a CR in the status line":           "HTTP/1.1 200 O\rK\r\nContent-Length: 5\r\n\r\nhello",
		"a status of two digits":            "HTTP/1.1 20 OK\r\nContent-Length: 5\r\n\r\nhello",
		"a status of four digits":           "HTTP/1.1 2000 OK\r\nContent-Length: 5\r\n\r\nhello",
		"a status below 100":                "HTTP/1.1 099 OK\r\nContent-Length: 5\r\n\r\nhello",
		"a status of letters":               "HTTP/1.1 2x0 OK\r\nContent-Length: 5\r\n\r\nhello",
		"another version":                   "HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"a version of two digits":           "HTTP/1.10 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"another protocol":                  "SSH-2.0-OpenSSH_9.2\r\n\r\n",
		"a record of TLS":                   "\x15\x03\x01\x00\x02\x02\x46\r\n\r\n",
		"an empty line first":               "\r\n" + hello,
		"a header that is far too long":     "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 300<<10) + "\r\n\r\n",
		"headers that are far too many":     "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 60<<10) + "\r\n",
		"a header that is far and no end":   "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 300<<10),
		"it ends in the head":               "HTTP/1.1 200 OK\r\nX: y\r\n",
		"it ends at once":                   "",
		"informational, with a wrong field": "HTTP/1.1 100 Continue\r\nX\r\n\r\n" + hello,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := listen(t, func(w *wire) {
				w.request()
				w.say("%s", answer)
				if strings.HasPrefix(name, "it ends") {
					return
				}
				io.Copy(io.Discard, w.in) // it is not the upstream that ends it
			})
			tr := newTransport(t, transport.Config{})
			got := try(tr, get(t, up.url))
			var failed *transport.Error
			if !errors.As(got.err, &failed) || got.status != 0 || failed.Reused || !failed.Sent {
				t.Errorf("got %d %q, %#v", got.status, got.body, got.err)
			}
			if s := tr.Stats(); s.Idle != 0 {
				t.Errorf("%d connections are kept", s.Idle)
			}
		})
	}
}
