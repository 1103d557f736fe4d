package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/token"
)

func TestTokenFromCreationToRevocation(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		end := s.clock.now().Add(time.Hour)
		a := s.want(t, http.StatusCreated, "POST", tokens, `{"name":"ci","scopes":["gateway:use","gateway:passthrough","gateway:use"],
			"providers":["main"],"models":["gpt-5","claude-*","*"],"expires_at":"2030-01-01T01:00:00Z"}`)
		made := decode[client.CreatedToken](t, a)
		want := client.Token{
			Name: "ci", Owner: "ada", Scopes: []string{"gateway:use", "gateway:passthrough"}, Providers: []string{"main"},
			Models: []string{"gpt-5", "claude-*", "*"}, ExpiresAt: &end, CreatedAt: s.clock.now(),
		}
		if diff := cmp.Diff(want, made.Token, cmpopts.IgnoreFields(client.Token{}, "ID")); diff != "" {
			t.Errorf("created (-want +got):\n%s", diff)
		}
		if !token.Valid(made.Secret) {
			t.Error("the token is not one")
		}
		location := a.header.Get("Location")
		if location != tokens+"/"+made.ID {
			t.Errorf("got Location %s", location)
		}
		doc := decode[map[string]any](t, s.want(t, http.StatusOK, "GET", location, ""))
		if diff := cmp.Diff("concurrency created_at expires_at id last_used_at models name owner providers rpm scopes", names(doc)); diff != "" {
			t.Errorf("token (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(made.Token, decode[client.Token](t, s.want(t, http.StatusOK, "GET", location, ""))); diff != "" {
			t.Errorf("read differs from created:\n%s", diff)
		}
		all := decode[client.CreatedToken](t, s.want(t, http.StatusCreated, "POST", tokens, `{"name":"all","scopes":["all"]}`))
		theirs := s.as(secret.New(all.Secret))
		theirs.want(t, http.StatusOK, "GET", providers, "")
		s.want(t, http.StatusNoContent, "DELETE", tokens+"/"+all.ID, "")
		refusal(t, theirs.call(t, "GET", providers, ""), http.StatusUnauthorized)
		refusal(t, s.call(t, "GET", tokens+"/"+all.ID, ""), http.StatusNotFound)
		refusal(t, s.call(t, "DELETE", tokens+"/"+all.ID, ""), http.StatusNotFound)
		// One can revoke what one came with.
		own := s.as(secret.New(decode[client.CreatedToken](t, s.want(t, http.StatusCreated, "POST", tokens, `{"name":"own","scopes":["api_key:*"]}`)).Secret))
		list := decode[client.Page[client.Token]](t, own.want(t, http.StatusOK, "GET", tokens, "")).Items
		own.want(t, http.StatusNoContent, "DELETE", tokens+"/"+list[len(list)-1].ID, "")
		refusal(t, own.call(t, "GET", tokens, ""), http.StatusUnauthorized)
	})
}

func TestNobodyMintsATokenStrongerThanTheirs(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		member := dbgen.User(t, s.DB, store.User{Roles: store.SetOf(string(rbac.Member))})
		for _, c := range []struct {
			who  store.User
			have string
			want string
			ok   bool
		}{
			{s.owner, "all", "all", true},
			{s.owner, "all", "ai_provider:*", true},
			{s.owner, "api_key:create", "api_key:create", true},
			{s.owner, "api_key:*", "api_key:create", true},
			{s.owner, "api_key:*", "api_key:*", true},
			{s.owner, "api_key:*", "all", false},
			{s.owner, "api_key:create", "api_key:*", false},
			{s.owner, "api_key:create", "api_key:read", false},
			{s.owner, "api_key:create", "gateway:use", false},
			{s.owner, "api_key:create,api_key:read,api_key:update,api_key:delete", "api_key:*", true},
			{s.owner, "api_key:*,ai_provider:*,ai_provider_key:*,audit_log:*,encryption_key:*,gateway:*,user:*", "all", false},
			{s.owner, "api_key:create,gateway:use", "gateway:passthrough", false},
			{member, "all", "all", true}, // its owner's role limits it still
			{member, "api_key:create,gateway:*", "gateway:use", true},
			{member, "api_key:create", "gateway:use", false},
		} {
			minter := s.with(t, c.who, store.APIKey{Scopes: store.SetOf(strings.Split(c.have, ",")...)})
			before := s.dump(t)
			a := minter.call(t, "POST", tokens, fmt.Sprintf(`{"name":"n","scopes":["%s"]}`, c.want))
			if c.ok {
				if a.status != http.StatusCreated {
					t.Errorf("%s was refused with %s: %s", c.want, c.have, a.body)
				}
				continue
			}
			p := refusal(t, a, http.StatusForbidden)
			if want := "a token cannot have a scope that the token making it has not: " + c.want; p.Detail != want {
				t.Errorf("%s with %s: %s", c.want, c.have, p.Detail)
			}
			if s.dump(t) != before {
				t.Errorf("%s with %s: a refused token changed the database", c.want, c.have)
			}
		}
	})
}

