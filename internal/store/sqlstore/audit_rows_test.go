package sqlstore_test

import (
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

// An entry that stands in both tables comes at once, wherever the limit is: the
// next call goes on behind it.
func TestRowsOfOneIndexComeTogether(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		for range 3 {
			dbgen.Provider(t, s.DB, store.Provider{})
		}
		if _, err := s.Raw.ExecContext(t.Context(), "INSERT INTO audit_tree (entry_index, hashes) SELECT entry_index, hashes FROM audit_logs WHERE entry_index IN (2, 3)"); err != nil {
			t.Fatal(err)
		}
		for limit, want := range map[int][]int64{1: {1}, 2: {1, 2, 2}, 3: {1, 2, 2}, 4: {1, 2, 2, 3, 3}} {
			var rows []store.AuditRow
			err := s.View(t.Context(), authn.Verifier, func(tx store.Tx) (err error) {
				rows, err = tx.Audit.Rows(t.Context(), 1, limit)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			var got []int64
			for _, r := range rows {
				got = append(got, r.Index)
			}
			if len(got) != len(want) || got[len(got)-1] != want[len(want)-1] {
				t.Errorf("limit %d: %v, want %v", limit, got, want)
			}
		}
	})
}

// Columns that are not all there, or not what they must be, are no entry.
func TestJoinedColumnsAreAllThere(t *testing.T) {
	t.Parallel()
	const sep = "\x1fsep"
	whole := []string{"7", "1", "2030-01-01 00:00:00.5+00", "user", "u", "ann", "t", "laptop", "create", "user", "id", "target", "req", "addr", "agent", "{}"}
	e, err := sqlstore.JoinedEntry(strings.Join(whole, sep), sep)
	if err != nil || e.Index != 7 || e.Count != 1 || e.Diff != "{}" || e.ActorName != "ann" || e.Origin.UserAgent != "agent" {
		t.Errorf("%+v, %v", e, err)
	}
	for i := range whole {
		without := append(append([]string{}, whole[:i]...), whole[i+1:]...)
		if e, err := sqlstore.JoinedEntry(strings.Join(without, sep), sep); err == nil {
			t.Errorf("without column %d: %+v", i, e)
		}
	}
	for i, wrong := range map[int]string{0: "x", 1: "", 2: "yesterday"} {
		altered := append([]string{}, whole...)
		altered[i] = wrong
		if e, err := sqlstore.JoinedEntry(strings.Join(altered, sep), sep); err == nil {
			t.Errorf("with column %d as %q: %+v", i, wrong, e)
		}
	}
}

// SQLite's statements are prepared by the first transaction that runs them, and
// PostgreSQL's by its driver.
func TestStatementsAreKept(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		dbgen.Provider(t, s.DB, store.Provider{})
		kept := sqlstore.StatementsKept(s.Backend)
		dbgen.Provider(t, s.DB, store.Provider{})
		if again := sqlstore.StatementsKept(s.Backend); again != kept || (kept == 0) != s.Backend.Shared() {
			t.Errorf("%d statements, then %d", kept, again)
		}
	})
}
