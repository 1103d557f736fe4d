package httpapi_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/auditlog"
	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/catalog"
	"github.com/gatehousehq/gatehouse/internal/gateway"
	"github.com/gatehousehq/gatehouse/internal/httpapi"
	"github.com/gatehousehq/gatehouse/internal/netguard"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/recorder"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const (
	providers      = "/api/v1/ai/providers"
	tokens         = "/api/v1/tokens"
	auditPath      = "/api/v1/audit"
	encryptionPath = "/api/v1/encryption-keys"
	usersPath      = "/api/v1/users"
	rolesPath      = "/api/v1/roles"
	vendor         = "https://api.example.com/v1" // a base URL; nothing here ever dials
)

// A server is the API on a listener of its own, over a fresh database with an
// owner in it. Everything that it answers and logs is searched for parts of
// the secrets that it was given, whatever the test is about.
type server struct {
	*storetest.Store
	*shared
	token secret.Text // that requests carry; zero is none
}

// shared is what all callers of one server have in common.
type shared struct {
	url   string
	http  *http.Client
	clock *clock
	owner store.User
	log   *watched
	used  uses
	// feed shows requests to the gateway, and generation is that of the last change.
	feed      *recorder.Feed
	routes    http.Handler
	generated atomic.Int64
	// rotations counts how often one was begun.
	rotations atomic.Int64

	// failures are whom the API did not let in, and passwords is who was given a
	// password last.
	failures  atomic.Pointer[[]string]
	passwords atomic.Pointer[string]

	// State, if not nil, answers for the gateway's key pool.
	state atomic.Pointer[func(provider, keyID string) httpapi.KeyState]
	// Test and drain, if not nil, stand for the gateway, and tried counts the keys
	// that were tried without being stored.
	test  atomic.Pointer[func(provider, keyID string) client.KeyTest]
	drain atomic.Pointer[func(ctx context.Context, keyID string) bool]
	tried atomic.Int64
	ready atomic.Pointer[error]
	fault atomic.Pointer[string]
	// target answers TargetState, if it is set.
	target atomic.Pointer[func(string) client.TargetState]
}

// each runs fn with a server over each database.
func each(t *testing.T, fn func(t *testing.T, s *server)) {
	t.Helper()
	storetest.EachConfig(t, func(t *testing.T, cfg sqlstore.Config) { fn(t, start(t, cfg)) })
}

func start(t *testing.T, cfg sqlstore.Config, more ...func(*httpapi.Config)) *server {
	t.Helper()
	s := unheard(t, cfg, more...)
	srv := httptest.NewServer(s.routes)
	t.Cleanup(srv.Close)
	t.Cleanup(s.feed.Close) // or the listener would wait for those who follow
	s.url, s.http = srv.URL, srv.Client()
	s.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return s
}

