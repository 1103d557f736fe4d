package accounts

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/google/uuid"

	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// RoleNamePattern is what the name of a role looks like.
const RoleNamePattern = `^[a-z0-9]+(-[a-z0-9]+)*$`

var roleName = regexp.MustCompile(RoleNamePattern)

// CreateRole adds a role. permissions are "RESOURCE:ACTION", with ":own" behind
// it for one's own records only.
func CreateRole(ctx context.Context, tx store.Tx, name, description string, permissions []string) (store.Role, error) {
	grants, badPermissions := parsePermissions(permissions)
	if err := errors.Join(checkRoleName(name), checkDescription(description), badPermissions); err != nil {
		return store.Role{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return store.Role{}, err
	}
	return tx.Roles.Insert(ctx, store.Role{ID: id.String(), Name: name, Description: description, Permissions: store.SetOf(grants.Strings()...)})
}

// A RoleEdit describes a change of a role. A nil field keeps what is there.
type RoleEdit struct {
	Description *string
	Permissions *[]string
}

// UpdateRole changes a role, by id or name. It is in force for all who have it.
func UpdateRole(ctx context.Context, tx store.Tx, ref string, e RoleEdit) (store.Role, error) {
	var bad []error
	if e.Description != nil {
		bad = append(bad, checkDescription(*e.Description))
	}
	var grants rbac.Grants
	if e.Permissions != nil {
		var err error
		grants, err = parsePermissions(*e.Permissions)
		bad = append(bad, err)
	}
	if err := errors.Join(bad...); err != nil {
		return store.Role{}, err
	}
	cur, err := changeable(ctx, tx, ref)
	if err != nil {
		return store.Role{}, err
	}
	return tx.Roles.Update(ctx, cur.ID, func(r *store.Role) error {
		if e.Description != nil {
			r.Description = *e.Description
		}
		if e.Permissions != nil {
			r.Permissions = store.SetOf(grants.Strings()...)
		}
		return nil
	})
}

// DeleteRole removes a role, by id or name. One that users have is a
// [store.ConflictError].
func DeleteRole(ctx context.Context, tx store.Tx, ref string) error {
	r, err := changeable(ctx, tx, ref)
	if err != nil {
		return err
	}
	_, err = tx.Roles.Delete(ctx, r.ID)
	return err
}

// changeable returns the role, by id or name, if it is not one that is built in.
func changeable(ctx context.Context, tx store.Tx, ref string) (store.Role, error) {
	r, err := tx.Roles.Get(ctx, ref)
	if errors.Is(err, store.ErrNotFound) && rbac.Role(ref).ForPeople() {
		err = &store.ConflictError{Field: "role", Reason: "this role is built in, and cannot be changed or deleted; make one of another name"}
	}
	return r, err
}

func checkRoleName(s string) error {
	refuse := func(reason string) error { return &store.InvalidError{Field: "name", Reason: reason} }
	switch {
	case len(s) > MaxRoleName || !roleName.MatchString(s):
		return refuse(fmt.Sprintf("must be at most %d lower-case letters and digits, with single hyphens between them", MaxRoleName))
	case uuid.Validate(s) == nil:
		return refuse("must not be a UUID: it could be mistaken for an id")
	}
	return nil
}

func checkDescription(s string) error {
	if !plain(s, MaxDescription) {
		return &store.InvalidError{Field: "description", Reason: fmt.Sprintf("must be at most %d characters, without line breaks", MaxDescription)}
	}
	return nil
}

func parsePermissions(permissions []string) (g rbac.Grants, err error) {
	if len(permissions) == 0 {
		return g, &store.InvalidError{Field: "permissions", Reason: "must name at least one permission"}
	}
	var bad []error
	for i, p := range permissions {
		next, err := g.ParseGrant(p)
		if err != nil {
			bad = append(bad, &store.InvalidError{Field: fmt.Sprintf("permissions[%d]", i), Reason: err.Error()})
		}
		g = next
	}
	return g, errors.Join(bad...)
}
