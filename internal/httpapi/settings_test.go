package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/client"
)

const bedrockURL = "https://bedrock-runtime.eu-central-1.amazonaws.com"

// TestSettingsWithSecrets goes through the life of a document whose secrets are
// written and never read. The harness searches each answer for them.
func TestSettingsWithSecrets(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		pair := `"access_key":"` + s.key("id") + `","access_key_secret":"` + s.key("secret") + `"`
		doc := func(members string) string {
			return `{"_type":"bedrock","_version":1,"region":"eu-central-1",` + members + `}`
		}
		public := func(members string) string {
			return strings.TrimSuffix(doc(members), "}") + `,"_secrets":["access_key","access_key_secret"]}`
		}
		last := func() string {
			all := entries(t, s)
			return all[len(all)-1].Action + " " + string(all[len(all)-1].Diff)
		}
		settings := func(a answer) string { return string(decode[client.Provider](t, a).Settings) }
		check := func(why, got, want string) {
			t.Helper()
			if got != want {
				t.Errorf("%s: got %s, want %s", why, got, want)
			}
		}

		a := s.want(t, http.StatusCreated, "POST", providers, `{"type":"anthropic","name":"p","base_url":"`+bedrockURL+`","settings":`+doc(`"model":"m",`+pair)+`}`)
		check("created", settings(a), public(`"model":"m"`))
		check("created", last(), `create {"type":{"new":"anthropic"},"name":{"new":"p"},"enabled":{"new":true},"base_url":{"new":"`+bedrockURL+`"},`+
			`"settings._type":{"new":"bedrock"},"settings._version":{"new":1},"settings.access_key":{"secret":true},"settings.access_key_secret":{"secret":true},`+
			`"settings.model":{"new":"m"},"settings.region":{"new":"eu-central-1"},"strategy":{"new":"in_order"},"secret_revision":{"new":1}}`)

		patch := func(settings string) answer {
			t.Helper()
			return s.want(t, http.StatusOK, "PATCH", providers+"/p", `{"settings":`+settings+`}`)
		}
		n := len(entries(t, s))
		check("as it was read", settings(patch(settings(a))), public(`"model":"m"`))
		if len(entries(t, s)) != n {
			t.Errorf("an edit that changes nothing left the entry %s", last())
		}
		check("another model", settings(patch(public(`"model":"n"`))), public(`"model":"n"`))
		check("another model", last(), `update {"settings.model":{"old":"m","new":"n"},"secret_revision":{"old":1,"new":2}}`)
		check("the secrets again", settings(patch(doc(`"model":"n",`+pair))), public(`"model":"n"`))
		check("the secrets again", last(), `update {"settings.access_key":{"secret":true},"settings.access_key_secret":{"secret":true},"secret_revision":{"old":2,"new":3}}`)
		check("cleared", settings(patch(doc(`"access_key":"","access_key_secret":null`))), `{"_type":"bedrock","_version":1,"region":"eu-central-1"}`)
		check("cleared", last(), `update {"settings.access_key":{"secret":true},"settings.access_key_secret":{"secret":true},"settings.model":{"old":"n"},"secret_revision":{"old":3,"new":4}}`)
		patch(doc(pair))
		check("none", settings(patch("null")), "null")
		check("none", last(), `update {"settings":{"cleared":true},"settings._type":{"old":"bedrock"},"settings._version":{"old":1},"settings.access_key":{"secret":true},"settings.access_key_secret":{"secret":true},"settings.region":{"old":"eu-central-1"},"secret_revision":{"old":5,"new":6}}`)
	})
}

func TestOneSourceOfCredentials(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		const doc = `{"_type":"bedrock","_version":1,"region":"eu-central-1"`
		pair := `,"access_key":"` + s.key("id") + `","access_key_secret":"` + s.key("secret") + `"}`
		key := "AKIA:" + s.key("1")
		refused := func(method, path, body string, want ...client.FieldError) {
			t.Helper()
			if diff := cmp.Diff(refusal(t, s.call(t, method, path, body), http.StatusUnprocessableEntity).Errors, want); diff != "" {
				t.Errorf("%s %s %s (-got +want):\n%s", method, path, body, diff)
			}
		}
		two := func(field string) client.FieldError {
			return client.FieldError{Location: "body." + field, Message: "cannot be there beside the credentials in the settings: have one or the other"}
		}
		form := func(field string) client.FieldError {
			return client.FieldError{Location: "body." + field, Message: "must be ACCESS_KEY_ID:SECRET or an Amazon Bedrock API key, which the settings of the provider ask for"}
		}

		s.want(t, http.StatusCreated, "POST", providers, `{"type":"anthropic","name":"pair","base_url":"`+bedrockURL+`","settings":`+doc+pair+`}`)
		refused("POST", providers+"/pair/keys", `{"api_key":"`+key+`"}`, two("api_key"))
		refused("PATCH", providers+"/pair", `{"api_keys":[{"api_key":"`+key+`"}]}`, two("api_keys"))
		s.want(t, http.StatusOK, "PATCH", providers+"/pair", `{"api_keys":[{"api_key":"`+key+`"}],"settings":`+doc+`,"access_key":"","access_key_secret":""}}`)

		s.want(t, http.StatusCreated, "POST", providers, `{"type":"anthropic","name":"keys","base_url":"`+bedrockURL+`","settings":`+doc+`},"api_keys":["`+key+`"]}`)
		refused("POST", providers+"/keys/keys", `{"api_key":"A:b:`+s.key("2")+`"}`, form("api_key"))
		refused("PATCH", providers+"/keys", `{"api_keys":[{"api_key":"A:b:`+s.key("2")+`"}]}`, form("api_keys[0].api_key"))
		refused("PATCH", providers+"/keys", `{"settings":`+doc+pair+`}`, two("api_keys"))
		refused("PATCH", providers+"/keys", `{"settings":`+doc+`,"ambient":true}}`, two("api_keys"))
		refused("PATCH", providers+"/keys", `{"settings":`+doc+`,"ambient":1}}`, client.FieldError{Location: "body.settings.ambient", Message: "must be true or false"})
		s.want(t, http.StatusCreated, "POST", providers+"/keys/keys", `{"api_key":"AKIB:`+s.key("2")+`"}`)
		s.want(t, http.StatusOK, "PATCH", providers+"/keys", `{"settings":`+doc+`,"model":"m"}}`)
		s.want(t, http.StatusOK, "PATCH", providers+"/keys", `{"api_keys":[],"settings":`+doc+pair+`}`)

		// A pair is signed with, and never sent: it is no key of another upstream,
		// nor the other way round.
		again := client.FieldError{Location: "body.api_keys", Message: `must all be given again when the settings change what a key looks like: send every key as {"api_key":…}, or [] to have none`}
		s.want(t, http.StatusCreated, "POST", providers, `{"type":"anthropic","name":"to","base_url":"`+vendor+`","api_keys":["`+s.key("1")+`"]}`)
		refused("PATCH", providers+"/to", `{"settings":`+doc+`}}`, again)
		s.want(t, http.StatusOK, "PATCH", providers+"/to", `{"settings":`+doc+`},"api_keys":[{"api_key":"`+key+`"}]}`)
		refused("PATCH", providers+"/to", `{"settings":null}`, again)
		s.want(t, http.StatusOK, "PATCH", providers+"/to", `{"settings":null,"api_keys":[]}`)
	})
}
