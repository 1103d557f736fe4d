package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/oidc"
)

const (
	methodsPath = sessionPath + "/methods"
	oidcPath    = sessionPath + "/oidc/"
	// callbackSuffix ends the path that providers lead back to.
	callbackSuffix = "/callback"
	// failedQuery is how the console is told why somebody was not let in.
	failedQuery = "/?sign_in_failed="
)

// The cookies of a sign-in on its way, as those of a session. They are Lax: a browser
// comes back from another site, when it sends no Strict ones.
const (
	secureFlowCookie = "__Host-gatehouse-oidc"
	plainFlowCookie  = "gatehouse-oidc"
)

func (a *api) registerOIDC() {
	errs := []int{http.StatusUnprocessableEntity}
	huma.Register(a.huma, huma.Operation{
		OperationID: "list-sign-in-methods", Method: http.MethodGet, Path: methodsPath, Tags: []string{"Sessions"},
		Summary: "List the ways to sign in", Description: "Anybody may ask.",
	}, a.listMethods)
	huma.Register(a.huma, huma.Operation{
		OperationID: "begin-oidc-sign-in", Method: http.MethodGet, Path: oidcPath + "{name}", Tags: []string{"Sessions"},
		Summary:       "Go to an identity provider to sign in",
		Description:   "For browsers: the answer leads to the provider, and sets a cookie for when it comes back. What is wrong is said by the page that it leads to.",
		DefaultStatus: http.StatusSeeOther, Errors: append(errs, http.StatusNotFound),
	}, a.beginOIDC)
	huma.Register(a.huma, huma.Operation{
		OperationID: "finish-oidc-sign-in", Method: http.MethodGet, Path: oidcPath + "{name}" + callbackSuffix, Tags: []string{"Sessions"},
		Summary:       "Come back from an identity provider",
		Description:   "For browsers: the redirect URI to register at the provider. It opens a session, though it is a GET: the protocol has no other, and it takes the cookie of the browser that was sent, whose digest is the state. The answer leads to a page of the console.",
		DefaultStatus: http.StatusSeeOther, Errors: append(errs, http.StatusNotFound),
	}, a.finishOIDC)
	huma.Register(a.huma, huma.Operation{
		OperationID: "end-oidc-session", Method: http.MethodGet, Path: oidcPath + "{name}/end", Tags: []string{"Sessions"},
		Summary:       "Go to an identity provider to sign out there",
		Description:   "For browsers that have signed out here. The answer leads to the provider, which leads back; or to the first page, if the provider has no such place, or it is not to be used. The session of the caller, if there is one, stays.",
		DefaultStatus: http.StatusSeeOther, Errors: append(errs, http.StatusNotFound),
	}, a.endOIDC)
}

type methodsOutput struct{ Body client.SignInMethods }

func (a *api) listMethods(context.Context, *struct{}) (*methodsOutput, error) {
	out := &methodsOutput{client.SignInMethods{Password: true, OIDC: []client.OIDCMethod{}}}
	for _, p := range a.OIDC {
		out.Body.OIDC = append(out.Body.OIDC, client.OIDCMethod{Name: p.Name(), DisplayName: p.DisplayName()})
	}
	return out, nil
}

// An OIDCPath is the identity provider that a route is about.
type OIDCPath struct {
	Name string `path:"name" maxLength:"32" doc:"The name of the identity provider."`
}

// A leading answer leads the browser elsewhere.
type leading struct {
	Location  string   `header:"Location"`
	Referrer  string   `header:"Referrer-Policy"`
	SetCookie []string `header:"Set-Cookie"`
}

func leadTo(to string, cookies ...*http.Cookie) *leading {
	out := &leading{Location: to, Referrer: "no-referrer"}
	for _, c := range cookies {
		out.SetCookie = append(out.SetCookie, c.String())
	}
	return out
}

func (a *api) identityProvider(ctx context.Context, name string) (*oidc.Provider, error) {
	for _, p := range a.OIDC {
		if p.Name() == name {
			return p, nil
		}
	}
	return nil, a.problem(ctx, problem{Status: http.StatusNotFound, Detail: "there is no identity provider of that name; GET " + methodsPath + " lists them"})
}

type beginOIDCInput struct {
	OIDCPath
	Return string `query:"return" maxLength:"512" doc:"The path of the page to go to afterwards."`
}

