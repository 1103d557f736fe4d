package keypool

import (
	"time"

	"github.com/gatehousehq/gatehouse/internal/routing"
)

// The names of states.
const (
	Ready      = "ready"      // will be tried
	Cooling    = "cooling"    // rate limited until a time
	Failed     = "failed"     // refused or exhausted; tried again at a time
	Expired    = "expired"    // past the time that its owner set
	Disabled   = "disabled"   // switched off by its owner
	Unreadable = "unreadable" // its stored secret does not open
)

// StateNames returns every name that a state can have.
func StateNames() []string { return []string{Ready, Cooling, Failed, Disabled, Expired, Unreadable} }

// A State is a key's condition, as API and UI show it.
type State struct {
	// Name is one of the names of states.
	Name string
	// Until is when a cooling or failed key is tried again, else zero.
	Until time.Time
	// Reason says why a key is cooling or failed, else it is empty.
	Reason Reason
}

// A Reason says why an upstream turned a key away.
type Reason string

// The reasons. Only the first one cools a key; the others fail it.
const (
	RateLimited     Reason = "rate_limited"       // 429
	Unauthorized    Reason = "unauthorized"       // 401
	PaymentRequired Reason = "payment_required"   // 402
	Forbidden       Reason = "forbidden"          // 403, on account of the key
	QuotaExhausted  Reason = "insufficient_quota" // no credit left
)

// ofCredential reports whether it is the credential that was turned away.
func (r Reason) ofCredential() bool { return r == Unauthorized || r == Forbidden }

// An Outcome is how an attempt ended.
type Outcome struct {
	// Reason is why the upstream turned the key away; empty is a success.
	Reason Reason
	// RetryAfter is how long the upstream asked to wait after a rate limit;
	// zero if it did not say.
	RetryAfter time.Duration
	// Status is the upstream's.
	Status int
	// Began is when the attempt was sent; zero is now.
	Began time.Time
	// Trial is set for an attempt that was made to see whether the key works.
	Trial bool
	// Model is what was asked for; "" if that is not known for sure. A rate limit is
	// then one of the key, and else of the key with that model.
	Model string
}

// State returns the condition of a key, whatever the model.
func (p *Pool) State(key routing.Key) State {
	s, _, _ := p.state(&key, "", p.now())
	return s
}

// Shortage returns how many of the keys are usable for a model and, if none is,
// what is the matter with them. It is nobody's turn.
func (p *Pool) Shortage(keys []routing.Key, model string) (usable int, short Shortage) {
	now := p.now()
	for i := range keys {
		s, _, _ := p.state(&keys[i], model, now)
		if s.Name == Ready {
			usable++
		}
		short.count(s, now)
	}
	if usable > 0 {
		return usable, Shortage{}
	}
	return 0, short
}

// A returning key is ready because its time is up, and not yet found to work.
type returning int

const (
	no returning = iota
	fromLimit
	fromRefusal
)

// state returns the condition of a key for a model, "" being any, and, if it is
// returning, from what place.
func (p *Pool) state(key *routing.Key, model string, now time.Time) (State, returning, place) {
	at := place{key: key.ID}
	switch {
	case key.Disabled:
		return State{Name: Disabled}, no, at
	case key.Unreadable:
		return State{Name: Unreadable}, no, at
	case !key.ExpiresAt.IsZero() && !now.Before(key.ExpiresAt):
		return State{Name: Expired}, no, at
	case p.troubled.Load() == 0:
		return State{Name: Ready}, no, at
	}
	p.mu.RLock()
	e, known := p.entries[key.ID]
	limit, limited := entry{}, false
	if model != "" {
		limit, limited = p.limits[key.ID][model]
	}
	p.mu.RUnlock()
	s, returns := e.state(known, now)
	if limited && s.Name == Ready {
		if of, returning := limit.state(true, now); of.Name != Ready || returns == no {
			return of, returning, place{key.ID, model}
		}
	}
	return s, returns, at
}

// state returns the condition that an entry stands for, if there is one.
func (e *entry) state(known bool, now time.Time) (State, returning) {
	switch {
	case !known:
		return State{Name: Ready}, no
	case !now.Before(e.until) && e.failed:
		return State{Name: Ready}, fromRefusal
	case !now.Before(e.until):
		return State{Name: Ready}, fromLimit
	case e.failed:
		return State{Name: Failed, Until: e.until, Reason: e.reason}, no
	default:
		return State{Name: Cooling, Until: e.until, Reason: e.reason}, no
	}
}
