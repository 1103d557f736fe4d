package catalog_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/catalog"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

// bedrock returns a settings document in eu-central-1 with those members.
func bedrock(members string) *[]byte {
	if members != "" {
		members = "," + members
	}
	doc := []byte(`{"_type":"bedrock","_version":1,"region":"eu-central-1"` + members + `}`)
	return &doc
}

const (
	pair  = `"access_key":"AKIA-canary-1","access_key_secret":"canary-secret-1"`
	pair2 = `"access_key":"AKIA-canary-2","access_key_secret":"canary-secret-2"`
)

// sealedSettings returns the settings document of p as it was sealed.
func sealedSettings(t *testing.T, s *storetest.Store) map[string]any {
	t.Helper()
	all := opened(t, s, "p")
	if len(all) != 1 {
		t.Fatalf("p has %d secrets", len(all))
	}
	var doc map[string]any
	if err := json.Unmarshal([]byte(all[0]), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestSecretFieldsOutliveEditsThatNeverSeeThem(t *testing.T) {
	t.Parallel()
	sealed := func(more ...string) map[string]any {
		doc := map[string]any{"_type": "bedrock", "_version": 1.0, "region": "eu-central-1"}
		for i := 0; i < len(more); i += 2 {
			doc[more[i]] = more[i+1]
		}
		return doc
	}
	for _, c := range []struct {
		name     string
		edit     *[]byte
		want     map[string]any
		secrets  string // as the public form names them
		again    bool   // whether it is sealed again
		diff     string // of the audit entry
		noAtAll  bool   // whether there is no entry
		badField string
	}{
		{name: "left out are kept", edit: bedrock(`"model":"m"`), want: sealed("model", "m", "access_key", "AKIA-canary-1", "access_key_secret", "canary-secret-1"),
			secrets: `"access_key","access_key_secret"`, again: true, diff: `{"settings.model":{"new":"m"},"secret_revision":{"old":1,"new":2}}`},
		{name: "nothing changes", edit: bedrock(""), want: sealed("access_key", "AKIA-canary-1", "access_key_secret", "canary-secret-1"),
			secrets: `"access_key","access_key_secret"`, noAtAll: true},
		{name: "replaced", edit: bedrock(pair2), want: sealed("access_key", "AKIA-canary-2", "access_key_secret", "canary-secret-2"),
			secrets: `"access_key","access_key_secret"`, again: true, diff: `{"settings.access_key":{"secret":true},"settings.access_key_secret":{"secret":true},"secret_revision":{"old":1,"new":2}}`},
		{name: "cleared", edit: bedrock(`"access_key":"","access_key_secret":null,"ambient":true`), want: map[string]any{"_type": "bedrock", "_version": 1.0, "region": "eu-central-1", "ambient": true},
			again: true, diff: `{"settings.access_key":{"secret":true},"settings.access_key_secret":{"secret":true},"settings.ambient":{"new":true},"secret_revision":{"old":1,"new":2}}`},
		{name: "one of a pair given", edit: bedrock(`"access_key_secret":"canary-secret-2"`), badField: "settings.access_key_secret"},
		{name: "one of a pair cleared", edit: bedrock(`"access_key":""`), badField: "settings.access_key_secret"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, s *storetest.Store) {
				before := create(t, s, catalog.NewProvider{Type: "anthropic", Name: "p", Settings: *bedrock(pair)})
				entries := len(s.Audit(t))
				after, err := edit(t, s, "p", catalog.ProviderEdit{Settings: c.edit})
				if c.badField != "" {
					if !slices.Equal(wrong(err), []string{c.badField}) || strings.Contains(err.Error(), "canary") {
						t.Errorf("got %v", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(sealedSettings(t, s), c.want); diff != "" {
					t.Errorf("sealed (-got +want):\n%s", diff)
				}
				if strings.Contains(after.SettingsPublic, "canary") || c.secrets != "" && !strings.Contains(after.SettingsPublic, `"_secrets":[`+c.secrets+`]`) {
					t.Errorf("public: %s", after.SettingsPublic)
				}
				if got := after.Settings != before.Settings || after.SecretRevision != before.SecretRevision; got != c.again {
					t.Errorf("sealed again: %v, revision %d to %d", got, before.SecretRevision, after.SecretRevision)
				}
				log := s.Audit(t)[entries:]
				if c.noAtAll {
					if len(log) != 0 {
						t.Errorf("entries %+v", log)
					}
					return
				}
				if len(log) != 1 || log[0].Diff != c.diff {
					t.Errorf("entries %+v, want one with %s", log, c.diff)
				}
			})
		})
	}
}

func TestAnotherTypeOfSettingsKeepsNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		create(t, s, catalog.NewProvider{Type: "anthropic", Name: "p", Settings: *bedrock(pair)})
		// A type that this version does not know any more, with a secret field of
		// the same name.
		s.Exec(t, `UPDATE ai_providers SET settings_public = '{"_type":"older","_version":1,"_secrets":["access_key","access_key_secret"]}'`)
		if _, err := edit(t, s, "p", catalog.ProviderEdit{Settings: bedrock("")}); err != nil {
			t.Fatal(err)
		}
		if got := slices.Sorted(maps.Keys(sealedSettings(t, s))); !slices.Equal(got, []string{"_type", "_version", "region"}) {
			t.Errorf("sealed are %v", got)
		}
	})
}

