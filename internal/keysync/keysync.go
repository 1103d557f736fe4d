// Package keysync tells the replicas of an installation how provider keys fare,
// and a server that starts how they fared before.
//
// What the pool of this process finds out is written down when it changes, and
// what others found out is read twice a second. No request waits for that: with
// the database away each process goes by what it finds out itself, and what it
// could not write it writes later. Of two findings the later counts, by the clocks
// of those who made them, which must not be more than a minute apart.
//
// A Syncer is loaded once, and then run once.
package keysync

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/gatehousehq/gatehouse/internal/keypool"
	"github.com/gatehousehq/gatehouse/internal/store"
)

const (
	// gather is how long changes are collected before they are written.
	gather = 50 * time.Millisecond
	// every is how often the findings of others are read, and what could not be
	// written is tried again.
	every = 500 * time.Millisecond
	// overlap is how much further back each look goes than the one before: clocks
	// differ, and what is written is not seen at once.
	overlap = time.Minute
	// keep is how long findings are kept.
	keep = 24 * time.Hour
	// forgetEvery is how often older ones are removed.
	forgetEvery = time.Hour
	// within bounds each transaction, and lastWithin the one at the end.
	within     = 5 * time.Second
	lastWithin = time.Second
)

// Config is what a Syncer works with. All fields are required.
type Config struct {
	DB   *store.DB
	Who  store.Actor
	Pool *keypool.Pool
	// Self is the id of this replica, and Generation that of the configuration it
	// serves from.
	Self       string
	Generation func() int64
	// Shared is whether other processes use the same database.
	Shared bool
	Log    *slog.Logger
	Now    func() time.Time
}

// A Syncer keeps the pool of this process in step with those of others.
type Syncer struct {
	cfg      Config
	readAt   time.Time // when the findings of others were read last
	forgetAt time.Time
	failing  bool
	said     map[string]store.KeyDrain // of this replica, by key id

	mu   sync.Mutex
	busy map[string]time.Time // when a key that is drained had a request under way last
}

// New returns a Syncer.
func New(cfg Config) *Syncer {
	return &Syncer{cfg: cfg, said: map[string]store.KeyDrain{}, busy: map[string]time.Time{}}
}

// Load takes in what is known from before.
func (s *Syncer) Load(ctx context.Context) error {
	s.readAt = s.cfg.Now().Add(overlap - keep)
	return s.read(ctx)
}

// Run writes and reads until ctx is done, and writes a last time.
func (s *Syncer) Run(ctx context.Context) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWithin)
			defer cancel()
			_ = s.write(ctx) // best effort: others find it out themselves
			return
		case <-s.cfg.Pool.Changed():
			select {
			case <-time.After(gather):
			case <-ctx.Done():
			}
			s.note(ctx, s.write(ctx))
		case <-tick.C:
			s.note(ctx, s.step(ctx))
		}
	}
}

// step writes what is left from before, reads, and removes what is old.
func (s *Syncer) step(ctx context.Context) error {
	if err := s.write(ctx); err != nil {
		return err
	}
	if s.cfg.Shared {
		if err := s.read(ctx); err != nil {
			return err
		}
		if err := s.answer(ctx); err != nil {
			return err
		}
	}
	now := s.cfg.Now()
	if now.Before(s.forgetAt) {
		return nil
	}
	s.forgetAt = now.Add(forgetEvery)
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error { return tx.KeyStates.Forget(ctx, now.Add(-keep)) })
}

// write writes down what changed here.
func (s *Syncer) write(ctx context.Context) error {
	found := s.cfg.Pool.TakeChanges()
	if len(found) == 0 {
		return nil
	}
	states := make([]store.KeyState, len(found))
	for i, f := range found {
		states[i] = store.KeyState{KeyID: f.KeyID, Reason: string(f.Reason), Status: int64(f.Status), Since: f.Since, Until: f.Until, Wait: f.Wait}
	}
	err := s.update(ctx, func(ctx context.Context, tx store.Tx) error { return tx.KeyStates.Note(ctx, states) })
	if err != nil {
		s.cfg.Pool.Return(found)
	}
	return err
}

// read takes in what others wrote since the last time.
func (s *Syncer) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	now := s.cfg.Now()
	var states []store.KeyState
	err := s.cfg.DB.View(ctx, s.cfg.Who, func(tx store.Tx) (err error) {
		states, err = tx.KeyStates.List(ctx, s.readAt.Add(-overlap))
		return err
	})
	if err != nil {
		return err
	}
	found := make([]keypool.Finding, len(states))
	for i, k := range states {
		found[i] = keypool.Finding{KeyID: k.KeyID, Reason: keypool.Reason(k.Reason), Status: int(k.Status), Since: k.Since, Until: k.Until, Wait: k.Wait}
	}
	s.cfg.Pool.Merge(found)
	s.readAt = now
	return nil
}

func (s *Syncer) update(ctx context.Context, fn func(context.Context, store.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return s.cfg.DB.Update(ctx, s.cfg.Who, func(tx store.Tx) error { return fn(ctx, tx) })
}

// note logs once when writing or reading begins to fail, and once when it works
// again.
func (s *Syncer) note(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	if err != nil && !s.failing {
		s.cfg.Log.WarnContext(ctx, "states of provider keys are not shared", "error", err)
	} else if err == nil && s.failing {
		s.cfg.Log.InfoContext(ctx, "states of provider keys are shared again")
	}
	s.failing = err != nil
}
