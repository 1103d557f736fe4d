package dbauthz_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbauthz"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
)

// people are those of the cases below, and what they have.
type people struct {
	memory
	root, uma, mem, strong, future store.User
	away, orphan                   store.User
	reader, later                  store.Role
}

func newPeople() *people {
	p := &people{
		root: store.User{ID: "u-root", Name: "root", Roles: store.SetOf("owner")}, uma: store.User{ID: "u-uma", Name: "uma", Roles: store.SetOf("user-admin")},
		mem: store.User{ID: "u-mem", Name: "mem", Roles: store.SetOf("member")}, strong: store.User{ID: "u-strong", Name: "strong", Roles: store.SetOf("reader")},
		future: store.User{ID: "u-future", Name: "future", Roles: store.SetOf("later")},
		reader: store.Role{ID: "r-reader", Name: "reader", Permissions: store.SetOf("ai_provider:read")},
		later:  store.Role{ID: "r-later", Name: "later", Permissions: store.SetOf("gateway:use", "budget:update")},
	}
	p.away = store.User{ID: "u-away", Name: "away", Roles: store.SetOf("owner"), Disabled: true}
	p.orphan = store.User{ID: "u-orphan", Name: "orphan", Roles: store.SetOf("gone")}
	p.users = records[store.User]{p.root, p.uma, p.mem, p.strong, p.future, p.away, p.orphan}
	p.roles = records[store.Role]{p.reader, p.later}
	p.keys = records[store.APIKey]{
		{ID: "k-mem", OwnerID: p.mem.ID, Scopes: store.SetOf("gateway:use"), Ceiling: store.CeilingAll, ExpiresAt: time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)},
		{ID: "k-future", OwnerID: p.mem.ID, Scopes: store.SetOf("gateway:use"), Ceiling: p.later.Permissions},
	}
	return p
}

func (p *people) as(u store.User, scopes ...rbac.Scope) store.Tx {
	return dbauthz.Layer(dbgen.Actor(u, scopes...), p.tx())
}

func refusedAs(err error) string {
	var invalid *store.InvalidError
	var conflict *store.ConflictError
	switch {
	case err == nil:
		return "done"
	case errors.Is(err, store.ErrDenied):
		return "denied"
	case errors.Is(err, store.ErrNotFound):
		return "not found"
	case errors.As(err, &invalid):
		return "invalid"
	case errors.As(err, &conflict):
		return "conflict"
	}
	return err.Error()
}

