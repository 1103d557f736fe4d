package crash_test

import (
	"context"
	"errors"
	"log/slog"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/rotation"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
)

// resealedAtOnce is small, so that a rotation has several batches.
const resealedAtOnce = 5

// rotate rotates the data keys, each step a change of its own.
func rotate(ctx context.Context, w *world) error { return w.rotate(ctx, func() bool { return false }) }

// rotate takes the steps of a rotation until it is finished or stop says so.
func (w *world) rotate(ctx context.Context, stop func() bool) error {
	id := dbgen.ID()
	keeper, rotator := rotation.New(rotation.Config{
		DB: w.DB, Ring: w.ring, Self: store.Replica{ID: id, Name: "crash", StartedAt: w.now()}, Batch: resealedAtOnce,
		Keyholder: authn.Keyholder, Rotator: authn.Rotator, Log: slog.New(slog.DiscardHandler), Now: w.now,
	})
	if err := keeper.Announce(ctx); err != nil {
		return err
	}
	err := w.Update(ctx, dbgen.Owner, func(tx store.Tx) error { return rotation.Request(ctx, tx, store.FullRotation) })
	if err != nil {
		return err
	}
	for more := true; more && !stop(); {
		if more, err = rotator.Step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// retireEarly is a rotation that retires the old data key one batch too early,
// with the foreign keys out of the way that would not let it.
func retireEarly(ctx context.Context, w *world) error {
	old, left := w.ring.Current().Primary.Digest, int64(0)
	err := w.rotate(ctx, func() bool {
		var counts []store.CellCount
		err := w.View(ctx, authn.Rotator, func(tx store.Tx) (err error) {
			counts, err = tx.Cells.Count(ctx)
			return err
		})
		left = 0
		for _, c := range counts {
			if c.KeyID == old {
				left += c.Cells
			}
		}
		return err != nil || w.ring.Current().Primary.Digest != old && left <= resealedAtOnce
	})
	if err == nil && left == 0 {
		err = errors.New("there is no batch left to be too early by")
	}
	if err != nil {
		return err
	}
	return w.raw(ctx, `PRAGMA foreign_keys = 0;
		UPDATE dbcrypt_keys SET revoked_key_digest = active_key_digest, active_key_digest = NULL, wrapped_key = x'' WHERE active_key_digest = '`+old+`'`)
}
