package dbauthz

import (
	"context"
	"errors"

	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// mayMint decides about API keys: nobody makes one that can do more, or lasts
// longer, than the one they act through. What the maker can do now becomes the
// key's ceiling, whatever its owner may do later.
func (g guard) mayMint(ctx context.Context, before, after *store.APIKey) error {
	if after == nil {
		return nil // to revoke gives nobody power
	}
	if err := validScopes(*after); err != nil {
		return err
	}
	if before != nil && (after.OwnerID != before.OwnerID || after.Ceiling != before.Ceiling || after.TokenHash != before.TokenHash) {
		return &store.DeniedError{Reason: "a token cannot be given to somebody else, or made stronger than it was"}
	}
	if g.who.Kind == store.ActorSystem {
		after.Ceiling = store.CeilingAll
		return nil
	}
	power := g.who.Power
	if after.OwnerID != g.who.ID {
		owner, err := g.tx.Users.Get(ctx, after.OwnerID)
		if err != nil {
			return err
		}
		if err := g.within(ctx, owner); err != nil {
			return err
		}
		power = power.OnOthers() // one's own records are not theirs
	}
	for s := range after.Scopes.All() {
		if !g.holds(rbac.Scope(s)) {
			return &store.DeniedError{Reason: "a token cannot have a scope that the token making it has not: " + s}
		}
	}
	if end := g.who.ExpiresAt; !end.IsZero() && (after.ExpiresAt.IsZero() || after.ExpiresAt.After(end)) {
		return &store.DeniedError{Reason: "a token cannot outlive the token making it"}
	}
	if before == nil {
		after.Ceiling = store.SetOf(power.Strings()...)
		if power == rbac.Owner.Grants() {
			after.Ceiling = store.CeilingAll // what later versions add included
		}
	}
	return nil
}

func validScopes(k store.APIKey) error {
	if k.Scopes.IsEmpty() {
		return &store.InvalidError{Field: "scopes", Reason: "must name at least one scope"}
	}
	for s := range k.Scopes.All() {
		if _, err := rbac.ParseScope(s); err != nil {
			return &store.InvalidError{Field: "scopes", Reason: "has an " + err.Error()}
		}
		if k.Limited() && !gatewayOnly(rbac.Scope(s)) {
			return &store.InvalidError{Field: "scopes", Reason: "must be of the gateway alone (gateway:use, gateway:passthrough) for a token that is limited to providers or models"}
		}
	}
	return nil
}

// gatewayOnly reports whether s covers nothing but the gateway.
func gatewayOnly(s rbac.Scope) bool {
	for _, p := range rbac.Permissions() {
		if p.Resource != rbac.Gateway && s.Covers(p) {
			return false
		}
	}
	return true
}

// holds reports whether the actor's scopes together include s.
func (g guard) holds(s rbac.Scope) bool {
	var have []rbac.Scope
	for h := range g.who.Scopes.All() {
		have = append(have, rbac.Scope(h))
	}
	all := rbac.ScopeGrants(have)
	if s == rbac.ScopeAll { // it covers what later versions add, too
		return all == rbac.Everything
	}
	want := rbac.ScopeGrants([]rbac.Scope{s}).And(rbac.Owner.Grants())
	return all.Contains(want)
}

// mayAppoint decides about users: nobody gives a role that can do more than
// they can themselves, and nobody changes a user who can.
func (g guard) mayAppoint(ctx context.Context, before, after *store.User) error {
	if after != nil {
		unknown := &store.InvalidError{Field: "roles", Reason: "has one that does not exist, or that no person can have"}
		for name := range after.Roles.All() {
			switch r := rbac.Role(name); {
			case r.ForPeople():
				continue
			case r.BuiltIn():
				return unknown
			}
			if _, err := g.tx.Roles.Get(ctx, name); errors.Is(err, store.ErrNotFound) {
				return unknown
			} else if err != nil {
				return err
			}
		}
	}
	if g.who.Kind == store.ActorSystem {
		return nil
	}
	for _, u := range []*store.User{before, after} {
		if u == nil {
			continue
		}
		if err := g.within(ctx, *u); err != nil {
			return err
		}
	}
	return nil
}

// within refuses a user whose roles grant more than the actor can do.
func (g guard) within(ctx context.Context, u store.User) error {
	custom, err := g.customRoles(ctx, u)
	if err != nil {
		return err
	}
	u.Disabled = false // who is disabled can be enabled
	if p := g.who.Power.Lacks(u.Grants(custom)); p != (rbac.Permission{}) {
		return &store.DeniedError{Missing: p, Reason: "that user's roles grant " + p.String() + ", which you cannot do yourself"}
	}
	return nil
}

// customRoles returns the roles of u that are kept as records. One that is gone
// grants nothing.
func (g guard) customRoles(ctx context.Context, u store.User) (custom []store.Role, err error) {
	for name := range u.Roles.All() {
		if rbac.Role(name).ForPeople() {
			continue
		}
		r, err := g.tx.Roles.Get(ctx, name)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		custom = append(custom, r)
	}
	return custom, nil
}

// mayDefine decides about custom roles: nobody makes one that grants more than
// they can do themselves, and nobody changes one that does.
func (g guard) mayDefine(_ context.Context, before, after *store.Role) error {
	if after != nil {
		if rbac.Role(after.Name).BuiltIn() {
			return &store.ConflictError{Field: "name"}
		}
		var grants rbac.Grants
		for s := range after.Permissions.All() {
			if _, err := grants.ParseGrant(s); err != nil {
				return &store.InvalidError{Field: "permissions", Reason: "has one that " + err.Error()}
			}
		}
	}
	for _, r := range []*store.Role{before, after} {
		if r == nil {
			continue
		}
		if p := g.who.Power.Lacks(r.Grants()); p != (rbac.Permission{}) {
			return &store.DeniedError{Missing: p, Reason: "the role grants " + p.String() + ", which you cannot do yourself"}
		}
	}
	return nil
}
