package recorder_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehousehq/gatehouse/internal/recorder"
	"github.com/gatehousehq/gatehouse/internal/usage"
)

var errAway = errors.New("away")

// A sink is what a queue writes to.
type sink struct {
	mu      sync.Mutex
	batches [][]usage.Record
	times   []time.Time
	err     error
}

func (s *sink) write(_ context.Context, batch []usage.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.times = append(s.times, time.Now())
	if s.err != nil {
		return s.err
	}
	s.batches = append(s.batches, batch)
	return nil
}

// look runs fn while nothing is written.
func (s *sink) look(fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fn()
}

// ship runs the queue until the test calls stop, which waits for its end.
func ship(t *testing.T, q *recorder.Queue, s *sink) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		q.Ship(ctx, s.write)
		close(done)
	}()
	return func() { cancel(); <-done }
}

func TestRecordsGoOutInBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, s := recorder.NewQueue(slog.New(slog.DiscardHandler)), &sink{}
		stop := ship(t, q, s)
		start := time.Now()
		q.Add(rec(1, "a"))
		synctest.Wait()
		if q.Depth() != 1 {
			t.Errorf("the depth is %d", q.Depth())
		}
		time.Sleep(time.Second)
		s.look(func() {
			if len(s.batches) != 1 || s.times[0].Sub(start) != 500*time.Millisecond || q.Depth() != 0 {
				t.Errorf("%d batches, depth %d", len(s.batches), q.Depth())
			}
		})
		// A full batch waits for nothing.
		start = time.Now()
		for i := range 1200 {
			q.Add(rec(i, "a"))
		}
		synctest.Wait()
		s.look(func() {
			if len(s.batches) != 3 || !s.times[2].Equal(start) || len(s.batches[1]) != 500 {
				t.Errorf("%d batches", len(s.batches))
			}
		})
		stop()
		if len(s.batches) != 4 || len(s.batches[3]) != 200 || q.Depth() != 0 || q.Dropped() != 0 {
			t.Errorf("%d batches, depth %d, dropped %d", len(s.batches), q.Depth(), q.Dropped())
		}
	})
}

// While the database is away records wait, in their order, and each is handed
// over until it is taken. It is said once a minute.
func TestABatchIsTriedUntilItIsTaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		q, s := recorder.NewQueue(slog.New(slog.NewTextHandler(&log, nil))), &sink{err: errAway}
		stop := ship(t, q, s)
		q.Add(rec(1, "a"))
		time.Sleep(90 * time.Second)
		q.Add(rec(2, "a"))
		synctest.Wait()
		s.look(func() {
			if n := len(s.times); n < 85 || q.Depth() != 2 {
				t.Errorf("tried %d times, depth %d", n, q.Depth())
			}
			s.err = nil
		})
		time.Sleep(2 * time.Second)
		stop()
		if len(s.batches) != 2 || s.batches[0][0].ID != id(1) || s.batches[1][0].ID != id(2) || q.Depth() != 0 || q.Dropped() != 0 {
			t.Errorf("%d batches, depth %d, dropped %d", len(s.batches), q.Depth(), q.Dropped())
		}
		if n := strings.Count(log.String(), "\n"); n != 2 {
			t.Errorf("it was said %d times:\n%s", n, log.String())
		}
	})
}

func TestAFullQueueDropsAndCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, s := recorder.NewQueue(slog.New(slog.DiscardHandler)), &sink{err: errAway}
		for i := range 20_005 { // without a wait
			q.Add(rec(i, "a"))
		}
		if q.Depth() != 20_000 || q.Dropped() != 5 {
			t.Errorf("depth %d, dropped %d", q.Depth(), q.Dropped())
		}
		// What is left at the end, and cannot be written, is lost and counted.
		stop := ship(t, q, s)
		synctest.Wait()
		stop()
		if q.Dropped() != 20_005 {
			t.Errorf("dropped %d", q.Dropped())
		}
	})
}
