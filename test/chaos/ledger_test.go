package chaos_test

import (
	"fmt"
	"strings"
	"sync"
)

// A sighting is a request as an upstream saw it.
type sighting struct {
	key    key
	fault  *fault
	reused bool // the connection had served before
	late   bool // the rig was too slow to say what must come of it
}

func (s sighting) String() string {
	if s.reused {
		return s.key.name + " (" + s.fault.name + ", on a connection that had served)"
	}
	return s.key.name + " (" + s.fault.name + ")"
}

// A ledger has what upstreams saw of each request, by its number, until its
// client is done. Its methods may be called concurrently.
type ledger struct {
	mu   sync.Mutex
	open map[uint64][]sighting
	done []uint64 // a bit for each request whose client has its answer
	seen int
}

func newLedger() *ledger { return &ledger{open: map[uint64][]sighting{}} }

// see notes a sighting, and says what is wrong with it.
func (l *ledger) see(n uint64, s sighting) (problem string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen++
	if word := n / 64; word < uint64(len(l.done)) && l.done[word]&(1<<(n%64)) != 0 {
		return "the client had its answer already"
	}
	before := l.open[n]
	l.open[n] = append(before, s)
	// A connection that had waited may be closed by the other side just when it is
	// used: what is lost on one is sent again, once. That it had waited does not
	// show here: it may have waited for its first request.
	for i, b := range before {
		switch {
		case b.late:
		case b.key == s.key && b.fault.ending == loses && i == len(before)-1 && (i == 0 || before[i-1].key != s.key):
		case b.key == s.key:
			return "it was there before: " + path(before)
		case b.fault.ending == whole || b.fault.ending == broken:
			return "another key had answered: " + path(before)
		}
	}
	return ""
}

// late marks a sighting as one that nothing follows from.
func (l *ledger) late(n uint64, k key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.open[n] {
		if l.open[n][i].key == k {
			l.open[n][i].late = true
		}
	}
}

// close takes out what was seen of a request whose client is done.
func (l *ledger) close(n uint64) []sighting {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.open[n]
	delete(l.open, n)
	for uint64(len(l.done)) <= n/64 {
		l.done = append(l.done, 0)
	}
	l.done[n/64] |= 1 << (n % 64)
	return s
}

// attempts is how often a request was seen.
func (l *ledger) attempts(n uint64) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open[n])
}

// left takes out what was seen of the requests whose clients left.
func (l *ledger) left() map[uint64][]sighting {
	l.mu.Lock()
	defer l.mu.Unlock()
	left := l.open
	l.open = map[uint64][]sighting{}
	return left
}

// sightings is how many there were.
func (l *ledger) sightings() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen
}

// path says what became of a request, in words.
func path(list []sighting) string {
	if len(list) == 0 {
		return "no upstream saw it"
	}
	var b strings.Builder
	for i, s := range list {
		if i > 0 {
			b.WriteString(", then ")
		}
		fmt.Fprint(&b, s)
	}
	return b.String()
}
