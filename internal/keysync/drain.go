package keysync

import (
	"context"
	"time"

	"github.com/gatehousehq/gatehouse/internal/store"
)

const (
	// quiet is how long a key must have had no request for it to be drained: one
	// may have chosen it and not have begun.
	quiet = time.Second
	// lookEvery is how often a drain looks how far it is.
	lookEvery = 100 * time.Millisecond
	// alive is how recently a replica must have been seen to be waited for.
	alive = 10 * time.Second
)

// Drain waits until no replica that lives has a request under way with a key, or
// ctx is done, and reports whether that is so. The key must have been taken out
// of the configuration before, as of that generation or an earlier one.
func (s *Syncer) Drain(ctx context.Context, keyID string, generation int64) bool {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	defer s.endDrain(context.WithoutCancel(ctx), keyID)
	var said store.KeyDrain
	for {
		own := s.progress(keyID)
		done := own.InFlight == 0 && own.Generation >= generation
		if s.cfg.Shared {
			others, err := s.others(ctx, own, own != said, generation)
			if err == nil {
				said = own
			}
			done = done && err == nil && others
		}
		if done {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

// progress says how far this replica is. A key that was in use a moment ago still
// counts as that.
func (s *Syncer) progress(keyID string) store.KeyDrain {
	now := s.cfg.Now()
	n := s.cfg.Pool.InFlight(keyID)
	s.mu.Lock()
	last, known := s.busy[keyID]
	if n > 0 || !known {
		last = now
		s.busy[keyID] = now
	}
	s.mu.Unlock()
	if n == 0 && now.Sub(last) < quiet {
		n = 1
	}
	return store.KeyDrain{KeyID: keyID, ReplicaID: s.cfg.Self, Generation: s.cfg.Generation(), InFlight: n}
}

// others says what this replica has to say, and reports whether the others that
// live are done.
func (s *Syncer) others(ctx context.Context, own store.KeyDrain, news bool, generation int64) (done bool, err error) {
	if news {
		err = s.update(ctx, func(ctx context.Context, tx store.Tx) error { return tx.KeyStates.NoteDrain(ctx, own) })
		if err != nil {
			return false, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var replicas []store.Replica
	var drains []store.KeyDrain
	err = s.cfg.DB.View(ctx, s.cfg.Who, func(tx store.Tx) (err error) {
		if replicas, err = tx.Replicas.List(ctx); err != nil {
			return err
		}
		drains, err = tx.KeyStates.Drains(ctx)
		return err
	})
	if err != nil {
		return false, err
	}
	finished := map[string]bool{}
	for _, d := range drains {
		finished[d.ReplicaID] = finished[d.ReplicaID] || d.KeyID == own.KeyID && d.InFlight == 0 && d.Generation >= generation
	}
	for _, r := range replicas {
		if r.ID != s.cfg.Self && s.cfg.Now().Sub(r.SeenAt) < alive && !finished[r.ID] {
			return false, nil
		}
	}
	return true, nil
}

func (s *Syncer) endDrain(ctx context.Context, keyID string) {
	s.mu.Lock()
	delete(s.busy, keyID)
	s.mu.Unlock()
	if !s.cfg.Shared {
		return
	}
	// Best effort: what stays behind is removed with old states.
	_ = s.update(ctx, func(ctx context.Context, tx store.Tx) error { return tx.KeyStates.EndDrain(ctx, keyID) })
}

// answer says how far this replica is with the keys that others drain.
func (s *Syncer) answer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var drains []store.KeyDrain
	err := s.cfg.DB.View(ctx, s.cfg.Who, func(tx store.Tx) (err error) {
		drains, err = tx.KeyStates.Drains(ctx)
		return err
	})
	if err != nil {
		return err
	}
	keys := map[string]bool{}
	for _, d := range drains {
		keys[d.KeyID] = true
	}
	for id := range s.said {
		if !keys[id] {
			delete(s.said, id)
			s.mu.Lock()
			delete(s.busy, id)
			s.mu.Unlock()
		}
	}
	for id := range keys {
		own := s.progress(id)
		if s.said[id] == own {
			continue
		}
		if err := s.update(ctx, func(ctx context.Context, tx store.Tx) error { return tx.KeyStates.NoteDrain(ctx, own) }); err != nil {
			return err
		}
		s.said[id] = own
	}
	return nil
}
