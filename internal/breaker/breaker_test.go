package breaker

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// fail fails n times.
func fail(s *Set, c *Circuit, n int) {
	for range n {
		s.Failed(c)
	}
}

func TestACircuitFromFirstFailureToRecovery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := New(time.Now)
		c := s.Circuit("p", 1)
		admits := func(want bool, wait time.Duration) {
			t.Helper()
			if _, got, ok := s.Admit(c); ok != want || got != wait {
				t.Fatalf("admits: %t, to wait %v; want %t, %v", ok, got, want, wait)
			}
		}
		counts := func(open, half int) {
			t.Helper()
			if o, h := s.Count(); o != open || h != half {
				t.Fatalf("%d are open and %d half, want %d and %d", o, h, open, half)
			}
		}
		fail(s, c, after-1)
		admits(true, 0)
		c.Succeeded()
		fail(s, c, after-1)
		admits(true, 0) // failures count only in a row
		s.Failed(c)
		admits(false, first)
		counts(1, 0)
		if _, _, ok := s.Admit(s.Circuit("p", 2)); !ok {
			t.Error("another endpoint is open, too")
		}
		fail(s, c, 50) // that were under way
		admits(false, first)

		time.Sleep(first - 1) // the bubble's time
		admits(false, 1)
		time.Sleep(1 * time.Nanosecond)
		counts(0, 1)
		admits(true, 0)            // the trial
		admits(false, time.Second) // others
		s.Failed(c)
		admits(false, 2*first)
		for _, wait := range []time.Duration{2 * first, 4 * first, 8 * first, most, most} {
			admits(false, wait)
			time.Sleep(wait)
			admits(true, 0)
			s.Failed(c)
		}
		time.Sleep(most)
		admits(true, 0)
		c.Succeeded()
		counts(0, 0)
		admits(true, 0)
		admits(true, 0)
		fail(s, c, after)
		admits(false, first) // it begins again
	})
}

// A trial that is never heard of again does not keep the circuit shut.
func TestWaitIsWhatAdmitWouldSay(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	s := New(func() time.Time { return now })
	c := s.Circuit("x", 0)
	if w := s.Wait(c); w != 0 {
		t.Errorf("closed: %v", w)
	}
	fail(s, c, after)
	if w := s.Wait(c); w != first {
		t.Errorf("open: %v", w)
	}
	now = now.Add(first)
	for range 2 { // to look is not to try
		if w := s.Wait(c); w != 0 {
			t.Errorf("when its time is up: %v", w)
		}
	}
	if trial, _, ok := s.Admit(c); !trial || !ok {
		t.Error("no trial is let through")
	}
	if w := s.Wait(c); w != time.Second {
		t.Errorf("while a trial is under way: %v", w)
	}
	c.Succeeded()
	if w := s.Wait(c); w != 0 {
		t.Errorf("closed again: %v", w)
	}
}

func TestALostTrialIsReplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := New(time.Now)
		c := s.Circuit("x", 99)
		fail(s, c, after)
		time.Sleep(first)
		if _, _, ok := s.Admit(c); !ok {
			t.Fatal("no trial")
		}
		time.Sleep(trialTime - 1)
		if _, _, ok := s.Admit(c); ok {
			t.Error("a second trial beside the first")
		}
		c.Abandon()
		if trial, _, ok := s.Admit(c); !ok || !trial {
			t.Error("no trial after the first was abandoned")
		}
		if _, _, ok := s.Admit(c); ok {
			t.Error("a second trial beside that")
		}
		time.Sleep(trialTime - 1)
		time.Sleep(1 * time.Nanosecond)
		if _, _, ok := s.Admit(c); !ok {
			t.Error("no trial after the first is lost")
		}
	})
}

// A success that was under way closes an open circuit: the provider answers.
func TestALateSuccessCloses(t *testing.T) {
	t.Parallel()
	s := New(time.Now)
	c := s.Circuit("x", 99)
	fail(s, c, after)
	c.Succeeded()
	if _, _, ok := s.Admit(c); !ok {
		t.Error("it stays open")
	}
}

func TestCircuitsAreBoundedInNumber(t *testing.T) {
	t.Parallel()
	s := newSet(time.Now, 100)
	for i := range 10_000 {
		fail(s, s.Circuit(fmt.Sprint(i), i%20), after)
		if open, _ := s.Count(); open > 100 {
			t.Fatalf("%d are remembered", open)
		}
	}
}

func TestAClosedCircuitDoesNotAllocate(t *testing.T) {
	s := New(time.Now)
	s.Circuit("x", 99)
	if n := testing.AllocsPerRun(100, func() {
		c := s.Circuit("x", 99)
		if _, _, ok := s.Admit(c); !ok {
			t.Fatal("open")
		}
		c.Succeeded()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
