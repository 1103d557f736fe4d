package auditlog_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/auditlog"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// trials is how often each attack is made.
const trials = 1000

// A tampering is what somebody does who can write to the whole database.
type tampering struct {
	// do tampers with one of the entries 1 to covered.
	do func(t *testing.T, r *rand.Rand, m *memory, covered int64)
	// stolen is for who has the signing key, too, and signs what they made.
	stolen bool
	// alone tells whether it is found without a checkpoint kept elsewhere.
	alone bool
}

// tamperings are the nine classes of the threat model.
var tamperings = map[string]tampering{
	"edit":                                  {do: edit, alone: true},
	"delete in the middle":                  {do: deleteOne, alone: true},
	"swap":                                  {do: swap, alone: true},
	"insert and restamp":                    {do: insertAndRestamp},
	"edit and restamp":                      {do: editAndRestamp},
	"cut off rows":                          {do: cutRows, alone: true},
	"cut off rows, tree and head":           {do: cutAll},
	"rewrite, and sign with the stolen key": {do: editAndRestamp, stolen: true},
	"cut off, and sign with the stolen key": {do: cutAll, stolen: true},
}

func edit(t *testing.T, r *rand.Rand, m *memory, covered int64) {
	row := &m.rows[between(r, 1, covered)-1]
	spoil := []func(*store.AuditEntry){
		func(e *store.AuditEntry) { e.ActorName = "eve" },
		func(e *store.AuditEntry) { e.Action = "read" },
		func(e *store.AuditEntry) { e.At = e.At.Add(1000) },
		func(e *store.AuditEntry) { e.Count++ },
		func(e *store.AuditEntry) { e.Diff = "{}" },
		func(e *store.AuditEntry) { e.Origin.Address = "" },
	}
	spoil[r.IntN(len(spoil))](&row.Entry)
	if r.IntN(2) == 0 {
		return // the columns alone
	}
	leaf, err := auditlog.Leaf(row.Entry)
	if err != nil {
		t.Fatal(err)
	}
	row.Leaf = leaf
}

func deleteOne(_ *testing.T, r *rand.Rand, m *memory, covered int64) {
	i := between(r, 2, covered) - 1
	if r.IntN(2) == 0 {
		m.rows[i].Leaf, m.rows[i].Entry = nil, store.AuditEntry{} // its place in the tree stays
		return
	}
	m.rows = slices.Delete(m.rows, int(i), int(i+1))
}

func swap(t *testing.T, r *rand.Rand, m *memory, covered int64) {
	i := between(r, 1, covered)
	j := i%covered + 1
	a, b := &m.rows[i-1], &m.rows[j-1]
	a.Entry, b.Entry = b.Entry, a.Entry
	a.Leaf, b.Leaf = b.Leaf, a.Leaf
	if r.IntN(2) == 0 {
		return
	}
	for _, row := range []*store.AuditRow{a, b} {
		row.Entry.Index = row.Index
		leaf, err := auditlog.Leaf(row.Entry)
		if err != nil {
			t.Fatal(err)
		}
		row.Leaf = leaf
	}
}

func insertAndRestamp(t *testing.T, r *rand.Rand, m *memory, covered int64) {
	e := someEntry(0)
	e.ActorName = "eve"
	m.rows = slices.Insert(m.rows, int(between(r, 0, covered-1)), store.AuditRow{Entry: e})
	m.restamp(t)
}

func editAndRestamp(t *testing.T, r *rand.Rand, m *memory, covered int64) {
	edit(t, r, m, covered)
	m.restamp(t)
}

func cutRows(_ *testing.T, r *rand.Rand, m *memory, covered int64) {
	left := between(r, 1, covered-1)
	if r.IntN(2) == 0 {
		m.rows = m.rows[:left]
		return
	}
	for i := range m.rows[left:] {
		row := &m.rows[left:][i]
		row.Leaf, row.Entry = nil, store.AuditEntry{} // the tree stays
	}
}

func cutAll(t *testing.T, r *rand.Rand, m *memory, covered int64) {
	m.rows = m.rows[:between(r, 1, covered-1)]
	m.restamp(t)
}

// TestTamperingIsFound makes each attack on a log of random size, on an entry
// that a checkpoint kept elsewhere covers: all are found, in the database and in
// an export. What the checkpoint is for, the controls show: without it, who
// makes everything fit together again goes unseen.
func TestTamperingIsFound(t *testing.T) {
	t.Parallel()
	const largest = 16
	base, key := newMemory(t, largest), newSigner(t, 1)
	for name, a := range tamperings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(7, uint64(len(name))))
			for range trials {
				m := base.prefix(t, between(r, 3, largest))
				covered := between(r, 3, m.head.Size)
				outside := m.point(t, covered)
				a.do(t, r, m, covered)
				var forged []auditlog.Checkpoint
				if a.stolen {
					forged = append(forged, m.at(t, key, m.head.Size))
				}
				if got := m.verify(t, outside); got.Found == 0 {
					t.Fatalf("%d of %d entries covered: not found", covered, len(m.rows))
				}
				if got := m.verify(t, append(forged, outside)...); got.Found == 0 {
					t.Fatal("not found once the forged checkpoint is there, too")
				}
				if got, err := auditlog.VerifyExport(m.export(t), []auditlog.Checkpoint{outside}); err == nil && got.Found == 0 && !m.columnsOnly() {
					t.Fatalf("%d of %d entries covered: not found in the export", covered, len(m.rows))
				}
				// The control.
				if got := m.verify(t, forged...); (got.Found > 0) != a.alone {
					t.Fatalf("without the checkpoint kept elsewhere: got %d findings\n%s", got.Found, problems(got))
				}
			}
		})
	}
}

