package oidc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/oidc"
	"github.com/gatehousehq/gatehouse/internal/oidc/oidctest"
	"github.com/gatehousehq/gatehouse/internal/secret"
)

const (
	callback = "http://127.0.0.1:1/api/v1/session/oidc/acme/callback"
	after    = "http://127.0.0.1:1/"
	clientID = "gatehouse"
	hidden   = "a client secret that is hidden/+%"
)

// A rig is a provider, and the client of it.
type rig struct {
	server *oidctest.Server
	client *oidc.Provider
	now    *atomic.Int64 // seconds
}

func (r *rig) clock() time.Time { return time.Unix(r.now.Load(), 0) }

func newRig(t *testing.T, sc oidctest.Config, set func(*oidc.Config)) *rig {
	t.Helper()
	r := &rig{now: &atomic.Int64{}}
	r.now.Store(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC).Unix())
	sc.ClientID, sc.ClientSecret, sc.Now = clientID, hidden, r.clock
	sc.RedirectURIs, sc.AfterLogout = []string{callback}, []string{after}
	r.server = oidctest.New(t, sc)
	r.server.SetUser("ada", oidctest.User{"sub": "u-1", "preferred_username": "ada", "email": "ada@example.com", "email_verified": true, "groups": []string{"eng", "gate-admins"}})
	cfg := oidc.Config{Name: "acme", Issuer: r.server.URL, ClientID: clientID, ClientSecret: secret.New(hidden), DefaultRole: "member", CreateUsers: true, EndSession: true}
	if set != nil {
		set(&cfg)
	}
	if err := cfg.Check(); err != nil {
		t.Fatal(err)
	}
	next := &http.Transport{}
	t.Cleanup(next.CloseIdleConnections)
	r.client = oidc.New(cfg, next, r.clock)
	return r
}

// A trip is what a browser has with it: a cookie, and where the provider led it to.
type trip struct {
	cookie string
	back   url.Values
}

func (r *rig) begin(t *testing.T, user string) trip {
	t.Helper()
	f := oidc.NewFlow("/providers", [32]byte{}, r.clock())
	to, err := r.client.AuthURL(t.Context(), f, callback)
	if err != nil {
		t.Fatal(err)
	}
	back := r.server.SignIn(t, to, user)
	if got := back.Scheme + "://" + back.Host + back.Path; got != callback {
		t.Fatalf("led to %s", got)
	}
	return trip{f.Cookie(), back.Query()}
}

// finish is what a server does with whoever comes back.
func (r *rig) finish(ctx context.Context, p *oidc.Provider, tr trip) (oidc.Identity, error) {
	f, err := oidc.ParseFlow(tr.cookie, p.Name(), tr.back.Get("state"), r.clock())
	if err != nil {
		return oidc.Identity{}, err
	}
	return p.Redeem(ctx, f, callback, oidc.Answer{Code: tr.back.Get("code"), Issuer: tr.back.Get("iss"), Error: tr.back.Get("error")})
}

func reason(t *testing.T, err error) oidc.Reason {
	t.Helper()
	e, ok := errors.AsType[*oidc.Error](err)
	if err == nil {
		return ""
	}
	if !ok {
		t.Fatalf("the error %v has no reason", err)
	}
	return e.Reason
}

// leaks fails if an error has a part of a secret in it.
func (r *rig) leaks(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for _, s := range r.server.Secrets() {
		if strings.Contains(err.Error(), s) {
			t.Errorf("the error has a secret in it: %v", err)
		}
	}
}

