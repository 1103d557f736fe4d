package sqlstore

import (
	"context"
	"time"

	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore/internal/sqlcgen"
)

// sessions keeps [store.Session]. The gateway knows nothing of them, so that no
// change of one raises the generation.
type sessions struct{ *tx }

func (t sessions) Get(ctx context.Context, id string) (store.Session, error) {
	if !isID(id) {
		return store.Session{}, store.ErrNotFound
	}
	r, err := t.q.GetSessionByID(ctx, id)
	return session(r.Session, r.UserName), t.mapErr(err)
}

func (t sessions) List(ctx context.Context, q store.Query) ([]store.Session, error) {
	owner := q.Scope.Owner
	if q.Scope.All {
		owner = q.OwnerID
	}
	rows, err := t.q.GetSessions(ctx, sqlcgen.GetSessionsParams{
		EveryOwner: q.Scope.All && owner == "", OwnerID: idOr(owner), AfterID: idOr(q.After), MaxRows: rowLimit(q.Limit),
	})
	return mapRows(rows, func(r sqlcgen.GetSessionsRow) store.Session { return session(r.Session, r.UserName) }), t.mapErr(err)
}

// Insert adds a session, and removes those of everybody that are over.
func (t sessions) Insert(ctx context.Context, s store.Session) (store.Session, error) {
	if err := t.lock(ctx); err != nil {
		return store.Session{}, err
	}
	now := t.now()
	if err := t.q.DeleteSessionsBefore(ctx, now); err != nil {
		return store.Session{}, t.mapErr(err)
	}
	if err := t.q.InsertSession(ctx, sqlcgen.InsertSessionParams{
		ID: s.ID, UserID: s.UserID, SecretHash: s.SecretHash[:], Method: string(s.Method), Address: s.Address, UserAgent: s.UserAgent,
		CreatedAt: now, LastSeenAt: now, ExpiresAt: timestamp(s.ExpiresAt),
	}); err != nil {
		return store.Session{}, t.mapErr(err)
	}
	return t.Get(ctx, s.ID)
}

// Update changes when a session ends. All else of it stays.
func (t sessions) Update(ctx context.Context, id string, edit func(*store.Session) error) (store.Session, error) {
	return update(ctx, t.tx, id, t.Get, edit, func(s store.Session) (store.Session, error) {
		if err := t.q.UpdateSession(ctx, sqlcgen.UpdateSessionParams{ID: s.ID, ExpiresAt: timestamp(s.ExpiresAt)}); err != nil {
			return store.Session{}, t.mapErr(err)
		}
		return t.Get(ctx, s.ID)
	})
}

func (t sessions) Delete(ctx context.Context, id string) (store.Session, error) {
	if err := t.lock(ctx); err != nil {
		return store.Session{}, err
	}
	s, err := t.Get(ctx, id)
	if err != nil {
		return store.Session{}, err
	}
	return s, t.mapErr(t.q.DeleteSession(ctx, s.ID))
}

// endSessions ends all sessions of a user, as a part of what happened to the user:
// that has the audit entry.
func (t *tx) endSessions(ctx context.Context, userID string) error {
	return t.mapErr(t.q.DeleteSessionsOfUser(ctx, userID))
}

func session(r sqlcgen.Session, userName string) store.Session {
	s := store.Session{
		ID: r.ID, UserID: r.UserID, UserName: userName, Method: store.SignInMethod(r.Method), Address: r.Address, UserAgent: r.UserAgent,
		CreatedAt: r.CreatedAt.UTC(), LastSeenAt: r.LastSeenAt.UTC(), ExpiresAt: r.ExpiresAt.UTC(),
	}
	copy(s.SecretHash[:], r.SecretHash)
	return s
}

func (t credentials) SessionSeen(ctx context.Context, id string, at time.Time) error {
	return t.mapErr(t.q.TouchSession(ctx, sqlcgen.TouchSessionParams{ID: id, LastSeenAt: timestamp(at)}))
}
