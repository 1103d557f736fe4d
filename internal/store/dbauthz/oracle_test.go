package dbauthz_test

import (
	"bufio"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbauthz"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
)

// The oracle says what each operation takes, a second time and by hand. It asks
// nothing of the code under test: what roles grant it reads from the file that
// reviews read, and what a scope covers it works out itself.

// A need is what an operation takes: all of these permissions, or with any, one
// of them. With everywhere, it takes them on all records.
type need struct {
	permissions []string
	any         bool
	everywhere  bool
	never       bool
}

func needs() map[string]need {
	out := map[string]need{
		"Audit.Append":            {never: true},
		"Audit.Observe":           {permissions: []string{"audit_log:create"}, everywhere: true},
		"Audit.List":              {permissions: []string{"audit_log:read"}, everywhere: true},
		"Audit.Rows":              {permissions: []string{"audit_log:read"}, everywhere: true},
		"Audit.Head":              {permissions: []string{"audit_log:read"}, everywhere: true},
		"Audit.Hashes":            {permissions: []string{"audit_log:read"}, everywhere: true},
		"Audit.Prune":             {permissions: []string{"audit_log:delete"}, everywhere: true},
		"Secrets.Open":            {permissions: []string{"ai_provider_key:open"}, everywhere: true},
		"LastUse.Touch":           {permissions: []string{"ai_provider_key:use", "api_key:use"}, everywhere: true},
		"Changes.Since":           {permissions: []string{"ai_provider:read", "ai_provider_key:read", "ai_route:read", "api_key:read", "user:read", "role:read"}, everywhere: true},
		"Changes.Lock":            {permissions: []string{"ai_provider:read", "user:create", "user:update", "user:delete", "role:create", "role:update", "role:delete"}, any: true, everywhere: true},
		"Secrets.Fingerprint":     {permissions: []string{"ai_provider_key:create"}, everywhere: true},
		"Credentials.ByTokenHash": {permissions: []string{"api_key:read", "user:read", "role:read"}, everywhere: true},

		"Credentials.BySubject":     {permissions: []string{"user:read", "role:read", "password:read", "session:read"}, everywhere: true},
		"Credentials.ByUser":        {permissions: []string{"user:read", "role:read", "password:read", "session:read"}, everywhere: true},
		"Credentials.BySessionHash": {permissions: []string{"user:read", "role:read", "password:read", "session:read"}, everywhere: true},
		"Credentials.SessionSeen":   {permissions: []string{"session:use"}, everywhere: true},
	}
	for op, n := range map[string]need{
		"Secrets.Check":       {permissions: []string{"ai_provider_key:read"}, everywhere: true},
		"Changes.KeyEpoch":    {permissions: []string{"encryption_key:read"}, everywhere: true},
		"Cells.Count":         {permissions: []string{"encryption_key:read"}, everywhere: true},
		"Cells.List":          {permissions: []string{"ai_provider:read", "ai_provider_key:read"}, everywhere: true},
		"Cells.Reseal":        {permissions: []string{"ai_provider:rotate", "ai_provider_key:rotate"}, everywhere: true},
		"KeyStates.Note":      {permissions: []string{"ai_provider_key:use"}, everywhere: true},
		"KeyStates.List":      {permissions: []string{"ai_provider_key:use"}, everywhere: true},
		"KeyStates.NoteDrain": {permissions: []string{"ai_provider_key:use"}, everywhere: true},
		"KeyStates.Drains":    {permissions: []string{"ai_provider_key:use"}, everywhere: true},
		"KeyStates.EndDrain":  {permissions: []string{"ai_provider_key:use"}, everywhere: true},
		"KeyStates.Forget":    {permissions: []string{"ai_provider_key:use"}, everywhere: true},
		"Replicas.Beat":       {permissions: []string{"replica:update"}, everywhere: true},
		"Replicas.List":       {permissions: []string{"replica:read"}, everywhere: true},
		"Replicas.Forget":     {permissions: []string{"replica:update"}, everywhere: true},

		"Interceptions.Record": {permissions: []string{"interception:create"}, everywhere: true},
		"Interceptions.Get":    {permissions: []string{"interception:read"}},
		"Interceptions.List":   {permissions: []string{"interception:read"}},
		"Interceptions.Usage":  {permissions: []string{"interception:read"}},
		"Interceptions.Scope":  {permissions: []string{"interception:read"}},
		"Interceptions.Prune":  {permissions: []string{"interception:delete"}, everywhere: true},
	} {
		out[op] = n
	}
	out["Changes.Generation"] = out["Changes.Since"]
	for table, resource := range map[string]string{
		"Providers": "ai_provider", "ProviderKeys": "ai_provider_key", "Routes": "ai_route", "Users": "user", "Roles": "role", "APIKeys": "api_key", "Passwords": "password", "Sessions": "session", "EncryptionKeys": "encryption_key",
	} {
		for verb, action := range map[string]string{"Get": "read", "List": "read", "Insert": "create", "Update": "update", "Delete": "delete"} {
			out[table+"."+verb] = need{permissions: []string{resource + ":" + action}}
		}
	}
	out["EncryptionKeys.Update"] = need{permissions: []string{"encryption_key:rotate"}}
	return out
}

