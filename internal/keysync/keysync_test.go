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

// A member is one replica.
type member struct {
	*keypool.Pool
	sync       *keysync.Syncer
	generation atomic.Int64
}

// replica starts one over db, and ends it with the test.
func replica(t *testing.T, db *store.DB) *keypool.Pool { return join(t, db).Pool }

func join(t *testing.T, db *store.DB) *member {
	t.Helper()
	pool := keypool.New(time.Now, keypool.Config{})
	m := &member{Pool: pool}
	self := store.Replica{ID: dbgen.ID(), Name: "test", Version: "test", StartedAt: time.Now()}
	if err := db.Update(t.Context(), authn.Keyholder, func(tx store.Tx) error { return tx.Replicas.Beat(t.Context(), self) }); err != nil {
		t.Fatal(err)
	}
	s := keysync.New(keysync.Config{
		DB: db, Who: authn.KeyWatcher, Pool: pool, Shared: true, Self: self.ID, Generation: m.generation.Load,
		Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	m.sync = s
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
	return m
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

// A key is drained when nobody has a request with it under way, and everybody
// serves from a configuration without it.
func TestDrainWaitsForEveryReplica(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		a, b := join(t, s.DB), join(t, s.DB)
		a.generation.Store(7)
		id := dbgen.ID()
		flight := b.Begin(id)
		done := make(chan bool, 1)
		go func() { done <- a.sync.Drain(t.Context(), id, 7) }()
		not := func(when string) {
			t.Helper()
			// Longer than a replica needs to answer and a key to be quiet.
			within, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			select {
			case <-done:
				t.Fatalf("drained %s", when)
			case <-within.Done():
			}
		}
		not("while the other has a request under way")
		flight.End()
		not("while the other serves from an older configuration")
		b.generation.Store(7)
		select {
		case ok := <-done:
			if !ok {
				t.Error("not drained")
			}
		case <-time.After(20 * time.Second):
			t.Fatal("a drain does not end")
		}
		var left []store.KeyDrain
		if err := s.View(t.Context(), authn.KeyWatcher, func(tx store.Tx) (err error) {
			left, err = tx.KeyStates.Drains(t.Context())
			return err
		}); err != nil || len(left) != 0 {
			t.Errorf("left behind: %+v, %v", left, err)
		}

		// It does not wait longer than it may.
		defer a.Begin(id).End()
		short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if a.sync.Drain(short, id, 7) {
			t.Error("drained with a request under way here")
		}
	})
}
