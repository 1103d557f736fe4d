// Package keypool chooses which key to try next.
//
// A [Pool] remembers, by key id, which keys an upstream has turned away, and
// leaves those out until their time is up. Nothing is permanent: a key that was
// left out is tried again when its time comes, by one request at a time, and
// works again at the first success. Because state is kept by id and not in the
// configuration, editing a provider never resets the health of the keys that the
// edit did not touch.
//
// A rate limit cools a key: for as long as the upstream asked, or for a default
// that doubles while the limit lasts. If it is known what model was asked for, the
// key cools for that model alone, see [Outcome.Model]. A refused credential or
// exhausted credit fails it for longer, and for all. What is wrong with the upstream rather than with the key
// (a 5xx, a timeout, a lost connection) is not reported here: it only moves that
// one request on to the next key.
//
// Which of the usable keys is tried first is the provider's strategy: the first by
// position, one by its weight, or the one with the fewest requests in flight. The
// others follow by position. In flight and turns are counted by each process for
// itself; what a process learns of its keys is handed to others, and taken from
// them, by [Pool.TakeChanges] and [Pool.Merge].
//
// Limits of one model are each process's own to find out. Memory is bounded by the
// keys that are in trouble, with [MaxModels] models each (what recovered or was not
// heard of again is forgotten), and a counter for each key that was ever used. All
// methods may be called concurrently. While every key is ready and taken in order,
// they neither lock nor allocate.
package keypool

import (
	"cmp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehousehq/gatehouse/internal/registry"
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

const (
	// trialTime is for how long a key that is coming back is one request's to try.
	trialTime = 5 * time.Second
	// rememberError is how long the last error of a key is known.
	rememberError = 24 * time.Hour
	// worthTelling is how much later a wait must end to be news to others.
	worthTelling = time.Second
)

// A Pool keeps the state of keys.
type Pool struct {
	now func() time.Time
	cfg Config

	// troubled is how many entries there are, of models too, to be read without the
	// lock.
	troubled atomic.Int64

	flights *registry.Registry[atomic.Int64]  // attempts under way, by key id
	spins   *registry.Registry[atomic.Uint64] // turns by weight, by provider id
	signal  chan struct{}                     // has room for one

	mu        sync.RWMutex
	entries   map[string]entry            // by key id; only keys that are or were in trouble
	limits    map[string]map[string]entry // by key id and model, likewise
	models    int                         // in limits
	well      map[string]time.Time        // when keys were found to work again
	errors    map[string]Failure
	changed   map[string]struct{} // since others were told
	nextSweep time.Time
}

// An entry is what is known of one key in trouble.
type entry struct {
	failed bool // else cooling
	reason Reason
	status int
	since  time.Time // of the latest report
	until  time.Time // left out before this
	wait   time.Duration
	trial  time.Time // one is trying it, for as long as this
	tried  bool      // and it was found to be accepted
}

// New returns a Pool in which every key is ready.
func New(now func() time.Time, cfg Config) *Pool {
	cfg.Cool = cmp.Or(cfg.Cool, 10*time.Second)
	cfg.CoolMax = cmp.Or(cfg.CoolMax, 5*time.Minute)
	cfg.RetryAfterMax = cmp.Or(cfg.RetryAfterMax, time.Hour)
	cfg.Fail = cmp.Or(cfg.Fail, time.Minute)
	cfg.FailMax = cmp.Or(cfg.FailMax, 15*time.Minute)
	return &Pool{
		now: now, cfg: cfg,
		flights: registry.New[atomic.Int64](), spins: registry.New[atomic.Uint64](), signal: make(chan struct{}, 1),
		entries: map[string]entry{}, limits: map[string]map[string]entry{}, well: map[string]time.Time{}, errors: map[string]Failure{}, changed: map[string]struct{}{},
	}
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
	defer p.count()
	if o.Reason == "" {
		p.succeeded(id, o, now)
		return
	}
	p.sweep(now)
	if o.Reason == RateLimited && o.Model != "" && p.limited(id, o, now) {
		return
	}
	e, known := p.entries[id]
	next := p.next(e, known, o, now)
	p.entries[id] = next
	p.noteError(id, Failure{Reason: o.Reason, Status: o.Status, At: now})
	if !known || next.failed != e.failed || next.reason != e.reason || next.until.Sub(e.until) >= worthTelling {
		p.tell(id)
	}
}

// succeeded notes a success. One that was under way before the trouble began says
// nothing about it.
func (p *Pool) succeeded(id string, o Outcome, now time.Time) {
	if e, known := p.limits[id][o.Model]; known && !o.Began.Before(e.since) {
		p.drop(id, o.Model)
	}
	e, known := p.entries[id]
	switch {
	case !known || o.Began.Before(e.since):
	case o.Trial && !e.reason.ofCredential():
		// That the credential is accepted says nothing of credit or limits.
	case o.Trial:
		// The upstream knows the key again. That it serves requests is shown by the
		// first of them, and by one at a time.
		p.entries[id] = entry{failed: e.failed, reason: e.reason, status: e.status, since: now, until: now, wait: e.wait, tried: true}
		p.tell(id)
	default:
		delete(p.entries, id)
		p.well[id] = now
		p.tell(id)
	}
}

// count notes how many entries there are.
func (p *Pool) count() {
	p.troubled.Store(int64(len(p.entries) + p.models))
}

// tell marks a key as changed.
func (p *Pool) tell(id string) {
	p.changed[id] = struct{}{}
	select {
	case p.signal <- struct{}{}:
	default: // it is known that there are changes
	}
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
		// after the last wait was over, or to see whether it is, shows that the wait
		// was too short.
		if o.Trial || !o.Began.Before(e.until) {
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
	return entry{failed: failed, reason: o.Reason, status: o.Status, since: now, until: until, wait: wait}
}

// beginTrial makes what is or was in trouble one request's to try, unless it is
// another's.
func (p *Pool) beginTrial(at place, now, until time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	e, known := p.at(at)
	if !known || now.Before(e.trial) {
		return false
	}
	e.trial = until
	p.put(at, e)
	return true
}

// endTrials ends the trials that were to last until then.
func (p *Pool) endTrials(places []place, until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, at := range places {
		if e, known := p.at(at); known && e.trial.Equal(until) {
			e.trial = time.Time{}
			p.put(at, e)
		}
	}
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
	for id := range p.limits {
		p.dropLimits(id, now.Add(-remember))
	}
	for id, at := range p.well {
		if now.After(at.Add(remember)) {
			delete(p.well, id)
		}
	}
	for id, f := range p.errors {
		if now.After(f.At.Add(rememberError)) {
			delete(p.errors, id)
		}
	}
}

// Troubled returns how many keys, and models of keys, the pool remembers something
// about.
func (p *Pool) Troubled() int { return int(p.troubled.Load()) }
