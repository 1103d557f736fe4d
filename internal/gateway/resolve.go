package gateway

import (
	"slices"
	"strings"

	"github.com/gatehousehq/gatehouse/internal/keypool"
	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/translate"
	"github.com/gatehousehq/gatehouse/internal/upstream"
)

// A target is a provider that may serve a request, and the model to ask it for.
type target struct {
	provider *routing.Provider
	dialect  *upstream.Dialect
	endpoint *upstream.Endpoint
	model    string
	weight   uint32
	// translates is set if the provider speaks another API than the client, which
	// is api then.
	translates bool
	api        translate.API
}

// resolve returns the targets that the model of the request stands for, of those
// that the token may use, in the order in which to try them.
func (x *exchange) resolve(s *routing.Snapshot) ([]target, *refusal) {
	asked := x.journey.asked
	name, model, direct := strings.Cut(asked, "/")
	var found finder
	if direct {
		p := s.Provider(name)
		if p == nil || model == "" {
			return nil, noModel
		}
		found.consider(x, p, model, 1)
		return found.result()
	}
	r := s.Route(asked)
	if r == nil {
		return nil, noModel
	}
	found.targets = make([]target, 0, len(r.Targets))
	for _, t := range r.Targets {
		found.consider(x, s.ProviderByID(t.ProviderID), t.Model, t.Weight)
	}
	if !r.Enabled && found.visible {
		return nil, routeDisabled
	}
	if r.Weighted && len(found.targets) > 1 {
		first := keypool.ByWeight(x.g.spins.Get(r.ID), found.targets, func(t *target) uint32 { return t.weight })
		chosen := found.targets[first]
		copy(found.targets[1:first+1], found.targets[:first])
		found.targets[0] = chosen
	}
	return found.result()
}

// A finder collects targets, and why others are none. The later the reason in the
// order of its fields, the closer it came.
type finder struct {
	targets  []target
	visible  bool     // a provider is there, and for this token
	allowed  bool     // and so is its model
	unserved *refusal // a provider that speaks what is asked for cannot be served
}

// consider adds a target if it can serve the request of x.
func (f *finder) consider(x *exchange, p *routing.Provider, model string, weight uint32) {
	if p == nil || !providerAllowed(x.token.Providers, p) {
		return
	}
	f.visible = true
	if !tokenMayAsk(x.token, x.journey.asked, model) {
		return
	}
	f.allowed = true
	d := x.g.byName[p.Dialect]
	if d == nil {
		f.unserved = providerFault
		return
	}
	t := target{provider: p, dialect: d, endpoint: d.Endpoint(x.r.Method, x.path), model: model, weight: weight}
	if t.endpoint == nil || !servesPath(p, x.path) {
		if e, api := translated(p, d, x.path, model); e != nil {
			t.endpoint, t.api, t.translates = e, api, true
		}
	}
	switch {
	case t.endpoint == nil || !t.endpoint.BodyModel:
		return
	case !p.Enabled:
		f.unserved = providerDisabled
		return
	case p.Fault != "" || p.BaseURL == nil:
		f.unserved = providerFault
		return
	case !servesPath(p, t.endpoint.Path):
		f.unserved = pathDenied
		return
	case !servesModel(p, model):
		f.unserved = modelNotServed
		return
	}
	f.targets = append(f.targets, t)
}

// servesPath reports whether the settings of a provider allow a path.
func servesPath(p *routing.Provider, path string) bool {
	return p.Paths == nil || listed(p.Paths, path)
}

// servesModel reports whether the settings of a provider allow a model.
func servesModel(p *routing.Provider, model string) bool {
	return p.Models == nil || listed(p.Models, model)
}

// tokenMayAsk reports whether the list of a token allows a model: what is asked for
// can be on it, or what that stands for.
func tokenMayAsk(t *routing.Token, asked, model string) bool {
	return t.Models == nil || listed(t.Models, asked) || listed(t.Models, model)
}

// result returns the targets, or why there is none.
func (f *finder) result() ([]target, *refusal) {
	switch {
	case len(f.targets) > 0:
		return f.targets, nil
	case !f.visible:
		return nil, noModel
	case !f.allowed:
		return nil, modelDenied
	case f.unserved == nil:
		return nil, noSpeaker
	}
	return nil, f.unserved
}

// servesShared reports whether a provider can be reached by the URL for all
// providers: Gemini's API cannot.
func (g *Gateway) servesShared(p *routing.Provider) bool {
	if p == nil || !p.Enabled || p.Fault != "" {
		return false
	}
	d := g.byName[p.Dialect]
	return d != nil && slices.ContainsFunc(d.Endpoints, func(e upstream.Endpoint) bool { return e.BodyModel })
}

// usableBy reports whether a token may use a model of a provider, nil being none,
// by the name that it asks for.
func (g *Gateway) usableBy(t *routing.Token, p *routing.Provider, asked, model string) bool {
	return g.servesShared(p) && providerAllowed(t.Providers, p) && servesModel(p, model) && tokenMayAsk(t, asked, model)
}
