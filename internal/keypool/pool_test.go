package keypool_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehousehq/gatehouse/internal/keypool"
	"github.com/gatehousehq/gatehouse/internal/routing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a clock that stands still until it is moved.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func keys(ids ...string) (out []routing.Key) {
	for _, id := range ids {
		out = append(out, routing.Key{ID: id})
	}
	return out
}

func of(ks []routing.Key) *routing.Provider { return &routing.Provider{ID: "p", Keys: ks} }

// ids are those of the keys of a turn, which it ends.
func ids(turn keypool.Turn) (out string) {
	defer turn.End()
	for i := range turn.Len() {
		out += turn.Key(i).ID
	}
	return out
}

func TestOrderLeavesOutUntilTheTimeIsUp(t *testing.T) {
	t.Parallel()
	c := newClock()
	p := keypool.New(c.now, keypool.Config{})
	ks := keys("a", "b", "c")
	check := func(want string) {
		t.Helper()
		if got := ids(p.Order(of(ks), "")); got != want {
			t.Errorf("usable keys are %q, want %q", got, want)
		}
	}
	check("abc")
	p.Report("a", keypool.Outcome{Reason: keypool.RateLimited})
	check("bc")
	p.Report("c", keypool.Outcome{Reason: keypool.Unauthorized})
	check("b")
	c.advance(10*time.Second - 1)
	check("b")
	c.advance(1)
	check("ab")
	c.advance(50 * time.Second)
	check("abc")
	if ks[0].ID+ks[1].ID+ks[2].ID != "abc" {
		t.Error("Order changed its argument")
	}
}

func TestShortageSaysWhy(t *testing.T) {
	t.Parallel()
	c := newClock()
	p := keypool.New(c.now, keypool.Config{})
	ks := keys("a", "b", "c", "d", "e", "f")
	ks[0].Disabled = true
	ks[1].Unreadable = true
	ks[2].ExpiresAt = c.now()
	p.Report("d", keypool.Outcome{Reason: keypool.QuotaExhausted})
	p.Report("e", keypool.Outcome{Reason: keypool.RateLimited, RetryAfter: 40 * time.Second})
	p.Report("f", keypool.Outcome{Reason: keypool.RateLimited, RetryAfter: 30 * time.Second})
	c.advance(time.Second)
	turn := p.Order(of(ks), "")
	want := keypool.Shortage{Disabled: 1, Unreadable: 1, Expired: 1, Failed: 1, Cooling: 2, Wait: 29 * time.Second}
	if turn.Len() != 0 || turn.Short != want {
		t.Errorf("got %d keys, %+v, want %+v", turn.Len(), turn.Short, want)
	}
	if n, short := p.Shortage(ks, ""); n != 0 || short != want {
		t.Errorf("asked for: %d usable, %+v, want %+v", n, short, want)
	}
	if turn := p.Order(of(nil), ""); turn.Len() != 0 || turn.Short != (keypool.Shortage{}) {
		t.Errorf("no keys: %+v", turn)
	}
	if n, short := p.Shortage(keys("a", "e"), ""); n != 1 || short != (keypool.Shortage{}) {
		t.Errorf("one is usable: %d, %+v", n, short)
	}
}

func TestState(t *testing.T) {
	t.Parallel()
	c := newClock()
	p := keypool.New(c.now, keypool.Config{})
	p.Report("cool", keypool.Outcome{Reason: keypool.RateLimited, RetryAfter: 7 * time.Second})
	p.Report("fail", keypool.Outcome{Reason: keypool.PaymentRequired})
	now := c.now()
	for _, tc := range []struct {
		name string
		key  routing.Key
		want keypool.State
	}{
		{"a new key is ready", routing.Key{ID: "new"}, keypool.State{Name: "ready"}},
		{"a limited key is cooling", routing.Key{ID: "cool"}, keypool.State{Name: "cooling", Until: now.Add(7 * time.Second), Reason: "rate_limited"}},
		{"a refused key has failed", routing.Key{ID: "fail"}, keypool.State{Name: "failed", Until: now.Add(time.Minute), Reason: "payment_required"}},
		{"disabled goes before failed", routing.Key{ID: "fail", Disabled: true}, keypool.State{Name: "disabled"}},
		{"unreadable goes before expired", routing.Key{ID: "x", Unreadable: true, ExpiresAt: now}, keypool.State{Name: "unreadable"}},
		{"a key expires at its time", routing.Key{ID: "x", ExpiresAt: now}, keypool.State{Name: "expired"}},
		{"a key is ready until its time", routing.Key{ID: "x", ExpiresAt: now.Add(1)}, keypool.State{Name: "ready"}},
	} {
		if got := p.State(tc.key); got != tc.want {
			t.Errorf("%s: got %+v, want %+v", tc.name, got, tc.want)
		}
	}
	c.advance(time.Minute)
	if got := p.State(routing.Key{ID: "fail"}); got.Name != keypool.Ready {
		t.Errorf("a failed key whose time is up is %s", got.Name)
	}
}

