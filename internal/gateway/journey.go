package gateway

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gatehousehq/gatehouse/internal/quota"
	"github.com/gatehousehq/gatehouse/internal/translate"
	"github.com/gatehousehq/gatehouse/internal/upstream"
)

// A journey is what a request under the URL for all providers has behind it, and
// what is left. The zero journey is that of a request that names its provider:
// there is nothing else to try.
type journey struct {
	targets []target // those that are left
	asked   string   // the model that the client asked for
	model   string   // the one that the target is asked for
	at      span     // where the model stands in the body that is held
	// translation is what stands between the client and a target that speaks
	// another API, nil if they speak the same; came is then the body as it came,
	// and whole the answer of the upstream, if it came in one piece.
	translation *translate.Translation
	came        *buffer
	whole       []byte
	// thoughts is set if every target speaks another API than the client: what that
	// sends back is then never passed on as it is.
	thoughts bool
	// leaving is set when the target cannot serve the request, whatever the key.
	leaving bool
	// wait is how long until the first of the targets that were passed over may
	// serve again; zero is unknown.
	wait time.Duration
}

// soonest returns the shorter of a wait and that for the targets that were passed
// over.
func (j *journey) soonest(wait time.Duration) time.Duration {
	if j.wait > 0 && j.wait < wait {
		return j.wait
	}
	return wait
}

func (j *journey) waitFor(d time.Duration) {
	if d > 0 && (j.wait == 0 || d < j.wait) {
		j.wait = d
	}
}

// travel tries the targets in turn until one gives the client its answer. The last
// one always does.
func (x *exchange) travel(targets []target) {
	x.journey.thoughts = !slices.ContainsFunc(targets, func(t target) bool { return !t.translates })
	for i := range targets {
		x.journey.targets, x.journey.leaving = targets[i+1:], false
		if x.visit(&targets[i]) {
			return
		}
		x.leaveProvider()
	}
}

// visit tries one target.
func (x *exchange) visit(t *target) (answered bool) {
	x.depart()
	x.untranslate()
	x.provider, x.dialect, x.endpoint, x.path = t.provider, t.dialect, t.endpoint, t.endpoint.Path
	x.journey.model = t.model
	cfg := &x.g.cfg
	x.watch.upstream(cmp.Or(t.provider.FirstByteTimeout, cfg.FirstByteTimeout), cmp.Or(t.provider.IdleTimeout, cfg.IdleTimeout))
	x.rec.ProviderID, x.rec.Provider = t.provider.ID, t.provider.Name
	bad, wait := x.admitCircuit()
	if bad == nil {
		bad, wait = x.admitPlace()
	}
	if bad != nil {
		return x.pass(bad, bad.message, wait)
	}
	if t.translates {
		bad, message := x.translateRequest(t)
		if bad != nil {
			return x.pass(bad, message, 0)
		}
	} else if bad := x.setModel(t.model); bad != nil {
		return x.pass(bad, bad.message, time.Second)
	}
	return x.attempt()
}

// depart writes into the attempts so far which provider they were at: the record
// has that of the last.
func (x *exchange) depart() {
	for i := range x.rec.Attempts {
		if a := &x.rec.Attempts[i]; a.ProviderID == "" {
			a.ProviderID, a.Provider = x.rec.ProviderID, x.rec.Provider
		}
	}
}

// pass goes on to the next target if there is one that may serve the request, and
// answers if not.
func (x *exchange) pass(bad *refusal, message string, wait time.Duration) (answered bool) {
	if x.another() {
		x.journey.leaving = true
		x.journey.waitFor(wait)
		return false
	}
	x.answer(bad, message, wait)
	return true
}

// another reports whether there is a target left that may serve the request, as
// far as can be told without asking it.
func (x *exchange) another() bool {
	for i := range x.journey.targets {
		if wait, ok := x.g.admits(&x.journey.targets[i]); ok {
			return true
		} else {
			x.journey.waitFor(wait)
		}
	}
	return false
}

// admits reports whether a request may be sent to a target now, and else after how
// long, if that is known.
func (g *Gateway) admits(t *target) (wait time.Duration, ok bool) {
	p := t.provider
	if !p.NoBreaker {
		if wait := g.cfg.Breakers.Wait(g.cfg.Breakers.Circuit(p.ID, endpointNumber(t.dialect, t.endpoint))); wait > 0 {
			return wait, false
		}
	}
	if g.quotas.Full(p.ID, quota.Limits{AtOnce: p.MaxConcurrency}) {
		return time.Second, false
	}
	if len(p.Keys) == 0 {
		return 0, true
	}
	usable, short := g.cfg.Pool.Shortage(p.Keys, limitsOf(t.dialect, t.endpoint, printable(t.model)))
	return short.Wait, usable > 0
}

// lacksModel reports whether an error says that the target does not have the model
// or the path, and the request goes on to another target for that.
func (t *tryState) lacksModel(status int, body []byte) bool {
	if !notThere(status, body) || !t.x.another() {
		return false
	}
	t.x.journey.leaving = true
	return true
}

// notThere reports whether an error says that what was asked for is not there. Only
// codes and the beginnings of messages count: what follows can be the client's own
// words.
func notThere(status int, body []byte) bool {
	switch status {
	case http.StatusNotFound, http.StatusGone:
		return true
	case http.StatusBadRequest:
		d := upstream.ParseDetail(body)
		return d.Code == "model_not_found" || strings.EqualFold(d.Message, "Model Not Exist") ||
			d.Begins("The provided model identifier is invalid")
	}
	return false
}
