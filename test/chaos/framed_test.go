package chaos_test

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"
)

// framedFaults are those of the upstream that speaks HTTP/2, which frames what
// is sent: there is less to do wrong.
var framedFaults = []fault{
	{"none", shaky, 40, whole, serves},
	{"500", shaky, 10, moves, framedStatus(500, "")},
	{"529", shaky, 10, moves, framedStatus(529, "")},
	{"half a 500, then a reset", shaky, 5, loses, func(a *attempt) bool { return framedHalf(a, 500) && framedReset(a) }},
	{"reset before the body is read", shaky, 10, loses, framedReset},
	{"reset after the request", shaky, 10, loses, func(a *attempt) bool { return a.receive() && framedReset(a) }},
	{"no answer", shaky, 1, moves, func(a *attempt) bool { return a.receive() && a.hold() }},
	{"half an answer, then a reset", shaky, 10, broken, func(a *attempt) bool { return framedHalf(a, 200) && framedReset(a) }},
	{"half an answer, then nothing", shaky, 1, broken, func(a *attempt) bool { return framedHalf(a, 200) && a.hold() }},
	{"429", rude, 10, moves, framedStatus(429, "1")},
	{"401", rude, 10, moves, framedStatus(401, "")},
	{"402", rude, 10, moves, framedStatus(402, "")},
}

// startFramed listens for HTTP/2 alone.
func (u *upstream) startFramed(t *testing.T, cert *tls.Certificate) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u.url, u.conns = "https://"+l.Addr().String(), map[net.Conn]bool{}
	srv := &http.Server{
		ErrorLog:  log.New(io.Discard, "", 0), // connections that are given up are nothing to report
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{*cert}, NextProtos: []string{"h2"}},
		ConnState: func(c net.Conn, s http.ConnState) {
			if s == http.StateNew || s == http.StateClosed {
				u.track(c, s == http.StateNew)
			}
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			u.busy.Add(1)
			defer u.busy.Add(-1)
			a := &attempt{u: u, req: r, h2: w, watching: r.Context().Done()}
			switch a.identify() {
			case sent:
				_ = a.fault.act(a) // the stream ends either way
			case probe:
				status, body := a.probed()
				w.WriteHeader(status)
				_, _ = io.WriteString(w, body) // it may be gone
			}
		}),
	}
	u.work.Go(func() { _ = srv.ServeTLS(l, "", "") }) // it ends when it is closed
	t.Cleanup(func() { _ = srv.Close(); u.work.Wait() })
}

func framedReset(*attempt) bool { panic(http.ErrAbortHandler) }

func (a *attempt) framedHead(status int) {
	h := a.h2.Header()
	h.Set("X-Request-Id", a.p.nonce+"/"+a.key.name)
	if status == http.StatusOK && a.p.framed && a.p.events == 0 {
		h.Set("Content-Length", strconv.FormatInt(a.p.body, 10))
	}
	a.pulse()
	a.h2.WriteHeader(status)
	_ = http.NewResponseController(a.h2).Flush() // it may be gone
}

func framedStatus(status int, retryAfter string) func(*attempt) bool {
	return func(a *attempt) bool {
		if !a.receive() {
			return false
		}
		if retryAfter != "" {
			a.h2.Header().Set("Retry-After", retryAfter)
		}
		a.framedHead(status)
		_, err := io.WriteString(a.h2, a.errorText(""))
		return err == nil
	}
}

func framedHalf(a *attempt, status int) bool {
	if !a.receive() {
		return false
	}
	a.framedHead(status)
	half := a.p.body / 2
	if a.p.events > 0 {
		half = 30
	}
	_, _ = io.Copy(a.h2, io.LimitReader(a.p.answer(a.key.name), half)) // it may be gone
	_ = http.NewResponseController(a.h2).Flush()
	return true
}

// framedAnswer sends the whole answer.
func (a *attempt) framedAnswer() bool {
	if a.p.behaviour == leavesWaiting {
		return a.hold()
	}
	a.framedHead(http.StatusOK)
	if a.p.behaviour == leavesAtHead {
		return a.hold()
	}
	flush := http.NewResponseController(a.h2)
	buf := make([]byte, 32<<10)
	for answer := a.p.answer(a.key.name); ; {
		n, err := answer.Read(buf)
		a.pulse()
		if _, gone := a.h2.Write(buf[:n]); gone != nil {
			return false
		}
		if err != nil {
			break
		}
		_ = flush.Flush() // Write says it
		a.since = time.Now()
		if a.p.pause > 0 {
			select {
			case <-time.After(a.p.pause):
			case <-a.watching:
				return false
			}
		}
	}
	if a.p.behaviour == leavesReading {
		a.wrong(untold, "it was answered to the end, and the client had left")
	}
	return true
}
