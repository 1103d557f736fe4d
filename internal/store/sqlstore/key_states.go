package sqlstore

import (
	"context"
	"time"

	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore/internal/sqlcgen"
)

// keyStates implements [store.KeyStates].
type keyStates struct{ *tx }

func (t keyStates) Note(ctx context.Context, states []store.KeyState) error {
	for _, s := range states {
		if !isID(s.KeyID) {
			continue // no key has it
		}
		if err := t.q.UpsertKeyState(ctx, sqlcgen.UpsertKeyStateParams{
			KeyID: s.KeyID, Reason: s.Reason, Status: s.Status, Since: timestamp(s.Since), LeftUntil: timestamp(s.Until), WaitMs: s.Wait.Milliseconds(),
		}); err != nil {
			return t.mapErr(err)
		}
	}
	return nil
}

func (t keyStates) List(ctx context.Context, since time.Time) ([]store.KeyState, error) {
	rows, err := t.q.GetKeyStates(ctx, timestamp(since))
	return mapRows(rows, func(r sqlcgen.KeyState) store.KeyState {
		return store.KeyState{
			KeyID: r.KeyID, Reason: r.Reason, Status: r.Status, Since: r.Since.UTC(), Until: r.LeftUntil.UTC(),
			Wait: time.Duration(r.WaitMs) * time.Millisecond,
		}
	}), t.mapErr(err)
}

func (t keyStates) Forget(ctx context.Context, before time.Time) error {
	if err := t.q.DeleteKeyStatesBefore(ctx, timestamp(before)); err != nil {
		return t.mapErr(err)
	}
	return t.mapErr(t.q.DeleteKeyDrainsBefore(ctx, timestamp(before)))
}

func (t keyStates) NoteDrain(ctx context.Context, d store.KeyDrain) error {
	if !isID(d.KeyID) || !isID(d.ReplicaID) {
		return store.ErrNotFound
	}
	return t.mapErr(t.q.UpsertKeyDrain(ctx, sqlcgen.UpsertKeyDrainParams{
		KeyID: d.KeyID, ReplicaID: d.ReplicaID, Generation: d.Generation, InFlight: d.InFlight, At: t.now(),
	}))
}

func (t keyStates) Drains(ctx context.Context) ([]store.KeyDrain, error) {
	rows, err := t.q.GetKeyDrains(ctx)
	return mapRows(rows, func(r sqlcgen.KeyDrain) store.KeyDrain {
		return store.KeyDrain{KeyID: r.KeyID, ReplicaID: r.ReplicaID, Generation: r.Generation, InFlight: r.InFlight}
	}), t.mapErr(err)
}

func (t keyStates) EndDrain(ctx context.Context, keyID string) error {
	return t.mapErr(t.q.DeleteKeyDrain(ctx, idOr(keyID)))
}
