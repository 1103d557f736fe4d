package authn_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

const castle = "a castle by the sea"

// TestWhatChangesDuringASignIn changes what lets somebody in when it was looked at
// already, right before the session is made.
func TestWhatChangesDuringASignIn(t *testing.T) {
	t.Parallel()
	disable := func(ctx context.Context, tx store.Tx, u store.User, _ store.APIKey) error {
		_, err := tx.Users.Update(ctx, u.ID, func(u *store.User) error { u.Disabled = true; return nil })
		return err
	}
	for name, c := range map[string]struct {
		byToken bool
		change  func(ctx context.Context, tx store.Tx, u store.User, k store.APIKey) error
		want    error
	}{
		"nothing, by password": {false, nil, nil},
		"nothing, by token":    {true, nil, nil},
		"another password": {false, func(ctx context.Context, tx store.Tx, u store.User, _ store.APIKey) error {
			_, err := tx.Passwords.Update(ctx, u.ID, func(p *store.Password) error { p.Hash = secret.New("$other"); return nil })
			return err
		}, authn.ErrWrongPassword},
		"no password": {false, func(ctx context.Context, tx store.Tx, u store.User, _ store.APIKey) error {
			_, err := tx.Passwords.Delete(ctx, u.ID)
			return err
		}, authn.ErrWrongPassword},
		"the user is disabled, by password": {false, disable, authn.ErrWrongPassword},
		"the user is disabled, by token":    {true, disable, authn.ErrUnknown},
		"the token is revoked": {true, func(ctx context.Context, tx store.Tx, _ store.User, k store.APIKey) error {
			_, err := tx.APIKeys.Delete(ctx, k.ID)
			return err
		}, authn.ErrUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.EachConfig(t, func(t *testing.T, cfg sqlstore.Config) {
				var meanwhile func() // run once, before the next writer has its turn
				cfg.Before = func(_ context.Context, statement string) error {
					if do := meanwhile; do != nil && strings.Contains(statement, "generation = generation") {
						meanwhile = nil
						do()
					}
					return nil
				}
				s := storetest.Open(t, cfg)
				ctx := t.Context()
				u := dbgen.User(t, s.DB, store.User{Name: "ann"})
				key, tok := dbgen.APIKey(t, s.DB, u, store.APIKey{Scopes: store.SetOf("all")})
				auth := authn.New(s.DB, time.Now, nil)
				sessions := authn.NewSessions(s.DB, auth, authn.Limits{Idle: time.Hour, Lifetime: time.Hour}, time.Now, nil)
				if _, err := sessions.SetPassword(ctx, dbgen.Owner, "ann", secret.New(castle)); err != nil {
					t.Fatal(err)
				}
				if c.change != nil {
					meanwhile = func() {
						if err := s.Update(ctx, dbgen.Owner, func(tx store.Tx) error { return c.change(ctx, tx, u, key) }); err != nil {
							t.Error(err)
						}
					}
				}
				var value secret.Text
				var err error
				if c.byToken {
					value, err = sessions.SignInByToken(ctx, tok.Reveal(), "", store.Origin{})
				} else {
					value, err = sessions.SignIn(ctx, "ann", secret.New(castle), "", store.Origin{})
				}
				if !errors.Is(err, c.want) || meanwhile != nil || (err == nil) != (c.want == nil) || value.IsZero() != (err != nil) {
					t.Errorf("got %v, want %v", err, c.want)
				}
				var left []store.Session
				err = s.View(ctx, dbgen.Owner, func(tx store.Tx) (err error) {
					left, err = tx.Sessions.List(ctx, store.Query{})
					return err
				})
				if want := c.want == nil; err != nil || (len(left) == 1) != want || len(left) > 1 {
					t.Errorf("%d sessions are left, %v", len(left), err)
				}
			})
		})
	}
}

// Disabling a user ends their sessions. Should one be there all the same, it lets
// nobody in.
func TestASessionOfADisabledUserIsOver(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		sessions := authn.NewSessions(s.DB, nil, authn.Limits{Idle: time.Hour, Lifetime: time.Hour}, time.Now, nil)
		for _, disabled := range []bool{false, true} {
			_, value := dbgen.Session(t, s.DB, dbgen.User(t, s.DB, store.User{Disabled: disabled}), store.Session{})
			_, err := sessions.Authenticate(t.Context(), value.Reveal(), store.Origin{})
			if errors.Is(err, authn.ErrSessionOver) != disabled || err != nil != disabled {
				t.Errorf("disabled %t: %v", disabled, err)
			}
		}
	})
}

// A person who changes their password twice at once has changed it once.
func TestAPasswordIsChangedFromWhatItWas(t *testing.T) {
	t.Parallel()
	storetest.EachConfig(t, func(t *testing.T, cfg sqlstore.Config) {
		var meanwhile func()
		cfg.Before = func(_ context.Context, statement string) error {
			if do := meanwhile; do != nil && strings.Contains(statement, "generation = generation") {
				meanwhile = nil
				do()
			}
			return nil
		}
		s := storetest.Open(t, cfg)
		ctx := t.Context()
		u := dbgen.User(t, s.DB, store.User{Name: "ann"})
		sessions := authn.NewSessions(s.DB, nil, authn.Limits{Idle: time.Hour, Lifetime: time.Hour}, time.Now, nil)
		who := dbgen.Actor(u, "all")
		if _, err := sessions.ChangePassword(ctx, who, secret.Text{}, secret.New(castle)); err != nil {
			t.Fatal(err)
		}
		meanwhile = func() {
			if _, err := sessions.ChangePassword(ctx, who, secret.New(castle), secret.New(castle+" 1")); err != nil {
				t.Errorf("the first: %v", err)
			}
		}
		if _, err := sessions.ChangePassword(ctx, who, secret.New(castle), secret.New(castle+" 2")); !errors.Is(err, store.ErrStale) {
			t.Errorf("the second: %v", err)
		}
		if _, err := sessions.SignIn(ctx, "ann", secret.New(castle+" 1"), "", store.Origin{}); err != nil {
			t.Errorf("the password is not the first: %v", err)
		}
	})
}
