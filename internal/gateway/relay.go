package gateway

import (
	"errors"
	"io"
	"net/http"

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
	h["Content-Type"] = noType // keeps net/http from guessing one
	pass := &x.g.responseHeaders
	if x.journey.translation != nil {
		pass = &translatedResponseHeaders
	}
	pass.copyTo(h, res.Header)
	x.body.mindConnection(h)
	x.wrote = true
	x.w.WriteHeader(res.StatusCode)

	kind := usage.NotMetered
	if x.endpoint != nil && res.StatusCode == http.StatusOK { // an error uses nothing
		kind = usage.KindOf(x.endpoint.Name)
	}
	x.meter.Reset(kind, res.Header.Get("Content-Type"), res.Header.Get("Content-Encoding"))
	if x.journey.whole != nil {
		x.meter.Observe(x.journey.whole)
		x.journey.whole = nil
	}
	res.Header, res.Request = nil, nil // a stream may last, and needs neither
	err := x.copyBody(res, begun)
	x.watch.wait(forNothing)
	tokens, model := x.meter.End()
	x.rec.Tokens, x.rec.ActualModel = tokens, printable(model)
	switch {
	case err == nil:
	case errors.Is(err, errClientGone) || x.r.Context().Err() != nil:
		t.note().Outcome = usage.ClientGone
		x.rec.Status, x.rec.Reason = statusClientGone, clientGone.reason
		x.abort = true
	case x.watch.cancelled():
		t.note().Outcome = usage.Aborted
		x.rec.Reason = "idle_timeout"
		x.abort = true
	default:
		t.note().Outcome = usage.Aborted
		x.rec.Reason = "upstream_aborted"
		x.abort = true
	}
}

// pieces is what a body is read from without a copy, see transport.Body.
type pieces interface {
	// Next returns what has come, and waits only if nothing has.
	Next() ([]byte, error)
	// Ready reports whether Next would not wait.
	Ready() bool
}

// copied makes pieces of a body that has none.
type copied struct {
	r   io.Reader
	buf *[copySize]byte
}

func (c copied) Next() ([]byte, error) {
	n, err := c.r.Read(c.buf[:])
	return c.buf[:n], err
}

func (copied) Ready() bool { return false }

// copyBody passes the body on: one write and one flush for each piece.
func (x *exchange) copyBody(res *http.Response, begun []byte) error {
	if x.r.Method == http.MethodHead {
		return nil
	}
	from, ok := res.Body.(pieces)
	if !ok {
		buf := x.g.buffers.Get().(*[copySize]byte)
		defer x.g.buffers.Put(buf)
		from = copied{res.Body, buf}
	}
	left := res.ContentLength // negative if it is not known
	if left < 0 && len(begun) == 0 && !from.Ready() {
		// The start of a stream is news in itself. What has a length is an
		// answer that is complete, and comes along with its headers.
		x.watch.wait(forClient)
		if x.ctl.Flush() != nil {
			return errClientGone
		}
	}
	if len(begun) > 0 {
		left -= int64(len(begun))
		if err := x.send(begun, left == 0); err != nil {
			return err
		}
	}
	for {
		x.watch.wait(forUpstream)
		piece, err := from.Next()
		if len(piece) > 0 {
			left -= int64(len(piece))
			if err := x.send(piece, left == 0 || err == io.EOF); err != nil { //nolint:errorlint // readers return it bare
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

// send sends a piece to the client. The last one is left to the server to flush,
// which has the end to send as well.
func (x *exchange) send(piece []byte, last bool) error {
	x.watch.wait(forClient)
	if _, err := x.w.Write(piece); err != nil {
		return errClientGone
	}
	if !last && x.ctl.Flush() != nil {
		return errClientGone
	}
	if x.rec.ResponseBytes == 0 {
		x.rec.FirstByte = x.g.cfg.Now().Sub(x.rec.Began)
	}
	x.rec.ResponseBytes += int64(len(piece))
	if x.journey.translation == nil { // else it has observed what was translated
		x.meter.Observe(piece)
	}
	return nil
}
