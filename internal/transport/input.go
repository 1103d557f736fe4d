package transport

import (
	"io"
	"sync"
	"sync/atomic"
)

// What comes piece by piece is read into smallBuffer; what comes as fast as it
// can be read, into largeBuffer.
const (
	smallBuffer = 4 << 10
	largeBuffer = 32 << 10
)

var (
	smallBuffers = sync.Pool{New: func() any { return new([smallBuffer]byte) }}
	largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}
)

// An input reads from a connection into a buffer that changes its size with what
// comes. While it waits with nothing left over, it has none: of the memory of a
// stream that waits, that would be a good part. Over TLS it has to have one.
type input struct {
	c     *conn
	held  *atomic.Int64 // counts the inputs that have a buffer
	b     []byte
	r, w  int  // b[r:w] has been read and not been used
	large bool // what was read last filled the buffer
}

// release gives the buffer back.
func (in *input) release() {
	if in.b == nil {
		return
	}
	in.held.Add(-1)
	switch cap(in.b) {
	case smallBuffer:
		smallBuffers.Put((*[smallBuffer]byte)(in.b[:smallBuffer]))
	case largeBuffer:
		largeBuffers.Put((*[largeBuffer]byte)(in.b[:largeBuffer]))
	}
	in.b, in.r, in.w = nil, 0, 0
}

// acquire gets a buffer for an input that has none.
func (in *input) acquire(n int) {
	in.held.Add(1)
	switch n {
	case smallBuffer:
		in.b = smallBuffers.Get().(*[smallBuffer]byte)[:]
	case largeBuffer:
		in.b = largeBuffers.Get().(*[largeBuffer]byte)[:]
	default:
		in.b = make([]byte, n)
	}
}

// size is what is to be read into next.
func (in *input) size() int {
	if in.large {
		return largeBuffer
	}
	return smallBuffer
}

// grow changes the buffer for one of n bytes, which holds what is unused.
func (in *input) grow(n int) {
	old := *in
	in.acquire(n)
	in.r, in.w = 0, copy(in.b, old.b[old.r:old.w])
	old.release()
}

// fill reads once, after what is there. What next may return is valid no more.
func (in *input) fill() error {
	var n int
	var err error
	if in.r == in.w {
		in.release()
		if n, err = in.c.readLate(in); in.b == nil && err == nil {
			in.acquire(in.size())
			n, err = in.c.Read(in.b)
		}
	} else {
		switch left := in.w - in.r; {
		case in.w == len(in.b) && len(in.b) < largeBuffer:
			in.grow(largeBuffer) // more has come than there was room for
		case left == len(in.b):
			in.grow(2 * left) // of one thing, which the caller bounds
		case in.r > 0:
			copy(in.b, in.b[in.r:in.w])
			in.r, in.w = 0, left
		}
		n, err = in.c.Read(in.b[in.w:])
	}
	if in.w += n; n > 0 {
		// From one piece of medium size to the next it stays as it is.
		in.large = in.w == len(in.b) || in.large && n > smallBuffer
		return nil // the error, if it stays, comes again
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}
