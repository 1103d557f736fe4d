package httpapi_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/httpapi"
	"github.com/gatehousehq/gatehouse/internal/oidc"
	"github.com/gatehousehq/gatehouse/internal/oidc/oidctest"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

const (
	methodsPath  = "/api/v1/session/methods"
	oidcPath     = "/api/v1/session/oidc/"
	clientSecret = "an OpenID client secret of 40 characters"
)

// An idp is a server, and an identity provider that it knows as acme, with roles by
// groups, and as plain, with the role member.
type idp struct {
	*server
	at *oidctest.Server
}

// eachIDP is [each] with an identity provider.
func eachIDP(t *testing.T, fn func(t *testing.T, s idp)) {
	t.Helper()
	storetest.EachConfig(t, func(t *testing.T, cfg sqlstore.Config) {
		var s idp
		s.at = oidctest.New(t, oidctest.Config{ClientID: "gatehouse", ClientSecret: clientSecret, Now: func() time.Time { return s.clock.now() }})
		next := &http.Transport{}
		t.Cleanup(next.CloseIdleConnections)
		s.server = start(t, cfg, func(c *httpapi.Config) {
			base := oidc.Config{Issuer: s.at.URL, ClientID: "gatehouse", ClientSecret: secret.New(clientSecret), EndSession: true}
			acme, plain, closed := base, base, base
			acme.Name, acme.DisplayName, acme.CreateUsers = "acme", "Acme & Co", true
			acme.RolesClaim, acme.Roles = "groups", map[string]string{"admins": "owner", "people": "member", "lost": "gone"}
			plain.Name, plain.DefaultRole, plain.CreateUsers = "plain", "member", true
			closed.Name = "closed"
			for _, pc := range []oidc.Config{acme, plain, closed} {
				c.OIDC = append(c.OIDC, oidc.New(pc, next, c.Now))
			}
		})
		var uris []string
		for _, name := range []string{"acme", "plain", "closed"} {
			uris = append(uris, s.url+oidcPath+name+"/callback")
		}
		s.at.Register(uris, []string{s.url + "/"})
		s.log.guard(clientSecret)
		defer func() {
			for _, x := range s.at.Secrets() {
				if strings.Contains(s.log.text(), x) || strings.Contains(s.dump(t), x) {
					t.Error("a code, a token or the secret of the client is in the log or the database")
				}
			}
		}()
		fn(t, s)
	})
}

// begin sends a browser to the provider, and returns its cookie and where it is led back
// to once somebody signed in there.
func (s idp) begin(t *testing.T, name, user string, headers ...header) (cookie header, back string) {
	t.Helper()
	a := s.as(secret.Text{}).want(t, http.StatusSeeOther, "GET", oidcPath+name+"?return=/providers", "", headers...)
	c := setCookie(t, a)
	to := s.at.SignIn(t, a.header.Get("Location"), user)
	return header{"Cookie", c.Name + "=" + c.Value}, to.Path + "?" + to.RawQuery
}

// comeBack returns the answer to a browser that comes back.
func (s idp) comeBack(t *testing.T, cookie header, back string, headers ...header) answer {
	t.Helper()
	return s.as(secret.Text{}).want(t, http.StatusSeeOther, "GET", back, "", append(headers, cookie, header{"Sec-Fetch-Site", "cross-site"})...)
}

// signInAt signs somebody in, who is to be let in, and returns their session's cookie.
func (s idp) signInAt(t *testing.T, name, user string, headers ...header) header {
	t.Helper()
	cookie, back := s.begin(t, name, user, headers...)
	a := s.comeBack(t, cookie, back)
	if got := a.header.Get("Location"); got != "/providers" {
		t.Fatalf("led to %q", got)
	}
	return session(t, a)
}

// session returns the cookie of the session that an answer opens, as a browser sends it.
func session(t *testing.T, a answer) header {
	t.Helper()
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		if strings.HasSuffix(c.Name, "gatehouse-session") && c.Value != "" {
			if c.SameSite != http.SameSiteStrictMode || !c.HttpOnly || c.Path != "/" {
				t.Errorf("the cookie of the session is %v", c)
			}
			return header{"Cookie", c.Name + "=" + c.Value}
		}
	}
	t.Fatalf("no session is opened: %v", a.header)
	return header{}
}

