package usage

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"iter"
)

// A body may grow to so many times its length, and so much more, by being
// decompressed: what is above is no answer of a model, and would cost time.
const (
	maxGrowth   = 100
	growthSlack = 1 << 20
)

// A packing is a Content-Encoding that is understood.
type packing uint8

const (
	gzipped packing = iota
	deflated
)

// An unpacker decompresses a body in pieces. The decompressors of the standard
// library read, and cannot be fed; so one runs as a coroutine that lets go
// whenever it has read a chunk to its end. It keeps a window of 32 KiB and
// nothing of the chunks.
type unpacker struct {
	m       *Meter
	packing packing
	// next and stop are of the coroutine; yield is its way back.
	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool

	chunk []byte
	ended bool
	in    int64

	// What is used again for the next body.
	gzip  *gzip.Reader
	zlib  io.ReadCloser
	flate io.ReadCloser
	out   [4 << 10]byte
}

// unpack begins a body that is compressed.
func (m *Meter) unpack(p packing) {
	u := m.spare
	if u == nil {
		u = &unpacker{m: m}
		m.spare = u
	}
	u.packing, u.chunk, u.ended, u.in = p, nil, false, 0
	u.next, u.stop = iter.Pull(u.run)
	m.packed = u
}

func (u *unpacker) observe(chunk []byte) {
	u.chunk = chunk
	u.in += int64(len(chunk))
	u.next() // when it has ended already, this does nothing
	u.chunk = nil
}

func (u *unpacker) end() {
	u.ended = true
	u.next()
	u.stop()
	u.next, u.stop, u.yield = nil, nil, nil
}

// run is the coroutine. What is wrong with a body is for its reader to find
// out: here it only ends the metering.
func (u *unpacker) run(yield func(struct{}) bool) {
	u.yield = yield
	r, err := u.open()
	if err != nil {
		return
	}
	for out := int64(0); out <= growthSlack+maxGrowth*u.in; {
		n, err := r.Read(u.out[:])
		out += int64(n)
		if n > 0 {
			u.m.read(u.out[:n])
		}
		if err != nil {
			return
		}
	}
}

// open reads the head of the body.
func (u *unpacker) open() (io.Reader, error) {
	if u.packing == gzipped {
		if u.gzip == nil {
			u.gzip = new(gzip.Reader)
		}
		return u.gzip, u.gzip.Reset(u)
	}
	// By the standard deflate is zlib's format, but some send it without the
	// head. It is told by the first two bytes.
	in := bufio.NewReader(u)
	head, err := in.Peek(2)
	if err != nil {
		return nil, err
	}
	if head[0]&0x0f == 8 && (uint(head[0])<<8|uint(head[1]))%31 == 0 {
		if u.zlib == nil {
			u.zlib, err = zlib.NewReader(in)
			return u.zlib, err
		}
		return u.zlib, u.zlib.(zlib.Resetter).Reset(in, nil)
	}
	if u.flate == nil {
		u.flate = flate.NewReader(in)
		return u.flate, nil
	}
	return u.flate, u.flate.(flate.Resetter).Reset(in, nil)
}

// Read is for the decompressor.
func (u *unpacker) Read(p []byte) (int, error) {
	if !u.fill() {
		return 0, io.EOF
	}
	n := copy(p, u.chunk)
	u.chunk = u.chunk[n:]
	return n, nil
}

// ReadByte keeps the decompressor from putting a buffer of its own in between.
func (u *unpacker) ReadByte() (byte, error) {
	if !u.fill() {
		return 0, io.EOF
	}
	c := u.chunk[0]
	u.chunk = u.chunk[1:]
	return c, nil
}

// fill waits for the next chunk, if this one is at its end.
func (u *unpacker) fill() bool {
	for len(u.chunk) == 0 {
		if u.ended || !u.yield(struct{}{}) {
			return false
		}
	}
	return true
}
