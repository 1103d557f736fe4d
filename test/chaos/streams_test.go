package chaos_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/client"
)

// eachSecond is how many changes are made under streams.
const eachSecond = 50

// paced makes every request a stream that takes its time.
func paced(p *plan) {
	p.provider, p.upload, p.events, p.pause = int(p.n), 300, 40, 100*time.Millisecond
}

// TestChangesCutNoStream changes the configuration all the time while streams
// come slowly. It is not parallel: it takes the pace that it is to have.
func TestChangesCutNoStream(t *testing.T) {
	w := newWorld(t, setup{
		seed: seed(t), binary: binary(t, binaries.plain), steady: paced, keys: []string{rude, shaky, good, rude},
		faults: only(faults, moves, loses), framed: only(framedFaults, moves, loses),
	})
	took := w.change(*changeCount, *streamCount)
	w.vanishing()
	w.leftovers()
	w.end()
	w.wrong.mustBeNone(t)
	made := w.count.changes.Load()
	t.Logf("%s", w.sum())
	t.Logf("%d changes in %v, %.0f a second, under %d streams", made, took.Round(time.Millisecond), float64(made)/took.Seconds(), *streamCount)
}

// change makes n changes while there are that many streams, and says how long
// the changes took.
func (w *world) change(n, streams int) (took time.Duration) {
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	var work sync.WaitGroup
	work.Go(func() { w.storm(ctx, streams) })
	begun := time.Now()
	w.edit(ctx, eachSecond, n, rude, shaky)
	took = time.Since(begun)
	cancel()
	work.Wait()
	return took
}

// vanishing removes everything that streams under way came by: keys, then the
// providers themselves, and each stream must go on to its end.
func (w *world) vanishing() {
	w.t.Helper()
	var work, beginning sync.WaitGroup
	for range w.upstreams {
		beginning.Add(1)
		begun := sync.OnceFunc(beginning.Done)
		work.Go(func() {
			defer begun()
			c := &caller{w: w, begun: begun}
			defer c.close()
			w.request(c, w.planner.plan(w.next.Add(1)))
		})
	}
	beginning.Wait()
	off := false
	for _, u := range w.upstreams {
		ctx := w.t.Context()
		_, err := w.api.UpdateProvider(ctx, u.name, 0, client.UpdateProvider{APIKeys: []client.KeepOrAdd{}})
		if err == nil {
			_, err = w.api.UpdateProvider(ctx, u.name, 0, client.UpdateProvider{Enabled: &off})
		}
		if err == nil {
			err = w.api.DeleteProvider(ctx, u.name, 0)
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
	work.Wait()
}
