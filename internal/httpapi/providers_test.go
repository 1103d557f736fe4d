package httpapi_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/gatehousehq/gatehouse/client"
)

func get(t *testing.T, s *server, ref string) client.Provider {
	t.Helper()
	return decode[client.Provider](t, s.want(t, http.StatusOK, "GET", providers+"/"+ref, ""))
}

// hints returns the hints of keys, which tell them apart, in their order.
func hints(keys []client.ProviderKey) []string {
	out := []string{}
	for _, k := range keys {
		out = append(out, k.Hint)
	}
	return out
}

// hintOf returns the hint that a key of that name has.
func hintOf(s *server, name string) string {
	k := s.key(name)
	return k[:3] + "…" + k[len(k)-4:]
}

func TestProviderIsWhatWasSent(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		a := s.want(t, http.StatusCreated, "POST", providers, `{"type":"openai","name":"openai-1","display_name":"Main","enabled":false,
			"base_url":"HTTPS://API.Example.com/v1/","settings":{"_version":1,"_type":"openai","project":"p","organization":"o"},"api_keys":["`+s.key("1")+`","short"]}`)
		got := decode[client.Provider](t, a)
		now := s.clock.now()
		want := client.Provider{
			Type: client.OpenAI, Name: "openai-1", DisplayName: new("Main"), BaseURL: "https://api.example.com/v1", Strategy: "in_order", Revision: 3,
			Settings: json.RawMessage(`{"_type":"openai","_version":1,"organization":"o","project":"p"}`), CreatedAt: now, UpdatedAt: now,
			APIKeys: []client.ProviderKey{
				{Position: 1, Weight: 1, Hint: hintOf(s, "1"), CreatedAt: now, State: client.KeyReady, LimitedModels: []client.LimitedModel{}},
				{Position: 2, Weight: 1, CreatedAt: now, State: client.KeyReady, LimitedModels: []client.LimitedModel{}},
			},
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(client.Provider{}, "ID"), cmpopts.IgnoreFields(client.ProviderKey{}, "ID")); diff != "" {
			t.Errorf("created (-want +got):\n%s", diff)
		}
		for _, id := range []string{got.ID, got.APIKeys[0].ID, got.APIKeys[1].ID} {
			if u, err := uuid.Parse(id); err != nil || u.Version() != 7 {
				t.Errorf("id %s is not a UUIDv7", id)
			}
		}
		if location, etag := a.header.Get("Location"), a.header.Get("ETag"); location != providers+"/"+got.ID || etag != `"3"` {
			t.Errorf("got Location %s and ETag %s", location, etag)
		}
		for _, ref := range []string{got.ID, "openai-1"} {
			read := s.want(t, http.StatusOK, "GET", providers+"/"+ref, "")
			if diff := cmp.Diff(string(a.body), string(read.body)); diff != "" {
				t.Errorf("read by %s differs from created:\n%s", ref, diff)
			}
			if read.header.Get("ETag") != `"3"` || read.header.Get("Location") != "" {
				t.Errorf("read with headers %v", read.header)
			}
		}
	})
}

func TestProviderHasTheFieldsOfTheContract(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		s.provider(t, "p", "1")
		doc := decode[map[string]any](t, s.want(t, http.StatusOK, "GET", providers+"/p", ""))
		if diff := cmp.Diff("api_keys base_url created_at display_name enabled id name revision settings strategy type updated_at", names(doc)); diff != "" {
			t.Errorf("provider (-want +got):\n%s", diff)
		}
		key := doc["api_keys"].([]any)[0].(map[string]any)
		if diff := cmp.Diff("created_at disabled expires_at hint id label last_error last_used_at limited_models position state state_reason state_until weight", names(key)); diff != "" {
			t.Errorf("key (-want +got):\n%s", diff)
		}
		list := decode[map[string]any](t, s.want(t, http.StatusOK, "GET", providers, ""))
		if diff := cmp.Diff("items next_cursor", names(list)); diff != "" || list["next_cursor"] != nil {
			t.Errorf("list (-want +got):\n%s", diff)
		}
	})
}

func names(doc map[string]any) string {
	return strings.Join(slices.Sorted(maps.Keys(doc)), " ")
}

