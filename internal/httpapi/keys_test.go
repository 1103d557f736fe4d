package httpapi_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/httpapi"
)

func TestProviderKeyFromCreationToRemoval(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		s.provider(t, "p", "1")
		keys := providers + "/p/keys"
		expires := s.clock.now().Add(time.Hour)
		a := s.want(t, http.StatusCreated, "POST", keys, `{"api_key":"`+s.key("2")+`","label":"spare","disabled":true,"expires_at":"2030-01-01T02:00:00+01:00"}`)
		made := decode[client.ProviderKey](t, a)
		want := client.ProviderKey{
			Position: 2, Weight: 1, Label: "spare", Hint: hintOf(s, "2"), Disabled: true, ExpiresAt: &expires, CreatedAt: s.clock.now(), State: client.KeyReady, LimitedModels: []client.LimitedModel{},
		}
		if diff := cmp.Diff(want, made, cmpopts.IgnoreFields(client.ProviderKey{}, "ID")); diff != "" {
			t.Errorf("added (-want +got):\n%s", diff)
		}
		if got := a.header.Get("Location"); got != keys+"/"+made.ID {
			t.Errorf("got Location %s", got)
		}
		if provider := s.want(t, http.StatusOK, "GET", providers+"/p", ""); a.header.Get("ETag") != provider.header.Get("ETag") {
			t.Errorf("the ETag of a key is %s, that of its provider %s", a.header.Get("ETag"), provider.header.Get("ETag"))
		}
		read := func() client.ProviderKey {
			return decode[client.ProviderKey](t, s.want(t, http.StatusOK, "GET", a.header.Get("Location"), ""))
		}
		if diff := cmp.Diff(made, read()); diff != "" {
			t.Errorf("read differs from added:\n%s", diff)
		}
		want = made
		for _, step := range []struct {
			body string
			edit func()
		}{
			{`{}`, func() {}},
			{`{"label":"main"}`, func() { want.Label = "main" }},
			{`{"label":null}`, func() { want.Label = "" }},
			{`{"disabled":false}`, func() { want.Disabled = false }},
			{`{"expires_at":null}`, func() { want.ExpiresAt = nil }},
			{`{"position":7}`, func() { want.Position = 7 }},
		} {
			got := decode[client.ProviderKey](t, s.want(t, http.StatusOK, "PATCH", keys+"/"+made.ID, step.body))
			step.edit()
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", step.body, diff)
			}
			if diff := cmp.Diff(want, read()); diff != "" {
				t.Errorf("%s is answered, and something else stored (-want +got):\n%s", step.body, diff)
			}
		}
		if a := s.want(t, http.StatusNoContent, "DELETE", keys+"/"+made.ID, ""); len(a.body) != 0 {
			t.Errorf("204 with a body: %s", a.body)
		}
		refusal(t, s.call(t, "DELETE", keys+"/"+made.ID, ""), http.StatusNotFound)
		refusal(t, s.call(t, "GET", keys+"/"+made.ID, ""), http.StatusNotFound)
		s.want(t, http.StatusCreated, "POST", keys, `{"api_key":"`+s.key("2")+`"}`) // it is no duplicate any more
	})
}

func TestKeysStandInFailoverOrder(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		s.provider(t, "p", "1", "2")
		for _, body := range []string{`{"api_key":"KEY3","position":1}`, `{"api_key":"KEY4","position":10}`, `{"api_key":"KEY5"}`} {
			for _, name := range []string{"3", "4", "5"} {
				body = strings.Replace(body, "KEY"+name, s.key(name), 1)
			}
			s.want(t, http.StatusCreated, "POST", providers+"/p/keys", body)
		}
		want := []string{hintOf(s, "1"), hintOf(s, "3"), hintOf(s, "2"), hintOf(s, "4"), hintOf(s, "5")}
		list := decode[client.Page[client.ProviderKey]](t, s.want(t, http.StatusOK, "GET", providers+"/p/keys", ""))
		if diff := cmp.Diff(want, hints(list.Items)); diff != "" {
			t.Errorf("the list (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want, hints(get(t, s, "p").APIKeys)); diff != "" {
			t.Errorf("the provider (-want +got):\n%s", diff)
		}
	})
}

