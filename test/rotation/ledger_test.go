package rotation_test

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// A document is the secrets of a provider: its keys in order, and what its
// settings name.
type document struct {
	Keys         []string
	Organization string // "": no settings
}

func (d document) equal(e document) bool {
	return d.Organization == e.Organization && slices.Equal(d.Keys, e.Keys)
}

// A ledger is what the providers must have, by what was acknowledged. It may be
// used concurrently, of each provider by one editor.
type ledger struct {
	mu        sync.Mutex
	providers map[string]*account
}

// An account is the ledger's page of one provider.
type account struct {
	// may are what is stored: one document, or two while it is not known whether
	// an edit was made.
	may []document
	ids map[string]string // of keys, as far as they are known
	// ended says of each value that the provider ever had when it was known to be
	// gone: never, if zero.
	ended map[string]time.Time
}

func newLedger() *ledger { return &ledger{providers: map[string]*account{}} }

// known returns what a provider has and the ids of its keys, and false if that
// is not certain.
func (l *ledger) known(name string) (d document, ids []string, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.providers[name]
	if a == nil || len(a.may) != 1 {
		return d, nil, false
	}
	d = a.may[0]
	for _, k := range d.Keys {
		id := a.ids[k]
		if id == "" {
			return d, nil, false
		}
		ids = append(ids, id)
	}
	return d, ids, true
}

// begin notes that a provider is about to get what after has.
func (l *ledger) begin(name string, after document) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.providers[name]
	if a == nil {
		a = &account{may: []document{{}}, ids: map[string]string{}, ended: map[string]time.Time{}}
		l.providers[name] = a
	}
	a.may = append(a.may, after)
	for _, v := range append(after.Keys, after.Organization) {
		a.ended[v] = time.Time{}
	}
}

// made notes that the edit was acknowledged. ids are of the keys in order, nil
// if they were not told.
func (l *ledger) made(name string, ids []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.providers[name]
	a.settle(a.may[len(a.may)-1], ids)
}

// refused notes that the edit was refused: nothing has changed.
func (l *ledger) refused(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.providers[name]
	a.settle(a.may[0], nil)
}

func (a *account) settle(d document, ids []string) {
	a.may = []document{d}
	for i, id := range ids {
		a.ids[d.Keys[i]] = id
	}
	for v, at := range a.ended {
		if at.IsZero() && v != d.Organization && !slices.Contains(d.Keys, v) {
			a.ended[v] = time.Now()
		}
	}
}

// right says what is wrong with a request that the gateway began to serve then,
// "" if nothing. It is lenient if the gateway may know less than the ledger.
func (l *ledger) right(name string, got document, began time.Time, lenient bool) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, v := range append(got.Keys, got.Organization) {
		at, ever := l.providers[name].ended[v]
		switch {
		case !ever && v != "":
			return fmt.Sprintf("provider %s was sent %q, which was never its own", name, v)
		case !at.IsZero() && at.Before(began) && !lenient:
			return fmt.Sprintf("provider %s was sent %q, which was taken away %v before the request", name, v, began.Sub(at))
		}
	}
	return ""
}

// A stored provider is what its rows open to.
type stored struct {
	document
	ids []string
}

// compare holds what is stored to the ledger, and settles what was not certain.
func (l *ledger) compare(all map[string]stored, f *findings) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, a := range l.providers {
		got, there := all[name]
		i := slices.IndexFunc(a.may, got.equal)
		if i < 0 {
			if there || !slices.ContainsFunc(a.may, document{}.equal) {
				f.add("provider %s has %v, and what was acknowledged is %v", name, got.document, a.may)
			}
			i = 0
		}
		if there {
			a.settle(got.document, got.ids)
		} else {
			a.settle(a.may[i], nil)
		}
	}
	for name := range all {
		if l.providers[name] == nil {
			f.add("provider %s was never made", name)
		}
	}
}

func (l *ledger) names() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for name := range l.providers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
