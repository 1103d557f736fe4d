package custody_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/custody"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

func (w *world) wipe(t *testing.T) []store.Ref {
	t.Helper()
	gone, err := custody.Wipe(t.Context(), w.DB, dbgen.Owner)
	if err != nil {
		t.Fatal(err)
	}
	return gone
}

// spoil alters a cell.
func (w *world) spoil(t *testing.T, table, column, id string) {
	t.Helper()
	r := w.read(t, table, id)
	cell := slices.Clone(r[column].([]byte))
	cell[len(cell)-1] ^= 1
	r[column] = cell
	w.write(t, table, r, column)
}

func TestWipeRemovesWhatDoesNotOpenAndNothingElse(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		for seed := range uint64(3) {
			w := newWorld(t, s, seed)
			for range 12 {
				w.step(t)
			}
			w.addKey(t, w.aProvider(t))
			if gone := w.wipe(t); len(gone) > 0 {
				t.Fatalf("%v opened, and are removed", gone)
			}
			var want []store.Ref
			kept := map[string]bool{}
			for i, k := range w.keys(t) {
				if i%2 == 0 {
					w.spoil(t, keysTable, "api_key", k.ID)
					want = append(want, k.Ref())
				} else {
					kept[k.ID] = true
				}
			}
			for i, p := range w.providers(t, set) {
				if i%2 == 0 {
					w.spoil(t, providersTable, "settings", p.ID)
					want = append(want, p.Ref())
				} else {
					kept[p.ID] = true
				}
			}
			before := len(s.Audit(t))
			got := w.wipe(t)
			byID := func(a, b store.Ref) int { return strings.Compare(a.ID, b.ID) }
			slices.SortFunc(want, byID)
			slices.SortFunc(got, byID)
			if !slices.Equal(got, want) {
				t.Fatalf("removed %v, want %v", got, want)
			}
			var written []store.Ref
			for _, e := range s.Audit(t)[before:] {
				if fits := e.Resource == rbac.AIProviderKey && e.Action == rbac.Delete || e.Resource == rbac.AIProvider && e.Action == rbac.Update; !fits {
					t.Errorf("an entry says %s of %s", e.Action, e.Resource)
				}
				written = append(written, store.Ref{Resource: e.Resource, ID: e.ID, Target: e.Target})
			}
			slices.SortFunc(written, byID)
			if !slices.Equal(written, want) {
				t.Errorf("the audit log has %v, want %v", written, want)
			}
			for _, k := range w.keys(t) {
				delete(kept, k.ID)
			}
			for _, p := range w.providers(t, set) {
				delete(kept, p.ID)
			}
			if len(kept) > 0 {
				t.Errorf("removed though they open: %v", kept)
			}
			w.well(t) // nothing is missed that was removed so
		}
	})
}

// TestWipeLeavesWhatWasGivenAgain has a key replaced after it was found to be
// lost and before it is removed.
func TestWipeLeavesWhatWasGivenAgain(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		w := newWorld(t, s, 1)
		saved, lost := w.aKey(t), w.aKey(t)
		settings := w.aProvider(t)
		for _, k := range []store.ProviderKey{saved, lost} {
			w.spoil(t, keysTable, "api_key", k.ID)
		}
		w.spoil(t, providersTable, "settings", settings.ID)
		// A database in which somebody gives it again once Wipe has looked.
		mended := false
		db := layeredBy(s, func(tx store.Tx) store.Tx {
			tx.Cells = afterLast{tx.Cells, func() {
				if !mended {
					mended = true
					w.replaceKey(t, saved.ID)
					w.setSettings(t, settings.ID)
				}
			}}
			return tx
		})
		gone, err := custody.Wipe(t.Context(), db, dbgen.Owner)
		if err != nil || !mended {
			t.Fatalf("mended %v, %v", mended, err)
		}
		if !slices.Equal(gone, []store.Ref{lost.Ref()}) {
			t.Errorf("removed %v", gone)
		}
		w.well(t)
	})
}

// TestTamperedSettingsCanBeRemoved covers what is shown of settings being
// altered, to what is a document and to what is none: they can be wiped, and the
// provider can be deleted.
func TestTamperedSettingsCanBeRemoved(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		for _, public := range []string{`{}`, `{"_type":"openai"}`, `no JSON`, `[]`, `{"_secrets":1}`, `null`, ``} {
			w := newWorld(t, s, 1)
			for name, remove := range map[string]func(store.Provider){
				"wipe": func(p store.Provider) {
					if gone := w.wipe(t); !slices.Equal(gone, []store.Ref{p.Ref()}) {
						t.Errorf("removed %v", gone)
					}
				},
				"delete": func(p store.Provider) { w.remove(t, p.ID) },
				"replace": func(p store.Provider) {
					w.setSettings(t, p.ID)
				},
			} {
				p := w.aProvider(t)
				s.Exec(t, "UPDATE ai_providers SET settings_public = $2 WHERE id = $1", p.ID, public)
				remove(p)
				if r := w.verify(t); len(r.Findings) > 0 {
					t.Errorf("%q, %s: afterwards %+v", public, name, r.Findings)
				}
			}
		}
	})
}
