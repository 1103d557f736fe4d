package authn_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
	"github.com/gatehousehq/gatehouse/internal/token"
)

var noon = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

func TestActorIsTheUserAsTheTokenHasThem(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		user := dbgen.User(t, s.DB, store.User{Name: "ada", Roles: store.SetOf(string(rbac.Owner))})
		key, tok := dbgen.APIKey(t, s.DB, user, store.APIKey{
			Name: "ci", Scopes: store.SetOf("gateway:use"), Models: store.SetOf("m*"), ExpiresAt: noon,
		})
		origin := store.Origin{RequestID: "r", Address: "192.0.2.1", UserAgent: "ua"}
		got, err := authn.New(s.DB, at(noon.Add(-time.Nanosecond)), nil).Authenticate(t.Context(), tok.Reveal(), origin)
		if err != nil {
			t.Fatal(err)
		}
		want := store.Actor{
			Kind: store.ActorUser, ID: user.ID, Name: "ada", TokenID: key.ID, TokenName: "ci",
			Power: rbac.Grants{}.With(rbac.Permission{Resource: rbac.Gateway, Action: rbac.Use}, rbac.All), Scopes: store.SetOf("gateway:use"), ExpiresAt: noon, Origin: origin,
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateComparable(store.Set{}, rbac.Grants{})); diff != "" {
			t.Errorf("actor (-want +got):\n%s", diff)
		}
	})
}

func TestWhoIsNotLetIn(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		user := dbgen.User(t, s.DB, store.User{})
		_, good := dbgen.APIKey(t, s.DB, user, store.APIKey{})
		_, expired := dbgen.APIKey(t, s.DB, user, store.APIKey{ExpiresAt: noon})
		away := dbgen.User(t, s.DB, store.User{})
		_, theirs := dbgen.APIKey(t, s.DB, away, store.APIKey{})
		err := s.Update(t.Context(), dbgen.Owner, func(tx store.Tx) error {
			_, err := tx.Users.Update(t.Context(), away.ID, func(u *store.User) error {
				u.Disabled = true
				return nil
			})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		a := authn.New(s.DB, at(noon), nil)
		for _, c := range []struct {
			name, presented string
			want            error
		}{
			{"nothing", "", authn.ErrMissing},
			{"a vendor's key", "sk-0123456789abcdef", authn.ErrMalformed},
			{"mistyped", good.Reveal()[:token.Length-1] + "!", authn.ErrMalformed},
			{"with space around it", " " + good.Reveal(), authn.ErrMalformed},
			{"well formed, of nobody", token.New().Reveal(), authn.ErrUnknown},
			{"expired to the second", expired.Reveal(), authn.ErrExpired},
			{"of a disabled user", theirs.Reveal(), authn.ErrDisabled},
		} {
			who, err := a.Authenticate(t.Context(), c.presented, store.Origin{})
			if !errors.Is(err, c.want) || who != (store.Actor{}) {
				t.Errorf("%s: got %v, %v, want %v", c.name, who.Kind, err, c.want)
			}
			if c.presented != "" && strings.Contains(err.Error(), c.presented) {
				t.Errorf("%s: the error has the token in it", c.name)
			}
		}
	})
}

// away is a database that cannot be reached, and counts who tries.
type away struct{ asked int }

func (a *away) View(context.Context, func(store.Tx) error) error {
	a.asked++
	return store.ErrUnavailable
}

func (a *away) Update(context.Context, func(store.Tx) error) (int64, error) {
	return 0, store.ErrUnavailable
}

func TestMistypedTokenCostsNoQuery(t *testing.T) {
	t.Parallel()
	db := &away{}
	pass := func(_ store.Actor, tx store.Tx) store.Tx { return tx }
	a := authn.New(store.New(db, pass, pass, pass), time.Now, nil)
	good := token.New().Reveal()
	for _, bad := range []string{"", "gate_", good[1:], good + "0", strings.Replace(good, "gate_", "gate-", 1)} {
		if _, err := a.Authenticate(t.Context(), bad, store.Origin{}); errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%d characters: %v", len(bad), err)
		}
	}
	if db.asked != 0 {
		t.Errorf("the database was asked %d times", db.asked)
	}
	if _, err := a.Authenticate(t.Context(), good, store.Origin{}); !errors.Is(err, store.ErrUnavailable) || db.asked != 1 {
		t.Errorf("a good token with the database away: %v", err)
	}
}

