package crash_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// sectorsOf returns so many sectors of one letter.
func sectorsOf(letter string, n int) []byte { return []byte(strings.Repeat(letter, n*sector)) }

// seen returns the letter of each sector; a dot is zeros, a question mark is a
// sector that is of no one letter.
func seen(content []byte) string {
	var out strings.Builder
	for s := range slices.Chunk(content, sector) {
		switch {
		case bytes.Count(s, s[:1]) != len(s):
			out.WriteByte('?')
		case s[0] == 0:
			out.WriteByte('.')
		default:
			out.WriteByte(s[0])
		}
	}
	return out.String()
}

func TestWhatIsLeftOfAFile(t *testing.T) {
	const f = "f"
	write := func(letter string, sectors int, at int64) op {
		return op{kind: opWrite, file: f, offset: at * sector, data: sectorsOf(letter, sectors)}
	}
	synced := []op{{kind: opCreate, file: f}, write("a", 2, 0), {kind: opSync, file: f}}
	tests := map[string]struct {
		ops  []op
		c    choice
		want string
	}{
		"what was synced stays":               {synced, choice{kind: keepNone}, "aa"},
		"what was not may be lost":            {append(synced[:3:3], write("b", 1, 0)), choice{kind: keepNone}, "aa"},
		"and may be there":                    {append(synced[:3:3], write("b", 1, 0)), choice{kind: keepAll}, "ba"},
		"a later write without an earlier":    {append(synced[:3:3], write("b", 1, 0), write("c", 1, 1)), choice{kind: dropOne, i: 0}, "ac"},
		"an earlier write without a later":    {append(synced[:3:3], write("b", 1, 0), write("c", 1, 1)), choice{kind: keepFirst, i: 0}, "ba"},
		"one alone":                           {append(synced[:3:3], write("b", 1, 0), write("c", 1, 1), write("d", 1, 2)), choice{kind: keepOne, i: 1}, "ac"},
		"a lost write leaves zeros behind it": {append(synced[:3:3], write("b", 1, 2), write("c", 1, 3)), choice{kind: keepOne, i: 1}, "aa.c"},
		"a truncation may be lost":            {append(synced[:3:3], op{kind: opTruncate, file: f, offset: sector}), choice{kind: keepNone}, "aa"},
		"a truncation may be there":           {append(synced[:3:3], op{kind: opTruncate, file: f, offset: sector}), choice{kind: keepAll}, "a"},
		"a sync of another file is none":      {append(synced[:3:3], write("b", 1, 0), op{kind: opSync, file: "g"}), choice{kind: keepNone}, "aa"},
		"a file that is made again is empty":  {append(synced[:3:3], op{kind: opRemove, file: f}, op{kind: opCreate, file: f}), choice{kind: keepAll}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := newDisk()
			for _, o := range tt.ops {
				d.do(o)
			}
			if got := seen(d.cut(tt.c)[f]); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if got := seen(d.cut(tt.c)[f]); got != tt.want {
				t.Errorf("the second time: got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestTearing holds that a write is torn between sectors, that all of its
// sectors can be lost, and the middle ones can, too.
func TestTearing(t *testing.T) {
	d := newDisk()
	d.do(op{kind: opCreate, file: "f"})
	d.do(op{kind: opWrite, file: "f", data: sectorsOf("a", 4)})
	d.do(op{kind: opSync, file: "f"})
	d.do(op{kind: opWrite, file: "f", offset: 256, data: sectorsOf("b", 3)}) // touches four sectors, the first and last in part
	got := map[string]bool{}
	for seed := range uint64(500) {
		content := d.cut(choice{kind: tearOne, seed: seed})["f"]
		got[seen(content)] = true
	}
	for _, want := range []string{"aaaa", "?bb?", "?aaa", "abb?", "?aa?", "aaa?"} {
		if !got[want] {
			t.Errorf("never %q, of %v", want, got)
		}
	}
	if len(got) != 16 {
		t.Errorf("%d outcomes for four sectors, want 16", len(got))
	}
}

func TestChoicesAreAll(t *testing.T) {
	got := map[choiceKind]int{}
	for _, c := range choicesOf(7, 5, rand.New(rand.NewPCG(1, 2))) {
		got[c.kind]++
	}
	for kind, want := range map[choiceKind]int{keepNone: 1, keepAll: 1, keepRandom: 5, dropOne: 7, tearOne: 7, keepOne: 7, keepFirst: 7, keepFirstTorn: 7} {
		if got[kind] != want {
			t.Errorf("%s: %d, want %d", kind, got[kind], want)
		}
	}
}

func TestStatesDifferAndAreSpread(t *testing.T) {
	trace := []op{{kind: opCreate, file: "f"}}
	for i := range 10 {
		trace = append(trace, op{kind: opWrite, file: "f", offset: int64(i * sector), data: sectorsOf(string(rune('a'+i)), 1)})
	}
	trace = append(trace, op{kind: opSync, file: "f"}, op{kind: opAck})
	seenAt, states := map[int]int{}, map[string]bool{}
	for s := range crashStates(trace, 40, 1) {
		seenAt[s.point]++
		key := string(rune(s.acked)) + string(s.files["f"])
		if states[key] {
			t.Errorf("%v came twice", s)
		}
		states[key] = true
		if (s.acked == 1) != (s.point == len(trace)) {
			t.Errorf("%v", s)
		}
	}
	if len(states) != 40 || seenAt[len(trace)] != 1 || seenAt[11] < 2 {
		t.Errorf("%d states, by point: %v", len(states), seenAt)
	}
	// One write can be lost, there, or zeros, before the acknowledgement and after
	// it. There are no more states, and asking for more ends.
	few := 0
	for range crashStates([]op{trace[0], trace[1], {kind: opAck}}, 1000, 1) {
		few++
	}
	if few != 6 {
		t.Errorf("%d states of one write", few)
	}
}
