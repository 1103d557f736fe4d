package accounts_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/accounts"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

// as runs fn in a transaction of who.
func as[T any](t *testing.T, s *storetest.Store, who store.Actor, fn func(ctx context.Context, tx store.Tx) (T, error)) (out T, err error) {
	t.Helper()
	ctx := t.Context()
	err = s.Update(ctx, who, func(tx store.Tx) (err error) {
		out, err = fn(ctx, tx)
		return err
	})
	return out, err
}

func update(t *testing.T, s *storetest.Store, who store.Actor, ref string, e accounts.UserEdit) (store.User, error) {
	t.Helper()
	return as(t, s, who, func(ctx context.Context, tx store.Tx) (store.User, error) {
		return accounts.UpdateUser(ctx, tx, ref, e)
	})
}

func remove(t *testing.T, s *storetest.Store, who store.Actor, ref string) error {
	t.Helper()
	_, err := as(t, s, who, func(ctx context.Context, tx store.Tx) (any, error) { return nil, accounts.DeleteUser(ctx, tx, ref) })
	return err
}

func makeRole(t *testing.T, s *storetest.Store, who store.Actor, name string, permissions ...string) (store.Role, error) {
	t.Helper()
	return as(t, s, who, func(ctx context.Context, tx store.Tx) (store.Role, error) {
		return accounts.CreateRole(ctx, tx, name, "", permissions)
	})
}

func removeRole(t *testing.T, s *storetest.Store, ref string) error {
	t.Helper()
	_, err := as(t, s, dbgen.Owner, func(ctx context.Context, tx store.Tx) (any, error) { return nil, accounts.DeleteRole(ctx, tx, ref) })
	return err
}

// fields returns the fields that err says are wrong, and fails if it says
// anything that was given.
func fields(t *testing.T, err error) (out []string) {
	t.Helper()
	if err != nil && strings.Contains(err.Error(), canary) {
		t.Errorf("the error has what was given: %v", err)
	}
	var walk func(error)
	walk = func(err error) {
		switch e := err.(type) {
		case *store.InvalidError:
			out = append(out, e.Field)
		case interface{ Unwrap() []error }:
			for _, e := range e.Unwrap() {
				walk(e)
			}
		case nil:
		default:
			t.Errorf("got %v, want fields that are invalid", err)
		}
	}
	walk(err)
	return out
}

const canary = "Zq8vK3xW1pLm5tRb"

func TestUserNames(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		for _, c := range []struct {
			name string
			ok   bool
		}{
			{"ada", true}, {"Ada Lovelace", true}, {"größe", true}, {"ada@example.com", true}, {"x", true}, {strings.Repeat("ä", 128), true},
			{"", false}, {" ", false}, {" ada", false}, {"ada ", false}, {"a\nb", false}, {"a\x00b", false}, {"a\xffb", false},
			{strings.Repeat("ä", 129), false}, {"0190a5a0-0000-7000-8000-00000000aaaa", false}, {"0190a5a00000700080000000000000aa", false},
		} {
			made, err := as(t, s, dbgen.Owner, func(ctx context.Context, tx store.Tx) (store.User, error) {
				return accounts.CreateUser(ctx, tx, c.name, nil)
			})
			if c.ok != (err == nil) || c.ok && made.Name != c.name {
				t.Errorf("%q: %v", c.name, err)
				continue
			}
			if c.ok {
				continue
			}
			if got := fields(t, err); len(got) != 1 || got[0] != "name" {
				t.Errorf("%q: fields %v", c.name, got)
			}
			u := dbgen.User(t, s.DB, store.User{})
			if _, err := update(t, s, dbgen.Owner, u.ID, accounts.UserEdit{Name: &c.name}); err == nil {
				t.Errorf("a user was renamed to %q", c.name)
			}
		}
		// A name is one user's at a time.
		taken, conflict := "ada", new(store.ConflictError)
		u := dbgen.User(t, s.DB, store.User{Name: "bob"})
		if _, err := update(t, s, dbgen.Owner, u.ID, accounts.UserEdit{Name: &taken}); !errors.As(err, &conflict) || conflict.Field != "name" {
			t.Errorf("renamed to a name that is taken: %v", err)
		}
		free := "rob"
		if got, err := update(t, s, dbgen.Owner, "bob", accounts.UserEdit{Name: &free}); err != nil || got.ID != u.ID || got.Name != free {
			t.Errorf("renamed: %+v, %v", got, err)
		}
	})
}

func TestAllThatIsWrongIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		role, err := makeRole(t, s, dbgen.Owner, "keeper", "ai_provider:read")
		if err != nil {
			t.Fatal(err)
		}
		before := len(s.Audit(t))
		_, err = as(t, s, dbgen.Owner, func(ctx context.Context, tx store.Tx) (store.User, error) {
			// A role by its id would be kept as a name that no role has.
			return accounts.CreateUser(ctx, tx, canary+"\n", []string{"member", canary, role.ID, "keeper", "a\nowner", ""})
		})
		if diff := cmp.Diff([]string{"name", "roles[1]", "roles[2]", "roles[4]", "roles[5]"}, fields(t, err)); diff != "" {
			t.Errorf("a user (-want +got):\n%s", diff)
		}
		for _, unknown := range []string{"nobody", "system-compiler"} {
			u := dbgen.User(t, s.DB, store.User{})
			_, err := update(t, s, dbgen.Owner, u.ID, accounts.UserEdit{Roles: &[]string{unknown}})
			if got := fields(t, err); len(got) != 1 || got[0] != "roles" {
				t.Errorf("role %s: %v", unknown, err)
			}
		}
		_, err = as(t, s, dbgen.Owner, func(ctx context.Context, tx store.Tx) (store.Role, error) {
			return accounts.CreateRole(ctx, tx, canary, strings.Repeat(canary, 17), []string{
				"gateway:use", canary + ":read", "ai_provider_key:open", "gateway:use:own", "api_key:read:own", "gateway:*", "all", "",
			})
		})
		want := []string{"name", "description", "permissions[1]", "permissions[2]", "permissions[3]", "permissions[5]", "permissions[6]", "permissions[7]"}
		if diff := cmp.Diff(want, fields(t, err)); diff != "" {
			t.Errorf("a role (-want +got):\n%s", diff)
		}
		_, err = as(t, s, dbgen.Owner, func(ctx context.Context, tx store.Tx) (store.Role, error) {
			line := "a\nb"
			return accounts.UpdateRole(ctx, tx, "keeper", accounts.RoleEdit{Description: &line, Permissions: &[]string{}})
		})
		if diff := cmp.Diff([]string{"description", "permissions"}, fields(t, err)); diff != "" {
			t.Errorf("an edit of a role (-want +got):\n%s", diff)
		}
		if got := len(s.Audit(t)); got != before+2 { // the two users that dbgen made
			t.Errorf("%d entries, want %d", got, before+2)
		}
	})
}

func TestRoleNames(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		for _, name := range []string{"a", "key-keeper", strings.Repeat("a", 63)} {
			if _, err := makeRole(t, s, dbgen.Owner, name, "gateway:use"); err != nil {
				t.Errorf("%q: %v", name, err)
			}
		}
		for _, name := range []string{"", "A", "a b", "-a", "a-", "a--b", "a\n", "system:compiler", strings.Repeat("a", 64), "0190a5a0-0000-7000-8000-00000000aaaa"} {
			_, err := makeRole(t, s, dbgen.Owner, name, "gateway:use")
			if got := fields(t, err); len(got) != 1 || got[0] != "name" {
				t.Errorf("%q: %v", name, err)
			}
		}
		var conflict *store.ConflictError
		for _, name := range []string{"a", "owner", "auditor", "user-admin", "member"} {
			if _, err := makeRole(t, s, dbgen.Owner, name, "gateway:use"); !errors.As(err, &conflict) || conflict.Field != "name" {
				t.Errorf("a second %q: %v", name, err)
			}
		}
	})
}

