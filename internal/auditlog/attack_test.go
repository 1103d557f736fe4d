package auditlog_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/auditlog"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

const installation = "0190a5a0-0000-7000-8000-000000000001"

// A log is an audit log as a database has it.
type log struct {
	rows []store.AuditRow
	head store.AuditHead
}

func entry(i int64, target string) store.AuditEntry {
	return store.AuditEntry{
		Index: i, At: time.Date(2030, 1, 1, 0, 0, int(i), 0, time.UTC), ActorKind: store.ActorUser, ActorID: "u", ActorName: "ada",
		Action: rbac.Update, Resource: rbac.AIProvider, ID: fmt.Sprint("id-", i), Target: target, Count: 1, Diff: `{"enabled":{"old":true,"new":false}}`,
	}
}

// newLog returns an honest log of n entries.
func newLog(n int) *log {
	l := &log{}
	for i := range n {
		l.rows = append(l.rows, store.AuditRow{Entry: entry(int64(i+1), "main")})
	}
	l.restamp()
	return l
}

// restamp makes everything fit together again, as somebody can who writes to
// the database and knows how it is made.
func (l *log) restamp() {
	var head auditlog.Head
	for i := range l.rows {
		r := &l.rows[i]
		r.Entry.Index, r.Index = head.Size+1, head.Size+1
		leaf, err := auditlog.Leaf(r.Entry)
		if err != nil {
			panic(err)
		}
		r.Leaf = leaf
		head, r.Hashes = head.Append(leaf)
	}
	l.head = store.AuditHead{Size: head.Size, Edge: head.EdgeBytes()}
}

func (l *log) verify(t testing.TB, kept ...auditlog.Checkpoint) auditlog.Report {
	t.Helper()
	v, err := auditlog.NewVerifier(auditlog.Origin(installation), kept)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range l.rows {
		v.Row(r)
	}
	return v.Finish(l.head)
}

