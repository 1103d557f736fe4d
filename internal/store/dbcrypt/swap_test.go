package dbcrypt_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbcrypt"
)

var worlds = flag.Int("worlds", 5, fmt.Sprintf("how many worlds to swap cells within and between, of %d; each has %d cells", len(allWorlds()), cellsOfWorld))

// A spot is where a cell stands: in a record, of which this is a copy.
type spot struct {
	what         string
	installation string
	keys         dbcrypt.Keys
	sealing      store.Sealing
	rowID        string
	binding      []string
	plain        string
}

// place is that of the cell, by the code that seals.
func (s spot) place() []string {
	return dbcrypt.Place(s.installation, s.sealing, s.rowID, s.binding)
}

// holding returns s with another cell in it, sealed under the key of that name.
func (s spot) holding(cell secret.Text, keyID string) spot {
	s.sealing.Value, s.sealing.KeyID = &cell, &keyID
	return s
}

func (s spot) open() (secret.Text, error) {
	return dbcrypt.OpenAt(s.keys, s.installation, s.sealing, s.rowID, s.binding)
}

// swapAll puts the cell of each spot into each other one, with the name of its
// data key and without, and counts those that open.
func swapAll(t *testing.T, spots []spot) (pairs, tries, opened uint64) {
	t.Helper()
	for _, s := range spots {
		if got, err := s.open(); err != nil || got.Reveal() != s.plain {
			t.Fatalf("%s in its place: %d characters, %v", s.what, len(got.Reveal()), err)
		}
	}
	var nPairs, nTries, nOpened atomic.Uint64
	var wg sync.WaitGroup
	for worker := range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := worker; i < len(spots); i += runtime.GOMAXPROCS(0) {
				from := spots[i]
				for j, at := range spots {
					if i == j {
						continue
					}
					nPairs.Add(1)
					for _, keyID := range slices.Compact([]string{*from.sealing.KeyID, *at.sealing.KeyID}) {
						nTries.Add(1)
						if _, err := at.holding(*from.sealing.Value, keyID).open(); err == nil {
							nOpened.Add(1)
							t.Errorf("the cell of %s opens at %s", from.what, at.what)
						}
					}
				}
			}
		})
	}
	wg.Wait()
	return nPairs.Load(), nTries.Load(), nOpened.Load()
}

// TestNoSwappedCellOpens makes cells through the layers and the database, in
// worlds that differ in little, and swaps every one with every other. The control
// is in the same test, since worlds are dear.
func TestNoSwappedCellOpens(t *testing.T) {
	t.Parallel()
	all := allWorlds()
	if *worlds < len(all) {
		// Each world after the first four is as good as another.
		seed := rand.Uint64()
		t.Logf("worlds by seed %d", seed)
		rest := all[4:]
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
		all = all[:max(*worlds, 4)]
	}
	start := time.Now()
	var spots []spot
	for _, w := range all {
		spots = append(spots, w.make(t)...)
	}
	made := time.Now()
	pairs, tries, opened := swapAll(t, spots)
	if n := uint64(len(all) * cellsOfWorld); uint64(len(spots)) != n || pairs != n*(n-1) {
		t.Errorf("%d cells and %d pairs, want %d cells", len(spots), pairs, n)
	}
	t.Logf("%d cells, %d ordered pairs, %d tries with and without the key's name, %d opened, in %v after %v to make them",
		len(spots), pairs, tries, opened, time.Since(made).Round(time.Millisecond), made.Sub(start).Round(time.Millisecond))

	var some []spot
	for _, s := range spots[:4*cellsOfWorld] {
		if slices.Contains([]string{providerID(0), keyID(0, 0), keyID(0, 1)}, s.rowID) {
			some = append(some, s)
		}
	}
	everyComponentIsNeeded(t, append(some, beyond(t, some)...))
}

// components are the parts of a place, in order. A provider key has no digest.
var components = []string{"installation", "table", "column", "row", "revision", "key id", "provider", "origin", "digest of the public part"}

// everyComponentIsNeeded is the control: it seals again what is in spots, with
// one component left out of the place, and then swaps. Each time something opens
// that does not with all of them.
func everyComponentIsNeeded(t *testing.T, spots []spot) {
	t.Helper()
	longest := 0
	for _, s := range spots {
		longest = max(longest, len(s.place()))
	}
	if longest != len(components) {
		t.Fatalf("a place has %d components, want %d: a new one needs a world that differs in it alone", longest, len(components))
	}
	if n := swapsThatOpen(t, spots, -1); n > 0 {
		t.Errorf("with every component %d swaps open", n)
	}
	for i, name := range components {
		n := swapsThatOpen(t, spots, i)
		if n == 0 {
			t.Errorf("without %s nothing more opens", name)
		}
		t.Logf("without %s %d swaps open", name, n)
	}
}

// swapsThatOpen counts the swaps that open if the component of that number is
// left out both when sealing and when opening.
func swapsThatOpen(t *testing.T, spots []spot, without int) (n int) {
	t.Helper()
	place := func(s spot) []string {
		p := s.place()
		if without >= 0 && without < len(p) {
			p = slices.Delete(slices.Clone(p), without, without+1)
		}
		return p
	}
	for i, from := range spots {
		key, ok := from.keys.Current().ByDigest[*from.sealing.KeyID]
		if !ok {
			t.Fatalf("%s has no key", from.what)
		}
		from.plain = fmt.Sprint(i)
		cell, err := dbcrypt.SealCell(key, place(from), from.plain)
		if err != nil {
			t.Fatal(err)
		}
		for j, at := range spots {
			if i == j {
				continue
			}
			other, ok := at.keys.Current().ByDigest[*at.sealing.KeyID]
			if !ok {
				t.Fatalf("%s has no key", at.what)
			}
			if got, err := dbcrypt.OpenCell(other, place(at), cell); err == nil && got == from.plain {
				n++
			}
		}
	}
	return n
}
