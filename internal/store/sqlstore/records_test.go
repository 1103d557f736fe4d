package sqlstore_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

func TestRecordsComeBackAsTheyWentIn(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		ctx := t.Context()
		expires := time.Date(2031, 2, 3, 4, 5, 6, 123456000, time.FixedZone("x", 9*3600))
		p := dbgen.Provider(t, s.DB, store.Provider{Type: store.TypeAnthropic, Name: "a-1", DisplayName: "Ä 'q' $1 ?1", BaseURL: "https://h.example"})
		k := dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: p.ID, Label: "l", Position: 7, ExpiresAt: expires, Disabled: true})
		u := dbgen.User(t, s.DB, store.User{})
		a, _ := dbgen.APIKey(t, s.DB, u, store.APIKey{
			Scopes: store.SetOf("gateway:use", "gateway:passthrough"), Providers: store.SetOf("a-1"), Models: store.SetOf("m", "n*"), ExpiresAt: expires,
		})
		err := s.View(ctx, dbgen.Owner, func(tx store.Tx) error {
			byID, err := tx.Providers.Get(ctx, p.ID)
			if err != nil {
				return err
			}
			byName, err := tx.Providers.Get(ctx, "a-1")
			if err != nil {
				return err
			}
			if byID != byName || byID.DisplayName != p.DisplayName || byID.Type != store.TypeAnthropic || !byID.Enabled || byID.Deleted || byID.Revision != 2 {
				t.Errorf("provider = %+v", byID)
			}
			key, err := tx.ProviderKeys.Get(ctx, k.ID)
			if err != nil {
				return err
			}
			k.BaseURL = p.BaseURL // read with it
			if key != k || !key.ExpiresAt.Equal(expires) || key.ExpiresAt.Location() != time.UTC || !key.APIKey.IsSealed() || key.KeyID != s.Ring.Current().Primary.Digest {
				t.Errorf("key = %+v, want %+v", key, k)
			}
			tok, err := tx.APIKeys.Get(ctx, a.ID)
			if err != nil {
				return err
			}
			if tok != a || tok.OwnerName != u.Name || cmp.Diff(tok.Models.Slice(), []string{"m", "n*"}) != "" {
				t.Errorf("token = %+v, want %+v", tok, a)
			}
			got, err := tx.Users.Get(ctx, u.Name)
			if err == nil && got != u {
				t.Errorf("user = %+v, want %+v", got, u)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		err = s.View(ctx, dbgen.Owner, func(tx store.Tx) error {
			for _, id := range []string{"", "nope", "0190a5a0-0000-7000-8000-000000000000", "' OR 1=1 --", strings.Repeat("x", 5000)} {
				if _, err := tx.Providers.Get(ctx, id); !errors.Is(err, store.ErrNotFound) {
					t.Errorf("provider %.10q: %v", id, err)
				}
				if _, err := tx.ProviderKeys.Get(ctx, id); !errors.Is(err, store.ErrNotFound) {
					t.Errorf("key %.10q: %v", id, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestRoutesComeBackAsTheyWentIn(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		ctx := t.Context()
		targets := []store.Target{{ProviderID: dbgen.ID(), Provider: "a", Model: "m/<&>'\"ä", Weight: 3}, {ProviderID: dbgen.ID(), Provider: "b", Model: "n"}}
		r := dbgen.Route(t, s.DB, store.Route{Name: "z.1:x", Description: "what 'it' is", Strategy: store.RouteWeighted, Targets: store.TargetsOf(targets...)})
		dbgen.Route(t, s.DB, store.Route{Name: "a"})
		err := s.Update(ctx, dbgen.Owner, func(tx store.Tx) error {
			for _, ref := range []string{r.ID, "z.1:x"} {
				got, err := tx.Routes.Get(ctx, ref)
				if err != nil || got != r || cmp.Diff(targets, got.Targets.Slice()) != "" || got.Revision != 1 {
					t.Errorf("by %s: %+v, %v", ref, got, err)
				}
			}
			for _, id := range []string{"", "z.1", "Z.1:X", dbgen.ID(), "' OR 1=1 --", "\x00"} {
				if _, err := tx.Routes.Get(ctx, id); !errors.Is(err, store.ErrNotFound) {
					t.Errorf("route %q: %v", id, err)
				}
			}
			all, err := tx.Routes.List(ctx, store.Query{})
			if err != nil || len(all) != 2 || all[0].Name != "a" || !all[0].Targets.IsEmpty() || all[1] != r {
				t.Errorf("all: %+v, %v", all, err)
			}
			if rest, err := tx.Routes.List(ctx, store.Query{After: "a", Limit: 1}); err != nil || len(rest) != 1 || rest[0] != r {
				t.Errorf("after a: %+v, %v", rest, err)
			}
			_, err = tx.Routes.Delete(ctx, all[0].ID)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		err = s.Update(ctx, dbgen.Owner, func(tx store.Tx) error {
			_, err := tx.Routes.Insert(ctx, store.Route{ID: dbgen.ID(), Name: "z.1:x", Strategy: store.RouteInOrder})
			return err
		})
		if taken, ok := errors.AsType[*store.ConflictError](err); !ok || taken.Field != "name" {
			t.Errorf("a name twice: %v", err)
		}
	})
}

func TestEveryTypeOfProviderIsStored(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		for _, kind := range store.ProviderTypes() {
			made := dbgen.Provider(t, s.DB, store.Provider{Type: kind, Name: string(kind)})
			err := s.View(t.Context(), dbgen.Owner, func(tx store.Tx) error {
				got, err := tx.Providers.Get(t.Context(), made.ID)
				if err == nil && got.Type != kind {
					t.Errorf("%s came back as %s", kind, got.Type)
				}
				return err
			})
			if err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
		}
		// The control: the database knows no others.
		err := s.Update(t.Context(), dbgen.Owner, func(tx store.Tx) error {
			_, err := tx.Providers.Insert(t.Context(), store.Provider{ID: dbgen.ID(), Type: "gopher", Name: "gopher", BaseURL: "http://h", Strategy: store.InOrder})
			return err
		})
		if err == nil {
			t.Error("a type that there is not was stored")
		}
	})
}

func TestNamesAreUniqueAmongLiveProviders(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		ctx := t.Context()
		first := dbgen.Provider(t, s.DB, store.Provider{Name: "same"})
		err := s.Update(ctx, dbgen.Owner, func(tx store.Tx) error {
			_, err := tx.Providers.Insert(ctx, store.Provider{ID: dbgen.ID(), Type: store.TypeOpenAI, Name: "same", BaseURL: "http://h", Strategy: store.InOrder})
			return err
		})
		if c, ok := errors.AsType[*store.ConflictError](err); !ok || c.Field != "name" {
			t.Fatalf("err = %v", err)
		}
		if err := s.Update(ctx, dbgen.Owner, func(tx store.Tx) error { _, err := tx.Providers.Delete(ctx, first.ID); return err }); err != nil {
			t.Fatal(err)
		}
		second := dbgen.Provider(t, s.DB, store.Provider{Name: "same"})
		err = s.View(ctx, dbgen.Owner, func(tx store.Tx) error {
			live, err := tx.Providers.List(ctx, store.Query{})
			if err != nil || len(live) != 1 || live[0].ID != second.ID {
				t.Errorf("live: %+v, %v", live, err)
			}
			all, err := tx.Providers.List(ctx, store.Query{IncludeDeleted: true})
			if err != nil || len(all) != 2 || !all[0].Deleted || all[0].Enabled {
				t.Errorf("all: %+v, %v", all, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestKeysKeepTheirOrder(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		ctx := t.Context()
		p := dbgen.Provider(t, s.DB, store.Provider{})
		var want []string
		for _, position := range []int64{3, 1, 2, 2} {
			want = append(want, dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: p.ID, Position: position}).ID)
		}
		want = []string{want[1], want[2], want[3], want[0]}
		err := s.View(ctx, dbgen.Owner, func(tx store.Tx) error {
			keys, err := tx.ProviderKeys.List(ctx, store.Query{ProviderID: p.ID})
			var got []string
			for _, k := range keys {
				got = append(got, k.ID)
			}
			if d := cmp.Diff(got, want); d != "" {
				t.Error(d)
			}
			rest, err2 := tx.ProviderKeys.List(ctx, store.Query{ProviderID: p.ID, After: "2 " + want[1], Limit: 1})
			if len(rest) != 1 || rest[0].ID != want[2] {
				t.Errorf("page after the second: %+v", rest)
			}
			// A key that is gone by now stood between the first and the second.
			rest, err3 := tx.ProviderKeys.List(ctx, store.Query{ProviderID: p.ID, After: "2 00000000-0000-7000-8000-000000000000", Limit: 1})
			if len(rest) != 1 || rest[0].ID != want[1] {
				t.Errorf("page after a key that is gone: %+v", rest)
			}
			return errors.Join(err, err2, err3)
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestTheSameKeyTwiceInAProviderIsAConflict(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		ctx := t.Context()
		a, b := dbgen.Provider(t, s.DB, store.Provider{}), dbgen.Provider(t, s.DB, store.Provider{})
		add := func(providerID string) error {
			return s.Update(ctx, dbgen.Owner, func(tx store.Tx) error {
				_, err := tx.ProviderKeys.Insert(ctx, store.ProviderKey{ID: dbgen.ID(), ProviderID: providerID, Position: 1, APIKey: canary})
				return err
			})
		}
		if err := errors.Join(add(a.ID), add(b.ID)); err != nil {
			t.Fatal(err)
		}
		if c, ok := errors.AsType[*store.ConflictError](add(a.ID)); !ok || c.Field != "api_key" {
			t.Errorf("the second time: %v", add(a.ID))
		}
	})
}

func TestPagesMeet(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		ctx := t.Context()
		for i := range 7 {
			dbgen.Provider(t, s.DB, store.Provider{Name: fmt.Sprintf("p%d-x", i)})
		}
		dbgen.Provider(t, s.DB, store.Provider{Name: "p1"})
		var got []string
		err := s.View(ctx, dbgen.Owner, func(tx store.Tx) error {
			for after := ""; ; {
				page, err := tx.Providers.List(ctx, store.Query{After: after, Limit: 3})
				if err != nil || len(page) == 0 {
					return err
				}
				for _, p := range page {
					got = append(got, p.Name)
				}
				last := page[len(page)-1]
				after = last.Name + " " + last.ID
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(got, []string{"p0-x", "p1", "p1-x", "p2-x", "p3-x", "p4-x", "p5-x", "p6-x"}); d != "" {
			t.Error(d)
		}
	})
}

func TestAProviderWithKeysIsNotDeletedUnderThem(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		ctx := t.Context()
		p := dbgen.Provider(t, s.DB, store.Provider{})
		dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: p.ID})
		err := s.Update(ctx, dbgen.Owner, func(tx store.Tx) error { _, err := tx.Providers.Delete(ctx, p.ID); return err })
		if err == nil || !strings.Contains(err.Error(), "still has keys") {
			t.Errorf("err = %v", err)
		}
	})
}

// The statements of rotation change a row only if its secret is still the one
// that was read, and keep its revision.
func TestADeletedProviderIsRestoredOrPurgedAndNothingElse(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		ctx := t.Context()
		p := dbgen.Provider(t, s.DB, store.Provider{Name: "p"})
		edit := func(fn func(*store.Provider)) error {
			return s.Update(ctx, dbgen.Owner, func(tx store.Tx) error {
				_, err := tx.Providers.Update(ctx, p.ID, func(p *store.Provider) error { fn(p); return nil })
				return err
			})
		}
		remove := func() (deleted bool, err error) {
			err = s.Update(ctx, dbgen.Owner, func(tx store.Tx) error {
				p, err := tx.Providers.Delete(ctx, p.ID)
				deleted = p.Deleted
				return err
			})
			return deleted, err
		}
		if err := edit(func(p *store.Provider) { p.Deleted, p.Enabled = true, false }); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("deleted by an edit: %v", err)
		}
		if was, err := remove(); was || err != nil {
			t.Errorf("deleted: it was %v, %v", was, err)
		}
		for name, fn := range map[string]func(*store.Provider){
			"an edit": func(p *store.Provider) { p.DisplayName = "other" }, "no change": func(*store.Provider) {},
		} {
			if err := edit(fn); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s of a deleted provider: %v", name, err)
			}
		}
		if err := edit(func(p *store.Provider) { p.Deleted = false }); err != nil {
			t.Errorf("restored: %v", err)
		}
		for _, wasDeleted := range []bool{false, true} {
			if was, err := remove(); was != wasDeleted || err != nil {
				t.Errorf("removed: it was %v, %v", was, err)
			}
		}
		if _, err := remove(); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("removed once more: %v", err)
		}
	})
}

func TestRotationStatementsCompareAndSet(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		p := dbgen.Provider(t, s.DB, store.Provider{Settings: canary, SettingsPublic: "{}"})
		k := dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: p.ID})
		digest := s.Ring.Current().Primary.Digest
		rotate := func(revision int64) (int64, int64) {
			settings, keys, err := sqlstore.Rotate(t.Context(), s.Backend,
				sqlstore.RotateSettings{ID: p.ID, Settings: []byte("new"), SettingsKeyID: sqlstore.NullString(digest), SecretRevision: revision, OldKeyID: sqlstore.NullString(digest)},
				sqlstore.RotateKey{ID: k.ID, APIKey: []byte("new"), APIKeyKeyID: digest, SecretRevision: revision, OldKeyID: digest})
			if err != nil {
				t.Fatal(err)
			}
			return settings, keys
		}
		if a, b := rotate(2); a != 0 || b != 0 {
			t.Errorf("a stale rotation changed %d and %d rows", a, b)
		}
		if a, b := rotate(1); a != 1 || b != 1 {
			t.Errorf("a rotation changed %d and %d rows", a, b)
		}
	})
}
