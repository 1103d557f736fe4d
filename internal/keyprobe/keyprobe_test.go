package keyprobe_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehousehq/gatehouse/internal/keypool"
	"github.com/gatehousehq/gatehouse/internal/keyprobe"
	"github.com/gatehousehq/gatehouse/internal/routing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A stand is a prober with what is around it, in a bubble.
type stand struct {
	pool *keypool.Pool
	// answer is what a check finds.
	answer func(ctx context.Context, keyID string) *keypool.Outcome

	mu      sync.Mutex
	trials  []string // "key" or "key@minute", as they began
	at      []time.Duration
	running map[string]int
	most    int // at once
	twice   bool
}

func provider(name string, ids ...string) *routing.Provider {
	p := &routing.Provider{ID: name, Name: name, Enabled: true}
	for _, id := range ids {
		p.Keys = append(p.Keys, routing.Key{ID: id})
	}
	return p
}

// start runs a prober over the providers until the returned function is called.
func start(t *testing.T, answer func(ctx context.Context, keyID string) *keypool.Outcome, providers ...*routing.Provider) (*stand, func()) {
	t.Helper()
	s := &stand{pool: keypool.New(time.Now, keypool.Config{}), answer: answer, running: map[string]int{}}
	snapshot := routing.NewSnapshot(1, providers, nil)
	began := time.Now()
	p := keyprobe.New(keyprobe.Config{
		Pool: s.pool, Snapshot: func() *routing.Snapshot { return snapshot }, Log: slog.New(slog.DiscardHandler), Now: time.Now,
		Check: func(ctx context.Context, _ *routing.Provider, k *routing.Key) *keypool.Outcome {
			s.mu.Lock()
			s.trials = append(s.trials, k.ID)
			s.at = append(s.at, time.Since(began))
			s.running[k.ID]++
			s.twice = s.twice || s.running[k.ID] > 1
			all := 0
			for _, n := range s.running {
				all += n
			}
			s.most = max(s.most, all)
			s.mu.Unlock()
			defer func() {
				s.mu.Lock()
				s.running[k.ID]--
				s.mu.Unlock()
			}()
			return s.answer(ctx, k.ID)
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		p.Run(ctx)
		close(done)
	}()
	return s, func() {
		cancel()
		<-done
	}
}

// tried returns the keys that were tried so far, and when.
func (s *stand) tried() ([]string, []time.Duration) {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.trials), slices.Clone(s.at)
}

// count returns how many trials there were.
func (s *stand) count() int {
	ids, _ := s.tried()
	return len(ids)
}

func (s *stand) refuse(id string) {
	s.pool.Report(id, keypool.Outcome{Reason: keypool.Unauthorized, Status: 401})
}

func accepted(context.Context, string) *keypool.Outcome { return &keypool.Outcome{Trial: true} }

func refused(context.Context, string) *keypool.Outcome {
	return &keypool.Outcome{Reason: keypool.Unauthorized, Status: 401, Trial: true}
}

// A key that works again is usable before a request had to try it.
func TestAKeyThatWorksAgainIsFound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, stop := start(t, accepted, provider("p", "k"))
		defer stop()
		s.refuse("k")
		time.Sleep(44 * time.Second) // the bubble's time
		if s.count() != 0 {
			t.Error("tried in the first 3/4 of a minute")
		}
		time.Sleep(16 * time.Second)
		if s.count() != 1 || s.pool.State(routing.Key{ID: "k"}).Name != keypool.Ready {
			t.Fatalf("after its minute: %d trials, %+v", s.count(), s.pool.State(routing.Key{ID: "k"}))
		}
		// The first request may try it, and one alone until it has an answer.
		p := provider("p", "k")
		first := s.pool.Order(p, "")
		if second := s.pool.Order(p, ""); first.Len() != 1 || second.Len() != 0 {
			t.Errorf("the first request has %d keys, the second %d", first.Len(), second.Len())
		}
		s.pool.Report("k", keypool.Outcome{})
		first.End()
		time.Sleep(time.Hour)
		if s.count() != 1 {
			t.Errorf("%d trials of a key that works", s.count())
		}
	})
}

// One that is still refused is tried less and less often, and never by a request.
func TestAKeyThatIsRefusedIsTriedLessAndLess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, stop := start(t, refused, provider("p", "k"))
		defer stop()
		s.refuse("k")
		for range 3600 {
			time.Sleep(time.Second)
			if s.pool.State(routing.Key{ID: "k"}).Name == keypool.Ready {
				_, at := s.tried()
				t.Fatalf("after trials at %v a request may try it", at)
			}
		}
		// After waits of 1, 2, 4, 8, 15, 15, 15 minutes at most, and 0.8 of that at least.
		if n := s.count(); n < 6 || n > 8 {
			t.Errorf("%d trials in an hour", n)
		}
	})
}

