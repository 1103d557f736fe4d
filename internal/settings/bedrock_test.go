package settings_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/settings"
)

const (
	canary = "canary-0123456789"

	withPair    = `{"_type":"bedrock","_version":1,"region":"eu-central-1","_secrets":["access_key","access_key_secret"]}`
	withoutPair = `{"_type":"bedrock","_version":1,"region":"eu-central-1"}`
)

// bedrock returns a document with region and those members.
func bedrock(members string) string {
	if members != "" {
		members = "," + members
	}
	return `{"_type":"bedrock","_version":1,"region":"eu-central-1"` + members + `}`
}

func TestSecretFieldsAreGivenKeptOrCleared(t *testing.T) {
	t.Parallel()
	const both = `"access_key":"AKIA","access_key_secret":"s/+="`
	for _, c := range []struct {
		name, sent, before string
		full, public       string
		given, kept        []string
		credentials        bool
	}{
		{"given", bedrock(both), "", bedrock(both), withPair, []string{"access_key", "access_key_secret"}, nil, true},
		{"given in the place of others", bedrock(both), withPair, bedrock(both), withPair, []string{"access_key", "access_key_secret"}, nil, true},
		{"left out where there are some", bedrock(""), withPair, withoutPair, withPair, nil, []string{"access_key", "access_key_secret"}, true},
		{"left out where there are none", bedrock(""), withoutPair, withoutPair, withoutPair, nil, nil, false},
		{"left out of another type before", bedrock(""), `{"_type":"other","_version":1,"_secrets":["access_key","access_key_secret"]}`, withoutPair, withoutPair, nil, nil, false},
		{"as it was read", withPair, withPair, withoutPair, withPair, nil, []string{"access_key", "access_key_secret"}, true},
		{"_secrets alone sets nothing", withPair, "", withoutPair, withoutPair, nil, nil, false},
		{"_secrets of any form", bedrock(`"_secrets":7`), "", withoutPair, withoutPair, nil, nil, false},
		{"empty", bedrock(`"access_key":"","access_key_secret":""`), withPair, withoutPair, withoutPair, nil, nil, false},
		{"null", bedrock(`"access_key":null,"access_key_secret":null`), withPair, withoutPair, withoutPair, nil, nil, false},
		{"before is not JSON", bedrock(""), "x", withoutPair, withoutPair, nil, nil, false},
	} {
		doc, err := settings.Parse("anthropic", []byte(c.sent), c.before)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got := []any{doc.Full.Reveal(), doc.Public, doc.Given, doc.Kept, doc.Credentials}
		if diff := cmp.Diff(got, []any{c.full, c.public, c.given, c.kept, c.credentials}); diff != "" {
			t.Errorf("%s (-got +want):\n%s", c.name, diff)
		}
	}
}

func TestBedrockHasEveryFieldOfTheContract(t *testing.T) {
	t.Parallel()
	full := `{"_type":"bedrock","_version":1,"region":"us-gov-west-1","model":"m","small_fast_model":"f","access_key":"A","access_key_secret":"` + canary + `","role_arn":"arn:aws:iam::123456789012:role/r"}`
	doc, err := settings.Parse("anthropic", []byte(strings.TrimSuffix(full, "}")+`,"ambient":false}`), "")
	if err != nil {
		t.Fatal(err)
	}
	want := &settings.Bedrock{
		Region: "us-gov-west-1", Model: "m", SmallFastModel: "f", AccessKey: secret.New("A"), AccessKeySecret: secret.New(canary), RoleARN: "arn:aws:iam::123456789012:role/r",
	}
	if got := doc.Fields.(*settings.Bedrock); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := doc.Full.Reveal(); got != full {
		t.Errorf("got %s", got)
	}
	if doc.Fields.Headers() != nil {
		t.Error("it adds headers")
	}
	for _, shown := range []string{doc.Public, fmt.Sprintf("%+v %#v", doc, doc.Fields)} {
		if strings.Contains(shown, canary) {
			t.Errorf("it shows a secret: %s", shown)
		}
	}
}

