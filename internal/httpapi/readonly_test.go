package httpapi_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/httpapi"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
)

// notWalked are the reads that lead a browser to another site and back. That the way
// back opens a session, and the others change nothing, is what
// TestOfSigningInElsewhereOnlyTheWayBackChangesAnything holds.
var notWalked = []string{oidcPath + "{name}", oidcPath + "{name}/callback", oidcPath + "{name}/end"}

func TestGetChangesNothing(t *testing.T) {
	t.Parallel()
	var doc struct {
		Paths map[string]map[string]json.RawMessage
	}
	b, err := httpapi.Spec("dev")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	each(t, func(t *testing.T, s *server) {
		p := s.provider(t, "main", "1", "2")
		s.provider(t, "gone")
		s.want(t, http.StatusNoContent, "DELETE", providers+"/gone", "")
		token, _ := dbgen.APIKey(t, s.DB, s.owner, store.APIKey{})
		user, role := s.user(t, "bea", "member"), s.role(t, "made", "gateway:use")
		request := s.interception(t, store.Interception{OwnerID: s.owner.ID})
		alias := s.aiRoute(t, "alias", "main/m")
		before := s.dump(t)
		for path, operations := range doc.Paths {
			if operations["get"] == nil || slices.Contains(notWalked, path) {
				continue
			}
			id := token.ID
			if strings.HasPrefix(path, providers) {
				id = p.APIKeys[0].ID
			}
			if strings.HasPrefix(path, interceptionsPath) {
				id = request.ID
			}
			filled := strings.NewReplacer("{provider}", "main", "{id}", id, "{index}", "1", "{user}", user.ID, "{role}", role.Name, "{route}", alias.Name).Replace(path)
			s.want(t, http.StatusOK, "GET", filled, "")
			s.want(t, http.StatusOK, "HEAD", filled, "")
			if after := s.dump(t); after != before {
				t.Errorf("GET %s changed the database:\n%s", path, cmp.Diff(before, after))
				before = after
			}
		}
		s.want(t, http.StatusOK, "GET", providers+"?include_deleted=true&limit=1", "")
		if after := s.dump(t); after != before {
			t.Error("a list with deleted providers changed the database")
		}
	})
}

// TestSecretsStayWhereTheyBelong sends a marked key and a marked token in all
// the ways there are, right and wrong. The harness searches every answer and,
// at the end, the log; here it is the database, and that there was something to
// search.
func TestSecretsStayWhereTheyBelong(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		key, token := s.key("canary"), s.token.Reveal()
		for i, r := range routesOf(t, s, 1) {
			body := strings.Replace(r.body, "SCOPE", "all", 1)
			// The key where no key is wanted.
			for _, where := range []string{
				`{"` + key + `":1}`, `{"name":"` + key + `","display_name":` + `"x` + "\\n" + key + `"}`, `{"type":"` + key + `"}`, `{"base_url":"https://` + key + `@h/` + key + `?` + key + `"}`,
				`{"api_keys":["` + key + ` ","…` + key + `"]}`, `{"api_keys":[{"id":"` + key + `"}]}`, `{"api_keys":{"` + key + `":true}}`, `{"api_key":["` + key + `"]}`,
				`{"settings":{"_type":"` + key + `"}}`, `{"settings":{"_type":"openai","_version":1,"` + key + `":1}}`, `{"settings":"` + key + `"}`,
				`{"label":"` + key + "\\n" + `"}`, `{"expires_at":"` + key + `"}`, `{"position":"` + key + `"}`, `{"expires_at":"` + key + `","expires_at":null}`,
				`{"name":"gate_` + key + `","scopes":["` + key + `"]}`, `{"scopes":["` + key + `"],"providers":["` + key + ` "],"models":["*` + key + `*"]}`,
				`"` + key + `"`, `{"api_key":"` + key, key,
			} {
				if r.body != "" {
					if a := s.call(t, r.method, r.path, where); a.status < 400 {
						t.Errorf("%s %s took %s", r.method, r.pattern, a.body)
					}
				}
			}
			s.call(t, r.method, r.path, body, header{"Content-Type", "application/" + key})
			s.call(t, r.method, r.path+"?"+key+"="+key+"&cursor="+key+"&limit="+key, body)
			s.call(t, r.method, r.path, body, header{"If-Match", `"` + key + `"`}, header{"X-Forwarded-For", key}, header{"Accept", key}, header{"User-Agent", "ua"})
			s.call(t, r.method, r.path+"/"+key, body)
			s.call(t, key, r.path, body)
			// The token where it does not belong.
			s.call(t, r.method, r.path+"?token="+token, body)
			s.call(t, r.method, "/api/"+token, body)
			s.call(t, r.method, r.path, `{"name":"`+token+`","api_key":"…`+token+`","scopes":["`+token+`"]}`)
			s.call(t, r.method, r.path, body, header{"Authorization", "Bearer " + token + "x"}, header{"Cookie", token})
			// And at last as it should be, of another making.
			r = routesOf(t, s, i+2)[i]
			if a := s.call(t, r.method, r.path, strings.Replace(r.body, "SCOPE", "all", 1)); a.status >= 300 {
				t.Errorf("%s %s: %d %s", r.method, r.pattern, a.status, a.body)
			}
		}
		if s.log.leaked(s.dump(t)) {
			t.Error("the database has a part of a secret in the clear")
		}
		if n := len(regexp.MustCompile(`"api request"`).FindAllString(s.log.text(), -1)); n < 250 {
			t.Errorf("the log has %d lines", n)
		}
		if !s.log.leaked("… "+key+" …") || !s.log.leaked(token[3:14]) {
			t.Error("the search finds nothing")
		}
	})
}
