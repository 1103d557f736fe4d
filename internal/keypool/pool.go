// Package keypool chooses which key to try next.
//
// A [Pool] remembers, by key id, which keys an upstream has turned away, and
// leaves those out until their time is up. Nothing is permanent: a key that was
// left out is tried again when its time comes, and works again at the first
// success. Because state is kept by id and not in the configuration, editing a
// provider never resets the health of the keys that the edit did not touch.
//
// A rate limit cools a key: for as long as the upstream asked, or for a default
// that doubles while the limit lasts. A refused credential or exhausted credit
// fails it for longer. What is wrong with the upstream rather than with the key
// (a 5xx, a timeout, a lost connection) is not reported here: it only moves that
// one request on to the next key.
//
// Memory is bounded by the keys that are in trouble: what recovered or was not
// heard of again is forgotten. All methods may be called concurrently. While
// every key is ready, they neither lock nor allocate.
package keypool

import (
	"cmp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehousehq/gatehouse/internal/routing"
)

// Config are the settings of a Pool. Zero fields take the defaults.
type Config struct {
	// Cool is how long a rate limit cools a key when the upstream does not say;
	// it doubles while the limit lasts. Default 10 s.
	Cool time.Duration
	// CoolMax bounds what Cool grows to. Default 5 min.
	CoolMax time.Duration
	// RetryAfterMax bounds what an upstream may ask for. Default 1 h.
	RetryAfterMax time.Duration
	// Fail is how long a refused or exhausted key is left out; it doubles while
	// the key goes on failing. Default 1 min.
	Fail time.Duration
	// FailMax bounds what Fail grows to. Default 15 min.
	FailMax time.Duration
}

// remember is how long after its time a key's history still counts: within it,
// the next failure waits longer than the last.
const remember = 15 * time.Minute

// A Pool keeps the state of keys.
type Pool struct {
	now func() time.Time
	cfg Config

	// troubled is len(entries), to be read without the lock.
	troubled atomic.Int64

	mu        sync.RWMutex
	entries   map[string]entry // by key id; only keys that are or were in trouble
	nextSweep time.Time
}

// An entry is what is known of one key in trouble.
type entry struct {
	failed bool // else cooling
	reason Reason
	since  time.Time // of the latest report
	until  time.Time // left out before this
	wait   time.Duration
}

// New returns a Pool in which every key is ready.
func New(now func() time.Time, cfg Config) *Pool {
	cfg.Cool = cmp.Or(cfg.Cool, 10*time.Second)
	cfg.CoolMax = cmp.Or(cfg.CoolMax, 5*time.Minute)
	cfg.RetryAfterMax = cmp.Or(cfg.RetryAfterMax, time.Hour)
	cfg.Fail = cmp.Or(cfg.Fail, time.Minute)
	cfg.FailMax = cmp.Or(cfg.FailMax, 15*time.Minute)
	return &Pool{now: now, cfg: cfg, entries: map[string]entry{}}
}

// A Shortage says what stands between a provider and its keys when none of
// them is usable.
type Shortage struct {
	// How many keys are in each state.
	Cooling, Failed, Expired, Disabled, Unreadable int
	// Wait is how long until the first of the cooling keys may be tried again.
	// It is zero if none is cooling.
	Wait time.Duration
}

// Order returns those of keys that may be tried now, in the order in which to
// try them, which is the one that they came in. The result is keys itself when
// all of them are usable; it must not be written to. When none is, the
// Shortage says why.
func (p *Pool) Order(keys []routing.Key) ([]routing.Key, Shortage) {
	now := p.now()
	first := 0
	for first < len(keys) && p.state(&keys[first], now).Name == Ready {
		first++
	}
	if first == len(keys) {
		return keys, Shortage{}
	}
	var usable []routing.Key
	if first > 0 {
		usable = append(make([]routing.Key, 0, len(keys)-1), keys[:first]...)
	}
	var short Shortage
	for i := first; i < len(keys); i++ {
		s := p.state(&keys[i], now)
		switch s.Name {
		case Ready:
			usable = append(usable, keys[i])
		case Cooling:
			if w := s.Until.Sub(now); short.Cooling == 0 || w < short.Wait {
				short.Wait = w
			}
			short.Cooling++
		case Failed:
			short.Failed++
		case Expired:
			short.Expired++
		case Disabled:
			short.Disabled++
		case Unreadable:
			short.Unreadable++
		}
	}
	if len(usable) > 0 {
		return usable, Shortage{}
	}
	return nil, short
}

// Report tells the pool how an attempt with a key ended.
func (p *Pool) Report(id string, o Outcome) {
	if o.Reason == "" && p.troubled.Load() == 0 {
		return
	}
	now := p.now()
	if o.Began.IsZero() {
		o.Began = now
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() { p.troubled.Store(int64(len(p.entries))) }()
	e, known := p.entries[id]
	if o.Reason == "" {
		// A success that was under way before the trouble began says nothing
		// about it.
		if known && !o.Began.Before(e.since) {
			delete(p.entries, id)
		}
		return
	}
	p.sweep(now)
	p.entries[id] = p.next(e, known, o, now)
}

// next returns the state of a key after a failure.
func (p *Pool) next(e entry, known bool, o Outcome, now time.Time) entry {
	failed := o.Reason != RateLimited
	base, most := p.cfg.Cool, p.cfg.CoolMax
	if failed {
		base, most = p.cfg.Fail, p.cfg.FailMax
	}
	wait := base
	if known && e.failed == failed && now.Before(e.until.Add(remember)) {
		wait = e.wait
		// Many requests may run into one limit together; only one that was sent
		// after the last wait was over shows that the wait was too short.
		if !o.Began.Before(e.until) {
			wait *= 2
		}
	}
	wait = max(base, min(wait, most))
	until := now.Add(wait)
	if !failed && o.RetryAfter > 0 {
		until = now.Add(min(o.RetryAfter, p.cfg.RetryAfterMax))
	}
	if known && e.failed && !failed && now.Before(e.until) {
		// A late rate limit does not bring a failed key back sooner.
		return e
	}
	if known && e.failed == failed && e.until.After(until) {
		until = e.until
	}
	return entry{failed: failed, reason: o.Reason, since: now, until: until, wait: wait}
}

// sweep forgets, at most once a minute, the keys whose history no longer
// counts: those that recovered unseen, and those that no longer exist.
func (p *Pool) sweep(now time.Time) {
	if now.Before(p.nextSweep) {
		return
	}
	p.nextSweep = now.Add(time.Minute)
	for id, e := range p.entries {
		if !now.Before(e.until.Add(remember)) {
			delete(p.entries, id)
		}
	}
}

// Troubled returns how many keys the pool remembers something about.
func (p *Pool) Troubled() int { return int(p.troubled.Load()) }
