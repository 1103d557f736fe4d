package chaos_test

import (
	"context"
	"sync"
	"testing"
	"time"
)

// settleTime is how long goroutines, files and memory have to be back where they were.
const settleTime = 20 * time.Second

// TestStorm has upstreams and clients misbehave all at once, while keys come and
// go. It is not parallel: other load would hide what it is to find.
func TestStorm(t *testing.T) {
	w := newWorld(t, setup{seed: seed(t), binary: binary(t, binaries.plain), faults: faults, framed: framedFaults, keys: manyKeys})
	w.blow(*stormTime/4, *workerCount, "")
	before := w.settle(nil, settleTime)
	w.blow(*stormTime, *workerCount, "")
	after := w.settle(&before, settleTime)
	w.leftovers()
	w.end()
	w.wrong.mustBeNone(t)
	t.Logf("%s", w.sum())
	t.Logf("before: %v; after: %v", before, after)
}

// TestStormWithRaceDetector is the storm with a binary that notices data races.
// That one is slow, and its memory says nothing.
func TestStormWithRaceDetector(t *testing.T) {
	w := newWorld(t, setup{seed: seed(t), binary: binary(t, binaries.race), faults: faults, framed: framedFaults, keys: manyKeys})
	w.blow(*stormTime/2, *workerCount/2, "")
	w.settle(nil, settleTime)
	w.leftovers()
	w.end()
	w.wrong.mustBeNone(t)
	t.Logf("%s", w.sum())
}

// blow has a storm for a while, with changes, or until there is a finding of the
// kind that is waited for.
func (w *world) blow(while time.Duration, clients int, until kind) {
	ctx, cancel := context.WithTimeout(w.t.Context(), while)
	defer cancel()
	var work sync.WaitGroup
	work.Go(func() { w.edit(ctx, 20, 1<<30, rude, shaky) })
	if until != "" {
		work.Go(func() {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for ctx.Err() == nil {
				if w.wrong.has(until) {
					cancel()
				}
				<-tick.C
			}
		})
	}
	w.storm(ctx, clients)
	cancel()
	work.Wait()
}