// policy reads what each role grants from the file that reviews read.
func policy(t *testing.T) map[string]map[string]string {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "rbac", "testdata", "policy.golden"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // it was only read
	out := map[string]map[string]string{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) != 3 {
			t.Fatalf("the line %q", lines.Text())
		}
		if out[fields[0]] == nil {
			out[fields[0]] = map[string]string{}
		}
		out[fields[0]][fields[1]] = fields[2]
	}
	return out
}

// A case is somebody, as the oracle knows them.
type somebody struct {
	role    string
	scopes  []string // nil for the system
	limited bool
}

func (s somebody) may(grants map[string]string, n need) bool {
	if n.never {
		return false
	}
	found := 0
	for _, p := range n.permissions {
		reach := grants[p]
		if s.scopes != nil && !covered(s.scopes, p) || s.limited && !strings.HasPrefix(p, "gateway:") {
			reach = "none"
		}
		if reach == "all" || reach == "own" && !n.everywhere {
			found++
		}
	}
	return found == len(n.permissions) || n.any && found > 0
}

func covered(scopes []string, p string) bool {
	resource, _, _ := strings.Cut(p, ":")
	for _, s := range scopes {
		if s == "all" || s == p || s == resource+":*" {
			return true
		}
	}
	return false
}

func (s somebody) actor() store.Actor {
	if s.scopes == nil {
		return store.Actor{Kind: store.ActorSystem, ID: s.role, Name: s.role, Power: rbac.Role(s.role).Grants()}
	}
	u := store.User{ID: dbgen.ID(), Roles: store.SetOf(s.role)}
	k := store.APIKey{OwnerID: u.ID, Scopes: store.SetOf(s.scopes...), Ceiling: store.CeilingAll}
	if s.limited {
		k.Models = store.SetOf("m")
	}
	return store.Actor{Kind: store.ActorUser, ID: u.ID, Power: k.Power(u, nil), Scopes: k.Scopes}
}

// TestEveryOperationAsEverybody calls every operation of the layered store, found
// by reflection, as every role with every scope, and compares what is decided
// with the oracle.
func TestEveryOperationAsEverybody(t *testing.T) {
	t.Parallel()
	grants, want := policy(t), needs()
	people := []somebody{}
	for role := range grants {
		if strings.HasPrefix(role, "system:") {
			people = append(people, somebody{role: role})
			continue
		}
		for _, s := range rbac.Scopes() {
			people = append(people, somebody{role, []string{string(s)}, false}, somebody{role, []string{string(s)}, true},
				somebody{role, []string{string(s), "gateway:use"}, false}, somebody{role, []string{string(s), "api_key:*"}, false})
		}
		people = append(people, somebody{role, []string{}, false})
	}
	if len(grants) != len(rbac.Roles()) {
		t.Errorf("the oracle knows %d roles of %d", len(grants), len(rbac.Roles()))
	}
	decisions := 0
	for _, s := range people {
		r := &reached{}
		call(t, dbauthz.Layer(s.actor(), spies(r)), func(op string, err error) {
			n, known := want[op]
			if !known {
				t.Fatalf("the oracle does not know %s", op)
			}
			decisions++
			if got := !deniedInKind(op, err); got != s.may(grants[s.role], n) {
				t.Errorf("%s with %v (limited %t): %s is allowed: %t (%v)", s.role, s.scopes, s.limited, op, got, err)
			}
		})
	}
	ops := 0
	typ := reflect.TypeFor[store.Tx]()
	for i := range typ.NumField() {
		ops += typ.Field(i).Type.NumMethod()
	}
	if ops != len(want) {
		t.Errorf("the store has %d operations, the oracle knows %d", ops, len(want))
	}
	t.Logf("%d decisions on %d operations", decisions, ops)
}

// deniedInKind reports whether err refuses for want of a permission of the kind.
func deniedInKind(op string, err error) bool {
	denied, _ := err.(*store.DeniedError)
	return denied != nil && (denied.Reason == "" || op == "Audit.Append")
}
