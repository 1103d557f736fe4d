// Package dbgen makes rows for tests, with sensible values where the test gives
// none. It goes through all layers, as the owner of everything.
package dbgen

import (
	"crypto/rand"
	"encoding/base64"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/token"
)

// Owner is an actor who may do all that a person may.
var Owner = Actor(store.User{ID: "0190a5a0-0000-7000-8000-00000000aaaa", Name: "ada", Roles: store.SetOf("owner")}, rbac.ScopeAll)

// Actor returns the actor that u is with a token of those scopes.
func Actor(u store.User, scopes ...rbac.Scope) store.Actor {
	var names []string
	for _, s := range scopes {
		names = append(names, string(s))
	}
	k := store.APIKey{ID: ID(), Name: "test token", OwnerID: u.ID, Scopes: store.SetOf(names...), Ceiling: store.CeilingAll}
	return store.Actor{
		Kind: store.ActorUser, ID: u.ID, Name: u.Name, Power: k.Power(u, nil), TokenID: k.ID, TokenName: k.Name,
		Scopes: k.Scopes, Origin: store.Origin{RequestID: "request-1", Address: "127.0.0.1", UserAgent: "dbgen"},
	}
}

// ID returns a fresh id.
func ID() string { return uuid.Must(uuid.NewV7()).String() }

// Provider inserts a provider: enabled, of type openai, with a name of its own
// and a display name from it.
func Provider(t testing.TB, db *store.DB, p store.Provider) store.Provider {
	t.Helper()
	if p.ID == "" {
		p.ID = ID()
	}
	if p.Type == "" {
		p.Type = store.TypeOpenAI
	}
	if p.Name == "" {
		p.Name = "p-" + p.ID[24:]
	}
	if p.DisplayName == "" {
		p.DisplayName = p.Name
	}
	if p.BaseURL == "" {
		p.BaseURL = "http://127.0.0.1:1/v1"
	}
	if p.Strategy == "" {
		p.Strategy = store.InOrder
	}
	p.Enabled = true
	return insert(t, db, p, func(tx store.Tx) store.Table[store.Provider] { return tx.Providers })
}

// ProviderKey inserts a key of a provider, with a secret of its own.
func ProviderKey(t testing.TB, db *store.DB, k store.ProviderKey) store.ProviderKey {
	t.Helper()
	if k.ID == "" {
		k.ID = ID()
	}
	if k.APIKey.IsZero() {
		k.APIKey = secret.New("sk-test-" + rand.Text())
	}
	if k.Position == 0 {
		k.Position = 1
	}
	if k.Weight == 0 {
		k.Weight = 1
	}
	return insert(t, db, k, func(tx store.Tx) store.Table[store.ProviderKey] { return tx.ProviderKeys })
}

// Route inserts a route: enabled, in order, with a name of its own.
func Route(t testing.TB, db *store.DB, r store.Route) store.Route {
	t.Helper()
	if r.ID == "" {
		r.ID = ID()
	}
	if r.Name == "" {
		r.Name = "r-" + r.ID[24:]
	}
	if r.Strategy == "" {
		r.Strategy = store.RouteInOrder
	}
	r.Enabled = true
	return insert(t, db, r, func(tx store.Tx) store.Table[store.Route] { return tx.Routes })
}

// User inserts a member with a name of their own.
func User(t testing.TB, db *store.DB, u store.User) store.User {
	t.Helper()
	if u.ID == "" {
		u.ID = ID()
	}
	if u.Name == "" {
		u.Name = "user-" + u.ID[24:]
	}
	if u.Roles.IsEmpty() {
		u.Roles = store.SetOf(string(rbac.Member))
	}
	return insert(t, db, u, func(tx store.Tx) store.Table[store.User] { return tx.Users })
}

// Doorkeeper is an actor who lets people in.
var Doorkeeper = store.Actor{Kind: store.ActorSystem, ID: "doorkeeper", Name: "doorkeeper", Power: rbac.SystemAuthenticator.Grants()}

// Password inserts the password of a user: a hash that no password has, if there
// is none.
func Password(t testing.TB, db *store.DB, p store.Password) store.Password {
	t.Helper()
	if p.Hash.IsZero() {
		p.Hash = secret.New("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2U")
	}
	return insert(t, db, p, func(tx store.Tx) store.Table[store.Password] { return tx.Passwords })
}

// Session signs a user in by a token, for an hour, and returns what their browser
// presents.
func Session(t testing.TB, db *store.DB, u store.User, s store.Session) (store.Session, secret.Text) {
	t.Helper()
	random := make([]byte, 32)
	rand.Read(random) // never fails: crypto/rand ends the program instead
	value := base64.RawURLEncoding.EncodeToString(random)
	s.SecretHash, s.UserID = token.Sum(value), u.ID
	if s.ID == "" {
		s.ID = ID()
	}
	if s.Method == "" {
		s.Method = store.SignedInByToken
	}
	if s.ExpiresAt.IsZero() {
		s.ExpiresAt = time.Now().Add(time.Hour)
	}
	return insertAs(t, db, Doorkeeper, s, func(tx store.Tx) store.Table[store.Session] { return tx.Sessions }), secret.New(value)
}

// APIKey inserts a token of a user, for the gateway unless it says otherwise,
// and returns it with the token itself.
func APIKey(t testing.TB, db *store.DB, owner store.User, k store.APIKey) (store.APIKey, secret.Text) {
	t.Helper()
	tok := token.New()
	k.TokenHash = token.Sum(tok.Reveal())
	if k.ID == "" {
		k.ID = ID()
	}
	if k.Name == "" {
		k.Name = "token-" + k.ID[24:]
	}
	if k.Scopes.IsEmpty() {
		k.Scopes = store.SetOf("gateway:use")
	}
	k.OwnerID = owner.ID
	rec := insertAs(t, db, Actor(owner, rbac.ScopeAll), k, func(tx store.Tx) store.Table[store.APIKey] { return tx.APIKeys })
	return rec, tok
}

func insert[T store.Record](t testing.TB, db *store.DB, rec T, table func(store.Tx) store.Table[T]) T {
	t.Helper()
	return insertAs(t, db, Owner, rec, table)
}

func insertAs[T store.Record](t testing.TB, db *store.DB, who store.Actor, rec T, table func(store.Tx) store.Table[T]) T {
	t.Helper()
	err := db.Update(t.Context(), who, func(tx store.Tx) (err error) {
		rec, err = table(tx).Insert(t.Context(), rec)
		return err
	})
	if err != nil {
		t.Fatalf("dbgen: %v", err)
	}
	return rec
}
