package custody_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/custody"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

// A row is a row of a table as the database has it, by column.
type row map[string]any

// read returns the row with that id, nil if there is none.
func (w *world) read(t *testing.T, table, id string) row {
	t.Helper()
	rows, err := w.Raw.QueryContext(t.Context(), "SELECT * FROM "+table+" WHERE id = $1", id)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }() // rows.Err says all
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var out row
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		out = row{}
		for i, c := range columns {
			out[c] = values[i]
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// write makes these columns of a row what they are in r; with none named, all.
func (w *world) write(t *testing.T, table string, r row, columns ...string) {
	t.Helper()
	if len(columns) == 0 {
		for c := range r {
			if c != "id" {
				columns = append(columns, c)
			}
		}
	}
	sets, args := make([]string, len(columns)), []any{r["id"]}
	for i, c := range columns {
		args = append(args, r[c])
		sets[i] = fmt.Sprintf("%s = $%d", c, i+2)
	}
	w.Exec(t, "UPDATE "+table+" SET "+strings.Join(sets, ", ")+" WHERE id = $1", args...)
}

func (w *world) insert(t *testing.T, table string, r row) {
	t.Helper()
	var columns, marks []string
	var args []any
	for c, v := range r {
		columns, args = append(columns, c), append(args, v)
		marks = append(marks, fmt.Sprintf("$%d", len(args)))
	}
	w.Exec(t, "INSERT INTO "+table+" ("+strings.Join(columns, ", ")+") VALUES ("+strings.Join(marks, ", ")+")", args...)
}

const (
	keysTable      = "ai_provider_keys"
	providersTable = "ai_providers"
)

// A strike is what somebody did who writes to the database: to which record, and
// how it is undone.
type strike struct {
	ref  store.Ref
	undo func()
}

// An attack is a kind of strike.
type attack struct {
	name  string
	found custody.Problem
	// opens is whether what is there afterwards opens, so that nothing but the
	// audit log tells.
	opens bool
	fn    func(t *testing.T, w *world) strike
}

// aKey returns a key, and aProvider a provider with settings, that were written a
// number of times.
func (w *world) aKey(t *testing.T) store.ProviderKey {
	t.Helper()
	p, ok := pick(w, w.providers(t, live))
	if !ok {
		p = w.addProvider(t)
	}
	k := w.addKey(t, p)
	for range w.rng.IntN(3) {
		w.replaceKey(t, k.ID)
	}
	return k
}

func (w *world) aProvider(t *testing.T) store.Provider {
	t.Helper()
	p := w.addProvider(t)
	for range 1 + w.rng.IntN(3) {
		w.setSettings(t, p.ID)
	}
	return p
}

// keyRolledBack puts columns of a key back to what they were before its secret
// was replaced, and something else happened.
func keyRolledBack(between func(t *testing.T, w *world), columns ...string) func(*testing.T, *world) strike {
	return func(t *testing.T, w *world) strike {
		k := w.aKey(t)
		old := w.read(t, keysTable, k.ID)
		for range 1 + w.rng.IntN(3) {
			w.replaceKey(t, k.ID)
		}
		between(t, w)
		now := w.read(t, keysTable, k.ID)
		w.write(t, keysTable, old, columns...)
		return strike{k.Ref(), func() { w.write(t, keysTable, now) }}
	}
}

func nothing(*testing.T, *world)    {}
func turn(t *testing.T, w *world)   { w.Rotate(t) }
func rotate(t *testing.T, w *world) { w.reseal(t) }

// something happens to others.
func something(t *testing.T, w *world) {
	w.aProvider(t)
	w.replaceKey(t, w.aKey(t).ID)
	dbgen.APIKey(t, w.DB, w.owner, store.APIKey{})
}

// settingsPutBack puts the settings of a provider back to what they were before
// something was done to them.
func settingsPutBack(done func(t *testing.T, w *world, id string)) func(*testing.T, *world) strike {
	return func(t *testing.T, w *world) strike {
		p := w.aProvider(t)
		old := w.read(t, providersTable, p.ID)
		done(t, w, p.ID)
		now := w.read(t, providersTable, p.ID)
		w.write(t, providersTable, old, "settings", "settings_key_id", "settings_public", "secret_revision")
		return strike{p.Ref(), func() { w.write(t, providersTable, now) }}
	}
}

func attacks() []attack {
	return []attack{
		{"a key is rolled back, the whole row", custody.RolledBack, true, keyRolledBack(nothing)},
		{"a key is rolled back, while other things happen", custody.RolledBack, true, keyRolledBack(something)},
		{"a key is rolled back over a new data key", custody.RolledBack, true, keyRolledBack(turn)},
		{"a key is rolled back over a rotation", custody.RolledBack, true, keyRolledBack(rotate)},
		{
			"a key is rolled back, cell, revision and data key alone", custody.RolledBack, false,
			keyRolledBack(nothing, "api_key", "api_key_key_id", "secret_revision"),
		},
		{"settings are rolled back", custody.RolledBack, true, settingsPutBack(func(t *testing.T, w *world, id string) { w.setSettings(t, id) })},
		{"settings are rolled back over a rotation", custody.RolledBack, true, settingsPutBack(func(t *testing.T, w *world, id string) {
			w.setSettings(t, id)
			w.reseal(t)
		})},
		{"settings that were cleared are put back", custody.Planted, true, settingsPutBack(func(t *testing.T, w *world, id string) {
			w.editProvider(t, id, func(p *store.Provider) { p.Settings, p.SettingsPublic = secret.Text{}, "" })
		})},
		{"settings that went with their provider are put back", custody.Planted, true, settingsPutBack(func(t *testing.T, w *world, id string) {
			w.remove(t, id)
		})},
		{"settings are taken away", custody.Missing, true, func(t *testing.T, w *world) strike {
			p := w.aProvider(t)
			now := w.read(t, providersTable, p.ID)
			w.Exec(t, "UPDATE ai_providers SET settings = NULL, settings_key_id = NULL, settings_public = '' WHERE id = $1", p.ID)
			return strike{p.Ref(), func() { w.write(t, providersTable, now) }}
		}},
		{"a key is deleted", custody.Missing, true, func(t *testing.T, w *world) strike {
			k := w.aKey(t)
			now := w.read(t, keysTable, k.ID)
			w.Exec(t, "DELETE FROM ai_provider_keys WHERE id = $1", k.ID)
			return strike{k.Ref(), func() { w.insert(t, keysTable, now) }}
		}},
		{"a provider is deleted", custody.Missing, true, func(t *testing.T, w *world) strike {
			p := w.aProvider(t)
			now := w.read(t, providersTable, p.ID)
			w.Exec(t, "DELETE FROM ai_providers WHERE id = $1", p.ID)
			return strike{p.Ref(), func() { w.insert(t, providersTable, now) }}
		}},
		{"a key that was removed is inserted again", custody.Planted, true, func(t *testing.T, w *world) strike {
			k := w.aKey(t)
			old := w.read(t, keysTable, k.ID)
			w.do(t, func(tx store.Tx) error { _, err := tx.ProviderKeys.Delete(t.Context(), k.ID); return err })
			w.insert(t, keysTable, old)
			return strike{k.Ref(), func() { w.Exec(t, "DELETE FROM ai_provider_keys WHERE id = $1", k.ID) }}
		}},
		{"a key is planted, with the cell of another", custody.Planted, false, func(t *testing.T, w *world) strike {
			k := w.aKey(t)
			made := w.read(t, keysTable, k.ID)
			k.ID = dbgen.ID()
			made["id"], made["fingerprint"] = k.ID, "planted"
			w.insert(t, keysTable, made)
			return strike{k.Ref(), func() { w.Exec(t, "DELETE FROM ai_provider_keys WHERE id = $1", k.ID) }}
		}},
		{"a key has the cell of another", custody.Unreadable, false, func(t *testing.T, w *world) strike {
			k, other := w.aKey(t), w.aKey(t)
			now, made := w.read(t, keysTable, k.ID), w.read(t, keysTable, other.ID)
			made["id"] = k.ID
			w.write(t, keysTable, made, "api_key", "api_key_key_id")
			return strike{k.Ref(), func() { w.write(t, keysTable, now) }}
		}},
		{"a cell is altered", custody.Unreadable, false, func(t *testing.T, w *world) strike {
			k := w.aKey(t)
			now, made := w.read(t, keysTable, k.ID), w.read(t, keysTable, k.ID)
			cell := slices.Clone(made["api_key"].([]byte))
			cell[w.rng.IntN(len(cell))] ^= 1 << w.rng.IntN(8)
			made["api_key"] = cell
			w.write(t, keysTable, made, "api_key")
			return strike{k.Ref(), func() { w.write(t, keysTable, now) }}
		}},
		{"what is shown of settings is altered", custody.Unreadable, false, func(t *testing.T, w *world) strike {
			p := w.aProvider(t)
			now := w.read(t, providersTable, p.ID)
			w.Exec(t, "UPDATE ai_providers SET settings_public = '{}' WHERE id = $1", p.ID)
			return strike{p.Ref(), func() { w.write(t, providersTable, now) }}
		}},
	}
}

var trialsFlag = flag.Int("trials", 10, "how often each attack is made on SQLite; a fifth of it on PostgreSQL")

// TestEveryAttackIsFound strikes in the middle of random histories, and requires
// that the record is named, with the right problem, and no other.
func TestEveryAttackIsFound(t *testing.T) {
	t.Parallel()
	for _, a := range attacks() {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			storetest.EachConfig(t, func(t *testing.T, cfg sqlstore.Config) {
				trials := *trialsFlag
				if cfg.Path == "" {
					trials = (trials + 4) / 5 // PostgreSQL takes its time
				}
				var w *world
				for i := range trials {
					if i%30 == 0 { // a fresh one, since to verify a long log takes long
						if i > 0 {
							cfg.Path += "x"
						}
						w = newWorld(t, storetest.Open(t, cfg), uint64(i))
						for range 10 {
							w.step(t)
						}
						w.well(t)
					}
					if i%5 == 0 {
						w.step(t)
					}
					struck := a.fn(t, w)
					r := w.verify(t)
					if !slices.ContainsFunc(r.Findings, func(f custody.Finding) bool { return f.Ref == struck.ref && f.Problem == a.found }) {
						t.Fatalf("trial %d: it is not found; what is: %+v", i, r.Findings)
					}
					for _, f := range r.Findings {
						if f.Ref != struck.ref {
							t.Fatalf("trial %d: another record is accused: %+v", i, f)
						}
					}
					// Control: opening alone tells of those that do not open.
					if lost := unopened(t, w); a.opens != (len(lost) == 0) {
						t.Fatalf("trial %d: by opening alone it is found: %v", i, lost)
					}
					struck.undo()
				}
				w.well(t)
			})
		})
	}
}