// refusedAt signs somebody in who is not to be let in, and returns why.
func (s idp) refusedAt(t *testing.T, name, user string) string {
	t.Helper()
	cookie, back := s.begin(t, name, user)
	return whyNot(t, s.comeBack(t, cookie, back))
}

func whyNot(t *testing.T, a answer) string {
	t.Helper()
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		if c.Value != "" {
			t.Errorf("the cookie %v is set", c)
		}
	}
	reason, ok := strings.CutPrefix(a.header.Get("Location"), "/?sign_in_failed=")
	if !ok {
		t.Fatalf("led to %q", a.header.Get("Location"))
	}
	return reason
}

func (s idp) who(t *testing.T, in header) client.SignedIn {
	t.Helper()
	return decode[client.SignedIn](t, s.as(secret.Text{}).want(t, http.StatusOK, "GET", sessionPath, "", in))
}

func TestMethodsOfSigningIn(t *testing.T) {
	t.Parallel()
	eachIDP(t, func(t *testing.T, s idp) {
		got := s.as(secret.Text{}).want(t, http.StatusOK, "GET", methodsPath, "").text()
		want := `{"password":true,"oidc":[{"name":"acme","display_name":"Acme & Co"},{"name":"plain","display_name":"plain"},{"name":"closed","display_name":"closed"}]}`
		if strings.TrimSpace(got) != want {
			t.Errorf("got %s", got)
		}
		if s.at.Asked("/.well-known/openid-configuration") != 0 {
			t.Error("the provider was asked")
		}
	})
}

func TestSignInByOIDC(t *testing.T) {
	t.Parallel()
	eachIDP(t, func(t *testing.T, s idp) {
		s.at.SetUser("bea", oidctest.User{"sub": "1", "preferred_username": "bea", "groups": []string{"people"}})
		start := len(s.Audit(t))
		first := s.signInAt(t, "acme", "bea")
		got := s.who(t, first)
		if got.Name != "bea" || !slices.Equal(got.Roles, []string{"member"}) || got.Session == nil || got.Session.Method != "oidc" || got.Session.Provider != "acme" || got.New {
			t.Errorf("got %+v", got)
		}
		var log []string
		for _, e := range s.Audit(t)[start:] {
			log = append(log, fmt.Sprintf("%s %s %s by %s from %s", e.Action, e.Resource, e.Target, e.ActorName, e.Origin.Address))
		}
		want := []string{"create user bea by registrar from 127.0.0.1", "login session bea by bea from 127.0.0.1"}
		if !slices.Equal(log, want) {
			t.Errorf("the log has %q", log)
		}
		if last := s.Audit(t)[start+1]; !strings.Contains(last.Diff, "oidc:acme") {
			t.Errorf("the login does not say by whom: %s", last.Diff)
		}
		// The same person, who is called something else there by now: the session before ends.
		s.at.SetUser("bea", oidctest.User{"sub": "1", "preferred_username": "beatrix", "groups": []string{"people"}})
		again := s.who(t, s.signInAt(t, "acme", "bea", first))
		if again.ID != got.ID || again.Name != "bea" {
			t.Errorf("got %+v", again)
		}
		refusal(t, s.as(secret.Text{}).call(t, "GET", sessionPath, "", first), http.StatusUnauthorized)
		// She has no password, and gets none by herself.
		in := s.signInAt(t, "plain", "bea")
		refusal(t, s.as(secret.Text{}).call(t, "POST", myPassword, `{"new":"`+password(1)+`"}`, in, fromPage), http.StatusConflict)
	})
}