func TestSomebodyIsLetIn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]oidctest.Config{
		"RS256, and the secret in a header": {},
		"ES256, and the secret in the form": {Algorithm: "ES256", InParams: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, c, nil)
			got, err := r.finish(t.Context(), r.client, r.begin(t, "ada"))
			if err != nil {
				t.Fatal(err)
			}
			want := oidc.Identity{Provider: "acme", Issuer: r.server.URL, Subject: "u-1", Names: []string{"ada", "ada@example.com"}, Roles: []string{"member"}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if _, err := r.finish(t.Context(), r.client, r.begin(t, "ada")); err != nil {
				t.Fatal(err)
			}
			if n, k := r.server.Asked("/.well-known/openid-configuration"), r.server.Asked("/keys"); n != 1 || k != 1 {
				t.Errorf("what is kept was asked for %d and %d times", n, k)
			}
			r.now.Add(3600)
			if _, err := r.finish(t.Context(), r.client, r.begin(t, "ada")); err != nil {
				t.Fatal(err)
			}
			if n, k := r.server.Asked("/.well-known/openid-configuration"), r.server.Asked("/keys"); n != 2 || k != 2 {
				t.Errorf("after an hour it was asked for %d and %d times", n, k)
			}
		})
	}
}

// TestWhoIsNotLetIn breaks one thing at a time. Its controls are the case in which
// nothing is broken, and TestSomebodyIsLetIn.
func TestWhoIsNotLetIn(t *testing.T) {
	t.Parallel()
	claim := func(name string, v any) oidctest.Fault {
		return oidctest.Fault{Claims: func(c map[string]any) {
			if v == nil {
				delete(c, name)
			} else {
				c[name] = v
			}
		}}
	}
	at := func(path string, status int) oidctest.Fault {
		return oidctest.Fault{Status: map[string]int{path: status}}
	}
	for name, c := range map[string]struct {
		fault oidctest.Fault
		trip  func(*trip)
		later time.Duration
		want  oidc.Reason
	}{
		"nothing is broken":                       {},
		"ID token without a nonce":                {fault: claim("nonce", nil), want: oidc.WrongNonce},
		"ID token of another sign-in":             {fault: claim("nonce", "another"), want: oidc.WrongNonce},
		"ID token of another issuer":              {fault: claim("iss", "https://evil.example.com"), want: oidc.WrongIssuer},
		"ID token for another client":             {fault: claim("aud", "another"), want: oidc.WrongAudience},
		"ID token for nobody":                     {fault: claim("aud", nil), want: oidc.WrongAudience},
		"ID token for two, issued to the other":   {fault: oidctest.Fault{Claims: func(c map[string]any) { c["aud"], c["azp"] = []string{clientID, "b"}, "b" }}, want: oidc.WrongAudience},
		"ID token for two, issued to who knows":   {fault: claim("aud", []string{clientID, "b"}), want: oidc.WrongAudience},
		"ID token that has expired":               {fault: claim("exp", 1893455999), want: oidc.ExpiredToken},
		"ID token without an end":                 {fault: claim("exp", nil), want: oidc.ExpiredToken},
		"ID token that is not good yet":           {fault: claim("nbf", 1893456000+3600), want: oidc.BadToken},
		"ID token without a subject":              {fault: claim("sub", nil), want: oidc.BadToken},
		"ID token whose subject is too long":      {fault: claim("sub", strings.Repeat("x", 256)), want: oidc.BadToken},
		"ID token that is not signed":             {fault: oidctest.Fault{Algorithm: "none"}, want: oidc.BadToken},
		"ID token signed by the public key":       {fault: oidctest.Fault{Algorithm: "HS256"}, want: oidc.BadToken},
		"ID token signed by another key":          {fault: oidctest.Fault{OtherKey: true}, want: oidc.BadToken},
		"ID token signed by another key on ES256": {fault: oidctest.Fault{OtherKey: true, Algorithm: "ES256"}, want: oidc.BadToken},
		"no cookie":                     {trip: func(tr *trip) { tr.cookie = "" }, want: oidc.NoCookie},
		"the cookie of another sign-in": {trip: func(tr *trip) { tr.cookie = oidc.NewFlow("/", [32]byte{}, time.Unix(1893456000, 0)).Cookie() }, want: oidc.WrongState},
		"a cookie that is none":         {trip: func(tr *trip) { tr.cookie = "x.y" }, want: oidc.WrongState},
		"another state":                 {trip: func(tr *trip) { tr.back.Set("state", strings.Repeat("A", 43)) }, want: oidc.WrongState},
		"no state":                      {trip: func(tr *trip) { tr.back.Del("state") }, want: oidc.WrongState},
		"somebody who takes a quarter of an hour": {later: 15 * time.Minute, want: oidc.FlowExpired},
		"a code that is too old":                  {later: 5 * time.Minute, want: oidc.CodeRefused},
		"another code":                            {trip: func(tr *trip) { tr.back.Set("code", "stolen") }, want: oidc.CodeRefused},
		"no code":                                 {trip: func(tr *trip) { tr.back.Del("code") }, want: oidc.RefusedByProvider},
		"an answer of another issuer":             {fault: oidctest.Fault{Iss: "https://evil.example.com"}, want: oidc.WrongIssuer},
		"an answer of no issuer, which was told":  {fault: oidctest.Fault{Iss: "-"}, want: oidc.WrongIssuer},
		"token endpoint that fails":               {fault: at("/token", 503), want: oidc.Unreachable},
		"token endpoint that answers too much":    {fault: oidctest.Fault{Large: map[string]bool{"/token": true}}, want: oidc.Unreachable},
		"token endpoint that leads elsewhere":     {fault: oidctest.Fault{Away: map[string]bool{"/token": true}}, want: oidc.Unreachable},
		"keys that cannot be had":                 {fault: at("/keys", 500), want: oidc.Unreachable},
		"keys that are too many":                  {fault: oidctest.Fault{Large: map[string]bool{"/keys": true}}, want: oidc.Unreachable},
		"keys that are elsewhere":                 {fault: oidctest.Fault{Away: map[string]bool{"/keys": true}}, want: oidc.Unreachable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, oidctest.Config{}, nil)
			if _, err := r.client.AuthURL(t.Context(), oidc.NewFlow("/", [32]byte{}, r.clock()), callback); err != nil {
				t.Fatal(err) // the discovery document is had before anything breaks
			}
			r.server.Break(c.fault)
			tr := r.begin(t, "ada")
			if c.trip != nil {
				c.trip(&tr)
			}
			r.now.Add(int64(c.later / time.Second))
			_, err := r.finish(t.Context(), r.client, tr)
			if got := reason(t, err); got != c.want {
				t.Errorf("got %q, want %q: %v", got, c.want, err)
			}
			r.leaks(t, err)
			if n := r.server.Asked("/elsewhere"); n != 0 {
				t.Errorf("it followed a redirect")
			}
		})
	}
}