// unopened returns what does not open: verification without the audit log.
func unopened(t *testing.T, w *world) (lost []store.Ref) {
	t.Helper()
	err := w.View(t.Context(), dbgen.Owner, func(tx store.Tx) error { return checkAll(t.Context(), tx, &lost) })
	if err != nil {
		t.Fatal(err)
	}
	return lost
}

func checkAll(ctx context.Context, tx store.Tx, lost *[]store.Ref) error {
	*lost = nil
	recs, err := tx.Cells.List(ctx, store.CellQuery{})
	for _, rec := range recs {
		if err := tx.Secrets.Check(ctx, rec); errors.Is(err, store.ErrUnreadable) {
			*lost = append(*lost, rec.Ref())
		} else if err != nil {
			return err
		}
	}
	return err
}

// TestWithoutTheLogNothingIsKnown is the control of the above: whoever can take
// the log away as well is found by gatehouse audit verify alone.
func TestWithoutTheLogNothingIsKnown(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		w := newWorld(t, s, 1)
		struck := keyRolledBack(nothing)(t, w)
		if r := w.verify(t); len(r.Findings) != 1 || r.Findings[0].Ref != struck.ref {
			t.Fatalf("findings %+v", r.Findings)
		}
		s.Exec(t, "DELETE FROM audit_logs")
		if r := w.well(t); r.Unproved == 0 {
			t.Error("nothing is said to be unproved")
		}
	})
}

