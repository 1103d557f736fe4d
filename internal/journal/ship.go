package journal

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/gatehousehq/gatehouse/internal/usage"
)

// window is how much of a segment is read at a time.
const window = 8 * maxEntry

// Ship hands records to deliver, in batches and in the order in which requests
// ended, until ctx ends or the journal is closed and empty; then it returns nil. Of
// a journal that is closed already it ships nothing.
// What deliver has returned nil for is not shipped again by this process, and
// by another only if this one dies at that moment.
//
// When deliver returns an error, the same batch comes again a little later, and
// nothing else before it: deliver must not return one for what can never
// succeed. It must not keep the batch.
func (j *Journal) Ship(ctx context.Context, deliver func(context.Context, []usage.Record) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return nil // what is left is for the next process
	}
	if j.stopShipping != nil {
		j.mu.Unlock()
		return errors.New("the journal is being shipped already")
	}
	j.stopShipping = cancel
	j.mu.Unlock()
	defer close(j.drained)

	sh := shipper{j: j, buf: make([]byte, window)}
	rest := j.cfg.ShipEvery
	var trouble complaint
	for ctx.Err() == nil {
		closing := isClosed(j.closing)
		more, err := sh.step(ctx, deliver)
		switch {
		case err != nil && ctx.Err() == nil:
			if trouble.due() {
				j.cfg.Logger.Error("records of requests cannot be shipped, and wait in the journal", "error", err, "records", j.Depth())
			}
			wait(ctx, rest, nil)
			rest = min(2*rest, j.cfg.RetryMax)
			continue
		case more:
		case closing:
			return nil
		default:
			wait(ctx, j.cfg.ShipEvery, j.closing)
		}
		rest = j.cfg.ShipEvery
	}
	return nil
}

// wait waits until the time is over, or one of the two has ended.
func wait(ctx context.Context, d time.Duration, early <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-early:
	case <-ctx.Done():
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// A shipper is what Ship works with.
type shipper struct {
	j     *Journal
	buf   []byte
	batch []usage.Record
}

// step ships one batch, and lets go of segments that are done with. It reports
// whether there is more to do at once.
func (sh *shipper) step(ctx context.Context, deliver func(context.Context, []usage.Record) error) (more bool, err error) {
	if s := sh.done(); s != nil {
		if gone, err := sh.finish(s); gone || err != nil {
			return gone, err
		}
	}
	s, end, last := sh.next()
	if s == nil {
		return false, nil
	}
	at, err := sh.gather(s, end)
	if err != nil {
		return false, err
	}
	if len(sh.batch) > 0 {
		if err := deliver(ctx, sh.batch); err != nil {
			return false, err
		}
		sh.j.depth.Add(-int64(len(sh.batch)))
	}
	if err := s.setShipped(at); err != nil {
		return false, fmt.Errorf("write down what was shipped: %w", err)
	}
	return at < end || !last, nil
}

// done returns the first segment if all of it is shipped. If requests that have
// begun in it are still on, that is worth the while only when there are many
// segments.
func (sh *shipper) done() *segment {
	j := sh.j
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.segments) == 0 {
		return nil
	}
	if s := j.segments[0]; s != j.active && s.shipped >= s.length() && (s.open == 0 || j.crowded()) {
		return s
	}
	return nil
}

// next returns the first segment that there is something to ship of, and where
// its entries end. The last one is being written to.
func (sh *shipper) next() (s *segment, end int, last bool) {
	j := sh.j
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range j.segments {
		if end := s.length(); s.shipped < end {
			return s, end, s == j.active
		}
	}
	return nil, 0, false
}

