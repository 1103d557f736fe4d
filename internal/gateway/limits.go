package gateway

import (
	"time"

	"github.com/gatehousehq/gatehouse/internal/quota"
	"github.com/gatehousehq/gatehouse/internal/upstream"
)

// places are what a request holds while it is under way.
type places struct{ token, provider quota.Slot }

// enter holds the request to the limits of its token and its provider, and keeps
// it from a provider that does not answer. It reports whether the request may go
// on; if not, it has its answer.
func (x *exchange) enter() bool {
	bad, wait := x.admitCircuit()
	if bad == nil {
		bad, wait = x.admitToken()
	}
	if bad == nil {
		bad, wait = x.admitPlace()
	}
	if bad != nil {
		x.answer(bad, bad.message, wait)
	}
	return bad == nil
}

func (x *exchange) admitCircuit() (bad *refusal, wait time.Duration) {
	if x.provider.NoBreaker {
		return nil, 0
	}
	var ok bool
	x.circuit = x.g.cfg.Breakers.Circuit(x.provider.ID, endpointNumber(x.dialect, x.endpoint))
	if x.trial, wait, ok = x.g.cfg.Breakers.Admit(x.circuit); !ok {
		return circuitOpen, wait
	}
	return nil, 0
}

func (x *exchange) admitToken() (bad *refusal, wait time.Duration) {
	slot, result, wait := x.g.quotas.Admit(x.token.ID, quota.Limits{PerMinute: x.token.RPM, AtOnce: x.token.Concurrency})
	x.places.token = slot
	switch result {
	case quota.TooMany:
		return tokenRate, wait
	case quota.TooManyAtOnce:
		return tokenBusy, wait
	}
	return nil, 0
}

func (x *exchange) admitPlace() (bad *refusal, wait time.Duration) {
	var result quota.Result
	x.places.provider, result, wait = x.g.quotas.Admit(x.provider.ID, quota.Limits{AtOnce: x.provider.MaxConcurrency})
	if result != quota.Admitted {
		return providerBusy, wait
	}
	return nil, 0
}

// endpointNumber is 0 for what is passed through, and else the place of the
// endpoint in its dialect, from 1, those of WebSockets last.
func endpointNumber(d *upstream.Dialect, e *upstream.Endpoint) int {
	for i := range d.Endpoints {
		if e == &d.Endpoints[i] {
			return i + 1
		}
	}
	for i := range d.Sockets {
		if e == &d.Sockets[i] {
			return len(d.Endpoints) + i + 1
		}
	}
	return 0
}

// leave gives up what enter took.
func (x *exchange) leave() {
	x.leaveProvider()
	x.places.token.Free()
	x.places = places{}
}

// leaveProvider gives up what is the provider's. It has failed a request that none
// of its keys brought an answer to: what one key of several does not get is no
// sign that the provider is down.
func (x *exchange) leaveProvider() {
	x.places.provider.Free()
	x.places.provider = quota.Slot{}
	switch {
	case x.circuit == nil:
	case x.failed && !x.answered:
		x.g.cfg.Breakers.Failed(x.circuit)
	case x.trial && !x.answered:
		x.circuit.Abandon()
	}
	x.circuit, x.trial, x.answered, x.failed = nil, false, false, false
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
