package sqlstore_test

import (
	"context"
	"errors"
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
