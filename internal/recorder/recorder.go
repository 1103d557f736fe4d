// Package recorder writes the records of requests to the gateway into the store,
// removes them when they are past their retention, and shows them live.
//
// A [Recorder] takes batches and is told of a record more than once without harm:
// whoever hands them over keeps a batch until Write returns nil. A [Feed] shows
// records to whoever listens; it keeps the latest in memory and never waits for
// anybody. Both may be used by any number of goroutines at once.
//
// What no token was accepted for is neither written nor shown: those who knock
// cannot fill the database. They are counted in the metrics and the audit log.
package recorder

import (
	"context"
	"log/slog"
	"time"

	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/usage"
)

// Config is what a [Recorder] works on. All fields but Retention are required.
type Config struct {
	DB *store.DB
	// Writer may add records, and Archivist remove them.
	Writer, Archivist store.Actor
	// Retention is how long records are kept; zero is for ever.
	Retention time.Duration
	Log       *slog.Logger
	Now       func() time.Time
}

// A Recorder writes records, and removes old ones.
type Recorder struct{ cfg Config }

// New returns a Recorder.
func New(cfg Config) *Recorder { return &Recorder{cfg} }

// Write writes a batch: all of it when it returns nil, and otherwise it is to be
// handed over again. What no database could take is changed so that it can, or
// left out, so that one record never keeps the others waiting.
func (r *Recorder) Write(ctx context.Context, batch []usage.Record) error {
	recs := make([]store.Interception, 0, len(batch))
	for i := range batch {
		if rec, ok := interception(&batch[i]); ok {
			recs = append(recs, rec)
		}
	}
	if len(recs) == 0 {
		return nil
	}
	return r.cfg.DB.Update(ctx, r.cfg.Writer, func(tx store.Tx) error { return tx.Interceptions.Record(ctx, recs) })
}

const (
	// pruneEvery is how often records that are past their retention are looked for.
	// pruneBatch is how many are removed in one transaction, and pruneRest how long
	// others have their turn before the next; pruneTime is how long one may take.
	pruneEvery = 10 * time.Minute
	pruneBatch = 1000
	pruneRest  = 100 * time.Millisecond
	pruneTime  = 10 * time.Second
)

// Run removes records that are past their retention, until ctx is done.
func (r *Recorder) Run(ctx context.Context) {
	if r.cfg.Retention == 0 {
		return
	}
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		if err := r.prune(ctx); err != nil && ctx.Err() == nil {
			r.cfg.Log.WarnContext(ctx, "records past their retention could not be removed; it is tried again", "in", pruneEvery, "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (r *Recorder) prune(ctx context.Context) error {
	before := r.cfg.Now().Add(-r.cfg.Retention)
	for {
		removed, err := r.pruneSome(ctx, before)
		if err != nil || removed < pruneBatch {
			return err
		}
		select {
		case <-time.After(pruneRest):
		case <-ctx.Done():
			return nil
		}
	}
}

// pruneSome removes a batch. The end of the server does not cut it off: it is
// short, and a transaction that is cut off outlives the closing of the database.
func (r *Recorder) pruneSome(ctx context.Context, before time.Time) (removed int64, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pruneTime)
	defer cancel()
	err = r.cfg.DB.Update(ctx, r.cfg.Archivist, func(tx store.Tx) (err error) {
		removed, err = tx.Interceptions.Prune(ctx, before, pruneBatch)
		return err
	})
	return removed, err
}
