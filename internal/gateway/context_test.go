package gateway

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// An attempt's context is a context like any other: for who waits for its
// channel, for contexts that are made of it, and for functions.
func TestTheContextOfAnAttempt(t *testing.T) {
	t.Parallel()
	late := errors.New("late")
	type end func(*attemptContext, context.CancelCauseFunc)
	for name, tc := range map[string]struct {
		end  end
		want error
		self bool // it ends by itself: what it is made of goes on
	}{
		"its own end":      {func(a *attemptContext, _ context.CancelCauseFunc) { a.cancel() }, context.Canceled, true},
		"the client's end": {func(_ *attemptContext, cancel context.CancelCauseFunc) { cancel(late) }, context.Canceled, false},
		"both":             {func(a *attemptContext, cancel context.CancelCauseFunc) { cancel(late); a.cancel() }, context.Canceled, false},
	} {
		for when, before := range map[string]bool{"before it is asked": true, "after": false} {
			t.Run(name+" "+when, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					client, cancel := context.WithCancelCause(context.WithValue(t.Context(), late, "a value"))
					defer cancel(nil)
					a := &attemptContext{Context: client}
					if a.Err() != nil || a.Value(late) != "a value" {
						t.Errorf("it begins with %v", a.Err())
					}
					if before {
						tc.end(a, cancel)
						synctest.Wait()
					}
					called := make(chan int, 3)
					stop1 := context.AfterFunc(a, func() { called <- 1 })
					stop2 := a.AfterFunc(func() { called <- 2 })
					child, cancelChild := context.WithTimeout(a, time.Hour)
					defer cancelChild()
					if !before {
						select {
						case <-a.Done():
							t.Error("it is done")
						case <-child.Done():
							t.Error("the child is done")
						default:
						}
						tc.end(a, cancel)
					}
					synctest.Wait()
					<-a.Done()
					<-child.Done()
					if !errors.Is(a.Err(), tc.want) || !errors.Is(child.Err(), tc.want) {
						t.Errorf("it ended with %v, and the child with %v", a.Err(), child.Err())
					}
					if len(called) != 2 || stop1() || stop2() {
						t.Errorf("%d functions were called", len(called))
					}
					a.cancel()
					if len(called) != 2 || tc.self && client.Err() != nil {
						t.Errorf("%d functions were called, the client's context: %v", len(called), client.Err())
					}
				})
			})
		}
	}
}

// A function that was taken back is not called, and another can take its place.
func TestAFunctionIsTakenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, cancel := context.WithCancel(t.Context())
		a := &attemptContext{Context: client}
		called := 0
		stop := a.AfterFunc(func() { t.Error("it is called") })
		if !stop() || stop() {
			t.Error("it was not there, or twice")
		}
		a.AfterFunc(func() { called++ })
		cancel()
		synctest.Wait()
		if called != 1 {
			t.Errorf("the other one was called %d times", called)
		}
		a.cancel()
	})
}