func TestDelegation(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	insert := func(u store.User) func(store.Tx) error {
		return func(tx store.Tx) error { _, err := tx.Users.Insert(ctx, u); return err }
	}
	user := func(id string, edit func(*store.User)) func(store.Tx) error {
		return func(tx store.Tx) error {
			_, err := tx.Users.Update(ctx, id, func(u *store.User) error { edit(u); return nil })
			return err
		}
	}
	role := func(id string, edit func(*store.Role)) func(store.Tx) error {
		return func(tx store.Tx) error {
			_, err := tx.Roles.Update(ctx, id, func(r *store.Role) error { edit(r); return nil })
			return err
		}
	}
	key := func(id string, edit func(*store.APIKey)) func(store.Tx) error {
		return func(tx store.Tx) error {
			_, err := tx.APIKeys.Update(ctx, id, func(k *store.APIKey) error { edit(k); return nil })
			return err
		}
	}
	mint := func(owner string, scopes ...string) func(store.Tx) error {
		return func(tx store.Tx) error {
			_, err := tx.APIKeys.Insert(ctx, store.APIKey{ID: "new", OwnerID: owner, Scopes: store.SetOf(scopes...)})
			return err
		}
	}
	p := newPeople()
	all, users := []rbac.Scope{"all"}, []rbac.Scope{"user:*", "api_key:*", "role:*"}
	for _, c := range []struct {
		name   string
		who    store.User
		scopes []rbac.Scope
		do     func(store.Tx) error
		want   string
	}{
		{"an owner appoints an owner", p.root, all, insert(store.User{ID: "n", Name: "n", Roles: store.SetOf("owner")}), "done"},
		{"an owner's token of user:* does not", p.root, users, insert(store.User{ID: "n", Name: "n", Roles: store.SetOf("owner")}), "denied"},
		{"an owner's token of user:* adds one who can do nothing", p.root, users, insert(store.User{ID: "n", Name: "n"}), "done"},
		{"a user-admin appoints a member", p.uma, all, insert(store.User{ID: "n", Name: "n", Roles: store.SetOf("member")}), "done"},
		{"a user-admin appoints by a custom role above them", p.uma, all, insert(store.User{ID: "n", Name: "n", Roles: store.SetOf("reader")}), "denied"},
		{"a role by its id", p.root, all, insert(store.User{ID: "n", Name: "n", Roles: store.SetOf("r-reader")}), "invalid"},
		{"a role that is none", p.root, all, insert(store.User{ID: "n", Name: "n", Roles: store.SetOf("nothing")}), "invalid"},
		{"a role of the system", p.root, all, insert(store.User{ID: "n", Name: "n", Roles: store.SetOf("system:compiler")}), "invalid"},
		{"a role with a permission of a later version", p.uma, all, insert(store.User{ID: "n", Name: "n", Roles: store.SetOf("later")}), "denied"},
		{"the same by an owner", p.root, all, insert(store.User{ID: "n", Name: "n", Roles: store.SetOf("later")}), "done"},
		{"a user-admin renames an owner", p.uma, all, user(p.root.ID, func(u *store.User) { u.Name = "fool" }), "denied"},
		{"a user-admin disables one who can do more", p.uma, all, user(p.strong.ID, func(u *store.User) { u.Disabled = true }), "denied"},
		{"a user-admin disables a member", p.uma, all, user(p.mem.ID, func(u *store.User) { u.Disabled = true }), "done"},
		{"a user becomes another", p.root, all, user(p.mem.ID, func(u *store.User) { u.ID = "other" }), "denied"},
		{"a user-admin deletes an owner", p.uma, all, func(tx store.Tx) error { _, err := tx.Users.Delete(ctx, p.root.ID); return err }, "denied"},

		{"a user-admin deletes an owner who is disabled", p.uma, all, func(tx store.Tx) error { _, err := tx.Users.Delete(ctx, p.away.ID); return err }, "denied"},
		{"a user-admin deletes one whose role is gone", p.uma, all, func(tx store.Tx) error { _, err := tx.Users.Delete(ctx, p.orphan.ID); return err }, "done"},

		{"a role is renamed", p.root, all, role("r-reader", func(r *store.Role) { r.Name = "other" }), "invalid"},
		{"a role takes the name of a built-in one", p.root, all, func(tx store.Tx) error {
			_, err := tx.Roles.Insert(ctx, store.Role{ID: "n", Name: "owner"})
			return err
		}, "conflict"},
		{"a role with a permission of the system", p.root, all, func(tx store.Tx) error {
			_, err := tx.Roles.Insert(ctx, store.Role{ID: "n", Name: "n", Permissions: store.SetOf("ai_provider_key:open")})
			return err
		}, "invalid"},
		{"a role beyond the token that makes it", p.root, users, role("r-reader", func(r *store.Role) { r.Description = "d" }), "denied"},
		{"a role of a later version is deleted by who cannot do everything", p.root, users, func(tx store.Tx) error { _, err := tx.Roles.Delete(ctx, "r-later"); return err }, "denied"},

		{"a token for an owner by a user-admin", p.uma, all, mint(p.root.ID, "gateway:use"), "denied"},
		{"a token for a member by a user-admin", p.uma, all, mint(p.mem.ID, "all"), "done"},
		{"a token for nobody", p.uma, all, mint("nobody", "gateway:use"), "not found"},
		{"a member's for another", p.mem, all, mint(p.strong.ID, "gateway:use"), "denied"},
		{"a token is given away", p.root, all, key("k-mem", func(k *store.APIKey) { k.OwnerID = p.uma.ID }), "denied"},
		{"a ceiling is raised", p.root, all, key("k-future", func(k *store.APIKey) { k.Ceiling = store.CeilingAll }), "denied"},
		{"a token is renamed", p.uma, all, key("k-mem", func(k *store.APIKey) { k.Name = "n" }), "done"},
		{"a token is narrowed", p.uma, all, key("k-mem", func(k *store.APIKey) { k.Models = store.SetOf("m") }), "done"},
		{"a token is widened beyond the one who does", p.uma, all, key("k-mem", func(k *store.APIKey) { k.Scopes = store.SetOf("all") }), "denied"},
		{"a token of a later version gets longer lists", p.uma, all, key("k-future", func(k *store.APIKey) { k.Models = store.SetOf("m") }), "denied"},
		{"a token gets longer", p.uma, all, key("k-mem", func(k *store.APIKey) { k.ExpiresAt = time.Time{} }), "done"},
	} {
		if got := refusedAs(c.do(newPeople().as(c.who, c.scopes...))); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestCeilingIsTheStoresToSay(t *testing.T) {
	t.Parallel()
	const member = "api_key:create:own\napi_key:delete:own\napi_key:read:own\ngateway:passthrough\ngateway:use\ninterception:read:own\npassword:create:own\npassword:update:own\nsession:delete:own\nsession:read:own"
	p := newPeople()
	for _, c := range []struct {
		name string
		who  store.Actor
		want string
	}{
		{"an owner by a token", dbgen.Actor(p.root, "all"), "all"},
		{"a member by a token", dbgen.Actor(p.mem, "all"), member},
		{"an owner by a session", session(p.root), "all"},
		{"a member by a session, which may do what no token can", session(p.mem), member},
	} {
		made := store.APIKey{ID: dbgen.ID(), OwnerID: c.who.ID, Scopes: store.SetOf("all"), Ceiling: store.CeilingAll}
		k, err := dbauthz.Layer(c.who, p.tx()).APIKeys.Insert(t.Context(), made)
		if err != nil || k.Ceiling.String() != c.want {
			t.Errorf("%s: %q, %v", c.name, k.Ceiling.String(), err)
		}
	}
}

// session is what a user is who has signed in.
func session(u store.User) store.Actor {
	return store.Actor{Kind: store.ActorUser, ID: u.ID, SessionID: "s", Scopes: store.SetOf(string(rbac.ScopeAll)), Power: rbac.SignedIn().Or(dbgen.Actor(u, "all").Power)}
}

// A database that fails turns no decision into a yes.
func TestNoDecisionIsMadeBlindly(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	away := errors.New("away")
	for name, breakIt := range map[string]func(tx *store.Tx){
		"roles": func(tx *store.Tx) { tx.Roles = failing[store.Role]{tx.Roles, away} },
		"users": func(tx *store.Tx) { tx.Users = failing[store.User]{tx.Users, away} },
	} {
		p := newPeople()
		tx := p.tx()
		breakIt(&tx)
		layered := dbauthz.Layer(dbgen.Actor(p.uma, "all"), tx)
		_, appoint := layered.Users.Insert(ctx, store.User{ID: "n", Name: "n", Roles: store.SetOf("reader")})
		_, mint := layered.APIKeys.Insert(ctx, store.APIKey{ID: "n", OwnerID: p.strong.ID, Scopes: store.SetOf("gateway:use")})
		// Nor into a refusal that says something else than what is so.
		if appoint == nil || mint == nil || name == "roles" && !errors.Is(appoint, away) {
			t.Errorf("without %s: %v, %v", name, appoint, mint)
		}
	}
}

// failing is a table whose Get fails.
type failing[T store.Record] struct {
	store.Table[T]
	err error
}

func (f failing[T]) Get(context.Context, string) (z T, err error) { return z, f.err }

// What reaches one's own records only does not reach those of others, whatever
// is done to them.
func TestRecordsOfOthers(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	var power rbac.Grants
	for _, a := range []rbac.Action{rbac.Create, rbac.Read, rbac.Update, rbac.Delete} {
		power = power.With(rbac.Permission{Resource: rbac.APIKey, Action: a}, rbac.Own)
	}
	p := newPeople()
	p.keys = append(p.keys, store.APIKey{ID: "k-own", OwnerID: p.uma.ID, Scopes: store.SetOf("api_key:read"), Ceiling: store.CeilingAll})
	keys := dbauthz.Layer(store.Actor{Kind: store.ActorUser, ID: p.uma.ID, Power: power, Scopes: store.SetOf("all")}, p.tx()).APIKeys
	for _, c := range []struct{ id, want, given string }{{"k-own", "done", "denied"}, {"k-mem", "not found", "not found"}} {
		_, err := keys.Get(ctx, c.id)
		if got := refusedAs(err); got != c.want {
			t.Errorf("get %s: %s", c.id, got)
		}
		_, err = keys.Update(ctx, c.id, func(k *store.APIKey) error { k.Name = "n"; return nil })
		if got := refusedAs(err); got != c.want {
			t.Errorf("update %s: %s", c.id, got)
		}
		_, err = keys.Update(ctx, c.id, func(k *store.APIKey) error { k.OwnerID = p.mem.ID; return nil })
		if d, ok := errors.AsType[*store.DeniedError](err); refusedAs(err) != c.given || ok && d.Reason != "it would belong to somebody else" {
			t.Errorf("give away %s: %v", c.id, err)
		}
		_, err = keys.Delete(ctx, c.id)
		if got := refusedAs(err); got != c.want {
			t.Errorf("delete %s: %s", c.id, got)
		}
	}
	_, err := keys.Insert(ctx, store.APIKey{ID: "n", OwnerID: p.mem.ID, Scopes: store.SetOf("api_key:read")})
	if d, ok := errors.AsType[*store.DeniedError](err); !ok || d.Reason != "it would belong to somebody else" {
		t.Errorf("insert: %v", err)
	}
}

// A role with a permission that this version does not know may grant more than
// whoever changes it can do.
func TestRolesOfLaterVersionsAreLeftAlone(t *testing.T) {
	t.Parallel()
	power := rbac.KeptGrants([]string{"role:update", "gateway:use"})
	roles := dbauthz.Layer(store.Actor{Kind: store.ActorUser, ID: "m", Power: power, Scopes: store.SetOf("all")}, newPeople().tx()).Roles
	_, err := roles.Update(t.Context(), "r-later", func(r *store.Role) error {
		r.Permissions = store.SetOf("gateway:use")
		return nil
	})
	if got := refusedAs(err); got != "denied" {
		t.Errorf("got %s", got)
	}
}
