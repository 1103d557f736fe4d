package transport

import (
	"io"
	"sync"
)

// What waits for a piece of a stream holds smallBuffer; what reads as fast as it
// comes, largeBuffer.
const (
	smallBuffer = 4 << 10
	largeBuffer = 32 << 10
)

var (
	smallBuffers = sync.Pool{New: func() any { return new([smallBuffer]byte) }}
	largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}
)

// An input reads from a connection into a buffer that changes its size with what
// comes. The zero input of a source has no buffer yet.
type input struct {
	src  io.Reader
	b    []byte
	r, w int // b[r:w] has been read and not been used
}

// release gives the buffer back.
func (in *input) release() {
	switch cap(in.b) {
	case smallBuffer:
		smallBuffers.Put((*[smallBuffer]byte)(in.b[:smallBuffer]))
	case largeBuffer:
		largeBuffers.Put((*[largeBuffer]byte)(in.b[:largeBuffer]))
	}
	in.b, in.r, in.w = nil, 0, 0
}

// resize changes the buffer for one of n bytes, which hold what is unused.
func (in *input) resize(n int) {
	var b []byte
	switch n {
	case smallBuffer:
		b = smallBuffers.Get().(*[smallBuffer]byte)[:]
	case largeBuffer:
		b = largeBuffers.Get().(*[largeBuffer]byte)[:]
	default:
		b = make([]byte, n)
	}
	w := copy(b, in.b[in.r:in.w])
	in.release()
	in.b, in.w = b, w
}

// fill reads once, after what is there. What next may return is valid no more.
func (in *input) fill() error {
	left := in.w - in.r
	switch full := in.w == len(in.b); {
	case in.b == nil:
		in.resize(smallBuffer)
	case full && len(in.b) < largeBuffer:
		in.resize(largeBuffer) // more has come than there was room for
	case full && left == len(in.b):
		in.resize(2 * left) // of one thing, which the caller bounds
	case left == 0 && len(in.b) > smallBuffer && in.w <= smallBuffer:
		in.resize(smallBuffer) // it comes in small pieces again
	case in.r > 0:
		copy(in.b, in.b[in.r:in.w])
		in.r, in.w = 0, left
	}
	n, err := in.src.Read(in.b[in.w:])
	in.w += n
	if n > 0 {
		return nil // the error, if it stays, comes again
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}
