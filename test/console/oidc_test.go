package console_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/oidc/oidctest"
)

// testOIDC signs in at an identity provider that browsers take for another site than the
// server.
func testOIDC(t *testing.T, bin, browser string) {
	const clientSecret = "console-client-secret-0000001"
	idp := oidctest.New(t, oidctest.Config{ClientID: "gatehouse", ClientSecret: clientSecret, Host: "localhost"})
	idp.SetUser("bea", oidctest.User{"sub": "1", "preferred_username": "bea", "groups": []string{"admins"}})
	idp.SetUser("guest", oidctest.User{"sub": "2", "preferred_username": "guest"})
	dir := t.TempDir()
	for name, text := range map[string]string{
		"oidc.yaml": "providers: [{name: acme, display_name: Acme, issuer: '" + idp.URL + "', client_id: gatehouse, client_secret_file: secret, roles_claim: groups, roles: {admins: owner}}]",
		"secret":    clientSecret + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w := start(t, &world{bin: bin, browser: browser, flags: []string{"--oidc-providers", filepath.Join(dir, "oidc.yaml")}})
	idp.Register([]string{w.srv.URL + "/api/v1/session/oidc/acme/callback"}, []string{w.srv.URL + "/"})
	w.run(t, "oidc", map[string]any{"idp": idp.URL})
	for _, s := range idp.Secrets() {
		if strings.Contains(w.srv.Log(), s) {
			t.Error("a code, a token or the secret of the client is in the log")
		}
	}
}
