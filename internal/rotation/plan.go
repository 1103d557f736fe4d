package rotation

import (
	"context"

	"github.com/gatehousehq/gatehouse/internal/keyring"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// A State is where a rotation is.
type State string

// The states, in the order of a full rotation.
const (
	Idle         State = "idle"
	Requested    State = "requested"    // about to begin: the data keys are wrapped by the newest KEK first
	Distributing State = "distributing" // a new data key is waiting for every replica to have it
	Resealing    State = "resealing"    // what is under older ones is sealed again
)

// A plan is what the rows of dbcrypt_keys say is to be done.
type plan struct {
	primary store.EncryptionKey
	active  []store.EncryptionKey // of all purposes
	pending *store.EncryptionKey
	older   []store.EncryptionKey // were primary once, and are in use
}

func planOf(rows []store.EncryptionKey) (p plan) {
	p.primary, _ = keyring.PrimaryOf(rows)
	for _, k := range rows {
		if !k.Active() {
			continue
		}
		p.active = append(p.active, k)
		switch {
		case k.Purpose != store.ForSealing || k.ActiveDigest == p.primary.ActiveDigest:
		case k.PromotedAt.IsZero():
			p.pending = &k
		default:
			p.older = append(p.older, k)
		}
	}
	return p
}

func (p plan) state() State {
	switch {
	case p.pending != nil:
		return Distributing
	case len(p.older) > 0:
		return Resealing
	case p.primary.Rotation != store.NoRotation:
		return Requested
	}
	return Idle
}

// notWrappedBy returns the data keys that another KEK wraps.
func (p plan) notWrappedBy(kekID string) (out []store.EncryptionKey) {
	for _, k := range p.active {
		if k.KEKID != kekID {
			out = append(out, k)
		}
	}
	return out
}

// A Status is how the encryption keys are.
type Status struct {
	State State
	// Mode is what was asked for, if that has not begun.
	Mode store.Rotation
	// Cells are all there are, and Done those under the primary data key.
	Cells, Done int64
	Keys        []Key
	Replicas    []store.Replica
	Epoch       int64
}

// A Key is a data key and how many cells are sealed under it.
type Key struct {
	store.EncryptionKey
	Primary bool
	Cells   int64
}

// Read returns the status as one transaction sees it.
func Read(ctx context.Context, tx store.Tx) (s Status, err error) {
	rows, err := tx.EncryptionKeys.List(ctx, store.Query{})
	if err != nil {
		return s, err
	}
	counts, err := tx.Cells.Count(ctx)
	if err != nil {
		return s, err
	}
	if s.Replicas, err = tx.Replicas.List(ctx); err != nil {
		return s, err
	}
	if s.Epoch, err = tx.Changes.KeyEpoch(ctx); err != nil {
		return s, err
	}
	p := planOf(rows)
	s.State, s.Mode = p.state(), p.primary.Rotation
	under := map[string]int64{}
	for _, c := range counts {
		under[c.KeyID] += c.Cells
		s.Cells += c.Cells
	}
	s.Done = under[p.primary.ActiveDigest]
	for _, k := range rows {
		s.Keys = append(s.Keys, Key{k, k.ActiveDigest == p.primary.ActiveDigest && k.Active(), under[k.ActiveDigest]})
	}
	return s, nil
}

// Request asks for a rotation. While one is under way it asks for nothing more.
func Request(ctx context.Context, tx store.Tx, mode store.Rotation) error {
	if _, err := tx.Changes.KeyEpoch(ctx); err != nil { // which waits for its turn
		return err
	}
	rows, err := tx.EncryptionKeys.List(ctx, store.Query{})
	if err != nil {
		return err
	}
	p := planOf(rows)
	if p.state() == Distributing || p.state() == Resealing {
		return nil
	}
	_, err = tx.EncryptionKeys.Update(ctx, p.primary.ActiveDigest, func(k *store.EncryptionKey) error {
		if k.Rotation != store.FullRotation { // which does what the other does, too
			k.Rotation = mode
		}
		return nil
	})
	return err
}
