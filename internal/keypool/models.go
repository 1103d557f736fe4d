package keypool

import (
	"slices"
	"strings"
	"time"
)

// MaxModels is for how many models a key can be limited by themselves. A limit on
// one more is taken for one of the key as a whole: so it is in the end where an
// upstream limits all models together, and so nobody makes the pool grow by asking
// for models that there are not.
const MaxModels = 32

// A place is what can be in trouble: a key, or a key with one model.
type place struct{ key, model string }

// at returns the entry of a place. The caller holds p.mu.
func (p *Pool) at(pl place) (e entry, known bool) {
	if pl.model == "" {
		e, known = p.entries[pl.key]
	} else {
		e, known = p.limits[pl.key][pl.model]
	}
	return e, known
}

// put sets the entry of a place that has one. The caller holds p.mu.
func (p *Pool) put(pl place, e entry) {
	if pl.model == "" {
		p.entries[pl.key] = e
	} else {
		p.limits[pl.key][pl.model] = e
	}
}

// limited notes a rate limit of one model. It returns false if there is no room
// for one more. The caller holds p.mu.
func (p *Pool) limited(id string, o Outcome, now time.Time) bool {
	models := p.limits[id]
	e, known := models[o.Model]
	if !known && len(models) >= MaxModels {
		p.dropLimits(id, now)
		if models = p.limits[id]; len(models) >= MaxModels {
			return false
		}
	}
	if models == nil {
		models = map[string]entry{}
		p.limits[id] = models
	}
	if !known {
		p.models++
	}
	models[o.Model] = p.next(e, known, o, now)
	p.noteError(id, Failure{o.Reason, o.Status, now, o.Model})
	return true
}

// dropLimits forgets the models whose wait was over by then.
func (p *Pool) dropLimits(id string, then time.Time) {
	for model, e := range p.limits[id] {
		if !then.Before(e.until) {
			p.drop(id, model)
		}
	}
}

// drop forgets one model that has an entry. The caller holds p.mu.
func (p *Pool) drop(id, model string) {
	delete(p.limits[id], model)
	if p.models--; len(p.limits[id]) == 0 {
		delete(p.limits, id)
	}
}

// A Limit is a model that a key is left out for.
type Limit struct {
	Model string
	Until time.Time
}

// Limits returns the models that a key is left out for by themselves, by name.
func (p *Pool) Limits(keyID string) (out []Limit) {
	if p.troubled.Load() == 0 {
		return nil
	}
	now := p.now()
	p.mu.RLock()
	defer p.mu.RUnlock()
	for model, e := range p.limits[keyID] {
		if now.Before(e.until) {
			out = append(out, Limit{model, e.until})
		}
	}
	slices.SortFunc(out, func(a, b Limit) int { return strings.Compare(a.Model, b.Model) })
	return out
}
