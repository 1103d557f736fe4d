package httpapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
)

const sessionPath = "/api/v1/session"

func (a *api) registerSession() {
	op := huma.Operation{
		OperationID: "sign-in", Method: http.MethodPost, Path: sessionPath, Tags: []string{"Sessions"},
		Summary:       "Sign in",
		Description:   "By name and password, or by a token that can do all that its owner can: such as the one in the file owner-token, for the first time. It takes HTTPS, but on the machine itself. The answer sets a cookie; a session that the browser had before ends.",
		DefaultStatus: http.StatusCreated, Errors: []int{400, 401, 403, 413, 415, 422, 429, 503},
		MaxBodyBytes: maxBody + 1, BodyReadTimeout: bodyTime,
	}
	huma.Register(a.huma, op, func(ctx context.Context, in *signInInput) (*signInOutput, error) {
		out, err := a.signIn(ctx, in)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return out, nil
	})
	register(a, huma.Operation{
		OperationID: "get-session", Method: http.MethodGet, Path: sessionPath, Tags: []string{"Sessions"},
		Summary: "Get who is signed in", Description: "Any session or token may ask.",
	}, a.getSession)
	register(a, huma.Operation{
		OperationID: "sign-out", Method: http.MethodDelete, Path: sessionPath, Tags: []string{"Sessions"},
		Summary: "Sign out", Description: "The session ends, and the cookie goes.", DefaultStatus: http.StatusNoContent, Errors: []int{404},
	}, a.signOut)
}

type signInInput struct {
	Body struct {
		Name     string      `json:"name,omitempty" maxLength:"128" doc:"The name of the user."`
		Password secret.Text `json:"password,omitempty" maxLength:"1024" doc:"The password of the user."`
		Token    secret.Text `json:"token,omitempty" maxLength:"128" doc:"A token, in place of name and password."`
	}
}

type signInOutput struct {
	Location  string `header:"Location"`
	SetCookie string `header:"Set-Cookie"`
	Body      client.SignedIn
}

func (a *api) signIn(ctx context.Context, in *signInInput) (*signInOutput, error) {
	v, b := info(ctx).visit, in.Body
	if v.channel == openChannel {
		return nil, needsTLS
	}
	var value secret.Text
	var err error
	switch byPassword := b.Name != "" || !b.Password.IsZero(); {
	case byPassword && !b.Token.IsZero():
		return nil, &store.InvalidError{Field: "token", Reason: "cannot be given together with a name and a password"}
	case !b.Token.IsZero():
		value, err = a.Sessions.SignInByToken(ctx, b.Token.Reveal(), v.session, v.origin)
	default:
		if err := errors.Join(needed("name", b.Name == ""), needed("password", b.Password.IsZero())); err != nil {
			return nil, err
		}
		value, err = a.Sessions.SignIn(ctx, b.Name, b.Password, v.session, v.origin)
	}
	if err != nil {
		return nil, err
	}
	who, err := a.Sessions.Authenticate(ctx, value.Reveal(), v.origin)
	if err != nil {
		return nil, err
	}
	body, err := a.status(ctx, who)
	if err != nil {
		return nil, err
	}
	return &signInOutput{
		Location: sessionPath, SetCookie: v.cookie(value.Reveal(), body.Session.ExpiresAt).String(), Body: body,
	}, nil
}

func needed(field string, missing bool) error {
	if missing {
		return &store.InvalidError{Field: field, Reason: "is required"}
	}
	return nil
}

type sessionOutput struct{ Body client.SignedIn }

func (a *api) getSession(ctx context.Context, who store.Actor, _ *struct{}) (*sessionOutput, error) {
	body, err := a.status(ctx, who)
	return &sessionOutput{body}, err
}

// status returns what whoever is signed in, or uses a token, may know of that.
func (a *api) status(ctx context.Context, who store.Actor) (client.SignedIn, error) {
	st, err := a.Sessions.Status(ctx, who)
	if err != nil {
		return client.SignedIn{}, err
	}
	out := client.SignedIn{
		ID: who.ID, Name: who.Name, Roles: st.Person.User.Roles.Slice(), Permissions: who.Power.Strings(),
		PasswordSet: !st.Person.Password.Hash.IsZero(), PasswordMustChange: st.Person.Password.MustChange, New: st.New,
	}
	if out.Roles == nil {
		out.Roles = []string{}
	}
	if out.Permissions == nil {
		out.Permissions = []string{}
	}
	if who.SessionID != "" {
		s := a.sessionOf(who)(st.Session)
		out.Session = &s
	}
	return out, nil
}

// sessionOf returns what makes the wire form of a session for who.
func (a *api) sessionOf(who store.Actor) func(store.Session) client.Session {
	now := a.Now()
	return func(s store.Session) client.Session {
		end, method, provider := a.Sessions.End(s), string(s.Method), s.Method.Provider()
		if provider != "" {
			method = "oidc"
		}
		return client.Session{
			ID: s.ID, UserID: s.UserID, User: s.UserName, Method: method, Provider: provider, Address: s.Address, UserAgent: s.UserAgent,
			Current: s.ID == who.SessionID, Active: now.Before(end),
			CreatedAt: s.CreatedAt, LastSeenAt: s.LastSeenAt, EndsAt: end, ExpiresAt: s.ExpiresAt,
		}
	}
}

type noSessionOutput struct {
	SetCookie string `header:"Set-Cookie"`
}

func (a *api) signOut(ctx context.Context, who store.Actor, _ *struct{}) (*noSessionOutput, error) {
	if who.SessionID == "" {
		return nil, problem{Status: http.StatusNotFound, Detail: "this is a token, not a session: revoke it at " + tokensPath}
	}
	err := a.DB.Update(ctx, who, func(tx store.Tx) error {
		_, err := tx.Sessions.Delete(ctx, who.SessionID)
		return err
	})
	return &noSessionOutput{info(ctx).visit.cookie("", time.Time{}).String()}, err
}
