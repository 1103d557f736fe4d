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
	Role rbac.Role

	// TokenID and TokenName are of the API key that a user acts through.
	TokenID, TokenName string
	// Scopes narrow what the role allows. A user has at least one; system
	// actors have none.
	Scopes Set
	// Limited is whether the API key has allow-lists of providers or models.
	// Such a key is good for the gateway only.
	Limited bool
	// ExpiresAt is when the API key expires; zero is never.
	ExpiresAt time.Time

	Origin Origin
}

// An ActorKind tells people from parts of the system.
type ActorKind string

// The kinds of actor.
const (
	ActorUser   ActorKind = "user"
	ActorSystem ActorKind = "system"
)

// An Origin is where a request came from, for the audit log.
type Origin struct {
	RequestID string
	Address   string // of the client, without the port
	UserAgent string
}

// Reach says how far the actor's role and scopes together grant p.
func (a Actor) Reach(p rbac.Permission) rbac.Reach {
	switch a.Kind {
	case ActorSystem:
		if a.Role.ForPeople() {
			return rbac.None
		}
		return a.Role.Reach(p)
	case ActorUser:
		return reach(a.Role, a.Scopes, a.Limited, p)
	}
	return rbac.None
}

// Covers reports whether the actor's scopes, whatever its role, include p.
func (a Actor) Covers(p rbac.Permission) bool { return covers(a.Scopes, p) }

// Reach says how far k grants p to whoever presents it, given its owner as they
// are now.
func (k APIKey) Reach(owner User, p rbac.Permission) rbac.Reach {
	if owner.ID != k.OwnerID || owner.Disabled {
		return rbac.None
	}
	return reach(owner.Role, k.Scopes, k.Limited(), p)
}

// reach is the power of a person through a token: what the role grants, and
// the scopes cover, and, with allow-lists, is of the gateway.
func reach(role rbac.Role, scopes Set, limited bool, p rbac.Permission) rbac.Reach {
	if !role.ForPeople() || limited && p.Resource != rbac.Gateway || !covers(scopes, p) {
		return rbac.None
	}
	return role.Reach(p)
}

func covers(scopes Set, p rbac.Permission) bool {
	for s := range scopes.All() {
		if rbac.Scope(s).Covers(p) {
			return true
		}
	}
	return false
}
