package routing

import (
	"errors"
	"iter"
	"time"

	"github.com/gatehousehq/gatehouse/internal/store"
)

// A Route is a model of our own naming, and the targets that it stands for.
type Route struct {
	ID      string
	Name    string
	Enabled bool
	// Weighted is set where the first target is chosen by weight; else it is the
	// first of the list. The others follow in their order.
	Weighted  bool
	Targets   []Target
	CreatedAt time.Time
}

// A Target is a model of a provider. The provider is looked up in the snapshot
// when it is needed: it may be disabled, or gone.
type Target struct {
	ProviderID string
	Model      string
	Weight     uint32 // its share, of use to a weighted route alone
}

// Route returns the route of that name, or nil. It may be disabled.
func (s *Snapshot) Route(name string) *Route {
	if s == nil {
		return nil
	}
	r, _ := s.routes.get(name)
	return r
}

// ProviderByID returns the live provider of that id, or nil. It may be disabled.
func (s *Snapshot) ProviderByID(id string) *Provider {
	if s == nil {
		return nil
	}
	name, ok := s.providerNames.get(id)
	if !ok {
		return nil
	}
	return s.Provider(name)
}

// Routes yields every route, in no order.
func (s *Snapshot) Routes() iter.Seq[*Route] {
	return func(yield func(*Route) bool) {
		if s != nil {
			s.routes.values(yield)
		}
	}
}

// WithRoutes returns the snapshot with exactly these routes.
func (s *Snapshot) WithRoutes(routes ...*Route) *Snapshot {
	r, names := shards[string, *Route]{}.edit(), shards[string, string]{}.edit()
	for _, rec := range routes {
		r.set(rec.Name, rec)
		names.set(rec.ID, rec.Name)
	}
	next := *s
	next.routes, next.routeNames = r.done(), names.done()
	return &next
}

// routes compiles all routes.
func (c compiler) routes() ([]*Route, error) {
	recs, err := c.tx.Routes.List(c.ctx, store.Query{})
	if err != nil {
		return nil, err
	}
	routes := make([]*Route, len(recs))
	for i, rec := range recs {
		routes[i] = newRoute(rec)
	}
	return routes, nil
}

// routeByID returns nil for a route that is gone.
func (c compiler) routeByID(id string) (*Route, error) {
	rec, err := c.tx.Routes.Get(c.ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return newRoute(rec), nil
}

func newRoute(rec store.Route) *Route {
	r := &Route{ID: rec.ID, Name: rec.Name, Enabled: rec.Enabled, Weighted: rec.Strategy == store.RouteWeighted, CreatedAt: rec.CreatedAt}
	for _, t := range rec.Targets.Slice() {
		r.Targets = append(r.Targets, Target{ProviderID: t.ProviderID, Model: t.Model, Weight: uint32(max(0, t.Weight))})
	}
	return r
}
