package auditlog_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/auditlog"
)

// A recorder is a sink that keeps the sizes of what it got, or fails.
type recorder struct {
	mu    sync.Mutex
	sizes []int64
	calls int
	err   error
	hangs bool
}

func (r *recorder) String() string { return "recorder" }

func (r *recorder) Publish(ctx context.Context, p auditlog.Published) error {
	if r.hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	if r.err != nil {
		return r.err
	}
	c, err := auditlog.OpenCheckpoint(p.Checkpoint, p.Key)
	r.sizes = append(r.sizes, c.Size)
	return err
}

func (r *recorder) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

// take returns the sizes it got since the last call.
func (r *recorder) take() []int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.sizes
	r.sizes = nil
	return out
}

// A running checkpointer, whose log is lines.
type running struct {
	*auditlog.Checkpointer
	stop  func() // and wait for the end
	lines *lines
}

// lines is a log that can be read while it is written.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// logged returns how often the log has a text.
func (r running) logged(text string) int {
	synctest.Wait()
	return strings.Count(r.lines.String(), text)
}

func run(t *testing.T, m *memory, sinks ...auditlog.Sink) running {
	t.Helper()
	var said lines
	c, err := auditlog.NewCheckpointer(t.Context(), m, newSigner(t, 1), sinks, slog.New(slog.NewTextHandler(&said, nil)), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Run(ctx)
	}()
	return running{c, func() { cancel(); <-done }, &said}
}

// after lets time pass, to a moment between two looks at the log.
func after(d time.Duration) {
	time.Sleep(d) // of the bubble
	synctest.Wait()
}

func grow(t *testing.T, m *memory, by int) {
	t.Helper()
	for range by {
		m.add(t, someEntry(m.head.Size+1))
	}
}

func TestCheckpointsLeaveEveryMinuteOrHundredEntries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, sink := newMemory(t, 0), &recorder{}
		c := run(t, m, sink)
		expect := func(when string, want ...int64) {
			t.Helper()
			if diff := cmp.Diff(sink.take(), want); diff != "" {
				t.Errorf("%s: %s", when, diff)
			}
		}
		after(61500 * time.Millisecond)
		expect("nothing happened")
		grow(t, m, 99)
		after(30 * time.Second)
		expect("99 entries, and half a minute")
		grow(t, m, 1)
		after(time.Second)
		expect("the hundredth", 100)
		grow(t, m, 1)
		after(59 * time.Second)
		expect("a minute is not over")
		after(time.Second)
		expect("a minute is over", 101)
		after(5 * time.Minute)
		expect("nothing happened for minutes")
		grow(t, m, 7)
		c.stop()
		expect("at the end", 108)
	})
}

// TestARewrittenLogIsNotSigned rewrites the log in each way, at each size it
// may have grown to since.
func TestARewrittenLogIsNotSigned(t *testing.T) {
	t.Parallel()
	tests := map[string]func(t *testing.T, m *memory){
		"one is edited": func(t *testing.T, m *memory) {
			m.rows[3].Entry.ActorName = "eve"
			m.restamp(t)
		},
		"the end is cut off": func(t *testing.T, m *memory) {
			m.rows = m.rows[:50]
			m.restamp(t)
		},
		"it is empty":         func(_ *testing.T, m *memory) { *m = memory{} },
		"the head is garbage": func(_ *testing.T, m *memory) { m.head.Edge = m.head.Edge[1:] },
	}
	for name, rewrite := range tests {
		for _, more := range []int{0, 30, 200} {
			if more > 0 && name == "the head is garbage" {
				continue
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					m, sink := newMemory(t, 120), &recorder{}
					c := run(t, m, sink)
					defer c.stop()
					after(1500 * time.Millisecond)
					if diff := cmp.Diff(sink.take(), []int64{120}); diff != "" {
						t.Fatal(diff)
					}
					other := m.clone()
					rewrite(t, other)
					for range more {
						e := someEntry(other.head.Size + 1)
						e.ActorName = "eve"
						other.add(t, e)
					}
					m.replace(other)
					// Who asks at once does not get it signed either.
					if p, _, err := c.Sign(t.Context(), m); !errors.Is(err, auditlog.ErrRewritten) {
						t.Fatalf("asked at once: got %v (%v), want ErrRewritten", p, err)
					}
					after(time.Minute)
					if err := c.Err(); !errors.Is(err, auditlog.ErrRewritten) {
						t.Errorf("got %v, want ErrRewritten", err)
					}
					was := c.logged("the audit log was rewritten")
					after(3 * time.Minute)
					if got := c.logged("the audit log was rewritten") - was; was < 1 || was > 2 || got != 3 {
						t.Errorf("said %d times in the first minute and %d in three more, want it once a minute", was, got)
					}
					if got := sink.take(); got != nil {
						t.Errorf("published %v of a log that was rewritten", got)
					}
				})
			})
		}
	}
}

