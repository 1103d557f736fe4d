package sqlstore_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
	"github.com/gatehousehq/gatehouse/internal/token"
)

func TestSessionsAndPasswordsComeBackAsTheyWentIn(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		ctx := t.Context()
		u := dbgen.User(t, s.DB, store.User{Name: "ann", Roles: store.SetOf("owner", "member")})
		dbgen.User(t, s.DB, store.User{Name: "bob"})
		pw := dbgen.Password(t, s.DB, store.Password{UserID: u.ID, MustChange: true})
		end := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
		one, value := dbgen.Session(t, s.DB, u, store.Session{Method: store.SignedInByPassword, Address: "2001:db8::1", UserAgent: "M 'x' ü", ExpiresAt: end})
		two, _ := dbgen.Session(t, s.DB, u, store.Session{})
		if one.UserName != "ann" || pw.UserName != "ann" || !one.ExpiresAt.Equal(end) || one.CreatedAt.IsZero() || one.LastSeenAt != one.CreatedAt {
			t.Errorf("they are kept as %+v and %+v", one, pw)
		}
		seen := one.CreatedAt.Add(time.Minute)
		err := s.Update(ctx, dbgen.Doorkeeper, func(tx store.Tx) error {
			got, p, err := tx.Credentials.BySessionHash(ctx, token.Sum(value.Reveal()))
			if err != nil || got != one || p.User != u || p.Password != pw || len(p.Custom) != 0 {
				t.Errorf("by its hash: %+v of %+v, %v", got, p, err)
			}
			if _, _, err := tx.Credentials.BySessionHash(ctx, one.SecretHash); err != nil {
				t.Errorf("by the hash that was kept: %v", err)
			}
			if _, _, err := tx.Credentials.BySessionHash(ctx, token.Sum(string(one.SecretHash[:]))); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("what is stored lets in: %v", err)
			}
			for _, ref := range []string{"ann", u.ID} {
				if p, err := tx.Credentials.ByUser(ctx, ref); err != nil || p.User != u || p.Password != pw {
					t.Errorf("by %s: %+v, %v", ref, p, err)
				}
			}
			if p, err := tx.Credentials.ByUser(ctx, "bob"); err != nil || p.Password != (store.Password{}) {
				t.Errorf("without a password: %+v, %v", p, err)
			}
			for _, id := range []string{"", "nobody", dbgen.ID(), "\x00"} {
				_, byUser := tx.Credentials.ByUser(ctx, id)
				_, get := tx.Sessions.Get(ctx, id)
				_, password := tx.Passwords.Get(ctx, id)
				for _, err := range []error{byUser, get, password} {
					if !errors.Is(err, store.ErrNotFound) {
						t.Errorf("%q: %v", id, err)
					}
				}
			}
			if all, err := tx.Sessions.List(ctx, store.Query{OwnerID: u.ID, After: one.ID}); err != nil || !slices.Equal(all, []store.Session{two}) {
				t.Errorf("after the first: %+v, %v", all, err)
			}
			if all, err := tx.Passwords.List(ctx, store.Query{}); err != nil || !slices.Equal(all, []store.Password{pw}) {
				t.Errorf("passwords: %+v, %v", all, err)
			}
			for _, at := range []time.Time{seen, seen.Add(-time.Second)} { // it does not go back
				if err := tx.Credentials.SessionSeen(ctx, one.ID, at); err != nil {
					return err
				}
			}
			if got, err := tx.Sessions.Get(ctx, one.ID); err != nil || !got.LastSeenAt.Equal(seen) {
				t.Errorf("seen at %v, %v", got.LastSeenAt, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// sessionsOf returns how many sessions there are of a user.
func sessionsOf(t *testing.T, s *storetest.Store, u store.User) int {
	t.Helper()
	var all []store.Session
	err := s.View(t.Context(), dbgen.Owner, func(tx store.Tx) (err error) {
		all, err = tx.Sessions.List(t.Context(), store.Query{OwnerID: u.ID})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func TestWhatEndsSessions(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		ctx := t.Context()
		edit := func(fn func(*store.User)) func(store.Tx, store.User) error {
			return func(tx store.Tx, u store.User) error {
				_, err := tx.Users.Update(ctx, u.ID, func(u *store.User) error { fn(u); return nil })
				return err
			}
		}
		for name, c := range map[string]struct {
			do   func(store.Tx, store.User) error
			left int
		}{
			"nothing":         {func(store.Tx, store.User) error { return nil }, 2},
			"another name":    {edit(func(u *store.User) { u.Name += "x" }), 2},
			"to be disabled":  {edit(func(u *store.User) { u.Disabled = true }), 0},
			"another role":    {edit(func(u *store.User) { u.Roles = store.SetOf("auditor") }), 0},
			"no role":         {edit(func(u *store.User) { u.Roles = store.Set{} }), 0},
			"to be deleted":   {func(tx store.Tx, u store.User) error { _, err := tx.Users.Delete(ctx, u.ID); return err }, 0},
			"another session": {func(tx store.Tx, u store.User) error { _, err := tx.Sessions.List(ctx, store.Query{}); return err }, 2},
			"another password": {func(tx store.Tx, u store.User) error {
				_, err := tx.Passwords.Update(ctx, u.ID, func(p *store.Password) error { p.Hash = secret.New("$other"); return nil })
				return err
			}, 0},
			"no password": {func(tx store.Tx, u store.User) error { _, err := tx.Passwords.Delete(ctx, u.ID); return err }, 0},
			"the first password": {func(tx store.Tx, u store.User) error {
				if _, err := tx.Passwords.Delete(ctx, u.ID); err != nil {
					return err
				}
				_, err := tx.Passwords.Insert(ctx, store.Password{UserID: u.ID, Hash: secret.New("$new")})
				return err
			}, 0},
		} {
			u, other := dbgen.User(t, s.DB, store.User{}), dbgen.User(t, s.DB, store.User{})
			dbgen.Password(t, s.DB, store.Password{UserID: u.ID})
			for range 2 {
				dbgen.Session(t, s.DB, u, store.Session{})
			}
			dbgen.Session(t, s.DB, other, store.Session{})
			if err := s.Update(ctx, dbgen.Owner, func(tx store.Tx) error { return c.do(tx, u) }); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got := sessionsOf(t, s, u); got != c.left {
				t.Errorf("%s leaves %d sessions, want %d", name, got, c.left)
			}
			if got := sessionsOf(t, s, other); got != 1 {
				t.Errorf("%s leaves %d sessions of somebody else", name, got)
			}
		}
	})
}

func TestSessionsThatAreOverGoWithTheNextSignIn(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		u := dbgen.User(t, s.DB, store.User{})
		dbgen.Session(t, s.DB, u, store.Session{ExpiresAt: time.Now().Add(-time.Second)})
		dbgen.Session(t, s.DB, u, store.Session{})
		if got := sessionsOf(t, s, u); got != 1 {
			t.Errorf("%d are left", got)
		}
	})
}

func TestASignInIsALoginInTheLog(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		u := dbgen.User(t, s.DB, store.User{Name: "ann"})
		start := len(s.Audit(t))
		one, _ := dbgen.Session(t, s.DB, u, store.Session{})
		dbgen.Password(t, s.DB, store.Password{UserID: u.ID, Hash: secret.New("$canary")})
		log := s.Audit(t)[start:]
		if len(log) != 2 || log[0].Action != rbac.Login || log[0].Resource != rbac.Session || log[0].ID != one.ID || log[0].Target != "ann" ||
			log[1].Action != rbac.Create || log[1].Resource != rbac.Password || log[1].Target != "ann" || log[1].Diff != `{"password":{"secret":true}}` {
			t.Errorf("the log has %+v", log)
		}
	})
}
