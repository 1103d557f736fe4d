package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// A Route is a model of one's own naming, and the targets that it stands for. The
// gateway serves it under /ai/v1.
type Route struct {
	ID          string        `json:"id" format:"uuid" doc:"Identifies the route for ever."`
	Name        string        `json:"name" doc:"The model that clients ask for. It never changes."`
	Description *string       `json:"description" doc:"What it is for; null: nothing is said."`
	Enabled     bool          `json:"enabled" doc:"Whether the gateway serves it."`
	Strategy    string        `json:"strategy" enum:"in_order,weighted" doc:"How the first target to try is chosen: the first of the list, or each in proportion to its weight. The others follow in their order."`
	Targets     []RouteTarget `json:"targets" nullable:"false" doc:"Where it leads, in failover order."`
	Revision    int64         `json:"revision" doc:"Raised by each change. Give it in If-Match to change only what you have seen."`
	CreatedAt   time.Time     `json:"created_at" doc:"When it was added."`
	UpdatedAt   time.Time     `json:"updated_at" doc:"When it was last changed."`
}

// A RouteTarget is a model of a provider that a route leads to.
type RouteTarget struct {
	Provider   string      `json:"provider" doc:"The name of the provider, as it was when the target was written."`
	ProviderID string      `json:"provider_id" format:"uuid" doc:"The id of the provider."`
	Model      string      `json:"model" doc:"The model, as the provider names it."`
	Weight     int64       `json:"weight" doc:"Its share of the requests where the strategy is weighted; with 0 it is a fallback only."`
	State      TargetState `json:"state" enum:"ready,disabled,not_served,deleted" doc:"Whether its provider is there to serve it. A target that is not ready is skipped."`
}

// A TargetState says whether the provider of a target is there to serve it.
type TargetState string

// The states of a target.
const (
	TargetReady     TargetState = "ready"
	TargetDisabled  TargetState = "disabled"   // the provider is switched off
	TargetNotServed TargetState = "not_served" // the provider has a fault
	TargetDeleted   TargetState = "deleted"    // there is no such provider any more
)

// CreateRoute describes a route to add.
type CreateRoute struct {
	Name        string      `json:"name"`
	Description *string     `json:"description,omitempty"`
	Enabled     *bool       `json:"enabled,omitempty"`  // nil means enabled
	Strategy    string      `json:"strategy,omitempty"` // "" means in_order
	Targets     []NewTarget `json:"targets"`
}

// A NewTarget is a target to write: the provider by name or id. A nil Weight is 1.
type NewTarget struct {
	Provider string `json:"provider"`
	Model    string `json:"model"`
	Weight   *int64 `json:"weight,omitempty"`
}

// UpdateRoute describes a change of a route. What is left out stays.
type UpdateRoute struct {
	Description Optional[string] `json:"description,omitzero"`
	Enabled     *bool            `json:"enabled,omitempty"`
	Strategy    *string          `json:"strategy,omitempty"`
	// Targets, unless nil, are those that the route is to have.
	Targets []NewTarget `json:"targets,omitzero"`
}

const routesPath = "/api/v1/ai/routes"

func routePath(route string) string { return routesPath + "/" + url.PathEscape(route) }

// ListRoutes returns one page of the routes, in order of their names.
func (c *Client) ListRoutes(ctx context.Context, o ListOptions) (Page[Route], error) {
	return call[Page[Route]](ctx, c, http.MethodGet, routesPath+o.query(), 0, nil)
}

// Routes returns every route, in order of their names.
func (c *Client) Routes(ctx context.Context) iter.Seq2[Route, error] { return pages(ctx, c.ListRoutes) }

// Route returns the route with that name or id.
func (c *Client) Route(ctx context.Context, route string) (Route, error) {
	return call[Route](ctx, c, http.MethodGet, routePath(route), 0, nil)
}

// CreateRoute adds a route.
func (c *Client) CreateRoute(ctx context.Context, req CreateRoute) (Route, error) {
	return call[Route](ctx, c, http.MethodPost, routesPath, 0, req)
}

// UpdateRoute changes a route if it still has that revision; 0 is any.
func (c *Client) UpdateRoute(ctx context.Context, route string, revision int64, req UpdateRoute) (Route, error) {
	return call[Route](ctx, c, http.MethodPatch, routePath(route), revision, req)
}

// DeleteRoute removes a route if it still has that revision; 0 is any.
func (c *Client) DeleteRoute(ctx context.Context, route string, revision int64) error {
	return c.remove(ctx, routePath(route), revision)
}