// Whatever is done to the last enabled owner, one is left; who may not do it
// hears that, and not how many owners there are.
func TestLastOwnerStays(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		owner := dbgen.User(t, s.DB, store.User{Name: "ada", Roles: store.SetOf("member", "owner")})
		admin := dbgen.User(t, s.DB, store.User{Roles: store.SetOf("user-admin")})
		dbgen.APIKey(t, s.DB, owner, store.APIKey{})
		if _, err := makeRole(t, s, dbgen.Owner, "as-good", rbac.Owner.Grants().Strings()...); err != nil {
			t.Fatal(err)
		}
		dbgen.User(t, s.DB, store.User{Roles: store.SetOf("as-good")}) // is no owner
		off := dbgen.User(t, s.DB, store.User{Roles: store.SetOf("owner")})
		if _, err := update(t, s, dbgen.Owner, off.ID, accounts.UserEdit{Disabled: new(true)}); err != nil {
			t.Fatal(err)
		}
		changes := map[string]func(who store.Actor) error{
			"disable": func(who store.Actor) error {
				_, err := update(t, s, who, "ada", accounts.UserEdit{Disabled: new(true)})
				return err
			},
			"demote": func(who store.Actor) error {
				_, err := update(t, s, who, "ada", accounts.UserEdit{Roles: &[]string{"member", "as-good"}})
				return err
			},
			"delete": func(who store.Actor) error { return remove(t, s, who, "ada") },
		}
		before := s.Audit(t)
		for name, change := range changes {
			var conflict *store.ConflictError
			if err := change(dbgen.Owner); !errors.As(err, &conflict) || !strings.Contains(conflict.Reason, "last user with the role owner") {
				t.Errorf("%s the last owner: %v", name, err)
			}
			if err := change(dbgen.Actor(admin, rbac.ScopeAll)); !errors.Is(err, store.ErrDenied) {
				t.Errorf("%s the last owner, by a user-admin: %v", name, err)
			}
		}
		if after := s.Audit(t); len(after) != len(before) {
			t.Errorf("refused changes left %d entries", len(after)-len(before))
		}
		// What else changes about them is their business.
		if _, err := update(t, s, dbgen.Owner, "ada", accounts.UserEdit{Roles: &[]string{"owner"}, Disabled: new(false)}); err != nil {
			t.Errorf("an edit that leaves an owner: %v", err)
		}
		// The control: beside another, each can be done.
		if _, err := update(t, s, dbgen.Owner, off.ID, accounts.UserEdit{Disabled: new(false)}); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"disable", "demote", "delete"} {
			if err := changes[name](dbgen.Owner); err != nil {
				t.Errorf("%s one of two owners: %v", name, err)
			}
		}
	})
}

func TestTwoOwnersCannotDemoteEachOtherAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		pair := []store.User{dbgen.User(t, s.DB, store.User{Roles: store.SetOf("owner")}), dbgen.User(t, s.DB, store.User{Roles: store.SetOf("owner")})}
		for range 10 {
			errs := make(chan error)
			for i, u := range pair {
				who, other := dbgen.Actor(u, rbac.ScopeAll), pair[1-i]
				go func() {
					_, err := update(t, s, who, other.ID, accounts.UserEdit{Roles: &[]string{}})
					errs <- err
				}()
			}
			var conflict *store.ConflictError
			if a, b := <-errs, <-errs; (a == nil) == (b == nil) || !errors.As(errors.Join(a, b), &conflict) {
				t.Fatalf("got %v and %v, want one refused", a, b)
			}
			for _, u := range pair {
				if _, err := update(t, s, dbgen.Owner, u.ID, accounts.UserEdit{Roles: &[]string{"owner"}}); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

func TestDeletedUserLosesTheirTokens(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		u, other := dbgen.User(t, s.DB, store.User{Name: "bob"}), dbgen.User(t, s.DB, store.User{})
		for _, name := range []string{"one", "two"} {
			dbgen.APIKey(t, s.DB, u, store.APIKey{Name: name})
		}
		dbgen.APIKey(t, s.DB, other, store.APIKey{Name: "kept"})
		dbgen.User(t, s.DB, store.User{Roles: store.SetOf("owner")})
		before := len(s.Audit(t))
		if err := remove(t, s, dbgen.Owner, "bob"); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range s.Audit(t)[before:] {
			got = append(got, string(e.Action)+" "+string(e.Resource)+" "+e.Target)
		}
		if diff := cmp.Diff([]string{"delete api_key one", "delete api_key two", "delete user bob"}, got); diff != "" {
			t.Errorf("entries (-want +got):\n%s", diff)
		}
		left, err := as(t, s, dbgen.Owner, func(ctx context.Context, tx store.Tx) ([]store.APIKey, error) {
			return tx.APIKeys.List(ctx, store.Query{})
		})
		if err != nil || len(left) != 1 || left[0].Name != "kept" {
			t.Errorf("tokens left: %d, %v", len(left), err)
		}
		if err := remove(t, s, dbgen.Owner, "bob"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("again: %v", err)
		}
		// Without the right to revoke their tokens, there is none to delete them.
		u = dbgen.User(t, s.DB, store.User{Roles: store.SetOf("member")})
		dbgen.APIKey(t, s.DB, u, store.APIKey{})
		admin := dbgen.User(t, s.DB, store.User{Roles: store.SetOf("owner")})
		if err := remove(t, s, dbgen.Actor(admin, "user:*", "gateway:*", "api_key:create", "api_key:read", "interception:read"), u.ID); !errors.Is(err, store.ErrDenied) {
			t.Errorf("without api_key:delete: %v", err)
		}
	})
}