func TestSomebodyMayRefuseAtTheProvider(t *testing.T) {
	t.Parallel()
	r := newRig(t, oidctest.Config{}, nil)
	_, err := r.finish(t.Context(), r.client, r.begin(t, "nobody"))
	if got := reason(t, err); got != oidc.RefusedByProvider || !strings.Contains(err.Error(), "access_denied") {
		t.Errorf("got %q: %v", got, err)
	}
	tr := r.begin(t, "nobody")
	tr.back.Set("error", "<script>")
	if _, err := r.finish(t.Context(), r.client, tr); strings.Contains(err.Error(), "script") {
		t.Errorf("what the browser brings is repeated: %v", err)
	}
}

func TestACodeIsGoodOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, oidctest.Config{}, nil)
	tr := r.begin(t, "ada")
	if _, err := r.finish(t.Context(), r.client, tr); err != nil {
		t.Fatal(err)
	}
	_, err := r.finish(t.Context(), r.client, tr)
	if got := reason(t, err); got != oidc.CodeRefused || r.server.Replays() != 1 {
		t.Errorf("got %q, and %d replays were seen", got, r.server.Replays())
	}
	r.leaks(t, err)
}

// Another client has the code, and neither cookie nor verifier.
func TestAStolenCodeIsOfNoUse(t *testing.T) {
	t.Parallel()
	r := newRig(t, oidctest.Config{}, nil)
	stolen, own := r.begin(t, "ada"), r.begin(t, "ada")
	own.back.Set("code", stolen.back.Get("code"))
	_, err := r.finish(t.Context(), r.client, own)
	if got := reason(t, err); got != oidc.CodeRefused {
		t.Errorf("got %q", got)
	}
}