func TestBedrockRules(t *testing.T) {
	t.Parallel()
	region := func(v string) string { return `{"_type":"bedrock","_version":1,"region":"` + v + `"}` }
	for _, c := range []struct{ sent, before, field string }{
		{region("us-east-1"), "", ""}, {region("ap-southeast-7"), "", ""}, {region("us-iso-west-1"), "", ""}, {region("us-isob-east-1"), "", ""},
		{region("eusc-de-east-1"), "", ""}, {region("cn-northwest-1"), "", ""}, {region("mx-central-1"), "", ""},
		{`{"_type":"bedrock","_version":1}`, "", "region"}, {region(""), "", "region"}, {region("us"), "", "region"}, {region("us-east"), "", "region"},
		{region("US-EAST-1"), "", "region"}, {region("us-east-1a"), "", "region"}, {region("us-east-1.evil.example"), "", "region"},
		{region("us-east-1/" + canary), "", "region"}, {region("-east-1"), "", "region"}, {region("eu-" + strings.Repeat("a", 40) + "-1"), "", "region"},

		{bedrock(`"access_key":"A"`), "", "access_key_secret"}, {bedrock(`"access_key_secret":"` + canary + `"`), "", "access_key_secret"},
		{bedrock(`"access_key":"A"`), withPair, "access_key_secret"}, {bedrock(`"access_key_secret":"` + canary + `"`), withPair, "access_key_secret"},
		{bedrock(`"access_key":""`), withPair, "access_key_secret"}, {bedrock(`"access_key_secret":null`), withPair, "access_key_secret"},
		{bedrock(`"access_key":"A","access_key_secret":""`), withPair, "access_key_secret"},
		{bedrock(`"access_key":"A","access_key_secret":"` + canary + `…"`), "", "access_key_secret"},
		{bedrock(`"access_key":"[redacted]","access_key_secret":"x"`), "", "access_key"},
		{bedrock(`"access_key":"A b","access_key_secret":"x"`), "", "access_key"},
		{bedrock(`"access_key":7,"access_key_secret":"x"`), "", "access_key"},
		{bedrock(`"access_key":"A","access_key_secret":{"x":"` + canary + `"}`), "", "access_key_secret"},
		{bedrock(`"access_key":"` + strings.Repeat("A", 129) + `","access_key_secret":"x"`), "", "access_key"},

		{bedrock(`"ambient":true`), "", ""}, {bedrock(`"ambient":"yes"`), "", "ambient"},
		{bedrock(`"ambient":true,"access_key":"A","access_key_secret":"x"`), "", "ambient"}, {bedrock(`"ambient":true`), withPair, "ambient"},
		{bedrock(`"ambient":true,"access_key":"","access_key_secret":""`), withPair, ""},

		{bedrock(`"role_arn":"arn:aws:iam::123456789012:role/r"`), "", "role_arn"},
		{bedrock(`"role_arn":"arn:aws:iam::123456789012:role/r"`), withPair, ""},
		{bedrock(`"role_arn":"arn:aws-us-gov:iam::123456789012:role/path/to/r","ambient":true`), "", ""},
		{bedrock(`"role_arn":"arn:aws:iam::123456789012:user/` + canary + `","ambient":true`), "", "role_arn"},
		{bedrock(`"role_arn":"` + canary + `","ambient":true`), "", "role_arn"},
		{bedrock(`"model":"a b"`), "", "model"}, {bedrock(`"model":"` + strings.Repeat("m", 2049) + `"`), "", "model"},
		{bedrock(`"Region":"` + canary + `"`), "", "-"}, {bedrock(`"session_token":"` + canary + `"`), "", "-"},
	} {
		_, err := settings.Parse("anthropic", []byte(c.sent), c.before)
		var f *settings.FieldError
		if c.field == "" {
			if err != nil {
				t.Errorf("%.120s: %v", c.sent, err)
			}
			continue
		}
		if !errors.As(err, &f) || f.Field != strings.Trim(c.field, "-") || f.Message == "" {
			t.Errorf("%.120s: got %v, want an error of field %q", c.sent, err, c.field)
			continue
		}
		if strings.Contains(err.Error(), canary) {
			t.Errorf("%.120s: the error has what was sent: %v", c.sent, err)
		}
	}
}

func TestUnknownFieldIsRefusedWithTheKnownOnes(t *testing.T) {
	t.Parallel()
	_, err := settings.Parse("anthropic", []byte(bedrock(`"`+canary+`":1`)), "")
	const want = `settings has a field that is not known; besides _type and _version, "bedrock" has "region", "model", "small_fast_model", "access_key", "access_key_secret", "role_arn", "ambient", "failover_on", "replay_after_send", "probe", "breaker", "max_concurrency", ` +
		`"first_byte_timeout", "idle_timeout", "connect_timeout", "headers", "ca", "proxy", "proxy_credentials", "allowed_paths", "allowed_models"`
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestKeysOfBedrock(t *testing.T) {
	t.Parallel()
	doc, err := settings.Parse("anthropic", []byte(withoutPair), "")
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]bool{"AKIA:s/+=": true, "ABSKQmVk/+=": true, "": false, "A B": false, "AKIA:": false, ":s": false, "A:b:c": false, ":": false, "AKIA:s\n": false} {
		if got := doc.Keys.Allows(secret.New(key)); got != want {
			t.Errorf("%q is allowed: %v, want %v", key, got, want)
		}
	}
	if !(settings.KeyForm{}).Allows(secret.New("anything")) {
		t.Error("the zero KeyForm refuses a key")
	}
}

func TestFieldsOfEachType(t *testing.T) {
	t.Parallel()
	got := map[string][2][]string{}
	for _, docType := range settings.Types() {
		shown, secrets := settings.FieldsOf(docType)
		got[docType] = [2][]string{shown, secrets}
	}
	with := func(own ...string) []string {
		return append(own, "failover_on", "replay_after_send", "probe", "breaker", "max_concurrency",
			"first_byte_timeout", "idle_timeout", "connect_timeout", "ca", "proxy", "allowed_paths", "allowed_models")
	}
	secret := []string{"headers", "proxy_credentials"} // of every type
	want := map[string][2][]string{
		"openai":    {with("organization", "project"), secret},
		"anthropic": {with(), secret},
		"bedrock":   {with("region", "model", "small_fast_model", "role_arn", "ambient"), append([]string{"access_key", "access_key_secret"}, secret...)},
		"azure":     {with("api_version"), secret},
		"gemini":    {with(), secret},
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("(-got +want):\n%s", diff)
	}
}
