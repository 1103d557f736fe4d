package httpapi_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
)

// mint returns the server as a new token meets it.
func (s *server) mint(t *testing.T, body string) *server {
	t.Helper()
	return s.as(secret.New(decode[client.CreatedToken](t, s.want(t, http.StatusCreated, "POST", tokens, body)).Secret))
}

func TestUsersComeAndGo(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		u := s.user(t, "bea@example.com", "member", "auditor")
		for _, ref := range []string{"bea@example.com", u.ID} {
			got := decode[client.User](t, s.want(t, http.StatusOK, "GET", usersPath+"/"+ref, ""))
			if diff := cmp.Diff(u, got); diff != "" {
				t.Errorf("by %s (-want +got):\n%s", ref, diff)
			}
		}
		if got := decode[client.Page[client.User]](t, s.want(t, http.StatusOK, "GET", usersPath, "")).Items; len(got) != 2 || got[0].Name != "ada" {
			t.Errorf("listed %+v", got)
		}
		s.want(t, http.StatusConflict, "POST", usersPath, `{"name":"bea@example.com","roles":[]}`)
		bea := s.mint(t, `{"name":"hers","scopes":["all"],"owner":"bea@example.com"}`)
		bea.want(t, http.StatusOK, "GET", auditPath, "")
		bea.want(t, http.StatusForbidden, "GET", providers, "")

		// In force with the next request: roles, disabling, deletion.
		s.want(t, http.StatusOK, "PATCH", usersPath+"/"+u.ID, `{"roles":["member"],"name":"bea"}`)
		bea.want(t, http.StatusForbidden, "GET", auditPath, "")
		s.want(t, http.StatusOK, "PATCH", usersPath+"/bea", `{"disabled":true}`)
		bea.want(t, http.StatusUnauthorized, "GET", tokens, "")
		s.want(t, http.StatusOK, "PATCH", usersPath+"/bea", `{"disabled":false}`)
		bea.want(t, http.StatusOK, "GET", tokens, "")
		before := len(s.Audit(t))
		s.want(t, http.StatusNoContent, "DELETE", usersPath+"/bea", "")
		bea.want(t, http.StatusUnauthorized, "GET", tokens, "")
		s.want(t, http.StatusNotFound, "DELETE", usersPath+"/bea", "")
		var entries []string
		for _, e := range s.Audit(t)[before:] {
			entries = append(entries, fmt.Sprintf("%s %s %s", e.Action, e.Resource, e.Target))
		}
		if diff := cmp.Diff([]string{"delete api_key hers", "delete user bea"}, entries); diff != "" {
			t.Errorf("entries (-want +got):\n%s", diff)
		}
	})
}

func TestLastOwnerStays(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		for _, c := range []struct{ method, body string }{
			{"PATCH", `{"disabled":true}`}, {"PATCH", `{"roles":["member"]}`}, {"PATCH", `{"roles":[]}`}, {"DELETE", ""},
		} {
			if p := refusal(t, s.call(t, c.method, usersPath+"/ada", c.body), http.StatusConflict); !strings.Contains(p.Detail, "last user with the role owner") {
				t.Errorf("%s %s: %s", c.method, c.body, p.Detail)
			}
		}
		other := s.user(t, "second", "owner")
		s.want(t, http.StatusOK, "PATCH", usersPath+"/second", `{"disabled":true}`) // who does not count, then
		s.want(t, http.StatusConflict, "DELETE", usersPath+"/ada", "")
		s.want(t, http.StatusOK, "PATCH", usersPath+"/second", `{"disabled":false}`)
		s.want(t, http.StatusOK, "PATCH", usersPath+"/ada", `{"roles":["owner","auditor"],"name":"ada l."}`)
		s.want(t, http.StatusNoContent, "DELETE", usersPath+"/"+other.ID, "")
	})
}

func TestRolesGrantWhatTheySay(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		s.provider(t, "main", "1")
		r := s.role(t, "reader", "ai_provider:read", "ai_provider_key:read")
		s.user(t, "bea", "reader")
		bea := s.mint(t, `{"name":"hers","scopes":["all"],"owner":"bea"}`)
		bea.want(t, http.StatusOK, "GET", providers, "")
		bea.want(t, http.StatusForbidden, "PATCH", providers+"/main", `{"enabled":false}`)
		me := decode[client.Me](t, bea.want(t, http.StatusOK, "GET", "/api/v1/me", ""))
		if diff := cmp.Diff([]string{"ai_provider:read", "ai_provider_key:read"}, me.Permissions); diff != "" || me.Name != "bea" {
			t.Errorf("me %+v", me)
		}
		// A change of the role is in force at once.
		s.want(t, http.StatusOK, "PATCH", rolesPath+"/reader", `{"permissions":["ai_provider:read","ai_provider_key:read","ai_provider:update"],"description":"d"}`)
		bea.want(t, http.StatusOK, "PATCH", providers+"/main", `{"enabled":false}`)
		s.want(t, http.StatusOK, "PATCH", rolesPath+"/"+*r.ID, `{"permissions":["gateway:use"],"description":null}`)
		bea.want(t, http.StatusForbidden, "GET", providers, "")
		if p := refusal(t, s.call(t, "DELETE", rolesPath+"/reader", ""), http.StatusConflict); !strings.Contains(p.Detail, "1 in number") {
			t.Errorf("deleted while given: %s", p.Detail)
		}
		s.want(t, http.StatusOK, "PATCH", usersPath+"/bea", `{"roles":[]}`)
		s.want(t, http.StatusNoContent, "DELETE", rolesPath+"/reader", "")
		s.want(t, http.StatusNotFound, "GET", rolesPath+"/reader", "")

		all := decode[client.Page[client.Role]](t, s.want(t, http.StatusOK, "GET", rolesPath, "")).Items
		names := make([]string, len(all))
		for i, r := range all {
			names[i] = r.Name
		}
		if !slices.Equal(names, []string{"auditor", "member", "owner", "user-admin"}) {
			t.Errorf("roles %v", names)
		}
		for _, builtIn := range names {
			s.want(t, http.StatusOK, "GET", rolesPath+"/"+builtIn, "")
			s.want(t, http.StatusConflict, "PATCH", rolesPath+"/"+builtIn, `{"description":"x"}`)
			s.want(t, http.StatusConflict, "DELETE", rolesPath+"/"+builtIn, "")
			s.want(t, http.StatusConflict, "POST", rolesPath, `{"name":"`+builtIn+`","permissions":["gateway:use"]}`)
		}
	})
}

