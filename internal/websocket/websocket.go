// Package websocket reads WebSocket frames as they pass, and knows what else of
// RFC 6455 someone has to who stands between a client and a server.
//
// [Frames] follows one direction of a connection in pieces of any size. It holds
// nothing of it but a header, whatever the lengths of frames and messages, and
// changes nothing. What is no WebSocket to the letter, or uses an extension, is an
// error: two readers could take it for different things.
//
// A Frames belongs to one goroutine at a time; the functions may be called
// concurrently.
package websocket

import (
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // it is what the protocol has, and secures nothing
	"encoding/base64"
	"encoding/binary"
	"errors"
)

// Opcodes of frames.
const (
	continuation = 0
	Text         = 1
	Binary       = 2
	Close        = 8
	Ping         = 9
	Pong         = 10
)

// Codes of Close frames.
const (
	GoingAway     = 1001
	ProtocolError = 1002
	Policy        = 1008
	TooBig        = 1009
)

// ErrProtocol is what is not a WebSocket frame, or not one here.
var ErrProtocol = errors.New("not a WebSocket frame that is allowed here")

// maxControl is the longest payload of a frame that is not of a message.
const maxControl = 125

// Frames follows the frames of one direction. The zero value is of a server, whose
// frames are not masked.
type Frames struct {
	// Masked is whether they are, as those of clients must be.
	Masked bool

	head [14]byte
	have int    // bytes of the head
	left uint64 // bytes of the payload
	in   bool   // within a payload
	fin  bool
	op   byte // of the frame
	msg  byte // the opcode of a message that goes on; 0 if there is none
	key  [4]byte
	at   int // in the payload, modulo 4
}

// A Part is a part of a frame.
type Part struct {
	// Opcode is that of the message, or of a frame that is of none; 0 is a part of
	// a head.
	Opcode byte
	// Payload is what came, unmasked.
	Payload []byte
	// Ends is set if a message, or a frame that is of none, ends here.
	Ends bool
}

// Boundary reports whether a frame could begin now.
func (f *Frames) Boundary() bool { return !f.in && f.have == 0 }

// Within reports whether a message has begun and not ended.
func (f *Frames) Within() bool { return f.msg != 0 || f.have > 0 || f.in }

// Next reads the next part from b and returns how long it is. A payload that is
// masked is unmasked into scratch, which bounds the part; without scratch it is
// passed over.
func (f *Frames) Next(b, scratch []byte) (n int, p Part, err error) {
	if !f.in {
		n, whole := f.readHead(b)
		if !whole {
			return n, Part{}, nil
		}
		if err := f.begin(); err != nil {
			return n, Part{}, err
		}
		if f.left > 0 {
			return n, Part{}, nil
		}
		return n, f.part(nil), nil
	}
	b = b[:min(uint64(len(b)), f.left)]
	payload := b
	switch {
	case f.Masked && scratch == nil:
		payload = nil
	case f.Masked:
		b = b[:min(len(b), len(scratch))]
		payload = scratch[:len(b)]
		for i, c := range b {
			payload[i] = c ^ f.key[(f.at+i)%4]
		}
	}
	f.at = (f.at + len(b)) % 4
	f.left -= uint64(len(b))
	return len(b), f.part(payload), nil
}

// readHead reads on in the head, and reports whether it is whole.
func (f *Frames) readHead(b []byte) (n int, whole bool) {
	for {
		need := f.need()
		if f.have >= need {
			return n, true
		}
		m := copy(f.head[f.have:need], b[n:])
		n += m
		f.have += m
		if f.have < need {
			return n, false
		}
	}
}

// need is how long the head is, as far as that is known.
func (f *Frames) need() int {
	if f.have < 2 {
		return 2
	}
	n := 2
	switch f.head[1] & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if f.head[1]&0x80 != 0 {
		n += 4
	}
	return n
}

// begin begins the frame whose head is there.
func (f *Frames) begin() error {
	f.fin, f.op = f.head[0]&0x80 != 0, f.head[0]&0x0f
	masked := f.head[1]&0x80 != 0
	length, rest := uint64(f.head[1]&0x7f), f.head[2:f.have]
	least := uint64(0)
	switch length {
	case 126:
		length, rest, least = uint64(binary.BigEndian.Uint16(rest)), rest[2:], 126
	case 127:
		length, rest, least = binary.BigEndian.Uint64(rest), rest[8:], 1<<16
	}
	control := f.op >= Close
	switch {
	case f.head[0]&0x70 != 0, masked != f.Masked, length < least, length>>63 != 0:
		return ErrProtocol
	case control && (f.op > Pong || !f.fin || length > maxControl):
		return ErrProtocol
	case !control && f.op > Binary:
		return ErrProtocol
	case f.op == continuation && f.msg == 0, (f.op == Text || f.op == Binary) && f.msg != 0:
		return ErrProtocol
	}
	if masked {
		copy(f.key[:], rest)
	}
	f.have, f.at, f.left, f.in = 0, 0, length, true
	if f.op == Text || f.op == Binary {
		f.msg = f.op
	}
	return nil
}

// part is what to say of a payload, or of the end of one.
func (f *Frames) part(payload []byte) Part {
	p := Part{Opcode: f.op, Payload: payload}
	if f.op < Close {
		p.Opcode = f.msg
	}
	if f.left > 0 {
		return p
	}
	f.in = false
	if p.Ends = f.fin; f.fin && f.op < Close {
		f.msg = 0
	}
	return p
}

// Accept returns what a server proves with that it has read a client's key.
func Accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // see above
	return base64.StdEncoding.EncodeToString(sum[:])
}

// NewKey returns a key for a client.
func NewKey() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	return base64.StdEncoding.EncodeToString(b[:])
}

// ValidKey reports whether a key is one.
func ValidKey(key string) bool {
	b, err := base64.StdEncoding.Strict().DecodeString(key)
	return err == nil && len(b) == 16
}

// CloseFrame returns a frame that says why a connection ends. The reason is at
// most 123 bytes. One of a client is masked, by a key of zeros: nobody else has a
// say in what is in it.
func CloseFrame(code uint16, reason string, masked bool) []byte {
	b := []byte{0x80 | Close, byte(2 + len(reason))}
	if masked {
		b[1] |= 0x80
		b = append(b, 0, 0, 0, 0)
	}
	b = binary.BigEndian.AppendUint16(b, code)
	return append(b, reason...)
}
