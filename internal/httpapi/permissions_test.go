package httpapi_test

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
)

// A route is an operation of the API, and a request for which it does its work.
type route struct {
	method, pattern string
	path, body      string
}

// routesOf makes what every operation can work on, and returns a request for
// each. Operations that take something away come last.
func routesOf(t *testing.T, s *server, n int) []route {
	t.Helper()
	p := decode[client.Provider](t, s.want(t, http.StatusCreated, "POST", providers, fmt.Sprintf(
		`{"type":"openai","name":"p%d","base_url":"%s","api_keys":["%s","%s"]}`, n, vendor, s.key(fmt.Sprint("a", n)), s.key(fmt.Sprint("b", n)))))
	gone, purged := s.deleted(t, fmt.Sprintf("gone%d", n)), s.deleted(t, fmt.Sprintf("purged%d", n))
	token, _ := dbgen.APIKey(t, s.DB, s.owner, store.APIKey{})
	user := s.user(t, fmt.Sprint("person", n))
	role := s.role(t, fmt.Sprint("made", n), "gateway:use")
	request := s.interception(t, store.Interception{OwnerID: s.owner.ID})
	alias := aiRoutes + "/" + s.aiRoute(t, fmt.Sprint("route.", n), p.Name+"/m").ID
	session, _ := dbgen.Session(t, s.DB, s.owner, store.Session{ExpiresAt: s.clock.now().Add(time.Hour)})
	one, key := providers+"/"+p.ID, providers+"/"+p.ID+"/keys/"+p.APIKeys[0].ID
	return []route{
		{"GET", providers, providers, ""},
		{"POST", providers, providers, fmt.Sprintf(`{"type":"openai","name":"new%d","base_url":"%s","api_keys":["k"]}`, n, vendor)},
		{"POST", providers + "/test", providers + "/test", fmt.Sprintf(`{"type":"openai","name":"tried%d","base_url":"%s","api_keys":["t"]}`, n, vendor)},
		{"GET", providers + "/{provider}", one, ""},
		{"POST", providers + "/{provider}/test", one + "/test", ""},
		{"POST", providers + "/{provider}/keys/{id}/rotate", providers + "/" + p.ID + "/keys/" + p.APIKeys[0].ID + "/rotate", `{"api_key":"` + s.key(fmt.Sprint("e", n)) + `"}`},
		{"PATCH", providers + "/{provider}", one, fmt.Sprintf(`{"display_name":"N","api_keys":[{"id":"%s"},{"api_key":"%s"}]}`, p.APIKeys[1].ID, s.key(fmt.Sprint("c", n)))},
		{"POST", providers + "/{provider}/restore", providers + "/" + gone.ID + "/restore", ""},
		{"GET", providers + "/{provider}/keys", one + "/keys", ""},
		{"POST", providers + "/{provider}/keys", one + "/keys", `{"api_key":"` + s.key(fmt.Sprint("d", n)) + `"}`},
		{"GET", providers + "/{provider}/keys/{id}", providers + "/" + p.ID + "/keys/" + p.APIKeys[1].ID, ""},
		{"PATCH", providers + "/{provider}/keys/{id}", providers + "/" + p.ID + "/keys/" + p.APIKeys[1].ID, `{"label":"x"}`},
		{"GET", aiRoutes, aiRoutes, ""},
		{"POST", aiRoutes, aiRoutes, fmt.Sprintf(`{"name":"r%d","targets":[{"provider":"p%d","model":"m"}]}`, n, n)},
		{"GET", aiRoutes + "/{route}", alias, ""},
		{"PATCH", aiRoutes + "/{route}", alias, `{"enabled":false}`},
		{"DELETE", aiRoutes + "/{route}", alias, ""},
		{"GET", tokens, tokens, ""},
		{"POST", tokens, tokens, `{"name":"new","scopes":["SCOPE"]}`},
		{"GET", tokens + "/{id}", tokens + "/" + token.ID, ""},
		{"GET", auditPath, auditPath, ""},
		{"GET", auditPath + "/export", auditPath + "/export", ""},
		{"GET", auditPath + "/checkpoint", auditPath + "/checkpoint", ""},
		{"GET", auditPath + "/proof/{index}", auditPath + "/proof/1", ""},
		{"GET", interceptionsPath, interceptionsPath, ""},
		{"GET", interceptionsPath + "/{id}", interceptionsPath + "/" + request.ID, ""},
		{"GET", "/api/v1/usage", "/api/v1/usage", ""},
		{"GET", eventsPath, eventsPath, ""},
		{"GET", "/metrics", "/metrics", ""},
		{"GET", "/api/v1/version", "/api/v1/version", ""},
		{"GET", "/api/v1/me", "/api/v1/me", ""},
		{"GET", sessionPath, sessionPath, ""},
		{"GET", sessionsPath, sessionsPath, ""},
		{"DELETE", sessionsPath + "/{id}", sessionsPath + "/" + session.ID, ""},
		{"POST", usersPath + "/{user}/password", usersPath + "/" + user.ID + "/password", `{"new":"` + password(n) + `"}`},
		{"GET", encryptionPath, encryptionPath, ""},
		{"GET", encryptionPath + "/rotation", encryptionPath + "/rotation", ""},
		{"POST", encryptionPath + "/rotation", encryptionPath + "/rotation", `{"mode":"full"}`},
		{"POST", encryptionPath + "/verify", encryptionPath + "/verify", "{}"},
		{"POST", encryptionPath + "/wipe", encryptionPath + "/wipe", `{"installation":"` + s.Backend.Installation() + `"}`},
		{"GET", "/api/v1/replicas", "/api/v1/replicas", ""},
		{"GET", usersPath, usersPath, ""},
		{"POST", usersPath, usersPath, fmt.Sprintf(`{"name":"user%d","roles":[]}`, n)},
		{"GET", usersPath + "/{user}", usersPath + "/" + user.ID, ""},
		{"PATCH", usersPath + "/{user}", usersPath + "/" + user.ID, `{"disabled":true}`},
		{"GET", rolesPath, rolesPath, ""},
		{"POST", rolesPath, rolesPath, fmt.Sprintf(`{"name":"role%d","permissions":["gateway:use"]}`, n)},
		{"GET", rolesPath + "/{role}", rolesPath + "/" + role.Name, ""},
		{"PATCH", rolesPath + "/{role}", rolesPath + "/" + role.Name, `{"description":"x"}`},
		{"DELETE", rolesPath + "/{role}", rolesPath + "/" + role.Name, ""},
		{"DELETE", usersPath + "/{user}", usersPath + "/" + user.ID, ""},
		{"DELETE", tokens + "/{id}", tokens + "/" + token.ID, ""},
		{"DELETE", providers + "/{provider}/keys/{id}", strings.Replace(key, p.APIKeys[0].ID, p.APIKeys[1].ID, 1), ""},
		{"DELETE", providers + "/{provider}", one, ""},
		{"POST", providers + "/{provider}/purge", providers + "/" + purged.ID + "/purge", ""},
	}
}

