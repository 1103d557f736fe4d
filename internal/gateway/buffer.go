package gateway

import (
	"errors"
	"io"
	"math/bits"
	"sync"
	"sync/atomic"
)

// The memory for bodies comes in sizes of powers of two, so that it serves again:
// a new one for each request would be cleared first and collected afterwards,
// which for large bodies costs more than all the rest.
const (
	leastBuffer = 10 // 1 KiB, as a power of two
	mostBuffer  = 23 // 8 MiB; what is larger is made and dropped
)

var bodyBuffers [mostBuffer + 1]sync.Pool

// A buffer is memory for a body. It serves again when nobody uses it.
type buffer struct {
	b     []byte
	class int
	users atomic.Int32
}

// newBuffer returns a buffer of n bytes, whose content is undefined, with one
// user.
func newBuffer(n int) *buffer {
	class := max(bits.Len(uint(max(n, 1)-1)), leastBuffer)
	if class > mostBuffer {
		b := &buffer{b: make([]byte, n), class: class}
		b.users.Store(1)
		return b
	}
	b, ok := bodyBuffers[class].Get().(*buffer)
	if !ok {
		b = &buffer{b: make([]byte, 1<<class), class: class}
	}
	b.b = b.b[:n]
	b.users.Store(1)
	return b
}

// ownBuffer returns a buffer that is b, with one user. It is not used again.
func ownBuffer(b []byte) *buffer {
	o := &buffer{b: b, class: mostBuffer + 1}
	o.users.Store(1)
	return o
}

// drop ends one use of the buffer.
func (b *buffer) drop() {
	if b.users.Add(-1) == 0 && b.class <= mostBuffer {
		bodyBuffers[b.class].Put(b)
	}
}

// A heldBody reads a body from a buffer, and lets go of it when it is closed: a
// transport may keep the request for as long as the response lasts, and may
// close the body while it reads.
type heldBody struct {
	buf *buffer

	mu      sync.Mutex
	read    int
	writing bool
	closed  bool
	letGo   bool // of buf
	sealed  bool
}

var errHeldClosed = errors.New("read from a body that is closed")

// newHeldBody returns a body of b, for a caller that uses b until it has called
// seal.
func newHeldBody(b *buffer) *heldBody {
	b.users.Add(1)
	return &heldBody{buf: b}
}

// Read implements [io.Reader].
func (h *heldBody) Read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return 0, errHeldClosed
	}
	if h.read == len(h.buf.b) {
		return 0, io.EOF
	}
	n := copy(p, h.buf.b[h.read:])
	h.read += n
	return n, nil
}

// WriteTo writes what has not been read, in one piece.
func (h *heldBody) WriteTo(w io.Writer) (int64, error) {
	h.mu.Lock()
	if h.closed || h.writing {
		h.mu.Unlock()
		return 0, errHeldClosed
	}
	h.writing = true
	rest := h.buf.b[h.read:]
	h.mu.Unlock()

	n, err := w.Write(rest)

	h.mu.Lock()
	defer h.mu.Unlock()
	h.writing = false
	h.read += n
	h.settle()
	return int64(n), err
}

// Close implements [io.Closer].
func (h *heldBody) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	h.settle()
	return nil
}

// settle lets go of the buffer once nobody reads it. The caller holds h.mu.
func (h *heldBody) settle() {
	if h.closed && !h.writing && !h.letGo {
		h.letGo = true
		h.buf.drop()
	}
}

// again is for [http.Request.GetBody]: the same body from its beginning, be it
// closed, until it is sealed.
func (h *heldBody) again() (io.ReadCloser, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sealed {
		return nil, errHeldClosed
	}
	return newHeldBody(h.buf), nil
}

// seal ends the time in which there may be another one.
func (h *heldBody) seal() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sealed = true
}
