// Package journal keeps the records of requests to the gateway in files until
// they have been written elsewhere.
//
// A request has a begin entry, written before an upstream is asked, and an end
// entry. What was written is not lost when the process dies, at whatever
// instruction: entries go into memory that is the kernel's, too. When the
// machine loses power, the last second may be lost. On start, what a process
// that died has left behind is read: a begin without an end becomes a record
// that says so ([usage.Record.Unfinished]).
//
// [Journal.Ship] hands records over in batches, each at least once; whoever
// takes them tells by the id which they have already. What has been taken is
// deleted, by whole segments, which are the files of a journal.
//
// The journal never makes a request wait for a disk that is slow or full. Its
// size is bounded; a record for which there is no room is dropped and counted.
//
// All methods may be called concurrently, but for Ship and Close, which are
// called once. Begin and End neither allocate nor, as a rule, make a system
// call. A directory must not be used by two journals at a time: who opens one
// sees to that.
package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehousehq/gatehouse/internal/usage"
)

// Config are the settings of a journal. Zero fields take the defaults.
type Config struct {
	// MaxBytes bounds the files of the journal together. When there is no more
	// room, records are dropped. Default 256 MiB; at least four segments.
	MaxBytes int64
	// SegmentBytes is the size of a file. Default 4 MiB; from 64 KiB to 64 MiB.
	SegmentBytes int
	// BatchSize is how many records are shipped at once at most. Default 500.
	BatchSize int
	// ShipEvery is how long records gather before they are shipped. Default
	// 200 ms.
	ShipEvery time.Duration
	// RetryMax bounds how long shipping rests after an error; it begins with
	// ShipEvery and doubles. Default 5 s.
	RetryMax time.Duration
	// SyncEvery is how often the files are written to the disk itself. Default
	// 1 s.
	SyncEvery time.Duration
	// Logger gets what an operator acts on. Default slog.Default().
	Logger *slog.Logger
}

const (
	defaultMaxBytes     = 256 << 20
	defaultSegmentBytes = 4 << 20
	maxSegmentBytes     = 64 << 20
	minSegments         = 4
)

func (c *Config) setDefaults() {
	c.MaxBytes = positive(c.MaxBytes, defaultMaxBytes)
	c.SegmentBytes = min(max(positive(c.SegmentBytes, defaultSegmentBytes), 2*maxEntry), maxSegmentBytes)
	c.SegmentBytes &^= align - 1
	c.BatchSize = positive(c.BatchSize, 500)
	c.ShipEvery = positive(c.ShipEvery, 200*time.Millisecond)
	c.RetryMax = positive(c.RetryMax, 5*time.Second)
	c.SyncEvery = positive(c.SyncEvery, time.Second)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
}

func positive[T int | int64 | time.Duration](v, byDefault T) T {
	if v > 0 {
		return v
	}
	return byDefault
}

// A Journal is open until Close.
type Journal struct {
	dir     string
	cfg     Config
	most    int // segments
	maker   maker
	buffers sync.Pool // of *buffer

	depth   atomic.Int64
	dropped atomic.Int64
	found   Found
	kept    int // segments on disk that this process neither reads nor deletes

	wake    chan struct{} // to the keeper: a segment is wanted, or done with
	stop    chan struct{} // closed to end the keeper
	stopped chan struct{} // closed by the keeper
	closing chan struct{} // closed when nothing more is written
	drained chan struct{} // closed when Ship has returned

	mu       sync.Mutex
	changed  sync.Cond // spare, spareErr or closed
	segments []*segment
	active   *segment // the last of segments; nil until there is room for one
	spare    *segment
	spareErr error // why there is no spare
	nextSeq  uint64
	sealed   []*segment // the keeper's to unmap
	slots    []slot
	free     int // the first free slot; its next the next
	open     int
	// openBytes is the length of the open begin entries.
	openBytes int
	dropErr   error // why the last record was dropped
	closed    bool
	// stopShipping is not nil once Ship has been called.
	stopShipping context.CancelFunc
}

// A Ticket stands for a begin entry that waits for its end. The zero Ticket is
// for none.
type Ticket struct{ slot, turn uint32 }

// A slot is where a begin entry is kept track of. The zeroth is not used.
type slot struct {
	segment  *segment // nil if the slot is free
	at, size int
	turn     uint32 // tells a ticket from one for the same slot before
	next     int
}

// Begin writes down that a request begins: what is known of it by now. If there
// is no room the zero Ticket comes back, and all goes on.
func (j *Journal) Begin(rec *usage.Record) Ticket {
	b := j.encode(kindBegin, rec)
	defer j.release(b)
	j.mu.Lock()
	defer j.mu.Unlock()
	at, err := j.append(b, modest)
	if err != nil {
		return Ticket{}
	}
	if j.free == 0 {
		j.slots = append(j.slots, slot{})
		j.free = len(j.slots) - 1
	}
	n := j.free
	s := &j.slots[n]
	j.free = s.next
	*s = slot{segment: j.active, at: at, size: b.size(), turn: s.turn + 1}
	j.active.open++
	j.open++
	j.openBytes += s.size
	return Ticket{uint32(n), s.turn}
}

