package chaos_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// givenUp is how long an upstream waits for a connection to be closed that
// nobody can want any more.
const givenUp = 12 * time.Second

// An upstream is a provider's API that does to each request what chance has for
// its key. It speaks HTTP/1.1 in raw bytes: no library would send such things.
type upstream struct {
	w      *world
	index  int
	name   string
	api    string // openai or anthropic
	url    string
	faults []fault
	busy   atomic.Int64 // requests that are being answered

	listener net.Listener
	work     sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
}

// start listens, with TLS if there is a certificate.
func (u *upstream) start(t *testing.T, cert *tls.Certificate) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u.listener, u.url, u.conns = l, "http://"+l.Addr().String(), map[net.Conn]bool{}
	if cert != nil {
		u.url = "https://" + l.Addr().String()
	}
	u.work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			u.track(c, true)
			u.work.Go(func() {
				defer u.track(c, false)
				defer func() { _ = c.Close() }() // the other side may have
				conn := c
				if cert != nil {
					conn = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{*cert}})
				}
				u.serve(conn, c.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); u.hangUp(); u.work.Wait() })
}

func (u *upstream) track(c net.Conn, open bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if open {
		u.conns[c] = true
	} else {
		delete(u.conns, c)
	}
}

// hangUp closes all connections.
func (u *upstream) hangUp() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for c := range u.conns {
		_ = c.Close() // it may be closed
	}
}

// serve answers the requests of one connection.
func (u *upstream) serve(conn net.Conn, raw *net.TCPConn) {
	br := bufio.NewReader(conn)
	var watching <-chan struct{}
	for i := 0; ; i++ {
		if watching != nil {
			<-watching // the next request, or the end
		}
		if _, err := br.Peek(1); err != nil {
			return
		}
		req, err := http.ReadRequest(br)
		if err != nil {
			var network net.Error
			if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.As(err, &network) {
				u.w.wrong.add(altered, "%s was sent what is no request: %v", u.name, err)
			}
			return
		}
		a := &attempt{u: u, conn: conn, raw: raw, br: br, req: req, reused: i > 0}
		u.busy.Add(1)
		again := a.serve()
		u.busy.Add(-1)
		if !again {
			return
		}
		watching = a.watching
	}
}

// An attempt is one request at an upstream.
type attempt struct {
	u      *upstream
	conn   net.Conn
	raw    *net.TCPConn
	br     *bufio.Reader
	req    *http.Request
	reused bool // the connection

	p        *plan
	key      key
	fault    *fault
	h2       http.ResponseWriter // with HTTP/2
	since    time.Time           // when it last did something
	bare     bool                // the answer's body goes as it is, whatever the plan says
	watching <-chan struct{}     // closed when the gateway closes, or sends another request
}

