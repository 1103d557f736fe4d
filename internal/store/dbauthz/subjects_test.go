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

// Whoever says who a user is at an identity provider says who can sign in as the user.
func TestWhoSaysWhoSomebodyIs(t *testing.T) {
	t.Parallel()
	p := newPeople()
	idle := store.User{ID: "u-idle", Name: "idle"}
	expiring := dbgen.Actor(p.root, rbac.ScopeAll)
	expiring.ExpiresAt = time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		who  store.Actor
		of   store.User
		want bool
	}{
		"an owner, a member":                         {dbgen.Actor(p.root, rbac.ScopeAll), p.mem, true},
		"an owner, themselves":                       {dbgen.Actor(p.root, rbac.ScopeAll), p.root, true},
		"an owner with a token that expires":         {expiring, p.mem, false},
		"an owner with a token for users alone":      {dbgen.Actor(p.root, "user:*"), p.mem, false},
		"an owner, one who can do nothing":           {dbgen.Actor(p.root, rbac.ScopeAll), idle, true},
		"a token for users alone, the same":          {dbgen.Actor(p.root, "user:*"), idle, false},
		"a user-admin, a member":                     {dbgen.Actor(p.uma, rbac.ScopeAll), p.mem, true},
		"a user-admin, an owner":                     {dbgen.Actor(p.uma, rbac.ScopeAll), p.root, false},
		"a user-admin, of who can what they cannot":  {dbgen.Actor(p.uma, rbac.ScopeAll), p.strong, false},
		"a user-admin without password:update":       {dbgen.Actor(p.uma, "user:*", "gateway:*", "api_key:*"), p.mem, false},
		"a member, themselves":                       {dbgen.Actor(p.mem, rbac.ScopeAll), p.mem, false},
		"what makes users of whoever signs in there": {store.Actor{Kind: store.ActorSystem, Power: rbac.SystemRegistrar.Grants()}, p.mem, true},
		"nobody": {store.Actor{}, p.mem, false},
	} {
		m := newPeople().memory
		m.users = append(m.users, idle)
		_, err := dbauthz.Layer(c.who, m.tx()).Users.Update(context.Background(), c.of.ID, func(u *store.User) error {
			u.Issuer, u.Subject = "https://idp.example.com", "s"
			return nil
		})
		changed := false
		for _, u := range m.users {
			changed = changed || u.Subject != ""
		}
		if (err == nil) != c.want || changed != c.want || !c.want && !errors.Is(err, store.ErrDenied) && !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v, changed %t", name, err, changed)
		}
	}
}
