package gateway

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// A body is the request's body on its way up: held in memory, so that it can be
// sent with one key after the other, or streamed, once.
type body struct {
	replayable bool
	held       []byte    // if replayable; empty is no body
	buf        *buffer   // what held is part of
	large      bool      // it is larger than may be held
	sent       *heldBody // what the current attempt sends
	reserved   int64     // of the memory for bodies, to be given back

	stream *clientBody // if not replayable
	length int64       // of the stream; -1 is unknown
	last   [1]byte     // for the end of the body
}

// hold reads the body if it may be held, and prepares to stream it if not.
func (x *exchange) hold() *refusal {
	r := x.r
	most := x.g.cfg.MaxReplayBody
	switch {
	case r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0:
		x.body.replayable = true
		return nil
	case r.ContentLength > 0:
		if r.ContentLength > most || !x.reserve(r.ContentLength) {
			x.body.large = r.ContentLength > most
			x.stream(nil, r.ContentLength)
			return nil
		}
		x.keep(newBuffer(int(r.ContentLength)))
		n, err := x.fill(x.body.held)
		if n == len(x.body.held) && err == nil {
			// The server notices a client that leaves only once the end of the
			// body has been read.
			_, err = x.fill(x.body.last[:])
		}
		if !errors.Is(err, io.EOF) || n < len(x.body.held) {
			return x.bodyError(err)
		}
	default:
		if bad := x.holdChunked(most); bad != nil || !x.body.replayable {
			return bad
		}
	}
	x.body.replayable = true
	x.rec.RequestBytes = int64(len(x.body.held))
	return nil
}

// keep makes b the memory of the body, in place of what was.
func (x *exchange) keep(b *buffer) {
	if x.body.buf != nil {
		x.body.buf.drop()
	}
	x.body.buf, x.body.held = b, b.b
}

// holdChunked reads a body of unknown length, in growing steps, and changes to
// streaming when it gets too large.
func (x *exchange) holdChunked(most int64) *refusal {
	have := 0
	for size := int64(16 << 10); ; size *= 2 {
		size = min(size, most+1) // one more shows that there is more
		if !x.reserve(size - int64(have)) {
			x.stream(x.body.held[:have], -1)
			return nil
		}
		grown := newBuffer(int(size))
		copy(grown.b, x.body.held[:have])
		x.keep(grown)
		n, err := x.fill(grown.b[have:])
		have += n
		switch {
		case errors.Is(err, io.EOF) && int64(have) <= most:
			x.body.held, x.body.replayable = grown.b[:have], true
			grown.b = x.body.held // it is what is sent
			return nil
		case err != nil && !errors.Is(err, io.EOF):
			return x.bodyError(err)
		case int64(have) > most:
			x.body.large = true
			x.stream(grown.b[:have], -1)
			return nil
		}
	}
}

// fill reads until buf is full or the body ends, giving each piece its time.
func (x *exchange) fill(buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var m int
		x.watch.wait(forRequest)
		m, err = x.r.Body.Read(buf[n:])
		n += m
	}
	x.watch.wait(forNothing)
	return n, err
}

// stream prepares to send what has been read and then the rest, once.
func (x *exchange) stream(read []byte, length int64) {
	// An upstream may answer before it has the whole body; the server would
	// otherwise wait for the rest before it sends that answer on.
	_ = x.ctl.EnableFullDuplex() // only HTTP/1 needs it
	// A transport may read what has been read when all this is over: it does not
	// serve again.
	x.body.buf = nil
	x.body.length = length
	x.body.stream = &clientBody{r: io.MultiReader(bytes.NewReader(read), x.r.Body), ctl: http.NewResponseController(x.w), idle: x.g.cfg.IdleTimeout}
}

// bodyError says what a failed read of the client's body means.
func (x *exchange) bodyError(err error) *refusal {
	var connection *net.OpError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return bodyStalled
	case x.r.Context().Err() != nil, errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.As(err, &connection):
		return clientGone
	}
	return bodyBroken
}

