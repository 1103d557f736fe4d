package authn

import (
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// How often a password may be tried, right or wrong. A right one is not counted.
var (
	perAccount = pace{burst: 10, every: 30 * time.Second}
	perAddress = pace{burst: 30, every: 5 * time.Second}
)

// maxTracked is how many accounts, and addresses, are told apart. Beyond that, all
// others are one.
const maxTracked = 10_000

// A TooManyError is for somebody who tried too often.
type TooManyError struct {
	// Wait is how long until it may be tried again.
	Wait time.Duration
}

func (e *TooManyError) Error() string {
	return fmt.Sprintf("too many attempts to sign in: try again in %d seconds", e.seconds())
}

func (e *TooManyError) seconds() int64 { return int64((e.Wait + time.Second - 1) / time.Second) }

// RetryAfter returns the value of the header of that name.
func (e *TooManyError) RetryAfter() string { return fmt.Sprint(e.seconds()) }

// A pace allows a burst, and then one more every so often.
type pace struct {
	burst int
	every time.Duration
}

// attempts counts in memory, each server for itself, and is safe for concurrent
// use. Of each key it keeps when all that was taken will be given back.
type attempts struct {
	pace pace
	now  func() time.Time

	mu   sync.Mutex
	full map[string]time.Time
}

func newAttempts(p pace, now func() time.Time) *attempts {
	return &attempts{pace: p, now: now, full: map[string]time.Time{}}
}

// take counts an attempt, or returns a [TooManyError] and counts none.
func (a *attempts) take(key string) error {
	now := a.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	key = a.tracked(key, now)
	full := a.full[key]
	if full.Before(now) {
		full = now
	}
	if wait := full.Sub(now) - time.Duration(a.pace.burst-1)*a.pace.every; wait > 0 {
		return &TooManyError{wait}
	}
	a.full[key] = full.Add(a.pace.every)
	return nil
}

// back takes an attempt back.
func (a *attempts) back(key string) {
	now := a.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	key = a.tracked(key, now)
	if full, ok := a.full[key]; ok {
		a.full[key] = full.Add(-a.pace.every)
	}
}

// tracked returns the key to count by.
func (a *attempts) tracked(key string, now time.Time) string {
	if _, ok := a.full[key]; ok || len(a.full) < maxTracked {
		return key
	}
	for k, full := range a.full {
		if !full.After(now) {
			delete(a.full, k)
		}
	}
	if len(a.full) < maxTracked {
		return key
	}
	return "" // no name, and no address that a request can come from
}

// network returns what an address is counted by: an IPv6 address by its /64,
// which is what one customer has.
func network(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil || a.Is4() {
		return address
	}
	p, err := a.Prefix(64)
	if err != nil {
		return address
	}
	return p.String()
}
