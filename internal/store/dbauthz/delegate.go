package dbauthz

import (
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// mayMint decides whether the actor may bring about the API key k: nobody
// makes a token that can do more, or lasts longer, than the one they act
// through.
func (g guard) mayMint(k store.APIKey) error {
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
	if g.who.Kind == store.ActorSystem {
		return nil
	}
	if k.OwnerID != g.who.ID {
		return &store.DeniedError{Reason: "a token can only be made for oneself"}
	}
	for s := range k.Scopes.All() {
		if !g.holds(rbac.Scope(s)) {
			return &store.DeniedError{Reason: "a token cannot have a scope that the token making it has not: " + s}
		}
	}
	if end := g.who.ExpiresAt; !end.IsZero() && (k.ExpiresAt.IsZero() || k.ExpiresAt.After(end)) {
		return &store.DeniedError{Reason: "a token cannot outlive the token making it"}
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
	if s == rbac.ScopeAll { // it covers what later versions add, too
		for have := range g.who.Scopes.All() {
			if rbac.Scope(have) == rbac.ScopeAll {
				return true
			}
		}
		return false
	}
	for _, p := range rbac.Permissions() {
		if s.Covers(p) && rbac.Owner.Reach(p) != rbac.None && !g.who.Covers(p) {
			return false
		}
	}
	return true
}

// mayAppoint decides whether the actor may bring about the user u: nobody
// gives a role that can do more than their own.
func (g guard) mayAppoint(u store.User) error {
	if !u.Role.ForPeople() {
		return &store.InvalidError{Field: "role", Reason: "is not a role that a person can have"}
	}
	if g.who.Kind == store.ActorSystem {
		return nil
	}
	for _, p := range rbac.Permissions() {
		if u.Role.Reach(p) > g.who.Role.Reach(p) {
			return &store.DeniedError{Reason: "a role can only be given by somebody who has all that it grants"}
		}
	}
	return nil
}