func TestWaitsGrowAndAreBounded(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		reason keypool.Reason
		want   []time.Duration
	}{
		{"rate limits without Retry-After", keypool.RateLimited, []time.Duration{10, 20, 40, 80, 160, 300, 300}},
		{"refusals", keypool.Unauthorized, []time.Duration{60, 120, 240, 480, 900, 900}},
		{"exhausted quota", keypool.QuotaExhausted, []time.Duration{60, 120, 240, 480, 900, 900}},
	} {
		c := newClock()
		p := keypool.New(c.now, keypool.Config{})
		for i, want := range tc.want {
			p.Report("k", keypool.Outcome{Reason: tc.reason})
			got := p.State(routing.Key{ID: "k"}).Until.Sub(c.now())
			if got != want*time.Second {
				t.Errorf("%s: wait %d is %v, want %v", tc.name, i+1, got, want*time.Second)
			}
			c.advance(got)
		}
		p.Report("k", keypool.Outcome{}) // a success clears the history too
		p.Report("k", keypool.Outcome{Reason: tc.reason})
		if got := p.State(routing.Key{ID: "k"}).Until.Sub(c.now()); got != tc.want[0]*time.Second {
			t.Errorf("%s: after a success the wait is %v", tc.name, got)
		}
	}
}

// Requests that were under way together run into one limit together: that is
// one event, not many.
func TestABurstGrowsTheWaitOnce(t *testing.T) {
	t.Parallel()
	c := newClock()
	p := keypool.New(c.now, keypool.Config{})
	began := c.now()
	c.advance(time.Second)
	for range 50 {
		p.Report("k", keypool.Outcome{Reason: keypool.RateLimited, Began: began})
	}
	if got := p.State(routing.Key{ID: "k"}).Until.Sub(c.now()); got != 10*time.Second {
		t.Errorf("wait after a burst is %v, want 10s", got)
	}
}

func TestRetryAfterIsObeyedWithinBounds(t *testing.T) {
	t.Parallel()
	c := newClock()
	p := keypool.New(c.now, keypool.Config{})
	for _, tc := range []struct{ ask, want time.Duration }{
		{1500 * time.Millisecond, 1500 * time.Millisecond}, {90 * time.Second, 90 * time.Second}, {48 * time.Hour, time.Hour},
	} {
		id := tc.ask.String()
		p.Report(id, keypool.Outcome{Reason: keypool.RateLimited, RetryAfter: tc.ask})
		if got := p.State(routing.Key{ID: id}).Until.Sub(c.now()); got != tc.want {
			t.Errorf("asked for %v: waits %v, want %v", tc.ask, got, tc.want)
		}
	}
	p.Report("k", keypool.Outcome{Reason: keypool.RateLimited, RetryAfter: time.Minute})
	p.Report("k", keypool.Outcome{Reason: keypool.RateLimited, RetryAfter: time.Second})
	if got := p.State(routing.Key{ID: "k"}).Until.Sub(c.now()); got != time.Minute {
		t.Errorf("a shorter wait replaced a longer one: %v", got)
	}
	p.Report("f", keypool.Outcome{Reason: keypool.Unauthorized})
	p.Report("f", keypool.Outcome{Reason: keypool.RateLimited, RetryAfter: time.Second})
	if got := p.State(routing.Key{ID: "f"}); got.Name != keypool.Failed || got.Until.Sub(c.now()) != time.Minute {
		t.Errorf("a rate limit brought a failed key back sooner: %+v", got)
	}
}