// unheard returns a server without a listener. more completes its settings.
func unheard(t *testing.T, cfg sqlstore.Config, more ...func(*httpapi.Config)) *server {
	t.Helper()
	c := &clock{}
	c.set(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
	cfg.Now = c.now
	s := &server{Store: storetest.Open(t, cfg), shared: &shared{clock: c, log: newWatched()}}
	s.owner = dbgen.User(t, s.DB, store.User{Name: "ada", Roles: store.SetOf(string(rbac.Owner))})
	_, s.token = dbgen.APIKey(t, s.DB, s.owner, store.APIKey{Name: "owner-token", Scopes: store.SetOf("all")})
	s.log.guard(s.token.Reveal())

	s.feed = recorder.NewFeed()
	s.OnCommit(func(_ context.Context, generation int64) error { s.generated.Store(generation); return nil })
	signer, err := auditlog.NewSigner(s.Backend.Installation(), s.Ring.Signing().Secret)
	if err != nil {
		t.Fatal(err)
	}
	checkpoints, err := auditlog.NewCheckpointer(t.Context(), nil, signer, nil, slog.New(slog.DiscardHandler), c.now)
	if err != nil {
		t.Fatal(err)
	}
	policy := netguard.Policy{Deny: []netip.Prefix{netip.MustParsePrefix("10.66.0.0/16")}}
	auth := authn.New(s.DB, c.now, s.failed)
	ac := httpapi.Config{
		DB: s.DB, Auth: auth, Sessions: authn.NewSessions(s.DB, auth, authn.Limits{Idle: 12 * time.Hour, Lifetime: 7 * 24 * time.Hour}, c.now, s.failed),
		OnPassword:  func(_ context.Context, userID string) { s.passwords.Store(&userID) },
		Checkpoints: checkpoints, Installation: s.Backend.Installation(), Rotate: func() { s.rotations.Add(1) },
		Feed: s.feed, Generation: s.generated.Load,
		Rules: catalog.Rules{Reserved: gateway.Reserved(), CheckHost: policy.CheckHost},
		KeyState: func(provider, keyID string) httpapi.KeyState {
			if fn := s.state.Load(); fn != nil {
				return (*fn)(provider, keyID)
			}
			return httpapi.KeyState{State: client.KeyReady}
		},
		TestKey: func(_ context.Context, provider, keyID string) client.KeyTest {
			if fn := s.test.Load(); fn != nil {
				return (*fn)(provider, keyID)
			}
			return client.KeyTest{OK: true, Class: "ok", Status: 200, LatencyMS: 1, Message: "fine"}
		},
		TestSecret: func(_ context.Context, provider string, key secret.Text) client.KeyTest {
			s.tried.Add(1)
			if fn := s.test.Load(); fn != nil {
				return (*fn)(provider, "")
			}
			return client.KeyTest{OK: true, Class: "ok", Status: 200, LatencyMS: 1, Message: "fine"}
		},
		TestDraft: func(_ context.Context, p store.Provider, _ []byte, _ secret.Text) client.KeyTest {
			s.tried.Add(1)
			if fn := s.test.Load(); fn != nil {
				return (*fn)(p.Name, "")
			}
			return client.KeyTest{OK: true, Class: "ok", Status: 200, LatencyMS: 1, Message: "fine"}
		},
		Drain: func(ctx context.Context, keyID string) bool {
			if fn := s.drain.Load(); fn != nil {
				return (*fn)(ctx, keyID)
			}
			return true
		},
		Fault: func(string) string {
			if fn := s.fault.Load(); fn != nil {
				return *fn
			}
			return ""
		},
		TargetState: func(id string) client.TargetState {
			if fn := s.target.Load(); fn != nil {
				return (*fn)(id)
			}
			return client.TargetReady
		},
		Metrics: func(who store.Actor) (http.Handler, error) {
			if p := (rbac.Permission{Resource: rbac.Metrics, Action: rbac.Read}); who.Reach(p) != rbac.All {
				return nil, &store.DeniedError{Missing: p}
			}
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/plain")
				_, _ = w.Write([]byte("a 1\n"))
			}), nil
		},
		Ready: func(context.Context) error {
			if err := s.ready.Load(); err != nil {
				return *err
			}
			return nil
		},
		OnUse:          s.used.note,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Version:        client.Version{Version: "v1.2.3", Commit: "abc", Go: "go1"},
		Log:            slog.New(slog.NewJSONHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Now:            c.now,
	}
	for _, complete := range more {
		complete(&ac)
	}
	s.routes = httpapi.New(ac)
	t.Cleanup(func() { // after the listener is closed: it is registered before
		if s.log.leaked(s.log.text()) {
			t.Error("the log has a part of a secret in it")
		}
	})
	return s
}

func (s *shared) failed(who store.Actor, what rbac.Resource, reason string) {
	all := []string{fmt.Sprintf("%s %s %s", who.Name, what, reason)}
	if old := s.failures.Load(); old != nil {
		all = append(slices.Clone(*old), all...)
	}
	s.failures.Store(&all)
}

// as returns the server as somebody with another token meets it.
func (s *server) as(token secret.Text) *server {
	if !token.IsZero() {
		s.log.guard(token.Reveal())
	}
	return &server{s.Store, s.shared, token}
}

// with returns the server as a token of u with those scopes meets it.
func (s *server) with(t *testing.T, u store.User, k store.APIKey) *server {
	t.Helper()
	_, token := dbgen.APIKey(t, s.DB, u, k)
	return s.as(token)
}

// An answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) text() string { return string(a.body) }

// header is a header of a request.
type header struct{ name, value string }

