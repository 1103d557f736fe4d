package websocket_test

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/websocket"
)

// frame writes a frame in the plainest way there is.
func frame(first byte, payload string, masked bool) []byte {
	b := []byte{first}
	bit := byte(0)
	if masked {
		bit = 0x80
	}
	switch n := len(payload); {
	case n < 126:
		b = append(b, bit|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, bit|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, bit|127), uint64(n))
	}
	if !masked {
		return append(b, payload...)
	}
	key := [4]byte{0xa1, 0x02, 0xf3, 0x44}
	b = append(b, key[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^key[i%4])
	}
	return b
}

// read reads all of b in pieces and returns the messages, "opcode:payload".
func read(b []byte, masked bool, size func() int) (got []string, f websocket.Frames, err error) {
	f = websocket.Frames{Masked: masked}
	pending := map[bool]string{} // of a message, and of what is none
	scratch := make([]byte, 7)
	for len(b) > 0 {
		chunk := b[:min(len(b), size())]
		b = b[len(chunk):]
		for len(chunk) > 0 {
			n, p, err := f.Next(chunk, scratch)
			if err != nil {
				return got, f, err
			}
			chunk = chunk[n:]
			control := p.Opcode >= websocket.Close
			pending[control] += string(p.Payload)
			if p.Ends {
				got = append(got, string('0'+p.Opcode)+":"+pending[control])
				pending[control] = ""
			}
		}
	}
	return got, f, nil
}

func TestMessagesAreFoundHoweverTheyAreCut(t *testing.T) {
	t.Parallel()
	long, longer := strings.Repeat("x", 300), strings.Repeat("y", 70_000)
	for _, masked := range []bool{false, true} {
		var b []byte
		for _, f := range []struct {
			first   byte
			payload string
		}{
			{0x81, "hello"}, {0x82, ""}, {0x01, "one "}, {0x89, "ping"}, {0x00, ""}, {0x80, "two"}, {0x81, long}, {0x82, longer}, {0x8a, ""}, {0x88, "\x03\xe9bye"},
		} {
			b = append(b, frame(f.first, f.payload, masked)...)
		}
		want := []string{"1:hello", "2:", "9:ping", "1:one two", "1:" + long, "2:" + longer, "::", "8:\x03\xe9bye"}
		for _, size := range []func() int{func() int { return len(b) }, func() int { return 1 }, func() int { return 1 + rand.IntN(50) }} {
			got, f, err := read(b, masked, size)
			if err != nil || !slices.Equal(got, want) || !f.Boundary() || f.Within() {
				t.Fatalf("masked %v: got %d messages, %v; want %d", masked, len(got), err, len(want))
			}
		}
	}
}

// Where a frame may be put in between is known at every byte.
func TestBoundaries(t *testing.T) {
	t.Parallel()
	b := slices.Concat(frame(0x01, "ab", false), frame(0x89, "", false), frame(0x80, "c", false))
	//     head ab | ping | head c |
	want := "...B" + ".B" + "..B"
	within := "..." + "w" + "ww" + "wwo"
	var f websocket.Frames
	for i := range b {
		for rest := b[i : i+1]; len(rest) > 0; {
			n, _, err := f.Next(rest, nil)
			if err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if got := f.Boundary(); got != (want[i] == 'B') {
			t.Errorf("after byte %d: boundary %v", i, got)
		}
		if got := f.Within(); got != (within[i] != 'o') {
			t.Errorf("after byte %d: within %v", i, got)
		}
	}
}

func TestWhatIsNoFrameIsRefused(t *testing.T) {
	t.Parallel()
	for name, b := range map[string][]byte{
		"an extension":                 frame(0xc1, "x", false),
		"a reserved opcode":            frame(0x83, "x", false),
		"a reserved control opcode":    frame(0x8b, "", false),
		"a mask where none may be":     frame(0x81, "x", true),
		"a ping in parts":              frame(0x09, "x", false),
		"a ping that is long":          frame(0x89, strings.Repeat("x", 126), false),
		"a continuation of nothing":    frame(0x80, "x", false),
		"a message within another":     append(frame(0x01, "x", false), frame(0x81, "y", false)...),
		"a length that could be short": {0x81, 126, 0, 5},
		"another one":                  {0x81, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff},
		"a length that is negative":    {0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0},
	} {
		if _, _, err := read(b, false, func() int { return 3 }); !errors.Is(err, websocket.ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := read(frame(0x81, "x", false), true, func() int { return 3 }); err == nil {
		t.Error("a client without a mask is let through")
	}
}

func TestHandshakeAndClose(t *testing.T) {
	t.Parallel()
	// The example of RFC 6455.
	if got := websocket.Accept("dGhlIHNhbXBsZSBub25jZQ=="); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Errorf("Accept = %s", got)
	}
	if k := websocket.NewKey(); !websocket.ValidKey(k) || k == websocket.NewKey() {
		t.Errorf("NewKey = %s", k)
	}
	for _, k := range []string{"", "short", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZWFiYw=="} {
		if websocket.ValidKey(k) {
			t.Errorf("%q is taken for a key", k)
		}
	}
	for _, masked := range []bool{false, true} {
		got, f, err := read(websocket.CloseFrame(websocket.GoingAway, "bye", masked), masked, func() int { return 100 })
		if err != nil || !f.Boundary() || !slices.Equal(got, []string{"8:\x03\xe9bye"}) {
			t.Errorf("masked %v: %q, %v", masked, got, err)
		}
	}
}

// However a stream is cut, the same is found; and nothing is found that is longer
// than what came.
func FuzzFrames(f *testing.F) {
	f.Add(slices.Concat(frame(0x01, "a", true), frame(0x80, "b", true)), true, uint64(1))
	f.Add(slices.Concat(frame(0x81, "a", false), frame(0x88, "\x03\xe8", false)), false, uint64(2))
	f.Add([]byte{0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4, 5}, true, uint64(3))
	f.Fuzz(func(t *testing.T, b []byte, masked bool, seed uint64) {
		whole, _, err := read(b, masked, func() int { return max(len(b), 1) })
		rnd := rand.New(rand.NewPCG(seed, seed))
		pieces, _, errPieces := read(b, masked, func() int { return 1 + rnd.IntN(9) })
		if !slices.Equal(whole, pieces) || (err == nil) != (errPieces == nil) {
			t.Fatalf("whole %q %v, in pieces %q %v", whole, err, pieces, errPieces)
		}
		total := 0
		for _, m := range whole {
			total += len(m) - 2
		}
		if total > len(b) {
			t.Fatal("more is found than came")
		}
	})
}
