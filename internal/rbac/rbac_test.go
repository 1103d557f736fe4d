package rbac_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/gatehousehq/gatehouse/internal/rbac"
)

var update = flag.Bool("update", false, "rewrite testdata/policy.golden")

// TestPolicy holds who may do what against a file that a review reads. It has a
// line for each pair of role and permission, none left out.
func TestPolicy(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	for _, role := range rbac.Roles() {
		for _, p := range rbac.Permissions() {
			fmt.Fprintf(&got, "%-21s %-23s %s\n", role, p, role.Reach(p))
		}
	}
	file := filepath.Join("testdata", "policy.golden")
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("the policy changed (-want +got); if it should, run with -update:\n%s", diff)
	}
	if lines := bytes.Count(want, []byte("\n")); lines != len(rbac.Roles())*len(rbac.Permissions()) {
		t.Errorf("%s has %d lines, want one for each of %d roles and %d permissions", file, lines, len(rbac.Roles()), len(rbac.Permissions()))
	}
}

func TestOwnerHasAllThatAPersonMayHave(t *testing.T) {
	t.Parallel()
	system := []string{"ai_provider:open", "ai_provider_key:open", "ai_provider_key:use", "api_key:use", "password:read", "session:create", "session:update", "session:use", "ai_provider:rotate", "audit_log:create", "audit_log:delete", "encryption_key:create", "interception:create", "interception:delete", "replica:update"}
	for _, p := range rbac.Permissions() {
		want := rbac.All
		if slices.Contains(system, p.String()) {
			want = rbac.None
		}
		if got := rbac.Owner.Reach(p); got != want {
			t.Errorf("owner has %s on %s, want %s", p, got, want)
		}
	}
}

func TestOnlyOwnersTouchProviders(t *testing.T) {
	t.Parallel()
	for _, role := range rbac.Roles() {
		for _, p := range rbac.Permissions() {
			if role.ForPeople() && role != rbac.Owner && (p.Resource == rbac.AIProvider || p.Resource == rbac.AIProviderKey) && role.Reach(p) != rbac.None {
				t.Errorf("%s has %s", role, p)
			}
		}
	}
}

func TestOnlyCompilerAndExporterOpenSecrets(t *testing.T) {
	t.Parallel()
	for _, role := range rbac.Roles() {
		for _, p := range rbac.Permissions() {
			if p.Action == rbac.Open && role != rbac.SystemCompiler && role != rbac.SystemExporter && role.Reach(p) != rbac.None {
				t.Errorf("%s has %s", role, p)
			}
		}
		if role != rbac.SystemCompiler {
			continue
		}
		for _, p := range rbac.Permissions() { // and it changes nothing
			if p.Action != rbac.Open && p.Action != rbac.Read && role.Reach(p) != rbac.None {
				t.Errorf("%s has %s", role, p)
			}
		}
	}
}

func TestWhatIsUnknownReachesNothing(t *testing.T) {
	t.Parallel()
	for _, p := range rbac.Permissions() {
		for _, role := range []rbac.Role{"", "Owner", "admin", "system:", "owner "} {
			if role.Reach(p) != rbac.None || role.ForPeople() {
				t.Errorf("role %q has %s", role, p)
			}
		}
	}
	for _, role := range rbac.Roles() {
		for _, p := range []rbac.Permission{{}, {rbac.AIProvider, ""}, {"", rbac.Read}, {rbac.Gateway, rbac.Delete}, {"secret", rbac.Read}, {rbac.AIProvider, "*"}} {
			if role.Reach(p) != rbac.None {
				t.Errorf("%s has %q", role, p)
			}
		}
	}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	all := rbac.Scopes()
	if all[0] != rbac.ScopeAll {
		t.Errorf("the first is %s", all[0])
	}
	for i, s := range all {
		if slices.Contains(all[:i], s) {
			t.Errorf("%s is there twice", s)
		}
		if got, err := rbac.ParseScope(string(s)); err != nil || got != s {
			t.Errorf("%s: got %q, %v", s, got, err)
		}
	}
	// Every permission that a person can have has a scope of its own.
	for _, p := range rbac.Permissions() {
		if got := slices.Contains(all, rbac.Scope(p.String())); got != (rbac.Owner.Reach(p) != rbac.None) {
			t.Errorf("scope %s: %t", p, got)
		}
	}
}

