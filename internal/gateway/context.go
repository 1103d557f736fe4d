package gateway

import (
	"context"
	"sync"
)

// An attemptContext is the context of an attempt. It ends with the client's, or
// by cancel. [context.WithCancel] would do; with the watch that a transport then
// puts on it, it makes a dozen allocations for each request. This one makes a
// channel only for who asks for it, and lets one function wait without.
type attemptContext struct {
	context.Context // the client's

	mu   sync.Mutex
	err  error
	done chan struct{} // nil until it is asked for
	f    func()        // is called at the end; nil if nobody waits so
	stop func() bool   // ends the wait for the client's end; nil until there is one
}

// Err implements [context.Context].
func (a *attemptContext) Err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err == nil {
		return a.Context.Err()
	}
	return a.err
}

// Done implements [context.Context].
func (a *attemptContext) Done() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.done == nil {
		a.done = make(chan struct{})
		if a.err != nil {
			close(a.done)
		} else {
			a.follow()
		}
	}
	return a.done
}

// AfterFunc is what [context.AfterFunc] looks for. There can be one function at
// a time; for a second one it falls back on Done.
func (a *attemptContext) AfterFunc(f func()) (stop func() bool) {
	a.mu.Lock()
	if a.err == nil && a.f == nil {
		a.f = f
		a.follow()
		a.mu.Unlock()
		return a.forget
	}
	a.mu.Unlock()
	return context.AfterFunc(withoutAfterFunc{a}, f)
}

// withoutAfterFunc hides AfterFunc.
type withoutAfterFunc struct{ context.Context }

// forget takes the function back, and reports whether it has not been called.
func (a *attemptContext) forget() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	there := a.f != nil
	a.f = nil
	return there
}

// follow waits for the client's end. The caller holds a.mu.
func (a *attemptContext) follow() {
	if a.stop == nil {
		a.stop = context.AfterFunc(a.Context, a.cancel)
	}
}

// cancel ends the context. It can be called again.
func (a *attemptContext) cancel() {
	a.mu.Lock()
	if a.err != nil {
		a.mu.Unlock()
		return
	}
	if a.err = a.Context.Err(); a.err == nil {
		a.err = context.Canceled
	}
	if a.done != nil {
		close(a.done)
	}
	f, stop := a.f, a.stop
	a.f = nil
	a.mu.Unlock()
	if stop != nil {
		stop()
	}
	if f != nil {
		f()
	}
}
