// Package crash_test holds what must be true when the power goes, of the store
// on SQLite: it opens again and is sound, no change that was acknowledged is
// missing, none is there in part or without its audit entry, the audit log agrees
// with its checkpoints, and every stored secret opens.
//
// The store does a workload of every kind of change, with checkpoints of the WAL
// and restarts in between, while a VFS of SQLite notes each write and sync that
// its files get (vfs_test.go). After each op of that trace the power is cut, once
// for each of many choices of what became of the writes that were not synced;
// the files are made as they would be found, and the real store opens them with
// the real keys and is looked through (examine_test.go).
//
// The model of a disk:
//
//   - What was written to a file before its last sync is there. A disk that lies
//     about that is outside of the model; SQLite has no answer to it either.
//   - Of the writes and truncations since, each may be there or not, whatever
//     came before or after it. The choices are: none, all, each one missing, each
//     one alone, each number of first ones, and random subsets.
//   - One of the writes may be torn: some of its sectors of 512 bytes are there,
//     and others are not. A sector is never half written, and a write never
//     changes bytes beside it, which SQLite relies on, too (powersafe overwrite).
//   - A write behind the end of a file that is not there leaves the file short,
//     or zeros where others behind it are; at times zeros alone.
//   - A file that was made or removed is so at once, as if its directory were
//     synced. SQLite does sync it.
//   - The shared memory beside a WAL does not survive. SQLite makes it anew.
//   - The power does not go a second time while the store recovers.
//
// The seed decides the workload and the choices, not the keys and ids, which are
// random: a run is like another one with its seed, not the same. With -keep the
// files of what breaks a promise stay.
//
// The tests are not parallel: there is one recorder in a process.
package crash_test

import (
	"flag"
	"math/rand/v2"
	"slices"
	"testing"
)

var (
	caseCount = flag.Int("cases", 2000, "how many crashes to try; make crash tries 100000")
	seedGiven = flag.Uint64("seed", 0, "seed of the workload and of the choice of crashes; 0 is one at random")
	keepDir   = flag.String("keep", "", "`directory` to leave the files of broken promises in")
)

const (
	controlCases = 300 // how many crashes a control is given to break a promise
	// With -short there are few, for the race detector.
	shortCases, shortControlCases = 200, 60
)

func newSeed(t *testing.T) uint64 {
	t.Helper()
	s := *seedGiven
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("seed %d", s)
	return s
}

func TestPowerLossBreaksNoPromise(t *testing.T) {
	cases := *caseCount
	if testing.Short() {
		cases = min(cases, shortCases)
	}
	seed := newSeed(t)
	rec := record(t, seed, asked, workload)
	if got := rec.count(opSync); got < len(rec.images) {
		t.Fatalf("%d syncs for %d changes: are they recorded?", got, len(rec.images))
	}
	result := rec.crash(t, cases, seed)
	t.Log(result)
	if result.cases < cases {
		t.Errorf("there are only %d different states, not %d", result.cases, cases)
	}
	for _, b := range result.breaches {
		t.Error(b)
	}
}

// TestControls holds that the rig finds what it is there to find: a store that
// does not sync, or that syncs too late.
func TestControls(t *testing.T) {
	cases := controlCases
	if testing.Short() {
		cases = shortControlCases
	}
	tests := []struct {
		name        string
		synchronous byte
		steps       func(w *world) []step
		want        violation
		never       []violation
	}{
		{
			name: "synchronous=OFF", synchronous: '0', steps: brief, want: lost,
		},
		{
			// SQLite promises that a WAL that is synced late loses changes, and
			// nothing worse.
			name: "synchronous=NORMAL", synchronous: '1', steps: brief, want: lost,
			never: []violation{corrupt, halved, unaudited, unproved, undecryptable},
		},
		{
			name: "a data key retired one batch early", synchronous: asked, want: undecryptable,
			steps: func(w *world) []step {
				return slices.Concat(brief(w), []step{retireEarly, createProvider, createProvider})
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			seed := newSeed(t)
			rec := record(t, seed, tt.synchronous, tt.steps)
			result := rec.crash(t, cases, seed)
			t.Log(result)
			if result.broken[tt.want] == 0 {
				t.Errorf("%s: none found", tt.want)
			}
			for _, v := range tt.never {
				if n := result.broken[v]; n > 0 {
					t.Errorf("%s: %d, want none: %q", v, n, result.breaches)
				}
			}
		})
	}
}
