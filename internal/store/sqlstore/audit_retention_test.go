package sqlstore_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/auditlog"
	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

// TestRetention removes a beginning, bounded, and says so.
func TestRetention(t *testing.T) {
	t.Parallel()
	storetest.EachConfig(t, func(t *testing.T, cfg sqlstore.Config) {
		cfg.Now = func() time.Time { return midnight }
		s := storetest.Open(t, cfg)
		// Behind the entries about data keys, one a day; the seventh by a clock that
		// was set back.
		entries := randomEntries(rand.New(rand.NewPCG(1, 1)), 10)
		for i := range entries {
			entries[i].At = midnight.AddDate(0, 0, i+1)
		}
		entries[6].At = midnight
		observe(t, s, entries...)
		before := int64(len(s.Audit(t)) - len(entries))
		if removed, _ := prune(t, s, midnight, 100); removed != 0 || len(s.Audit(t)) != len(entries)+int(before) {
			t.Errorf("nothing is old: %d removed, %d entries", removed, len(s.Audit(t)))
		}
		if removed, first := prune(t, s, midnight.AddDate(0, 0, 3), 4); removed != 4 || first != 5 {
			t.Errorf("at most 4: %d removed, first %d", removed, first)
		}
		// Of the entries before the fourth day, the one by the wrong clock stays:
		// it is not at the beginning.
		removed, first := prune(t, s, midnight.AddDate(0, 0, 4), 100)
		if want := before + 4; removed != want-5 || first != want {
			t.Errorf("the rest: %d removed, first %d, want %d", removed, first, want)
		}
		left := s.Audit(t)
		last := left[len(left)-1]
		if left[0].Index != first || last.Action != rbac.Delete || last.Resource != rbac.AuditLog || last.ActorName != authn.Archivist.Name ||
			last.Diff != fmt.Sprintf(`{"before":{"new":%d}}`, first) {
			t.Errorf("first %d, last %+v", left[0].Index, last)
		}
		kept := checkpoint(t, s, last.Index)
		if got := verify(t, s, kept); got.Found > 0 || got.Removed != first-1 || got.Covered != last.Index {
			t.Errorf("verified: %+v", got)
		}

		// One more by hand is found, and so is an entry that makes it look well:
		// the checkpoint does not cover it.
		s.Exec(t, "INSERT INTO audit_tree (entry_index, hashes) SELECT entry_index, hashes FROM audit_logs WHERE entry_index = $1", first)
		s.Exec(t, "DELETE FROM audit_logs WHERE entry_index = $1", first)
		if got := verify(t, s, kept); got.Found == 0 {
			t.Error("one more was removed, and it is not found")
		}
		forged := last
		forged.Diff = fmt.Sprintf(`{"before":{"new":%d}}`, first+1)
		observe(t, s, forged)
		if got := verify(t, s, kept); got.Found == 0 {
			t.Error("the entry that says so is forged, and it is not found")
		}
		if got := verify(t, s); got.Found > 0 {
			t.Errorf("the control: without the checkpoint: %+v", got)
		}
	})
}

// TestHonestLogsAreWell verifies while entries are written and removed, and then
// with a checkpoint of every size.
func TestHonestLogsAreWell(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		r := rand.New(rand.NewPCG(2, 2))
		start := verify(t, s).Size
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range 30 {
				observe(t, s, randomEntries(r, 1+i%3)...)
				if i == 20 {
					prune(t, s, midnight.AddDate(100, 0, 0), 9)
				}
			}
		}()
		for running := true; running; {
			select {
			case <-done:
				running = false
			default:
			}
			if got := verify(t, s); got.Found > 0 {
				t.Errorf("while it is written to: %+v", got)
				running = false
			}
		}
		<-done
		size := verify(t, s).Size
		var kept []auditlog.Checkpoint
		for i := range size {
			kept = append(kept, checkpoint(t, s, i+1))
		}
		if got := verify(t, s, kept...); got.Found > 0 || got.Covered != size || got.Removed != 9 || size != start+61 {
			t.Errorf("afterwards: %+v", got)
		}
	})
}

func prune(t testing.TB, s *storetest.Store, before time.Time, limit int) (removed, first int64) {
	t.Helper()
	err := s.Update(t.Context(), authn.Archivist, func(tx store.Tx) (err error) {
		removed, first, err = tx.Audit.Prune(t.Context(), before, limit)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return removed, first
}

// checkpoint is of the log when it had size entries.
func checkpoint(t testing.TB, s *storetest.Store, size int64) (c auditlog.Checkpoint) {
	t.Helper()
	err := s.View(t.Context(), authn.Verifier, func(tx store.Tx) error {
		head, err := auditlog.HeadAt(t.Context(), tx.Audit, size)
		if err == nil {
			c = auditlog.Checkpoint{Origin: auditlog.Origin(s.Backend.Installation()), Size: size, Root: head.Root()}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// verify verifies the log in the database, a few rows at a time.
func verify(t testing.TB, s *storetest.Store, kept ...auditlog.Checkpoint) (report auditlog.Report) {
	t.Helper()
	err := s.View(t.Context(), authn.Verifier, func(tx store.Tx) (err error) {
		report, err = auditlog.Verify(t.Context(), auditlog.Origin(s.Backend.Installation()), fewRows{tx.Audit}, kept)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// fewRows reads fewer rows at once than it is asked for.
type fewRows struct{ store.AuditLog }

func (f fewRows) Rows(ctx context.Context, from int64, _ int) ([]store.AuditRow, error) {
	return f.AuditLog.Rows(ctx, from, 7)
}

// TestTheDatabasesFormOfTimesIsNoMatter has the database write times as Germans
// do: the log is well.
func TestTheDatabasesFormOfTimesIsNoMatter(t *testing.T) {
	t.Parallel()
	cfg := sqlstore.Config{URL: secret.New(storetest.NewPostgres(t))}
	s := storetest.Open(t, cfg)
	var name string
	if err := s.Raw.QueryRowContext(t.Context(), "SELECT current_database()").Scan(&name); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Raw.ExecContext(t.Context(), "ALTER DATABASE "+name+" SET datestyle = 'German'"); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, storetest.Open(t, cfg)); r.Found != 0 || r.Size == 0 {
		t.Errorf("the log: %+v", r)
	}
}