func TestNewOriginTakesSecretFieldsAgain(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		create(t, s, catalog.NewProvider{Type: "anthropic", Name: "p", Settings: *bedrock(pair)})
		moved := new("https://elsewhere.example.com")
		_, err := edit(t, s, "p", catalog.ProviderEdit{BaseURL: moved, Settings: bedrock(`"model":"m"`)})
		if got := wrong(err); !slices.Equal(got, []string{"settings.access_key", "settings.access_key_secret"}) {
			t.Errorf("kept: %v", err)
		}
		_, err = edit(t, s, "p", catalog.ProviderEdit{BaseURL: moved})
		if got := wrong(err); !slices.Equal(got, []string{"settings"}) {
			t.Errorf("left out: %v", err)
		}
		if _, err := edit(t, s, "p", catalog.ProviderEdit{BaseURL: moved, Settings: bedrock(pair)}); err != nil {
			t.Fatal(err)
		}
		if got := sealedSettings(t, s)["access_key_secret"]; got != "canary-secret-1" {
			t.Errorf("given again, it is %v", got)
		}
		if _, err := edit(t, s, "p", catalog.ProviderEdit{BaseURL: new(vendor), Settings: bedrock(`"access_key":"","access_key_secret":""`)}); err != nil {
			t.Errorf("cleared: %v", err)
		}
	})
}

func TestUnreadableSettingsCannotBeKept(t *testing.T) {
	t.Parallel()
	for name, tamper := range map[string]func(t *testing.T, s *storetest.Store){
		"planted": func(t *testing.T, s *storetest.Store) {
			s.Exec(t, "UPDATE ai_providers SET settings = $1", []byte(*bedrock(pair)))
		},
		"of another revision": func(t *testing.T, s *storetest.Store) { s.Exec(t, "UPDATE ai_providers SET secret_revision = 7") },
		"of another public part": func(t *testing.T, s *storetest.Store) {
			s.Exec(t, `UPDATE ai_providers SET settings_public = REPLACE(settings_public, 'eu-central-1', 'us-east-1')`)
		},
		"of another origin": func(t *testing.T, s *storetest.Store) {
			s.Exec(t, `UPDATE ai_providers SET base_url = 'https://thief.example.com'`)
		},
		"taken away": func(t *testing.T, s *storetest.Store) {
			s.Exec(t, `UPDATE ai_providers SET settings = NULL, settings_key_id = NULL`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, s *storetest.Store) {
				create(t, s, catalog.NewProvider{Type: "anthropic", Name: "p", Settings: *bedrock(pair)})
				tamper(t, s)
				entries := len(s.Audit(t))
				_, err := edit(t, s, "p", catalog.ProviderEdit{Settings: bedrock(`"model":"m"`)})
				if !slices.Equal(wrong(err), []string{"settings"}) || strings.Contains(err.Error(), "canary") {
					t.Errorf("kept: %v", err)
				}
				if got := len(s.Audit(t)); got != entries {
					t.Errorf("%d entries", got-entries)
				}
				if _, err := edit(t, s, "p", catalog.ProviderEdit{Settings: bedrock(pair2)}); err != nil {
					t.Fatal(err)
				}
				if got := sealedSettings(t, s)["access_key_secret"]; got != "canary-secret-2" {
					t.Errorf("given again, it is %v", got)
				}
			})
		})
	}
}

func TestEntriesOfSettingsNameFieldsAndShowNoSecret(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		create(t, s, catalog.NewProvider{Type: "anthropic", Name: "p", Settings: *bedrock(pair)})
		if _, err := edit(t, s, "p", catalog.ProviderEdit{Enabled: new(true), DisplayName: new("P")}); err != nil { // not about settings
			t.Fatal(err)
		}
		_, err := do(t, s, func(tx store.Tx) (struct{}, error) {
			return struct{}{}, catalog.Delete(t.Context(), tx, "p", catalog.AnyRevision)
		})
		if err != nil {
			t.Fatal(err)
		}
		const secrets = `"settings.access_key":{"secret":true},"settings.access_key_secret":{"secret":true},`
		want := []string{
			`create {"type":{"new":"anthropic"},"name":{"new":"p"},"base_url":{"new":"` + vendor + `"},"settings._type":{"new":"bedrock"},"settings._version":{"new":1},` + secrets + `"settings.region":{"new":"eu-central-1"},"strategy":{"new":"in_order"},"secret_revision":{"new":1}}`,
			`update {"display_name":{"old":"","new":"P"},"enabled":{"old":false,"new":true}}`,
			`delete {"type":{"old":"anthropic"},"name":{"old":"p"},"display_name":{"old":"P"},"enabled":{"old":true},"base_url":{"old":"` + vendor + `"},"settings._type":{"old":"bedrock"},"settings._version":{"old":1},` + secrets + `"settings.region":{"old":"eu-central-1"},"strategy":{"old":"in_order"},"secret_revision":{"old":1}}`,
		}
		var got []string
		for _, e := range s.Audit(t) {
			if e.Resource == "ai_provider" {
				got = append(got, string(e.Action)+" "+e.Diff)
			}
		}
		if diff := cmp.Diff(got, want); diff != "" {
			t.Errorf("(-got +want):\n%s", diff)
		}
	})
}