func TestOnlyALaterSuccessClears(t *testing.T) {
	t.Parallel()
	c := newClock()
	p := keypool.New(c.now, keypool.Config{})
	early := c.now()
	c.advance(time.Second)
	p.Report("k", keypool.Outcome{Reason: keypool.Unauthorized})
	c.advance(time.Second)
	p.Report("k", keypool.Outcome{Began: early})
	if got := p.State(routing.Key{ID: "k"}); got.Name != keypool.Failed {
		t.Errorf("a success sent before the failure cleared it: %+v", got)
	}
	p.Report("k", keypool.Outcome{})
	if got := p.State(routing.Key{ID: "k"}); got.Name != keypool.Ready {
		t.Errorf("a later success did not clear: %+v", got)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	c := newClock()
	p := keypool.New(c.now, keypool.Config{})
	for i := range 10_000 {
		p.Report(fmt.Sprint("gone", i), keypool.Outcome{Reason: keypool.RateLimited})
		c.advance(time.Second)
	}
	// A key counts for its wait of 10 s and 15 min more; a sweep comes each minute.
	if n := p.Troubled(); n > 1000 {
		t.Errorf("%d keys are remembered, want those of the last 16 minutes at most", n)
	}
	p.Report("ok", keypool.Outcome{})
	before := p.Troubled()
	p.Report("k", keypool.Outcome{Reason: keypool.Unauthorized})
	p.Report("k", keypool.Outcome{})
	if p.Troubled() != before {
		t.Error("a key that recovered is still remembered")
	}
}

func TestReadyPathDoesNotAllocate(t *testing.T) {
	p := keypool.New(time.Now, keypool.Config{})
	ks := keys("a", "b", "c")
	for i := range ks {
		ks[i].Weight = uint32(i)
	}
	for _, strategy := range []routing.Strategy{"", routing.InOrder, routing.Weighted, routing.LeastLoaded} {
		provider := &routing.Provider{ID: "p", Strategy: strategy, Keys: ks}
		try := func() {
			turn := p.Order(provider, "")
			defer turn.End()
			k := turn.Key(1)
			if turn.Len() != 3 || k != &ks[0] && k != &ks[1] {
				t.Fatal("Order copied although all keys are ready")
			}
			defer p.Begin(k.ID).End()
			p.Report("a", keypool.Outcome{})
		}
		try() // makes the counters
		if n := testing.AllocsPerRun(100, try); n != 0 {
			t.Errorf("%s: %v allocations, want 0", strategy, n)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	p := keypool.New(time.Now, keypool.Config{Cool: time.Nanosecond, Fail: time.Nanosecond})
	ks := keys("a", "b", "c")
	provider := &routing.Provider{ID: "p", Strategy: routing.LeastLoaded, Keys: ks}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 500 {
				id := ks[(i+j)%3].ID
				switch j % 3 {
				case 0:
					p.Report(id, keypool.Outcome{Reason: keypool.RateLimited})
				case 1:
					p.Report(id, keypool.Outcome{})
				}
				turn := p.Order(provider, "")
				if turn.Len() > 0 {
					p.Begin(turn.Key(0).ID).End()
				}
				p.Merge(p.TakeChanges())
				turn.End()
				p.State(ks[j%3])
			}
		})
	}
	wg.Wait()
	for _, k := range ks {
		p.Report(k.ID, keypool.Outcome{})
	}
	if turn := p.Order(provider, ""); turn.Len() != 3 {
		t.Errorf("%d keys usable after they all succeeded", turn.Len())
	}
	for _, k := range ks {
		if n := p.InFlight(k.ID); n != 0 {
			t.Errorf("%d in flight with %s after all ended", n, k.ID)
		}
	}
}

func BenchmarkOrderReady(b *testing.B) {
	p := keypool.New(time.Now, keypool.Config{})
	for _, strategy := range []routing.Strategy{routing.InOrder, routing.Weighted, routing.LeastLoaded} {
		b.Run(string(strategy), func(b *testing.B) {
			provider := of(keys("a", "b", "c", "d", "e"))
			provider.Strategy = strategy
			for i := range provider.Keys {
				provider.Keys[i].Weight = 1
			}
			b.ReportAllocs()
			for b.Loop() {
				turn := p.Order(provider, "")
				f := p.Begin(turn.Key(0).ID)
				f.End()
				turn.End()
			}
		})
	}
}
