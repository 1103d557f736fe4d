package gateway

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/gatehousehq/gatehouse/internal/usage"
)

// errClientGone is what writing to a client that has left comes to.
var errClientGone = errors.New("the client has left")

// relay sends a response to the client as it comes. What has been read of its
// body already is begun.
func (x *exchange) relay(t *tryState, res *http.Response, begun []byte) {
	x.release() // there is no other key from here on
	x.rec.Status = res.StatusCode
	h := x.w.Header()
	h["Content-Type"] = nil // keeps net/http from guessing one
	x.g.responseHeaders.copyTo(h, res.Header)
	x.body.mindConnection(h)
	x.wrote = true
	x.w.WriteHeader(res.StatusCode)

	err := x.copyBody(t, res, begun)
	_ = x.ctl.SetWriteDeadline(time.Time{}) // not every ResponseWriter has deadlines
	switch {
	case err == nil:
	case errors.Is(err, errClientGone) || x.r.Context().Err() != nil:
		t.note().Outcome = usage.ClientGone
		x.rec.Status, x.rec.Reason = statusClientGone, clientGone.reason
		x.abort = true
	case t.watch.fired.Load():
		t.note().Outcome = usage.Aborted
		x.rec.Reason = "idle_timeout"
		x.abort = true
	default:
		t.note().Outcome = usage.Aborted
		x.rec.Reason = "upstream_aborted"
		x.abort = true
	}
}

// copyBody passes the body on: one write and one flush for each read.
func (x *exchange) copyBody(t *tryState, res *http.Response, begun []byte) error {
	if x.r.Method == http.MethodHead {
		return nil
	}
	idle := x.g.cfg.IdleTimeout
	left := res.ContentLength // negative if it is not known
	if left < 0 && len(begun) == 0 {
		// The start of a stream is news in itself. What has a length is an
		// answer that is complete, and comes along with its headers.
		if x.ctl.Flush() != nil {
			return errClientGone
		}
	}
	send := func(b []byte) error {
		_ = x.ctl.SetWriteDeadline(time.Now().Add(idle)) // not every ResponseWriter has deadlines
		if _, err := x.w.Write(b); err != nil {
			return errClientGone
		}
		if left >= 0 {
			if left -= int64(len(b)); left == 0 {
				return nil // the server sends what is complete
			}
		}
		if x.ctl.Flush() != nil {
			return errClientGone
		}
		return nil
	}
	if len(begun) > 0 {
		if err := send(begun); err != nil {
			return err
		}
	}
	buf := x.g.buffers.Get().(*[copySize]byte)
	defer x.g.buffers.Put(buf)
	for {
		t.watch.reset(idle)
		n, err := res.Body.Read(buf[:])
		if n > 0 {
			// The client has its own time: see SetWriteDeadline.
			t.watch.stop()
			if err := send(buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF { //nolint:errorlint // readers return it bare
			return nil
		}
		if err != nil {
			return err
		}
	}
}
