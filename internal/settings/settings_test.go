package settings_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/settings"
)

func TestDocumentsAndTheirCanonicalForm(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		sent, canonical string
		headers         map[string]string
	}{
		{`{"_type":"openai","_version":1}`, `{"_type":"openai","_version":1}`, map[string]string{}},
		{` {"project":"p", "_version":1, "organization":"o","_type":"openai"} `, `{"_type":"openai","_version":1,"organization":"o","project":"p"}`,
			map[string]string{"Openai-Organization": "o", "Openai-Project": "p"}},
		{`{"_type":"openai","_version":1,"organization":"","project":null}`, `{"_type":"openai","_version":1}`, map[string]string{}},
		{`{"_type":"azure","_version":1}`, `{"_type":"azure","_version":1}`, nil},
		{`{"_version":1,"api_version":"2025-04-01-preview","_type":"azure"}`, `{"_type":"azure","_version":1,"api_version":"2025-04-01-preview"}`, nil},
	} {
		doc, err := settings.Parse("openai", []byte(c.sent), "")
		if err != nil {
			t.Errorf("%s: %v", c.sent, err)
			continue
		}
		if diff := cmp.Diff([]string{doc.Public, doc.Full.Reveal()}, []string{c.canonical, c.canonical}); diff != "" { // no field of it is secret
			t.Errorf("%s (-got +want):\n%s", c.sent, diff)
		}
		if diff := cmp.Diff(c.headers, doc.Fields.Headers()); diff != "" {
			t.Errorf("%s: headers (-want +got):\n%s", c.sent, diff)
		}
	}
}

func TestDocumentsThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ sent, provider, field string }{
		{``, "openai", ""}, {`null`, "openai", ""}, {`"` + canary + `"`, "openai", ""}, {`[]`, "openai", ""}, {`{`, "openai", ""},
		{`{"_type":1,"_version":1}`, "openai", "_type"}, {`{"_type":"openai","_version":"` + canary + `"}`, "openai", "_version"},
		{`{"_type":"openai","_version":1} {"a":"` + canary + `"}`, "openai", ""},
		{`{}`, "openai", "_type"}, {`{"_version":1}`, "openai", "_type"}, {`{"_type":"` + canary + `","_version":1}`, "openai", "_type"},
		{`{"_type":"bedrock","_version":1,"region":"eu-central-1"}`, "openai", "_type"}, {`{"_Type":"openai","_version":1}`, "openai", "_type"}, {`{"_type":"OpenAI","_version":1}`, "openai", "_type"},
		{`{"_type":"openai"}`, "openai", "_version"}, {`{"_type":"openai","_version":0}`, "openai", "_version"}, {`{"_type":"openai","_version":2}`, "openai", "_version"},
		{`{"_type":"openai","_version":1}`, "anthropic", "_type"}, {`{"_type":"openai","_version":1}`, "", "_type"},
		{`{"_type":"openai","_version":1,"` + canary + `":1}`, "openai", ""}, {`{"_type":"openai","_version":1,"organization":{"x":"` + canary + `"}}`, "openai", "organization"},
		{`{"_type":"openai","_version":1,"organization":"a ` + canary + `"}`, "openai", "organization"},
		{`{"_type":"openai","_version":1,"project":"a\r\nX-Evil: ` + canary + `"}`, "openai", "project"},
		{`{"_type":"openai","_version":1,"project":"é"}`, "openai", "project"},
		{`{"_type":"azure","_version":1}`, "anthropic", "_type"}, {`{"_type":"azure","_version":1,"api_version":"2024-10-21&a=b"}`, "openai", "api_version"},
		{`{"_type":"azure","_version":1,"api_version":"v1"}`, "openai", "api_version"},
		{`{"_type":"openai","_version":1,"project":"` + strings.Repeat("x", 257) + `"}`, "openai", "project"},
	} {
		_, err := settings.Parse(c.provider, []byte(c.sent), "")
		var f *settings.FieldError
		if !errors.As(err, &f) || f.Field != c.field || f.Message == "" {
			t.Errorf("%s for %q: got %v, want an error of field %q", c.sent, c.provider, err, c.field)
			continue
		}
		if strings.Contains(err.Error(), canary) {
			t.Errorf("%s: the error has what was sent: %v", c.sent, err)
		}
	}
}

// What is sealed reads back as what was written, and what is shown of it as an
// edit that changes nothing.
func FuzzParse(f *testing.F) {
	f.Add("openai", `{"_type":"openai","_version":1,"organization":"o","project":"p"}`, "")
	f.Add("openai", `{"_type":"openai","_version":1,"_type":"x"}`, "")
	f.Add("anthropic", `{"_type":"anthropic","_version":1,"failover_on":["timeout"],"replay_after_send":false,"probe":true}`, "")
	f.Add("openai", "{\"_type\":\"openai\",\"_version\":1,\"project\":\"\xff\"}", "")
	f.Add("anthropic", bedrock(`"access_key":"A","access_key_secret":"s<&>"`), withPair)
	f.Add("anthropic", withPair, withPair)
	f.Add("openai", `{"_type":"openai","_version":1,"idle_timeout":"90s","headers":{"a":"b"},"proxy":"http://P:1/","proxy_credentials":"a:b","allowed_paths":["a/*"],"allowed_models":["*"]}`, "")
	f.Add("openai", `{"_type":"openai","_version":1,"ca":`+quote(certificate(f))+`}`, "")
	f.Fuzz(func(t *testing.T, providerType, document, before string) {
		doc, err := settings.Parse(providerType, []byte(document), before)
		if err != nil {
			return
		}
		again, err := settings.Parse(providerType, []byte(doc.Full.Reveal()), before)
		if err != nil || !cmp.Equal(again, doc, cmp.Comparer(func(a, b settings.KeyForm) bool { return a == b }), cmp.Comparer(func(a, b secret.Text) bool { return a == b })) {
			t.Fatalf("%q became %+v, and that %+v, %v", document, doc, again, err)
		}
		shown, err := settings.Parse(providerType, []byte(doc.Public), doc.Public)
		if err != nil || shown.Public != doc.Public || len(shown.Given) != 0 || shown.Credentials != doc.Credentials {
			t.Fatalf("%q is shown as %q, and that becomes %+v, %v", document, doc.Public, shown, err)
		}
		for name, value := range doc.Fields.Headers() {
			if strings.ContainsAny(value, "\r\n\x00") {
				t.Fatalf("%q makes header %s: %q", document, name, value)
			}
		}
	})
}
