package rotation_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/test/clients/realserver"
)

const (
	// rate is how many requests a second there are under load.
	rate = 200
	// keysUnderLoad is how many keys each provider has then, besides its settings.
	keysUnderLoad = 19
)

// TestRotationUnderLoad rotates while requests come at a steady rate, and says
// how long that takes and what it costs the requests. No time decides: the
// machine may have other work. That each request is answered, with a key of its
// provider, does.
func TestRotationUnderLoad(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) { rotateUnderLoad(t, "") })
	t.Run("PostgreSQL", func(t *testing.T) { rotateUnderLoad(t, newCluster(t).URL) })
}

func rotateUnderLoad(t *testing.T, databaseURL string) {
	s := newSite(t, chance(t))
	srv := s.start(realserver.Config{Binary: binary(t, binaries.honest), Dir: t.TempDir(), DatabaseURL: databaseURL})
	c := connect(t, srv)
	s.fill(c, *secretCount/(keysUnderLoad+1), keysUnderLoad)
	load := s.load(targetOf(srv))
	phase(t, *loadTime)
	before := load.cut()
	begun := time.Now()
	if _, err := c.Rotate(t.Context(), client.Rotate{Mode: "full"}); err != nil {
		t.Fatal(err)
	}
	rotatedUnderLoad(t, c)
	took := time.Since(begun)
	during := load.cut()
	phase(t, *loadTime)
	after := load.cut()
	load.stop()
	s.serves(srv)
	s.mustBeWell()
	r, err := c.Rotation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d secrets rotated in %v at %d requests a second", r.Secrets, took.Round(10*time.Millisecond), rate)
	t.Logf("before %s", before)
	t.Logf("during %s: the p99 rose by %v", during, during.at(99)-max(before.at(99), after.at(99)))
	t.Logf("after  %s", after)
}

// rotatedUnderLoad waits until the rotation is over, and asks as often as
// gatehouse dbcrypt rotate does: each time counts all secrets.
func rotatedUnderLoad(t *testing.T, c *client.Client) {
	t.Helper()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		r, err := c.Rotation(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if r.State == "idle" {
			return
		}
		<-tick.C
	}
}

// phase lets time pass, to measure in.
func phase(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// latencies are how long requests took.
type latencies []time.Duration

func (l latencies) at(percent int) time.Duration {
	if len(l) == 0 {
		return 0
	}
	return l[min(len(l)-1, len(l)*percent/100)].Round(10 * time.Microsecond)
}

func (l latencies) String() string {
	return fmt.Sprintf("%5d requests: p50 %v  p99 %v  max %v", len(l), l.at(50), l.at(99), l.at(100))
}

// A load is requests that come at a steady rate, however long they take.
type load struct {
	stop func() // waits for the last of them

	mu   sync.Mutex
	took latencies
}

// load begins one. A request is timed from the moment it was due.
func (s *site) load(to target) *load {
	s.t.Helper()
	l := &load{}
	names, quit := s.ledger.names(), make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		began := time.Now()
		for i := 0; ; i++ {
			due := began.Add(time.Duration(i) * time.Second / rate)
			select {
			case <-quit:
				return
			case <-time.After(time.Until(due)):
			}
			work.Go(func() {
				s.traffic.one(to, names[i*7%len(names)], false)
				l.mu.Lock()
				l.took = append(l.took, time.Since(due))
				l.mu.Unlock()
			})
		}
	})
	l.stop = sync.OnceFunc(func() { close(quit); work.Wait() })
	s.t.Cleanup(l.stop)
	return l
}

// cut returns what was measured since it was last called, in order.
func (l *load) cut() latencies {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.took
	l.took = nil
	slices.Sort(out)
	return out
}