// A provider that is not honest leads the browser on to another one, and back to its own
// callback with the code of that one.
func TestProvidersAreNotMixedUp(t *testing.T) {
	t.Parallel()
	r := newRig(t, oidctest.Config{}, nil)
	evil := oidctest.New(t, oidctest.Config{ClientID: clientID, ClientSecret: "x"})
	next := &http.Transport{}
	t.Cleanup(next.CloseIdleConnections)
	other := oidc.New(oidc.Config{Name: "evil", Issuer: evil.URL, ClientID: clientID, DefaultRole: "member"}, next, r.clock)

	tr := r.begin(t, "ada")
	_, err := r.finish(t.Context(), other, tr)
	if got := reason(t, err); got != oidc.WrongState {
		t.Errorf("a cookie of one provider at the callback of another: %q", got)
	}
	// The sign-in was begun at the other, whose state it has, and the answer is of this one.
	f := oidc.NewFlow("/", [32]byte{}, r.clock())
	to, err := other.AuthURL(t.Context(), f, callback)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	back := r.server.SignIn(t, r.server.URL+"/authorize?"+u.RawQuery, "ada").Query()
	_, err = r.finish(t.Context(), other, trip{f.Cookie(), back})
	if got := reason(t, err); got != oidc.WrongIssuer {
		t.Errorf("an answer of another issuer: %q", got)
	}
	if n := evil.Asked("/token"); n != 0 {
		t.Error("the code was sent to the other provider")
	}
}

func TestAWrongClientSecretIsSaid(t *testing.T) {
	t.Parallel()
	r := newRig(t, oidctest.Config{}, func(c *oidc.Config) { c.ClientSecret = secret.New("wrong") })
	_, err := r.finish(t.Context(), r.client, r.begin(t, "ada"))
	if got := reason(t, err); got != oidc.ClientRefused || strings.Contains(err.Error(), "wrong") {
		t.Errorf("got %q: %v", got, err)
	}
}

func TestAProviderThatIsDownIsAskedAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, oidctest.Config{}, nil)
	const doc = "/.well-known/openid-configuration"
	ask := func() error {
		_, err := r.client.AuthURL(t.Context(), oidc.NewFlow("/", [32]byte{}, r.clock()), callback)
		return err
	}
	for name, f := range map[string]struct {
		fault oidctest.Fault
		says  string
	}{
		"an error":                  {oidctest.Fault{Status: map[string]int{doc: 502}}, "status 502"},
		"too much":                  {oidctest.Fault{Large: map[string]bool{doc: true}}, "larger than"},
		"elsewhere":                 {oidctest.Fault{Away: map[string]bool{doc: true}}, "redirect"},
		"another issuer":            {oidctest.Fault{Issuer: "https://evil.example.com"}, "another issuer"},
		"an endpoint by plain HTTP": {oidctest.Fault{Discovery: func(d map[string]any) { d["token_endpoint"] = "http://idp.example.com/token" }}, "token_endpoint"},
		"no keys":                   {oidctest.Fault{Discovery: func(d map[string]any) { delete(d, "jwks_uri") }}, "jwks_uri"},
	} {
		r.now.Add(11)
		r.server.Break(f.fault)
		err := ask()
		if got := reason(t, err); got != oidc.Unreachable || !strings.Contains(err.Error(), f.says) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	asked := r.server.Asked(doc)
	r.server.Break(oidctest.Fault{})
	if err := ask(); err == nil || r.server.Asked(doc) != asked {
		t.Errorf("it is asked again at once: %v", err)
	}
	r.now.Add(10)
	if err := ask(); err != nil {
		t.Errorf("it is not asked again: %v", err)
	}
	// What it said goes on to serve when it cannot say it again.
	r.now.Add(3600)
	asked = r.server.Asked(doc)
	r.server.Break(oidctest.Fault{Status: map[string]int{doc: 502}})
	if err := ask(); err != nil || r.server.Asked(doc) != asked+1 {
		t.Errorf("after an hour: %v, asked %d times", err, r.server.Asked(doc)-asked)
	}
}

