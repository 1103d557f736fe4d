package httpapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/accounts"
	"github.com/gatehousehq/gatehouse/internal/store"
)

const usersPath = "/api/v1/users"

// A UserPath is the user that a route is about.
type UserPath struct {
	User string `path:"user" maxLength:"128" doc:"The user's name or id."`
}

type userOutput struct {
	Location string `header:"Location"`
	Body     client.User
}

func (a *api) registerUsers() {
	register(a, huma.Operation{
		OperationID: "list-users", Method: http.MethodGet, Path: usersPath, Tags: []string{"Users"},
		Summary: "List users", Description: "Oldest first, disabled ones included.",
	}, a.listUsers)
	register(a, huma.Operation{
		OperationID: "create-user", Method: http.MethodPost, Path: usersPath, Tags: []string{"Users"},
		Summary: "Add a user", Description: "Their roles can grant no more than the caller may do. They need a token next: create one with them as its owner.",
		DefaultStatus: http.StatusCreated, Errors: []int{400, 409, 413, 415},
	}, a.createUser)
	register(a, huma.Operation{
		OperationID: "get-me", Method: http.MethodGet, Path: "/api/v1/me", Tags: []string{"Users"},
		Summary: "Get who asks", Description: "The user whose token is used, and what it may do. Any token may ask.",
	}, a.getMe)
	register(a, huma.Operation{
		OperationID: "get-user", Method: http.MethodGet, Path: usersPath + "/{user}", Tags: []string{"Users"},
		Summary: "Get a user", Errors: []int{404},
	}, a.getUser)
	register(a, huma.Operation{
		OperationID: "update-user", Method: http.MethodPatch, Path: usersPath + "/{user}", Tags: []string{"Users"},
		Summary:     "Change a user",
		Description: "What is left out stays. In force for all their tokens when the answer comes. Nobody changes a user who may do more than they may themselves.",
		Errors:      []int{400, 404, 409, 413, 415},
	}, a.updateUser)
	register(a, huma.Operation{
		OperationID: "delete-user", Method: http.MethodDelete, Path: usersPath + "/{user}", Tags: []string{"Users"},
		Summary: "Delete a user", Description: "Their tokens are revoked with them.",
		DefaultStatus: http.StatusNoContent, Errors: []int{404, 409},
	}, a.deleteUser)
}

type listUsersOutput struct{ Body client.Page[client.User] }

func (a *api) listUsers(ctx context.Context, who store.Actor, in *PageInput) (*listUsersOutput, error) {
	after, err := in.after(isID)
	if err != nil {
		return nil, err
	}
	var users []store.User
	err = a.DB.View(ctx, who, func(tx store.Tx) (err error) {
		users, err = tx.Users.List(ctx, store.Query{After: after, Limit: in.Limit + 1})
		return err
	})
	if err != nil {
		return nil, err
	}
	return &listUsersOutput{page(users, in.Limit, userOf, func(u store.User) string { return u.ID })}, nil
}

type createUserInput struct {
	Body struct {
		Name  string   `json:"name" minLength:"1" maxLength:"128" doc:"What they are known by; no two users have the same."`
		Roles []string `json:"roles" nullable:"false" maxItems:"32" doc:"The names of their roles, built in or custom."`
	}
}

func (a *api) createUser(ctx context.Context, who store.Actor, in *createUserInput) (*userOutput, error) {
	var u store.User
	err := a.DB.Update(ctx, who, func(tx store.Tx) (err error) {
		u, err = accounts.CreateUser(ctx, tx, in.Body.Name, in.Body.Roles)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &userOutput{Location: usersPath + "/" + u.ID, Body: userOf(u)}, nil
}

func (a *api) getUser(ctx context.Context, who store.Actor, in *UserPath) (*userOutput, error) {
	var u store.User
	err := a.DB.View(ctx, who, func(tx store.Tx) (err error) {
		u, err = tx.Users.Get(ctx, in.User)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &userOutput{Body: userOf(u)}, nil
}

type updateUserInput struct {
	UserPath
	Body struct {
		Name     patch[string]   `json:"name,omitempty" doc:"What they are known by."`
		Roles    patch[[]string] `json:"roles,omitempty" doc:"The names of all their roles."`
		Disabled patch[bool]     `json:"disabled,omitempty" doc:"Whether their tokens are refused."`
	}
}

func (a *api) updateUser(ctx context.Context, who store.Actor, in *updateUserInput) (*userOutput, error) {
	var e accounts.UserEdit
	var errs [3]error
	e.Name, errs[0] = in.Body.Name.required("name")
	e.Roles, errs[1] = in.Body.Roles.required("roles")
	e.Disabled, errs[2] = in.Body.Disabled.required("disabled")
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	var u store.User
	err := a.DB.Update(ctx, who, func(tx store.Tx) (err error) {
		u, err = accounts.UpdateUser(ctx, tx, in.User, e)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &userOutput{Body: userOf(u)}, nil
}

func (a *api) deleteUser(ctx context.Context, who store.Actor, in *UserPath) (*struct{}, error) {
	return nil, a.DB.Update(ctx, who, func(tx store.Tx) error { return accounts.DeleteUser(ctx, tx, in.User) })
}

type meOutput struct{ Body client.Me }

func (a *api) getMe(_ context.Context, who store.Actor, _ *struct{}) (*meOutput, error) {
	me := client.Me{ID: who.ID, Name: who.Name, TokenID: who.TokenID, TokenName: who.TokenName, Permissions: who.Power.Strings()}
	if me.Permissions == nil {
		me.Permissions = []string{}
	}
	return &meOutput{me}, nil
}

// userOf is the wire form of a user.
func userOf(u store.User) client.User {
	out := client.User{ID: u.ID, Name: u.Name, Roles: u.Roles.Slice(), Disabled: u.Disabled, CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt}
	if out.Roles == nil {
		out.Roles = []string{}
	}
	return out
}