func TestWhatIsNotTried(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*routing.Provider){
		"probing is off":            func(p *routing.Provider) { p.NoProbe = true },
		"the provider is disabled":  func(p *routing.Provider) { p.Enabled = false },
		"the provider has a fault":  func(p *routing.Provider) { p.Fault = "x" },
		"the key is disabled":       func(p *routing.Provider) { p.Keys[0].Disabled = true },
		"the key is unreadable":     func(p *routing.Provider) { p.Keys[0].Unreadable = true },
		"the key has expired":       func(p *routing.Provider) { p.Keys[0].ExpiresAt = time.Unix(1, 0) },
		"the key is gone":           func(p *routing.Provider) { p.Keys = nil },
		"control: nothing is wrong": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := provider("p", "k")
				want := 0
				if change != nil {
					change(p)
				} else {
					want = 1
				}
				s, stop := start(t, accepted, p)
				defer stop()
				s.refuse("k")
				time.Sleep(2 * time.Minute)
				if s.count() != want {
					t.Errorf("%d trials, want %d", s.count(), want)
				}
			})
		})
	}
	for _, reason := range []keypool.Reason{keypool.RateLimited, keypool.QuotaExhausted, keypool.PaymentRequired} {
		synctest.Test(t, func(t *testing.T) {
			s, stop := start(t, accepted, provider("p", "k"))
			defer stop()
			s.pool.Report("k", keypool.Outcome{Reason: reason})
			time.Sleep(time.Hour)
			if s.count() != 0 {
				t.Errorf("%s: a list of models shows nothing, and was asked for %d times", reason, s.count())
			}
		})
	}
}

func TestFewAreTriedAtOnceAndEachByOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ids []string
		for i := range 20 {
			ids = append(ids, fmt.Sprint("k", i))
		}
		s, stop := start(t, func(ctx context.Context, _ string) *keypool.Outcome {
			<-ctx.Done() // takes all the time it has
			return refused(ctx, "")
		}, provider("p", ids...))
		defer stop()
		for _, id := range ids {
			s.refuse(id)
		}
		time.Sleep(2 * time.Minute)
		all, _ := s.tried()
		if s.most != 4 || s.twice {
			t.Errorf("%d at once, one key by two: %v", s.most, s.twice)
		}
		tried := map[string]bool{}
		for _, id := range all {
			tried[id] = true
		}
		if len(tried) != 20 {
			t.Errorf("%d of 20 keys were tried", len(tried))
		}
	})
}

// A trial that tells nothing is made again, not at once.
func TestATrialThatTellsNothingIsMadeAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, stop := start(t, func(context.Context, string) *keypool.Outcome { return nil }, provider("p", "k"))
		defer stop()
		s.refuse("k")
		time.Sleep(3 * time.Minute)
		if n := s.count(); n < 4 || n > 6 {
			t.Errorf("%d trials in 3 minutes: want one each 30 s after the first", n)
		}
	})
}

// A key that is accepted and serves nothing costs ever fewer requests an attempt.
func TestAKeyThatIsAcceptedInVain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, stop := start(t, accepted, provider("p", "k"))
		defer stop()
		p := provider("p", "k")
		s.refuse("k")
		attempts := 0
		for range 3600 {
			time.Sleep(time.Second)
			turn := s.pool.Order(p, "")
			if turn.Len() > 0 {
				attempts++
				s.refuse("k")
			}
			turn.End()
		}
		if attempts < 4 || attempts > 8 {
			t.Errorf("%d requests an hour tried it in vain", attempts)
		}
	})
}

func TestRunEndsTheTrials(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, stop := start(t, func(ctx context.Context, _ string) *keypool.Outcome {
			<-ctx.Done()
			return refused(ctx, "")
		}, provider("p", "k"))
		s.refuse("k")
		for s.count() == 0 {
			time.Sleep(time.Second)
		}
		before := s.pool.State(routing.Key{ID: "k"})
		stop()
		if s.running["k"] != 0 {
			t.Error("a trial goes on after Run")
		}
		if after := s.pool.State(routing.Key{ID: "k"}); after.Until.After(before.Until) && before.Name == keypool.Failed {
			t.Errorf("a trial that was cut off counts: %+v, then %+v", before, after)
		}
	})
}
