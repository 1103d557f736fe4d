package rotation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gatehousehq/gatehouse/internal/keyring"
	"github.com/gatehousehq/gatehouse/internal/store"
)

const (
	// stepTime bounds one step.
	stepTime = time.Minute
	// pace is how many records are sealed again in a second: what is sealed again
	// does not hurry, and what is served meanwhile does.
	pace = 450
)

// A Rotator takes the steps of rotations. Its methods may be called
// concurrently, but for Step; Run once.
type Rotator struct {
	cfg     Config
	trouble *trouble
	kicked  chan struct{}

	seen map[string]sighting
	// pass is how far the cells were walked.
	pass   pass
	failed string // what was logged last
}

// A sighting is when this process noticed that a replica had said something.
// Clocks of others are not trusted for that.
type sighting struct {
	seenAt  time.Time // as the replica wrote it
	noticed time.Time
}

// A pass is one walk over all cells that are not under the primary.
type pass struct {
	primary    string
	after      store.Ref
	unreadable int
}

// Kick has the next step taken at once.
func (r *Rotator) Kick() {
	select {
	case r.kicked <- struct{}{}:
	default: // it has been already
	}
}

// Run takes steps as they come due, until ctx is done.
func (r *Rotator) Run(ctx context.Context) {
	tick := time.NewTicker(r.cfg.Every)
	defer tick.Stop()
	rest := time.NewTimer(0)
	defer rest.Stop()
	for {
		begun := time.Now()
		more, err := r.Step(ctx)
		if ctx.Err() != nil {
			return
		}
		r.note(ctx, err)
		if more && err == nil {
			rest.Reset(r.restAfter(time.Since(begun)))
			select {
			case <-ctx.Done():
				return
			case <-rest.C:
			}
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-r.kicked:
		}
	}
}

// restAfter returns how long to rest from a step that took that long: what is left
// of its time at the pace, and where the database is slower than that, half of
// the time at least.
func (r *Rotator) restAfter(took time.Duration) time.Duration {
	return max(took, time.Duration(r.cfg.Batch)*time.Second/pace-took)
}

// note logs what keeps a rotation waiting when it changes, and shows it to the
// other replicas.
func (r *Rotator) note(ctx context.Context, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == r.failed {
		return
	}
	r.failed = text
	if errors.Is(err, store.ErrUnavailable) {
		return // the keeper says so
	}
	r.trouble.set(text)
	if err != nil {
		r.cfg.Log.WarnContext(ctx, "the rotation of the encryption keys waits", "error", err)
	}
}

// Step takes the next step, if there is one and it is for this replica to take.
// It reports whether there may be another right away. It is not for use beside
// Run.
func (r *Rotator) Step(ctx context.Context) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	var p plan
	var replicas []store.Replica
	var recs []store.Sealed // the next batch, if it is their turn
	err = r.cfg.DB.View(ctx, r.cfg.Rotator, func(tx store.Tx) error {
		rows, err := tx.EncryptionKeys.List(ctx, store.Query{})
		if err != nil {
			return err
		}
		if replicas, err = tx.Replicas.List(ctx); err != nil {
			return err
		}
		if p = planOf(rows); p.state() == Resealing {
			recs, err = r.batch(ctx, tx, p)
		}
		return err
	})
	if err != nil {
		return false, err
	}
	live := r.live(replicas)
	if p.state() == Idle || !r.leads(live) {
		return false, nil
	}
	own := r.cfg.Ring.KEKs()[0]
	asked := p.primary.Rotation
	switch {
	case asked != store.NoRotation && len(p.notWrappedBy(own)) > 0:
		return true, r.rewrap(ctx, p.notWrappedBy(own), live)
	case asked == store.Rewrap:
		return true, r.change(ctx, p.primary, func(k *store.EncryptionKey) { k.Rotation = store.NoRotation })
	case p.pending != nil:
		return true, r.promote(ctx, *p.pending)
	case asked == store.FullRotation:
		return true, r.add(ctx)
	}
	return r.reseal(ctx, p, recs)
}

