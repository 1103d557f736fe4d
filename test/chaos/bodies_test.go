package chaos_test

import (
	"sync"
	"testing"
	"time"
)

const (
	// large is a body of the size that the relay is to take.
	large = 100 << 20
	// largeMemory is how much more memory the server may have while it relays
	// three of them: much less than one.
	largeMemory = 64 << 20
)

// largeBodies makes every request a large one, in turns in both framings, with a
// large answer too, and with a client that leaves.
func largeBodies(p *plan) {
	p.provider, p.upload, p.chunked, p.body, p.framed = int(p.n), large, p.n%2 == 0, 1000, p.n%3 == 0
	if p.n%4 == 3 {
		p.body = large
	}
	if p.n%5 == 4 {
		p.behaviour, p.after = leavesSending, large/2
	}
}

// TestLargeBodies sends bodies of 100 MiB, several at a time. The server must not
// hold any of them. It is not parallel: it measures memory.
func TestLargeBodies(t *testing.T) {
	w := newWorld(t, setup{seed: seed(t), binary: binary(t, binaries.plain), keys: []string{good}, steady: largeBodies})
	before := w.settle(nil, settleTime)
	most := w.sendLarge(*bodyCount, before)
	after := w.settle(&before, settleTime)
	w.leftovers()
	w.end()
	w.wrong.mustBeNone(t)
	t.Logf("%s", w.sum())
	t.Logf("before: %v; at most %d KiB; after: %v", before, most>>10, after)
}

// TestHeldBodiesAreFound is the control of TestLargeBodies. Its server is told to
// hold such bodies.
func TestHeldBodiesAreFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{seed: seed(t), binary: binary(t, binaries.plain), keys: []string{good}, steady: largeBodies, replayBody: large})
	w.sendLarge(3, w.settle(nil, settleTime))
	w.wrong.mustHave(t, memory)
}

// sendLarge sends n bodies, three at a time, and returns how much memory the
// server had at most.
func (w *world) sendLarge(n int, before resources) (most int64) {
	w.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for sent := 0; sent < n; {
		var work sync.WaitGroup
		for range min(3, n-sent) {
			sent++
			work.Go(func() {
				c := &caller{w: w}
				defer c.close()
				w.request(c, w.planner.plan(w.next.Add(1)))
			})
		}
		done := make(chan struct{})
		go func() { work.Wait(); close(done) }() // ends with the requests
		for waiting := true; waiting; {
			most = max(most, w.measure().memory)
			select {
			case <-done:
				waiting = false
			case <-tick.C:
			}
		}
	}
	if most > before.memory+largeMemory {
		w.wrong.add(memory, "there were %d KiB before, and %d KiB meanwhile", before.memory>>10, most>>10)
	}
	return most
}