// Whoever manages users can make nobody stronger than themself, in whatever way
// they try.
func TestUserAdminsDoNotClimb(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		s.user(t, "root", "owner")
		u := s.user(t, "uma", "user-admin")
		uma := s.mint(t, `{"name":"hers","scopes":["all"],"owner":"uma"}`)
		s.role(t, "strong", "ai_provider:read")
		for _, c := range []struct {
			method, path, body string
			status             int
		}{
			{"POST", usersPath, `{"name":"x","roles":["owner"]}`, 403},
			{"POST", usersPath, `{"name":"x","roles":["auditor"]}`, 403},
			{"POST", usersPath, `{"name":"x","roles":["strong"]}`, 403},
			{"POST", usersPath, `{"name":"x","roles":["system:compiler"]}`, 422},
			{"POST", usersPath, `{"name":"x","roles":["nothing"]}`, 422},
			{"PATCH", usersPath + "/uma", `{"roles":["owner"]}`, 403},
			{"PATCH", usersPath + "/" + u.ID, `{"roles":["user-admin","strong"]}`, 403},
			{"PATCH", usersPath + "/root", `{"disabled":true}`, 403},
			{"PATCH", usersPath + "/root", `{"name":"fool"}`, 403},
			{"DELETE", usersPath + "/root", ``, 403},
			{"POST", tokens, `{"name":"t","scopes":["all"],"owner":"root"}`, 403},
			{"POST", tokens, `{"name":"t","scopes":["gateway:use"],"owner":"root"}`, 403},
			{"POST", rolesPath, `{"name":"mine","permissions":["ai_provider:read"]}`, 403},
			{"PATCH", rolesPath + "/strong", `{"permissions":["gateway:use"]}`, 403},
			{"DELETE", rolesPath + "/strong", ``, 403},
		} {
			if a := uma.call(t, c.method, c.path, c.body); a.status != c.status {
				t.Errorf("%s %s %s: %d, want %d: %s", c.method, c.path, c.body, a.status, c.status, a.text())
			}
		}
		// What they can: members and their tokens, from cradle to grave.
		s2 := *uma
		(&s2).user(t, "bea", "member")
		bea := uma.mint(t, `{"name":"hers","scopes":["all"],"owner":"bea"}`)
		bea.want(t, http.StatusOK, "GET", tokens, "")
		if got := decode[client.Page[client.Token]](t, uma.want(t, http.StatusOK, "GET", tokens+"?owner=bea", "")).Items; len(got) != 1 || got[0].Owner != "bea" {
			t.Errorf("tokens of bea: %+v", got)
		}
		// The token that they made stays what it is when its owner rises.
		s.want(t, http.StatusOK, "PATCH", usersPath+"/bea", `{"roles":["owner"]}`)
		bea.want(t, http.StatusForbidden, "GET", providers, "")
		own := s.mint(t, `{"name":"new","scopes":["all"],"owner":"bea"}`)
		own.want(t, http.StatusOK, "GET", providers, "")
	})
}

func TestTokensOfOthersTakeTheRightToSeeThem(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		bob := dbgen.User(t, s.DB, store.User{Name: "bob"})
		member := s.with(t, bob, store.APIKey{Scopes: store.SetOf("all")})
		member.want(t, http.StatusOK, "GET", tokens+"?owner=bob", "")
		member.want(t, http.StatusForbidden, "GET", tokens+"?owner=ada", "")
		member.want(t, http.StatusForbidden, "POST", tokens, `{"name":"t","scopes":["gateway:use"],"owner":"ada"}`)
		member.want(t, http.StatusCreated, "POST", tokens, `{"name":"t","scopes":["gateway:use"],"owner":"bob"}`)
		member.want(t, http.StatusForbidden, "GET", usersPath+"/bob", "")
		s.want(t, http.StatusUnprocessableEntity, "GET", tokens+"?owner=nobody", "")
	})
}