func TestNullIsTheSameAsLeftOutOnCreate(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		var made [2]client.Provider
		for i, more := range []string{``, `,"display_name":null,"enabled":null,"strategy":null,"settings":null,"api_keys":null`} {
			made[i] = decode[client.Provider](t, s.want(t, http.StatusCreated, "POST", providers,
				fmt.Sprintf(`{"type":"anthropic","name":"p%d","base_url":"http://localhost:11434"%s}`, i, more)))
		}
		want := client.Provider{
			Type: client.Anthropic, Name: "p0", Enabled: true, BaseURL: "http://localhost:11434", Strategy: "in_order", Revision: 1,
			Settings: json.RawMessage("null"), APIKeys: []client.ProviderKey{}, CreatedAt: s.clock.now(), UpdatedAt: s.clock.now(),
		}
		ignore := cmpopts.IgnoreFields(client.Provider{}, "ID")
		if diff := cmp.Diff(want, made[0], ignore); diff != "" {
			t.Errorf("left out (-want +got):\n%s", diff)
		}
		want.Name = "p1"
		if diff := cmp.Diff(want, made[1], ignore); diff != "" {
			t.Errorf("null (-want +got):\n%s", diff)
		}

		var keys [2]client.ProviderKey
		for i, more := range []string{``, `,"label":null,"position":null,"weight":null,"disabled":null,"expires_at":null`} {
			keys[i] = decode[client.ProviderKey](t, s.want(t, http.StatusCreated, "POST", fmt.Sprintf("%s/p%d/keys", providers, i), `{"api_key":"`+s.key("1")+`"`+more+`}`))
		}
		if diff := cmp.Diff(keys[0], keys[1], cmpopts.IgnoreFields(client.ProviderKey{}, "ID")); diff != "" {
			t.Errorf("a key with nulls differs from one without:\n%s", diff)
		}
		token := decode[client.CreatedToken](t, s.want(t, http.StatusCreated, "POST", tokens, `{"name":"n","scopes":["all"],"providers":null,"models":null,"expires_at":null,"rpm":null,"concurrency":null}`))
		if token.Providers != nil || token.Models != nil || token.ExpiresAt != nil || token.RPM != 0 || token.Concurrency != 0 {
			t.Errorf("a token with nulls is limited: %v", token)
		}
	})
}

func TestBaseURLsThatAreAllowed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		for i, u := range []struct{ sent, kept string }{
			{"http://127.0.0.1:8080/v1", "http://127.0.0.1:8080/v1"},
			{"http://[::1]:8080", "http://[::1]:8080"},
			{"http://192.168.1.5", "http://192.168.1.5"},
			{"http://10.67.0.1/a/b///", "http://10.67.0.1/a/b"},
			{"https://models.corp.example/%7Eteam/v1", "https://models.corp.example/%7Eteam/v1"},
		} {
			got := decode[client.Provider](t, s.want(t, http.StatusCreated, "POST", providers, fmt.Sprintf(`{"type":"openai","name":"p%d","base_url":"%s"}`, i, u.sent)))
			if got.BaseURL != u.kept {
				t.Errorf("%s became %s", u.sent, got.BaseURL)
			}
		}
	})
}

func TestPatchKeepsWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		s.want(t, http.StatusCreated, "POST", providers, `{"type":"openai","name":"p","display_name":"P","base_url":"`+vendor+`",
			"settings":{"_type":"openai","_version":1,"organization":"o"},"api_keys":["`+s.key("1")+`"]}`)
		before := get(t, s, "p")
		unchanged := func(why string, want client.Provider) {
			t.Helper()
			if diff := cmp.Diff(want, get(t, s, "p"), cmpopts.IgnoreFields(client.Provider{}, "UpdatedAt")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", why, diff)
			}
		}
		entries := len(s.Audit(t))
		for _, same := range []string{
			`{}`, `{"display_name":"P"}`, `{"enabled":true}`, `{"base_url":"` + vendor + `/"}`, `{"api_keys":[{"id":"` + before.APIKeys[0].ID + `"}]}`,
			`{"settings":{"_version":1,"_type":"openai","organization":"o"}}`,
		} {
			a := s.want(t, http.StatusOK, "PATCH", providers+"/p", same)
			if a.header.Get("ETag") != fmt.Sprintf(`"%d"`, before.Revision) {
				t.Errorf("an edit that changes nothing raised the revision: %s", same)
			}
			unchanged("an edit that changes nothing: "+same, before)
		}
		if n := len(s.Audit(t)); n != entries {
			t.Errorf("edits that changed nothing left %d entries", n-entries)
		}

		want := before
		for _, step := range []struct {
			body string
			edit func()
		}{
			{`{"display_name":"Q"}`, func() { want.DisplayName = new("Q") }},
			{`{"enabled":false}`, func() { want.Enabled = false }},
			{`{"base_url":"https://api.example.com/v2"}`, func() { want.BaseURL = "https://api.example.com/v2" }},
			{`{"display_name":null}`, func() { want.DisplayName = nil }},
			{`{"settings":{"_type":"openai","_version":1,"project":"x"}}`, func() {
				want.Settings = json.RawMessage(`{"_type":"openai","_version":1,"project":"x"}`)
			}},
			{`{"settings":null}`, func() { want.Settings = json.RawMessage("null") }},
		} {
			s.want(t, http.StatusOK, "PATCH", providers+"/"+before.ID, step.body)
			step.edit()
			want.Revision++
			unchanged(step.body, want)
		}
	})
}

