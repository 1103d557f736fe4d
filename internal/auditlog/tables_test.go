package auditlog_test

import (
	"testing"

	"github.com/gatehousehq/gatehouse/internal/auditlog"
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

// TestAttacksOnTheTablesAreFound tampers with SQL, behind the back of the store.
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
