package transport

import (
	"context"
	"io"
	"net/http"
	"time"
)

// framing is how the end of a body is found.
type framing uint8

const (
	byLength framing = iota
	byChunks
	byClose
)

// A Body is the body of an answer, and what sees to its connection. It is the
// Body of the responses of a [Transport] that have one, unless they came by
// HTTP/2.
type Body struct {
	t   *Transport
	c   *conn // not ours any more once finished is set
	ctx context.Context
	req *http.Request // nil once it is not needed any more: a stream may last
	in  input

	stop    func() bool // ends the wait for the end of the request's context
	sending *sending    // nil if the body went out with the head
	sent    bool        // it did
	heard   bool        // something came back
	refusal error       // of the request, by the connection
	upgrade string      // the protocol that was asked for
	tunnel  *Tunnel     // for which the connection is

	head     head
	framing  framing
	left     int64 // by length: of the body; by chunks: of the chunk
	stage    stage
	excess   int // what chunks are more than their data
	finished bool
	err      error  // what Next returns from now on
	ready    []byte // what has been taken out and is returned next

	res http.Response
}

// Next returns the next piece of the body, as much as has come, and waits only
// for the first byte of it. The last piece may come with the error, be it io.EOF.
// A piece is valid until the next call of a method, and may be changed.
func (x *Body) Next() ([]byte, error) {
	if piece := x.ready; len(piece) > 0 {
		x.ready = nil
		return piece, x.err
	}
	return x.next(true)
}

// Ready reports whether Next would return at once.
func (x *Body) Ready() bool {
	if len(x.ready) == 0 && x.err == nil {
		x.ready, _ = x.next(false) // the error stays
	}
	return len(x.ready) > 0 || x.err != nil
}

func (x *Body) next(wait bool) ([]byte, error) {
	if x.err != nil {
		return nil, x.err
	}
	var piece []byte
	switch {
	case x.framing == byChunks:
		piece, x.err = x.nextOfChunks(wait)
	case x.in.r == x.in.w && !wait:
		return nil, nil
	case x.framing == byClose:
		piece, x.err = x.nextRaw()
	default:
		piece, x.err = x.nextOfLength()
	}
	if x.err != nil {
		x.finish(x.err == io.EOF) //nolint:errorlint // it is ours
		if x.err != io.EOF {      //nolint:errorlint // it is ours
			x.err = cancelled(x.ctx, x.err)
		}
	}
	return piece, x.err
}

// nextRaw returns what has come, whatever it is.
func (x *Body) nextRaw() ([]byte, error) {
	if x.in.r == x.in.w {
		if err := x.in.fill(); err != nil {
			return nil, err
		}
	}
	piece := x.in.b[x.in.r:x.in.w]
	x.in.r = x.in.w
	return piece, nil
}

func (x *Body) nextOfLength() ([]byte, error) {
	if x.in.r == x.in.w {
		if err := x.in.fill(); err != nil {
			return nil, early(err)
		}
	}
	n := int(min(x.left, int64(x.in.w-x.in.r)))
	piece := x.in.b[x.in.r : x.in.r+n]
	x.in.r += n
	if x.left -= int64(n); x.left == 0 {
		return piece, io.EOF
	}
	return piece, nil
}

// early is what the end of a connection is before that of the body.
func early(err error) error {
	if err == io.EOF { //nolint:errorlint // connections return it bare
		return io.ErrUnexpectedEOF
	}
	return err
}

// Read reads as Next does, with a copy.
func (x *Body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(x.ready) == 0 {
		x.ready, _ = x.next(true) // the error stays
	}
	n := copy(p, x.ready)
	if x.ready = x.ready[n:]; len(x.ready) > 0 {
		return n, nil
	}
	return n, x.err
}

// Close ends the exchange. If the body has not been read to its end, so does the
// connection.
func (x *Body) Close() error {
	x.finish(false)
	x.in.release()
	x.ready, x.err = nil, errBodyClosed
	return nil
}

// finish ends our use of the connection. It may serve again if the answer was
// clean and all else speaks for it.
func (x *Body) finish(clean bool) {
	if x.finished {
		if s := x.sending; s != nil && !clean {
			s.abandon(x.req)
		}
		return
	}
	x.finished = true
	if x.stop != nil && !x.stop() {
		clean = false // the connection is being cut
	}
	// What is left was not asked for.
	clean = clean && !x.head.close && x.in.r == x.in.w
	if s := x.sending; s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.over = clean; clean && !s.done {
			x.c.writeBy(time.Now().Add(lateBody))
			return // send sees to the rest
		}
		clean = clean && s.err == nil
		if !s.done {
			defer closeBody(x.req) // its reader may be waiting for the client
		}
	}
	if clean {
		x.t.idle.put(x.c)
	} else {
		x.c.close()
	}
}

// abandon ends the reading of a body that nobody needs any more.
func (s *sending) abandon(req *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.done {
		closeBody(req)
	}
}
