// Package httpapi serves the REST API of the control plane under /api/v1, and
// the health endpoints.
//
// A handler decodes, runs one transaction and encodes. What the caller may do
// is decided, and what they did is written down, by the store; the rules of
// what may be stored are in packages catalog and authn. Every refusal is an
// application/problem+json document that says what to do and carries no value
// that was sent.
package httpapi

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/auditlog"
	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/catalog"
	"github.com/gatehousehq/gatehouse/internal/oidc"
	"github.com/gatehousehq/gatehouse/internal/recorder"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// Config is what the API works on. All fields are required but where it says
// otherwise.
type Config struct {
	DB   *store.DB
	Auth *authn.Authenticator
	// Sessions lets people in, and knows them again.
	Sessions *authn.Sessions
	// OIDC are the identity providers that let people in, too; none is fine.
	OIDC  []*oidc.Provider
	Rules catalog.Rules
	// KeyState says what the gateway thinks of a key of a provider.
	KeyState func(providerName, keyID string) KeyState
	// TestKey tries a key of a provider with it; "" is none, for a provider without
	// keys. TestSecret tries one that is not stored, and TestDraft one with a provider
	// that is not either; zero is none.
	TestKey    func(ctx context.Context, providerName, keyID string) client.KeyTest
	TestSecret func(ctx context.Context, providerName string, key secret.Text) client.KeyTest
	TestDraft  func(ctx context.Context, p store.Provider, settings []byte, key secret.Text) client.KeyTest
	// Drain waits until no request uses a key that was switched off, or ctx is done,
	// and reports whether that is so.
	Drain func(ctx context.Context, keyID string) bool
	// Fault says why the gateway cannot serve a provider at all, "" if it can.
	Fault func(providerName string) string
	// TargetState says whether the provider of that id is there to serve a route.
	TargetState func(providerID string) client.TargetState
	// Metrics returns the page for Prometheus, to who may see it.
	Metrics func(who store.Actor) (http.Handler, error)
	// Checkpoints signs checkpoints of the audit log, and Installation names it.
	Checkpoints  *auditlog.Checkpointer
	Installation string
	// Rotate has a rotation of the encryption keys begin that was asked for.
	Rotate func()
	// Feed shows the requests to the gateway as they come. Generation is that of
	// the configuration in force: it is raised by whatever changes who may do what.
	Feed       *recorder.Feed
	Generation func() int64
	// Ready returns why the server cannot serve, or nil.
	Ready func(context.Context) error
	// OnUse, if not nil, hears of each token that was accepted.
	OnUse func(tokenID string, at time.Time)
	// OnPassword, if not nil, hears of each user who was given a password.
	OnPassword func(ctx context.Context, userID string)
	// TrustedProxies are the peers whose X-Forwarded-For and X-Forwarded-Proto are
	// believed.
	TrustedProxies []netip.Prefix
	// PublicURL is what people reach the server by, "" if it is what they say.
	PublicURL string
	Version   client.Version
	Log       *slog.Logger
	Now       func() time.Time
}

// maxBody is the largest request that is read, in bytes.
const maxBody = 1 << 20

// An api is the handlers and what they share.
type api struct {
	Config
	huma  huma.API
	mux   *http.ServeMux
	cross *http.CrossOriginProtection
}

// New returns the handler of /api/, /healthz, /readyz and /metrics.
func New(cfg Config) http.Handler {
	a := newAPI(cfg)
	return a.outermost(a.routes())
}

// Spec returns the OpenAPI 3.1 document of the API, indented.
func Spec(version string) ([]byte, error) {
	a := newAPI(Config{Version: client.Version{Version: version}})
	b, err := json.MarshalIndent(a.huma.OpenAPI(), "", "  ")
	return append(b, '\n'), err
}

func newAPI(cfg Config) *api {
	useProblems()
	a := &api{Config: cfg, mux: http.NewServeMux(), cross: crossOrigin(cfg.PublicURL)}
	hc := huma.DefaultConfig("Gatehouse", cfg.Version.Version)
	hc.Info.Description = "The control plane of Gatehouse, a self-hosted AI gateway: providers, their keys, tokens and the audit log. The gateway itself, under /ai, speaks the providers' own APIs."
	hc.OpenAPIPath, hc.DocsPath, hc.SchemasPath = "", "", "" // we serve the document; its viewer would load scripts from elsewhere
	hc.CreateHooks = nil                                     // no $schema in bodies
	hc.Formats = map[string]huma.Format{"application/json": jsonFormat, "json": jsonFormat}
	hc.RejectUnknownQueryParameters = true
	hc.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token":   {Type: "http", Scheme: "bearer", Description: "A Gatehouse token, gate_ and 38 more characters."},
		"session": {Type: "apiKey", In: "cookie", Name: secureCookie, Description: "The session of a browser that signed in: POST " + sessionPath + ". Over plain HTTP on the machine itself its name is " + plainCookie + ". A request that changes something must come from a page of this server, by its headers Sec-Fetch-Site or Origin. Where there is a token, the cookie does not count."},
	}
	aliasSecrets(hc.Components.Schemas)
	a.huma = humago.New(a.mux, hc)
	a.registerProviders()
	a.registerKeys()
	a.registerKeyTests()
	a.registerAIRoutes()
	a.registerTokens()
	a.registerUsers()
	a.registerRoles()
	a.registerSession()
	a.registerSessions()
	a.registerOIDC()
	a.registerPasswords()
	a.registerEncryption()
	a.registerAudit()
	a.registerInterceptions()
	a.registerVersion()
	a.describeOthers()
	return a
}

// jsonFormat is JSON as the standard library has it, without escaping HTML: the
// media type says that it is none.
var jsonFormat = huma.DefaultJSONFormat

// register adds an operation that takes a token or a session. Its handler is given
// who asks.
func register[I, O any](a *api, op huma.Operation, handle func(ctx context.Context, who store.Actor, in *I) (*O, error)) {
	op.Security = []map[string][]string{{"token": {}}, {"session": {}}}
	op.MaxBodyBytes = maxBody + 1 // what has this many is too large
	op.BodyReadTimeout = bodyTime
	op.Errors = append(op.Errors, http.StatusUnauthorized, http.StatusForbidden, http.StatusUnprocessableEntity, http.StatusServiceUnavailable)
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, actor(ctx), in)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return out, nil
	})
}
