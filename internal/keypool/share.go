package keypool

import "time"

// A Finding is what one replica knows of a key and the others are to know, too.
type Finding struct {
	KeyID string
	// Reason is why the upstream turned the key away; empty is that it works
	// again.
	Reason Reason
	// Status is the upstream's.
	Status int
	// Since is when that was; of two the later counts. Until and Wait are for how
	// long the key is left out: if Until is no later than Since, it was tried then
	// and is accepted again.
	Since, Until time.Time
	Wait         time.Duration
}

// Changed receives when the state of some key has changed.
func (p *Pool) Changed() <-chan struct{} { return p.signal }

// TakeChanges returns what changed here since it was last called.
func (p *Pool) TakeChanges() []Finding {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []Finding
	for id := range p.changed {
		if e, ok := p.entries[id]; ok {
			out = append(out, Finding{id, e.reason, e.status, e.since, e.until, e.wait})
		} else if at, ok := p.well[id]; ok {
			out = append(out, Finding{KeyID: id, Since: at, Until: at})
		}
	}
	clear(p.changed)
	return out
}

// Return gives back changes that could not be passed on.
func (p *Pool) Return(found []Finding) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range found {
		p.changed[r.KeyID] = struct{}{}
	}
}

// Merge takes in what other replicas know. What is known here and is newer stays.
func (p *Pool) Merge(found []Finding) {
	if len(found) == 0 {
		return
	}
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.count()
	for _, r := range found {
		e, known := p.entries[r.KeyID]
		if known && !r.Since.After(e.since) || !r.Since.After(p.well[r.KeyID]) {
			continue
		}
		if r.Reason != "" {
			p.noteError(r.KeyID, Failure{Reason: r.Reason, Status: r.Status, At: r.Since})
		}
		switch {
		case r.Reason == "":
			delete(p.entries, r.KeyID)
			p.well[r.KeyID] = r.Since
		case now.Before(r.Until.Add(remember)):
			p.entries[r.KeyID] = entry{failed: r.Reason != RateLimited, reason: r.Reason, status: r.Status, since: r.Since, until: r.Until, wait: r.Wait, tried: !r.Until.After(r.Since)}
		}
	}
	p.sweep(now)
}

// A Failure is the last time that an upstream turned a key away.
type Failure struct {
	Reason Reason
	Status int
	At     time.Time
	Model  string // the one that was limited; "" is the key as a whole
}

// LastError returns the last failure of a key, and false if none is remembered.
func (p *Pool) LastError(keyID string) (Failure, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	f, ok := p.errors[keyID]
	return f, ok
}

// noteError remembers a failure if it is the last.
func (p *Pool) noteError(id string, f Failure) {
	if f.At.After(p.errors[id].At) {
		p.errors[id] = f
	}
}

// A Refusal is a key whose credential an upstream refused.
type Refusal struct {
	KeyID string
	Until time.Time
	Wait  time.Duration
}

// Refused returns the keys that are left out because their credential was refused,
// or that are coming back from it and were not tried since. Whether a list of
// models is to be had says nothing of the others: of credit, and of limits.
func (p *Pool) Refused() (out []Refusal) {
	if p.troubled.Load() == 0 {
		return nil
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	for id, e := range p.entries {
		if e.reason.ofCredential() && !e.tried {
			out = append(out, Refusal{id, e.until, e.wait})
		}
	}
	return out
}

// Try reserves a key that is failing for one trial, for as long as the trial may
// take, and returns what ends that. It returns nil if somebody is at it already,
// or the key is well.
func (p *Pool) Try(keyID string, d time.Duration) (end func()) {
	now := p.now()
	until := now.Add(d)
	at := place{key: keyID}
	if !p.beginTrial(at, now, until) {
		return nil
	}
	return func() { p.endTrials([]place{at}, until) }
}