func mint(t *testing.T, s *storetest.Store, who store.Actor, n authn.NewToken) (rec store.APIKey, tok secret.Text, err error) {
	t.Helper()
	err = s.Update(t.Context(), who, func(tx store.Tx) error {
		rec, tok, err = authn.Mint(t.Context(), tx, who.ID, noon, n)
		return err
	})
	return rec, tok, err
}

func TestMintedTokenLetsIn(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		user := dbgen.User(t, s.DB, store.User{Name: "ada", Roles: store.SetOf(string(rbac.Owner))})
		n := authn.NewToken{
			Name: "ci", Scopes: []string{"gateway:use"}, Providers: []string{"p"}, Models: []string{"m", "n*"}, ExpiresAt: noon.Add(time.Hour),
		}
		rec, tok, err := mint(t, s, dbgen.Actor(user, rbac.ScopeAll), n)
		if err != nil {
			t.Fatal(err)
		}
		if !token.Valid(tok.Reveal()) || rec.TokenHash != token.Sum(tok.Reveal()) || rec.OwnerName != "ada" {
			t.Errorf("minted %+v", rec)
		}
		who, err := authn.New(s.DB, at(noon), nil).Authenticate(t.Context(), tok.Reveal(), store.Origin{})
		if err != nil || who.TokenID != rec.ID || who.ID != user.ID {
			t.Errorf("it lets in %+v, %v", who, err)
		}
		_, second, err := mint(t, s, dbgen.Actor(user, rbac.ScopeAll), n)
		if err != nil || second == tok {
			t.Errorf("a second is the first again, %v", err)
		}
	})
}

func TestMintSaysAllThatIsWrongAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		user := dbgen.User(t, s.DB, store.User{Roles: store.SetOf(string(rbac.Owner))})
		const canary = "canary-0123456789"
		_, tok, err := mint(t, s, dbgen.Actor(user, rbac.ScopeAll), authn.NewToken{
			Name: "gate_" + canary + "\n", Scopes: []string{"all", canary, "x\ny"}, Providers: []string{"ok", canary + " "}, Models: []string{"*" + canary},
			ExpiresAt: noon,
		})
		var got []string
		joined, ok := err.(interface{ Unwrap() []error })
		if !ok {
			t.Fatalf("got %v", err)
		}
		for _, e := range joined.Unwrap() {
			var bad *store.InvalidError
			if !errors.As(e, &bad) {
				t.Fatalf("got %v", e)
			}
			got = append(got, bad.Field)
		}
		want := []string{"name", "name", "scopes[1]", "scopes[2]", "expires_at", "providers[1]", "models[0]"}
		if diff := cmp.Diff(want, got, cmpopts.SortSlices(func(a, b string) bool { return a < b })); diff != "" {
			t.Errorf("fields (-want +got):\n%s", diff)
		}
		if strings.Contains(err.Error(), canary) || !tok.IsZero() {
			t.Errorf("the error has what was given: %v", err)
		}
	})
}

func TestPartsOfTheSystem(t *testing.T) {
	t.Parallel()
	seen := map[rbac.Grants]bool{}
	for _, who := range []store.Actor{authn.Bootstrap, authn.Compiler, authn.Recorder, authn.Seeder, authn.Rotator, authn.Verifier, authn.Archivist, authn.Recovery} {
		if who.Kind != store.ActorSystem || who.Name == "" || who.ID != who.Name || seen[who.Power] || !who.Scopes.IsEmpty() || who.Power == (rbac.Grants{}) {
			t.Errorf("actor %+v", who)
		}
		seen[who.Power] = true
	}
}
