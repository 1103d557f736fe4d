package crash_test

import (
	"fmt"
	"hash/maphash"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
)

// A state is what a disk holds after the power was cut.
type state struct {
	point  int // ops of the trace that had been done
	acked  int // changes that had been acknowledged
	choice choice
	files  map[string][]byte
}

// A choice is which of the writes that were not synced reached the disk.
type choice struct {
	kind choiceKind
	i    int    // of the one write that it is about, or how many
	seed uint64 // of what is left to chance
}

type choiceKind string

const (
	keepNone      choiceKind = "none of them"
	keepAll       choiceKind = "all of them"
	keepRandom    choiceKind = "a random subset"
	dropOne       choiceKind = "all but one"
	tearOne       choiceKind = "all, one of them torn"
	keepOne       choiceKind = "one alone"
	keepFirst     choiceKind = "the first ones"
	keepFirstTorn choiceKind = "the first ones, the last of them torn"
)

// chanceOfLength: one in so many random subsets has files at their new length.
const chanceOfLength = 4

func (s state) String() string {
	return fmt.Sprintf("after %d ops, %d changes acknowledged, of the writes not synced %s (%d, seed %d)", s.point, s.acked, s.choice.kind, s.choice.i, s.choice.seed)
}

// choicesOf returns what may have become of n writes, in a random order: every
// choice of a kind that can be counted, and some at random.
func choicesOf(n, randoms int, rng *rand.Rand) []choice {
	out := []choice{{kind: keepNone}}
	if n > 0 {
		out = append(out, choice{kind: keepAll})
		for range randoms {
			out = append(out, choice{kind: keepRandom})
		}
	}
	for i := range n {
		for _, kind := range []choiceKind{dropOne, tearOne, keepOne, keepFirst, keepFirstTorn} {
			out = append(out, choice{kind: kind, i: i})
		}
	}
	for i := range out {
		out[i].seed = rng.Uint64()
	}
	rng.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// cut returns what is on the disk if the power is cut now and c says what became
// of the writes that were not synced.
func (d *disk) cut(c choice) map[string][]byte {
	rng := rand.New(rand.NewPCG(c.seed, 0))
	files := map[string][]byte{}
	for name, content := range d.synced {
		files[name] = slices.Clone(content)
	}
	tearAt, density, grown := -1, 0.0, false
	switch c.kind {
	case tearOne, keepFirstTorn:
		tearAt = c.i
	case keepRandom:
		density = rng.Float64()
		if rng.IntN(2) == 0 {
			tearAt = rng.IntN(len(d.pending))
		}
		// The new length of a file may reach the disk before what is in it.
		grown = rng.IntN(chanceOfLength) == 0
	}
	for i, p := range d.pending {
		var kept bool
		switch c.kind {
		case keepAll, tearOne:
			kept = true
		case dropOne:
			kept = i != c.i
		case keepOne:
			kept = i == c.i
		case keepFirst, keepFirstTorn:
			kept = i <= c.i
		case keepRandom:
			kept = rng.Float64() < density
		}
		content := files[p.file]
		switch {
		case i == tearAt && p.kind == opWrite:
			content = p.apply(content, tear(p.sectors(), rng))
		case kept:
			content = p.apply(content, nil)
		case grown && p.kind == opWrite:
			content = resize(content, max(len(content), int(p.offset)+len(p.data)))
		}
		files[p.file] = content
	}
	return files
}

// tear says which of n sectors reached the disk: the first ones, the last ones,
// or any.
func tear(n int, rng *rand.Rand) func(int) bool {
	how, cut, mask := rng.IntN(3), rng.IntN(n+1), rng.Uint64()
	return func(i int) bool {
		switch how {
		case 0:
			return i < cut
		case 1:
			return i >= cut
		}
		return mask>>(i%64)&1 == 1
	}
}

// crashStates yields different states that the power can leave behind, most of
// them if there are so many. They are spread evenly over the points of the trace,
// one of which is behind each op: those that have choices left take turns.
func crashStates(trace []op, most int, seed uint64) iter.Seq[state] {
	randoms := max(20, 2*most/len(trace))
	choices := func(point, pending int) []choice {
		return choicesOf(pending, randoms, rand.New(rand.NewPCG(seed, uint64(point))))
	}
	return func(yield func(state) bool) {
		rng := rand.New(rand.NewPCG(seed, 0))
		points := rng.Perm(len(trace)) // that have choices left; of each, done are made
		done := make([]int, len(trace))
		hashSeed, seen := maphash.MakeSeed(), map[uint64]bool{}
		for len(points) > 0 && len(seen) < most {
			turn := map[int]bool{}
			for _, p := range points[:min(len(points), most-len(seen))] {
				turn[p] = true
			}
			d, acked := newDisk(), 0
			for p, o := range trace {
				d.do(o)
				if o.kind == opAck {
					acked++
				}
				if !turn[p] {
					continue
				}
				from := choices(p, len(d.pending))
				s := state{point: p + 1, acked: acked, choice: from[done[p]], files: d.cut(from[done[p]])}
				if done[p]++; done[p] < len(from) {
					delete(turn, p) // what stays has had its last turn
				}
				if h := s.hash(hashSeed); !seen[h] {
					seen[h] = true
					if !yield(s) {
						return
					}
				}
			}
			points = slices.DeleteFunc(points, func(p int) bool { return turn[p] })
			rng.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
		}
	}
}

// hash tells states apart. What must be there depends on what was acknowledged,
// so the same files after another acknowledgement are another state.
func (s state) hash(seed maphash.Seed) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		_, _ = fmt.Fprintf(&h, "%s %d ", name, len(s.files[name])) // it never fails
		_, _ = h.Write(s.files[name])
	}
	_, _ = fmt.Fprintf(&h, "%d", s.acked)
	return h.Sum64()
}
