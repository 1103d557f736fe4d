package keysync_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/keypool"
	"github.com/gatehousehq/gatehouse/internal/keysync"
	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}

// replica starts a pool and a syncer over db, and ends it with the test.
func replica(t *testing.T, db *store.DB) *keypool.Pool {
	t.Helper()
	pool := keypool.New(time.Now, keypool.Config{})
	s := keysync.New(keysync.Config{DB: db, Who: authn.KeyWatcher, Pool: pool, Shared: true, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		s.Run(ctx)
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return pool
}

// eventually waits until the pool has the key in that state, and returns how long
// that took.
func eventually(t *testing.T, pool *keypool.Pool, id, state string) time.Duration {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for pool.State(routing.Key{ID: id}).Name != state {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("after %v the key is %s, want %s", time.Since(began), pool.State(routing.Key{ID: id}).Name, state)
		}
		<-tick.C
	}
	return time.Since(began)
}

func TestReplicasHearOfEachOther(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		a, b := replica(t, s.DB), replica(t, s.DB)
		id := dbgen.ID()
		a.Report(id, keypool.Outcome{Reason: keypool.Unauthorized, Status: 401})
		took := eventually(t, b, id, keypool.Failed)
		t.Logf("a failure is known after %v", took)
		if e, ok := b.LastError(id); !ok || e.Status != 401 || e.Reason != keypool.Unauthorized {
			t.Errorf("its last error there is %+v", e)
		}
		b.Report(id, keypool.Outcome{})
		eventually(t, a, id, keypool.Ready)

		// One that starts later knows it from before.
		a.Report(id, keypool.Outcome{Reason: keypool.RateLimited, RetryAfter: time.Hour, Status: 429})
		eventually(t, b, id, keypool.Cooling)
		c := keypool.New(time.Now, keypool.Config{})
		late := keysync.New(keysync.Config{DB: s.DB, Who: authn.KeyWatcher, Pool: c, Log: slog.New(slog.DiscardHandler), Now: time.Now})
		if err := late.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := c.State(routing.Key{ID: id}); got.Name != keypool.Cooling || time.Until(got.Until) < 50*time.Minute {
			t.Errorf("a server that starts has the key as %+v", got)
		}
	})
}

// With the database away nobody waits, and nothing is lost.
func TestADatabaseThatIsAwayIsCaughtUpWith(t *testing.T) {
	t.Parallel()
	storetest.EachConfig(t, func(t *testing.T, cfg sqlstore.Config) {
		var away atomic.Bool
		cfg.Before = func(context.Context, string) error {
			if away.Load() {
				return errors.New("away")
			}
			return nil
		}
		s := storetest.Open(t, cfg)
		a, b := replica(t, s.DB), replica(t, s.DB)
		away.Store(true)
		one, two := dbgen.ID(), dbgen.ID()
		a.Report(one, keypool.Outcome{Reason: keypool.Unauthorized})
		if a.State(routing.Key{ID: one}).Name != keypool.Failed {
			t.Error("what a replica finds out itself waits for the database")
		}
		a.Report(two, keypool.Outcome{Reason: keypool.RateLimited, RetryAfter: time.Hour})
		a.Report(one, keypool.Outcome{})
		away.Store(false)
		eventually(t, b, two, keypool.Cooling)
		if got := b.State(routing.Key{ID: one}).Name; got != keypool.Ready {
			t.Errorf("the key that recovered meanwhile is %s", got)
		}
	})
}

// What changed just before the end is written.
func TestTheLastChangesAreWritten(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		pool := keypool.New(time.Now, keypool.Config{})
		sync := keysync.New(keysync.Config{DB: s.DB, Who: authn.KeyWatcher, Pool: pool, Log: slog.New(slog.DiscardHandler), Now: time.Now})
		id := dbgen.ID()
		pool.Report(id, keypool.Outcome{Reason: keypool.Unauthorized})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		sync.Run(ctx)
		var states []store.KeyState
		if err := s.View(t.Context(), authn.KeyWatcher, func(tx store.Tx) (err error) {
			states, err = tx.KeyStates.List(t.Context(), time.Time{})
			return err
		}); err != nil || len(states) != 1 || states[0].KeyID != id {
			t.Errorf("got %+v, %v", states, err)
		}
	})
}
