package chaos_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// lineLength is that of each line of a text, with its end.
const lineLength = 64

// A text is bytes that say whose they are: each line has the tag and its own
// number, so that none can stand for another.
type text struct {
	tag  string
	size int64
	off  int64
	line [lineLength]byte
}

func newText(tag string, size int64) *text { return &text{tag: tag, size: size} }

func (t *text) Read(p []byte) (n int, err error) {
	for n < len(p) && t.off < t.size {
		at := t.off % lineLength
		if at == 0 || n == 0 {
			t.line = line(t.tag, t.off/lineLength)
		}
		m := copy(p[n:], t.line[at:min(lineLength, at+t.size-t.off)])
		n += m
		t.off += int64(m)
	}
	if t.off == t.size {
		return n, io.EOF // together with the last bytes, so that an answer's end is known with them
	}
	return n, nil
}

func line(tag string, number int64) (l [lineLength]byte) {
	copy(l[:], bytes.Repeat([]byte{'.'}, lineLength))
	copy(l[:50], tag)
	l[50] = ' '
	digits := strconv.FormatInt(number, 10)
	copy(l[lineLength-1-len(digits):], digits)
	l[lineLength-1] = '\n'
	return l
}

// An events is a text as a stream of events, one line in each.
type events struct {
	tag         string
	next, count int
	rest        []byte
}

func (e *events) Read(p []byte) (int, error) {
	if len(e.rest) == 0 {
		if e.next == e.count {
			return 0, io.EOF
		}
		e.rest = event(e.tag, e.next)
		e.next++
	}
	n := copy(p, e.rest)
	if e.rest = e.rest[n:]; len(e.rest) == 0 && e.next == e.count {
		return n, io.EOF
	}
	return n, nil
}

func event(tag string, number int) []byte {
	l := line(tag, int64(number))
	return append(append([]byte("data: "), l[:]...), '\n')
}

// A comparison is a writer that holds what it is given against what it should be.
type comparison struct {
	want io.Reader
	size int64
	got  []byte // around where it differs
	buf  []byte
}

var errDiffers = errors.New("it differs")

func (c *comparison) Write(p []byte) (int, error) {
	if len(c.buf) < len(p) {
		c.buf = make([]byte, len(p))
	}
	want := c.buf[:len(p)]
	n, _ := io.ReadFull(c.want, want) // what is missing differs
	if !bytes.Equal(p, want[:n]) {
		i := 0
		for i < n && p[i] == want[i] {
			i++
		}
		from := max(0, i-lineLength)
		c.got = bytes.Clone(clip(p[from:]))
		return 0, fmt.Errorf("%w at byte %d: got %q, want %q", errDiffers, c.size+int64(i), c.got, clip(want[from:n]))
	}
	c.size += int64(len(p))
	return len(p), nil
}

// ended reports whether there should be no more.
func (c *comparison) ended() bool {
	n, _ := io.ReadFull(c.want, make([]byte, 1)) // whether there is one is all that matters
	return n == 0
}

func clip(b []byte) []byte { return b[:min(len(b), 200)] }
