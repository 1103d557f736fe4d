package authn

import (
	"context"
	"errors"

	"github.com/gatehousehq/gatehouse/internal/password"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// ErrOwnPassword is for somebody who would set their own password as that of
// another, without saying the current one.
var ErrOwnPassword = &store.ConflictError{Field: "user", Reason: "this is you: change your own password at /api/v1/me/password, which asks for the current one"}

// ErrByProvider is for somebody who would have a password although an identity provider
// says whether they are let in: it would do so no more.
var ErrByProvider = &store.ConflictError{Field: "user", Reason: "this user signs in by an identity provider, and has no password here"}

// ChangePassword gives who a new password. It takes the current one if there is one.
// All sessions of theirs end; if they are in one they go on in another, and what
// their browser is to present from then on is returned.
func (s *Sessions) ChangePassword(ctx context.Context, who store.Actor, current, next secret.Text) (value secret.Text, err error) {
	p, err := s.person(ctx, who.ID)
	if err != nil {
		return value, err
	}
	if p.User.Subject != "" && p.Password.Hash.IsZero() {
		return value, ErrByProvider
	}
	if err := acceptable("new", next, p.User.Name); err != nil {
		return value, err
	}
	if !p.Password.Hash.IsZero() {
		if current.IsZero() {
			return value, &store.InvalidError{Field: "current", Reason: "is required: you have a password"}
		}
		back, err := s.attempt(p.User.Name, who.Origin)
		if err != nil {
			return value, err
		}
		right, err := s.check(ctx, p.Password.Hash, current)
		if err != nil {
			back()
			return value, err
		}
		if !right {
			s.failed(store.Actor{Kind: who.Kind, ID: who.ID, Name: who.Name, TokenID: who.TokenID, TokenName: who.TokenName, Origin: who.Origin}, "wrong_password")
			return value, &store.InvalidError{Field: "current", Reason: "is not your password"}
		}
		back()
		if password.Normalise(current) == password.Normalise(next) {
			return value, &store.InvalidError{Field: "new", Reason: "must be another than the current one"}
		}
	}
	hash, err := s.hash(ctx, next)
	if err != nil {
		return value, err
	}
	err = s.db.Update(ctx, who, func(tx store.Tx) error {
		var by store.SignInMethod
		if who.SessionID != "" {
			old, err := tx.Sessions.Get(ctx, who.SessionID)
			if err != nil {
				return err
			}
			by = old.Method
		}
		if err := setPassword(ctx, tx, store.Password{UserID: who.ID, Hash: hash}, p.Password.Hash); err != nil {
			return err
		}
		if who.SessionID == "" {
			return nil
		}
		value, err = s.insert(ctx, tx, who, by)
		return err
	})
	return value, err
}

// SetPassword gives another user, by id or name, a password that they must change
// when they have signed in with it. All sessions of theirs end. Whether who may is
// the store's decision.
func (s *Sessions) SetPassword(ctx context.Context, who store.Actor, ref string, next secret.Text) (u store.User, err error) {
	err = s.db.View(ctx, who, func(tx store.Tx) (err error) {
		u, err = tx.Users.Get(ctx, ref)
		return err
	})
	if err != nil {
		return u, err
	}
	if u.ID == who.ID {
		return u, ErrOwnPassword
	}
	if err := acceptable("new", next, u.Name); err != nil {
		return u, err
	}
	var hash secret.Text
	if who.Reach(rbac.Permission{Resource: rbac.Password, Action: rbac.Update}) == rbac.All { // who has not is refused below, and costs nothing
		if hash, err = s.hash(ctx, next); err != nil {
			return u, err
		}
	}
	return u, s.db.Update(ctx, who, func(tx store.Tx) error {
		return setPassword(ctx, tx, store.Password{UserID: u.ID, Hash: hash, MustChange: true}, anyHash)
	})
}

// HasPassword reports whether the user of that id has a password.
func (s *Sessions) HasPassword(ctx context.Context, userID string) (bool, error) {
	p, err := s.person(ctx, userID)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return !p.Password.Hash.IsZero(), err
}

// anyHash stands for whatever password there was.
var anyHash = secret.New("any")

// setPassword puts p in the place of the password whose hash was, the zero one for
// none.
func setPassword(ctx context.Context, tx store.Tx, p store.Password, was secret.Text) error {
	_, err := tx.Passwords.Update(ctx, p.UserID, func(have *store.Password) error {
		if was != anyHash && have.Hash != was {
			return store.ErrStale
		}
		have.Hash, have.MustChange = p.Hash, p.MustChange
		return nil
	})
	if errors.Is(err, store.ErrNotFound) {
		_, err = tx.Passwords.Insert(ctx, p)
	}
	return err
}

func (s *Sessions) hash(ctx context.Context, pw secret.Text) (secret.Text, error) {
	waiting, cancel := context.WithTimeout(ctx, hashWait)
	defer cancel()
	hash, err := s.hasher.Hash(waiting, pw)
	return hash, s.busy(ctx, err)
}

func acceptable(field string, pw secret.Text, userName string) error {
	if err := password.Acceptable(pw, userName); err != nil {
		return &store.InvalidError{Field: field, Reason: err.Error()}
	}
	return nil
}
