package gateway

import (
	"time"

	"github.com/gatehousehq/gatehouse/internal/quota"
)

// places are what a request holds while it is under way.
type places struct{ token, provider quota.Slot }

func (p *places) free() {
	p.token.Free()
	p.provider.Free()
	*p = places{}
}

// enter holds the request to the limits of its token and its provider, and keeps
// it from a provider that does not answer. It reports whether the request may go
// on; if not, it has its answer.
func (x *exchange) enter() bool {
	if !x.provider.NoBreaker {
		var wait time.Duration
		var ok bool
		x.circuit = x.g.cfg.Breakers.Circuit(x.provider.ID, x.endpointNumber())
		if x.trial, wait, ok = x.g.cfg.Breakers.Admit(x.circuit); !ok {
			x.answer(circuitOpen, circuitOpen.message, wait)
			return false
		}
	}
	token := quota.Limits{PerMinute: x.token.RPM, AtOnce: x.token.Concurrency}
	slot, result, wait := x.g.quotas.Admit(x.token.ID, token)
	x.places.token = slot
	switch result {
	case quota.TooMany:
		x.answer(tokenRate, tokenRate.message, wait)
		return false
	case quota.TooManyAtOnce:
		x.answer(tokenBusy, tokenBusy.message, wait)
		return false
	}
	x.places.provider, result, wait = x.g.quotas.Admit(x.provider.ID, quota.Limits{AtOnce: x.provider.MaxConcurrency})
	if result != quota.Admitted {
		x.answer(providerBusy, providerBusy.message, wait)
		return false
	}
	return true
}

// endpointNumber is 0 for what is passed through, and else the place of the
// endpoint in its dialect, from 1.
func (x *exchange) endpointNumber() int {
	for i := range x.dialect.Endpoints {
		if x.endpoint == &x.dialect.Endpoints[i] {
			return i + 1
		}
	}
	return 0
}

// leave gives up what enter took. The provider has failed a request that none of
// its keys brought an answer to: what one key of several does not get is no sign
// that the provider is down.
func (x *exchange) leave() {
	x.places.free()
	switch {
	case x.circuit == nil:
	case x.failed && !x.answered:
		x.g.cfg.Breakers.Failed(x.circuit)
	case x.trial && !x.answered:
		x.circuit.Abandon()
	}
}

// tellCircuit says whether the provider answered an attempt.
func (x *exchange) tellCircuit(answered bool) {
	if !answered {
		x.failed = true
		return
	}
	x.answered = true
	if x.circuit != nil {
		x.circuit.Succeeded()
	}
}
