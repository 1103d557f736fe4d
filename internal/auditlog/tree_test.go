package auditlog_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gatehousehq/gatehouse/internal/auditlog"
)

// stored are the hashes of a log as tlog itself would store them.
type stored []tlog.Hash

func (s stored) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = s[x]
	}
	return out, nil
}

// TestTheTreeIsThatOfTlog grows both trees side by side.
func TestTheTreeIsThatOfTlog(t *testing.T) {
	t.Parallel()
	const size = 3000
	m, all := newMemory(t, size), stored{}
	var head auditlog.Head
	for n := range int64(size) {
		want, err := tlog.StoredHashes(n, m.rows[n].Leaf, all)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, want...)
		next, completed := head.Append(m.rows[n].Leaf)
		if head.Size != n {
			t.Fatalf("Append changed its receiver at %d", n)
		}
		head = next
		var flat []byte
		for _, h := range want {
			flat = append(flat, h[:]...)
		}
		if !slices.Equal(completed, flat) {
			t.Fatalf("entry %d: completed other hashes than tlog says", n+1)
		}
		root, err := tlog.TreeHash(n+1, all)
		if err != nil {
			t.Fatal(err)
		}
		if got := head.Root(); got != root {
			t.Fatalf("size %d: got root %v, want %v", n+1, got, root)
		}
		again, err := auditlog.ParseHead(head.Size, head.EdgeBytes())
		if err != nil || again.Root() != root {
			t.Fatalf("size %d: head is not the same once kept: %v", n+1, err)
		}
		then, err := auditlog.HeadAt(t.Context(), m, n+1)
		if err != nil || then.Root() != root || !slices.Equal(then.Edge, head.Edge) {
			t.Fatalf("size %d: HeadAt differs from the head that was: %v", n+1, err)
		}
	}
}

// TestAppendLeavesItsReceiverAlone: a transaction that is tried again starts
// from the same head.
func TestAppendLeavesItsReceiverAlone(t *testing.T) {
	t.Parallel()
	var head auditlog.Head
	for n := range 40 {
		want := head.Root()
		once, _ := head.Append([]byte("a"))
		root := once.Root()
		if other, _ := head.Append([]byte("b")); head.Root() != want || once.Root() != root || other.Root() == root {
			t.Fatalf("size %d: two heads share what they are made of", n)
		}
		head = once
	}
}

func TestTheEmptyTree(t *testing.T) {
	t.Parallel()
	const want = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" // SHA-256 of nothing, RFC 6962 section 2.1
	for name, head := range map[string]func() (auditlog.Head, error){
		"zero":   func() (auditlog.Head, error) { return auditlog.Head{}, nil },
		"parsed": func() (auditlog.Head, error) { return auditlog.ParseHead(0, nil) },
		"at 0":   func() (auditlog.Head, error) { return auditlog.HeadAt(t.Context(), newMemory(t, 3), 0) },
	} {
		h, err := head()
		if got := h.Root().String(); err != nil || got != want || h.Size != 0 {
			t.Errorf("%s: got %s of size %d (%v), want %s", name, got, h.Size, err, want)
		}
	}
}

func TestAHeadOfAnotherLengthIsRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		size int64
		edge int
	}{{-1, 0}, {-1, 64 * 32}, {0, 32}, {1, 0}, {1, 31}, {1, 33}, {1, 64}, {3, 32}, {4, 64}, {1 << 62, 0}} {
		if h, err := auditlog.ParseHead(tt.size, make([]byte, tt.edge)); err == nil {
			t.Errorf("size %d, %d bytes: got %+v, want an error", tt.size, tt.edge, h)
		}
	}
}

func TestEntriesAreProved(t *testing.T) {
	t.Parallel()
	m := newMemory(t, 64)
	for size := int64(1); size <= 64; size++ {
		c := m.point(t, size)
		for index := int64(1); index <= size; index++ {
			leaf := m.rows[index-1].Leaf
			proof, err := auditlog.ProveEntry(t.Context(), m, size, index)
			if err != nil {
				t.Fatal(err)
			}
			if err := auditlog.CheckEntry(c, index, leaf, proof); err != nil {
				t.Errorf("entry %d of %d: %v", index, size, err)
			}
			if auditlog.CheckEntry(c, index, append(slices.Clone(leaf), ' '), proof) == nil {
				t.Errorf("entry %d of %d: another leaf is proved", index, size)
			}
			if size > 1 && auditlog.CheckEntry(c, index%size+1, leaf, proof) == nil {
				t.Errorf("entry %d of %d: is proved in another place", index, size)
			}
			if size > 1 && auditlog.CheckEntry(m.point(t, size-1), min(index, size-1), leaf, proof) == nil {
				t.Errorf("entry %d of %d: is proved by an older checkpoint", index, size)
			}
			if auditlog.CheckEntry(c, index, leaf, append(slices.Clone(proof), tlog.Hash{})) == nil {
				t.Errorf("entry %d of %d: is proved by a proof that is too long", index, size)
			}
		}
		for _, index := range []int64{-1, 0, size + 1} {
			if _, err := auditlog.ProveEntry(t.Context(), m, size, index); !errors.Is(err, auditlog.ErrNoEntry) {
				t.Errorf("entry %d of %d: got %v, want ErrNoEntry", index, size, err)
			}
			if err := auditlog.CheckEntry(c, index, m.rows[0].Leaf, nil); !errors.Is(err, auditlog.ErrNoEntry) {
				t.Errorf("check of entry %d of %d: got %v, want ErrNoEntry", index, size, err)
			}
		}
	}
}

// TestProofsOutliveTheirEntries holds that retention breaks no proof.
func TestProofsOutliveTheirEntries(t *testing.T) {
	t.Parallel()
	m, key := newMemory(t, 100), newSigner(t, 1)
	leaf := m.rows[9].Leaf
	m.prune(t, 51)
	proof, err := auditlog.ProveEntry(t.Context(), m, 101, 10)
	if err != nil {
		t.Fatal(err)
	}
	if err := auditlog.CheckEntry(m.at(t, key, 101), 10, leaf, proof); err != nil {
		t.Error(err)
	}
}

func TestAHoleInTheTreeIsSaid(t *testing.T) {
	t.Parallel()
	m := newMemory(t, 100)
	m.rows[63].Hashes = m.rows[63].Hashes[:6*32] // all but the last
	if p, err := auditlog.ProveEntry(t.Context(), m, 100, 100); err == nil {
		t.Errorf("got %v, want an error", p)
	}
	if h, err := auditlog.HeadAt(t.Context(), m, 101); err == nil {
		t.Errorf("got %v, want an error", h)
	}
}

func BenchmarkAppend(b *testing.B) {
	m := newMemory(b, 1)
	var head auditlog.Head
	for range rand.New(rand.NewPCG(1, 2)).IntN(1000) + 100_000 {
		head, _ = head.Append(m.rows[0].Leaf)
	}
	b.ReportAllocs()
	for b.Loop() {
		head, _ = head.Append(m.rows[0].Leaf)
	}
}