// serve answers, and reports whether the connection can take another request.
func (a *attempt) serve() bool {
	switch a.identify() {
	case sent:
		return a.fault.act(a)
	case probe:
		status, body := a.probed()
		return a.send(fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", status, http.StatusText(status), len(body), body))
	}
	return false
}

// A purpose is what a request is there for.
type purpose int

const (
	bad   purpose = iota // none that it should have
	sent                 // a client sent it
	probe                // the gateway looks at a key
)

// identify finds out what the request is, and what is to be done to it.
func (a *attempt) identify() purpose {
	k, ours := parseKey(strings.TrimPrefix(a.req.Header.Get("Authorization"), "Bearer ") + a.req.Header.Get("X-Api-Key"))
	if !ours || k.provider != a.u.index {
		a.wrong(mixed, "it has the credential of another")
		return bad
	}
	a.key = k
	nonces := a.req.Header.Values("X-Client-Request-Id")
	if len(nonces) == 0 && a.req.Method == http.MethodGet && strings.HasSuffix(a.req.URL.Path, "/models") {
		return probe
	}
	if len(nonces) == 1 {
		a.p = a.u.w.planner.of(nonces[0])
	}
	if a.p == nil {
		a.wrong(altered, "it has the nonces %q", nonces)
		return bad
	}
	a.since = time.Now()
	a.checkHead()
	a.fault = a.u.w.planner.fault(a.u.faults, k, a.p)
	if problem := a.u.w.ledger.see(a.p.n, sighting{key: k, fault: a.fault, reused: a.reused}); problem != "" {
		a.wrong(twice, "%s", problem)
	}
	return sent
}

// probed is the answer to a look at a key that no client asked for.
func (a *attempt) probed() (status int, body string) {
	if a.key.temper() == rude {
		return http.StatusUnauthorized, `{"error":{}}`
	}
	return http.StatusOK, `{"data":[]}`
}

func (a *attempt) wrong(k kind, format string, args ...any) {
	what := "a request"
	if a.p != nil {
		what = a.p.nonce
	}
	a.u.w.wrong.add(k, "%s at %s with %s: %s", what, a.u.name, a.key.name, fmt.Sprintf(format, args...))
}

// checkHead holds that the request is the one that was sent, and nothing but.
func (a *attempt) checkHead() {
	r := a.req
	if got := r.Method + " " + r.RequestURI; got != a.u.requestLine(a.p) {
		a.wrong(altered, "it is %s", got)
	}
	for name, values := range r.Header {
		if strings.Contains(strings.Join(values, " "), "gate_") {
			a.wrong(altered, "a token is in the header %s", name)
		}
	}
	if !a.p.chunked && r.ContentLength != a.p.upload {
		a.wrong(altered, "it is of %d bytes and was sent with %d", r.ContentLength, a.p.upload)
	}
}

// requestLine is what a plan's request begins with, here.
func (u *upstream) requestLine(p *plan) string {
	switch {
	case p.list:
		return "GET /v1/models?n=" + p.nonce
	case u.api == "anthropic":
		return "POST /v1/messages?n=" + p.nonce
	default:
		return "POST /v1/chat/completions?n=" + p.nonce
	}
}

// receive reads the request's body and reports whether it is whole. From then on
// the connection is watched.
func (a *attempt) receive() bool {
	want := &comparison{want: a.p.sent()}
	_, err := io.Copy(want, a.req.Body)
	switch {
	case errors.Is(err, errDiffers):
		a.wrong(altered, "its body: %v", err)
	case err != nil: // who sent it left, or gave it up
	case !want.ended():
		a.wrong(altered, "its body ends as if it were whole, after %d of %d bytes", want.size, a.p.upload)
	default:
		a.since = time.Now()
		a.watch()
		return true
	}
	return false
}

// pulse finds out whether the rig itself kept the gateway waiting.
func (a *attempt) pulse() {
	if a.p != nil && time.Since(a.since) > slow {
		a.u.w.ledger.late(a.p.n, a.key)
	}
}

func (a *attempt) watch() {
	if a.watching != nil {
		return
	}
	watching := make(chan struct{})
	a.watching = watching
	a.u.work.Go(func() {
		_, _ = a.br.Peek(1) // that it returned is all
		close(watching)
	})
}

// send writes and reports whether that went well.
func (a *attempt) send(s string) bool {
	a.pulse()
	_, err := io.WriteString(a.conn, s)
	a.since = time.Now()
	return err == nil
}

// reset ends the connection without a goodbye.
func (a *attempt) reset() bool {
	_ = a.raw.SetLinger(0) // else it is a close, which is as good
	_ = a.raw.Close()      // it may be closed
	return false
}

// hold waits until the gateway gives up.
func (a *attempt) hold() bool {
	if a.watching == nil {
		_, _ = io.Copy(io.Discard, a.req.Body) // what comes does not matter, that it ends does
		a.watch()
	}
	select {
	case <-a.watching:
	case <-time.After(givenUp):
		a.wrong(untold, "%v after it was of no use any more, the connection is open (%s)", givenUp, a.fault.name)
	}
	return false
}