// checkpoint returns a checkpoint of the log as it is, by that key.
func (l *log) checkpoint(t testing.TB, seed string) auditlog.Checkpoint {
	t.Helper()
	s, err := auditlog.NewSigner(installation, secret.New(seed))
	if err != nil {
		t.Fatal(err)
	}
	head, err := auditlog.ParseHead(l.head.Size, l.head.Edge)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := s.Sign(head)
	if err != nil {
		t.Fatal(err)
	}
	c, err := auditlog.OpenCheckpoint(signed, s.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const seed = "0123456789abcdef0123456789abcdef"

// An attack alters a log within its first covered entries.
type attack struct {
	name string
	do   func(l *log, r *rand.Rand, covered int)
	// consistent is whether the database then fits together by itself: only a
	// checkpoint kept elsewhere tells.
	consistent bool
}

var attacks = []attack{
	{"edit", func(l *log, r *rand.Rand, covered int) {
		row := &l.rows[r.IntN(covered)]
		row.Entry.Target = "other"
		if r.IntN(2) == 0 { // the column alone, or the record with it
			leaf, _ := auditlog.Leaf(row.Entry)
			row.Leaf = leaf
		}
	}, false},
	{"delete in the middle", func(l *log, r *rand.Rand, covered int) {
		i := r.IntN(covered)
		l.rows = slices.Delete(l.rows, i, i+1)
	}, false},
	{"swap", func(l *log, r *rand.Rand, covered int) {
		i := r.IntN(covered)
		j := (i + 1 + r.IntN(len(l.rows)-1)) % len(l.rows)
		a, b := &l.rows[i], &l.rows[j]
		a.Entry, b.Entry, a.Leaf, b.Leaf = b.Entry, a.Entry, b.Leaf, a.Leaf
		if r.IntN(2) == 0 {
			a.Hashes, b.Hashes = b.Hashes, a.Hashes
		}
	}, false},
	{"insert and restamp", func(l *log, r *rand.Rand, covered int) {
		l.rows = slices.Insert(l.rows, r.IntN(covered), store.AuditRow{Entry: entry(0, "forged")})
		l.restamp()
	}, true},
	{"edit and restamp", func(l *log, r *rand.Rand, covered int) {
		l.rows[r.IntN(covered)].Entry.Target = "other"
		l.restamp()
	}, true},
	{"truncate the rows", func(l *log, r *rand.Rand, covered int) { l.rows = l.rows[:r.IntN(covered)] }, false},
	{"truncate rows, tree and head", func(l *log, r *rand.Rand, covered int) {
		l.rows = l.rows[:r.IntN(covered)]
		l.restamp()
	}, true},
	// The last two also sign the result, with the stolen key: what the database
	// and the server publish from then on fits.
	{"rewrite and sign", func(l *log, r *rand.Rand, covered int) {
		for i := r.IntN(covered); i < len(l.rows); i++ {
			l.rows[i].Entry.ActorName = "eve"
		}
		l.restamp()
	}, true},
	{"truncate and sign", func(l *log, r *rand.Rand, covered int) {
		l.rows = l.rows[:1+r.IntN(covered-1)]
		l.restamp()
	}, true},
}

// TestAttacksAreFound makes a thousand trials of each class of attack, on logs of
// different sizes that a checkpoint kept elsewhere covers to different extents.
func TestAttacksAreFound(t *testing.T) {
	t.Parallel()
	const trials = 1000
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			found, alone := 0, 0
			for trial := range trials {
				r := rand.New(rand.NewPCG(1, uint64(trial)))
				size := 2 + r.IntN(40)
				covered := 2 + r.IntN(size-1)
				l := newLog(covered)
				kept := l.checkpoint(t, seed)
				for i := covered; i < size; i++ {
					l.rows = append(l.rows, store.AuditRow{Entry: entry(int64(i+1), "main")})
				}
				l.restamp()
				if report := l.verify(t, kept); report.Found != 0 || report.Covered != int64(covered) || report.Size != int64(size) {
					t.Fatalf("trial %d: a false alarm: %+v", trial, report)
				}
				a.do(l, r, covered)
				if l.verify(t, kept).Found > 0 {
					found++
				}
				// Without it: with nothing, or with one of the server's own from
				// after the deed.
				if l.verify(t).Found > 0 || len(l.rows) > 0 && a.consistent && l.verify(t, l.checkpoint(t, seed)).Found > 0 {
					alone++
				}
			}
			if found != trials {
				t.Errorf("found %d of %d", found, trials)
			}
			// This is what the copy elsewhere is for.
			if want := map[bool]int{true: 0, false: trials}[a.consistent]; alone != want {
				t.Errorf("without a checkpoint kept elsewhere %d of %d are found, want %d", alone, trials, want)
			}
		})
	}
}

