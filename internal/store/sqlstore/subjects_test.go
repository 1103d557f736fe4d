package sqlstore_test

import (
	"errors"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

func TestUsersAreFoundBySubject(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		ctx := t.Context()
		dbgen.User(t, s.DB, store.User{Name: "nobody there"})
		dbgen.User(t, s.DB, store.User{Name: "nor there"})
		ada := dbgen.User(t, s.DB, store.User{Name: "ada", Issuer: "https://a.example.com", Subject: "1"})
		dbgen.User(t, s.DB, store.User{Name: "bob", Issuer: "https://b.example.com", Subject: "1"})
		err := s.View(ctx, dbgen.Doorkeeper, func(tx store.Tx) error {
			if p, err := tx.Credentials.BySubject(ctx, "https://a.example.com", "1"); err != nil || p.User != ada {
				t.Errorf("got %+v, %v", p, err)
			}
			for _, none := range [][2]string{{"https://a.example.com", "2"}, {"https://a.example.com/", "1"}, {"", "1"}, {"", ""}, {"https://a.example.com", ""}, {"https://a.example.com", "1\x00"}, {"https://a.example.com", "\xff"}} {
				if p, err := tx.Credentials.BySubject(ctx, none[0], none[1]); !errors.Is(err, store.ErrNotFound) {
					t.Errorf("%q: got %+v, %v", none, p, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		err = s.Update(ctx, dbgen.Owner, func(tx store.Tx) error {
			_, err := tx.Users.Insert(ctx, store.User{ID: dbgen.ID(), Name: "eve", Issuer: ada.Issuer, Subject: ada.Subject})
			return err
		})
		if c, ok := errors.AsType[*store.ConflictError](err); !ok || c.Field != "subject" {
			t.Errorf("two who are the same: %v", err)
		}
	})
}

// Who is somebody else at a provider has to sign in again.
func TestAnotherSubjectEndsSessions(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		ctx := t.Context()
		ada := dbgen.User(t, s.DB, store.User{Issuer: "https://a.example.com", Subject: "1"})
		session, _ := dbgen.Session(t, s.DB, ada, store.Session{Method: store.SignedInByOIDC("acme")})
		change := func(edit func(*store.User)) (left int) {
			err := s.Update(ctx, dbgen.Owner, func(tx store.Tx) error {
				_, err := tx.Users.Update(ctx, ada.ID, func(u *store.User) error { edit(u); return nil })
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			err = s.View(ctx, dbgen.Owner, func(tx store.Tx) error {
				all, err := tx.Sessions.List(ctx, store.Query{})
				left = len(all)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return left
		}
		if n := change(func(u *store.User) { u.Name = "renamed" }); n != 1 {
			t.Errorf("another name leaves %d sessions", n)
		}
		if p, none := session.Method.Provider(), store.SignedInByPassword.Provider(); p != "acme" || none != "" {
			t.Errorf("the providers are %q and %q", p, none)
		}
		if n := change(func(u *store.User) { u.Subject = "2" }); n != 0 {
			t.Errorf("another subject leaves %d sessions", n)
		}
	})
}
