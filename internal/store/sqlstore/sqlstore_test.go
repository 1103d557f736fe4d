package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/catalog"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

func TestEveryQueryIsPortable(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		if err := sqlstore.Prepared(t.Context(), s.Backend); err != nil {
			t.Error(err)
		}
	})
}

func TestMigrationsGoDownAndUpAgain(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		p := dbgen.Provider(t, s.DB, store.Provider{})
		dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: p.ID})
		if err := sqlstore.MigrateTo(t.Context(), s.Backend, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Raw.ExecContext(t.Context(), "SELECT 1 FROM ai_providers"); err == nil {
			t.Error("the tables are still there")
		}
		if err := sqlstore.Up(t.Context(), s.Backend); err != nil {
			t.Fatal(err)
		}
		again := storetest.Open(t, s.Config)
		dbgen.Provider(t, again.DB, store.Provider{Name: p.Name})
	})
}

func TestNewerDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		applied := "TRUE"
		if !s.Postgres {
			applied = "1"
		}
		s.Exec(t, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, "+applied+")")
		_, err := sqlstore.Open(t.Context(), s.Config)
		if err == nil || !strings.Contains(err.Error(), "run the newer gatehouse") {
			t.Errorf("err = %v", err)
		}
	})
}

func TestManyServersSetUpOnce(t *testing.T) {
	t.Parallel()
	storetest.EachConfig(t, func(t *testing.T, cfg sqlstore.Config) {
		if cfg.Path != "" {
			t.Skip("one process at a time has a SQLite file: the lock on the data directory sees to it")
		}
		var inside, most, calls int
		var mu sync.Mutex
		cfg.Initialise = func(context.Context, *sqlstore.Backend) error {
			mu.Lock()
			inside++
			calls++
			most = max(most, inside)
			mu.Unlock()
			mu.Lock()
			inside--
			mu.Unlock()
			return nil
		}
		ids := make([]string, 6)
		var wg sync.WaitGroup
		for i := range ids {
			wg.Go(func() {
				b, err := sqlstore.Open(t.Context(), cfg)
				if err != nil {
					t.Error(err)
					return
				}
				ids[i] = b.Installation()
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, id := range ids {
			if id != ids[0] || id == "" {
				t.Errorf("installations %q", ids)
			}
		}
		if most != 1 || calls != 6 {
			t.Errorf("%d initialised at once, %d in all", most, calls)
		}
	})
}

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

func TestGenerationAndRevision(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		ctx := t.Context()
		generation := func() (g int64) {
			if err := s.View(ctx, authn.Compiler, func(tx store.Tx) (err error) { g, err = tx.Changes.Generation(ctx); return err }); err != nil {
				t.Fatal(err)
			}
			return g
		}
		start := generation()
		p := dbgen.Provider(t, s.DB, store.Provider{})
		k := dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: p.ID})
		if g := generation(); g != start+2 {
			t.Errorf("after two changes the generation went from %d to %d", start, g)
		}
		// An edit that changes nothing leaves no trace.
		before, entries := generation(), len(s.Audit(t))
		err := s.Update(ctx, dbgen.Owner, func(tx store.Tx) error {
			_, err := tx.Providers.Update(ctx, p.ID, func(*store.Provider) error { return nil })
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if generation() != before || len(s.Audit(t)) != entries {
			t.Error("an edit that changes nothing raised the generation or was written down")
		}
		// Nor does a last use.
		at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
		for _, use := range []time.Time{at, at.Add(-time.Hour)} {
			err = s.Update(ctx, authn.Recorder, func(tx store.Tx) error {
				return tx.LastUse.Touch(ctx, []store.Use{{Resource: rbac.AIProviderKey, ID: k.ID, At: use}})
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if generation() != before {
			t.Error("a last use raised the generation")
		}
		err = s.View(ctx, authn.Compiler, func(tx store.Tx) error {
			got, err := tx.ProviderKeys.Get(ctx, k.ID)
			if err != nil || !got.LastUsedAt.Equal(at) {
				t.Errorf("last used at %v, %v", got.LastUsedAt, err)
			}
			now, err := tx.Providers.Get(ctx, p.ID)
			if err != nil || now.Revision != 2 {
				t.Errorf("revision %d, %v: the new key should have raised it", now.Revision, err)
			}
			changes, complete, err := tx.Changes.Since(ctx, start)
			if err != nil || !complete {
				t.Fatalf("changes: %v, complete %v", err, complete)
			}
			want := []store.Change{{Generation: start + 1, Resource: rbac.AIProvider, ID: p.ID}, {Generation: start + 2, Resource: rbac.AIProvider, ID: p.ID}}
			if d := cmp.Diff(changes, want); d != "" {
				t.Error(d)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestReplicaTooFarBehindIsTold(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		ctx := t.Context()
		for range 3 {
			dbgen.Provider(t, s.DB, store.Provider{})
		}
		s.Exec(t, "DELETE FROM changes WHERE generation < 3")
		err := s.View(ctx, authn.Compiler, func(tx store.Tx) error {
			if _, complete, err := tx.Changes.Since(ctx, 1); complete || err != nil {
				t.Errorf("from 1: complete %v, %v", complete, err)
			}
			if _, complete, err := tx.Changes.Since(ctx, 2); !complete || err != nil {
				t.Errorf("from 2: complete %v, %v", complete, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestWritersTakeTurns(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		ctx := t.Context()
		p := dbgen.Provider(t, s.DB, store.Provider{BaseURL: "http://h/"})
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				err := s.Update(ctx, dbgen.Owner, func(tx store.Tx) error {
					_, err := tx.Providers.Update(ctx, p.ID, func(p *store.Provider) error { p.BaseURL += "x"; return nil })
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		err := s.View(ctx, dbgen.Owner, func(tx store.Tx) error {
			got, err := tx.Providers.Get(ctx, p.ID)
			if got.BaseURL != "http://h/xxxxxxxx" || got.Revision != 9 {
				t.Errorf("base_url %s, revision %d", got.BaseURL, got.Revision)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range s.Audit(t) {
			if e.Index != int64(i+1) {
				t.Fatalf("entry %d has index %d", i, e.Index)
			}
		}
	})
}

func TestRollbackLeavesNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		ctx := t.Context()
		boom := errors.New("boom")
		entries := len(s.Audit(t))
		err := s.Update(ctx, dbgen.Owner, func(tx store.Tx) error {
			if _, err := tx.Providers.Insert(ctx, store.Provider{ID: dbgen.ID(), Type: store.TypeOpenAI, Name: "gone", BaseURL: "http://h", Strategy: store.InOrder}); err != nil {
				return err
			}
			return boom
		})
		if !errors.Is(err, boom) {
			t.Fatal(err)
		}
		err = s.View(ctx, dbgen.Owner, func(tx store.Tx) error { _, err := tx.Providers.Get(ctx, "gone"); return err })
		if !errors.Is(err, store.ErrNotFound) || len(s.Audit(t)) != entries {
			t.Errorf("get: %v; entries went from %d to %d", err, entries, len(s.Audit(t)))
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

func TestDatabaseAwayIsUnavailable(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		if s.Postgres {
			s.Exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
			// The pool may have noticed already; what must not be is another error.
			if err := s.Backend.Ping(t.Context()); err != nil && !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("err = %v", err)
			}
			return
		}
		ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
		defer cancel()
		err := s.Update(ctx, dbgen.Owner, func(tx store.Tx) error { return tx.Changes.Lock(ctx) })
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("err = %v", err)
		}
	})
}

// A connection that is lost at the commit leaves open whether the change was
// made, and nothing may claim that it was not.
func TestLostCommitIsUncertain(t *testing.T) {
	t.Parallel()
	var s *storetest.Store
	armed := false
	s = storetest.Open(t, sqlstore.Config{
		URL: secret.New(storetest.NewPostgres(t)),
		Before: func(_ context.Context, statement string) error {
			if armed && statement == "COMMIT" {
				s.Exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'")
			}
			return nil
		},
	})
	armed = true
	err := s.Update(t.Context(), dbgen.Owner, func(tx store.Tx) error {
		_, err := tx.Users.Insert(t.Context(), store.User{ID: dbgen.ID(), Name: "x", Roles: store.SetOf("member")})
		return err
	})
	if !errors.Is(err, store.ErrUncertain) || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("err = %v", err)
	}
}

// What rbac can refuse without a record is refused before there is a
// transaction: nobody can stall others by being refused.
func TestRefusedBeforeATransaction(t *testing.T) {
	t.Parallel()
	storetest.EachConfig(t, func(t *testing.T, cfg sqlstore.Config) {
		var statements []string
		cfg.Before = func(_ context.Context, statement string) error {
			statements = append(statements, statement)
			return nil
		}
		s := storetest.Open(t, cfg)
		ctx := t.Context()
		member := dbgen.Actor(store.User{ID: dbgen.ID(), Roles: store.SetOf("member")}, rbac.ScopeAll)
		for _, who := range []store.Actor{{}, member} {
			statements = nil
			err := s.Update(ctx, who, func(tx store.Tx) error {
				return catalog.Delete(ctx, tx, "anything", catalog.AnyRevision)
			})
			if !errors.Is(err, store.ErrDenied) || len(statements) != 0 {
				t.Errorf("%s: %v, after %q", who.Name, err, statements)
			}
		}
		if err := s.View(ctx, dbgen.Owner, func(tx store.Tx) error { return tx.Changes.Lock(ctx) }); err == nil && len(statements) == 0 {
			t.Error("the control: nothing is noticed of a transaction that there is")
		}
	})
}
