package auditlog_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/auditlog"
	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

// A tampered is a log in a database, for those who can write to it with SQL.
type tampered struct {
	*storetest.Store
	head store.AuditHead // of the honest log
	kept auditlog.Checkpoint
}

// newTampered returns a log of a few entries, of which the last has something in
// every column, and a copy of its tables to restore it from.
func newTampered(t *testing.T, s *storetest.Store) *tampered {
	t.Helper()
	l := &tampered{Store: s}
	for range 8 {
		dbgen.Provider(t, s.DB, store.Provider{})
	}
	if err := s.Update(t.Context(), authn.Recorder, func(tx store.Tx) error {
		return tx.Audit.Observe(t.Context(), []store.AuditEntry{someEntry(0)})
	}); err != nil {
		t.Fatal(err)
	}
	err := s.View(t.Context(), authn.Verifier, func(tx store.Tx) (err error) {
		l.head, err = tx.Audit.Head(t.Context())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	head, err := auditlog.ParseHead(l.head.Size, l.head.Edge)
	if err != nil {
		t.Fatal(err)
	}
	l.kept = auditlog.Checkpoint{Origin: auditlog.Origin(logID), Size: head.Size, Root: head.Root()}
	l.honest(t, "nothing")
	for _, table := range []string{"audit_logs", "audit_tree"} {
		l.run(t, "CREATE TABLE saved_"+table+" AS SELECT * FROM "+table)
	}
	return l
}

// run is for statements that may change no row.
func (l *tampered) run(t *testing.T, statement string) {
	t.Helper()
	if _, err := l.Raw.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func (l *tampered) verify(t *testing.T) (r auditlog.Report, err error) {
	t.Helper()
	err = l.View(t.Context(), authn.Verifier, func(tx store.Tx) (err error) {
		r, err = auditlog.Verify(t.Context(), l.kept.Origin, fewRows{tx.Audit}, []auditlog.Checkpoint{l.kept})
		return err
	})
	return r, err
}

// fewRows reads fewer rows at once than it is asked for.
type fewRows struct{ store.AuditLog }

func (f fewRows) Rows(ctx context.Context, from int64, _ int) ([]store.AuditRow, error) {
	return f.AuditLog.Rows(ctx, from, 3)
}

// honest fails unless all is well.
func (l *tampered) honest(t *testing.T, undone string) {
	t.Helper()
	if r, err := l.verify(t); err != nil || r.Found != 0 || r.Covered != l.head.Size {
		t.Fatalf("after %s was undone: %+v, %v", undone, r, err)
	}
}

// found makes the attack, fails unless it is found, and undoes it.
func (l *tampered) found(t *testing.T, name string, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		l.Exec(t, statement)
	}
	switch r, err := l.verify(t); {
	case err != nil:
		t.Logf("%s: %v", name, err)
	case r.Found == 0:
		t.Errorf("%s: nothing is found", name)
	default:
		t.Logf("%s: entry %d %s", name, r.Findings[0].Index, r.Findings[0].Problem)
	}
	for _, table := range []string{"audit_logs", "audit_tree"} {
		l.run(t, "DELETE FROM "+table)
		l.run(t, "INSERT INTO "+table+" SELECT * FROM saved_"+table)
	}
	l.Exec(t, "UPDATE audit_head SET size = $1, edge = $2", l.head.Size, l.head.Edge)
	l.honest(t, name)
}

// TestAttacksOnTheTablesAreFound tampers with SQL, behind the back of the store.
func TestAttacksOnTheTablesAreFound(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		l := newTampered(t, s)
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
			{"entries added before the first", []string{"INSERT INTO audit_tree SELECT entry_index - 100, hashes FROM audit_logs"}},
			{"an entry added at the last index that there is", []string{"INSERT INTO audit_tree SELECT 9223372036854775807, hashes FROM audit_logs WHERE entry_index = 5"}},
			{"removed, and called retention", []string{
				"UPDATE audit_logs SET resource = 'audit_log', action = 'delete', diff = '{\"before\":{\"new\":4}}' WHERE entry_index = 6",
				"INSERT INTO audit_tree SELECT entry_index, hashes FROM audit_logs WHERE entry_index < 4", "DELETE FROM audit_logs WHERE entry_index < 4",
			}},
		} {
			l.found(t, c.name, c.statements...)
		}
	})
}

// texts are the columns of text, in their order.
var texts = []string{
	"actor_kind", "actor_id", "actor_name", "token_id", "token_name", "action", "resource", "resource_id", "target", "request_id", "address", "user_agent", "diff",
}

// TestAttacksOnEveryColumnAreFound tampers with each column of an entry, and with
// each two that stand side by side: they are read as one.
func TestAttacksOnEveryColumnAreFound(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		l := newTampered(t, s)
		set := func(name, what string) {
			t.Helper()
			l.found(t, name, fmt.Sprintf("UPDATE audit_logs SET %s WHERE entry_index = %d", what, l.head.Size))
		}
		set("occurrences", "occurrences = occurrences + 1")
		set("at", "at = '2031-01-01 00:00:00+00:00'")
		for i, column := range texts {
			set(column+" longer", fmt.Sprintf("%[1]s = %[1]s || ' '", column))
			set(column+" empty", column+" = ''")
			if i+1 == len(texts) {
				break
			}
			next := texts[i+1]
			set(column+" for "+next, fmt.Sprintf("%[1]s = %[2]s, %[2]s = %[1]s", column, next))
			for _, between := range []string{"", ",", "|", "\x1f"} {
				set(next+" moved to "+column, fmt.Sprintf("%[1]s = %[1]s || '%[3]s' || %[2]s, %[2]s = ''", column, next, between))
				set(column+" moved to "+next, fmt.Sprintf("%[2]s = %[1]s || '%[3]s' || %[2]s, %[1]s = ''", column, next, between))
			}
		}
		if !s.Postgres { // it keeps what is of another type than the column, and zero bytes
			set("occurrences that are no number", "occurrences = 'many'")
			set("occurrences that are no integer", "occurrences = 1.5")
			set("a time that is a number", "at = 1893499200")
			set("a time that is text", "at = 'noon'")
			for _, column := range texts {
				set(column+" behind a zero byte", fmt.Sprintf("%[1]s = %[1]s || char(0) || 'x'", column))
			}
		}
		// Without its constraints.
		l.run(t, "DROP TABLE audit_logs")
		l.run(t, "CREATE TABLE audit_logs AS SELECT * FROM saved_audit_logs")
		l.honest(t, "nothing")
		for i, column := range append([]string{"at", "occurrences", "leaf", "hashes"}, texts...) {
			set(column+" NULL", column+" = NULL")
			if i > 4 {
				before := texts[i-5]
				set(column+" NULL, and in "+before, fmt.Sprintf("%[1]s = %[1]s || ',' || %[2]s, %[2]s = NULL", before, column))
			}
		}
	})
}