// TestAttacksOnTheTablesAreFound does the same with SQL, behind the back of the
// store.
func TestAttacksOnTheTablesAreFound(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		for range 8 {
			dbgen.Provider(t, s.DB, store.Provider{})
		}
		read := func() *log {
			l := &log{}
			err := s.View(t.Context(), dbgen.Owner, func(tx store.Tx) (err error) {
				if l.head, err = tx.Audit.Head(t.Context()); err == nil {
					l.rows, err = tx.Audit.Rows(t.Context(), 0, 0)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return l
		}
		honest := read()
		kept := honest.checkpoint(t, seed)
		if r := honest.verify(t, kept); r.Found != 0 || r.Covered != int64(len(honest.rows)) {
			t.Fatalf("a false alarm: %+v", r)
		}
		restore := func() {
			for _, table := range []string{"audit_logs", "audit_tree"} {
				if _, err := s.Raw.ExecContext(t.Context(), "DELETE FROM "+table); err != nil {
					t.Fatal(err)
				}
				if _, err := s.Raw.ExecContext(t.Context(), "INSERT INTO "+table+" SELECT * FROM saved_"+table); err != nil {
					t.Fatal(err)
				}
			}
			s.Exec(t, "UPDATE audit_head SET size = $1, edge = $2", honest.head.Size, honest.head.Edge)
		}
		for _, table := range []string{"audit_logs", "audit_tree"} {
			if _, err := s.Raw.ExecContext(t.Context(), "CREATE TABLE saved_"+table+" AS SELECT * FROM "+table); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct {
			name       string
			statements []string
		}{
			{"a column edited", []string{"UPDATE audit_logs SET actor_name = 'eve' WHERE entry_index = 5"}},
			{"a time edited", []string{"UPDATE audit_logs SET at = (SELECT at FROM audit_logs WHERE entry_index = 4) WHERE entry_index = 5"}},
			{"a diff edited", []string{"UPDATE audit_logs SET diff = '{}' WHERE entry_index = 5"}},
			{"a record edited", []string{"UPDATE audit_logs SET leaf = (SELECT leaf FROM audit_logs WHERE entry_index = 4) WHERE entry_index = 5"}},
			{"an entry removed", []string{"DELETE FROM audit_logs WHERE entry_index = 5"}},
			{"an entry removed, its hashes kept", []string{"INSERT INTO audit_tree SELECT entry_index, hashes FROM audit_logs WHERE entry_index = 5", "DELETE FROM audit_logs WHERE entry_index = 5"}},
			{"the first entry removed", []string{"DELETE FROM audit_logs WHERE entry_index = 1"}},
			{"the last entry removed", []string{"DELETE FROM audit_logs WHERE entry_index = (SELECT size FROM audit_head)"}},
			{"all entries removed", []string{"DELETE FROM audit_logs"}},
			{"everything removed", []string{"DELETE FROM audit_logs", "UPDATE audit_head SET size = 0, edge = ''"}},
			{"a hash edited", []string{"UPDATE audit_logs SET hashes = (SELECT hashes FROM audit_logs WHERE entry_index = 3) WHERE entry_index = 5"}},
			{"an entry in both tables", []string{"INSERT INTO audit_tree SELECT entry_index, hashes FROM audit_logs WHERE entry_index = 5"}},
			{"the head put back", []string{"UPDATE audit_head SET size = 4, edge = (SELECT hashes FROM audit_logs WHERE entry_index = 1)"}},
			{"an entry added beside the tree", []string{"INSERT INTO audit_logs SELECT 1000, at, actor_kind, actor_id, actor_name, token_id, token_name, action, resource, resource_id, target, request_id, address, user_agent, diff, occurrences, leaf, hashes FROM audit_logs WHERE entry_index = 1"}},
			{"removed, and called retention", []string{
				"UPDATE audit_logs SET resource = 'audit_log', action = 'delete', diff = '{\"before\":{\"new\":4}}' WHERE entry_index = 6",
				"INSERT INTO audit_tree SELECT entry_index, hashes FROM audit_logs WHERE entry_index < 4", "DELETE FROM audit_logs WHERE entry_index < 4",
			}},
		} {
			for _, statement := range c.statements {
				s.Exec(t, statement)
			}
			if r := read().verify(t, kept); r.Found == 0 {
				t.Errorf("%s: nothing is found", c.name)
			} else {
				t.Logf("%s: entry %d %s", c.name, r.Findings[0].Index, r.Findings[0].Problem)
			}
			restore()
			if r := read().verify(t, kept); r.Found != 0 {
				t.Fatalf("after %s was undone: %+v", c.name, r)
			}
		}
	})
}

func TestRetentionIsToldFromRemoval(t *testing.T) {
	t.Parallel()
	l := newLog(20)
	e := entry(0, "")
	e.Resource, e.Action, e.Diff = rbac.AuditLog, rbac.Delete, `{"before":{"new":8}}`
	l.rows = append(l.rows, store.AuditRow{Entry: e})
	l.restamp()
	kept := l.checkpoint(t, seed)
	remove := func(n int) {
		for i := range n {
			l.rows[i].Leaf, l.rows[i].Entry = nil, store.AuditEntry{}
		}
	}
	remove(7)
	if r := l.verify(t, kept); r.Found != 0 || r.Removed != 7 || r.Covered != 21 {
		t.Errorf("what retention says: %+v", r)
	}
	remove(8)
	if r := l.verify(t, kept); r.Found == 0 {
		t.Error("one more than retention says is not found")
	}
	// An entry about retention that no checkpoint covers yet proves nothing.
	l = newLog(20)
	kept = l.checkpoint(t, seed)
	l.rows = append(l.rows, store.AuditRow{Entry: e})
	l.restamp()
	remove(7)
	if r := l.verify(t, kept); r.Found == 0 {
		t.Error("a removal that an entry after the checkpoint explains is not reported")
	}
}
