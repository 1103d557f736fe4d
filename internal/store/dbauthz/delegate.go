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
		if err := g.turn(ctx); err != nil {
			return err
		}
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
	if before != nil {
		return g.mayWiden(power, *before, *after)
	}
	power = power.And(rbac.Owner.Grants()) // what a session has besides is not the token's
	after.Ceiling = store.SetOf(power.Strings()...)
	if power == rbac.Owner.Grants() {
		after.Ceiling = store.CeilingAll // what later versions add included
	}
	return nil
}

// mayWiden decides about an edit of an API key, which keeps its ceiling: only
// who has this power may let it do more, or longer, than before.
func (g guard) mayWiden(power rbac.Grants, before, after store.APIKey) error {
	longer := !before.ExpiresAt.IsZero() && (after.ExpiresAt.IsZero() || after.ExpiresAt.After(before.ExpiresAt))
	if !longer && after.Providers == before.Providers && after.Models == before.Models && before.Bounds().Contains(after.Bounds()) {
		return nil
	}
	if after.Ceiling != store.CeilingAll && g.unjudged(after.Ceiling) {
		return errUnjudged
	}
	if p := power.Lacks(after.Bounds().And(rbac.Owner.Grants())); p != (rbac.Permission{}) {
		return &store.DeniedError{Missing: p, Reason: "the token could then " + p.String() + ", which you cannot do yourself"}
	}
	return nil
}

var errUnjudged = &store.DeniedError{Reason: "there is a permission in it that this version does not know, so only somebody who can do everything may do that"}

// unjudged reports whether there is a permission in kept that this version does
// not know, for an actor who cannot do everything: another version may let it
// grant what they cannot do.
func (g guard) unjudged(kept store.Set) bool {
	if g.who.Power == rbac.Owner.Grants() {
		return false
	}
	for s := range kept.All() {
		if _, err := (rbac.Grants{}).ParseGrant(s); err != nil {
			return true
		}
	}
	return false
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
			return &store.InvalidError{Field: "scopes", Reason: "must be of the gateway alone (gateway:use, gateway:passthrough) for a token that is limited to providers or models, or in its requests"}
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
	if err := g.turn(ctx); err != nil {
		return err
	}
	if after != nil {
		unknown := &store.InvalidError{Field: "roles", Reason: "has one that does not exist, or that no person can have"}
		for name := range after.Roles.All() {
			switch r := rbac.Role(name); {
			case r.ForPeople():
				continue
			case r.BuiltIn():
				return unknown
			}
			r, err := g.tx.Roles.Get(ctx, name)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			if r.Name != name { // not found, or found by its id: users have roles by name
				return unknown
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
	return g.mayIdentify(before, after)
}

// mayIdentify decides about who a user is at an identity provider. Whoever that is can
// sign in as the user: so it takes what it takes to set their password.
func (g guard) mayIdentify(before, after *store.User) error {
	var was store.User
	if before != nil {
		was = *before
	}
	if after == nil || after.Issuer == was.Issuer && after.Subject == was.Subject {
		return nil
	}
	if !g.who.ExpiresAt.IsZero() {
		return &store.DeniedError{Reason: "who a user is at an identity provider cannot be set with a token that expires: it would outlive it"}
	}
	return g.everywhere(rbac.Password, rbac.Update)
}

// within refuses a user whose roles grant more than the actor can do.
func (g guard) within(ctx context.Context, u store.User) error {
	custom, err := g.customRoles(ctx, u)
	if err != nil {
		return err
	}
	for _, r := range custom {
		if g.unjudged(r.Permissions) {
			return errUnjudged
		}
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
		if before != nil && after.Name != before.Name {
			return &store.InvalidError{Field: "name", Reason: "cannot be changed: users have the role by it"}
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
		if g.unjudged(r.Permissions) {
			return errUnjudged
		}
		if p := g.who.Power.Lacks(r.Grants()); p != (rbac.Permission{}) {
			return &store.DeniedError{Missing: p, Reason: "the role grants " + p.String() + ", which you cannot do yourself"}
		}
	}
	return nil
}

// mayAdmit decides about passwords. Whoever knows one can do all that its user
// can, for as long as they like: so it takes all that to set it, and no token that
// expires will do.
func (g guard) mayAdmit(ctx context.Context, before, after *store.Password) error {
	if g.who.Kind == store.ActorSystem {
		return nil
	}
	p := after
	if p == nil {
		p = before
	}
	if before != nil && after != nil && before.UserID != after.UserID {
		return &store.DeniedError{Reason: "a password cannot be given to somebody else"}
	}
	if !g.who.ExpiresAt.IsZero() {
		return &store.DeniedError{Reason: "a password cannot be set with a token that expires: the password would outlive it"}
	}
	if g.who.SessionID != "" && p.UserID == g.who.ID {
		return nil // a session is narrowed until its user has another password, and by nothing else
	}
	if err := g.turn(ctx); err != nil {
		return err
	}
	u, err := g.tx.Users.Get(ctx, p.UserID)
	if err != nil {
		return err
	}
	return g.within(ctx, u)
}
