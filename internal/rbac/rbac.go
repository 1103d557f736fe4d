// Package rbac is the vocabulary of who may do what: resources, actions, roles
// and scopes, as pure tables. It reads no request and no database. dbauthz
// asks it for every operation of the store, and the gateway when it compiles a
// token.
//
// A permission is a resource and an action. A role grants permissions, each on
// every record of its kind or on one's own only. A scope narrows a token to a
// part of what its owner's roles grant; it never adds anything. What somebody
// may do in the end is [Grants]: those of their roles together, narrowed.
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
	AIRoute       Resource = "ai_route"
	Gateway       Resource = "gateway"
	AuditLog      Resource = "audit_log"
	User          Resource = "user"
	CustomRole    Resource = "role"
	APIKey        Resource = "api_key"
	Password      Resource = "password"
	Session       Resource = "session"
	Interception  Resource = "interception"
	EncryptionKey Resource = "encryption_key"
	Setting       Resource = "setting"
	Metrics       Resource = "metrics"
	Replica       Resource = "replica"
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
	Rotate Action = "rotate"
	// Passthrough is to call a path of a provider outside inference: files,
	// batches, the organization.
	Passthrough Action = "passthrough"
	// Open is to read a sealed secret in the clear. No role of a person has
	// it, and no scope names it.
	Open Action = "open"
)

// Actions that only the audit log tells apart, or that are no change: no
// permission names them. Whoever may update a record may restore it, and whoever
// may delete it may purge it.
const (
	Restore     Action = "restore" // bring back what was deleted; of the audit log: put back all there is, from a backup
	Purge       Action = "purge"   // remove for good what was deleted
	Denied      Action = "denied"
	Login       Action = "login" // a new session
	LoginFailed Action = "login_failed"
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
	AIProvider:    append(slices.Clone(crud), Rotate, Open),
	AIProviderKey: append(slices.Clone(crud), Rotate, Use, Open),
	AIRoute:       crud,
	Gateway:       {Use, Passthrough},
	AuditLog:      {Read, Create, Delete},
	User:          crud,
	CustomRole:    crud,
	APIKey:        append(slices.Clone(crud), Use),
	Password:      crud,
	Session:       {Create, Read, Delete, Use, Update},
	Interception:  {Read, Create, Delete},
	EncryptionKey: {Create, Read, Rotate},
	Setting:       {Read, Update},
	Metrics:       {Read},
	Replica:       {Read, Update},
}

// system are the permissions that no person can have: reading secrets in the
// clear, sealing them again, noting that keys, tokens and sessions were used,
// reading what passwords are checked by, letting somebody in, speaking for a
// replica, and writing or thinning out the audit log and the records of requests.
var system = []Permission{
	{AIProvider, Open}, {AIProvider, Rotate}, {AIProviderKey, Open}, {AIProviderKey, Use}, {APIKey, Use},
	{Password, Read}, {Session, Create}, {Session, Update}, {Session, Use},
	{AuditLog, Create}, {AuditLog, Delete}, {EncryptionKey, Create}, {Interception, Create}, {Interception, Delete}, {Replica, Update},
}

// permissions are all there are, in order of their names, and number gives the
// place of each.
var permissions, number = enumerate()

func enumerate() (all []Permission, at map[Permission]int) {
	for r, actions := range vocabulary {
		for _, a := range actions {
			all = append(all, Permission{r, a})
		}
	}
	slices.SortFunc(all, func(a, b Permission) int { return strings.Compare(a.String(), b.String()) })
	at = make(map[Permission]int, len(all))
	for i, p := range all {
		at[p] = i
	}
	return all, at
}

// Permissions returns every permission there is, in order of its name.
func Permissions() []Permission { return slices.Clone(permissions) }

// ForPeople reports whether a person can have p.
func (p Permission) ForPeople() bool { return !slices.Contains(system, p) }

// A Role is a named set of permissions. The zero Role grants nothing.
type Role string

// The roles of people that are built in. Others are kept as records.
const (
	// Owner may do everything that a person may.
	Owner Role = "owner"
	// Auditor reads the audit log, the records of requests and the metrics.
	Auditor Role = "auditor"
	// UserAdmin manages users and their tokens.
	UserAdmin Role = "user-admin"
	// Member may use the gateway and manage their own tokens.
	Member Role = "member"
)