func TestScopesThatAreNone(t *testing.T) {
	t.Parallel()
	const canary = "sk-canary-0123456789"
	for _, s := range []string{
		"", " ", "*", "*:*", "All", "ALL", "all ", " all", "all\n", "ai_provider", "ai_provider:", ":read", "ai_provider:open", "ai_provider_key:use",
		"api_key:use", "AI_PROVIDER:read", "ai_provider:Read", "ai_provider: read", "ai_provider:read,all", "secret:read", "gateway:delete", canary,
	} {
		got, err := rbac.ParseScope(s)
		if err == nil || got != "" {
			t.Errorf("%q is taken for %q", s, got)
			continue
		}
		if strings.Contains(err.Error(), canary) || !strings.Contains(err.Error(), "gateway:use") {
			t.Errorf("the error has what was sent, or not the scopes there are: %v", err)
		}
	}
}

// A scope that is no scope covers as little as one can make of it: nothing that
// it does not name.
func TestScopeCoversWhatItNames(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SampledFrom(rbac.Permissions()).Draw(t, "permission")
		s := rapid.OneOf(rapid.SampledFrom(rbac.Scopes()), rapid.Map(rapid.StringMatching(`[a-z_]{0,12}:?[a-z*]{0,8}`), func(s string) rbac.Scope { return rbac.Scope(s) })).Draw(t, "scope")
		want := s == rbac.ScopeAll || string(s) == string(p.Resource)+":*" || string(s) == p.String()
		if got := s.Covers(p); got != want {
			t.Fatalf("%q covers %s: %t", s, p, got)
		}
	})
}

func TestInclusionIsAnOrderByCoverage(t *testing.T) {
	t.Parallel()
	scope := rapid.SampledFrom(rbac.Scopes())
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := scope.Draw(t, "a"), scope.Draw(t, "b"), scope.Draw(t, "c")
		if !a.Includes(a) {
			t.Fatalf("%s does not include itself", a)
		}
		if a.Includes(b) && b.Includes(c) && !a.Includes(c) {
			t.Fatalf("%s includes %s, that includes %s, and yet", a, b, c)
		}
		if a != b && a.Includes(b) && b.Includes(a) && covered(a) != covered(b) {
			t.Fatalf("%s and %s include each other and differ", a, b)
		}
		// Consistent with what they cover, "all" being more than everything
		// that there is today.
		want := b != rbac.ScopeAll || a == rbac.ScopeAll
		for _, p := range rbac.Permissions() {
			want = want && (!b.Covers(p) || a.Covers(p))
		}
		if got := a.Includes(b); got != want {
			t.Fatalf("%s includes %s: %t", a, b, got)
		}
	})
}

func covered(s rbac.Scope) (out string) {
	for _, p := range rbac.Permissions() {
		if s.Covers(p) {
			out += p.String() + " "
		}
	}
	return out
}

// A person with any scopes whatever reaches nothing that is the system's.
func TestNoScopeReachesWhatIsTheSystems(t *testing.T) {
	t.Parallel()
	for _, s := range rbac.Scopes() {
		for _, role := range rbac.Roles() {
			if !role.ForPeople() {
				continue
			}
			for _, p := range rbac.Permissions() {
				mine := s.Covers(p) && role.Reach(p) != rbac.None
				if mine && !p.ForPeople() {
					t.Errorf("%s with scope %s may %s", role, s, p)
				}
			}
		}
	}
}