// TestOIDCCookies holds what browsers are told of the cookie of a sign-in on its way.
func TestOIDCCookies(t *testing.T) {
	t.Parallel()
	eachIDP(t, func(t *testing.T, s idp) {
		for name, c := range map[string]struct {
			cookie  string
			secure  bool
			headers []header
		}{
			"on the machine itself":   {"gatehouse-oidc", false, nil},
			"behind a proxy with TLS": {"__Host-gatehouse-oidc", true, []header{tls}},
		} {
			a := s.as(secret.Text{}).want(t, http.StatusSeeOther, "GET", oidcPath+"acme", "", c.headers...)
			got := setCookie(t, a)
			if got.Name != c.cookie || got.Secure != c.secure || !got.HttpOnly || got.SameSite != http.SameSiteLaxMode || got.Path != "/" || got.Domain != "" || !got.Expires.Equal(s.clock.now().Add(10*time.Minute)) {
				t.Errorf("%s: the cookie %v", name, got)
			}
			to, err := url.Parse(a.header.Get("Location"))
			if err != nil {
				t.Fatal(err)
			}
			scheme := map[bool]string{true: "https", false: "http"}[c.secure]
			if u := to.Query().Get("redirect_uri"); u != strings.Replace(s.url, "http", scheme, 1)+oidcPath+"acme/callback" {
				t.Errorf("%s: led back to %s", name, u)
			}
			if r := a.header.Get("Referrer-Policy"); r != "no-referrer" {
				t.Errorf("%s: the provider is told where the browser comes from: %q", name, r)
			}
			if strings.Contains(to.RawQuery, got.Value[:43]) {
				t.Errorf("%s: the provider sees the cookie", name)
			}
		}
		for _, path := range []string{"acme", "acme/callback"} {
			if got := whyNot(t, s.as(secret.Text{}).want(t, http.StatusSeeOther, "GET", oidcPath+path, "", header{"X-Forwarded-Proto", "http"})); got != "needs_tls" {
				t.Errorf("%s over plain HTTP: %q", path, got)
			}
		}
		refusal(t, s.as(secret.Text{}).call(t, "GET", oidcPath+"nobody", ""), http.StatusNotFound)
	})
}

func TestWhoIsNotLetInByOIDC(t *testing.T) {
	t.Parallel()
	eachIDP(t, func(t *testing.T, s idp) {
		s.at.SetUser("bea", oidctest.User{"sub": "1", "preferred_username": "bea", "groups": []string{"people"}})
		s.at.SetUser("nogroup", oidctest.User{"sub": "2", "preferred_username": "no"})
		s.at.SetUser("lost", oidctest.User{"sub": "3", "preferred_username": "lost", "groups": []string{"lost"}})
		s.at.SetUser("nameless", oidctest.User{"sub": "4", "preferred_username": "0190a5a0-0000-7000-8000-000000000001", "groups": []string{"people"}})
		dbgen.User(t, s.DB, store.User{Name: "off", Issuer: s.at.URL, Subject: "5", Disabled: true})
		s.at.SetUser("off", oidctest.User{"sub": "5", "preferred_username": "x", "groups": []string{"admins"}})
		before := s.dump(t)
		for user, want := range map[string]string{"nogroup": "no_role", "lost": "unknown_role", "nameless": "bad_name", "off": "disabled_user", "nobody there": "refused_by_provider"} {
			if got := s.refusedAt(t, "acme", user); got != want {
				t.Errorf("%s: got %q, want %q", user, got, want)
			}
		}
		if got := s.refusedAt(t, "closed", "bea"); got != "unknown_user" {
			t.Errorf("where no users are made: %q", got)
		}
		s.at.Break(oidctest.Fault{Claims: func(c map[string]any) { c["nonce"] = "x" }})
		if got := s.refusedAt(t, "acme", "bea"); got != "wrong_nonce" {
			t.Errorf("another nonce: %q", got)
		}
		s.at.Break(oidctest.Fault{})
		cookie, back := s.begin(t, "acme", "bea")
		if got := whyNot(t, s.comeBack(t, header{"X-No-Cookie", "1"}, back)); got != "no_cookie" {
			t.Errorf("without the cookie: %q", got)
		}
		if got := whyNot(t, s.comeBack(t, cookie, strings.Replace(back, "/acme/", "/plain/", 1))); got != "wrong_state" {
			t.Errorf("at the callback of another provider: %q", got)
		}
		if got := whyNot(t, s.comeBack(t, cookie, strings.Replace(back, "state=", "state=x", 1))); got != "wrong_state" {
			t.Errorf("with another state: %q", got)
		}
		if s.dump(t) != before {
			t.Error("it changed the database")
		}
		if got := s.comeBack(t, cookie, back).header.Get("Location"); got != "/providers" {
			t.Errorf("the control, with all as it should be, is led to %q", got)
		}
		if got := whyNot(t, s.comeBack(t, cookie, back)); got != "code_refused" {
			t.Errorf("a second time: %q", got)
		}
		failures := strings.Join(*s.failures.Load(), "\n")
		for _, want := range []string{"off session oidc:acme:disabled_user", " session oidc:acme:wrong_nonce", " session oidc:plain:wrong_state", " session oidc:closed:unknown_user"} {
			if !strings.Contains(failures, want) {
				t.Errorf("the log is not told %q of %s", want, failures)
			}
		}
	})
}

