package custody_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/custody"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

// A world is a store with a history that was made at random.
type world struct {
	*storetest.Store
	rng     *rand.Rand
	n       int // counts what is written, so that nothing is written twice
	owner   store.User
	ids     []string // of the providers that this world edits, deleted ones too
	actions []string // what was done, for whoever has to find out
}

func newWorld(t *testing.T, s *storetest.Store, seed uint64) *world {
	t.Helper()
	return &world{Store: s, rng: rand.New(rand.NewPCG(seed, 1)), owner: dbgen.User(t, s.DB, store.User{Roles: store.SetOf("owner")})}
}

// do runs a change as the owner.
func (w *world) do(t *testing.T, fn func(tx store.Tx) error) {
	t.Helper()
	if err := w.Update(t.Context(), dbgen.Owner, fn); err != nil {
		t.Fatalf("%v, after %s", err, strings.Join(w.actions, ", "))
	}
}

// providers returns the providers that the world edits.
func (w *world) providers(t *testing.T, fits func(store.Provider) bool) (out []store.Provider) {
	t.Helper()
	err := w.View(t.Context(), dbgen.Owner, func(tx store.Tx) error {
		all, err := tx.Providers.List(t.Context(), store.Query{IncludeDeleted: true, IncludeDisabled: true})
		out = slices.DeleteFunc(all, func(p store.Provider) bool { return !slices.Contains(w.ids, p.ID) || !fits(p) })
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (w *world) keys(t *testing.T) (out []store.ProviderKey) {
	t.Helper()
	err := w.View(t.Context(), dbgen.Owner, func(tx store.Tx) error {
		all, err := tx.ProviderKeys.List(t.Context(), store.Query{})
		out = slices.DeleteFunc(all, func(k store.ProviderKey) bool { return !slices.Contains(w.ids, k.ProviderID) })
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func live(p store.Provider) bool    { return !p.Deleted }
func deleted(p store.Provider) bool { return p.Deleted }
func set(p store.Provider) bool     { return !p.Deleted && !p.Settings.IsZero() }

func pick[T any](w *world, all []T) (v T, ok bool) {
	if len(all) == 0 {
		return v, false
	}
	return all[w.rng.IntN(len(all))], true
}

// document returns settings that were never written before. What is shown of
// them may be what was shown before.
func (w *world) document() (text secret.Text, public string) {
	w.n++
	public = fmt.Sprintf(`{"_type":"bedrock","region":"r%d"}`, w.rng.IntN(2))
	return secret.New(fmt.Sprintf(`{"_type":"bedrock","access_key":"sk-canary-%06d"}`, w.n)), public
}

func (w *world) keyText() secret.Text {
	w.n++
	return secret.New(fmt.Sprintf("sk-canary-key-%06d", w.n))
}

func (w *world) addProvider(t *testing.T) store.Provider {
	t.Helper()
	p := store.Provider{}
	if w.rng.IntN(2) == 0 {
		p.Settings, p.SettingsPublic = w.document()
	}
	p = dbgen.Provider(t, w.DB, p)
	w.ids = append(w.ids, p.ID)
	return p
}

func (w *world) addKey(t *testing.T, p store.Provider) store.ProviderKey {
	t.Helper()
	return dbgen.ProviderKey(t, w.DB, store.ProviderKey{ProviderID: p.ID, APIKey: w.keyText()})
}

func (w *world) editProvider(t *testing.T, id string, edit func(*store.Provider)) {
	t.Helper()
	w.do(t, func(tx store.Tx) error {
		_, err := tx.Providers.Update(t.Context(), id, func(p *store.Provider) error { edit(p); return nil })
		return err
	})
}

func (w *world) editKey(t *testing.T, id string, edit func(*store.ProviderKey)) {
	t.Helper()
	w.do(t, func(tx store.Tx) error {
		_, err := tx.ProviderKeys.Update(t.Context(), id, func(k *store.ProviderKey) error { edit(k); return nil })
		return err
	})
}

func (w *world) setSettings(t *testing.T, id string) {
	t.Helper()
	text, public := w.document()
	w.editProvider(t, id, func(p *store.Provider) { p.Settings, p.SettingsPublic = text, public })
}

func (w *world) replaceKey(t *testing.T, id string) {
	t.Helper()
	text := w.keyText()
	w.editKey(t, id, func(k *store.ProviderKey) { k.APIKey = text })
}

// remove deletes a provider as package catalog does: its keys first.
func (w *world) remove(t *testing.T, id string) {
	t.Helper()
	w.do(t, func(tx store.Tx) error {
		keys, err := tx.ProviderKeys.List(t.Context(), store.Query{ProviderID: id})
		if err != nil {
			return err
		}
		for _, k := range keys {
			if _, err := tx.ProviderKeys.Delete(t.Context(), k.ID); err != nil {
				return err
			}
		}
		_, err = tx.Providers.Delete(t.Context(), id)
		return err
	})
}

// reseal seals every cell again under a new data key, as a rotation does.
func (w *world) reseal(t *testing.T) {
	t.Helper()
	w.Rotate(t)
	err := w.Update(t.Context(), authn.Rotator, func(tx store.Tx) error {
		recs, err := tx.Cells.List(t.Context(), store.CellQuery{})
		if err != nil {
			return err
		}
		batch := make([]store.Resealing, len(recs))
		for i, rec := range recs {
			batch[i].Old = rec
		}
		_, err = tx.Cells.Reseal(t.Context(), batch)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// step makes one change at random.
func (w *world) step(t *testing.T) {
	t.Helper()
	steps := map[string]func() bool{
		"add a provider": func() bool { w.addProvider(t); return true },
		"add a key": func() bool {
			p, ok := pick(w, w.providers(t, live))
			if ok {
				w.addKey(t, p)
			}
			return ok
		},
		"replace a key": func() bool {
			k, ok := pick(w, w.keys(t))
			if ok {
				w.replaceKey(t, k.ID)
			}
			return ok
		},
		"edit a key": func() bool {
			k, ok := pick(w, w.keys(t))
			if ok {
				w.editKey(t, k.ID, func(k *store.ProviderKey) { k.Label += "x" })
			}
			return ok
		},
		"remove a key": func() bool {
			k, ok := pick(w, w.keys(t))
			if ok {
				w.do(t, func(tx store.Tx) error { _, err := tx.ProviderKeys.Delete(t.Context(), k.ID); return err })
			}
			return ok
		},
		"edit a provider": func() bool {
			p, ok := pick(w, w.providers(t, live))
			if ok {
				w.editProvider(t, p.ID, func(p *store.Provider) { p.DisplayName += "x" })
			}
			return ok
		},
		"set settings": func() bool {
			p, ok := pick(w, w.providers(t, live))
			if ok {
				w.setSettings(t, p.ID)
			}
			return ok
		},
		"clear settings": func() bool {
			p, ok := pick(w, w.providers(t, set))
			if ok {
				w.editProvider(t, p.ID, func(p *store.Provider) { p.Settings, p.SettingsPublic = secret.Text{}, "" })
			}
			return ok
		},
		"delete a provider": func() bool {
			p, ok := pick(w, w.providers(t, live))
			if ok {
				w.remove(t, p.ID)
			}
			return ok
		},
		"restore a provider": func() bool {
			p, ok := pick(w, w.providers(t, deleted))
			if ok {
				w.editProvider(t, p.ID, func(p *store.Provider) { p.Deleted = false })
			}
			return ok
		},
		"purge a provider": func() bool {
			p, ok := pick(w, w.providers(t, deleted))
			if ok {
				w.remove(t, p.ID)
			}
			return ok
		},
		"make a token": func() bool { dbgen.APIKey(t, w.DB, w.owner, store.APIKey{}); return true },
		"new data key": func() bool { w.Rotate(t); return true },
		"rotate":       func() bool { w.reseal(t); return true },
		"move a provider": func() bool { // where nothing is sealed to its origin
			p, ok := pick(w, w.providers(t, func(p store.Provider) bool { return live(p) && p.Settings.IsZero() }))
			if ok && !slices.ContainsFunc(w.keys(t), func(k store.ProviderKey) bool { return k.ProviderID == p.ID }) {
				w.editProvider(t, p.ID, func(p *store.Provider) { p.BaseURL = fmt.Sprintf("http://127.0.0.1:%d/v1", 2+w.rng.IntN(9)) })
			}
			return ok
		},
	}
	names := make([]string, 0, len(steps))
	for name := range steps {
		names = append(names, name)
	}
	slices.Sort(names) // so that a seed always gives the same history
	for {
		name := names[w.rng.IntN(len(names))]
		if steps[name]() {
			w.actions = append(w.actions, name)
			return
		}
	}
}

func (w *world) verify(t *testing.T) custody.Report {
	t.Helper()
	r, err := custody.Verify(t.Context(), w.DB, dbgen.Owner)
	if err != nil {
		t.Fatalf("%v, after %s", err, strings.Join(w.actions, ", "))
	}
	return r
}

// well fails the test if anything is found.
func (w *world) well(t *testing.T) custody.Report {
	t.Helper()
	r := w.verify(t)
	if len(r.Findings) > 0 {
		t.Fatalf("a false alarm: %+v, after %s", r.Findings, strings.Join(w.actions, ", "))
	}
	return r
}