// live returns the replicas that said something lately, this one included.
func (r *Rotator) live(all []store.Replica) (out []store.Replica) {
	now, seen := r.cfg.Now(), map[string]sighting{}
	for _, rep := range all {
		s, known := r.seen[rep.ID]
		if !known || !s.seenAt.Equal(rep.SeenAt) {
			s = sighting{rep.SeenAt, now}
		}
		seen[rep.ID] = s
		if rep.ID == r.cfg.Self.ID || now.Sub(s.noticed) < r.cfg.Gone {
			out = append(out, rep)
		}
	}
	r.seen = seen
	return out
}

// leads reports whether this replica is the one that takes the steps.
func (r *Rotator) leads(live []store.Replica) bool {
	return len(live) > 0 && live[0].ID == r.cfg.Self.ID // they are in the order of their start
}

// change edits a data key in a transaction of its own, if it is still as it was.
func (r *Rotator) change(ctx context.Context, was store.EncryptionKey, edit func(*store.EncryptionKey)) error {
	return r.update(ctx, func(tx store.Tx) error {
		_, err := tx.EncryptionKeys.Update(ctx, was.ActiveDigest, func(k *store.EncryptionKey) error {
			if *k != was {
				return errMoved
			}
			edit(k)
			return nil
		})
		return err
	})
}

// errMoved is for a step that another process has taken meanwhile.
var errMoved = errors.New("taken by another process")

// update makes a change, and has this process know it.
func (r *Rotator) update(ctx context.Context, fn func(store.Tx) error) error {
	err := r.cfg.DB.Update(ctx, r.cfg.Rotator, fn)
	if errors.Is(err, errMoved) || errors.Is(err, store.ErrNotFound) {
		return nil // look again
	}
	if err != nil {
		return err
	}
	return r.cfg.Ring.Reload(ctx, r.cfg.DB, r.cfg.Keyholder)
}

// rewrap wraps data keys by the first KEK of this replica.
func (r *Rotator) rewrap(ctx context.Context, keys []store.EncryptionKey, live []store.Replica) error {
	own := r.cfg.Ring.KEKs()[0]
	var lack []string
	for _, rep := range live {
		if !has(rep.KEKs, own) {
			lack = append(lack, rep.Name)
		}
	}
	if len(lack) > 0 {
		return fmt.Errorf("the encryption key %s is not at every replica: give it to %s and restart them", keyring.Short(own), strings.Join(lack, ", "))
	}
	for _, k := range keys {
		wrapped, err := r.cfg.Ring.Rewrap(ctx, k)
		if err != nil {
			return err
		}
		if err := r.change(ctx, k, func(k *store.EncryptionKey) { *k = wrapped }); err != nil {
			return err
		}
		r.cfg.Log.InfoContext(ctx, "data key wrapped by another encryption key", "data_key", k.Number, "from", keyring.Short(k.KEKID), "to", keyring.Short(own))
	}
	return nil
}

func has(set store.Set, name string) bool {
	for n := range set.All() {
		if n == name {
			return true
		}
	}
	return false
}

// add adds a data key under which nothing is sealed yet.
func (r *Rotator) add(ctx context.Context) error {
	k, err := r.cfg.Ring.Generate(ctx, store.ForSealing)
	if err != nil {
		return err
	}
	return r.update(ctx, func(tx store.Tx) error {
		rows, err := r.turn(ctx, tx)
		if err != nil {
			return err
		}
		if p := planOf(rows); p.pending != nil || p.primary.Rotation != store.FullRotation {
			return errMoved
		}
		k, err = tx.EncryptionKeys.Insert(ctx, k)
		if err == nil {
			r.cfg.Log.InfoContext(ctx, "new data key", "data_key", k.Number)
		}
		return err
	})
}

// turn waits until nobody else changes anything, and returns the data keys.
func (r *Rotator) turn(ctx context.Context, tx store.Tx) ([]store.EncryptionKey, error) {
	if _, err := tx.Changes.KeyEpoch(ctx); err != nil {
		return nil, err
	}
	return tx.EncryptionKeys.List(ctx, store.Query{})
}