// reserve takes n bytes of the memory for bodies, or reports that there are not
// as many left.
func (x *exchange) reserve(n int64) bool {
	left := &x.g.replayLeft
	for {
		have := left.Load()
		if have < n {
			return false
		}
		if left.CompareAndSwap(have, have-n) {
			x.body.reserved += n
			return true
		}
	}
}

// release gives the body's memory back.
func (x *exchange) release() {
	if n := x.body.reserved; n > 0 {
		x.body.reserved = 0
		x.g.replayLeft.Add(n)
	}
	if b := x.body.buf; b != nil {
		b.drop()
	}
	if b := x.journey.came; b != nil {
		b.drop()
	}
	x.body.held, x.body.buf, x.journey.came = nil, nil, nil
}

// letGo ends the exchange's part in a stream that a transport may still hold, and
// returns how much of it came.
func (b *body) letGo() (came int64, streamed bool) {
	if b.stream == nil {
		return 0, false
	}
	return b.stream.detach(), true
}

// mindConnection closes the client's connection after the response if part of
// the body may never be read: what came next on it would be that part.
func (b *body) mindConnection(h http.Header) {
	if b.stream != nil && !b.stream.atEnd() {
		h["Connection"] = []string{"close"}
	}
}

// attach puts the body into a request.
func (b *body) attach(req *http.Request, progress func()) {
	switch {
	case !b.replayable:
		b.stream.progress = progress
		req.Body, req.ContentLength = b.stream, b.length
	case len(b.held) > 0:
		b.sent = newHeldBody(b.buf)
		req.GetBody = b.sent.again
		req.Body, req.ContentLength = b.sent, int64(len(b.held))
	}
}

// A clientBody is the client's body, to be read by a transport, which may go on
// after the exchange is over.
type clientBody struct {
	r    io.Reader
	idle time.Duration

	mu       sync.Mutex
	progress func()                   // is told of each piece
	ctl      *http.ResponseController // nil once the exchange is over
	came     int64
	ended    bool  // there is no more to read, or to be read
	err      error // what it ended with, if the transport did not
}

func (c *clientBody) Read(p []byte) (int, error) {
	c.deadline(time.Now().Add(c.idle))
	n, err := c.r.Read(p)
	c.mu.Lock()
	c.came += int64(n)
	if n > 0 && c.ctl != nil {
		c.progress()
	}
	c.mu.Unlock()
	if err != nil {
		c.deadline(time.Time{}) // what waits for the client to leave has no deadline
		c.mu.Lock()
		if !c.ended {
			c.ended, c.err = true, err
		}
		c.mu.Unlock()
	}
	return n, err
}

// Close is called by a transport that wants no more.
func (c *clientBody) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.interrupt()
	return nil
}

// interrupt ends a read that is under way. It may be waiting for a client that
// in turn waits for an answer, and the server waits for the read. The caller
// holds c.mu.
func (c *clientBody) interrupt() {
	if !c.ended && c.ctl != nil {
		_ = c.ctl.SetReadDeadline(time.Unix(1, 0)) // not every ResponseWriter has deadlines
	}
	c.ended = true
}

// deadline sets the read deadline of the client's connection, while someone
// wants to read.
func (c *clientBody) deadline(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctl != nil && !c.ended {
		_ = c.ctl.SetReadDeadline(t) // not every ResponseWriter has deadlines
	}
}

// detach lets go of the client's connection, and returns how much has come.
func (c *clientBody) detach() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.interrupt()
	c.ctl = nil
	return c.came
}

// atEnd reports whether the whole body has been read.
func (c *clientBody) atEnd() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Is(c.err, io.EOF)
}

// failed returns what the body ended with, if that is not its end.
func (c *clientBody) failed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if errors.Is(c.err, io.EOF) {
		return nil
	}
	return c.err
}