func TestTokenOutlivesNotItsMaker(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		minter := s.with(t, s.owner, store.APIKey{Scopes: store.SetOf("all"), ExpiresAt: s.clock.now().Add(time.Hour)})
		for _, more := range []string{``, `,"expires_at":null`, `,"expires_at":"2030-01-01T01:00:01Z"`} {
			p := refusal(t, minter.call(t, "POST", tokens, `{"name":"n","scopes":["all"]`+more+`}`), http.StatusForbidden)
			if p.Detail != "a token cannot outlive the token making it" {
				t.Errorf("%s: %s", more, p.Detail)
			}
		}
		for _, end := range []string{"2030-01-01T01:00:00Z", "2030-01-01T00:00:01Z", "2030-01-01T02:00:00+01:00"} {
			minter.want(t, http.StatusCreated, "POST", tokens, `{"name":"n","scopes":["all"],"expires_at":"`+end+`"}`)
		}
	})
}

func TestLimitedTokenIsForTheGatewayOnly(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		for _, limit := range []string{`"providers":["p1"]`, `"models":["gpt-*"]`} {
			made := decode[client.CreatedToken](t, s.want(t, http.StatusCreated, "POST", tokens, `{"name":"n","scopes":["gateway:*"],`+limit+`}`))
			limited := s.as(secret.New(made.Secret))
			for _, r := range routesOf(t, s, len(s.Audit(t))) {
				if r.pattern == "/api/v1/version" || r.pattern == "/api/v1/me" || r.pattern == sessionPath {
					continue // who may come in may ask
				}
				refusal(t, limited.call(t, r.method, r.path, strings.Replace(r.body, "SCOPE", "gateway:use", 1)), http.StatusForbidden)
			}
		}
	})
}

func TestUseOfATokenIsTold(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		key, tok := dbgen.APIKey(t, s.DB, s.owner, store.APIKey{Scopes: store.SetOf("all")})
		used := s.used.all
		if got := used(); len(got) != 0 {
			t.Fatalf("before any: %v", got)
		}
		s.as(tok).want(t, http.StatusOK, "GET", providers, "")
		refusal(t, s.as(token.New()).call(t, "GET", providers, ""), http.StatusUnauthorized)
		s.want(t, http.StatusOK, "GET", "/healthz", "")
		if diff := cmp.Diff([]string{key.ID + " " + s.clock.now().String()}, used()); diff != "" {
			t.Errorf("uses (-want +got):\n%s", diff)
		}
	})
}

func TestATokenWithLimits(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		made := decode[client.CreatedToken](t, s.want(t, http.StatusCreated, "POST", tokens, `{"name":"n","scopes":["gateway:use"],"rpm":60,"concurrency":4}`))
		read := decode[client.Token](t, s.want(t, http.StatusOK, "GET", tokens+"/"+made.ID, ""))
		if read.RPM != 60 || read.Concurrency != 4 {
			t.Errorf("got %+v", read)
		}
		// A token that can make others without limits has none itself.
		for _, body := range []string{
			`{"name":"n","scopes":["all"],"rpm":60}`, `{"name":"n","scopes":["api_key:create"],"concurrency":1}`,
			`{"name":"n","scopes":["gateway:use"],"rpm":-1}`, `{"name":"n","scopes":["gateway:use"],"concurrency":1000001}`,
		} {
			s.want(t, http.StatusUnprocessableEntity, "POST", tokens, body)
		}
	})
}
