package custody_test

import (
	"flag"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

var histories = flag.Int("histories", 10, "how many random histories are verified on SQLite")

func TestNoHistoryRaisesAFalseAlarm(t *testing.T) {
	t.Parallel()
	const aStore = 10
	storetest.EachConfig(t, func(t *testing.T, cfg sqlstore.Config) {
		for first := 0; first < *histories; first += aStore {
			if first > 0 {
				if cfg.Path == "" {
					return // one will do: a database takes its time
				}
				cfg.Path += "x"
			}
			s := storetest.Open(t, cfg)
			for i := range aStore {
				w := newWorld(t, s, uint64(first+i))
				for range 4 + w.rng.IntN(16) {
					w.step(t)
				}
				if r := w.well(t); r.Unproved != 0 {
					t.Errorf("%d records are not proved, and nothing was removed from the log", r.Unproved)
				}
			}
		}
	})
}

// TestRetentionLeavesRecordsUnproved removes old entries: nothing is found, and
// that less is known is said, until the record is written again.
func TestRetentionLeavesRecordsUnproved(t *testing.T) {
	t.Parallel()
	storetest.EachConfig(t, func(t *testing.T, cfg sqlstore.Config) {
		now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		cfg.Now = func() time.Time { return now }
		s := storetest.Open(t, cfg)
		w := newWorld(t, s, 1)
		p := w.addProvider(t)
		w.setSettings(t, p.ID)
		w.addKey(t, p)
		for range 5 {
			for range 20 {
				w.step(t)
			}
			now = now.Add(time.Hour)
			err := s.Update(t.Context(), authn.Archivist, func(tx store.Tx) error {
				_, _, err := tx.Audit.Prune(t.Context(), now.Add(-30*time.Minute), 1000)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			records := int64(len(w.keys(t)) + len(w.providers(t, func(store.Provider) bool { return true })))
			if r := w.well(t); r.Unproved != records {
				t.Errorf("of %d records without an entry, %d are said to be unproved", records, r.Unproved)
			}
		}
		for _, k := range w.keys(t) {
			before := w.well(t).Unproved
			w.editKey(t, k.ID, func(k *store.ProviderKey) { k.Label = "its secret is as it was" })
			if r := w.well(t); r.Unproved != before {
				t.Errorf("an edit of the label made it %d unproved, from %d", r.Unproved, before)
			}
			w.replaceKey(t, k.ID)
			if r := w.well(t); r.Unproved != before-1 {
				t.Errorf("a new secret made it %d unproved, from %d", r.Unproved, before)
			}
		}
	})
}
