// Package clienttest is a small, honest stand-in for a Gatehouse server, for
// tests of what talks to one.
//
// A [Server] keeps providers, keys, tokens, users, roles, data keys and an audit
// log in memory and answers for them as the API does: it asks for a token and for its
// scopes, pages its lists, refuses unknown fields, taken names and stale
// revisions, and never gives a secret back. Of roles it knows the names, and not
// what they grant: a token may do what its scopes say. It has no gateway; what a provider answers to a
// request for its models is set with [Server.SetModels]. It encrypts nothing: a
// rotation goes through the steps of [Server.SetRotation], one each time somebody
// looks at it, and verifying finds what [Server.SetFindings] says.
package clienttest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gatehousehq/gatehouse/client"
)

// A Server is a running server on a free port of the loopback interface. It may
// be used by any number of goroutines at once.
type Server struct {
	URL   string
	Token string // of the owner, with scope all

	http *httptest.Server

	mu        sync.Mutex
	lastID    int
	providers []*client.Provider
	secrets   map[string]string // key id to key
	tokens    []*client.Token
	users     []*client.User
	roles     []*client.Role    // those that are built in first
	bearers   map[string]string // token to token id
	audit     []client.AuditEntry
	models    map[string]answer
	stale     map[string]bool // providers that change before the next conditional request
	requests  []Request
	crypt     encryption
}

// A Request is one that the server received.
type Request struct {
	Method  string
	Path    string // with the query
	Header  http.Header
	Body    string
	Decoded any // the body as JSON; nil if there was none
}

type answer struct {
	status int
	body   string
}

// NewServer starts a server that knows one token and nothing else. The caller
// closes it.
func NewServer() *Server {
	s := &Server{
		secrets: map[string]string{}, bearers: map[string]string{},
		models: map[string]answer{}, stale: map[string]bool{},
	}
	s.Token = s.AddToken("owner", "all")
	s.users = []*client.User{{ID: "00000000-0000-7000-8000-0000000000aa", Name: "owner", Roles: []string{"owner"}, CreatedAt: now(), UpdatedAt: now()}}
	s.roles = builtIn()
	s.crypt = newEncryption()
	s.http = httptest.NewServer(s.handler())
	s.URL = s.http.URL
	return s
}

// Close stops the server.
func (s *Server) Close() { s.http.Close() }

// Client returns an HTTP client whose connections [Server.Close] ends.
func (s *Server) Client() *http.Client { return s.http.Client() }

// AddToken makes a token with those scopes and returns it.
func (s *Server) AddToken(name string, scopes ...string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addToken(&client.Token{Name: name, Owner: "owner", Scopes: scopes})
}

// SetModels sets what the provider of that name answers to a request for its
// models. Unless set, it is 404.
func (s *Server) SetModels(provider string, status int, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.models[provider] = answer{status, body}
}

// EditBehind lets somebody else edit that provider right before the next
// request that is conditional on its revision.
func (s *Server) EditBehind(provider string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stale[provider] = true
}

// Requests returns what was received so far, in order.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// KeysOf returns the secrets of the keys of a provider, in failover order.
func (s *Server) KeysOf(provider string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	if p := s.find(provider, false); p != nil {
		for _, k := range p.APIKeys {
			out = append(out, s.secrets[k.ID])
		}
	}
	return out
}