// TestARetiredKeyOpensNoOldCopy has an old copy of a row put back after the data
// key that it was sealed under was retired.
func TestARetiredKeyOpensNoOldCopy(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		w := newWorld(t, s, 1)
		k := w.aKey(t)
		old := w.read(t, keysTable, k.ID)
		w.replaceKey(t, k.ID)
		w.reseal(t)
		err := s.Update(t.Context(), authn.Rotator, func(tx store.Tx) error {
			_, err := tx.EncryptionKeys.Update(t.Context(), old["api_key_key_id"].(string), func(k *store.EncryptionKey) error {
				k.RevokedDigest, k.ActiveDigest, k.RevokedAt, k.WrappedKey = k.ActiveDigest, "", now(), ""
				return nil
			})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Ring.Reload(t.Context(), s.DB, authn.Keyholder); err != nil {
			t.Fatal(err)
		}
		if s.Postgres { // which holds the row to a key that is in use
			s.Exec(t, "UPDATE ai_provider_keys SET api_key = $2, secret_revision = $3, fingerprint = $4 WHERE id = $1",
				k.ID, old["api_key"], old["secret_revision"], old["fingerprint"])
		} else {
			w.write(t, keysTable, old)
		}
		if lost := unopened(t, w); len(lost) != 1 {
			t.Errorf("%v do not open", lost)
		}
		problems := map[custody.Problem]bool{}
		for _, f := range w.verify(t).Findings {
			problems[f.Problem] = f.Ref == k.Ref()
		}
		if !problems[custody.Unreadable] || !problems[custody.RolledBack] || len(problems) != 2 {
			t.Errorf("found %v", problems)
		}
	})
}

// TestVerifyGoesOnAfterAnOrphan takes a provider away from beneath its keys, as
// a tool can that does not ask SQLite for foreign keys.
func TestVerifyGoesOnAfterAnOrphan(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		w := newWorld(t, s, 1)
		p := w.aProvider(t)
		k := w.addKey(t, p)
		s.Exec(t, "DELETE FROM ai_providers WHERE id = $1", p.ID)
		accused := map[store.Ref]bool{}
		for _, f := range w.verify(t).Findings {
			accused[f.Ref] = true
		}
		if !accused[p.Ref()] || !accused[k.Ref()] || len(accused) != 2 {
			t.Errorf("accused are %v", accused)
		}
		if _, err := custody.Wipe(t.Context(), s.DB, dbgen.Owner); err != nil {
			t.Errorf("wiping ends with %v", err)
		}
	})
}