func TestKeysThatAreAllowed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		s.provider(t, "p")
		s.provider(t, "q", "1")
		for _, c := range []struct{ key, hint string }{
			{"k", ""},
			{strings.Repeat("a", 19), ""},
			{strings.Repeat("b", 16) + "wxyz", "bbb…wxyz"},
			{"two words in a key: one", "two… one"},
			{strings.Repeat("c", 4096), "ccc…cccc"},
			{`"quoted\" and <html> & such`, `"qu…such`},
			{s.key("1"), hintOf(s, "1")}, // another provider has it
		} {
			body, err := json.Marshal(map[string]string{"api_key": c.key})
			if err != nil {
				t.Fatal(err)
			}
			if got := decode[client.ProviderKey](t, s.want(t, http.StatusCreated, "POST", providers+"/p/keys", string(body))); got.Hint != c.hint {
				t.Errorf("the hint of a key of %d characters is %q, want %q", len(c.key), got.Hint, c.hint)
			}
		}
	})
}

func TestStateIsWhatTheGatewaySays(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		p := s.provider(t, "p", "1", "2")
		until := s.clock.now().Add(time.Minute)
		last := &client.KeyError{Reason: "rate_limited", Status: 429, Time: s.clock.now(), Model: "m"}
		state := func(provider, id string) httpapi.KeyState {
			if provider == "p" && id == p.APIKeys[1].ID {
				return httpapi.KeyState{State: client.KeyCooling, Reason: "rate_limited", Until: until, LastError: last}
			}
			return httpapi.KeyState{State: client.KeyReady, Limits: []client.LimitedModel{{Model: "m", Until: until}}}
		}
		s.state.Store(&state)
		got := get(t, s, p.ID).APIKeys
		if k := got[0]; len(k.LimitedModels) != 1 || k.LimitedModels[0].Model != "m" || !k.LimitedModels[0].Until.Equal(until) || k.State != client.KeyReady || k.StateReason != "" || k.StateUntil != nil || k.LastError != nil {
			t.Errorf("the first is %+v", k)
		}
		k := got[1]
		if k.LimitedModels == nil || len(k.LimitedModels) != 0 || k.State != client.KeyCooling || k.StateReason != "rate_limited" || k.StateUntil == nil || !k.StateUntil.Equal(until) || k.LastError == nil || *k.LastError != *last {
			t.Errorf("the second is %+v", k)
		}
	})
}

func TestStrategyAndWeight(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		for _, strategy := range []string{"in_order", "weighted", "least_loaded"} {
			p := decode[client.Provider](t, s.want(t, http.StatusCreated, "POST", providers,
				`{"type":"openai","name":"p-`+strings.ReplaceAll(strategy, "_", "-")+`","base_url":"http://localhost/v1","strategy":"`+strategy+`"}`))
			if p.Strategy != strategy {
				t.Errorf("created with %s, want %s", p.Strategy, strategy)
			}
		}
		p := s.provider(t, "p", "1", "2")
		if got := decode[client.Provider](t, s.want(t, http.StatusOK, "PATCH", providers+"/p", `{"strategy":"weighted"}`)); got.Strategy != "weighted" || got.Revision <= p.Revision {
			t.Errorf("after the edit: %+v", got)
		}
		key := providers + "/p/keys/" + p.APIKeys[0].ID
		for body, want := range map[string]int64{`{"weight":0}`: 0, `{"weight":1000}`: 1000} {
			if got := decode[client.ProviderKey](t, s.want(t, http.StatusOK, "PATCH", key, body)); got.Weight != want {
				t.Errorf("%s gives %d", body, got.Weight)
			}
		}
		if got := decode[client.ProviderKey](t, s.want(t, http.StatusOK, "PATCH", key, `{"label":"x","weight":7}`)); got.Weight != 7 || got.Label != "x" {
			t.Errorf("got %+v", got)
		}
		if got := decode[client.ProviderKey](t, s.want(t, http.StatusCreated, "POST", providers+"/p/keys", `{"api_key":"`+s.key("3")+`","weight":5}`)); got.Weight != 5 {
			t.Errorf("added with weight %d", got.Weight)
		}
		for _, c := range []struct{ method, path, body, location string }{
			{"PATCH", providers + "/p", `{"strategy":"random"}`, "body.strategy"},
			{"PATCH", providers + "/p", `{"strategy":null}`, "body.strategy"},
			{"POST", providers, `{"type":"openai","name":"q","base_url":"http://localhost/v1","strategy":"random"}`, "body.strategy"},
			{"PATCH", key, `{"weight":1001}`, "body.weight"},
			{"PATCH", key, `{"weight":-1}`, "body.weight"},
			{"PATCH", key, `{"weight":null}`, "body.weight"},
			{"POST", providers + "/p/keys", `{"api_key":"` + s.key("4") + `","weight":1001}`, "body.weight"},
		} {
			if a := s.want(t, http.StatusUnprocessableEntity, c.method, c.path, c.body); !strings.Contains(string(a.body), `"`+c.location+`"`) {
				t.Errorf("%s %s: %s", c.method, c.body, a.body)
			}
		}
	})
}
