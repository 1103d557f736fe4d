// Package oidctest is an OpenID Connect provider for tests, on a listener of the test's
// own. It shares no code with what it tests: its tokens are signed by the standard
// library.
//
// It serves discovery, JWKS, the authorization code flow and RP-initiated logout, and is
// as strict as a provider may be. At the authorization endpoint the client and its
// redirect URI must be registered, to the letter; the response type is code, the scopes
// have openid, and there are a state, a nonce and a PKCE challenge by S256. Who it is is
// asked in a form. At the token endpoint the client says who it is in the way that is
// set, the redirect URI is the one of before, and the verifier is that of the challenge;
// a code is good for a minute, for one client, and once: presented again, it is counted
// in [Server.Replays]. After signing out it leads back to registered places alone.
//
// A [Fault] makes it misbehave. A Server may be used concurrently.
package oidctest

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// codeTime is how long a code is good.
const codeTime = time.Minute

// Config is what a Server knows.
type Config struct {
	ClientID, ClientSecret string
	// RedirectURIs are where it leads back to with a code, AfterLogout where to without.
	RedirectURIs, AfterLogout []string
	// InParams has the client say who it is in the form, in place of a header.
	InParams bool
	// Host is what the issuer is called, in place of 127.0.0.1: for browsers, localhost is
	// another site.
	Host string
	// Algorithm signs: RS256 (default) or ES256.
	Algorithm string
	// Now is the clock; nil is [time.Now].
	Now func() time.Time
}

// A User is somebody who can sign in: claims by name, of which "sub" is one.
type User map[string]any

// A Fault is what a Server does wrong. The zero Fault is nothing.
type Fault struct {
	// Claims, if not nil, alters those of an ID token.
	Claims func(map[string]any)
	// Algorithm signs in the place of that which is set: none and HS256, too.
	Algorithm string
	// OtherKey signs by a key that is not in the JWKS, under the id of one that is.
	OtherKey bool
	// Status answers at the endpoint of that path, Large has answers that do not end
	// soon, and Away leads elsewhere.
	Status      map[string]int
	Large, Away map[string]bool
	// Issuer stands in the discovery document; Iss stands in the answer to the browser,
	// "-" for none.
	Issuer, Iss string
	// Discovery, if not nil, alters the discovery document.
	Discovery func(map[string]any)
}

// A Server is a provider.
type Server struct {
	// URL is the issuer.
	URL string

	cfg  Config
	keys keys

	mu      sync.Mutex
	clients Config // where the browser may be led to
	users   map[string]User
	fault   Fault
	codes   map[string]*grant
	replays int
	asked   map[string]int // requests by path
	secrets []string       // codes and tokens that it gave out
}

// A grant is what a code stands for.
type grant struct {
	user                             User
	clientID, redirectURI, challenge string
	nonce                            string
	until                            time.Time
	used                             bool
}

// New returns a running provider that stops with the test.
func New(t testing.TB, cfg Config) *Server {
	t.Helper()
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Algorithm == "" {
		cfg.Algorithm = "RS256"
	}
	s := &Server{cfg: cfg, clients: cfg, keys: newKeys(), users: map[string]User{}, codes: map[string]*grant{}, asked: map[string]int{}}
	srv := httptest.NewServer(s.handler())
	t.Cleanup(srv.Close)
	s.URL = srv.URL
	if cfg.Host != "" {
		s.URL = strings.Replace(srv.URL, "127.0.0.1", cfg.Host, 1)
	}
	return s
}

// Register replaces where browsers are led back to: with a code, and after signing out.
func (s *Server) Register(redirectURIs, afterLogout []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients.RedirectURIs, s.clients.AfterLogout = redirectURIs, afterLogout
}

// SetUser adds somebody who can sign in, by the name that the form has, or changes what
// is said of them.
func (s *Server) SetUser(name string, u User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[name] = u
}

// Break has it misbehave from now on, and in no other way.
func (s *Server) Break(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Replays returns how many codes were presented again.
func (s *Server) Replays() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.replays
}

// Asked returns how many requests there were for a path.
func (s *Server) Asked(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[path]
}

// Secrets returns all codes and tokens that it gave out, and the secret of the client.
func (s *Server) Secrets() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(slices.Clone(s.secrets), s.cfg.ClientSecret)
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", s.discovery)
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, s.keys.public()) })
	mux.HandleFunc("GET /authorize", s.ask)
	mux.HandleFunc("POST /authorize", s.decide)
	mux.HandleFunc("POST /token", s.token)
	mux.HandleFunc("GET /logout", s.logout)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked[r.URL.Path]++
		status, large, away := s.fault.Status[r.URL.Path], s.fault.Large[r.URL.Path], s.fault.Away[r.URL.Path]
		s.mu.Unlock()
		switch {
		case status != 0:
			http.Error(w, "this is of no use to anybody", status)
		case large:
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprintf(w, `{"issuer":"%s%s"}`, s.URL, strings.Repeat(" ", 1<<20)) // the client stops reading
		case away:
			http.Redirect(w, r, s.URL+"/elsewhere", http.StatusFound)
		default:
			mux.ServeHTTP(w, r)
		}
	})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that is gone needs no answer
}