// Of somebody else who is called the same nothing is taken over.
func TestOIDCNamesDoNotCollide(t *testing.T) {
	t.Parallel()
	eachIDP(t, func(t *testing.T, s idp) {
		owner := s.owner // "ada"
		s.at.SetUser("ada", oidctest.User{"sub": "1", "preferred_username": "ada", "email": "ada@example.com", "groups": []string{"people"}})
		s.at.SetUser("other", oidctest.User{"sub": "2", "preferred_username": "ada", "groups": []string{"people"}})
		got := s.who(t, s.signInAt(t, "acme", "ada"))
		if got.ID == owner.ID || got.Name != "ada (acme)" || !slices.Equal(got.Roles, []string{"member"}) {
			t.Errorf("got %+v", got)
		}
		if why := s.refusedAt(t, "acme", "other"); why != "name_taken" {
			t.Errorf("a third of that name: %q", why)
		}
	})
}

func TestRolesFollowTheProvider(t *testing.T) {
	t.Parallel()
	eachIDP(t, func(t *testing.T, s idp) {
		set := func(groups ...string) {
			s.at.SetUser("bea", oidctest.User{"sub": "1", "preferred_username": "bea", "groups": groups})
		}
		set("people", "admins")
		high := s.signInAt(t, "acme", "bea")
		if got := s.who(t, high); !slices.Equal(got.Roles, []string{"member", "owner"}) {
			t.Fatalf("got %v", got.Roles)
		}
		kept := s.signInAt(t, "acme", "bea")
		s.who(t, high) // the same roles end no other session
		start := len(s.Audit(t))
		set("people")
		low := s.signInAt(t, "acme", "bea")
		if got := s.who(t, low); !slices.Equal(got.Roles, []string{"member"}) || slices.Contains(got.Permissions, "user:create") {
			t.Errorf("after she lost a group: %v", got)
		}
		for _, in := range []header{high, kept} {
			refusal(t, s.as(secret.Text{}).call(t, "GET", sessionPath, "", in), http.StatusUnauthorized)
		}
		log := s.Audit(t)[start:]
		if len(log) != 2 || log[0].Action != rbac.Update || log[0].ActorName != "registrar" || !strings.Contains(log[0].Diff, "member") || log[1].Action != rbac.Login {
			t.Errorf("the log has %+v", log)
		}
		// Where roles are not mapped, they are what was given here.
		s.at.SetUser("cid", oidctest.User{"sub": "2", "preferred_username": "cid"})
		cid := s.who(t, s.signInAt(t, "plain", "cid"))
		s.want(t, http.StatusOK, "PATCH", usersPath+"/"+cid.ID, `{"roles":["auditor"]}`)
		if got := s.who(t, s.signInAt(t, "plain", "cid")); !slices.Equal(got.Roles, []string{"auditor"}) {
			t.Errorf("they are %v", got.Roles)
		}
	})
}

// The last owner is refused rather than let in with what the provider does not say, or
// made less than an owner.
func TestTheProviderDoesNotTakeTheLastOwner(t *testing.T) {
	t.Parallel()
	eachIDP(t, func(t *testing.T, s idp) {
		s.at.SetUser("bea", oidctest.User{"sub": "1", "preferred_username": "bea", "groups": []string{"admins"}})
		bea := s.signInAt(t, "acme", "bea")
		s.want(t, http.StatusOK, "PATCH", usersPath+"/"+s.owner.ID, `{"disabled":true}`)
		s.at.SetUser("bea", oidctest.User{"sub": "1", "preferred_username": "bea", "groups": []string{"people"}})
		if why := s.refusedAt(t, "acme", "bea"); why != "last_owner" {
			t.Errorf("got %q", why)
		}
		if got := s.who(t, bea); !slices.Equal(got.Roles, []string{"owner"}) {
			t.Errorf("she is %v now", got.Roles)
		}
	})
}

