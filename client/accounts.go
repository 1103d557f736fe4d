package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
)

// A CreateUser describes a user to add.
type CreateUser struct {
	Name  string   `json:"name"`
	Roles []string `json:"roles"`
}

// An UpdateUser describes a change of a user. A zero field keeps what is there.
type UpdateUser struct {
	Name     Optional[string]   `json:"name,omitzero"`
	Roles    Optional[[]string] `json:"roles,omitzero"`
	Disabled Optional[bool]     `json:"disabled,omitzero"`
}

// A CreateRole describes a role to make.
type CreateRole struct {
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	Permissions []string `json:"permissions"`
}

// An UpdateRole describes a change of a role. A zero field keeps what is there.
type UpdateRole struct {
	Description Optional[string]   `json:"description,omitzero"`
	Permissions Optional[[]string] `json:"permissions,omitzero"`
}

const (
	usersPath = "/api/v1/users"
	rolesPath = "/api/v1/roles"
)

// Me returns who the client's token belongs to, and what it may do.
func (c *Client) Me(ctx context.Context) (Me, error) {
	return call[Me](ctx, c, http.MethodGet, "/api/v1/me", 0, nil)
}

// ListUsers returns one page of the users.
func (c *Client) ListUsers(ctx context.Context, o ListOptions) (Page[User], error) {
	return call[Page[User]](ctx, c, http.MethodGet, usersPath+o.query(), 0, nil)
}

// Users returns every user.
func (c *Client) Users(ctx context.Context) iter.Seq2[User, error] { return pages(ctx, c.ListUsers) }

// User returns the user with that id or name.
func (c *Client) User(ctx context.Context, ref string) (User, error) {
	return call[User](ctx, c, http.MethodGet, usersPath+"/"+url.PathEscape(ref), 0, nil)
}

// CreateUser adds a user.
func (c *Client) CreateUser(ctx context.Context, req CreateUser) (User, error) {
	return call[User](ctx, c, http.MethodPost, usersPath, 0, req)
}

// UpdateUser changes the user with that id or name.
func (c *Client) UpdateUser(ctx context.Context, ref string, req UpdateUser) (User, error) {
	return call[User](ctx, c, http.MethodPatch, usersPath+"/"+url.PathEscape(ref), 0, req)
}

// DeleteUser deletes the user with that id or name, and revokes their tokens.
func (c *Client) DeleteUser(ctx context.Context, ref string) error {
	return c.remove(ctx, usersPath+"/"+url.PathEscape(ref), 0)
}

// ListRoles returns one page of the roles, the built-in ones first.
func (c *Client) ListRoles(ctx context.Context, o ListOptions) (Page[Role], error) {
	return call[Page[Role]](ctx, c, http.MethodGet, rolesPath+o.query(), 0, nil)
}

// Roles returns every role, the built-in ones first.
func (c *Client) Roles(ctx context.Context) iter.Seq2[Role, error] { return pages(ctx, c.ListRoles) }

// Role returns the role with that id or name.
func (c *Client) Role(ctx context.Context, ref string) (Role, error) {
	return call[Role](ctx, c, http.MethodGet, rolesPath+"/"+url.PathEscape(ref), 0, nil)
}

// CreateRole makes a role.
func (c *Client) CreateRole(ctx context.Context, req CreateRole) (Role, error) {
	return call[Role](ctx, c, http.MethodPost, rolesPath, 0, req)
}

// UpdateRole changes the role with that id or name.
func (c *Client) UpdateRole(ctx context.Context, ref string, req UpdateRole) (Role, error) {
	return call[Role](ctx, c, http.MethodPatch, rolesPath+"/"+url.PathEscape(ref), 0, req)
}

// DeleteRole deletes the role with that id or name, which nobody has.
func (c *Client) DeleteRole(ctx context.Context, ref string) error {
	return c.remove(ctx, rolesPath+"/"+url.PathEscape(ref), 0)
}
