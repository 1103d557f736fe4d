package store

import (
	"time"

	"github.com/gatehousehq/gatehouse/internal/rbac"
)

// An Actor is who a transaction is for: a person through a token, or a named
// part of the system. It is always an argument, never in a context. The zero
// Actor may do nothing. Package authn is the only maker of actors.
type Actor struct {
	Kind ActorKind
	ID   string // of the user; the name of a system actor
	Name string
	// Power is all that the actor may do: what their roles grant, narrowed by
	// the token they act through.
	Power rbac.Grants

	// TokenID and TokenName are of the API key that a user acts through, and
	// Scopes what it is good for; Power has them worked in. System actors have
	// none.
	TokenID, TokenName string
	Scopes             Set
	// ExpiresAt is when the API key expires; zero is never.
	ExpiresAt time.Time
	// SessionID is of the session that a user acts in, "" if it is a token.
	SessionID string

	Origin Origin
}

// An ActorKind tells people from parts of the system.
type ActorKind string

// The kinds of actor.
const (
	ActorUser   ActorKind = "user"
	ActorSystem ActorKind = "system"
	// ActorAnonymous stands in audit entries, for whoever did not get in.
	ActorAnonymous ActorKind = "anonymous"
)

// An Origin is where a request came from, for the audit log.
type Origin struct {
	RequestID string
	Address   string // of the client, without the port
	UserAgent string
}

// Reach says how far the actor may do p.
func (a Actor) Reach(p rbac.Permission) rbac.Reach {
	if a.Kind != ActorUser && a.Kind != ActorSystem {
		return rbac.None
	}
	return a.Power.Reach(p)
}

// Grants returns what the user's roles grant together: nothing while the user
// is disabled. Of the custom roles, those that are not among custom grant
// nothing, and nor does a role that no person can have.
func (u User) Grants(custom []Role) (g rbac.Grants) {
	if u.Disabled {
		return g
	}
	for name := range u.Roles.All() {
		if r := rbac.Role(name); r.ForPeople() {
			g = g.Or(r.Grants())
			continue
		}
		for _, r := range custom {
			if r.Name == name {
				g = g.Or(r.Grants())
			}
		}
	}
	return g
}

// Grants returns what the role grants.
func (r Role) Grants() rbac.Grants {
	return rbac.KeptGrants(r.Permissions.Slice()).And(rbac.Owner.Grants())
}

// BuiltInRoles returns the roles that every installation has, as if they were
// records. Their ID is empty.
func BuiltInRoles() []Role {
	var out []Role
	for _, r := range rbac.Roles() {
		if r.ForPeople() {
			out = append(out, Role{Name: string(r), Description: r.Description(), Permissions: SetOf(r.Grants().Strings()...)})
		}
	}
	return out
}

// CeilingAll is the ceiling of an API key that was made by somebody who could
// do all that a person can.
var CeilingAll = SetOf(string(rbac.ScopeAll))

// Power returns what k lets its bearer do, given its owner and the custom roles
// as they are now: what the owner's roles grant within the key's bounds.
func (k APIKey) Power(owner User, custom []Role) rbac.Grants {
	if owner.ID != k.OwnerID {
		return rbac.Grants{}
	}
	return owner.Grants(custom).And(k.Bounds())
}

// Bounds returns what k can be used for at most, whatever its owner's roles
// grant now or later: what the scopes cover, and whoever made the key could do
// then, and, with an allow-list, is of the gateway.
func (k APIKey) Bounds() rbac.Grants {
	g := k.covers()
	if k.Ceiling != CeilingAll {
		g = g.And(rbac.KeptGrants(k.Ceiling.Slice()))
	}
	if k.Limited() {
		g = g.And(rbac.ScopeGrants([]rbac.Scope{rbac.Scope(rbac.Gateway) + ":*"}))
	}
	return g
}

func (k APIKey) covers() rbac.Grants {
	var scopes []rbac.Scope
	for s := range k.Scopes.All() {
		scopes = append(scopes, rbac.Scope(s))
	}
	return rbac.ScopeGrants(scopes)
}