// promote makes the pending data key the primary, once every live replica has
// it. From then on nothing is sealed under an older one: whoever writes is held to
// the newest epoch.
func (r *Rotator) promote(ctx context.Context, pending store.EncryptionKey) error {
	return r.update(ctx, func(tx store.Tx) error {
		epoch, err := tx.Changes.KeyEpoch(ctx)
		if err != nil {
			return err
		}
		replicas, err := tx.Replicas.List(ctx)
		if err != nil {
			return err
		}
		var behind []string
		for _, rep := range r.live(replicas) {
			if rep.KeyEpoch != epoch && rep.ID != r.cfg.Self.ID {
				behind = append(behind, strings.TrimSuffix(rep.Name+": "+rep.KeyError, ": "))
			}
		}
		if len(behind) > 0 {
			return fmt.Errorf("the new data key is not at every replica yet: %s", strings.Join(behind, "; "))
		}
		if r.cfg.Ring.Current().Epoch != epoch {
			return store.ErrKeysChanged
		}
		_, err = tx.EncryptionKeys.Update(ctx, pending.ActiveDigest, func(k *store.EncryptionKey) error {
			if *k != pending {
				return errMoved
			}
			k.PromotedAt = r.cfg.Now()
			r.cfg.Log.InfoContext(ctx, "data key is the primary", "data_key", k.Number)
			return nil
		})
		return err
	})
}

// batch returns the next records to be sealed again.
func (r *Rotator) batch(ctx context.Context, tx store.Tx, p plan) ([]store.Sealed, error) {
	if r.pass.primary != p.primary.ActiveDigest {
		r.pass = pass{primary: p.primary.ActiveDigest}
	}
	return tx.Cells.List(ctx, store.CellQuery{NotUnder: r.pass.primary, After: r.pass.after, Limit: r.cfg.Batch})
}

// reseal seals a batch again, and retires the older data keys when there is
// nothing left to seal.
func (r *Rotator) reseal(ctx context.Context, p plan, recs []store.Sealed) (more bool, err error) {
	if len(recs) == 0 {
		unreadable := r.pass.unreadable
		r.pass = pass{} // what was written meanwhile, or does not open, is looked at again
		return r.retire(ctx, p, unreadable)
	}
	batch := make([]store.Resealing, len(recs))
	for i, rec := range recs {
		batch[i].Old = rec
	}
	var done store.Resealed
	err = r.cfg.DB.Update(ctx, r.cfg.Rotator, func(tx store.Tx) (err error) {
		done, err = tx.Cells.Reseal(ctx, batch)
		return err
	})
	if err != nil {
		return false, err
	}
	r.pass.after = recs[len(recs)-1].Ref()
	r.pass.unreadable += len(done.Unreadable)
	return true, nil
}

// retire ends the use of the older data keys, if nothing is sealed under them.
func (r *Rotator) retire(ctx context.Context, p plan, unreadable int) (more bool, err error) {
	left := int64(0)
	err = r.update(ctx, func(tx store.Tx) error {
		if _, err := r.turn(ctx, tx); err != nil {
			return err
		}
		counts, err := tx.Cells.Count(ctx)
		if err != nil {
			return err
		}
		left = 0
		for _, c := range counts {
			if c.KeyID != p.primary.ActiveDigest {
				left += c.Cells
			}
		}
		if left > 0 {
			return errMoved
		}
		for _, old := range p.older {
			_, err := tx.EncryptionKeys.Update(ctx, old.ActiveDigest, func(k *store.EncryptionKey) error {
				if *k != old {
					return errMoved
				}
				k.Retire(r.cfg.Now())
				return nil
			})
			if err != nil {
				return err
			}
			r.cfg.Log.InfoContext(ctx, "data key retired: nothing is sealed under it any more", "data_key", old.Number)
		}
		return nil
	})
	switch {
	case err != nil:
		return false, err
	case left > 0 && unreadable > 0:
		return false, fmt.Errorf("%d secrets do not open and keep the old data key in use: gatehouse dbcrypt verify names them; give them again, or remove them with gatehouse dbcrypt delete", unreadable)
	}
	return true, nil
}
