package keypool_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/keypool"
	"github.com/gatehousehq/gatehouse/internal/routing"
)

func changed(p *keypool.Pool) bool {
	select {
	case <-p.Changed():
		return true
	default:
		return false
	}
}

// What one pool finds another knows, and knows again when it is over.
func TestFindingsAreShared(t *testing.T) {
	t.Parallel()
	c := newClock()
	a, b := keypool.New(c.now, keypool.Config{}), keypool.New(c.now, keypool.Config{})
	share := func(from, to *keypool.Pool) {
		t.Helper()
		if !changed(from) {
			t.Error("a change is not signalled")
		}
		to.Merge(from.TakeChanges())
		if changed(to) || len(to.TakeChanges()) != 0 {
			t.Error("what was taken over is passed on")
		}
	}
	a.Report("k", keypool.Outcome{Reason: keypool.Unauthorized, Status: 401})
	a.Report("l", keypool.Outcome{Reason: keypool.RateLimited, RetryAfter: 40 * time.Second, Status: 429})
	share(a, b)
	for _, id := range []string{"k", "l"} {
		key := routing.Key{ID: id}
		if diff := cmp.Diff(a.State(key), b.State(key)); diff != "" || b.State(key).Name == keypool.Ready {
			t.Errorf("%s at the other (-want +got):\n%s", id, diff)
		}
		ea, _ := a.LastError(id)
		eb, ok := b.LastError(id)
		if ea != eb || !ok {
			t.Errorf("the last error of %s is %+v at the other, want %+v", id, eb, ea)
		}
	}
	// The wait that has grown is known, too.
	c.advance(time.Minute)
	b.Report("k", keypool.Outcome{Reason: keypool.Unauthorized, Status: 401})
	if got := b.State(routing.Key{ID: "k"}).Until.Sub(c.now()); got != 2*time.Minute {
		t.Errorf("the other waits %v after the second failure", got)
	}
	share(b, a)
	c.advance(time.Second)
	a.Report("k", keypool.Outcome{})
	share(a, b)
	if got := b.State(routing.Key{ID: "k"}); got.Name != keypool.Ready {
		t.Errorf("the other has not heard of the recovery: %+v", got)
	}
	if f, ok := b.LastError("k"); !ok || f.Status != 401 || !f.At.Equal(c.now().Add(-time.Second)) {
		t.Errorf("its last error is %+v after it recovered", f)
	}
}

// The later finding counts, in whatever order they come.
func TestTheLaterFindingWins(t *testing.T) {
	t.Parallel()
	c := newClock()
	at := func(d time.Duration) time.Time { return c.now().Add(d) }
	failure := keypool.Finding{KeyID: "k", Reason: keypool.Unauthorized, Since: at(0), Until: at(time.Hour), Wait: time.Hour}
	later := keypool.Finding{KeyID: "k", Since: at(time.Second), Until: at(time.Second)}
	old := failure
	old.Since = at(-time.Second)
	for name, tc := range map[string]struct {
		in   []keypool.Finding
		want string
	}{
		"a failure":                          {[]keypool.Finding{failure}, keypool.Failed},
		"a failure, then a later success":    {[]keypool.Finding{failure, later}, keypool.Ready},
		"a success, then an earlier failure": {[]keypool.Finding{later, failure}, keypool.Ready},
		"a failure, then an earlier success": {[]keypool.Finding{failure, {KeyID: "k", Since: at(-time.Minute)}}, keypool.Failed},
		"an older failure changes nothing":   {[]keypool.Finding{{KeyID: "k", Since: at(0)}, old}, keypool.Ready},
		"one that is long over":              {[]keypool.Finding{{KeyID: "k", Reason: keypool.Unauthorized, Since: at(-time.Hour), Until: at(-30 * time.Minute)}}, keypool.Ready},
	} {
		p := keypool.New(c.now, keypool.Config{})
		p.Merge(tc.in)
		if got := p.State(routing.Key{ID: "k"}).Name; got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
	// What is known here counts as much.
	p := keypool.New(c.now, keypool.Config{})
	p.Report("k", keypool.Outcome{Reason: keypool.RateLimited})
	p.Merge([]keypool.Finding{old})
	if got := p.State(routing.Key{ID: "k"}).Name; got != keypool.Cooling {
		t.Errorf("an older finding replaced a newer one: %s", got)
	}
}

// What was tried and is accepted again is known as that, too.
func TestATrialIsShared(t *testing.T) {
	t.Parallel()
	c := newClock()
	a, b := keypool.New(c.now, keypool.Config{}), keypool.New(c.now, keypool.Config{})
	a.Report("k", keypool.Outcome{Reason: keypool.Unauthorized})
	b.Merge(a.TakeChanges())
	c.advance(time.Second)
	a.Report("k", keypool.Outcome{Trial: true})
	b.Merge(a.TakeChanges())
	for name, p := range map[string]*keypool.Pool{"here": a, "there": b} {
		if got := p.State(routing.Key{ID: "k"}).Name; got != keypool.Ready || len(p.Refused()) != 0 {
			t.Errorf("%s it is %s, to be tried: %v", name, got, p.Refused())
		}
		first := p.Order(of(keys("k")), "")
		if second := p.Order(of(keys("k")), ""); first.Len() != 1 || second.Len() != 0 {
			t.Errorf("%s it is not one request's to try", name)
		}
		// The history counts: it was accepted in vain.
		p.Report("k", keypool.Outcome{Reason: keypool.Unauthorized})
		if got := p.State(routing.Key{ID: "k"}).Until.Sub(c.now()); got != 2*time.Minute {
			t.Errorf("%s the next wait is %v", name, got)
		}
	}
}

// A limit that many requests run into is told once.
func TestABurstIsToldOnce(t *testing.T) {
	t.Parallel()
	c := newClock()
	p := keypool.New(c.now, keypool.Config{})
	began := c.now()
	told := 0
	for range 50 {
		c.advance(time.Millisecond)
		p.Report("k", keypool.Outcome{Reason: keypool.RateLimited, Began: began})
		told += len(p.TakeChanges())
	}
	if told != 1 {
		t.Errorf("told %d times", told)
	}
	for range 50 {
		p.Report("other", keypool.Outcome{})
	}
	if len(p.TakeChanges()) != 0 {
		t.Error("the success of a key that was well is told")
	}
}

func TestWhatCouldNotBePassedOnComesAgain(t *testing.T) {
	t.Parallel()
	c := newClock()
	p := keypool.New(c.now, keypool.Config{})
	p.Report("k", keypool.Outcome{Reason: keypool.RateLimited})
	first := p.TakeChanges()
	p.Return(first)
	c.advance(time.Second)
	p.Report("k", keypool.Outcome{})
	got := p.TakeChanges()
	if len(first) != 1 || len(got) != 1 || got[0].Reason != "" {
		t.Errorf("got %+v, then %+v, want what is so by then", first, got)
	}
}

func TestErrorsAreForgottenAfterADay(t *testing.T) {
	t.Parallel()
	c := newClock()
	p := keypool.New(c.now, keypool.Config{})
	p.Report("k", keypool.Outcome{Reason: keypool.Forbidden, Status: 403})
	if f, ok := p.LastError("k"); !ok || f.Reason != keypool.Forbidden || f.Status != 403 || !f.At.Equal(c.now()) {
		t.Errorf("the last error is %+v", f)
	}
	c.advance(25 * time.Hour)
	p.Report("l", keypool.Outcome{Reason: keypool.RateLimited})
	if f, ok := p.LastError("k"); ok {
		t.Errorf("after a day it is still %+v", f)
	}
}