// End writes down how a request ended: the whole of its record. It reports
// whether there was room; if not, the record is lost, and counted.
func (j *Journal) End(t Ticket, rec *usage.Record) bool {
	b := j.encode(kindEnd, rec)
	defer j.release(b)
	j.mu.Lock()
	defer j.mu.Unlock()
	var m manners
	if j.slot(t) == nil {
		m = modest
	}
	_, err := j.append(b, m)
	if err == nil {
		j.depth.Add(1)
	} else {
		j.dropped.Add(1)
		j.dropErr = err
	}
	// Even then: what is not tracked does not keep its segment for ever.
	j.let(t)
	return err == nil
}

// let frees the slot of a ticket.
func (j *Journal) let(t Ticket) {
	s := j.slot(t)
	if s == nil {
		return
	}
	s.segment.open--
	j.open--
	j.openBytes -= s.size
	*s = slot{turn: s.turn, next: j.free}
	j.free = int(t.slot)
}

// slot returns the slot of a ticket that waits for its end, else nil.
func (j *Journal) slot(t Ticket) *slot {
	if t.slot == 0 || int(t.slot) >= len(j.slots) {
		return nil
	}
	if s := &j.slots[t.slot]; s.turn == t.turn && s.segment != nil {
		return s
	}
	return nil
}

// append writes an entry and returns where it is in the active segment.
func (j *Journal) append(b *buffer, m manners) (at int, err error) {
	if b.size() > maxEntry {
		return 0, errTooLong
	}
	if err := j.room(b.size(), m); err != nil {
		return 0, err
	}
	return j.active.append(b)
}

// manners are how an entry is to be written.
type manners uint8

const (
	// modest entries leave the last segment that the journal may have to the ends
	// of what has begun.
	modest manners = 1 << iota
	// hasty ones do without a segment that is not ready yet.
	hasty
)

// room makes the active segment one that has room. It may have let go of the lock
// in between, if so much is written that the next segment was not ready.
func (j *Journal) room(size int, m manners) error {
	for {
		fits := j.active != nil && j.active.used+size <= j.cfg.SegmentBytes
		switch {
		case j.closed:
			return errClosed
		case m&modest != 0 && j.count() >= j.most && (!fits || j.spare == nil):
			return errFull
		case fits:
			return nil
		case j.spare != nil:
			j.rotate()
		case j.spareErr != nil:
			return j.spareErr
		case m&hasty != 0:
			return errBusy
		default:
			j.changed.Wait()
		}
	}
}

// rotate makes the spare segment the active one.
func (j *Journal) rotate() {
	if j.active != nil {
		j.sealed = append(j.sealed, j.active)
	}
	j.active, j.spare = j.spare, nil
	j.segments = append(j.segments, j.active)
	j.wakeKeeper()
}

var (
	// errFull is why there is no spare segment when the journal must not grow.
	errFull    = errors.New("the journal is full")
	errBusy    = errors.New("the next segment is not ready")
	errClosed  = errors.New("the journal is closed")
	errTooLong = errors.New("the entry is too long")
)

// count returns how many segments there are.
func (j *Journal) count() int {
	n := len(j.segments) + j.kept
	if j.spare != nil {
		n++
	}
	return n
}

func (j *Journal) wakeKeeper() {
	select {
	case j.wake <- struct{}{}:
	default: // it has not looked since the last time
	}
}

// Depth returns how many records wait to be shipped.
func (j *Journal) Depth() int64 { return j.depth.Load() }

// Dropped returns how many records were dropped, mostly for want of room.
func (j *Journal) Dropped() int64 { return j.dropped.Load() }

// InFlight returns how many requests have begun and not ended.
func (j *Journal) InFlight() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.open
}

// Bytes returns how much room the segments take.
func (j *Journal) Bytes() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return int64(j.count()) * int64(j.cfg.SegmentBytes)
}

// Found says what an earlier process had left behind.
func (j *Journal) Found() Found { return j.found }

// Close ends the journal. If it is being shipped, it waits until all is, or until
// ctx ends; then Ship has returned. What is left stays for the next process, and
// is an error. Begin and End may still be called, and do nothing.
func (j *Journal) Close(ctx context.Context) error {
	j.mu.Lock()
	j.closed = true
	stopShipping := j.stopShipping
	j.mu.Unlock()
	j.changed.Broadcast()
	close(j.closing)
	if stopShipping != nil {
		select {
		case <-j.drained:
		case <-ctx.Done():
			stopShipping()
			<-j.drained
		}
	}
	close(j.stop)
	<-j.stopped
	err := errors.Join(j.settle(true), j.leave())
	if n := j.Depth(); n > 0 {
		err = errors.Join(err, fmt.Errorf("%d records of requests wait in the journal for the next start", n))
	}
	return err
}

// leave closes the segments, and deletes those that are of no more use.
func (j *Journal) leave() error {
	var errs []error
	done := true // in order: where an end is deleted, its begin must not stay
	for _, s := range j.segments {
		errs = append(errs, s.unmap())
		if done = done && s.shipped >= s.length() && s.open == 0; done && !s.strange {
			errs = append(errs, s.remove())
		} else {
			errs = append(errs, s.file.Close())
		}
	}
	if j.spare != nil {
		errs = append(errs, j.spare.unmap(), j.spare.remove())
	}
	return errors.Join(errs...)
}