// A provider that is down keeps nobody with a password out, and says so.
func TestAProviderThatIsDown(t *testing.T) {
	t.Parallel()
	eachIDP(t, func(t *testing.T, s idp) {
		s.at.Break(oidctest.Fault{Status: map[string]int{"/.well-known/openid-configuration": 503}})
		if why := whyNot(t, s.as(secret.Text{}).want(t, http.StatusSeeOther, "GET", oidcPath+"acme", "")); why != "provider_unreachable" {
			t.Errorf("got %q", why)
		}
		if log := s.log.text(); !strings.Contains(log, `"provider":"acme"`) || !strings.Contains(log, "status 503") {
			t.Errorf("the log does not say it: %s", log)
		}
		s.give(t, s.owner, password(1))
		s.signIn(t, "ada", password(1))
		s.at.Break(oidctest.Fault{})
		s.clock.set(s.clock.now().Add(10 * time.Second))
		s.at.SetUser("bea", oidctest.User{"sub": "1", "preferred_username": "bea", "groups": []string{"people"}})
		s.signInAt(t, "acme", "bea")
	})
}

func TestOfSigningInElsewhereOnlyTheWayBackChangesAnything(t *testing.T) {
	t.Parallel()
	eachIDP(t, func(t *testing.T, s idp) {
		s.at.SetUser("bea", oidctest.User{"sub": "1", "preferred_username": "bea", "groups": []string{"people"}})
		before := s.dump(t)
		cookie, back := s.begin(t, "acme", "bea")
		nobody := s.as(secret.Text{})
		nobody.want(t, http.StatusOK, "GET", methodsPath, "")
		end := nobody.want(t, http.StatusSeeOther, "GET", oidcPath+"acme/end", "")
		if to, err := url.Parse(end.header.Get("Location")); err != nil || to.Query().Get("post_logout_redirect_uri") != s.url+"/" || to.Query().Get("client_id") != "gatehouse" || to.Query().Has("id_token_hint") {
			t.Errorf("signing out leads to %v, %v", to, err)
		}
		nobody.want(t, http.StatusSeeOther, "GET", oidcPath+"acme/callback", "")
		for _, path := range []string{oidcPath + "acme", oidcPath + "acme/end", back} { // what is fetched ahead
			req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, s.url+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set(cookie.name, cookie.value)
			res, err := s.http.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if err := res.Body.Close(); err != nil || res.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("HEAD %s: %d, %v", path, res.StatusCode, err)
			}
		}
		if s.dump(t) != before {
			t.Error("it changed the database")
		}
		session(t, s.comeBack(t, cookie, back+"&session_state=x&authuser=0")) // what providers add does no harm
		if s.dump(t) == before {
			t.Error("the way back changed nothing")
		}
	})
}

// Whoever comes back too often waits, and keeps nobody with a password waiting.
func TestComingBackIsCounted(t *testing.T) {
	t.Parallel()
	eachIDP(t, func(t *testing.T, s idp) {
		s.give(t, s.owner, password(1))
		for range 30 {
			if why := whyNot(t, s.as(secret.Text{}).want(t, http.StatusSeeOther, "GET", oidcPath+"acme/callback?code=x&state=y", "")); why != "no_cookie" {
				t.Fatalf("got %q", why)
			}
		}
		if why := whyNot(t, s.as(secret.Text{}).want(t, http.StatusSeeOther, "GET", oidcPath+"acme/callback?code=x&state=y", "")); why != "too_many_attempts" {
			t.Errorf("got %q", why)
		}
		s.signIn(t, "ada", password(1))
	})
}

func TestComingBackAsSomebodyIsNotCounted(t *testing.T) {
	t.Parallel()
	eachIDP(t, func(t *testing.T, s idp) {
		s.at.SetUser("bea", oidctest.User{"sub": "1", "preferred_username": "bea", "groups": []string{"people"}})
		for range 31 {
			s.signInAt(t, "acme", "bea")
		}
	})
}
