package keypool

import (
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/gatehousehq/gatehouse/internal/routing"
)

// A Turn is the keys that one request may be tried with, in order: first the one
// that the strategy of the provider chooses, then the others by their position.
// Its user calls End.
type Turn struct {
	// Short says why there is no key.
	Short Shortage

	pool   *Pool
	keys   []routing.Key
	first  int
	model  string
	trials []place // what is coming back and is this turn's to try
	until  time.Time
}

// Len returns how many keys there are.
func (t *Turn) Len() int { return len(t.keys) }

// Key returns the i-th key to try. It must not be written to.
func (t *Turn) Key(i int) *routing.Key {
	switch {
	case i == 0:
		i = t.first
	case i <= t.first:
		i--
	}
	return &t.keys[i]
}

// End lets others try the keys that were coming back.
func (t *Turn) End() {
	if len(t.trials) > 0 {
		t.pool.endTrials(t.trials, t.until)
	}
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

func (s *Shortage) count(k State, now time.Time) {
	switch k.Name {
	case Cooling:
		if w := k.Until.Sub(now); s.Cooling == 0 || w < s.Wait {
			s.Wait = w
		}
		s.Cooling++
	case Failed:
		s.Failed++
	case Expired:
		s.Expired++
	case Disabled:
		s.Disabled++
	case Unreadable:
		s.Unreadable++
	}
}

// Order returns the keys of a provider that may be tried now for a model, "" being
// one that is not known.
func (p *Pool) Order(of *routing.Provider, model string) Turn {
	now := p.now()
	t := Turn{pool: p, keys: of.Keys, model: model}
	for i := range of.Keys {
		if s, returning, _ := p.state(&of.Keys[i], model, now); s.Name != Ready || returning != no {
			t.usable(of.Keys, i, now)
			break
		}
	}
	if len(t.keys) > 1 {
		t.first = p.choose(of, t.keys)
	}
	return t
}

// usable leaves out the keys that may not be tried. The first of them that is not
// simply ready is at from.
//
// A key that is coming back is tried by one request at a time. The others do
// without it, or try it last if it was only limited; a key that was refused is
// not theirs at all.
func (t *Turn) usable(all []routing.Key, from int, now time.Time) {
	t.keys = append(make([]routing.Key, 0, len(all)), all[:from]...)
	t.until = now.Add(trialTime)
	var later []routing.Key
	var short Shortage
	for i := from; i < len(all); i++ {
		k := &all[i]
		s, returning, at := t.pool.state(k, t.model, now)
		switch {
		case s.Name != Ready:
			short.count(s, now)
		case returning == no:
			t.keys = append(t.keys, *k)
		case t.pool.beginTrial(at, now, t.until):
			t.trials = append(t.trials, at)
			t.keys = append(t.keys, *k)
		case returning == fromLimit:
			later = append(later, *k)
		default:
			short.Failed++
		}
	}
	t.keys = append(t.keys, later...)
	if len(t.keys) == 0 {
		t.Short = short
	}
}

// choose returns which of the keys to try first.
func (p *Pool) choose(of *routing.Provider, keys []routing.Key) int {
	switch of.Strategy {
	case routing.Weighted:
		return ByWeight(p.spins.Get(of.ID), keys, func(k *routing.Key) uint32 { return k.Weight })
	case routing.LeastLoaded:
		return p.leastLoaded(keys)
	}
	return 0
}

// step is the golden ratio as a fraction of 2^64: its multiples are spread as
// evenly as any can be, wherever one begins and ends to look.
const step = 0x9E3779B97F4A7C15

// ByWeight divides the turns in proportion to the weights, and evenly in time:
// each takes the next multiple of the golden ratio as its place on a circle that
// what is listed has its shares of. Nothing gets a run of turns. What is without
// weight gets none, unless nothing has any. It returns the place in the list.
func ByWeight[T any](spin *atomic.Uint64, list []T, weight func(*T) uint32) int {
	var total uint64
	for i := range list {
		total += uint64(weight(&list[i]))
	}
	if total == 0 {
		return 0
	}
	place, _ := bits.Mul64(spin.Add(step), total)
	for i := range list {
		w := uint64(weight(&list[i]))
		if place < w {
			return i
		}
		place -= w
	}
	return 0 // not reached: place is below the total
}

// leastLoaded returns the key with the fewest requests in flight, of several the
// first.
func (p *Pool) leastLoaded(keys []routing.Key) int {
	first, least := 0, int64(-1)
	for i := range keys {
		n := p.InFlight(keys[i].ID)
		if least < 0 || n < least {
			first, least = i, n
		}
	}
	return first
}

// A Flight is an attempt that is under way.
type Flight struct{ n *atomic.Int64 }

// Begin counts an attempt with a key as under way until its End.
func (p *Pool) Begin(keyID string) Flight {
	n := p.flights.Get(keyID)
	n.Add(1)
	return Flight{n}
}

// End ends it.
func (f Flight) End() { f.n.Add(-1) }

// InFlight returns how many attempts with a key are under way.
func (p *Pool) InFlight(keyID string) int64 {
	n := p.flights.Find(keyID)
	if n == nil {
		return 0
	}
	return n.Load()
}
