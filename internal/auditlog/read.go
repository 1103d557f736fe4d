package auditlog

import (
	"context"
	"iter"
	"math"
	"sync"

	"github.com/gatehousehq/gatehouse/internal/store"
)

// batch is how many rows are read at once.
const batch = 5000

// A span is the rows from one index to another, both among them.
type span struct{ first, last int64 }

// A part is some rows of a span, in order, or why they could not be read.
type part struct {
	rows []store.AuditRow
	err  error
	done bool // it is the last of the span
}

// spansOf returns what is to be read of a log of that size, in order: what should
// not be there, too, before the first entry and behind the last.
func spansOf(size int64) []span {
	spans := []span{{math.MinInt64, 0}}
	for first := int64(1); first <= size; first += batch {
		spans = append(spans, span{first, min(first+batch-1, size)})
	}
	return append(spans, span{max(size, 0) + 1, math.MaxInt64})
}

// readAll yields all rows of a log of that size, in order, until there is an
// error. Those who can read it take turns, and each is a part ahead. The first
// alone reads what lies outside of the size: the others may see there what was
// written since.
func readAll(ctx context.Context, logs []Rows, size int64) iter.Seq2[[]store.AuditRow, error] {
	spans := spansOf(size)
	turn := func(n int) int {
		if n == len(spans)-1 {
			return 0
		}
		return n % len(logs)
	}
	return func(yield func([]store.AuditRow, error) bool) {
		var reading sync.WaitGroup
		defer reading.Wait()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		parts := make([]chan part, len(logs))
		for i, log := range logs {
			parts[i] = make(chan part, 1)
			reading.Go(func() {
				for n, s := range spans {
					if turn(n) == i && !s.read(ctx, log, parts[i]) {
						return
					}
				}
			})
		}
		for n := range spans {
			for done := false; !done; {
				p := <-parts[turn(n)]
				if !yield(p.rows, p.err) || p.err != nil {
					return
				}
				done = p.done
			}
		}
	}
}

// read sends the rows of a span to out, and reports whether to go on.
func (s span) read(ctx context.Context, log Rows, out chan<- part) bool {
	for from := s.first; ; {
		var p part
		p.rows, p.err = log.Rows(ctx, from, batch)
		p.done = len(p.rows) == 0
		for n := len(p.rows); n > 0 && p.rows[n-1].Index >= s.last; n-- {
			p.done = true
			if p.rows[n-1].Index == s.last {
				break
			}
			p.rows = p.rows[:n-1]
		}
		select {
		case out <- p:
		case <-ctx.Done():
			return false
		}
		if p.done || p.err != nil {
			return p.err == nil
		}
		from = p.rows[len(p.rows)-1].Index + 1
	}
}