func TestPatchOfKeysDeclaresTheEndState(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		p := s.provider(t, "p", "a", "b", "c")
		a, b, c := p.APIKeys[0].ID, p.APIKeys[1].ID, p.APIKeys[2].ID
		s.want(t, http.StatusOK, "PATCH", providers+"/p/keys/"+b, `{"label":"second","disabled":true}`)
		declare := func(body string, want ...string) client.Provider {
			t.Helper()
			got := decode[client.Provider](t, s.want(t, http.StatusOK, "PATCH", providers+"/p", `{"api_keys":`+body+`}`))
			wanted := []string{}
			for _, w := range want {
				wanted = append(wanted, hintOf(s, w))
			}
			if diff := cmp.Diff(wanted, hints(got.APIKeys)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", body, diff)
			}
			for i, k := range got.APIKeys {
				if k.Position != int64(i+1) {
					t.Errorf("%s: key %d has position %d", body, i, k.Position)
				}
			}
			if diff := cmp.Diff(got, get(t, s, "p")); diff != "" {
				t.Errorf("%s: the answer is not what is stored:\n%s", body, diff)
			}
			return got
		}
		keep := func(id string) string { return `{"id":"` + id + `"}` }
		add := func(name string) string { return `{"api_key":"` + s.key(name) + `"}` }

		declare("["+keep(a)+","+keep(b)+","+keep(c)+"]", "a", "b", "c")
		got := declare("["+keep(c)+","+keep(a)+","+keep(b)+"]", "c", "a", "b")
		if k := got.APIKeys[2]; k.ID != b || k.Label != "second" || !k.Disabled {
			t.Errorf("a kept key became %+v", k)
		}
		declare("["+keep(b)+","+add("d")+","+keep(c)+"]", "b", "d", "c")
		// A key whose value was removed in the same edit can be added again.
		got = declare("["+add("b")+","+keep(c)+"]", "b", "c")
		if k := got.APIKeys[0]; k.ID == b || k.Label != "" || k.Disabled {
			t.Errorf("a key added again is still the old one: %+v", k)
		}
		declare("[]")
		declare("["+add("a")+"]", "a")
	})
}

func TestChangeOfOriginTakesEverythingAgain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		s.want(t, http.StatusCreated, "POST", providers, `{"type":"openai","name":"p","base_url":"`+vendor+`",
			"settings":{"_type":"openai","_version":1,"organization":"o"},"api_keys":["`+s.key("1")+`"]}`)
		old := get(t, s, "p").APIKeys[0].ID
		for _, body := range []string{
			`{"base_url":"https://eu.example.com/v1"}`,
			`{"base_url":"https://eu.example.com/v1","api_keys":[{"id":"` + old + `"}],"settings":{"_type":"openai","_version":1}}`,
			`{"base_url":"https://eu.example.com/v1","api_keys":[{"api_key":"` + s.key("2") + `"}]}`,
		} {
			refusal(t, s.call(t, "PATCH", providers+"/p", body), http.StatusUnprocessableEntity)
		}
		got := decode[client.Provider](t, s.want(t, http.StatusOK, "PATCH", providers+"/p", `{"base_url":"https://eu.example.com/v1",
			"api_keys":[{"api_key":"`+s.key("1")+`"}],"settings":{"_type":"openai","_version":1,"organization":"o"}}`))
		if got.BaseURL != "https://eu.example.com/v1" || len(got.APIKeys) != 1 || got.APIKeys[0].ID == old {
			t.Errorf("moved to %+v", got)
		}
		got = decode[client.Provider](t, s.want(t, http.StatusOK, "PATCH", providers+"/p", `{"base_url":"http://localhost:1","api_keys":[],"settings":null}`))
		if got.BaseURL != "http://localhost:1" || len(got.APIKeys) != 0 || string(got.Settings) != "null" {
			t.Errorf("moved to %+v", got)
		}
		// The default port, spelt out, is the same origin.
		s.provider(t, "q", "1")
		s.want(t, http.StatusOK, "PATCH", providers+"/q", `{"base_url":"https://api.example.com:443/v1"}`)
	})
}

