package app

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehousehq/gatehouse/internal/config"
)

// Lines of requests come together, and soon; alarms come at once, after what
// was before them.
func TestLinesOfRequestsWaitForEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var w writes
		log, flush := newRequestLogger(&w, config.Config{})
		log = log.With("a", 1).WithGroup("g")
		log.Info("one")
		log.Info("two")
		if out := w.all(); len(out) != 0 {
			t.Errorf("written at once: %q", out)
		}
		time.Sleep(lateness) // the bubble's time
		synctest.Wait()
		if out := w.all(); len(out) != 1 || strings.Count(out[0], "\n") != 2 || !strings.Contains(out[0], "msg=two a=1") {
			t.Errorf("after its time: %q", out)
		}
		log.Info("three")
		log.Error("four")
		if out := w.all(); len(out) != 2 || strings.Count(out[1], "\n") != 2 {
			t.Errorf("after an alarm: %q", out)
		}
		log.Info("five")
		flush()
		if out := w.all(); len(out) != 3 {
			t.Errorf("in the end: %q", out)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		for range 1000 {
			log.Info("many", "x", strings.Repeat("x", 100))
		}
		if n := len(w.all()); n < 5 || n > 20 {
			t.Errorf("1000 lines came in %d writes", n-3)
		}
		flush()
		if n := strings.Count(strings.Join(w.all(), ""), "\n"); n != 1005 {
			t.Errorf("%d lines, want 1005", n)
		}
		time.Sleep(time.Second)
	})
}

// What the lines are does not depend on how they are written.
func TestLinesOfRequestsAreLikeAllOthers(t *testing.T) {
	t.Parallel()
	for _, cfg := range []config.Config{{LogFormat: "json"}, {LogFormat: "text", LogLevel: slog.LevelWarn}} {
		var a, b bytes.Buffer
		late, flush := newRequestLogger(&a, cfg)
		for _, log := range []*slog.Logger{late, newLogger(&b, cfg)} {
			log.Info("info", "k", "v")
			log.Warn("warn", "k", "v")
		}
		flush()
		untimed := func(s string) string {
			var lines []string
			for line := range strings.Lines(s) {
				_, rest, _ := strings.Cut(line, "level")
				lines = append(lines, rest)
			}
			return strings.Join(lines, "")
		}
		if untimed(a.String()) != untimed(b.String()) || a.Len() == 0 {
			t.Errorf("got %q, want %q", a.String(), b.String())
		}
	}
}

// writes keeps each write by itself.
type writes struct {
	mu   sync.Mutex
	list []string
}

func (w *writes) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, string(p))
	return len(p), nil
}

func (w *writes) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.list)
}
