package app_test

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An identity provider is reached as upstreams are: by the authorities of its settings,
// and where upstreams may be.
func TestIdentityProvidersAreReachedAsUpstreams(t *testing.T) {
	t.Parallel()
	idp := httptest.NewUnstartedServer(nil)
	idp.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"authorization_endpoint":%[1]q,"token_endpoint":%[1]q,"jwks_uri":%[1]q}`, idp.URL)
	})
	idp.StartTLS()
	t.Cleanup(idp.Close)
	home := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		file := filepath.Join(home, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	write("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: idp.Certificate().Raw})))
	provider := fmt.Sprintf("issuer: %q, client_id: gatehouse, default_role: member", idp.URL)
	file := write("oidc.yaml", "providers: [{name: known, ca_file: ca.pem, "+provider+"}, {name: unknown, "+provider+"}]")

	begin := func(r *running, name string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL()+"/api/v1/session/oidc/"+name, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := newTransport(t).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.Header.Get("Location")
	}
	const unreachable = "/?sign_in_failed=provider_unreachable"
	r := start(t, dataDir(t), "--oidc-providers="+file)
	if to := begin(r, "known"); !strings.HasPrefix(to, idp.URL) {
		t.Errorf("by the authority of its settings: %s\n%s", to, r.log.String())
	}
	if to := begin(r, "unknown"); to != unreachable {
		t.Errorf("by those of the system: %s", to)
	}
	r = start(t, dataDir(t), "--oidc-providers="+file, "--upstream-deny=127.0.0.0/8")
	if to := begin(r, "known"); to != unreachable {
		t.Errorf("where upstreams must not be: %s", to)
	}
}
