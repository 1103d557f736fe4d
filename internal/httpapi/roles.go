package httpapi

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/accounts"
	"github.com/gatehousehq/gatehouse/internal/store"
)

const rolesPath = "/api/v1/roles"

// A RolePath is the role that a route is about.
type RolePath struct {
	Role string `path:"role" maxLength:"63" doc:"The role's name or id."`
}

type roleOutput struct {
	Location string `header:"Location"`
	Body     client.Role
}

func (a *api) registerRoles() {
	register(a, huma.Operation{
		OperationID: "list-roles", Method: http.MethodGet, Path: rolesPath, Tags: []string{"Roles"},
		Summary: "List roles", Description: "The built-in ones first, then those that were made, oldest first.",
	}, a.listRoles)
	register(a, huma.Operation{
		OperationID: "create-role", Method: http.MethodPost, Path: rolesPath, Tags: []string{"Roles"},
		Summary: "Make a role", Description: "It can grant no more than the caller may do.",
		DefaultStatus: http.StatusCreated, Errors: []int{400, 409, 413, 415},
	}, a.createRole)
	register(a, huma.Operation{
		OperationID: "get-role", Method: http.MethodGet, Path: rolesPath + "/{role}", Tags: []string{"Roles"},
		Summary: "Get a role", Errors: []int{404},
	}, a.getRole)
	register(a, huma.Operation{
		OperationID: "update-role", Method: http.MethodPatch, Path: rolesPath + "/{role}", Tags: []string{"Roles"},
		Summary: "Change a role", Description: "What is left out stays. In force for everybody who has it when the answer comes. Its name cannot be changed.",
		Errors: []int{400, 404, 409, 413, 415},
	}, a.updateRole)
	register(a, huma.Operation{
		OperationID: "delete-role", Method: http.MethodDelete, Path: rolesPath + "/{role}", Tags: []string{"Roles"},
		Summary: "Delete a role", Description: "It must not be given to anybody.",
		DefaultStatus: http.StatusNoContent, Errors: []int{404, 409},
	}, a.deleteRole)
}

type listRolesOutput struct{ Body client.Page[client.Role] }

func (a *api) listRoles(ctx context.Context, who store.Actor, in *PageInput) (*listRolesOutput, error) {
	// A cursor is the id of a role, or the name of one that is built in.
	roles := store.BuiltInRoles()
	index := func(name string) int {
		return slices.IndexFunc(roles, func(r store.Role) bool { return r.Name == name })
	}
	after, err := in.after(func(s string) bool { return isID(s) || index(s) >= 0 })
	if err != nil {
		return nil, err
	}
	if isID(after) {
		roles = nil
	} else if after != "" {
		roles = roles[index(after)+1:]
	}
	err = a.DB.View(ctx, who, func(tx store.Tx) error {
		made, err := tx.Roles.List(ctx, store.Query{After: after, Limit: in.Limit + 1})
		roles = append(roles, made...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &listRolesOutput{page(roles, in.Limit, roleOf, func(r store.Role) string { return cmp.Or(r.ID, r.Name) })}, nil
}

type createRoleInput struct {
	Body struct {
		Name        string   `json:"name" maxLength:"63" pattern:"^[a-z0-9]+(-[a-z0-9]+)*$" patternDescription:"lower-case letters and digits, with single hyphens between them" doc:"What users are given it by. It cannot be changed."`
		Description string   `json:"description,omitempty" maxLength:"256" doc:"What it is for."`
		Permissions []string `json:"permissions" nullable:"false" minItems:"1" maxItems:"128" doc:"What it grants: RESOURCE:ACTION on every record, RESOURCE:ACTION:own on one's own."`
	}
}

func (a *api) createRole(ctx context.Context, who store.Actor, in *createRoleInput) (*roleOutput, error) {
	var r store.Role
	err := a.DB.Update(ctx, who, func(tx store.Tx) (err error) {
		r, err = accounts.CreateRole(ctx, tx, in.Body.Name, in.Body.Description, in.Body.Permissions)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &roleOutput{Location: rolesPath + "/" + r.Name, Body: roleOf(r)}, nil
}

func (a *api) getRole(ctx context.Context, who store.Actor, in *RolePath) (*roleOutput, error) {
	var r store.Role
	err := a.DB.View(ctx, who, func(tx store.Tx) (err error) {
		r, err = tx.Roles.Get(ctx, in.Role)
		for _, b := range store.BuiltInRoles() {
			if errors.Is(err, store.ErrNotFound) && b.Name == in.Role {
				r, err = b, nil
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &roleOutput{Body: roleOf(r)}, nil
}

type updateRoleInput struct {
	RolePath
	Body struct {
		Description patch[string]   `json:"description,omitempty" doc:"Null: none."`
		Permissions patch[[]string] `json:"permissions,omitempty" doc:"All that it grants."`
	}
}

func (a *api) updateRole(ctx context.Context, who store.Actor, in *updateRoleInput) (*roleOutput, error) {
	e := accounts.RoleEdit{Description: in.Body.Description.clearable()}
	var err error
	if e.Permissions, err = in.Body.Permissions.required("permissions"); err != nil {
		return nil, err
	}
	var r store.Role
	err = a.DB.Update(ctx, who, func(tx store.Tx) (err error) {
		r, err = accounts.UpdateRole(ctx, tx, in.Role, e)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &roleOutput{Body: roleOf(r)}, nil
}

func (a *api) deleteRole(ctx context.Context, who store.Actor, in *RolePath) (*struct{}, error) {
	return nil, a.DB.Update(ctx, who, func(tx store.Tx) error { return accounts.DeleteRole(ctx, tx, in.Role) })
}

// roleOf is the wire form of a role.
func roleOf(r store.Role) client.Role {
	out := client.Role{Name: r.Name, Description: r.Description, BuiltIn: r.ID == "", Permissions: r.Permissions.Slice()}
	if r.ID != "" {
		out.ID, out.CreatedAt, out.UpdatedAt = &r.ID, &r.CreatedAt, &r.UpdatedAt
	}
	return out
}
