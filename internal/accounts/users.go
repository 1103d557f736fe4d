// Package accounts holds the rules of users and of the roles that people make:
// what each may be, and which changes belong together. It works on the tables of
// a transaction, so authorisation and audit are the store's.
package accounts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// Limits on what is stored.
const (
	MaxUserName    = 128 // characters
	MaxRoles       = 32  // of a user
	MaxRoleName    = 63  // characters
	MaxDescription = 256 // characters
)

// CreateUser adds a user who has these roles. Everything that is wrong comes
// back at once, as joined [store.InvalidError]s.
func CreateUser(ctx context.Context, tx store.Tx, name string, roles []string) (store.User, error) {
	return CreateUserAs(ctx, tx, name, roles, "", "")
}

// CreateUserAs is CreateUser for who is that subject at an identity provider.
func CreateUserAs(ctx context.Context, tx store.Tx, name string, roles []string, issuer, subject string) (store.User, error) {
	if err := errors.Join(CheckUserName(name), checkRoles(roles)); err != nil {
		return store.User{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return store.User{}, err
	}
	return tx.Users.Insert(ctx, store.User{ID: id.String(), Name: name, Roles: store.SetOf(roles...), Issuer: issuer, Subject: subject})
}

// A UserEdit describes a change of a user. A nil field keeps what is there.
type UserEdit struct {
	Name     *string
	Roles    *[]string
	Disabled *bool
}

// UpdateUser changes a user, by id or name. It refuses with a
// [store.ConflictError] what would leave no enabled user with the role owner.
func UpdateUser(ctx context.Context, tx store.Tx, ref string, e UserEdit) (store.User, error) {
	var bad []error
	if e.Name != nil {
		bad = append(bad, CheckUserName(*e.Name))
	}
	if e.Roles != nil {
		bad = append(bad, checkRoles(*e.Roles))
	}
	if err := errors.Join(bad...); err != nil {
		return store.User{}, err
	}
	cur, err := tx.Users.Get(ctx, ref)
	if err != nil {
		return store.User{}, err
	}
	after, err := tx.Users.Update(ctx, cur.ID, func(u *store.User) error {
		cur = *u // other writers wait from here on
		if e.Name != nil {
			u.Name = *e.Name
		}
		if e.Roles != nil {
			u.Roles = store.SetOf(*e.Roles...)
		}
		if e.Disabled != nil {
			u.Disabled = *e.Disabled
		}
		return nil
	})
	if err != nil {
		return store.User{}, err
	}
	if isOwner(cur) && !isOwner(after) {
		err = ownerLeft(ctx, tx)
	}
	return after, err
}

// DeleteUser removes a user, by id or name, and revokes their tokens, each with
// its own entry in the audit log. It refuses as [UpdateUser] does.
func DeleteUser(ctx context.Context, tx store.Tx, ref string) error {
	u, err := tx.Users.Get(ctx, ref)
	if err != nil {
		return err
	}
	// The store refuses while they have tokens; other writers wait by then, so
	// that no token is made behind the back of the list.
	var conflict *store.ConflictError
	if _, err = tx.Users.Delete(ctx, u.ID); errors.As(err, &conflict) {
		if err = revokeAll(ctx, tx, u.ID); err == nil {
			_, err = tx.Users.Delete(ctx, u.ID)
		}
	}
	if err == nil && isOwner(u) {
		err = ownerLeft(ctx, tx)
	}
	return err
}

func revokeAll(ctx context.Context, tx store.Tx, ownerID string) error {
	keys, err := tx.APIKeys.List(ctx, store.Query{OwnerID: ownerID})
	if err != nil {
		return err
	}
	for _, k := range keys {
		if _, err := tx.APIKeys.Delete(ctx, k.ID); err != nil {
			return err
		}
	}
	return nil
}

// isOwner reports whether u can do all that a person can.
func isOwner(u store.User) bool {
	return !u.Disabled && slices.Contains(u.Roles.Slice(), string(rbac.Owner))
}

// ownerLeft refuses a change after which nobody can do everything. It comes
// after the change, which is undone with its transaction: who may not make it
// is told so first.
func ownerLeft(ctx context.Context, tx store.Tx) error {
	users, err := tx.Users.List(ctx, store.Query{})
	if err != nil || slices.ContainsFunc(users, isOwner) {
		return err
	}
	return &store.ConflictError{Field: "roles", Reason: "this is the last user with the role owner who is not disabled: give the role to another first"}
}

// CheckUserName returns a [store.InvalidError] for what no user can be called.
func CheckUserName(s string) error {
	switch {
	case s == "" || !plain(s, MaxUserName) || strings.TrimSpace(s) != s:
		return &store.InvalidError{Field: "name", Reason: fmt.Sprintf("must be 1 to %d characters, without line breaks and without space at its ends", MaxUserName)}
	case uuid.Validate(s) == nil:
		return &store.InvalidError{Field: "name", Reason: "must not be a UUID: it could be mistaken for an id"}
	}
	return nil
}

// checkRoles leaves it to the store whether there are such roles.
func checkRoles(roles []string) error {
	if len(roles) > MaxRoles {
		return &store.InvalidError{Field: "roles", Reason: fmt.Sprintf("must be at most %d", MaxRoles)}
	}
	var bad []error
	for i, r := range roles {
		if checkRoleName(r) != nil { // nor by its id: it would be kept as the name
			bad = append(bad, &store.InvalidError{Field: fmt.Sprintf("roles[%d]", i), Reason: "is not the name of a role that a person can have"})
		}
	}
	return errors.Join(bad...)
}

// plain reports whether s is text of one line, of at most n characters.
func plain(s string, n int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= n && !strings.ContainsFunc(s, unicode.IsControl)
}
