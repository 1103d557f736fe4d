// Package breaker keeps requests from providers that do not answer.
//
// A [Circuit] is one endpoint of one provider. It opens after so many failures in a
// row: no connection, no answer in time, or an error of the server. While it is
// open nothing is sent. Then one request at a time is the trial: its success closes
// the circuit, and its failure opens it again, for longer. Any success closes it.
//
// Each process goes by what it finds itself, in memory. A [Set] has a bounded number
// of circuits: with too many it
// forgets them all, which closes them. All methods may
// be called concurrently; while a circuit is closed they take no lock and, for one
// that is known, no allocation.
package breaker

import (
	"sync/atomic"
	"time"

	"github.com/gatehousehq/gatehouse/internal/registry"
)

const (
	// after is how many failures in a row open a circuit.
	after = 10
	// first is how long it is open the first time; it doubles up to most.
	first = 5 * time.Second
	most  = time.Minute
	// trialTime is for how long one request is the trial.
	trialTime = 30 * time.Second
	// maxProviders bounds how many are remembered, with maxEndpoints each.
	maxProviders = 2_000
	maxEndpoints = 16
)

// circuits are those of one provider, by endpoint.
type circuits [maxEndpoints]Circuit

// A Set is the circuits of a process. Make it with [New].
type Set struct {
	now     func() time.Time
	current atomic.Pointer[registry.Registry[circuits]]
	max     int
}

// New returns a Set in which all circuits are closed.
func New(now func() time.Time) *Set { return newSet(now, maxProviders) }

func newSet(now func() time.Time, maximum int) *Set {
	s := &Set{now: now, max: maximum}
	s.current.Store(registry.New[circuits]())
	return s
}

// Circuit returns the circuit of an endpoint of a provider. Endpoints are numbered
// from 0; those past the sixteenth share one.
func (s *Set) Circuit(providerID string, endpoint int) *Circuit {
	endpoint = min(endpoint, maxEndpoints-1)
	r := s.current.Load()
	if c := r.Find(providerID); c != nil {
		return &c[endpoint]
	}
	if r.Len() >= s.max {
		s.current.CompareAndSwap(r, registry.New[circuits]())
		r = s.current.Load()
	}
	return &r.Get(providerID)[endpoint]
}

// Count returns how many circuits are open, and how many of those let a trial
// through.
func (s *Set) Count() (open, halfOpen int) {
	now := s.now().UnixNano()
	for all := range s.current.Load().All() {
		for i := range all {
			switch until := all[i].until.Load(); {
			case until == 0:
			case now < until:
				open++
			default:
				halfOpen++
			}
		}
	}
	return open, halfOpen
}

// A Circuit is one endpoint of one provider. The zero Circuit is closed.
type Circuit struct {
	failures atomic.Int64 // in a row
	until    atomic.Int64 // it is open before this; 0 is closed. In nanoseconds of Unix time, as all here
	wait     atomic.Int64 // for which it was opened
	trial    atomic.Int64 // one is under way, for as long as this
}

// Admit reports whether a request may be sent, and else after how long to come
// again. One that is the trial and is not sent after all is to be abandoned.
func (s *Set) Admit(c *Circuit) (trial bool, wait time.Duration, ok bool) {
	until := c.until.Load()
	if until == 0 {
		return false, 0, true
	}
	now := s.now().UnixNano()
	if now < until {
		return false, time.Duration(until - now), false
	}
	last := c.trial.Load()
	if now < last || !c.trial.CompareAndSwap(last, now+int64(trialTime)) {
		return false, time.Second, false
	}
	return true, 0, true
}

// Wait returns after how long to come again, zero if a request would be admitted
// now. It admits none.
func (s *Set) Wait(c *Circuit) time.Duration {
	until := c.until.Load()
	if until == 0 {
		return 0
	}
	switch now := s.now().UnixNano(); {
	case now < until:
		return time.Duration(until - now)
	case now < c.trial.Load():
		return time.Second
	}
	return 0
}

// Abandon lets another request be the trial.
func (c *Circuit) Abandon() { c.trial.Store(0) }

// Succeeded closes the circuit.
func (c *Circuit) Succeeded() {
	if c.failures.Load() == 0 {
		return
	}
	c.failures.Store(0)
	c.until.Store(0)
	c.wait.Store(0)
	c.trial.Store(0)
}

// Failed counts a failure, and opens the circuit if that is one too many.
func (s *Set) Failed(c *Circuit) {
	if c.failures.Add(1) < after {
		return
	}
	now := s.now().UnixNano()
	until := c.until.Load()
	if now < until {
		return // others that were under way when it opened
	}
	wait := max(int64(first), min(2*c.wait.Load(), int64(most)))
	if c.until.CompareAndSwap(until, now+wait) {
		c.wait.Store(wait)
		c.trial.Store(0)
	}
}