// prefix returns a copy of the log as it was when it had size entries.
func (m *memory) prefix(t testing.TB, size int64) *memory {
	t.Helper()
	head, err := auditlog.HeadAt(t.Context(), m, size)
	if err != nil {
		t.Fatal(err)
	}
	out := m.clone()
	out.rows, out.head = out.rows[:size], store.AuditHead{Size: size, Edge: head.EdgeBytes()}
	return out
}

// columnsOnly reports whether all records are as they were, so that an export,
// which has nothing else, is too.
func (m *memory) columnsOnly() bool {
	for i, r := range m.rows {
		leaf, err := auditlog.Leaf(someEntry(int64(i + 1)))
		if err != nil || !slices.Equal(leaf, r.Leaf) {
			return false
		}
	}
	return int64(len(m.rows)) == m.head.Size
}

// TestHonestLogsAreWell makes logs of random sizes, with checkpoints at random
// sizes and with retention at random times: none has a finding.
func TestHonestLogsAreWell(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for range trials {
		m := newMemory(t, between(r, 1, 16))
		var kept []auditlog.Checkpoint
		keep := func(size int64) { kept = append(kept, m.point(t, size)) }
		for range r.IntN(5) {
			keep(between(r, 1, m.head.Size))
		}
		first := int64(1)
		for range r.IntN(4) {
			if r.IntN(2) == 0 {
				first = between(r, first, m.head.Size)
				m.prune(t, first)
			}
			for range r.IntN(10) {
				m.add(t, someEntry(m.head.Size+1))
			}
			keep(between(r, 1, m.head.Size))
		}
		keep(m.head.Size)
		r.Shuffle(len(kept), func(i, j int) { kept[i], kept[j] = kept[j], kept[i] })
		got := m.verify(t, kept...)
		if got.Found != 0 || got.Size != m.head.Size || got.Covered != m.head.Size || got.Removed != first-1 || got.Root != kept0(kept, m.head.Size).Root {
			t.Fatalf("got %+v, want no finding, size and covered %d, removed %d", got, m.head.Size, first-1)
		}
		exported, err := auditlog.VerifyExport(m.export(t), kept)
		if err != nil || exported.Found != 0 || exported.Covered != m.head.Size || exported.Removed != first-1 || exported.Root != got.Root {
			t.Fatalf("export: got %+v (%v), want what the rows say, %+v", exported, err, got)
		}
		if alone := m.verify(t); alone.Found != 0 || alone.Covered != 0 {
			t.Fatalf("without checkpoints: got %+v, want no finding, and nothing covered", alone)
		}
	}
}

// kept0 returns the checkpoint of a size.
func kept0(kept []auditlog.Checkpoint, size int64) auditlog.Checkpoint {
	return kept[slices.IndexFunc(kept, func(c auditlog.Checkpoint) bool { return c.Size == size })]
}

// TestRetentionIsNoDisguise holds that a beginning may be gone only if an entry
// says so that the checkpoints cover.
func TestRetentionIsNoDisguise(t *testing.T) {
	t.Parallel()
	key := newSigner(t, 1)
	tests := map[string]struct {
		// do tampers with a log of 40 entries and one about retention, of which
		// 30 were removed; it returns what is kept elsewhere.
		do   func(m *memory) auditlog.Checkpoint
		want string // in the findings; "" is none
	}{
		"as it should be": {func(m *memory) auditlog.Checkpoint { return m.at(t, key, 41) }, ""},
		"one more is removed": {func(m *memory) auditlog.Checkpoint {
			m.remove(32)
			return m.at(t, key, 41)
		}, "31: and all before it were removed, and no entry about retention says so"},
		"one later is removed, too": {func(m *memory) auditlog.Checkpoint {
			m.rows[34].Leaf, m.rows[34].Entry = nil, store.AuditEntry{}
			return m.at(t, key, 41)
		}, "35: was removed"},
		"the checkpoint is older than the entry": {func(m *memory) auditlog.Checkpoint { return m.at(t, key, 40) },
			"41: says that retention removed entries, and no checkpoint covers it yet"},
		"one more is removed, and an entry is forged": {func(m *memory) auditlog.Checkpoint {
			outside := m.at(t, key, 41)
			m.remove(36)
			m.add(t, retention(42, 36))
			return outside
		}, "42: says that retention removed entries, and no checkpoint covers it yet"},
		"a later entry that nothing covers yet changes nothing": {func(m *memory) auditlog.Checkpoint {
			outside := m.at(t, key, 41)
			m.add(t, retention(42, 31))
			return outside
		}, ""},
		"a forged entry stands where one was removed": {func(m *memory) auditlog.Checkpoint {
			m.rows[9].Entry = someEntry(10) // its record is left empty
			return m.at(t, key, 41)
		}, "10: says something else in its columns than in its record"},
		"a removed entry's hash is another": {func(m *memory) auditlog.Checkpoint {
			outside := m.at(t, key, 41)
			m.rows[9].Hashes[0] ^= 1
			return outside
		}, "of the entries 1 to 41, one was altered"},
		"a removed entry's hash is cut": {func(m *memory) auditlog.Checkpoint {
			outside := m.at(t, key, 41)
			m.rows[9].Hashes = m.rows[9].Hashes[:31]
			return outside
		}, "10: is not the one that its place in the tree was made of"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMemory(t, 40)
			m.prune(t, 31)
			outside := tt.do(m)
			got := m.verify(t, outside)
			if found := problems(got); (found == "") != (tt.want == "") || !strings.Contains(found, tt.want) {
				t.Errorf("got %q, want %q", found, tt.want)
			}
		})
	}
}
