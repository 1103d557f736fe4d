package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/gatehousehq/gatehouse/internal/config"
)

// loadOIDC loads settings with a file of identity providers beside a file "secret".
func loadOIDC(t *testing.T, text string) (config.Config, error) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "oidc.yaml")
	for name, text := range map[string]string{"oidc.yaml": text, "secret": "from the file\n", "empty": " \n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var c config.Config
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	c.Bind(fs)
	err := c.Load(fs, func(name string) (string, bool) {
		v, ok := map[string]string{"GATEHOUSE_OIDC_PROVIDERS": file, "ACME_SECRET": "from the environment", "GATEHOUSE_DATA_DIR": dir}[name]
		return v, ok
	})
	return c, err
}

func TestIdentityProvidersAreRead(t *testing.T) {
	t.Parallel()
	c, err := loadOIDC(t, `
providers:
  - {name: acme, display_name: Acme, issuer: https://idp.example.com, client_id: gate, client_secret_file: secret, roles_claim: groups, roles: {admins: owner}, email_domains: [example.com], create_users: false, end_session: false}
  - {name: other, issuer: "https://other.example.com", client_id: gate, client_secret_env: ACME_SECRET, default_role: member, scopes: [groups]}
  - {name: public, issuer: "http://127.0.0.1:1", client_id: gate, default_role: member}
`)
	if err != nil || len(c.OIDC) != 3 {
		t.Fatalf("%d, %v", len(c.OIDC), err)
	}
	a, o, p := c.OIDC[0], c.OIDC[1], c.OIDC[2]
	if a.ClientSecret.Reveal() != "from the file" || a.CreateUsers || a.EndSession || a.Roles["admins"] != "owner" || a.DisplayName != "Acme" || len(a.EmailDomains) != 1 {
		t.Errorf("the first is %+v", a)
	}
	if o.ClientSecret.Reveal() != "from the environment" || !o.CreateUsers || !o.EndSession || strings.Join(o.Scopes, " ") != "groups" {
		t.Errorf("the second is %+v", o)
	}
	if !p.ClientSecret.IsZero() || strings.Join(p.Scopes, " ") != "profile email" {
		t.Errorf("the third is %+v", p)
	}
}

func TestWrongIdentityProvidersAreRefused(t *testing.T) {
	t.Parallel()
	const good = "name: acme, issuer: https://idp.example.com, client_id: gate, default_role: member"
	for name, c := range map[string]struct{ text, says string }{
		"nothing":                      {"", "must be YAML with a list"},
		"no provider":                  {"providers: []", "1 to 16"},
		"a setting that there is not":  {"providers:\n  - {" + good + "}\n  - {client_secret: hidden}", "line 3: must be YAML"},
		"another form":                 {"providers: {hidden: 1}", "line 1: must be YAML"},
		"no issuer":                    {"providers: [{name: acme, client_id: gate, default_role: member}]", "providers[0] issuer:"},
		"plain HTTP":                   {"providers: [{" + strings.Replace(good, "https", "http", 1) + "}]", "providers[0] issuer: must begin with https"},
		"the same name twice":          {"providers: [{" + good + "}, {" + good + "}]", "providers[1] name: is that of another"},
		"a secret in place of a file":  {"providers: [{" + good + ", client_secret_file: hidden}]", "providers[0] client_secret_file: names a file"},
		"an empty secret":              {"providers: [{" + good + ", client_secret_file: empty}]", "client_secret_file: is empty"},
		"a variable that is not there": {"providers: [{" + good + ", client_secret_env: hidden}]", "client_secret_env: names a variable"},
		"two places of the secret":     {"providers: [{" + good + ", client_secret_env: ACME_SECRET, client_secret_file: secret}]", "give this or"},
		"no certificates":              {"providers: [{" + good + ", ca_file: secret}]", "ca_file: must have one or more certificates"},
		"more than one thing":          {"providers: [{name: A, client_id: gate, default_role: member}]", "providers[0] name:"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := loadOIDC(t, c.text)
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "oidc.yaml") {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(err.Error(), "hidden") {
				t.Errorf("it repeats what may be a secret: %v", err)
			}
			if name == "more than one thing" && !strings.Contains(err.Error(), "providers[0] issuer:") {
				t.Errorf("it says one thing only: %v", err)
			}
		})
	}
}