// A token that is made while its owner is deleted goes with them or is refused.
func TestNoTokenOutlivesItsOwner(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		dbgen.User(t, s.DB, store.User{Roles: store.SetOf("owner")})
		for range 10 {
			u := dbgen.User(t, s.DB, store.User{})
			minted := make(chan struct{})
			go func() {
				defer close(minted)
				for range 3 {
					_, _ = as(t, s, dbgen.Owner, func(ctx context.Context, tx store.Tx) (store.APIKey, error) { // refused once they are gone
						return tx.APIKeys.Insert(ctx, store.APIKey{
							ID: dbgen.ID(), OwnerID: u.ID, Name: "n", TokenHash: [32]byte([]byte(dbgen.ID())[:32]), Scopes: store.SetOf("gateway:use"),
						})
					})
				}
			}()
			if err := remove(t, s, dbgen.Owner, u.ID); err != nil {
				t.Errorf("delete: %v", err)
			}
			<-minted
			left, err := as(t, s, dbgen.Owner, func(ctx context.Context, tx store.Tx) ([]store.APIKey, error) {
				return tx.APIKeys.List(ctx, store.Query{OwnerID: u.ID})
			})
			if err != nil || len(left) != 0 {
				t.Errorf("%d tokens left, %v", len(left), err)
			}
		}
	})
}

func TestRoleThatUsersHaveStays(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		role, err := makeRole(t, s, dbgen.Owner, "keeper", "ai_provider:read")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := makeRole(t, s, dbgen.Owner, "keep", "ai_provider:read"); err != nil { // a part of the name
			t.Fatal(err)
		}
		one := dbgen.User(t, s.DB, store.User{Roles: store.SetOf("member", "keeper")})
		two := dbgen.User(t, s.DB, store.User{Roles: store.SetOf("keeper")})
		before := len(s.Audit(t))
		for _, ref := range []string{"keeper", role.ID} {
			var conflict *store.ConflictError
			if err := removeRole(t, s, ref); !errors.As(err, &conflict) || !strings.Contains(conflict.Reason, "2") {
				t.Errorf("a role of two users: %v", err)
			}
		}
		if got := len(s.Audit(t)); got != before {
			t.Errorf("a refused deletion left %d entries", got-before)
		}
		if err := removeRole(t, s, "keep"); err != nil {
			t.Errorf("a role of nobody: %v", err)
		}
		for _, u := range []store.User{one, two} {
			if _, err := update(t, s, dbgen.Owner, u.ID, accounts.UserEdit{Roles: &[]string{"member"}}); err != nil {
				t.Fatal(err)
			}
		}
		if err := removeRole(t, s, "keeper"); err != nil {
			t.Errorf("a role that was taken from all: %v", err)
		}
	})
}

func TestBuiltInRolesStay(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		var conflict *store.ConflictError
		for _, name := range []string{"owner", "auditor", "user-admin", "member"} {
			if err := removeRole(t, s, name); !errors.As(err, &conflict) || !strings.Contains(conflict.Reason, "built in") {
				t.Errorf("delete %s: %v", name, err)
			}
			_, err := as(t, s, dbgen.Owner, func(ctx context.Context, tx store.Tx) (store.Role, error) {
				return accounts.UpdateRole(ctx, tx, name, accounts.RoleEdit{Permissions: &[]string{"gateway:use"}})
			})
			if !errors.As(err, &conflict) || !strings.Contains(conflict.Reason, "built in") {
				t.Errorf("change %s: %v", name, err)
			}
		}
		for _, name := range []string{"system:compiler", "nobody"} { // not there to be seen
			if err := removeRole(t, s, name); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("delete %s: %v", name, err)
			}
		}
	})
}
