package crash_test

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/gatehousehq/gatehouse/internal/datadir"
)

// A step does one thing to a world. It tells w.held, within the transaction,
// which secrets there are afterwards; one that has nothing to work on does
// something else.
type step func(ctx context.Context, w *world) error

// workload is every kind of step, in an order that the world's seed decides, some
// rounds of it. Steps that have to stay in order are a list of their own, between
// two rounds.
//
// In the first and the last round the WAL is checkpointed in every mode there is
// and the store is restarted. The rounds in between leave it to SQLite, as a
// server does that just runs.
func workload(w *world) []step {
	return slices.Concat(
		shuffled(w, changes(), checkpoints()),
		[]step{rotate},
		ownCheckpoint(w, slices.Concat(shuffled(w, changes(), bulk()), shuffled(w, changes(), bulk()))),
		[]step{rotate, restart},
		shuffled(w, changes(), checkpoints()),
	)
}

// brief is a workload for controls, which need little to fail.
func brief(w *world) []step { return shuffled(w, changes(), checkpoints()) }

func changes() []step {
	return []step{
		createProvider, createProvider, createProvider, createBedrock, createBedrock,
		renameProvider, moveWithinOrigin, moveToOtherOrigin, editSettings, clearSettings,
		addKey, addKey, replaceKeys, reorderKeys, editKey, removeKey,
		deleteProvider, restoreProvider, purgeProvider,
		mintToken, revokeToken, createUser, editUser, createRole,
		observe, observe, pruneAudit,
	}
}

func checkpoints() []step {
	return []step{checkpoint("PASSIVE"), checkpoint("PASSIVE"), checkpoint("RESTART"), checkpoint("TRUNCATE"), restart}
}

func bulk() []step { return []step{seedProviders, seedProviders} }

func shuffled(w *world, lists ...[]step) []step {
	out := slices.Concat(lists...)
	w.rng.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// ownCheckpoint is those steps, and holds that SQLite made a checkpoint by itself
// in their course.
func ownCheckpoint(w *world, steps []step) []step {
	before := 0
	begin := func(context.Context, *world) error {
		before = w.rec.writes(datadir.Database)
		return nil
	}
	end := func(context.Context, *world) error {
		if w.rec.writes(datadir.Database) == before {
			return errors.New("the WAL was not long enough for SQLite to make a checkpoint")
		}
		return nil
	}
	return slices.Concat([]step{begin}, steps, []step{end})
}

func (w *world) play(ctx context.Context, steps []step) error {
	for i, do := range steps {
		if err := do(ctx, w); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	return nil
}
