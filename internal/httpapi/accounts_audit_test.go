package httpapi_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
)

func TestEveryChangeOfAccountsLeavesItsEntries(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		ids := map[string]string{} // by id, how the test calls it
		seen := len(s.Audit(t))
		// expect does a change and compares its entries: action, resource, id,
		// target and diff, a line each.
		expect := func(method, path, body, learn string, want ...string) {
			t.Helper()
			a := s.call(t, method, path, body)
			if a.status >= 300 {
				t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
			}
			if learn != "" {
				ids[decode[struct{ ID string }](t, a).ID] = learn
			}
			all := s.Audit(t)
			var got []string
			for _, e := range all[seen:] {
				line := fmt.Sprintf("%s %s %s %s %s", e.Action, e.Resource, e.ID, e.Target, e.Diff)
				for id, name := range ids {
					line = strings.ReplaceAll(line, id, name)
				}
				got = append(got, line)
				if e.ActorID != s.owner.ID || e.TokenName != "owner-token" || e.Origin.RequestID != a.header.Get("X-Gatehouse-Request-Id") {
					t.Errorf("%s %s: entry of %s by %s in %s", method, path, e.ActorName, e.TokenName, e.Origin.RequestID)
				}
			}
			seen = len(all)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s %s (-want +got):\n%s", method, path, diff)
			}
		}
		expect("POST", rolesPath, `{"name":"keeper","description":"d","permissions":["ai_provider:read","api_key:read:own"]}`, "R",
			`create role R keeper {"name":{"new":"keeper"},"description":{"new":"d"},"permissions":{"new":"ai_provider:read, api_key:read:own"}}`)
		expect("PATCH", rolesPath+"/keeper", `{"description":null,"permissions":["gateway:use"]}`, "",
			`update role R keeper {"description":{"old":"d","new":""},"permissions":{"old":"ai_provider:read, api_key:read:own","new":"gateway:use"}}`)
		expect("PATCH", rolesPath+"/keeper", `{"permissions":["gateway:use","gateway:use"]}`, "") // changes nothing
		expect("POST", usersPath, `{"name":"bea","roles":["member","keeper"]}`, "B",
			`create user B bea {"name":{"new":"bea"},"roles":{"new":"member, keeper"}}`)
		expect("PATCH", usersPath+"/bea", `{"name":"ann","roles":["member"],"disabled":true}`, "",
			`update user B ann {"name":{"old":"bea","new":"ann"},"roles":{"old":"member, keeper","new":"member"},"disabled":{"old":false,"new":true}}`)
		expect("PATCH", usersPath+"/ann", `{"disabled":true}`, "") // changes nothing
		expect("POST", tokens, `{"name":"hers","scopes":["gateway:use"],"owner":"ann"}`, "T",
			`create api_key T hers {"name":{"new":"hers"},"owner_id":{"new":"B"},"scopes":{"new":"gateway:use"},"ceiling":{"new":"all"}}`)
		expect("DELETE", usersPath+"/ann", "", "",
			`delete api_key T hers {"name":{"old":"hers"},"owner_id":{"old":"B"},"scopes":{"old":"gateway:use"},"ceiling":{"old":"all"}}`,
			`delete user B ann {"name":{"old":"ann"},"roles":{"old":"member"},"disabled":{"old":true}}`)
		expect("DELETE", rolesPath+"/keeper", "", "",
			`delete role R keeper {"name":{"old":"keeper"},"permissions":{"old":"gateway:use"}}`)
	})
}

func TestPagesOfAccountsHaveEveryItemOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		users, roles, theirs := []string{"ada"}, []string{"auditor", "member", "owner", "user-admin"}, []string(nil)
		for i := range 6 {
			users = append(users, fmt.Sprintf("u-%d", i))
			u := s.user(t, users[i+1], "member")
			roles = append(roles, fmt.Sprintf("r-%d", i))
			s.role(t, roles[i+4], "gateway:use")
			owner := store.User{ID: u.ID, Name: u.Name, Roles: store.SetOf("member")}
			dbgen.APIKey(t, s.DB, owner, store.APIKey{Name: fmt.Sprintf("t-%d", i)})
		}
		bea := s.user(t, "bea", "member")
		users = append(users, "bea")
		for i := range 5 {
			theirs = append(theirs, fmt.Sprintf("h-%d", i))
			dbgen.APIKey(t, s.DB, store.User{ID: bea.ID, Name: "bea", Roles: store.SetOf("member")}, store.APIKey{Name: theirs[i]})
		}
		for _, limit := range []int{1, 3, 6, 500} {
			for _, list := range []struct {
				path string
				want []string
			}{{usersPath, users}, {rolesPath, roles}} {
				got, sizes := walk(t, s, list.path, limit, nil)
				if !cmp.Equal(got, list.want) || len(sizes) != (len(list.want)+limit-1)/limit {
					t.Errorf("%s by %d: %v, in pages of %v", list.path, limit, got, sizes)
				}
			}
			var got []string
			for query := fmt.Sprintf("?owner=bea&limit=%d", limit); ; {
				p := decode[page](t, s.want(t, http.StatusOK, "GET", tokens+query, ""))
				for _, i := range p.Items {
					got = append(got, i.String())
				}
				if p.NextCursor == nil {
					break
				}
				query = fmt.Sprintf("?owner=%s&limit=%d&cursor=%s", bea.ID, limit, *p.NextCursor)
			}
			if !cmp.Equal(got, theirs) {
				t.Errorf("tokens of bea by %d: %v", limit, got)
			}
		}
	})
}

// A name is part of a path, whatever is in it.
func TestUsersAreFoundByAnyName(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		for _, name := range []string{"bea@example.com", "Ada Lovelace", "größe", "a/b", "a%2Fb", "a?b#c", "me", "*", "{user}"} {
			u := s.user(t, name)
			got := decode[client.User](t, s.want(t, http.StatusOK, "GET", usersPath+"/"+url.PathEscape(name), ""))
			if got.ID != u.ID || got.Name != name || len(got.Roles) != 0 {
				t.Errorf("%q: got %+v", name, got)
			}
			s.want(t, http.StatusNoContent, "DELETE", usersPath+"/"+url.PathEscape(name), "")
		}
	})
}

// On create, null is as good as left out.
func TestNullIsLeftOut(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		r := decode[client.Role](t, s.want(t, http.StatusCreated, "POST", rolesPath, `{"name":"r","description":null,"permissions":["gateway:use"]}`))
		if r.Description != "" {
			t.Errorf("description %q", r.Description)
		}
		tok := decode[client.CreatedToken](t, s.want(t, http.StatusCreated, "POST", tokens, `{"name":"t","scopes":["gateway:use"],"owner":null}`))
		if tok.Owner != "ada" {
			t.Errorf("owner %q", tok.Owner)
		}
	})
}

// Who has no right on users or roles is told so; who sees some records only is
// told that others are not there.
func TestAccountsOutsideOnesView(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		s.role(t, "selfish", "user:read:own", "user:update:own")
		bea := s.user(t, "bea", "selfish")
		s.user(t, "cy", "member")
		own := s.mint(t, `{"name":"hers","scopes":["all"],"owner":"bea"}`)
		own.want(t, http.StatusOK, "GET", usersPath+"/bea", "")
		for _, ref := range []string{"cy", "ada", "nobody"} {
			refusal(t, own.call(t, "GET", usersPath+"/"+ref, ""), http.StatusNotFound)
			refusal(t, own.call(t, "PATCH", usersPath+"/"+ref, `{"name":"x"}`), http.StatusNotFound)
		}
		if got, _ := walk(t, own, usersPath, 50, nil); !cmp.Equal(got, []string{"bea"}) {
			t.Errorf("she sees %v", got)
		}
		own.want(t, http.StatusOK, "PATCH", usersPath+"/"+bea.ID, `{"name":"ann"}`)
		refusal(t, own.call(t, "PATCH", usersPath+"/ann", `{"roles":["member"]}`), http.StatusForbidden)
		member := s.mint(t, `{"name":"his","scopes":["all"],"owner":"cy"}`)
		for _, path := range []string{usersPath, usersPath + "/cy", usersPath + "/nobody", rolesPath, rolesPath + "/member", rolesPath + "/nobody"} {
			refusal(t, member.call(t, "GET", path, ""), http.StatusForbidden)
		}
	})
}