// TestWhatWasSignedOnRequestBinds holds that a checkpoint that somebody asked
// for counts as signed, too.
func TestWhatWasSignedOnRequestBinds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, sink := newMemory(t, 10), &recorder{}
		c := run(t, m, sink)
		defer c.stop()
		p, head, err := c.Sign(t.Context(), m)
		if err != nil || head.Size != 10 {
			t.Fatalf("got size %d, %v", head.Size, err)
		}
		if cp, err := auditlog.OpenCheckpoint(p.Checkpoint, p.Key); err != nil || cp.Size != 10 || cp.Root != head.Root() {
			t.Fatalf("got %+v, %v", cp, err)
		}
		after(61500 * time.Millisecond)
		if diff := cmp.Diff(sink.take(), []int64{10}); diff != "" {
			t.Errorf("what was signed on request is published no more: %s", diff)
		}
		grow(t, m, 5)
		if _, _, err := c.Sign(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		other := m.clone()
		other.rows[12].Entry.ActorName = "eve" // behind what was published
		other.restamp(t)
		m.replace(other)
		after(1500 * time.Millisecond)
		if err := c.Err(); !errors.Is(err, auditlog.ErrRewritten) {
			t.Errorf("got %v, want ErrRewritten", err)
		}
	})
}

func TestARestartRemembersTheFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "checkpoints")
	sink := func() auditlog.Sink {
		s, err := auditlog.ParseSink("file:"+file, nil)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	m := newMemory(t, 150)
	synctest.Test(t, func(t *testing.T) { run(t, m, sink()).stop() })
	kept := read(t, file)
	for name, tt := range map[string]struct {
		do   func(m *memory)
		want error
	}{
		"it is the same":     {func(*memory) {}, nil},
		"it has grown":       {func(m *memory) { grow(t, m, 5) }, nil},
		"retention has run":  {func(m *memory) { m.prune(t, 100) }, nil},
		"one was edited":     {func(m *memory) { m.rows[3].Entry.ActorName = "eve"; m.restamp(t) }, auditlog.ErrRewritten},
		"the end is cut off": {func(m *memory) { m.rows = m.rows[:149]; m.restamp(t) }, auditlog.ErrRewritten},
		"a hash is gone":     {func(m *memory) { m.rows[127].Hashes = m.rows[127].Hashes[:32] }, auditlog.ErrRewritten},
	} {
		t.Run(name, func(t *testing.T) {
			now := m.clone()
			tt.do(now)
			synctest.Test(t, func(t *testing.T) {
				c := run(t, now, sink())
				if err := c.Err(); !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
				c.stop()
			})
			if now := read(t, file); tt.want != nil && now != kept {
				t.Error("a checkpoint was published of a log that was rewritten")
			}
			if err := os.WriteFile(file, []byte(kept), 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var errAway = errors.New("the database is away")

// TestADatabaseThatIsAwayIsNoRewrittenLog holds that a fault that passes stops
// nothing for good.
func TestADatabaseThatIsAwayIsNoRewrittenLog(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "checkpoints")
	sink, err := auditlog.ParseSink("file:"+file, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, other := newMemory(t, 150), &recorder{}
	synctest.Test(t, func(t *testing.T) {
		run(t, m, sink).stop()
		m.fail(errAway)
		if _, err := auditlog.NewCheckpointer(t.Context(), m, newSigner(t, 1), []auditlog.Sink{sink}, slog.New(slog.DiscardHandler), time.Now); !errors.Is(err, errAway) {
			t.Errorf("at the start: got %v, want %v", err, errAway)
		}
		m.fail(nil)
		c := run(t, m, sink, other)
		defer c.stop()
		grow(t, m, 100)
		hashless := &hashless{memory: m}
		if _, _, err := c.Sign(t.Context(), hashless); !errors.Is(err, errAway) {
			t.Errorf("on request: got %v, want %v", err, errAway)
		}
		m.fail(errAway)
		after(10500 * time.Millisecond)
		m.fail(nil)
		after(time.Second)
		if diff := cmp.Diff(other.take(), []int64{250}); diff != "" || c.Err() != nil {
			t.Errorf("once it was back: %v %s", c.Err(), diff)
		}
	})
}

// A hashless log has a head, and its tree is away.
type hashless struct{ *memory }

func (hashless) Hashes(context.Context, []int64) (map[int64][]byte, error) { return nil, errAway }

func TestATreeThatIsAwayIsSaidOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, sink := newMemory(t, 100), &recorder{}
		var said lines
		c, err := auditlog.NewCheckpointer(t.Context(), hashless{m}, newSigner(t, 1), []auditlog.Sink{sink}, slog.New(slog.NewTextHandler(&said, nil)), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go c.Run(ctx)
		after(1500 * time.Millisecond)
		grow(t, m, 105) // to where what it has cannot do without the tree
		after(5 * time.Minute)
		cancel()
		synctest.Wait()
		if got := strings.Count(said.String(), "no checkpoint of the audit log could be made"); got != 1 || c.Err() != nil {
			t.Errorf("said %d times (%v), want once:\n%s", got, c.Err(), said.String())
		}
	})
}

func TestASinkThatFailsHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, hangs, fails, well := newMemory(t, 0), &recorder{hangs: true}, &recorder{err: errors.New("no")}, &recorder{}
		c := run(t, m, hangs, hangs, fails, well)
		grow(t, m, 100)
		after(1500 * time.Millisecond)
		if diff := cmp.Diff(well.take(), []int64{100}); diff != "" {
			t.Errorf("the sink that is well: %s", diff)
		}
		after(3 * time.Minute)
		if got := c.logged("sink=recorder error=no"); got != 1 {
			t.Errorf("said %d times that it fails, want once", got)
		}
		grow(t, m, 3)
		fails.fail(nil)
		after(2 * time.Minute)
		if diff := cmp.Diff(fails.take(), []int64{103}); diff != "" {
			t.Errorf("the sink that is well again: %s", diff)
		}
		if got := c.logged("are published again"); got != 1 {
			t.Errorf("said %d times that it is well again, want once", got)
		}
		c.stop()
	})
}

// TestASinkThatFailsIsTriedOnceAMinute: however much happens, one that hangs
// takes its ten seconds of a minute and no more.
func TestASinkThatFailsIsTriedOnceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, fails, well := newMemory(t, 0), &recorder{err: errors.New("no")}, &recorder{}
		c := run(t, m, fails, well)
		for range 10 {
			grow(t, m, 100)
			after(time.Second)
		}
		c.stop()
		if got := len(well.take()); got != 10 {
			t.Errorf("the sink that is well got %d, want 10", got)
		}
		if fails.calls != 2 {
			t.Errorf("the sink that fails was tried %d times, want at first and at the end", fails.calls)
		}
	})
}