func (s *Server) handler() http.Handler {
	const providers = "/api/v1/ai/providers"
	mux := http.NewServeMux()
	route := func(pattern, scope string, h func(*call)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, scope, h) })
	}
	route("GET "+providers, "ai_provider:read", s.listProviders)
	route("POST "+providers, "ai_provider:create", s.createProvider)
	route("GET "+providers+"/{provider}", "ai_provider:read", s.getProvider)
	route("PATCH "+providers+"/{provider}", "ai_provider:update", s.updateProvider)
	route("DELETE "+providers+"/{provider}", "ai_provider:delete", s.deleteProvider)
	route("POST "+providers+"/{provider}/restore", "ai_provider:update", s.restoreProvider)
	route("POST "+providers+"/{provider}/purge", "ai_provider:delete", s.purgeProvider)
	route("POST "+providers+"/{provider}/test", "ai_provider:update", s.testProvider)
	route("POST "+providers+"/{provider}/keys/{id}/rotate", "ai_provider_key:update", s.rotateKey)
	route("GET "+providers+"/{provider}/keys", "ai_provider_key:read", s.listKeys)
	route("POST "+providers+"/{provider}/keys", "ai_provider_key:create", s.createKey)
	route("GET "+providers+"/{provider}/keys/{id}", "ai_provider_key:read", s.getKey)
	route("PATCH "+providers+"/{provider}/keys/{id}", "ai_provider_key:update", s.updateKey)
	route("DELETE "+providers+"/{provider}/keys/{id}", "ai_provider_key:delete", s.deleteKey)
	route("GET /api/v1/tokens", "api_key:read", s.listTokens)
	route("POST /api/v1/tokens", "api_key:create", s.createToken)
	route("GET /api/v1/tokens/{id}", "api_key:read", s.getToken)
	route("DELETE /api/v1/tokens/{id}", "api_key:delete", s.deleteToken)
	route("GET /api/v1/audit", "audit_log:read", func(c *call) { list(c, s.newestFirst()) })
	const users, roles = "/api/v1/users", "/api/v1/roles"
	route("GET /api/v1/me", "", s.me)
	route("GET "+users, "user:read", s.listUsers)
	route("POST "+users, "user:create", s.createUser)
	route("GET "+users+"/{user}", "user:read", s.getUser)
	route("PATCH "+users+"/{user}", "user:update", s.updateUser)
	route("DELETE "+users+"/{user}", "user:delete", s.deleteUser)
	route("GET "+roles, "role:read", s.listRoles)
	route("POST "+roles, "role:create", s.createRole)
	route("GET "+roles+"/{role}", "role:read", s.getRole)
	route("PATCH "+roles+"/{role}", "role:update", s.updateRole)
	route("DELETE "+roles+"/{role}", "role:delete", s.deleteRole)
	const encryption = "/api/v1/encryption-keys"
	route("GET "+encryption, "encryption_key:read", func(c *call) { list(c, s.crypt.keys) })
	route("GET "+encryption+"/rotation", "encryption_key:read", s.getRotation)
	route("POST "+encryption+"/rotation", "encryption_key:rotate", s.rotate)
	route("POST "+encryption+"/verify", "ai_provider_key:read", s.verifyEncryption)
	route("POST "+encryption+"/wipe", "ai_provider_key:delete", s.wipe)
	route("GET /api/v1/replicas", "replica:read", func(c *call) { list(c, s.crypt.replicas) })
	route("GET /api/v1/version", "", func(c *call) {
		c.answer(http.StatusOK, client.Version{Version: "0.0.0-test", Commit: "abc1234", Go: "go1.26"})
	})
	route("GET /ai/{provider}/v1/models", "gateway:use", s.listModels)
	route("/", "", func(c *call) { c.problem(http.StatusNotFound, "there is nothing at this path") })
	return mux
}

// serve answers one request while holding the lock: requests take turns.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, scope string, h func(*call)) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &call{w: w, r: r, body: body}
	if err != nil {
		c.problem(http.StatusRequestEntityTooLarge, "the body is over 1 MiB")
		return
	}
	rec := Request{Method: r.Method, Path: r.URL.RequestURI(), Header: r.Header.Clone(), Body: string(body)}
	_ = json.Unmarshal(body, &rec.Decoded) // what is not JSON stays nil
	s.requests = append(s.requests, rec)

	bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	i := slices.IndexFunc(s.tokens, func(t *client.Token) bool { return t.ID == s.bearers[bearer] })
	switch {
	case i < 0:
		c.problem(http.StatusUnauthorized, "the token is missing or not known")
	case s.disabled(s.tokens[i]):
		c.problem(http.StatusUnauthorized, "the user that this token belongs to is disabled")
	case scope != "" && !slices.ContainsFunc(s.tokens[i].Scopes, func(have string) bool { return covers(have, scope) }):
		c.problem(http.StatusForbidden, "the token may not do this")
	default:
		c.actor = s.tokens[i]
		h(c)
	}
}

func covers(have, want string) bool {
	resource, _, _ := strings.Cut(want, ":")
	return have == "all" || have == want || have == resource+":*"
}

func (s *Server) newID() string {
	s.lastID++
	return fmt.Sprintf("00000000-0000-7000-8000-%012d", s.lastID)
}

func (s *Server) record(c *call, action, resource, id, target string, diff map[string]any) {
	raw, err := json.Marshal(diff)
	if err != nil {
		panic(err) // the diffs of this package are made of strings and numbers
	}
	s.audit = append(s.audit, client.AuditEntry{
		Index: int64(len(s.audit) + 1), Time: now(), Action: action, ResourceType: resource,
		ResourceID: id, Target: target, RequestID: fmt.Sprintf("request-%d", len(s.requests)), Address: "127.0.0.1", Diff: raw,
		Actor: client.AuditActor{Kind: "user", ID: "user-1", Name: c.actor.Owner, TokenID: c.actor.ID, TokenName: c.actor.Name},
	})
}

func (s *Server) newestFirst() []client.AuditEntry {
	out := slices.Clone(s.audit)
	slices.Reverse(out)
	return out
}

func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// list answers with one page of items. Its cursor is where the page begins.
func list[T any](c *call, items []T) {
	q := c.r.URL.Query()
	from, size := 0, 50
	if v := q.Get("cursor"); v != "" {
		from, _ = strconv.Atoi(v) // checked right below: only this function makes cursors
	}
	if v := q.Get("limit"); v != "" {
		size, _ = strconv.Atoi(v) // 0 is refused below
	}
	if size < 1 || size > 500 || from < 0 || from > len(items) {
		c.invalid("query.limit", "must be from 1 to 500")
		return
	}
	page := client.Page[T]{Items: items[from:min(from+size, len(items))]}
	if from+size < len(items) {
		page.NextCursor = new(strconv.Itoa(from + size))
	}
	if page.Items == nil {
		page.Items = []T{}
	}
	c.answer(http.StatusOK, page)
}
