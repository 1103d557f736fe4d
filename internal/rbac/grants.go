package rbac

import (
	"errors"
	"strings"
)

// Grants are permissions, each with its reach. They are a plain value that
// compares with ==; the zero Grants are none.
//
// There is a bit for each permission, in the order of [Permissions], which is
// not the same in every version: what is kept is the text of [Grants.Strings].
type Grants struct {
	some uint64 // reach Own at least
	all  uint64 // reach All; a part of some
}

// Everything covers each permission on every record: what is narrowed by it
// stays as it is.
var Everything = Grants{^uint64(0), ^uint64(0)}

// bit returns the bit of p, 0 if it is outside the vocabulary.
func bit(p Permission) uint64 {
	n, ok := number[p]
	if !ok {
		return 0
	}
	return 1 << n // a test holds that there are at most 64
}

// With returns g with p reaching as far as r, and as far as before if that is
// farther.
func (g Grants) With(p Permission, r Reach) Grants {
	if r >= Own {
		g.some |= bit(p)
	}
	if r >= All {
		g.all |= bit(p)
	}
	return g
}

// Reach says how far g grants p.
func (g Grants) Reach(p Permission) Reach {
	switch b := bit(p); {
	case b == 0 || g.some&b == 0:
		return None
	case g.all&b == 0:
		return Own
	}
	return All
}

// Or returns what g or h grants.
func (g Grants) Or(h Grants) Grants { return Grants{g.some | h.some, g.all | h.all} }

// And returns what both g and h grant.
func (g Grants) And(h Grants) Grants { return Grants{g.some & h.some, g.all & h.all} }

// OnOthers returns what g grants on records of others: what reaches one's own
// only is left out.
func (g Grants) OnOthers() Grants { return Grants{g.all, g.all} }

// Contains reports whether g grants all that h does, as far as h does.
func (g Grants) Contains(h Grants) bool { return h.some&^g.some == 0 && h.all&^g.all == 0 }

// Lacks returns a permission of h that g does not grant as far as h does, the
// zero Permission if there is none.
func (g Grants) Lacks(h Grants) Permission {
	for _, p := range permissions {
		if h.Reach(p) > g.Reach(p) {
			return p
		}
	}
	return Permission{}
}

// own is what follows a permission that reaches one's own records only.
const own = ":own"

// Strings returns g in the order of [Permissions]: "RESOURCE:ACTION", with
// ":own" behind it for what reaches one's own records only.
func (g Grants) Strings() []string {
	var out []string
	for _, p := range permissions {
		switch g.Reach(p) {
		case All:
			out = append(out, p.String())
		case Own:
			out = append(out, p.String()+own)
		}
	}
	return out
}

// Owned reports whether records of the kind belong to somebody, so that a
// permission can reach one's own only.
func (r Resource) Owned() bool {
	return r == APIKey || r == User || r == Interception || r == Password || r == Session
}

// ParseGrant adds to g what s names, in the form of [Grants.Strings]. It
// refuses what no person can have.
func (g Grants) ParseGrant(s string) (Grants, error) {
	name, isOwn := strings.CutSuffix(s, own)
	resource, action, _ := strings.Cut(name, ":")
	p := Permission{Resource(resource), Action(action)}
	switch {
	case bit(p) == 0 || !p.ForPeople():
		return g, errors.New("is not a permission that a person can have; docs/reference/roles.md lists them")
	case isOwn && !p.Resource.Owned():
		return g, errors.New("cannot be for one's own only: nobody owns records of that kind")
	case isOwn:
		return g.With(p, Own), nil
	}
	return g.With(p, All), nil
}

// KeptGrants reads what [Grants.Strings] wrote, perhaps by another version. What
// this one does not know grants nothing.
func KeptGrants(names []string) (g Grants) {
	for _, s := range names {
		name, isOwn := strings.CutSuffix(s, own)
		resource, action, _ := strings.Cut(name, ":")
		reach := All
		if isOwn {
			reach = Own
		}
		g = g.With(Permission{Resource(resource), Action(action)}, reach)
	}
	return g
}

// ScopeGrants returns what a token of these scopes can be used for: the rest is
// up to its owner's roles. A name that is no scope covers nothing.
func ScopeGrants(scopes []Scope) (g Grants) {
	for _, s := range scopes {
		if s == ScopeAll {
			return Everything
		}
		for _, p := range permissions {
			if s.Covers(p) {
				g = g.With(p, All)
			}
		}
	}
	return g
}
