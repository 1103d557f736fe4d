package httpapi

import (
	"context"
	"errors"
	"net/http"
	"regexp"

	"github.com/danielgtaylor/huma/v2"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/catalog"
	"github.com/gatehousehq/gatehouse/internal/store"
)

const aiRoutesPath = "/api/v1/ai/routes"

// An AIRoutePath is the route that an operation is about.
type AIRoutePath struct {
	Route string `path:"route" maxLength:"63" doc:"The route's name or id."`
}

type aiRouteOutput struct {
	ETag     string `header:"ETag"`
	Location string `header:"Location"`
	Body     client.Route
}

func (a *api) registerAIRoutes() {
	register(a, huma.Operation{
		OperationID: "list-routes", Method: http.MethodGet, Path: aiRoutesPath, Tags: []string{"Routes"},
		Summary: "List routes", Description: "In order of name, disabled ones included.",
	}, a.listAIRoutes)
	register(a, huma.Operation{
		OperationID: "create-route", Method: http.MethodPost, Path: aiRoutesPath, Tags: []string{"Routes"},
		Summary: "Add a route", Description: "In force when the answer comes. It takes ai_provider:read as well, to look up the providers.",
		DefaultStatus: http.StatusCreated, Errors: []int{400, 409, 413, 415},
	}, a.createAIRoute)
	register(a, huma.Operation{
		OperationID: "get-route", Method: http.MethodGet, Path: aiRoutesPath + "/{route}", Tags: []string{"Routes"},
		Summary: "Get a route", Errors: []int{404},
	}, a.getAIRoute)
	register(a, huma.Operation{
		OperationID: "update-route", Method: http.MethodPatch, Path: aiRoutesPath + "/{route}", Tags: []string{"Routes"},
		Summary:     "Change a route",
		Description: "What is left out stays; null clears the description. targets is the list that the route is to have. Requests under way go on as they began. A target with a provider that the route does not have yet takes ai_provider:read as well.",
		Errors:      []int{400, 404, 409, 412, 413, 415},
	}, a.updateAIRoute)
	register(a, huma.Operation{
		OperationID: "delete-route", Method: http.MethodDelete, Path: aiRoutesPath + "/{route}", Tags: []string{"Routes"},
		Summary: "Delete a route", DefaultStatus: http.StatusNoContent, Errors: []int{404, 412},
	}, a.deleteAIRoute)
}

var routeName = regexp.MustCompile(catalog.RouteNamePattern)

type listAIRoutesOutput struct{ Body client.Page[client.Route] }

func (a *api) listAIRoutes(ctx context.Context, who store.Actor, in *PageInput) (*listAIRoutesOutput, error) {
	after, err := in.after(routeName.MatchString)
	if err != nil {
		return nil, err
	}
	var recs []store.Route
	err = a.DB.View(ctx, who, func(tx store.Tx) (err error) {
		recs, err = tx.Routes.List(ctx, store.Query{After: after, Limit: in.Limit + 1})
		return err
	})
	if err != nil {
		return nil, err
	}
	return &listAIRoutesOutput{page(recs, in.Limit, a.aiRoute, func(r store.Route) string { return r.Name })}, nil
}

type aiRouteTarget struct {
	Provider string `json:"provider" maxLength:"63" doc:"The name or id of the provider."`
	Model    string `json:"model" maxLength:"128" doc:"The model, as the provider names it."`
	Weight   *int64 `json:"weight,omitempty" minimum:"0" maximum:"1000" doc:"Its share of the requests where the strategy is weighted; left out: 1."`
}

func newTargets(list []aiRouteTarget) []catalog.NewTarget {
	out := make([]catalog.NewTarget, len(list))
	for i, t := range list {
		out[i] = catalog.NewTarget(t)
	}
	return out
}

type createAIRouteInput struct {
	Body struct {
		Name        string          `json:"name" maxLength:"63" pattern:"^[a-z0-9]+([-._:][a-z0-9]+)*$" patternDescription:"lower-case letters and digits, with single hyphens, dots, underscores or colons between them" doc:"The model that clients ask for. It cannot be changed."`
		Description *string         `json:"description,omitempty" maxLength:"128" doc:"What it is for."`
		Enabled     *bool           `json:"enabled,omitempty" doc:"Left out: enabled."`
		Strategy    *string         `json:"strategy,omitempty" enum:"in_order,weighted" doc:"How the first target to try is chosen; left out: in_order."`
		Targets     []aiRouteTarget `json:"targets" nullable:"false" minItems:"1" maxItems:"16" doc:"Where it leads, in failover order."`
	}
}

