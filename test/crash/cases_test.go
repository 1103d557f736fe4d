package crash_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// A result is what came of crashes.
type result struct {
	cases, points, ops, changes int
	took                        time.Duration
	broken                      map[violation]int
	breaches                    []string // the first ones, in words
}

func (r result) String() string {
	var broken []string
	for _, v := range violations {
		broken = append(broken, fmt.Sprintf("%s %d", v, r.broken[v]))
	}
	return fmt.Sprintf("%d cases at %d of %d crash points, %d changes: %s; %v",
		r.cases, r.points, r.ops, r.changes, strings.Join(broken, ", "), r.took.Round(time.Millisecond))
}

const (
	maxBreaches = 10     // how many breaches are told in words
	tellEvery   = 10_000 // how many cases there are between two lines that say how far it is
)

// crash cuts the power that many times, in different ways, and examines what is
// left.
func (r *recording) crash(t *testing.T, cases int, seed uint64) result {
	t.Helper()
	out := result{ops: len(r.trace), changes: len(r.images), broken: map[violation]int{}}
	start, dir := time.Now(), scratch(t)
	var mu sync.Mutex // guards out and points
	points := map[int]bool{}
	states := make(chan state) // of a few hundred kilobytes each: none waits
	var workers sync.WaitGroup
	for i := range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for s := range states {
				b, err := r.try(t.Context(), filepath.Join(dir, fmt.Sprint(i)), s)
				mu.Lock()
				out.cases++
				points[s.point] = true
				if out.cases%tellEvery == 0 {
					t.Logf("%d cases after %v", out.cases, time.Since(start).Round(time.Second))
				}
				if b != nil {
					if out.broken[b.kind]++; len(out.breaches) < maxBreaches {
						out.breaches = append(out.breaches, fmt.Sprintf("%s: %v: %s", b.kind, s, b.why))
					}
				}
				mu.Unlock()
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	for s := range crashStates(r.trace, cases, seed) {
		states <- s
	}
	close(states)
	workers.Wait()
	out.points, out.took = len(points), time.Since(start)
	return out
}

// try makes the files of s in dir, which must not be there, examines them and
// removes them.
func (r *recording) try(ctx context.Context, dir string, s state) (b *breach, err error) {
	if err := s.write(dir); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b = examine(ctx, dir, r.kek, r.images, s.acked)
	if b != nil && *keepDir != "" {
		// Afresh: examining changed them.
		return b, s.write(filepath.Join(*keepDir, fmt.Sprintf("%s-%d-%d", b.kind, s.point, s.choice.seed)))
	}
	return b, nil
}

// write makes the files of s in a new directory.
func (s state) write(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for name, content := range s.files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}
