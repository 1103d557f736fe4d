package canary_test

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/gatehousehq/gatehouse/internal/oidc/oidctest"
)

// identityProvider starts a provider that people sign in by, and returns the
// file that names it. The secret of the client is in a variable: see [house.lookup].
func (h *house) identityProvider() string {
	h.t.Helper()
	h.clientSecret = h.vault.one("client secret of an identity provider")
	h.idp = oidctest.New(h.t, oidctest.Config{ClientID: "gatehouse", ClientSecret: h.clientSecret})
	h.idp.SetUser("bea", oidctest.User{"sub": "1", "preferred_username": "bea"})
	file := filepath.Join(h.newDir("idp"), "oidc.yaml")
	text := "providers: [{name: acme, issuer: '" + h.idp.URL + "', client_id: gatehouse, client_secret_env: CLIENT_SECRET, default_role: member}]"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return file
}

// lookup is the environment of the server.
func (h *house) lookup(name string) (string, bool) {
	if name != "CLIENT_SECRET" {
		return "", false
	}
	return h.clientSecret, true
}

const oidcPath = "/api/v1/session/oidc/acme"

// signInByOIDC signs in as a browser does, comes back a second time, and once with
// secrets where none are wanted.
func signInByOIDC(h *house) {
	h.idp.Register([]string{h.url + oidcPath + "/callback"}, []string{h.url + "/"})
	res := h.browse(h.url+oidcPath, "")
	if res == nil || !strings.HasPrefix(res.Header.Get("Location"), h.idp.URL) || len(res.Cookies()) == 0 {
		return // of a fault
	}
	cookie := res.Cookies()[0]
	back := h.idp.SignIn(h.t, res.Header.Get("Location"), "bea")
	for range 2 {
		if res := h.browse(back.String(), cookie.Name+"="+cookie.Value); res != nil && res.Header.Get("Location") == "/" {
			h.byProvider = true
		}
	}
	for _, s := range h.idp.Secrets() {
		switch code, isCode := strings.CutPrefix(s, "code-"); {
		case isCode:
			h.vault.learn("authorization code", code)
		case strings.Count(s, ".") == 2:
			h.vault.learn("ID token", s[strings.LastIndex(s, ".")+1:])
		}
		q := url.Values{"code": {s}, "state": {s}, "iss": {s}, "error": {s}}
		h.browse(h.url+oidcPath+"/callback?"+q.Encode(), cookie.Name+"="+cookie.Value)
	}
	h.browse(h.url+oidcPath+"/end", "")
}

// browse asks as a browser does that goes to a page, and returns the answer without its
// body; nil if none came.
func (h *house) browse(to, cookie string) *http.Response {
	req, err := http.NewRequestWithContext(h.faults.client(h.t.Context()), http.MethodGet, to, nil)
	if err != nil {
		h.t.Error(err)
		return nil
	}
	if cookie != "" {
		req.Header.Set("Cookie", cookie)
	}
	res, err := h.http.Do(req)
	if err != nil {
		return nil // a client's error is not Gatehouse's
	}
	answer, _ := httputil.DumpResponse(res, true) // what there is of one that is cut off will do
	h.tape.write("API answers/browser", answer)
	_ = res.Body.Close() // it was read
	return res
}
