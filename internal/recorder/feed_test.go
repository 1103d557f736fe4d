package recorder_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehousehq/gatehouse/internal/recorder"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/usage"
)

// id returns the n-th id.
func id(n int) string { return fmt.Sprintf("0190a5a0-0000-7000-8000-%012d", n) }

func rec(n int, owner string) usage.Record {
	return usage.Record{ID: id(n), TokenID: "t", OwnerID: owner}
}

func all(store.Interception) bool { return true }

// next returns the number of the next record, "gap" or the error.
func next(ctx context.Context, l *recorder.Listener, see func(store.Interception) bool) string {
	r, gap, err := l.Next(ctx, see)
	switch {
	case err != nil:
		return err.Error()
	case gap:
		return "gap"
	}
	var n int
	_, _ = fmt.Sscanf(r.ID[24:], "%d", &n) // an id of ours
	return fmt.Sprint(n)
}

func listen(t *testing.T, f *recorder.Feed, user, after string) *recorder.Listener {
	t.Helper()
	l, err := f.Listen(user, after)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func want(t *testing.T, l *recorder.Listener, see func(store.Interception) bool, wanted ...string) {
	t.Helper()
	for _, w := range wanted {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		got := next(ctx, l, see)
		cancel()
		if got != w {
			t.Fatalf("got %s, want %s", got, w)
		}
	}
}

// quiet is what Next says when nothing came.
const quiet = "context deadline exceeded"

func TestListenersGetWhatComesAfterThem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := recorder.NewFeed()
		f.Publish(rec(1, "a"))
		early := listen(t, f, "u", "")
		f.Publish(rec(2, "a"))
		late := listen(t, f, "u", "")
		f.Publish(rec(3, "a"))
		want(t, early, all, "2", "3", quiet, quiet)
		want(t, late, all, "3")
		// One who waits is woken, and is still there after waiting in vain.
		got := make(chan string)
		for _, l := range []*recorder.Listener{early, late} {
			go func() { got <- next(t.Context(), l, all) }()
		}
		synctest.Wait()
		f.Publish(rec(4, "a"))
		if a, b := <-got, <-got; a != "4" || b != "4" {
			t.Errorf("got %s and %s", a, b)
		}
	})
}

func TestListenersSeeWhatTheyMay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := recorder.NewFeed()
		l := listen(t, f, "u", "")
		for i := range 10 {
			f.Publish(rec(i, fmt.Sprint("owner-", i%2)))
		}
		f.Publish(usage.Record{ID: id(11)}) // nobody's
		want(t, l, func(r store.Interception) bool { return r.OwnerID == "owner-1" }, "1", "3", "5", "7", "9", quiet)
	})
}

// Whoever reads too slowly misses the oldest and is told where; publishing never
// waits for them.
func TestASlowListenerIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := recorder.NewFeed()
		l := listen(t, f, "u", "")
		for i := range 3000 {
			f.Publish(rec(i, "a"))
		}
		want(t, l, all, "gap", "1976", "1977")
		for i := range 2 {
			f.Publish(rec(3000+i, "a"))
		}
		want(t, l, all, "1978") // which is the oldest that is kept
		for i := range 1024 {
			f.Publish(rec(4000+i, "a"))
		}
		want(t, l, all, "gap", "4000")
	})
}

func TestListenersComeBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := recorder.NewFeed()
		for i := range 2000 {
			f.Publish(rec(i, "a"))
		}
		want(t, listen(t, f, "u", id(1997)), all, "1998", "1999", quiet)
		want(t, listen(t, f, "u", id(1999)), all, quiet)
		want(t, listen(t, f, "u", id(976)), all, "977")
		// What is too old, or was never here, leaves a gap, and what is newer follows.
		want(t, listen(t, f, "u", id(975)), all, "gap", "976", "977")
		want(t, listen(t, f, "u", "0"), all, "gap", "976", "977")
		want(t, listen(t, f, "u", "x"), all, "gap", quiet)
	})
}

// A server that was started again kept nothing of before: all that it has is newer.
func TestListenersComeBackToANewFeed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := recorder.NewFeed()
		f.Publish(rec(2001, "a"))
		f.Publish(rec(1999, "a")) // it began before the next, and ended behind it
		want(t, listen(t, f, "u", id(2000)), all, "gap", "2001", "1999", quiet)
		want(t, listen(t, f, "u", id(2002)), all, "gap", quiet)
	})
}

func TestListenersAreBounded(t *testing.T) {
	t.Parallel()
	f := recorder.NewFeed()
	var open []*recorder.Listener
	for user := range 100 {
		for n := 0; ; n++ {
			l, err := f.Listen(fmt.Sprint(user), "")
			if errors.Is(err, recorder.ErrTooMany) {
				if n > 16 || n < 16 && len(open) < 128 {
					t.Fatalf("user %d has %d listeners of %d", user, n, len(open))
				}
				break
			}
			open = append(open, l)
		}
	}
	if len(open) != 128 {
		t.Errorf("there are %d listeners", len(open))
	}
	open[0].Close()
	open[0].Close() // which counts once
	if _, err := f.Listen("0", ""); err != nil {
		t.Error(err)
	}
	if _, err := f.Listen("99", ""); !errors.Is(err, recorder.ErrTooMany) {
		t.Errorf("one more: %v", err)
	}
}

func TestClosingEndsTheListening(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := recorder.NewFeed()
		l := listen(t, f, "u", "")
		got := make(chan string)
		go func() { got <- next(t.Context(), l, all) }()
		synctest.Wait()
		f.Close()
		if s := <-got; s != recorder.ErrClosed.Error() {
			t.Errorf("got %s", s)
		}
		if _, err := f.Listen("u", ""); !errors.Is(err, recorder.ErrClosed) {
			t.Errorf("listen: %v", err)
		}
	})
}

// Everybody gets everything, whoever publishes, as long as they keep up.
func TestManyPublishAndListen(t *testing.T) {
	t.Parallel()
	f := recorder.NewFeed()
	const publishers, each, listeners = 4, 250, 8
	var heard sync.WaitGroup
	for range listeners {
		l := listen(t, f, "u", "")
		heard.Go(func() {
			seen := map[string]bool{}
			for len(seen) < publishers*each {
				s := next(t.Context(), l, all)
				if seen[s] || s == "gap" {
					t.Errorf("got %s again, after %d", s, len(seen))
					return
				}
				seen[s] = true
			}
		})
	}
	for p := range publishers {
		heard.Go(func() {
			for i := range each {
				f.Publish(rec(p*each+i, "a"))
			}
		})
	}
	heard.Wait()
}

func BenchmarkPublish(b *testing.B) {
	f := recorder.NewFeed()
	r := rec(1, "a")
	b.ReportAllocs()
	for b.Loop() {
		f.Publish(r)
	}
}
