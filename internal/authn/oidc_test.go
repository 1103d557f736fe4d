package authn_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/oidc"
	"github.com/gatehousehq/gatehouse/internal/oidc/oidctest"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

// Who is looked up at an identity provider's word is looked at once more when their
// session opens.
func TestWhatLetsSomebodyInElsewhereIsStillSo(t *testing.T) {
	t.Parallel()
	const callback = "http://127.0.0.1:1/callback"
	update := func(change func(*store.User)) func(context.Context, store.Tx, store.User) error {
		return func(ctx context.Context, tx store.Tx, u store.User) error {
			_, err := tx.Users.Update(ctx, u.ID, func(u *store.User) error { change(u); return nil })
			return err
		}
	}
	for name, change := range map[string]func(context.Context, store.Tx, store.User) error{
		"nothing":                      nil,
		"the user is disabled":         update(func(u *store.User) { u.Disabled = true }),
		"they have other roles":        update(func(u *store.User) { u.Roles = store.SetOf("auditor") }),
		"they are somebody else there": update(func(u *store.User) { u.Subject = "2" }),
		"the user is gone": func(ctx context.Context, tx store.Tx, u store.User) error {
			_, err := tx.Users.Delete(ctx, u.ID)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.EachConfig(t, func(t *testing.T, cfg sqlstore.Config) {
				turns, meanwhile := 0, func() {}
				cfg.Before = func(_ context.Context, statement string) error {
					if strings.Contains(statement, "generation = generation") {
						if turns++; turns == 2 { // that of the user has been; that of the session comes
							meanwhile()
						}
					}
					return nil
				}
				s := storetest.Open(t, cfg)
				ctx := t.Context()
				idp := oidctest.New(t, oidctest.Config{ClientID: "gate", ClientSecret: "hidden", RedirectURIs: []string{callback}})
				idp.SetUser("ann", oidctest.User{"sub": "1"})
				u := dbgen.User(t, s.DB, store.User{Name: "ann", Issuer: idp.URL, Subject: "1"})
				next := &http.Transport{}
				t.Cleanup(next.CloseIdleConnections)
				p := oidc.New(oidc.Config{Name: "acme", Issuer: idp.URL, ClientID: "gate", ClientSecret: secret.New("hidden")}, next, time.Now)
				f := oidc.NewFlow("/", [32]byte{}, time.Now())
				to, err := p.AuthURL(ctx, f, callback)
				if err != nil {
					t.Fatal(err)
				}
				back := idp.SignIn(t, to, "ann").Query()
				turns = 0
				if change != nil {
					meanwhile = func() {
						if err := s.Update(ctx, dbgen.Owner, func(tx store.Tx) error { return change(ctx, tx, u) }); err != nil {
							t.Error(err)
						}
					}
				}
				sessions := authn.NewSessions(s.DB, nil, authn.Limits{Idle: time.Hour, Lifetime: time.Hour}, time.Now, nil)
				value, _, err := sessions.SignInByOIDC(ctx, p, authn.Return{
					Cookie: f.Cookie(), State: back.Get("state"), RedirectURI: callback, Answer: oidc.Answer{Code: back.Get("code"), Issuer: back.Get("iss")},
				}, store.Origin{})
				if in := change == nil; in != (err == nil) || value.IsZero() == in || turns < 2 {
					t.Errorf("got %v after %d turns", err, turns)
				}
			})
		})
	}
}
