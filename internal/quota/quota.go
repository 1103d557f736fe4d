// Package quota keeps those who send requests within their limits: so many a
// minute, and so many at a time.
//
// Requests a minute are a bucket of that many, which is full at first and fills up
// evenly. Each process counts for itself, in memory, from its start. A [Book] has a
// few words for each id that ever had a limit; for one without limits it does
// nothing. All methods may be called concurrently; they take no lock and, for an
// id that is known, no allocation.
package quota

import (
	"sync/atomic"
	"time"

	"github.com/gatehousehq/gatehouse/internal/registry"
)

// Limits are how much may be asked. Zero fields are no limit.
type Limits struct {
	PerMinute int64
	AtOnce    int64
}

// A Book keeps account of requests. Make it with [New].
type Book struct {
	now      func() time.Time
	accounts *registry.Registry[account]
}

// An account is what is known of one id.
type account struct {
	// full is when the bucket will be full again, in nanoseconds of Unix time; it is
	// if that is past.
	full  atomic.Int64
	using atomic.Int64
}

// New returns a Book in which nobody has asked for anything.
func New(now func() time.Time) *Book {
	return &Book{now: now, accounts: registry.New[account]()}
}

// A Result is what became of a request.
type Result int

// The results.
const (
	Admitted Result = iota
	TooMany         // in a minute
	TooManyAtOnce
)

// A Slot is the place of a request that was admitted. The zero Slot is that of one
// without limits.
type Slot struct{ using *atomic.Int64 }

// Free gives the place to others. It is called once.
func (s Slot) Free() {
	if s.using != nil {
		s.using.Add(-1)
	}
}

// Admit counts a request, or says why it is not admitted and after how long to come
// again. A request that is not admitted does not count.
func (b *Book) Admit(id string, l Limits) (s Slot, r Result, wait time.Duration) {
	if l == (Limits{}) {
		return Slot{}, Admitted, 0
	}
	a := b.accounts.Get(id)
	if l.AtOnce > 0 {
		if a.using.Add(1) > l.AtOnce {
			a.using.Add(-1)
			return Slot{}, TooManyAtOnce, time.Second
		}
		s = Slot{&a.using}
	}
	if l.PerMinute > 0 {
		if wait := a.take(b.now().UnixNano(), l.PerMinute); wait > 0 {
			s.Free()
			return Slot{}, TooMany, wait
		}
	}
	return s, Admitted, 0
}

// Full reports whether an id has as many requests under way as it may have at a
// time. It counts none.
func (b *Book) Full(id string, l Limits) bool {
	if l.AtOnce <= 0 {
		return false
	}
	a := b.accounts.Find(id)
	return a != nil && a.using.Load() >= l.AtOnce
}

// take takes one out of the bucket, or returns how long until there is one.
func (a *account) take(now, perMinute int64) time.Duration {
	one := max(1, int64(time.Minute)/perMinute)
	size := one * perMinute
	for {
		full := a.full.Load()
		next := max(full, now) + one
		if over := next - now - size; over > 0 {
			return time.Duration(over)
		}
		if a.full.CompareAndSwap(full, next) {
			return 0
		}
	}
}