func (s *Server) discovery(w http.ResponseWriter, _ *http.Request) {
	method := "client_secret_basic"
	if s.cfg.InParams {
		method = "client_secret_post"
	}
	doc := map[string]any{
		"issuer": s.URL, "authorization_endpoint": s.URL + "/authorize", "token_endpoint": s.URL + "/token", "jwks_uri": s.URL + "/keys", "end_session_endpoint": s.URL + "/logout",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"RS256", "ES256"},
		"token_endpoint_auth_methods_supported": []string{method}, "code_challenge_methods_supported": []string{"S256"},
		"authorization_response_iss_parameter_supported": true,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault.Issuer != "" {
		doc["issuer"] = s.fault.Issuer
	}
	if s.fault.Discovery != nil {
		s.fault.Discovery(doc)
	}
	answer(w, http.StatusOK, doc)
}

// wrong says what is wrong with a request to sign in, as far as it cannot be said to the
// client: that would lead the browser to somebody else.
func (s *Server) wrong(q url.Values) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case q.Get("client_id") != s.cfg.ClientID:
		return "there is no such client"
	case !slices.Contains(s.clients.RedirectURIs, q.Get("redirect_uri")):
		return "this redirect URI is not registered"
	}
	return ""
}

var page = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><title>Identity provider</title>
<main><h1>Who are you?</h1><form method="post" action="/authorize?{{.Query}}">
{{range .Users}}<button name="user" value="{{.}}">{{.}}</button> {{end}}<button name="deny" value="yes">Nobody</button></form></main></html>`))

func (s *Server) ask(w http.ResponseWriter, r *http.Request) {
	if why := s.wrong(r.URL.Query()); why != "" {
		http.Error(w, why, http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	names := slices.Sorted(maps.Keys(s.users))
	s.mu.Unlock()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = page.Execute(w, map[string]any{"Query": template.URL(r.URL.RawQuery), "Users": names}) // a client that is gone needs no answer
}

// decide leads the browser back to the client, with a code or an error.
func (s *Server) decide(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if why := s.wrong(q); why != "" {
		http.Error(w, why, http.StatusBadRequest)
		return
	}
	back := url.Values{"state": {q.Get("state")}, "iss": {s.URL}}
	s.mu.Lock()
	switch s.fault.Iss {
	case "":
	case "-":
		back.Del("iss")
	default:
		back.Set("iss", s.fault.Iss)
	}
	user, known := s.users[r.FormValue("user")]
	s.mu.Unlock()
	switch {
	case q.Get("response_type") != "code" || !slices.Contains(strings.Fields(q.Get("scope")), "openid") || q.Get("state") == "" || q.Get("nonce") == "":
		back.Set("error", "invalid_request")
	case q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43:
		back.Set("error", "invalid_request")
	case !known:
		back.Set("error", "access_denied")
	default:
		back.Set("code", s.grant(&grant{
			user: user, clientID: q.Get("client_id"), redirectURI: q.Get("redirect_uri"), challenge: q.Get("code_challenge"), nonce: q.Get("nonce"),
			until: s.cfg.Now().Add(codeTime),
		}))
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
}

func (s *Server) grant(g *grant) string {
	code := "code-" + random()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codes[code] = g
	s.secrets = append(s.secrets, code)
	return code
}

func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	id, secret, header := r.BasicAuth()
	if header {
		id, _ = url.QueryUnescape(id)
		secret, _ = url.QueryUnescape(secret)
	} else {
		id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	if header == s.cfg.InParams || id != s.cfg.ClientID || subtle.ConstantTimeCompare([]byte(secret), []byte(s.cfg.ClientSecret)) != 1 {
		w.Header().Set("WWW-Authenticate", "Basic")
		answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client", "error_description": "not " + secret})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.codes[r.PostFormValue("code")]
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	switch {
	case r.PostFormValue("grant_type") != "authorization_code":
		answer(w, http.StatusBadRequest, map[string]string{"error": "unsupported_grant_type"})
		return
	case g != nil && g.used:
		s.replays++
		fallthrough
	case g == nil, g.clientID != id, g.redirectURI != r.PostFormValue("redirect_uri"), s.cfg.Now().After(g.until),
		g.challenge != base64.RawURLEncoding.EncodeToString(sum[:]):
		answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant", "error_description": "no code like " + r.PostFormValue("code")})
		return
	}
	g.used = true
	now := s.cfg.Now()
	claims := map[string]any{"iss": s.URL, "aud": id, "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "nonce": g.nonce}
	maps.Copy(claims, g.user)
	if s.fault.Claims != nil {
		s.fault.Claims(claims)
	}
	algorithm := s.cfg.Algorithm
	if s.fault.Algorithm != "" {
		algorithm = s.fault.Algorithm
	}
	idToken, access := s.keys.sign(algorithm, claims, s.fault.OtherKey), "access-"+random()
	s.secrets = append(s.secrets, idToken, access)
	answer(w, http.StatusOK, map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": 300, "id_token": idToken})
}

func (s *Server) logout(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	s.mu.Lock()
	defer s.mu.Unlock()
	if q.Get("client_id") != s.cfg.ClientID || !slices.Contains(s.clients.AfterLogout, q.Get("post_logout_redirect_uri")) {
		http.Error(w, "this place to go to after signing out is not registered", http.StatusBadRequest)
		return
	}
	http.Redirect(w, r, q.Get("post_logout_redirect_uri"), http.StatusFound)
}

// SignIn does what a browser does that is sent to authURL, where somebody signs in, and
// returns where it is led to. Somebody who is not known signs nobody in.
func (s *Server) SignIn(t testing.TB, authURL, user string) *url.URL {
	t.Helper()
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	form := url.Values{"user": {user}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, authURL, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil {
		t.Error(err)
	}
	to, err := res.Location()
	if err != nil {
		t.Fatalf("the provider answered %d, and leads nowhere", res.StatusCode)
	}
	return to
}
