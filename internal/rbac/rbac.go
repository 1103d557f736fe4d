// Package rbac is the vocabulary of who may do what: resources, actions, roles
// and scopes, as pure tables. It reads no request and no database. dbauthz
// asks it for every operation of the store, and the gateway when it compiles a
// token.
//
// A permission is a resource and an action. A role grants permissions, each on
// every record of its kind or on one's own only. A scope narrows a token to a
// part of what its owner's role grants; it never adds anything.
package rbac

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Resource is a kind of thing that an action can be done to.
type Resource string

// The resources.
const (
	AIProvider    Resource = "ai_provider"
	AIProviderKey Resource = "ai_provider_key"
	Gateway       Resource = "gateway"
	AuditLog      Resource = "audit_log"
	User          Resource = "user"
	APIKey        Resource = "api_key"
	EncryptionKey Resource = "encryption_key"
)

// An Action is what is done to a resource.
type Action string

// The actions.
const (
	Create Action = "create"
	Read   Action = "read"
	Update Action = "update"
	Delete Action = "delete"
	Use    Action = "use"
	// Passthrough is to call a path of a provider outside inference: files,
	// batches, the organization.
	Passthrough Action = "passthrough"
	// Open is to read a sealed secret in the clear. No role of a person has
	// it, and no scope names it.
	Open Action = "open"
)

// A Permission is an action on a resource.
type Permission struct {
	Resource Resource
	Action   Action
}

func (p Permission) String() string { return string(p.Resource) + ":" + string(p.Action) }

// crud are the actions of a resource that is kept as records.
var crud = []Action{Create, Read, Update, Delete}

// vocabulary lists the actions that make sense for each resource. Anything
// else is refused, whoever asks.
var vocabulary = map[Resource][]Action{
	AIProvider:    append(slices.Clone(crud), Open),
	AIProviderKey: append(slices.Clone(crud), Use, Open),
	Gateway:       {Use, Passthrough},
	AuditLog:      {Read},
	User:          crud,
	APIKey:        append(slices.Clone(crud), Use),
	EncryptionKey: crud,
}

// Permissions returns every permission there is, in order of its name.
func Permissions() []Permission {
	var all []Permission
	for r, actions := range vocabulary {
		for _, a := range actions {
			all = append(all, Permission{r, a})
		}
	}
	slices.SortFunc(all, func(a, b Permission) int { return strings.Compare(a.String(), b.String()) })
	return all
}

// A Role is a named set of permissions. The zero Role grants nothing.
type Role string

// The roles of people.
const (
	// Owner may do everything that a person may.
	Owner Role = "owner"
	// Member may use the gateway and manage their own tokens.
	Member Role = "member"
)

// The roles of the system actors, each with the least that its work needs.
// None of them can be given to a person.
const (
	// SystemBootstrap makes the first owner, their token and the data keys.
	SystemBootstrap Role = "system:bootstrap"
	// SystemAuthenticator finds out who presents a token.
	SystemAuthenticator Role = "system:authenticator"
	// SystemCompiler compiles the gateway's snapshot. It is the one actor that
	// reads secrets in the clear.
	SystemCompiler Role = "system:compiler"
	// SystemRecorder notes when keys and tokens were last used.
	SystemRecorder Role = "system:recorder"
)

// A Reach says on which records of a kind a permission holds.
type Reach int

// The reaches, each containing those before it.
const (
	None Reach = iota // on none
	Own               // on those the actor owns
	All               // on every one
)

func (r Reach) String() string { return [...]string{"none", "own", "all"}[r] }

var roles = map[Role]map[Permission]Reach{
	Owner: ownerGrants(),
	Member: {
		{Gateway, Use}:         All,
		{Gateway, Passthrough}: All,
		{APIKey, Create}:       Own,
		{APIKey, Read}:         Own,
		{APIKey, Delete}:       Own,
	},
	SystemBootstrap: {
		{User, Create}:          All,
		{User, Read}:            All,
		{APIKey, Create}:        All,
		{EncryptionKey, Create}: All,
		{EncryptionKey, Read}:   All,
	},
	SystemAuthenticator: {
		{APIKey, Read}: All,
		{User, Read}:   All,
	},
	SystemCompiler: {
		{AIProvider, Read}:    All,
		{AIProvider, Open}:    All,
		{AIProviderKey, Read}: All,
		{AIProviderKey, Open}: All,
		{APIKey, Read}:        All,
		{User, Read}:          All,
	},
	SystemRecorder: {
		{AIProviderKey, Use}: All,
		{APIKey, Use}:        All,
	},
}

// ownerGrants is everything but what belongs to the system alone: opening
// secrets, and noting their use.
func ownerGrants() map[Permission]Reach {
	g := map[Permission]Reach{}
	for _, p := range Permissions() {
		if p.Action == Open || p.Action == Use && p.Resource != Gateway {
			continue
		}
		g[p] = All
	}
	return g
}

// Reach says how far r grants p. An unknown role, and a permission outside the
// vocabulary, reach nothing.
func (r Role) Reach(p Permission) Reach { return roles[r][p] }

// ForPeople reports whether r is a role that a person can have.
func (r Role) ForPeople() bool { return r == Owner || r == Member }

// Roles returns every role, those of people first.
func Roles() []Role {
	all := slices.Collect(maps.Keys(roles))
	slices.SortFunc(all, func(a, b Role) int {
		if a.ForPeople() != b.ForPeople() {
			if a.ForPeople() {
				return -1
			}
			return 1
		}
		return strings.Compare(string(a), string(b))
	})
	return all
}

// A Scope is a part of what a token may do of what its owner may: "all",
// "RESOURCE:*", or "RESOURCE:ACTION".
type Scope string

// ScopeAll is the scope of a token that may do all that its owner may.
const ScopeAll Scope = "all"

// Scopes returns every scope that a token can have, "all" first.
func Scopes() []Scope {
	out := []Scope{ScopeAll}
	seen := map[Resource]bool{}
	for _, p := range Permissions() {
		if Owner.Reach(p) == None {
			continue
		}
		if !seen[p.Resource] {
			seen[p.Resource] = true
			out = append(out, Scope(p.Resource)+":*")
		}
		out = append(out, Scope(p.String()))
	}
	return out
}

// ParseScope returns the scope that s names.
func ParseScope(s string) (Scope, error) {
	if !slices.Contains(Scopes(), Scope(s)) {
		return "", fmt.Errorf("unknown scope; the scopes are %s", joinScopes())
	}
	return Scope(s), nil
}

func joinScopes() string {
	var names []string
	for _, s := range Scopes() {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}

// Covers reports whether s includes p.
func (s Scope) Covers(p Permission) bool {
	if s == ScopeAll {
		return true
	}
	resource, action, ok := strings.Cut(string(s), ":")
	return ok && Resource(resource) == p.Resource && (action == "*" || Action(action) == p.Action)
}

// Includes reports whether everything that t covers, s covers too.
func (s Scope) Includes(t Scope) bool {
	if t == ScopeAll {
		return s == ScopeAll
	}
	for _, p := range Permissions() {
		if t.Covers(p) && !s.Covers(p) {
			return false
		}
	}
	return true
}
