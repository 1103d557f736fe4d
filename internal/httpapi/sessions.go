package httpapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/store"
)

const sessionsPath = "/api/v1/sessions"

func (a *api) registerSessions() {
	register(a, huma.Operation{
		OperationID: "list-sessions", Method: http.MethodGet, Path: sessionsPath, Tags: []string{"Sessions"},
		Summary: "List sessions", Description: "Those that the caller may see, oldest first: who is signed in, since when and from where. One that was not used for too long is there until its lifetime is over, and not active.",
	}, a.listSessions)
	register(a, huma.Operation{
		OperationID: "end-session", Method: http.MethodDelete, Path: sessionsPath + "/{id}", Tags: []string{"Sessions"},
		Summary: "End a session", Description: "It is refused from when the answer comes, by every server.",
		DefaultStatus: http.StatusNoContent, Errors: []int{404},
	}, a.endSession)
}

type listSessionsInput struct {
	PageInput
	User string `query:"user" maxLength:"128" doc:"List those of this user, by name or id."`
}

type listSessionsOutput struct{ Body client.Page[client.Session] }

func (a *api) listSessions(ctx context.Context, who store.Actor, in *listSessionsInput) (*listSessionsOutput, error) {
	after, err := in.after(isID)
	if err != nil {
		return nil, err
	}
	var recs []store.Session
	err = a.DB.View(ctx, who, func(tx store.Tx) error {
		owner, err := ownerID(ctx, tx, who, in.User)
		if errors.Is(err, errNoUser) {
			return refused("query.user", "is not the name or id of a user")
		}
		if err != nil {
			return err
		}
		recs, err = tx.Sessions.List(ctx, store.Query{OwnerID: owner, After: after, Limit: in.Limit + 1})
		return err
	})
	if err != nil {
		return nil, err
	}
	return &listSessionsOutput{page(recs, in.Limit, a.sessionOf(who), func(s store.Session) string { return s.ID })}, nil
}

// A SessionPath is the session that a route is about.
type SessionPath struct {
	ID string `path:"id" maxLength:"64" doc:"The id of the session."`
}

func (a *api) endSession(ctx context.Context, who store.Actor, in *SessionPath) (*struct{}, error) {
	return nil, a.DB.Update(ctx, who, func(tx store.Tx) error {
		_, err := tx.Sessions.Delete(ctx, in.ID)
		return err
	})
}