func TestIfMatch(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		p := s.provider(t, "p", "1", "2")
		keys := providers + "/p/keys"
		match := func(v string) header { return header{"If-Match", v} }
		for _, step := range []struct{ method, path, body string }{
			{"PATCH", providers + "/p", `{"enabled":false}`},
			{"POST", keys, `{"api_key":"` + s.key("3") + `"}`},
			{"PATCH", keys + "/" + p.APIKeys[0].ID, `{"label":"x"}`},
			{"DELETE", keys + "/" + p.APIKeys[0].ID, ""},
			{"DELETE", providers + "/p", ""},
		} {
			now := s.want(t, http.StatusOK, "GET", providers+"/p", "")
			etag := now.header.Get("ETag")
			got := refusal(t, s.call(t, step.method, step.path, step.body, match(`"1"`)), http.StatusPreconditionFailed)
			current, err := json.Marshal(decode[client.Provider](t, now))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(current), string(got.Current)); diff != "" {
				t.Errorf("%s %s: 412 has not the current provider (-want +got):\n%s", step.method, step.path, diff)
			}
			a := s.call(t, step.method, step.path, step.body, match(etag))
			if a.status >= 300 {
				t.Errorf("%s %s with a fresh If-Match: %d %s", step.method, step.path, a.status, a.body)
			}
			if next := a.header.Get("ETag"); next == etag || next == "" && step.method != "DELETE" {
				t.Errorf("%s %s: ETag went from %s to %q", step.method, step.path, etag, next)
			}
		}
		s.provider(t, "q")
		s.want(t, http.StatusOK, "PATCH", providers+"/q", `{"enabled":false}`, match("*"))
	})
}

func TestOneOfTwoConditionalEditsWins(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		s.provider(t, "p", "1")
		const rounds, editors = 5, 4
		for range rounds {
			etag := s.want(t, http.StatusOK, "GET", providers+"/p", "").header.Get("ETag")
			var all [editors]answer
			var wg sync.WaitGroup
			for i := range all {
				wg.Go(func() {
					all[i] = s.call(t, "PATCH", providers+"/p", fmt.Sprintf(`{"display_name":"%s by %d"}`, strings.Trim(etag, `"`), i), header{"If-Match", etag})
				})
			}
			wg.Wait()
			won := map[int]int{}
			for _, a := range all {
				won[a.status]++
			}
			if won[http.StatusOK] != 1 || won[http.StatusPreconditionFailed] != editors-1 {
				t.Fatalf("answers by status: %v", won)
			}
		}
	})
}

func TestDeletedProvider(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		first := s.provider(t, "p", "1", "2")
		s.want(t, http.StatusOK, "PATCH", providers+"/p", `{"settings":{"_type":"openai","_version":1,"organization":"o"}}`)
		if a := s.want(t, http.StatusNoContent, "DELETE", providers+"/p", ""); len(a.body) != 0 {
			t.Errorf("204 with a body: %s", a.body)
		}
		for _, ref := range []string{"p", first.ID} {
			refusal(t, s.call(t, "GET", providers+"/"+ref, ""), http.StatusNotFound)
			refusal(t, s.call(t, "DELETE", providers+"/"+ref, ""), http.StatusNotFound)
			refusal(t, s.call(t, "PATCH", providers+"/"+ref, `{"enabled":true}`), http.StatusNotFound)
			refusal(t, s.call(t, "POST", providers+"/"+ref+"/keys", `{"api_key":"`+s.key("3")+`"}`), http.StatusNotFound)
		}
		second := s.provider(t, "p", "1")
		if second.ID == first.ID {
			t.Error("the new provider has the id of the old")
		}
		refusal(t, s.call(t, "POST", providers, `{"type":"openai","name":"p","base_url":"`+vendor+`"}`), http.StatusConflict)
		live := decode[client.Page[client.Provider]](t, s.want(t, http.StatusOK, "GET", providers, "")).Items
		if len(live) != 1 || live[0].ID != second.ID || live[0].Deleted {
			t.Errorf("the list has %+v", live)
		}
		all := decode[client.Page[client.Provider]](t, s.want(t, http.StatusOK, "GET", providers+"?include_deleted=true", "")).Items
		if len(all) != 2 {
			t.Fatalf("with deleted ones the list has %+v", all)
		}
		for _, p := range all {
			if p.ID == first.ID && (!p.Deleted || p.Enabled || len(p.APIKeys) != 0 || string(p.Settings) != "null") {
				t.Errorf("the deleted provider is %+v", p)
			}
		}
	})
}

func TestListHasDisabledProviders(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		s.provider(t, "b")
		s.provider(t, "a")
		s.want(t, http.StatusOK, "PATCH", providers+"/a", `{"enabled":false}`)
		got := decode[client.Page[client.Provider]](t, s.want(t, http.StatusOK, "GET", providers, "")).Items
		if len(got) != 2 || got[0].Name != "a" || got[0].Enabled || got[1].Name != "b" {
			t.Errorf("got %+v", got)
		}
	})
}
