package gateway

import (
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// A waiting is what an exchange waits for.
type waiting int64

const (
	forNothing  waiting = iota
	forRequest          // the client, to send its body
	forAnswer           // the upstream's head
	forUpstream         // the upstream's body
	forClient           // the client, to take what it is sent
	kindsOfWaiting
)

// A watch ends what makes no progress. One timer serves for all that an exchange
// waits for in turn: a step costs a look at the clock and a store. When the timer
// fires it finds out what is waited for, and since when, and mostly comes again
// later. Deadlines for each piece would cost more, and one that stayed behind
// would cut the next request on the connection.
//
// A watch is used for one exchange after the other. A timer that fires late looks
// at the next one's state, and finds nothing.
type watch struct {
	limit [kindsOfWaiting]time.Duration
	base  time.Time
	state atomic.Int64 // what is waited for, and since when: see wait
	due   atomic.Int64 // when the timer fires, from base; never is noTime

	mu     sync.Mutex
	timer  *time.Timer
	ctl    *http.ResponseController // nil between exchanges
	cancel func()                   // ends the attempt
	late   waiting                  // what took too long, if anything did
}

const noTime = math.MaxInt64

// start begins an exchange. Nothing is waited for yet.
func (w *watch) start(ctl *http.ResponseController, idle, first time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limit = [kindsOfWaiting]time.Duration{forRequest: idle, forAnswer: first, forUpstream: idle, forClient: idle}
	w.base = time.Now()
	w.state.Store(0)
	w.due.Store(noTime)
	w.ctl, w.cancel, w.late = ctl, nil, forNothing
}

// upstream gives the upstream another time to begin its answer, and for a pause
// within it; zero leaves it as it is. Nothing may be waited for.
func (w *watch) upstream(first, idle time.Duration) {
	if first == 0 && idle == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if first > 0 {
		w.limit[forAnswer] = first
	}
	if idle > 0 {
		w.limit[forUpstream] = idle
	}
}

// stop ends an exchange. Afterwards nothing of its connection is touched.
func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
	}
	w.ctl, w.cancel = nil, nil
}

// wait says what is waited for from now on.
func (w *watch) wait(what waiting) {
	since := time.Since(w.base)
	w.state.Store(int64(since)<<3 | int64(what))
	if until := int64(since + w.limit[what]); what != forNothing && until < w.due.Load() {
		w.arm(since, until)
	}
}

func (w *watch) arm(now time.Duration, until int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctl == nil || until >= w.due.Load() {
		return
	}
	w.due.Store(until)
	if d := time.Duration(until) - now; w.timer == nil {
		w.timer = time.AfterFunc(d, w.check)
	} else {
		w.timer.Reset(d)
	}
}

// check is called by the timer.
func (w *watch) check() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctl == nil {
		return
	}
	state := w.state.Load()
	what, since := waiting(state&7), time.Duration(state>>3)
	w.due.Store(noTime)
	if what == forNothing {
		return
	}
	now := time.Since(w.base)
	if until := since + w.limit[what]; until > now {
		w.due.Store(int64(until))
		w.timer.Reset(until - now)
		return
	}
	w.late = what
	switch what {
	case forRequest:
		_ = w.ctl.SetReadDeadline(time.Unix(1, 0)) // not every ResponseWriter has deadlines
	case forClient:
		_ = w.ctl.SetWriteDeadline(time.Unix(1, 0)) // nor these
	default:
		if w.cancel != nil {
			w.cancel()
		}
	}
}

// attempt begins an attempt, which cancel ends.
func (w *watch) attempt(cancel func()) {
	w.mu.Lock()
	w.cancel, w.late = cancel, forNothing
	w.mu.Unlock()
	w.wait(forAnswer)
}

// answerLater gives the upstream its time anew: it is still being sent to.
func (w *watch) answerLater() { w.wait(forAnswer) }

// cancelled reports whether the watch ended the attempt.
func (w *watch) cancelled() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.late == forAnswer || w.late == forUpstream
}