// The roles of the system actors, each with the least that its work needs.
// None of them can be given to a person.
const (
	// SystemBootstrap makes the first owner, their token and the data keys.
	SystemBootstrap Role = "system:bootstrap"
	// SystemAuthenticator finds out who presents a token, a password or a session,
	// and lets people in.
	SystemAuthenticator Role = "system:authenticator"
	// SystemRegistrar makes users of whoever an identity provider vouches for, and gives
	// them the roles that it says.
	SystemRegistrar Role = "system:registrar"
	// SystemCompiler compiles the gateway's snapshot. It reads secrets in the
	// clear.
	SystemCompiler Role = "system:compiler"
	// SystemRecorder writes down what is no change: requests to the gateway, the
	// last use of keys and tokens, refusals, failed logins and the use of secrets.
	SystemRecorder Role = "system:recorder"
	// SystemSeeder adds the providers that the environment names.
	SystemSeeder Role = "system:seeder"
	// SystemRotator seals secrets again under another data key.
	SystemRotator Role = "system:rotator"
	// SystemVerifier reads the audit log, to sign its checkpoints and to verify
	// it.
	SystemVerifier Role = "system:verifier"
	// SystemRecovery makes an owner of a user again, at the machine, and writes
	// down that a backup was restored there, whose sessions it ends.
	SystemRecovery Role = "system:recovery"
	// SystemArchivist removes audit entries and records of requests that are past
	// their retention.
	SystemArchivist Role = "system:archivist"
	// SystemKeyholder loads the data keys, and says which it has.
	SystemKeyholder Role = "system:keyholder"
	// SystemExporter exports secrets in the clear, at the machine.
	SystemExporter Role = "system:exporter"
	// SystemKeyWatcher tells the replicas how provider keys fare.
	SystemKeyWatcher Role = "system:key-watcher"
	// SystemCustodian removes what cannot be opened any more, at the machine.
	SystemCustodian Role = "system:custodian"
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

var roles = map[Role]Grants{
	Owner: ownerGrants(),
	Auditor: everywhere(
		Permission{AuditLog, Read}, Permission{Interception, Read}, Permission{Metrics, Read}),
	UserAdmin: memberGrants().Or(everywhere(
		Permission{User, Create}, Permission{User, Read}, Permission{User, Update}, Permission{User, Delete}, Permission{CustomRole, Read},
		Permission{APIKey, Create}, Permission{APIKey, Read}, Permission{APIKey, Update}, Permission{APIKey, Delete},
		Permission{Password, Create}, Permission{Password, Update}, Permission{Password, Delete}, Permission{Session, Read}, Permission{Session, Delete})),
	Member: memberGrants(),
	SystemBootstrap: everywhere(
		Permission{User, Create}, Permission{User, Read}, Permission{APIKey, Create},
		Permission{EncryptionKey, Create}, Permission{EncryptionKey, Read}),
	SystemAuthenticator: everywhere(
		Permission{APIKey, Read}, Permission{User, Read}, Permission{CustomRole, Read}, Permission{Password, Read},
		Permission{Session, Create}, Permission{Session, Read}, Permission{Session, Delete}, Permission{Session, Use}),
	SystemRegistrar: everywhere(
		Permission{User, Create}, Permission{User, Read}, Permission{User, Update}, Permission{CustomRole, Read}, Permission{Password, Read}, Permission{Session, Read}),
	SystemCompiler: everywhere(
		Permission{AIProvider, Read}, Permission{AIProvider, Open}, Permission{AIProviderKey, Read}, Permission{AIProviderKey, Open},
		Permission{AIRoute, Read}, Permission{APIKey, Read}, Permission{User, Read}, Permission{CustomRole, Read}),
	SystemRecorder: everywhere(
		Permission{AIProviderKey, Use}, Permission{APIKey, Use}, Permission{AuditLog, Create}, Permission{Interception, Create}),
	SystemSeeder: everywhere(
		Permission{AIProvider, Create}, Permission{AIProvider, Read}, Permission{AIProvider, Update},
		Permission{AIProviderKey, Create}, Permission{AIProviderKey, Read}, Permission{AIProviderKey, Update}, Permission{AIProviderKey, Delete}),
	SystemRotator: everywhere(
		Permission{AIProvider, Read}, Permission{AIProvider, Rotate}, Permission{AIProviderKey, Read}, Permission{AIProviderKey, Rotate},
		Permission{EncryptionKey, Create}, Permission{EncryptionKey, Read}, Permission{EncryptionKey, Rotate}, Permission{Replica, Read}),
	SystemExporter: everywhere(
		Permission{AIProvider, Read}, Permission{AIProvider, Open}, Permission{AIProviderKey, Read}, Permission{AIProviderKey, Open}, Permission{AuditLog, Create}),
	SystemCustodian: everywhere(
		Permission{AIProvider, Read}, Permission{AIProvider, Update}, Permission{AIProviderKey, Read}, Permission{AIProviderKey, Delete},
		Permission{EncryptionKey, Create}, Permission{EncryptionKey, Read}, Permission{EncryptionKey, Rotate}, Permission{Replica, Read}),
	SystemKeyholder: everywhere(Permission{EncryptionKey, Read}, Permission{Replica, Update}),
	SystemRecovery: everywhere(
		Permission{User, Create}, Permission{User, Read}, Permission{User, Update}, Permission{APIKey, Create},
		Permission{Password, Delete}, Permission{Password, Read}, Permission{Session, Read}, Permission{Session, Delete}, Permission{AuditLog, Create}),
	SystemKeyWatcher: everywhere(Permission{AIProviderKey, Use}, Permission{Replica, Read}),
	SystemVerifier:   everywhere(Permission{AuditLog, Read}),
	SystemArchivist:  everywhere(Permission{AuditLog, Read}, Permission{AuditLog, Delete}, Permission{Interception, Delete}),
}

// ownerGrants is everything but what belongs to the system alone.
func ownerGrants() (g Grants) {
	for _, p := range permissions {
		if p.ForPeople() {
			g = g.With(p, All)
		}
	}
	return g
}

func memberGrants() Grants {
	g := everywhere(Permission{Gateway, Use}, Permission{Gateway, Passthrough})
	for _, p := range []Permission{{APIKey, Create}, {APIKey, Read}, {APIKey, Delete}, {Interception, Read}} {
		g = g.With(p, Own)
	}
	return g.Or(selfGrants())
}

// selfGrants is what everybody may do about their own way in, by a token that has
// the scopes.
func selfGrants() (g Grants) {
	for _, p := range []Permission{{Password, Create}, {Password, Update}, {Session, Read}, {Session, Delete}} {
		g = g.With(p, Own)
	}
	return g
}

// SignedIn is what a session grants whatever the roles of its user: to have a
// password, to see and end one's own sessions, and to go on in a new one.
func SignedIn() Grants { return selfGrants().With(Permission{Session, Create}, Own) }

func everywhere(ps ...Permission) (g Grants) {
	for _, p := range ps {
		g = g.With(p, All)
	}
	return g
}

// Grants returns what a built-in role grants: nothing, for any other.
func (r Role) Grants() Grants { return roles[r] }

// Reach says how far r grants p. A role that is not built in, and a permission
// outside the vocabulary, reach nothing.
func (r Role) Reach(p Permission) Reach { return roles[r].Reach(p) }

// ForPeople reports whether r is a built-in role that a person can have.
func (r Role) ForPeople() bool {
	return r == Owner || r == Auditor || r == UserAdmin || r == Member
}

// Description says in a few words what a built-in role of people is for.
func (r Role) Description() string {
	return map[Role]string{
		Owner: "Everything", Auditor: "Read the audit log, records of requests and metrics",
		UserAdmin: "Manage users and their tokens", Member: "Use the gateway, with tokens of their own",
	}[r]
}

// BuiltIn reports whether r is one of [Roles].
func (r Role) BuiltIn() bool {
	_, ok := roles[r]
	return ok
}

// Roles returns every built-in role, those of people first.
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
	for _, p := range permissions {
		if !p.ForPeople() {
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
	for _, p := range permissions {
		if t.Covers(p) && !s.Covers(p) {
			return false
		}
	}
	return true
}