// gather reads the next records of a segment into the batch, and returns up to
// where it has read.
func (sh *shipper) gather(s *segment, end int) (at int, err error) {
	clear(sh.batch)
	sh.batch = sh.batch[:0]
	n := min(window, end-s.shipped)
	if _, err := s.file.ReadAt(sh.buf[:n], int64(s.shipped)); err != nil && !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("read the journal: %w", err)
	}
	r := reading{b: sh.buf[:n], base: s.shipped, mark: s.mark, more: s.shipped+n < end}
	for len(sh.batch) < sh.j.cfg.BatchSize {
		e, ok := r.next()
		if !ok {
			break
		}
		if !s.ships(e) {
			continue
		}
		// What is strange was counted when the journal was opened, and stays.
		if _, rec, err := e.record(); err == nil {
			sh.batch = append(sh.batch, rec)
		}
	}
	return s.shipped + r.at, nil
}

// ships reports whether the entry is a record of its own.
func (s *segment) ships(e entry) bool {
	if e.payload[1] == kindBegin {
		return s.orphans[e.at]
	}
	return !s.left || s.wants(e.at)
}

// finish deletes a segment that all is shipped of. It reports false if that has
// to wait.
func (sh *shipper) finish(s *segment) (gone bool, err error) {
	j := sh.j
	sh.carry(s)
	j.mu.Lock()
	if s.open > 0 {
		j.mu.Unlock()
		return false, nil
	}
	j.segments[0] = nil
	j.segments = j.segments[1:]
	if s.strange {
		j.kept++
	}
	j.mu.Unlock()
	if s.strange {
		return true, s.file.Close()
	}
	j.wakeKeeper() // it may wait for room
	return true, s.remove()
}

// crowded reports whether there are many more segments than open begin entries
// would fill. Then most of what is in them is of no use any more, so that
// writing those entries once again, at the end, gets rid of more than it adds.
func (j *Journal) crowded() bool {
	return len(j.segments) > 2+2*j.openBytes/j.cfg.SegmentBytes
}

// carry writes the begin entries of the segment that are still open to the
// active one, as far as there is room: otherwise one long stream would keep every
// segment from its begin on.
func (sh *shipper) carry(s *segment) {
	j := sh.j
	for _, t := range j.openIn(s) {
		j.mu.Lock()
		sl := j.slot(t)
		if sl == nil { // it has ended
			j.mu.Unlock()
			continue
		}
		at, size := sl.at, sl.size
		j.mu.Unlock()

		b, ok := sh.copyEntry(s, at, size)
		j.mu.Lock()
		if sl = j.slot(t); sl == nil {
			j.mu.Unlock()
			continue
		}
		if !ok { // the disk has changed it: there is nothing to keep
			j.let(t)
			j.mu.Unlock()
			continue
		}
		// The lock is held on: an entry that is carried after its end would come
		// back as one without.
		at, err := j.append(b, modest|hasty)
		if err == nil {
			s.open--
			j.active.open++
			sl.segment, sl.at = j.active, at
		}
		j.mu.Unlock()
		if err != nil {
			return // until later; if there is no room the keeper complains
		}
	}
}

// openIn returns the tickets whose begin entries are in the segment.
func (j *Journal) openIn(s *segment) []Ticket {
	j.mu.Lock()
	defer j.mu.Unlock()
	if s.open == 0 {
		return nil
	}
	tickets := make([]Ticket, 0, s.open)
	for i, sl := range j.slots {
		if sl.segment == s {
			tickets = append(tickets, Ticket{uint32(i), sl.turn})
		}
	}
	return tickets
}

// copyEntry reads an entry, to be written elsewhere.
func (sh *shipper) copyEntry(s *segment, at, size int) (*buffer, bool) {
	if _, err := s.file.ReadAt(sh.buf[:size], int64(at)); err != nil && !errors.Is(err, io.EOF) {
		return nil, false
	}
	r := reading{b: sh.buf[:size], base: at, mark: s.mark}
	payload, ok := r.entry()
	b := &buffer{b: sh.buf[:entryHeader+len(payload)], sum: crc32.Checksum(payload, castagnoli)}
	return b, ok
}
