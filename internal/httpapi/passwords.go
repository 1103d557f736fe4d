package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
)

func (a *api) registerPasswords() {
	register(a, huma.Operation{
		OperationID: "change-password", Method: http.MethodPost, Path: "/api/v1/me/password", Tags: []string{"Sessions"},
		Summary: "Set one's own password", Description: "It takes the current one, if there is one. All sessions of the caller end; with a session, the answer sets the cookie of another.",
		DefaultStatus: http.StatusNoContent, Errors: []int{400, 409, 413, 415, 429},
	}, a.changePassword)
	register(a, huma.Operation{
		OperationID: "set-password", Method: http.MethodPost, Path: usersPath + "/{user}/password", Tags: []string{"Sessions"},
		Summary: "Set the password of another user", Description: "They must change it when they have signed in with it. All sessions of theirs end. Nobody sets that of a user who may do more than they may themselves.",
		DefaultStatus: http.StatusNoContent, Errors: []int{400, 404, 409, 413, 415, 429},
	}, a.setPassword)
}

type changePasswordInput struct {
	Body struct {
		Current secret.Text `json:"current,omitempty" maxLength:"1024" doc:"The password until now; left out: there is none."`
		New     secret.Text `json:"new" minLength:"1" maxLength:"1024" doc:"The password from now on, of 12 to 256 characters."`
	}
}

func (a *api) changePassword(ctx context.Context, who store.Actor, in *changePasswordInput) (*noSessionOutput, error) {
	value, err := a.Sessions.ChangePassword(ctx, who, in.Body.Current, in.Body.New)
	if err != nil {
		return nil, err
	}
	a.passwordSet(ctx, who.ID)
	if value.IsZero() {
		return &noSessionOutput{}, nil
	}
	v := info(ctx).visit
	now, err := a.Sessions.Authenticate(ctx, value.Reveal(), v.origin)
	if err != nil {
		return nil, err
	}
	st, err := a.Sessions.Status(ctx, now)
	return &noSessionOutput{v.cookie(value.Reveal(), st.Session.ExpiresAt).String()}, err
}

type setPasswordInput struct {
	UserPath
	Body struct {
		New secret.Text `json:"new" minLength:"1" maxLength:"1024" doc:"The password until they change it, of 12 to 256 characters."`
	}
}

func (a *api) setPassword(ctx context.Context, who store.Actor, in *setPasswordInput) (*struct{}, error) {
	u, err := a.Sessions.SetPassword(ctx, who, in.User, in.Body.New)
	if err == nil {
		a.passwordSet(ctx, u.ID)
	}
	return nil, err
}

func (a *api) passwordSet(ctx context.Context, userID string) {
	if a.OnPassword != nil {
		a.OnPassword(ctx, userID)
	}
}