func TestAClientWithoutASecretSaysWhoItIsInTheForm(t *testing.T) {
	t.Parallel()
	const issuer = "https://idp.example.com"
	p := oidc.New(oidc.Config{Name: "acme", Issuer: issuer, ClientID: clientID, DefaultRole: "member"}, roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPost {
			if err := r.ParseForm(); err != nil || r.Form.Get("client_id") != clientID || r.Header.Get("Authorization") != "" {
				t.Errorf("it sent %v, %v", r.Form, r.Header)
			}
			return nil, io.ErrUnexpectedEOF
		}
		body := fmt.Sprintf(`{"issuer":%q,"authorization_endpoint":%[1]q,"token_endpoint":%[1]q,"jwks_uri":%[1]q,"token_endpoint_auth_methods_supported":["none","client_secret_basic"]}`, issuer)
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}), time.Now)
	_, err := p.Redeem(t.Context(), oidc.NewFlow("/", [32]byte{}, time.Now()), callback, oidc.Answer{Code: "c"})
	if reason(t, err) != oidc.Unreachable {
		t.Errorf("got %v", err)
	}
}

func TestAddressesThatAreRefusedAreNotDialled(t *testing.T) {
	t.Parallel()
	refused := errors.New("address refused: it is in a denied network")
	p := oidc.New(oidc.Config{Name: "acme", Issuer: "https://idp.example.com", ClientID: "c", DefaultRole: "member"}, roundTrip(func(*http.Request) (*http.Response, error) { return nil, refused }), time.Now)
	_, err := p.AuthURL(t.Context(), oidc.NewFlow("/", [32]byte{}, time.Now()), callback)
	if !errors.Is(err, refused) || reason(t, err) != oidc.Unreachable {
		t.Errorf("got %v", err)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestRolesComeFromClaims(t *testing.T) {
	t.Parallel()
	mapped := func(c *oidc.Config) {
		c.RolesClaim, c.Roles, c.DefaultRole = "groups", map[string]string{"gate-admins": "owner", "eng": "member", "ops": "member"}, ""
	}
	for name, c := range map[string]struct {
		set   func(*oidc.Config)
		user  oidctest.User
		roles []string
		want  oidc.Reason
	}{
		"each value gives its role":             {mapped, oidctest.User{"groups": []string{"eng", "gate-admins", "other"}}, []string{"member", "owner"}, ""},
		"one value that is no list":             {mapped, oidctest.User{"groups": "ops"}, []string{"member"}, ""},
		"two values for one role":               {mapped, oidctest.User{"groups": []string{"eng", "ops"}}, []string{"member"}, ""},
		"none, without a default":               {mapped, oidctest.User{"groups": []string{"other"}}, nil, oidc.NoRole},
		"the claim is not there":                {mapped, oidctest.User{}, nil, oidc.NoRole},
		"the claim is of another form":          {mapped, oidctest.User{"groups": map[string]any{"eng": true}}, nil, oidc.NoRole},
		"the name of a role is not its value":   {mapped, oidctest.User{"groups": []string{"owner"}}, nil, oidc.NoRole},
		"none, with a default":                  {func(c *oidc.Config) { mapped(c); c.DefaultRole = "auditor" }, oidctest.User{"groups": []string{"other"}}, []string{"auditor"}, ""},
		"a default is not for who has one":      {func(c *oidc.Config) { mapped(c); c.DefaultRole = "auditor" }, oidctest.User{"groups": []string{"eng"}}, []string{"member"}, ""},
		"a claim within a claim":                {func(c *oidc.Config) { mapped(c); c.RolesClaim = "realm_access.roles" }, oidctest.User{"realm_access": map[string]any{"roles": []string{"eng"}}}, []string{"member"}, ""},
		"a claim with a dot in its name":        {func(c *oidc.Config) { mapped(c); c.RolesClaim = "https://example.com/roles" }, oidctest.User{"https://example.com/roles": []string{"eng"}}, []string{"member"}, ""},
		"an address of the domain":              {func(c *oidc.Config) { c.EmailDomains = []string{"Example.com"} }, oidctest.User{"email": "a@example.COM", "email_verified": true}, []string{"member"}, ""},
		"an address of another domain":          {func(c *oidc.Config) { c.EmailDomains = []string{"example.com"} }, oidctest.User{"email": "a@evil.com", "email_verified": true}, nil, oidc.EmailDomain},
		"an address that only ends so":          {func(c *oidc.Config) { c.EmailDomains = []string{"example.com"} }, oidctest.User{"email": "a@evil.com@example.com", "email_verified": true}, nil, oidc.EmailDomain},
		"an address of a domain below":          {func(c *oidc.Config) { c.EmailDomains = []string{"example.com"} }, oidctest.User{"email": "a@x.example.com", "email_verified": true}, nil, oidc.EmailDomain},
		"an address that is not verified":       {func(c *oidc.Config) { c.EmailDomains = []string{"example.com"} }, oidctest.User{"email": "a@example.com", "email_verified": false}, nil, oidc.EmailDomain},
		"an address of which it is not said":    {func(c *oidc.Config) { c.EmailDomains = []string{"example.com"} }, oidctest.User{"email": "a@example.com"}, nil, oidc.EmailDomain},
		"an address, and a list of no domains":  {nil, oidctest.User{"email": "a@evil.com"}, []string{"member"}, ""},
		"a domain that is allowed, and no role": {func(c *oidc.Config) { mapped(c); c.EmailDomains = []string{"example.com"} }, oidctest.User{"email": "a@example.com", "email_verified": true}, nil, oidc.NoRole},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, oidctest.Config{}, c.set)
			c.user["sub"] = "u"
			r.server.SetUser("u", c.user)
			id, err := r.finish(t.Context(), r.client, r.begin(t, "u"))
			if got := reason(t, err); got != c.want || !slices.Equal(id.Roles, c.roles) {
				t.Errorf("got %q %v, want %q %v", got, id.Roles, c.want, c.roles)
			}
		})
	}
}

func TestSigningOutAtTheProvider(t *testing.T) {
	t.Parallel()
	r := newRig(t, oidctest.Config{}, nil)
	to, ok := r.client.EndSessionURL(t.Context(), after)
	if !ok {
		t.Fatal("there is no place for it")
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, to, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil {
		t.Error(err)
	}
	if got := res.Header.Get("Location"); got != after {
		t.Errorf("status %d leads to %q", res.StatusCode, got)
	}
	off := newRig(t, oidctest.Config{}, func(c *oidc.Config) { c.EndSession = false })
	if _, ok := off.client.EndSessionURL(t.Context(), after); ok {
		t.Error("it is wanted although it is not set")
	}
	none := newRig(t, oidctest.Config{}, nil)
	none.server.Break(oidctest.Fault{Discovery: func(d map[string]any) { delete(d, "end_session_endpoint") }})
	if _, ok := none.client.EndSessionURL(t.Context(), after); ok {
		t.Error("a provider without it has it")
	}
}