// call sends a request and returns the answer, once it is sure that there is
// no secret in it but the new token that was asked for.
func (s *server) call(t *testing.T, method, path, body string, headers ...header) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if !s.token.IsZero() {
		req.Header.Set("Authorization", "Bearer "+s.token.Reveal())
	}
	for _, h := range headers {
		req.Header.Set(h.name, h.value)
	}
	res, err := s.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	var b []byte
	if method == http.MethodGet && res.Header.Get("Content-Type") == "text/event-stream" {
		b, err = bufio.NewReader(res.Body).ReadBytes('\n') // it does not end by itself
	} else {
		b, err = io.ReadAll(res.Body)
	}
	if err := res.Body.Close(); err != nil {
		t.Error(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	a := answer{res.StatusCode, res.Header, b}
	route, ok := described(req, a.status)
	if !ok {
		t.Errorf("%s: the OpenAPI document does not know status %d", route, a.status)
	}
	shown := b
	if method == http.MethodPost && path == tokens && a.status == http.StatusCreated {
		minted := decode[struct{ Token string }](t, a).Token
		s.log.guard(minted)
		shown = bytes.Replace(b, []byte(minted), nil, 1)
	}
	if s.log.leaked(string(shown)) || s.log.leaked(fmt.Sprint(res.Header)) {
		t.Errorf("the answer %d to %q has a part of a secret in it", a.status, route)
	}
	return a
}

// want sends a request that is to be answered with that status.
func (s *server) want(t *testing.T, status int, method, path, body string, headers ...header) answer {
	t.Helper()
	a := s.call(t, method, path, body, headers...)
	if a.status != status {
		t.Fatalf("%s %s: got %d, want %d: %s", method, path, a.status, status, a.body)
	}
	return a
}

// user adds a user with those roles.
func (s *server) user(t *testing.T, name string, roles ...string) client.User {
	t.Helper()
	b, err := json.Marshal(client.CreateUser{Name: name, Roles: append([]string{}, roles...)})
	if err != nil {
		t.Fatal(err)
	}
	return decode[client.User](t, s.want(t, http.StatusCreated, "POST", usersPath, string(b)))
}

// role makes a role that grants those permissions.
func (s *server) role(t *testing.T, name string, permissions ...string) client.Role {
	t.Helper()
	b, err := json.Marshal(client.CreateRole{Name: name, Permissions: permissions})
	if err != nil {
		t.Fatal(err)
	}
	return decode[client.Role](t, s.want(t, http.StatusCreated, "POST", rolesPath, string(b)))
}

// provider adds a provider of type openai with keys of those names.
func (s *server) provider(t *testing.T, name string, keys ...string) client.Provider {
	t.Helper()
	texts := make([]string, len(keys))
	for i, k := range keys {
		texts[i] = s.key(k)
	}
	b, err := json.Marshal(map[string]any{"type": "openai", "name": name, "base_url": vendor, "api_keys": texts})
	if err != nil {
		t.Fatal(err)
	}
	return decode[client.Provider](t, s.want(t, http.StatusCreated, "POST", providers, string(b)))
}

// deleted adds a provider and deletes it.
func (s *server) deleted(t *testing.T, name string) client.Provider {
	t.Helper()
	p := s.provider(t, name)
	s.want(t, http.StatusNoContent, "DELETE", providers+"/"+p.ID, "")
	p.Deleted, p.Enabled, p.Revision = true, false, p.Revision+1
	return p
}

// key returns a provider key that looks like one, always the same for a name,
// and has everything searched for it.
func (s *server) key(name string) string {
	sum := sha256.Sum256([]byte(name))
	k := "sk-" + base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:])
	s.log.guard(k)
	return k
}

func decode[T any](t *testing.T, a answer) (v T) {
	t.Helper()
	if err := json.Unmarshal(a.body, &v); err != nil {
		t.Fatalf("status %d is not answered in JSON: %v", a.status, err)
	}
	return v
}

// A problem is what an error is answered with.
type problem struct {
	Type, Title, Detail string
	Status              int
	Errors              []client.FieldError
	Current             json.RawMessage
}

// refusal checks that an answer is a problem in the form that every one has.
func refusal(t *testing.T, a answer, status int) problem {
	t.Helper()
	if a.status != status {
		t.Fatalf("got status %d, want %d: %s", a.status, status, a.body)
	}
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("got Content-Type %q", got)
	}
	p := decode[problem](t, a)
	if p.Status != status || p.Type != "about:blank" || p.Title != http.StatusText(status) || p.Detail == "" {
		t.Errorf("got %s", a.body)
	}
	return p
}

// clock is a clock that stands still until it is set.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time  { return time.UnixMicro(c.at.Load()).UTC() }
func (c *clock) set(t time.Time) { c.at.Store(t.UnixMicro()) }
