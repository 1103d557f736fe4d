package quota_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehousehq/gatehouse/internal/quota"
)

func TestABucketOfRequestsAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := quota.New(time.Now)
		limits := quota.Limits{PerMinute: 60}
		admitted := func() (n int) {
			for {
				_, r, wait := b.Admit("a", limits)
				if r != quota.Admitted {
					if r != quota.TooMany || wait <= 0 || wait > time.Second {
						t.Fatalf("refused as %d, to wait %v", r, wait)
					}
					return n
				}
				n++
			}
		}
		if n := admitted(); n != 60 {
			t.Errorf("%d at first, want 60", n)
		}
		for _, step := range []struct {
			pass time.Duration
			want int
		}{{999 * time.Millisecond, 0}, {time.Millisecond, 1}, {10 * time.Second, 10}, {time.Hour, 60}} {
			time.Sleep(step.pass) // the bubble's time
			if n := admitted(); n != step.want {
				t.Errorf("%v later %d, want %d", step.pass, n, step.want)
			}
		}
		if _, r, _ := b.Admit("b", limits); r != quota.Admitted {
			t.Error("another's requests count")
		}
		// The wait that is said is the one that is needed.
		_, _, wait := b.Admit("a", limits)
		time.Sleep(wait)
		if _, r, _ := b.Admit("a", limits); r != quota.Admitted {
			t.Errorf("after the wait of %v it is refused", wait)
		}
	})
}

func TestSoManyAtOnce(t *testing.T) {
	t.Parallel()
	b := quota.New(time.Now)
	limits := quota.Limits{AtOnce: 3}
	var slots []quota.Slot
	for range 3 {
		s, r, _ := b.Admit("a", limits)
		if r != quota.Admitted {
			t.Fatal("refused within the limit")
		}
		slots = append(slots, s)
	}
	if _, r, wait := b.Admit("a", limits); r != quota.TooManyAtOnce || wait <= 0 {
		t.Errorf("the fourth: %d, %v", r, wait)
	}
	slots[0].Free()
	if _, r, _ := b.Admit("a", limits); r != quota.Admitted {
		t.Error("a place that is free again is not given")
	}
}

// One that is refused for its rate takes no place, and one without a place none of
// the rate.
func TestFullIsWhatAdmitWouldSay(t *testing.T) {
	t.Parallel()
	b := quota.New(time.Now)
	limits := quota.Limits{AtOnce: 1}
	if b.Full("a", limits) || b.Full("a", quota.Limits{}) {
		t.Error("full before anybody came")
	}
	s, _, _ := b.Admit("a", limits)
	if !b.Full("a", limits) || b.Full("a", quota.Limits{}) || b.Full("a", quota.Limits{AtOnce: 2}) || b.Full("b", limits) {
		t.Error("with one under way")
	}
	s.Free()
	if b.Full("a", limits) {
		t.Error("full when it is over")
	}
}

func TestWhatIsRefusedDoesNotCount(t *testing.T) {
	t.Parallel()
	now := time.Unix(1, 0)
	b := quota.New(func() time.Time { return now })
	both := quota.Limits{PerMinute: 2, AtOnce: 1}
	one, _, _ := b.Admit("a", both)
	for range 5 {
		if _, r, _ := b.Admit("a", both); r != quota.TooManyAtOnce {
			t.Fatalf("got %d", r)
		}
	}
	one.Free()
	two, r, _ := b.Admit("a", both)
	if r != quota.Admitted {
		t.Fatal("requests without a place counted for the rate")
	}
	two.Free()
	for range 5 {
		if _, r, _ := b.Admit("a", both); r != quota.TooMany {
			t.Fatalf("got %d", r)
		}
	}
	now = now.Add(time.Minute)
	if _, r, _ := b.Admit("a", both); r != quota.Admitted {
		t.Error("requests over the rate kept their places")
	}
}

func TestNoMoreThanTheLimitsUnderLoad(t *testing.T) {
	t.Parallel()
	now := time.Unix(1, 0)
	b := quota.New(func() time.Time { return now })
	var admitted, inside, most atomic.Int64
	var work sync.WaitGroup
	for range 16 {
		work.Go(func() {
			for range 200 {
				s, r, _ := b.Admit("a", quota.Limits{PerMinute: 1000, AtOnce: 5})
				if r != quota.Admitted {
					continue
				}
				admitted.Add(1)
				for n := inside.Add(1); ; {
					m := most.Load()
					if n <= m || most.CompareAndSwap(m, n) {
						break
					}
				}
				inside.Add(-1)
				s.Free()
			}
		})
	}
	work.Wait()
	if admitted.Load() > 1000 || most.Load() > 5 {
		t.Errorf("%d admitted, %d at once", admitted.Load(), most.Load())
	}
}

func TestWithoutLimitsNothingIsDone(t *testing.T) {
	b := quota.New(func() time.Time { panic("the time was asked for") })
	if n := testing.AllocsPerRun(100, func() {
		s, r, _ := b.Admit("a", quota.Limits{})
		if r != quota.Admitted {
			t.Fatal("refused")
		}
		s.Free()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