// permission is how a refusal for want of a permission begins.
var permission = regexp.MustCompile(`^this takes the permission ([a-z_]+:[a-z]+), which the role of the token's owner, its scopes or its allow-lists do not give$`)

// TestPermissionsOfRoutes finds out what each route takes, by adding to a
// token, one at a time, the permission that the refusal names. So it holds that
// each refusal names one, and that no more is needed than that.
func TestPermissionsOfRoutes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		var lines []string
		n := len(routesOf(t, s, 0))
		for i := range n {
			r := routesOf(t, s, i+1)[i]
			scopes := []string{"gateway:use"} // a token has at least one
			for {
				who := s.with(t, s.owner, store.APIKey{Scopes: store.SetOf(scopes...)})
				before := s.dump(t)
				a := who.call(t, r.method, r.path, strings.Replace(r.body, "SCOPE", scopes[0], 1))
				if a.status < 300 {
					break
				}
				p := refusal(t, a, http.StatusForbidden)
				missing := permission.FindStringSubmatch(p.Detail)
				if missing == nil || slices.Contains(scopes, missing[1]) {
					t.Fatalf("%s %s with %v: %s", r.method, r.pattern, scopes, p.Detail)
				}
				if s.dump(t) != before {
					t.Errorf("%s %s with %v: what is refused changed the database", r.method, r.pattern, scopes)
				}
				scopes = append(scopes, missing[1])
			}
			needed := scopes[1:]
			slices.Sort(needed)
			lines = append(lines, fmt.Sprintf("%s %s: %s", r.pattern, r.method, strings.Join(needed, ", ")))
		}
		slices.Sort(lines)
		compare(t, "permissions.golden", []byte(strings.Join(lines, "\n")+"\n"))
	})
}

