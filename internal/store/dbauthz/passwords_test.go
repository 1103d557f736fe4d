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

// Whoever sets a password can do all that its user can from then on.
func TestWhoSetsWhosePassword(t *testing.T) {
	t.Parallel()
	p := newPeople()
	expiring := dbgen.Actor(p.root, rbac.ScopeAll)
	expiring.ExpiresAt = time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
	self := store.Actor{Kind: store.ActorUser, ID: p.strong.ID, Power: rbac.SignedIn()}
	must := self
	must.SessionID = "s"
	session := must
	session.Power = session.Power.Or(p.strong.Grants([]store.Role{p.reader}))
	admin := dbgen.Actor(p.uma, rbac.ScopeAll)
	admin.SessionID = "s"
	for name, c := range map[string]struct {
		who  store.Actor
		of   store.User
		want bool
	}{
		"an owner, their own":                           {dbgen.Actor(p.root, rbac.ScopeAll), p.root, true},
		"an owner, a member's":                          {dbgen.Actor(p.root, rbac.ScopeAll), p.mem, true},
		"an owner with a narrow token, their own":       {dbgen.Actor(p.root, "password:*"), p.root, false},
		"an owner with a narrow token, a member's":      {dbgen.Actor(p.root, "password:*"), p.mem, false},
		"an owner with a token that expires":            {expiring, p.root, false},
		"a user-admin, a member's":                      {dbgen.Actor(p.uma, rbac.ScopeAll), p.mem, true},
		"a user-admin, an owner's":                      {dbgen.Actor(p.uma, rbac.ScopeAll), p.root, false},
		"a user-admin, a disabled owner's":              {dbgen.Actor(p.uma, rbac.ScopeAll), p.away, false},
		"a user-admin, of who can what they cannot":     {dbgen.Actor(p.uma, rbac.ScopeAll), p.strong, false},
		"a user-admin, of who may do what is unknown":   {dbgen.Actor(p.uma, rbac.ScopeAll), p.future, false},
		"a user-admin in a session, a member's":         {admin, p.mem, true},
		"a user-admin in a session, an owner's":         {admin, p.root, false},
		"a member, their own":                           {dbgen.Actor(p.mem, rbac.ScopeAll), p.mem, true},
		"a member, another's":                           {dbgen.Actor(p.mem, rbac.ScopeAll), p.strong, false},
		"a member with a token for the gateway":         {dbgen.Actor(p.mem, "gateway:*"), p.mem, false},
		"somebody without a role for it, in a session":  {session, p.strong, true},
		"somebody who is let in for less than they can": {self, p.strong, false},
		"somebody who must change theirs":               {must, p.strong, true},
		"somebody who must change theirs, another's":    {must, p.mem, false},
		"nobody": {store.Actor{}, p.mem, false},
	} {
		for verb, do := range map[string]func(store.Tx) error{
			"insert": func(tx store.Tx) error {
				_, err := tx.Passwords.Insert(context.Background(), store.Password{UserID: c.of.ID})
				return err
			},
			"update": func(tx store.Tx) error {
				_, err := tx.Passwords.Update(context.Background(), c.of.ID, func(p *store.Password) error { p.MustChange = true; return nil })
				return err
			},
		} {
			m := newPeople().memory
			if verb == "update" {
				m.passwords = records[store.Password]{{UserID: c.of.ID}}
			}
			err := do(dbauthz.Layer(c.who, m.tx()))
			changed := len(m.passwords) == 1 && (verb == "insert" || m.passwords[0].MustChange)
			if (err == nil) != c.want || changed != c.want || !c.want && !errors.Is(err, store.ErrDenied) && !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s: %s: %v, changed %t", name, verb, err, changed)
			}
		}
	}
}

func TestAPasswordStaysWhoseItIs(t *testing.T) {
	t.Parallel()
	m := newPeople().memory
	m.passwords = records[store.Password]{{UserID: "u-mem"}}
	_, err := dbauthz.Layer(dbgen.Owner, m.tx()).Passwords.Update(t.Context(), "u-mem", func(p *store.Password) error { p.UserID = "u-root"; return nil })
	if !errors.Is(err, store.ErrDenied) || m.passwords[0].UserID != "u-mem" {
		t.Errorf("it is %+v now: %v", m.passwords, err)
	}
}

func TestNobodyOpensASessionButTheDoorkeeper(t *testing.T) {
	t.Parallel()
	p := newPeople()
	for _, u := range []store.User{p.root, p.uma, p.mem} {
		if _, err := dbauthz.Layer(dbgen.Actor(u, rbac.ScopeAll), p.tx()).Sessions.Insert(t.Context(), store.Session{ID: "s", UserID: u.ID}); !errors.Is(err, store.ErrDenied) {
			t.Errorf("%s: %v", u.Name, err)
		}
	}
	in := store.Actor{Kind: store.ActorUser, ID: p.mem.ID, Power: rbac.SignedIn()}
	if _, err := dbauthz.Layer(in, p.tx()).Sessions.Insert(t.Context(), store.Session{ID: "s", UserID: p.root.ID}); !errors.Is(err, store.ErrDenied) {
		t.Errorf("that of another: %v", err)
	}
	if _, err := dbauthz.Layer(in, p.tx()).Sessions.Insert(t.Context(), store.Session{ID: "s", UserID: p.mem.ID}); err != nil {
		t.Errorf("to go on in another: %v", err)
	}
}
