package mockupstream

import (
	"net"
	"net/http"
	"strconv"
	"time"
)

// A reply is an answer before it is sent: a whole body, or the chunks of an
// event stream. A stream's first chunk has the events before the first word of
// the text, its last chunk those after the last word; each chunk between has one
// word, of the text or of a tool's input.
type reply struct {
	status int
	body   []byte
	chunks [][]byte
	listed bool  // the chunks are one JSON document, not events
	usage  Usage // what the answer says, if it does
	// retryAfter, when not zero, is the wait that a refusal asks for.
	retryAfter time.Duration
}

// send writes rep, pausing before each word. A reply that is cut is sent to
// half, and then the connection is reset.
func (rep reply) send(w http.ResponseWriter, r *http.Request, cut bool, pace time.Duration) {
	if rep.chunks == nil {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(rep.body)))
		w.WriteHeader(rep.status)
		if cut {
			_, _ = w.Write(rep.body[:len(rep.body)/2]) // a failure ends as the reset does
			reset(w)
		}
		_, _ = w.Write(rep.body) // a client that left needs no answer
		return
	}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	if rep.listed {
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	}
	w.Header().Set("Cache-Control", "no-cache")
	w.WriteHeader(rep.status)
	flush := http.NewResponseController(w)
	last := len(rep.chunks) - 1
	for i, chunk := range rep.chunks {
		if cut && i > last/2 {
			reset(w)
		}
		if pace > 0 && 0 < i && i < last && !sleep(r, pace) {
			return
		}
		if _, err := w.Write(chunk); err != nil {
			return
		}
		if flush.Flush() != nil {
			return
		}
	}
}

// sleep waits for d and reports whether the client is still there.
func sleep(r *http.Request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// reset sends what was written, drops the connection the hard way and ends the
// handler.
func reset(w http.ResponseWriter) {
	rc := http.NewResponseController(w)
	_ = rc.Flush() // what cannot be sent is cut off as well
	if conn, _, err := rc.Hijack(); err == nil {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // without it the end is a FIN: also an end
		}
		_ = conn.Close() // it is thrown away in any case
	}
	panic(http.ErrAbortHandler)
}