func TestEditThatLeavesKeysAloneNeedsNoPermissionToChangeThem(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		p := s.provider(t, "p", "1", "2")
		who := s.with(t, s.owner, store.APIKey{Scopes: store.SetOf("ai_provider:read", "ai_provider:update", "ai_provider_key:read")})
		for _, body := range []string{
			`{"enabled":false}`, `{"display_name":"P"}`, `{"base_url":"` + vendor + `/beta"}`, `{"settings":{"_type":"openai","_version":1}}`,
			`{"api_keys":[{"id":"` + p.APIKeys[0].ID + `"},{"id":"` + p.APIKeys[1].ID + `"}]}`,
		} {
			who.want(t, http.StatusOK, "PATCH", providers+"/p", body)
		}
		refusal(t, who.call(t, "PATCH", providers+"/p", `{"api_keys":[{"id":"`+p.APIKeys[1].ID+`"},{"id":"`+p.APIKeys[0].ID+`"}]}`), http.StatusForbidden)
		refusal(t, who.call(t, "PATCH", providers+"/p", `{"api_keys":[]}`), http.StatusForbidden)
	})
}

func TestMemberHasTheirOwnTokensOnly(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		user := dbgen.User(t, s.DB, store.User{Name: "bob", Roles: store.SetOf(string(rbac.Member))})
		member := s.with(t, user, store.APIKey{Name: "mine", Scopes: store.SetOf("all")})
		others, _ := dbgen.APIKey(t, s.DB, s.owner, store.APIKey{})
		for _, r := range routesOf(t, s, 1) {
			if strings.HasPrefix(r.pattern, tokens) || slices.Contains([]string{interceptionsPath, interceptionsPath + "/{id}", "/api/v1/usage", eventsPath}, r.pattern) || r.pattern == "/api/v1/version" || r.pattern == "/api/v1/me" || r.pattern == sessionPath || strings.HasPrefix(r.pattern, sessionsPath) {
				continue
			}
			p := refusal(t, member.call(t, r.method, r.path, r.body), http.StatusForbidden)
			if !permission.MatchString(p.Detail) {
				t.Errorf("%s %s: %s", r.method, r.pattern, p.Detail)
			}
		}
		made := decode[client.CreatedToken](t, member.want(t, http.StatusCreated, "POST", tokens, `{"name":"ci","scopes":["gateway:use"]}`))
		if made.Owner != "bob" {
			t.Errorf("it belongs to %s", made.Owner)
		}
		got, _ := walk(t, member, tokens, 50, nil)
		if len(got) != 2 || got[0] != "mine" || got[1] != "ci" {
			t.Errorf("a member sees %v", got)
		}
		// Another's token is not there, rather than forbidden.
		refusal(t, member.call(t, "GET", tokens+"/"+others.ID, ""), http.StatusNotFound)
		refusal(t, member.call(t, "DELETE", tokens+"/"+others.ID, ""), http.StatusNotFound)
		s.want(t, http.StatusOK, "GET", tokens+"/"+made.ID, "")
		member.want(t, http.StatusNoContent, "DELETE", tokens+"/"+made.ID, "")
	})
}