// reached returns a settings document of type openai with those members.
func reached(members string) *[]byte {
	if members != "" {
		members = "," + members
	}
	doc := []byte(`{"_type":"openai","_version":1` + members + `}`)
	return &doc
}

// Who may edit a provider could have its keys sent to a proxy of their own, or to
// whoever a certificate of theirs vouches for: so they must have the keys.
func TestAnotherWayTakesTheKeysAgain(t *testing.T) {
	t.Parallel()
	ca := `"ca":` + certificate(t)
	again := &[]catalog.KeepOrAdd{{APIKey: secret.New("sk-canary-again")}}
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		for _, c := range []struct {
			name, before, after string
			bad                 []string
		}{
			{"a proxy", ``, `"proxy":"http://p:1"`, []string{"api_keys"}},
			{"another proxy", `"proxy":"http://p:1"`, `"proxy":"http://p:2"`, []string{"api_keys"}},
			{"certificates", ``, ca, []string{"api_keys"}},
			{"other certificates", `"ca":` + certificate(t), ca, []string{"api_keys"}},
			{"with secrets", `"headers":{"A":"canary-1"},"proxy":"http://p:1","proxy_credentials":"a:canary"`, `"proxy":"http://p:2"`, []string{"api_keys", "settings.headers", "settings.proxy_credentials"}},
			{"the same", `"proxy":"http://p:1",` + ca, `"idle_timeout":"9s","proxy":"http://P:1/",` + ca, nil},
			{"neither any more", `"proxy":"http://p:1",` + ca, ``, nil},
			{"a kept password for the same proxy", `"proxy":"http://p:1","proxy_credentials":"a:canary"`, `"proxy":"http://p:1","allowed_models":["m"]`, nil},
		} {
			name := strings.ReplaceAll(c.name, " ", "-")
			create(t, s, catalog.NewProvider{Name: name, Settings: *reached(c.before), APIKeys: []secret.Text{secret.New("sk-canary-first")}})
			_, err := edit(t, s, name, catalog.ProviderEdit{Settings: reached(c.after)})
			if got := wrong(err); !slices.Equal(got, c.bad) || err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("%s: got %v, want %v", c.name, err, c.bad)
			}
			if c.bad == nil {
				continue
			}
			all := strings.TrimSuffix(c.after+`,"headers":"","proxy_credentials":""`, ",")
			if _, err := edit(t, s, name, catalog.ProviderEdit{Settings: reached(all), APIKeys: again}); err != nil {
				t.Errorf("%s, with all given again: %v", c.name, err)
			}
		}
		create(t, s, catalog.NewProvider{Name: "bare", Settings: *reached("")})
		if _, err := edit(t, s, "bare", catalog.ProviderEdit{Settings: reached(ca)}); err != nil {
			t.Errorf("a provider without keys: %v", err)
		}
	})
}

func TestProxyThatCouldNeverBeDialled(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		var asked []string
		rules := catalog.Rules{CheckHost: func(host string) error {
			asked = append(asked, host)
			if host == "169.254.169.254" {
				return errors.New("no")
			}
			return nil
		}}
		for proxy, bad := range map[string][]string{"http://169.254.169.254:80": {"settings.proxy"}, "http://127.0.0.1:3128": nil} {
			_, err := do(t, s, func(tx store.Tx) (store.Provider, error) {
				return rules.Create(t.Context(), tx, catalog.NewProvider{Type: "openai", Name: "p", BaseURL: vendor, Settings: *reached(`"proxy":"` + proxy + `"`)})
			})
			if got := wrong(err); !slices.Equal(got, bad) {
				t.Errorf("%s: got %v", proxy, err)
			}
		}
		if !slices.Contains(asked, "127.0.0.1") {
			t.Errorf("asked for %q", asked)
		}
	})
}

// certificate returns one, in PEM and quoted.
func certificate(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	quoted, err := json.Marshal(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	if err != nil {
		t.Fatal(err)
	}
	return string(quoted)
}
