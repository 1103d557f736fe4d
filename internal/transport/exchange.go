package transport

import (
	"context"
	"io"
	"net/http"
	"time"
)

// earlyAnswer is how long an upstream that takes no request may take to say why.
const earlyAnswer = time.Second

// exchange sends the request, whose head is in out, and reads the head of its
// answer. It releases out.
func (x *Body) exchange(out *output) (*http.Response, error) {
	x.stop = afterFunc(x.ctx, x.c.interrupt)
	inline, err := out.inline(x.req)
	if err != nil {
		out.release()
		return x.failed(err)
	}
	_, err = x.c.Write(out.b)
	out.release() // the answer may take its time
	switch {
	case err != nil && x.c.served:
		return x.failed(err)
	case err != nil:
		// A server that is full may answer at once, and close.
		x.refusal = err
		closeBody(x.req)
		x.c.readBy(time.Now().Add(earlyAnswer))
	case inline:
		x.sent = true
		closeBody(x.req)
		if d := x.t.cfg.ResponseHeaderTimeout; d > 0 {
			x.c.readBy(time.Now().Add(d))
		}
	default:
		x.sending = &sending{}
		go x.send()
	}

	limit := x.t.cfg.MaxResponseHeaderBytes
	for {
		if err := x.head.read(&x.in, &limit); err != nil {
			x.heard = x.in.w > 0 || limit < x.t.cfg.MaxResponseHeaderBytes
			return x.failed(err)
		}
		if x.head.status >= 200 {
			break
		}
		if x.head.status != http.StatusSwitchingProtocols {
			continue
		}
		if !x.head.switches(x.upgrade) {
			return x.failed(errUpgrade)
		}
		x.headIsThere()
		x.open()
		return &http.Response{
			Status: x.head.statusText, StatusCode: x.head.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: x.head.header, Body: http.NoBody, Request: x.req,
		}, nil
	}
	x.headIsThere()
	return x.answer(), nil
}

// afterFunc is [context.AfterFunc], without what that allocates around a context
// that has a way of its own.
func afterFunc(ctx context.Context, f func()) (stop func() bool) {
	if own, ok := ctx.(interface{ AfterFunc(func()) func() bool }); ok {
		return own.AfterFunc(f)
	}
	if ctx.Done() == nil {
		return nil
	}
	return context.AfterFunc(ctx, f)
}

// headIsThere ends the time for it.
func (x *Body) headIsThere() {
	if s := x.sending; s != nil {
		s.mu.Lock()
		s.answered = true
		s.mu.Unlock()
	}
	if x.refusal != nil {
		x.head.close = true
	}
	if x.refusal != nil || x.t.cfg.ResponseHeaderTimeout > 0 {
		x.c.readBy(time.Time{})
	}
}

// chunkedEncoding is what http.Response has of it.
var chunkedEncoding = []string{"chunked"}

// answer makes the response of the head.
func (x *Body) answer() *http.Response {
	h := &x.head
	res := &x.res
	res.Status, res.StatusCode = h.statusText, h.status
	res.Proto, res.ProtoMajor, res.ProtoMinor = "HTTP/1.1", 1, h.minor
	if h.minor == 0 {
		res.Proto = "HTTP/1.0"
	}
	res.Header, res.ContentLength, res.Close, res.Request = h.header, h.length, h.close, x.req
	res.Body = x
	if h.chunked {
		res.TransferEncoding = chunkedEncoding
	}
	x.left = h.length
	none := false
	switch {
	case x.req.Method == http.MethodHead:
		none = true
	case h.status == http.StatusNoContent, h.status == http.StatusNotModified:
		// What has a body where none may be is not to be trusted with the next.
		h.close = h.close || h.chunked || h.status == http.StatusNoContent && h.length > 0
		res.ContentLength, none = 0, true
	case h.chunked:
		x.framing = byChunks
	case h.length < 0:
		x.framing = byClose
		h.close = true
	case h.length == 0:
		none = true
	}
	if none {
		res.Body = http.NoBody
		x.finish(true)
		x.in.release()
	}
	h.header = nil // it is the response's
	if x.sending == nil {
		x.req = nil
	}
	return res
}

// failed ends an exchange that gave no answer.
func (x *Body) failed(err error) (*http.Response, error) {
	reused := x.c.served && !x.heard
	x.finish(false)
	x.in.release()
	if x.refusal != nil {
		err = x.refusal
	}
	err = cancelled(x.ctx, err)
	sent := x.sent
	if s := x.sending; s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.bodyErr != nil {
			return nil, s.bodyErr
		}
		sent = s.done && s.err == nil
	} else if !x.sent && x.refusal == nil {
		closeBody(x.req)
	}
	if err == io.EOF { //nolint:errorlint // connections return it bare
		err = io.ErrUnexpectedEOF
	}
	return nil, &Error{Err: err, Reused: reused, Sent: sent}
}