func (a *api) beginOIDC(ctx context.Context, in *beginOIDCInput) (*leading, error) {
	p, err := a.identityProvider(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	v := info(ctx).visit
	if v.channel == openChannel {
		return leadTo(failedQuery + "needs_tls"), nil
	}
	f := oidc.NewFlow(in.Return, authn.Former(v.session), a.Now())
	to, err := p.AuthURL(ctx, f, a.publicURL(v)+oidcPath+p.Name()+callbackSuffix)
	if err != nil {
		return leadTo(a.failedOIDC(ctx, err)), nil
	}
	return leadTo(to, v.flowCookie(f.Cookie(), a.Now().Add(oidc.FlowTime))), nil
}

type finishOIDCInput struct {
	OIDCPath
	Code   string `query:"code" maxLength:"4096" doc:"What the provider gave the browser for the server."`
	State  string `query:"state" maxLength:"512" doc:"What the server gave the provider for the browser."`
	Issuer string `query:"iss" maxLength:"512" doc:"The provider that answers (RFC 9207)."`
	Error  string `query:"error" maxLength:"512" doc:"Why there is no code."`
}

func (a *api) finishOIDC(ctx context.Context, in *finishOIDCInput) (*leading, error) {
	p, err := a.identityProvider(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	v := info(ctx).visit
	if v.channel == openChannel {
		return leadTo(failedQuery + "needs_tls"), nil
	}
	gone := v.flowCookie("", time.Time{})
	value, to, err := a.Sessions.SignInByOIDC(ctx, p, authn.Return{
		Cookie: v.flow, State: in.State, RedirectURI: a.publicURL(v) + oidcPath + p.Name() + callbackSuffix,
		Answer: oidc.Answer{Code: in.Code, Issuer: in.Issuer, Error: in.Error},
	}, v.origin)
	if err != nil {
		return leadTo(a.failedOIDC(ctx, err), gone), nil
	}
	who, err := a.Sessions.Authenticate(ctx, value.Reveal(), v.origin)
	if err != nil {
		return leadTo(a.failedOIDC(ctx, err), gone), nil
	}
	st, err := a.Sessions.Status(ctx, who)
	if err != nil {
		return leadTo(a.failedOIDC(ctx, err), gone), nil
	}
	return leadTo(to, v.cookie(value.Reveal(), st.Session.ExpiresAt), gone), nil
}

func (a *api) endOIDC(ctx context.Context, in *OIDCPath) (*leading, error) {
	p, err := a.identityProvider(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	to, ok := p.EndSessionURL(ctx, a.publicURL(info(ctx).visit)+"/")
	if !ok {
		to = "/"
	}
	return leadTo(to), nil
}

// failedOIDC logs why somebody was not let in, and returns the page that says it to
// them.
func (a *api) failedOIDC(ctx context.Context, err error) string {
	e, ok := errors.AsType[*oidc.Error](err)
	switch {
	case !ok && a.problem(ctx, err).Status == http.StatusServiceUnavailable:
		return failedQuery + "unavailable"
	case !ok:
		return failedQuery + "error"
	}
	attrs := []slog.Attr{slog.String("id", info(ctx).id), slog.String("provider", e.Provider), slog.String("reason", string(e.Reason))}
	if e.Err != nil {
		attrs = append(attrs, slog.Any("error", e.Err))
	}
	a.Log.LogAttrs(ctx, slog.LevelWarn, "sign-in by an identity provider failed", attrs...)
	return failedQuery + url.QueryEscape(string(e.Reason))
}

// publicURL returns where the browser has the server, without a slash at its end: by
// the settings, or else as it says itself.
func (a *api) publicURL(v visit) string {
	if a.PublicURL != "" {
		return strings.TrimSuffix(a.PublicURL, "/")
	}
	if v.channel == secureChannel {
		return "https://" + v.host
	}
	return "http://" + v.host
}

// flowCookie returns the cookie of a sign-in on its way.
func (v visit) flowCookie(value string, until time.Time) *http.Cookie {
	c := v.cookie(value, until)
	c.Name, c.SameSite = flowCookieName(v.channel), http.SameSiteLaxMode
	return c
}

func flowCookieName(c channel) string {
	return map[channel]string{secureChannel: secureFlowCookie, loopbackChannel: plainFlowCookie}[c]
}

// withoutOthers leaves those parameters of the way back that count: each provider has
// more of its own.
func withoutOthers(r *http.Request) *http.Request {
	q := url.Values{}
	for _, name := range []string{"code", "state", "iss", "error"} {
		if v := r.URL.Query().Get(name); v != "" {
			q.Set(name, v)
		}
	}
	r = r.Clone(r.Context())
	r.URL.RawQuery = q.Encode()
	return r
}

// openOIDC reports whether a path is one of signing in by an identity provider, which
// takes neither token nor session.
func openOIDC(p string) bool { return p == methodsPath || strings.HasPrefix(p, oidcPath) }
