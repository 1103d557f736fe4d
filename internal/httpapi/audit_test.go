package httpapi_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
)

// entries returns the audit log, oldest first, as the API shows it.
func entries(t *testing.T, s *server) []client.AuditEntry {
	t.Helper()
	list := decode[client.Page[client.AuditEntry]](t, s.want(t, http.StatusOK, "GET", auditPath+"?limit=500", "")).Items
	for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
		list[i], list[j] = list[j], list[i]
	}
	return list
}

// fingerprints are random: each installation of a test has its own key for them.
var fingerprints = regexp.MustCompile(`"[0-9a-f]{64}"`)

func TestEveryChangeLeavesItsEntries(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		owner, tok := dbgen.APIKey(t, s.DB, s.owner, store.APIKey{Name: "laptop", Scopes: store.SetOf("all")})
		who := s.as(tok)
		seen := len(entries(t, s))
		ids := map[string]string{} // by id, how the test calls it
		naming := func(text string) string {
			for id, name := range ids {
				text = strings.ReplaceAll(text, id, name)
			}
			return fingerprints.ReplaceAllString(text, `"F"`)
		}
		// expect does a change and compares its entries: action, resource, id,
		// target and diff, a line each.
		expect := func(method, path, body string, learn func(a answer), want ...string) {
			t.Helper()
			a := who.call(t, method, path, body, header{"User-Agent", "test"}, header{"X-Forwarded-For", "203.0.113.9"})
			if a.status >= 300 {
				t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
			}
			if learn != nil {
				learn(a)
			}
			all := entries(t, s)
			var got []string
			for _, e := range all[seen:] {
				got = append(got, naming(fmt.Sprintf("%s %s %s %s %s", e.Action, e.ResourceType, e.ResourceID, e.Target, e.Diff)))
				actor := client.AuditActor{Kind: "user", ID: s.owner.ID, Name: "ada", TokenID: owner.ID, TokenName: "laptop"}
				if e.Actor != actor || e.RequestID != a.header.Get("X-Gatehouse-Request-Id") || e.Address != "203.0.113.9" || !e.Time.Equal(s.clock.now()) {
					t.Errorf("%s %s: entry %+v", method, path, e)
				}
			}
			seen = len(all)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s %s (-want +got):\n%s", method, path, diff)
			}
		}

		var p client.Provider
		expect("POST", providers, `{"type":"openai","name":"main","display_name":"Main","base_url":"`+vendor+`",
			"settings":{"_type":"openai","_version":1,"organization":"o"},"api_keys":["`+s.key("1")+`"]}`, func(a answer) {
			p = decode[client.Provider](t, a)
			ids[p.ID], ids[p.APIKeys[0].ID] = "P", "K1"
		},
			`create ai_provider P main {"type":{"new":"openai"},"name":{"new":"main"},"display_name":{"new":"Main"},"enabled":{"new":true},"base_url":{"new":"https://api.example.com/v1"},`+
				`"settings._type":{"new":"openai"},"settings._version":{"new":1},"settings.organization":{"new":"o"},"strategy":{"new":"in_order"},"secret_revision":{"new":1}}`,
			`create ai_provider_key K1 P {"provider_id":{"new":"P"},"api_key":{"secret":true},"position":{"new":1},"weight":{"new":1},"hint":{"new":"`+hintOf(s, "1")+`"},"fingerprint":{"new":"F"},"secret_revision":{"new":1}}`)
		expect("PATCH", providers+"/main", `{"display_name":null,"enabled":false}`, nil,
			`update ai_provider P main {"display_name":{"old":"Main","new":""},"enabled":{"old":true,"new":false}}`)
		expect("PATCH", providers+"/main", `{"display_name":null}`, nil) // changes nothing
		expect("POST", providers+"/main/keys", `{"api_key":"`+s.key("2")+`","label":"spare","expires_at":"2031-01-01T00:00:00Z"}`, func(a answer) {
			ids[decode[client.ProviderKey](t, a).ID] = "K2"
		},
			`create ai_provider_key K2 P {"provider_id":{"new":"P"},"api_key":{"secret":true},"position":{"new":2},"weight":{"new":1},"label":{"new":"spare"},"hint":{"new":"`+hintOf(s, "2")+`"},"fingerprint":{"new":"F"},"expires_at":{"new":"2031-01-01T00:00:00Z"},"secret_revision":{"new":1}}`)
		expect("PATCH", providers+"/main/keys/"+p.APIKeys[0].ID, `{"label":"first","position":5,"disabled":true}`, nil,
			`update ai_provider_key K1 P {"position":{"old":1,"new":5},"label":{"old":"","new":"first"},"disabled":{"old":false,"new":true}}`)
		expect("PATCH", providers+"/main", `{"api_keys":[{"api_key":"`+s.key("3")+`"},{"id":"`+p.APIKeys[0].ID+`"}]}`, func(a answer) {
			ids[decode[client.Provider](t, a).APIKeys[0].ID] = "K3"
		},
			`delete ai_provider_key K2 P {"provider_id":{"old":"P"},"api_key":{"secret":true},"position":{"old":2},"weight":{"old":1},"label":{"old":"spare"},"hint":{"old":"`+hintOf(s, "2")+`"},"fingerprint":{"old":"F"},"expires_at":{"old":"2031-01-01T00:00:00Z"},"secret_revision":{"old":1}}`,
			`update ai_provider_key K1 P {"position":{"old":5,"new":2}}`,
			`create ai_provider_key K3 P {"provider_id":{"new":"P"},"api_key":{"secret":true},"position":{"new":1},"weight":{"new":1},"hint":{"new":"`+hintOf(s, "3")+`"},"fingerprint":{"new":"F"},"secret_revision":{"new":1}}`)
		expect("DELETE", providers+"/main/keys/"+p.APIKeys[0].ID, "", nil,
			`delete ai_provider_key K1 P {"provider_id":{"old":"P"},"api_key":{"secret":true},"position":{"old":2},"weight":{"old":1},"label":{"old":"first"},"hint":{"old":"`+hintOf(s, "1")+`"},"fingerprint":{"old":"F"},"disabled":{"old":true},"secret_revision":{"old":1}}`)
		expect("DELETE", providers+"/main", "", nil,
			`delete ai_provider_key K3 P {"provider_id":{"old":"P"},"api_key":{"secret":true},"position":{"old":1},"weight":{"old":1},"hint":{"old":"`+hintOf(s, "3")+`"},"fingerprint":{"old":"F"},"secret_revision":{"old":1}}`,
			`delete ai_provider P main {"type":{"old":"openai"},"name":{"old":"main"},"base_url":{"old":"https://api.example.com/v1"},`+
				`"settings._type":{"old":"openai"},"settings._version":{"old":1},"settings.organization":{"old":"o"},"strategy":{"old":"in_order"},"secret_revision":{"old":1}}`)
		expect("POST", providers+"/"+p.ID+"/restore", "", nil, `restore ai_provider P main {"deleted":{"old":true,"new":false}}`)
		expect("DELETE", providers+"/main", "", nil,
			`delete ai_provider P main {"type":{"old":"openai"},"name":{"old":"main"},"base_url":{"old":"https://api.example.com/v1"},"strategy":{"old":"in_order"},"secret_revision":{"old":1}}`)
		expect("POST", providers+"/"+p.ID+"/purge", "", nil,
			`purge ai_provider P main {"type":{"old":"openai"},"name":{"old":"main"},"deleted":{"old":true},"base_url":{"old":"https://api.example.com/v1"},"strategy":{"old":"in_order"},"secret_revision":{"old":1}}`)

		var token client.CreatedToken
		ids[s.owner.ID] = "ADA"
		expect("POST", tokens, `{"name":"ci","scopes":["gateway:use","gateway:passthrough"],"models":["gpt-*"],"expires_at":"2031-01-01T00:00:00Z"}`, func(a answer) {
			token = decode[client.CreatedToken](t, a)
			ids[token.ID] = "T"
		},
			`create api_key T ci {"name":{"new":"ci"},"owner_id":{"new":"ADA"},"scopes":{"new":"gateway:use, gateway:passthrough"},"ceiling":{"new":"all"},"models":{"new":"gpt-*"},"expires_at":{"new":"2031-01-01T00:00:00Z"}}`)
		expect("DELETE", tokens+"/"+token.ID, "", nil,
			`delete api_key T ci {"name":{"old":"ci"},"owner_id":{"old":"ADA"},"scopes":{"old":"gateway:use, gateway:passthrough"},"ceiling":{"old":"all"},"models":{"old":"gpt-*"},"expires_at":{"old":"2031-01-01T00:00:00Z"}}`)
		refusal(t, s.as(secret.New(token.Secret)).call(t, "GET", providers, ""), http.StatusUnauthorized)
	})
}

func TestAuditEntriesAreNumberedWithoutGaps(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		fixture(t, s)
		member := s.with(t, dbgen.User(t, s.DB, store.User{Roles: store.SetOf(string(rbac.Member))}), store.APIKey{Scopes: store.SetOf("all")})
		refusal(t, member.call(t, "DELETE", providers+"/main", ""), http.StatusForbidden)
		refusal(t, s.call(t, "POST", providers, `{"type":"openai","name":"main","base_url":"`+vendor+`"}`), http.StatusConflict)
		s.provider(t, "last")
		for i, e := range entries(t, s) {
			if e.Index != int64(i+1) {
				t.Fatalf("entry %d has index %d", i, e.Index)
			}
		}
	})
}
