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
	if err := tx.Changes.Lock(ctx); err != nil {
		return store.User{}, err
	}
	if err := errors.Join(checkUserName(name), checkRoleNames(roles)); err != nil {
		return store.User{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return store.User{}, err
	}
	return tx.Users.Insert(ctx, store.User{ID: id.String(), Name: name, Roles: store.SetOf(roles...)})
}

// A UserEdit describes a change of a user. A nil field keeps what is there.
type UserEdit struct {
	Name     *string
	Roles    *[]string
	Disabled *bool
}

// UpdateUser changes a user, by id or name.
func UpdateUser(ctx context.Context, tx store.Tx, ref string, e UserEdit) (store.User, error) {
	if err := tx.Changes.Lock(ctx); err != nil {
		return store.User{}, err
	}
	var bad []error
	if e.Name != nil {
		bad = append(bad, checkUserName(*e.Name))
	}
	if e.Roles != nil {
		bad = append(bad, checkRoleNames(*e.Roles))
	}
	if err := errors.Join(bad...); err != nil {
		return store.User{}, err
	}
	before, err := tx.Users.Get(ctx, ref)
	if err != nil {
		return store.User{}, err
	}
	after := before
	if e.Name != nil {
		after.Name = *e.Name
	}
	if e.Roles != nil {
		after.Roles = store.SetOf(*e.Roles...)
	}
	if e.Disabled != nil {
		after.Disabled = *e.Disabled
	}
	if isOwner(before) && !isOwner(after) {
		if err := anotherOwner(ctx, tx, before.ID); err != nil {
			return store.User{}, err
		}
	}
	return tx.Users.Update(ctx, before.ID, func(u *store.User) error {
		*u = after
		return nil
	})
}

// DeleteUser removes a user, by id or name, and revokes their tokens, each with
// its own entry in the audit log.
func DeleteUser(ctx context.Context, tx store.Tx, ref string) error {
	if err := tx.Changes.Lock(ctx); err != nil {
		return err
	}
	u, err := tx.Users.Get(ctx, ref)
	if err != nil {
		return err
	}
	if isOwner(u) {
		if err := anotherOwner(ctx, tx, u.ID); err != nil {
			return err
		}
	}
	keys, err := tx.APIKeys.List(ctx, store.Query{OwnerID: u.ID})
	if err != nil {
		return err
	}
	for _, k := range keys {
		if _, err := tx.APIKeys.Delete(ctx, k.ID); err != nil {
			return err
		}
	}
	_, err = tx.Users.Delete(ctx, u.ID)
	return err
}

// isOwner reports whether u can do all that a person can.
func isOwner(u store.User) bool {
	return !u.Disabled && slices.Contains(u.Roles.Slice(), string(rbac.Owner))
}

// anotherOwner refuses what would leave nobody who can do everything.
func anotherOwner(ctx context.Context, tx store.Tx, except string) error {
	users, err := tx.Users.List(ctx, store.Query{})
	if err != nil {
		return err
	}
	for _, u := range users {
		if u.ID != except && isOwner(u) {
			return nil
		}
	}
	return &store.ConflictError{Field: "roles", Reason: "this is the last user with the role owner who is not disabled: give the role to another first"}
}

func checkUserName(s string) error {
	switch {
	case s == "" || !plain(s, MaxUserName) || strings.TrimSpace(s) != s:
		return &store.InvalidError{Field: "name", Reason: fmt.Sprintf("must be 1 to %d characters, without line breaks and without space at its ends", MaxUserName)}
	case uuid.Validate(s) == nil:
		return &store.InvalidError{Field: "name", Reason: "must not be a UUID: it could be mistaken for an id"}
	}
	return nil
}

// checkRoleNames leaves it to the store whether there are such roles.
func checkRoleNames(roles []string) error {
	if len(roles) > MaxRoles {
		return &store.InvalidError{Field: "roles", Reason: fmt.Sprintf("must be at most %d", MaxRoles)}
	}
	for i, r := range roles {
		if r == "" || !plain(r, MaxRoleName) {
			return &store.InvalidError{Field: fmt.Sprintf("roles[%d]", i), Reason: "is not the name of a role"}
		}
	}
	return nil
}

// plain reports whether s is text of one line, of at most n characters.
func plain(s string, n int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= n && !strings.ContainsFunc(s, unicode.IsControl)
}
