package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/google/uuid"

	"github.com/gatehousehq/gatehouse/internal/store"
)

// Limits on routes.
const (
	MaxTargets = 16  // targets of a route
	MaxModel   = 128 // bytes of the model of a target
)

// RouteNamePattern is what the name of a route looks like. There is no slash in
// it: a model with one is a provider and its model.
const RouteNamePattern = `^[a-z0-9]+([-._:][a-z0-9]+)*$`

var routeName = regexp.MustCompile(RouteNamePattern)

// A NewRoute describes a route to add.
type NewRoute struct {
	Name        string
	Description string
	Enabled     bool
	Strategy    string // "" is in order
	Targets     []NewTarget
}

// A NewTarget is a model of a provider, which is named by its name or id. A nil
// Weight is 1.
type NewTarget struct {
	Provider string
	Model    string
	Weight   *int64
}

// CreateRoute adds a route.
func CreateRoute(ctx context.Context, tx store.Tx, n NewRoute) (store.Route, error) {
	var bad invalid
	bad.check("name", checkRouteName(n.Name))
	bad.check("description", checkText(n.Description))
	strategy := cmp.Or(n.Strategy, string(store.RouteInOrder))
	bad.check("strategy", checkRouteStrategy(strategy))
	targets, err := planTargets(ctx, tx, nil, n.Targets)
	bad.join(err)
	if err := bad.err(); err != nil {
		return store.Route{}, err
	}
	id, err := newID()
	if err != nil {
		return store.Route{}, err
	}
	return tx.Routes.Insert(ctx, store.Route{
		ID: id, Name: n.Name, Description: n.Description, Enabled: n.Enabled, Strategy: store.RouteStrategy(strategy), Targets: targets,
	})
}

// A RouteEdit describes a change of a route. A nil field keeps what is there.
type RouteEdit struct {
	Description *string // "" clears
	Enabled     *bool
	Strategy    *string
	Targets     *[]NewTarget
}

// UpdateRoute changes a route, by id or name, if it is of that revision; it
// returns [store.ErrStale] otherwise. A target whose provider is gone can be kept,
// by the provider's id, and not be added.
func UpdateRoute(ctx context.Context, tx store.Tx, ref string, revision int64, e RouteEdit) (store.Route, error) {
	return tx.Routes.Update(ctx, ref, func(r *store.Route) error {
		if revision != AnyRevision && r.Revision != revision {
			return store.ErrStale
		}
		var bad invalid
		if e.Description != nil {
			bad.check("description", checkText(*e.Description))
			r.Description = *e.Description
		}
		if e.Enabled != nil {
			r.Enabled = *e.Enabled
		}
		if e.Strategy != nil {
			bad.check("strategy", checkRouteStrategy(*e.Strategy))
			r.Strategy = store.RouteStrategy(*e.Strategy)
		}
		if e.Targets != nil {
			targets, err := planTargets(ctx, tx, r.Targets.Slice(), *e.Targets)
			bad.join(err)
			r.Targets = targets
		}
		return bad.err()
	})
}

// DeleteRoute removes a route, by id or name, if it is of that revision.
func DeleteRoute(ctx context.Context, tx store.Tx, ref string, revision int64) error {
	r, err := tx.Routes.Get(ctx, ref)
	if err != nil {
		return err
	}
	// As it was when it went, which another writer may have got to first.
	r, err = tx.Routes.Delete(ctx, r.ID)
	if err == nil && revision != AnyRevision && r.Revision != revision {
		err = store.ErrStale
	}
	return err
}

// planTargets returns the targets as they are kept. Those that the route has
// already need no look at their provider.
func planTargets(ctx context.Context, tx store.Tx, have []store.Target, want []NewTarget) (store.Targets, error) {
	if len(want) == 0 || len(want) > MaxTargets {
		return store.Targets{}, &store.InvalidError{Field: "targets", Reason: fmt.Sprintf("must be from 1 to %d", MaxTargets)}
	}
	var bad invalid
	list := make([]store.Target, 0, len(want))
	for i, w := range want {
		at := element("targets", i)
		t := store.Target{Model: w.Model, Weight: 1}
		if w.Weight != nil {
			t.Weight = *w.Weight
		}
		bad.check(at+".model", checkModel(w.Model))
		bad.check(at+".weight", checkWeight(t.Weight))
		kept := slices.IndexFunc(have, func(h store.Target) bool { return h.ProviderID == w.Provider })
		if kept >= 0 {
			t.ProviderID, t.Provider = have[kept].ProviderID, have[kept].Provider
		} else {
			p, err := Get(ctx, tx, w.Provider)
			switch {
			case errors.Is(err, store.ErrNotFound):
				bad.check(at+".provider", errors.New("is not a provider that there is"))
			case err != nil:
				return store.Targets{}, err
			}
			t.ProviderID, t.Provider = p.ID, p.Name
		}
		if t.ProviderID != "" && slices.ContainsFunc(list, func(o store.Target) bool { return o.ProviderID == t.ProviderID && o.Model == t.Model }) {
			bad.check(at, errors.New("is there already: a provider and model can be in a route once"))
		}
		list = append(list, t)
	}
	return store.TargetsOf(list...), bad.err()
}

func checkRouteName(s string) error {
	switch {
	case len(s) > MaxName:
		return fmt.Errorf("must have at most %d characters", MaxName)
	case !routeName.MatchString(s):
		return errors.New("must be lower-case letters and digits, with single hyphens, dots, underscores or colons between them")
	case uuid.Validate(s) == nil:
		return errors.New("must not be a UUID: it could be mistaken for an id")
	}
	return nil
}

func checkRouteStrategy(s string) error {
	if !slices.Contains(store.RouteStrategies(), store.RouteStrategy(s)) {
		return errors.New("must be in_order or weighted")
	}
	return nil
}

func checkModel(s string) error {
	if s == "" || len(s) > MaxModel {
		return fmt.Errorf("must be the name of a model, of at most %d characters", MaxModel)
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return errors.New("must be printable characters of ASCII, without spaces")
		}
	}
	return nil
}
