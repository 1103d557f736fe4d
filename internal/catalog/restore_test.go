package catalog_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/catalog"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

// removed makes a provider with a key and settings, and deletes it.
func removed(t *testing.T, s *storetest.Store, name string) store.Provider {
	t.Helper()
	p := create(t, s, catalog.NewProvider{
		Name: name, Enabled: true, Settings: []byte(`{"_type":"openai","_version":1,"organization":"o"}`), APIKeys: []secret.Text{secret.New("key-1")},
	})
	gone, err := do(t, s, func(tx store.Tx) (store.Provider, error) {
		if err := catalog.Delete(t.Context(), tx, p.ID, catalog.AnyRevision); err != nil {
			return store.Provider{}, err
		}
		return tx.Providers.Get(t.Context(), p.ID)
	})
	if err != nil {
		t.Fatal(err)
	}
	return gone
}

// deletedVerbs are what can be done with a deleted provider.
func deletedVerbs(t *testing.T) map[string]func(tx store.Tx, id string, revision int64) error {
	return map[string]func(tx store.Tx, id string, revision int64) error{
		"restore": func(tx store.Tx, id string, revision int64) error {
			_, err := catalog.Restore(t.Context(), tx, id, revision)
			return err
		},
		"purge": func(tx store.Tx, id string, revision int64) error {
			return catalog.Purge(t.Context(), tx, id, revision)
		},
	}
}

func TestRestoreAndPurgeAreForDeletedProviders(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		live, gone := create(t, s, catalog.NewProvider{Name: "live"}), removed(t, s, "gone")
		member := dbgen.Actor(store.User{ID: dbgen.ID(), Roles: store.SetOf(string(rbac.Member))}, rbac.ScopeAll)
		conflict := func(err error) bool { _, ok := errors.AsType[*store.ConflictError](err); return ok }
		for verb, change := range deletedVerbs(t) {
			for _, c := range []struct {
				name     string
				who      store.Actor
				id       string
				revision int64
				want     func(error) bool
			}{
				{"a live one", dbgen.Owner, live.ID, catalog.AnyRevision, conflict},
				{"a live one by its name", dbgen.Owner, "live", catalog.AnyRevision, func(err error) bool { return errors.Is(err, store.ErrNotFound) }},
				{"by its name", dbgen.Owner, "gone", catalog.AnyRevision, func(err error) bool { return errors.Is(err, store.ErrNotFound) }},
				{"one that is not there", dbgen.Owner, dbgen.ID(), catalog.AnyRevision, func(err error) bool { return errors.Is(err, store.ErrNotFound) }},
				{"a revision before", dbgen.Owner, gone.ID, gone.Revision - 1, func(err error) bool { return errors.Is(err, store.ErrStale) }},
				{"a member", member, gone.ID, catalog.AnyRevision, func(err error) bool { return errors.Is(err, store.ErrDenied) }},
				{"nobody", store.Actor{}, gone.ID, catalog.AnyRevision, func(err error) bool { return errors.Is(err, store.ErrDenied) }},
			} {
				err := s.Update(t.Context(), c.who, func(tx store.Tx) error { return change(tx, c.id, c.revision) })
				if !c.want(err) {
					t.Errorf("%s %s: %v", verb, c.name, err)
				}
			}
			undo := errors.New("undo") // the control: of its revision, it goes
			err := s.Update(t.Context(), dbgen.Owner, func(tx store.Tx) error { return errors.Join(change(tx, gone.ID, gone.Revision), undo) })
			if err == nil || err.Error() != "undo" {
				t.Errorf("%s: %v", verb, err)
			}
		}
	})
}

func TestWhatIsLeftOfProvidersThatCameAndWent(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		first, second := removed(t, s, "p"), removed(t, s, "p")
		verbs := deletedVerbs(t)
		run := func(verb, id string) error {
			return s.Update(t.Context(), dbgen.Owner, func(tx store.Tx) error { return verbs[verb](tx, id, catalog.AnyRevision) })
		}
		if err := run("restore", first.ID); err != nil {
			t.Fatal(err)
		}
		taken, ok := errors.AsType[*store.ConflictError](run("restore", second.ID))
		if !ok || taken.Field != "name" || taken.Reason == "" {
			t.Errorf("onto a taken name: %v", taken)
		}
		if err := run("purge", second.ID); err != nil {
			t.Fatal(err)
		}
		if err := run("purge", second.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("purged twice: %v", err)
		}
		type row struct {
			ID       string
			Deleted  bool
			Enabled  bool
			Settings string
			Keys     int
		}
		var got []row
		all, err := do(t, s, func(tx store.Tx) ([]store.Provider, error) {
			return tx.Providers.List(t.Context(), store.Query{IncludeDeleted: true, IncludeDisabled: true})
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range all {
			got = append(got, row{p.ID, p.Deleted, p.Enabled, p.SettingsPublic, len(keysOf(t, s, p.ID))})
		}
		if diff := cmp.Diff(got, []row{{ID: first.ID}}); diff != "" {
			t.Errorf("left (-got +want):\n%s", diff)
		}
		var actions []string
		for _, e := range s.Audit(t) {
			if e.Resource == rbac.AIProvider {
				actions = append(actions, string(e.Action)+" "+map[string]string{first.ID: "first", second.ID: "second"}[e.ID])
			}
		}
		want := []string{"create first", "delete first", "create second", "delete second", "restore first", "purge second"}
		if diff := cmp.Diff(actions, want); diff != "" {
			t.Errorf("entries (-got +want):\n%s", diff)
		}
	})
}