func (a *api) createAIRoute(ctx context.Context, who store.Actor, in *createAIRouteInput) (*aiRouteOutput, error) {
	b := in.Body
	n := catalog.NewRoute{
		Name: b.Name, Description: orZero(b.Description), Enabled: b.Enabled == nil || *b.Enabled,
		Strategy: orZero(b.Strategy), Targets: newTargets(b.Targets),
	}
	var rec store.Route
	err := a.DB.Update(ctx, who, func(tx store.Tx) (err error) {
		rec, err = catalog.CreateRoute(ctx, tx, n)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &aiRouteOutput{ETag: etag(rec.Revision), Location: aiRoutesPath + "/" + rec.ID, Body: a.aiRoute(rec)}, nil
}

func (a *api) getAIRoute(ctx context.Context, who store.Actor, in *AIRoutePath) (*aiRouteOutput, error) {
	var rec store.Route
	err := a.DB.View(ctx, who, func(tx store.Tx) (err error) {
		rec, err = tx.Routes.Get(ctx, in.Route)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &aiRouteOutput{ETag: etag(rec.Revision), Body: a.aiRoute(rec)}, nil
}

type updateAIRouteInput struct {
	AIRoutePath
	Precondition
	Body struct {
		Description patch[string]          `json:"description,omitempty" doc:"Null: none."`
		Enabled     patch[bool]            `json:"enabled,omitempty" doc:"Whether the gateway serves it."`
		Strategy    patch[string]          `json:"strategy,omitempty" doc:"How the first target to try is chosen: in_order or weighted."`
		Targets     patch[[]aiRouteTarget] `json:"targets,omitempty" doc:"The targets that it is to have, in failover order."`
	}
}

func (a *api) updateAIRoute(ctx context.Context, who store.Actor, in *updateAIRouteInput) (*aiRouteOutput, error) {
	revision, err := in.revision()
	if err != nil {
		return nil, err
	}
	e := catalog.RouteEdit{Description: in.Body.Description.clearable()}
	var errs [3]error
	e.Enabled, errs[0] = in.Body.Enabled.required("enabled")
	e.Strategy, errs[1] = in.Body.Strategy.required("strategy")
	var targets *[]aiRouteTarget
	targets, errs[2] = in.Body.Targets.required("targets")
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	if targets != nil {
		list := newTargets(*targets)
		e.Targets = &list
	}
	var rec store.Route
	err = a.DB.Update(ctx, who, func(tx store.Tx) (err error) {
		rec, err = catalog.UpdateRoute(ctx, tx, in.Route, revision, e)
		return err
	})
	if err != nil {
		return nil, a.withCurrentRoute(ctx, who, in.Route, err)
	}
	return &aiRouteOutput{ETag: etag(rec.Revision), Body: a.aiRoute(rec)}, nil
}

type deleteAIRouteInput struct {
	AIRoutePath
	Precondition
}

func (a *api) deleteAIRoute(ctx context.Context, who store.Actor, in *deleteAIRouteInput) (*struct{}, error) {
	revision, err := in.revision()
	if err != nil {
		return nil, err
	}
	err = a.DB.Update(ctx, who, func(tx store.Tx) error { return catalog.DeleteRoute(ctx, tx, in.Route, revision) })
	return nil, a.withCurrentRoute(ctx, who, in.Route, err)
}

// withCurrentRoute adds to a stale error what is there now.
func (a *api) withCurrentRoute(ctx context.Context, who store.Actor, ref string, err error) error {
	if !errors.Is(err, store.ErrStale) {
		return err
	}
	now, getErr := a.getAIRoute(ctx, who, &AIRoutePath{ref})
	if getErr != nil {
		return getErr
	}
	return &staleError{now.Body}
}

// aiRoute is the wire form of a route.
func (a *api) aiRoute(r store.Route) client.Route {
	targets := r.Targets.Slice()
	out := client.Route{
		ID: r.ID, Name: r.Name, Enabled: r.Enabled, Strategy: string(r.Strategy), Revision: r.Revision,
		Targets: make([]client.RouteTarget, len(targets)), CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
	if r.Description != "" {
		out.Description = &r.Description
	}
	for i, t := range targets {
		out.Targets[i] = client.RouteTarget{
			Provider: t.Provider, ProviderID: t.ProviderID, Model: t.Model, Weight: t.Weight, State: a.TargetState(t.ProviderID),
		}
	}
	return out
}
