package recorder

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/usage"
)

const (
	// feedSize is how many of the latest records a Feed keeps: so far a listener
	// may fall behind, or come back, without missing any.
	feedSize = 1024
	// maxListeners is how many there may be at once, and maxListenersEach how many
	// of one user.
	maxListeners     = 128
	maxListenersEach = 16
)

// Why there is no record to return.
var (
	// ErrClosed is for a Feed that is over: the server stops.
	ErrClosed = errors.New("the feed of records is closed")
	// ErrTooMany is for a listener above the limits.
	ErrTooMany = errors.New("there are too many listeners")
)

// A Feed shows the records of this process as they come. Publishing waits for
// nobody: a listener that is too slow misses what it had no time for, and is told
// so.
type Feed struct {
	mu      sync.Mutex
	ring    [feedSize]usage.Record
	next    uint64 // how many there were; the latest is at next-1
	waiting []*Listener
	users   map[string]int // listeners by user
	all     int
	closed  bool
}

// NewFeed returns an empty Feed.
func NewFeed() *Feed { return &Feed{users: map[string]int{}} }

// Publish shows a record to those who listen. It keeps rec.
func (f *Feed) Publish(rec usage.Record) {
	if rec.TokenID == "" {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ring[f.next%feedSize] = rec
	f.next++
	f.wake()
}

// wake wakes those who wait. The caller holds the lock.
func (f *Feed) wake() {
	for i, l := range f.waiting {
		l.waits = false
		select {
		case l.woken <- struct{}{}:
		default: // it has not yet noticed that it was woken before
		}
		f.waiting[i] = nil
	}
	f.waiting = f.waiting[:0]
}

// Close ends the Feed: every listener gets [ErrClosed].
func (f *Feed) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.wake()
}

// A Listener is somebody to whom a [Feed] is shown. It belongs to one goroutine.
type Listener struct {
	feed  *Feed
	user  string
	next  uint64
	gap   bool // something was missed, and not told yet
	woken chan struct{}

	waits, closed bool // under the feed's lock; waits is whether it is in waiting
}

// Listen begins to listen on behalf of a user, behind the record with the id
// after: if that is not known any more it is told that it may have missed something,
// and gets what is newer. With "" it begins with the next record. The caller closes the Listener.
func (f *Feed) Listen(user, after string) (*Listener, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return nil, ErrClosed
	case f.all >= maxListeners, f.users[user] >= maxListenersEach:
		return nil, ErrTooMany
	}
	f.all++
	f.users[user]++
	l := &Listener{feed: f, user: user, next: f.next, woken: make(chan struct{}, 1)}
	if after != "" {
		l.next, l.gap = f.behind(after)
	}
	return l, nil
}

// behind returns the place behind the record with that id. If it is not kept there
// is a gap, and the place is that of the first record that is newer: what a server
// that was started again has served since, say. The caller holds the lock.
func (f *Feed) behind(id string) (next uint64, gap bool) {
	for n := f.next; n > f.oldest(); n-- {
		if f.ring[(n-1)%feedSize].ID == id {
			return n, false
		}
	}
	for n := f.oldest(); n < f.next; n++ {
		if f.ring[n%feedSize].ID > id { // ids are in the order of their times
			return n, true
		}
	}
	return f.next, true
}

// oldest is the place of the oldest record that is kept. The caller holds the
// lock.
func (f *Feed) oldest() uint64 { return f.next - min(f.next, feedSize) }

// Close ends the listening.
func (l *Listener) Close() {
	f := l.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	f.waiting = slices.DeleteFunc(f.waiting, func(w *Listener) bool { return w == l })
	f.all--
	if f.users[l.user]--; f.users[l.user] == 0 {
		delete(f.users, l.user)
	}
}

// Next waits for the next record that see lets through. With gap set there is no
// record: some were missed at this place. It returns [ErrClosed] when the Feed is
// over, and the error of ctx when that is.
func (l *Listener) Next(ctx context.Context, see func(store.Interception) bool) (rec store.Interception, gap bool, err error) {
	for ctx.Err() == nil {
		found, known, err := l.take()
		switch {
		case err != nil:
			return store.Interception{}, false, err
		case l.gap:
			l.gap = false
			return store.Interception{}, true, nil
		case known:
			if rec, ok := interception(&found); ok && see(rec) {
				return rec, false, nil
			}
			continue
		}
		select {
		case <-l.woken:
		case <-ctx.Done():
		}
	}
	return store.Interception{}, false, ctx.Err()
}

// take returns the next record, whoever may see it; if there is none yet the
// listener waits.
func (l *Listener) take() (rec usage.Record, known bool, err error) {
	f := l.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return rec, false, ErrClosed
	}
	if oldest := f.oldest(); l.next < oldest {
		l.next, l.gap = oldest, true
	}
	if l.gap {
		return rec, false, nil
	}
	if l.next < f.next {
		rec = f.ring[l.next%feedSize]
		l.next++
		return rec, true, nil
	}
	if !l.waits {
		l.waits = true
		f.waiting = append(f.waiting, l)
	}
	return rec, false, nil
}
