package recorder

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/gatehousehq/gatehouse/internal/usage"
)

const (
	// queueSize is how many records wait in memory at most.
	queueSize = 20_000
	// batchSize is how many are handed over at once, and batchTime how long the
	// first of them waits for more.
	batchSize = 500
	batchTime = 500 * time.Millisecond
	// writeTime is how long a batch may take. tryAgain is how long a batch that
	// failed rests, and lastTime how long what is left may take at the end.
	writeTime = 10 * time.Second
	tryAgain  = time.Second
	lastTime  = 5 * time.Second
	// sayAgain is how often it is said that records do not get through.
	sayAgain = time.Minute
)

// A Queue holds records in memory until they are written. When it is full, those
// that come are dropped and counted, and when the process is killed it loses what
// it holds.
type Queue struct {
	records chan usage.Record
	held    atomic.Int64 // in the batch that is being written
	dropped atomic.Int64
	log     *slog.Logger
}

// NewQueue returns an empty Queue.
func NewQueue(log *slog.Logger) *Queue {
	return &Queue{records: make(chan usage.Record, queueSize), log: log}
}

// Add adds a record. It never waits.
func (q *Queue) Add(rec usage.Record) {
	select {
	case q.records <- rec:
	default:
		q.dropped.Add(1)
	}
}

// Depth returns how many records wait, and Dropped how many were lost.
func (q *Queue) Depth() int { return len(q.records) + int(q.held.Load()) }

// Dropped returns how many records found the queue full, or could not be written
// before the end.
func (q *Queue) Dropped() int64 { return q.dropped.Load() }

// Ship hands the records to write in batches, each until it takes it, until ctx
// is done; then what is left, for a few seconds.
func (q *Queue) Ship(ctx context.Context, write func(context.Context, []usage.Record) error) {
	var said time.Time
	for ctx.Err() == nil {
		batch := q.collect(ctx)
		for q.write(ctx, batch, write, &said) != nil {
			select {
			case <-time.After(tryAgain):
				continue
			case <-ctx.Done():
			}
			q.finish(ctx, batch, write)
			return
		}
	}
	q.finish(ctx, nil, write)
}

// collect returns the next batch; ctx ends the wait for it.
func (q *Queue) collect(ctx context.Context) []usage.Record {
	var batch []usage.Record
	var full <-chan time.Time
	for len(batch) < batchSize {
		select {
		case rec := <-q.records:
			batch = append(batch, rec)
			q.held.Store(int64(len(batch)))
			if full == nil {
				timer := time.NewTimer(batchTime)
				defer timer.Stop()
				full = timer.C
			}
		case <-full:
			return batch
		case <-ctx.Done():
			return batch
		}
	}
	return batch
}

func (q *Queue) write(ctx context.Context, batch []usage.Record, write func(context.Context, []usage.Record) error, said *time.Time) error {
	if len(batch) == 0 {
		return nil
	}
	// The end of the server is no reason to give up a batch that is on its way.
	timed, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTime)
	defer cancel()
	err := write(timed, batch)
	if err == nil {
		q.held.Store(0)
		return nil
	}
	if now := time.Now(); now.Sub(*said) >= sayAgain {
		*said = now
		q.log.WarnContext(ctx, "records of requests cannot be written; they are kept and it is tried again", "waiting", q.Depth(), "dropped", q.Dropped(), "error", err)
	}
	return err
}

// finish writes what is left, once.
func (q *Queue) finish(ctx context.Context, batch []usage.Record, write func(context.Context, []usage.Record) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTime)
	defer cancel()
	for {
		for len(batch) < batchSize && len(q.records) > 0 {
			batch = append(batch, <-q.records)
		}
		if len(batch) == 0 {
			return
		}
		if err := write(ctx, batch); err != nil {
			lost := int64(len(batch) + len(q.records))
			q.dropped.Add(lost)
			q.held.Store(0)
			q.log.ErrorContext(ctx, "records of requests are lost: they could not be written before the end", "records", lost, "error", err)
			return
		}
		q.held.Store(0)
		batch = nil
	}
}
