package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// bodyTime is how long a client may take to send a request.
const bodyTime = 30 * time.Second

// routes adds what is not an operation of the API, and answers in JSON where
// the standard router would not.
func (a *api) routes() http.Handler {
	a.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, "application/json", map[string]string{"status": "ok"})
	})
	a.mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := a.Ready(r.Context()); err != nil {
			a.Log.WarnContext(r.Context(), "not ready", "error", err)
			writeProblem(w, problem{Status: http.StatusServiceUnavailable, again: true, Detail: "not ready to serve: see the log of the server"})
			return
		}
		writeJSON(w, http.StatusOK, "application/json", map[string]string{"status": "ready"})
	})
	a.mux.HandleFunc("GET "+metricsPath, func(w http.ResponseWriter, r *http.Request) {
		page, err := a.Metrics(actor(r.Context()))
		if err != nil {
			writeProblem(w, a.problem(r.Context(), err))
			return
		}
		page.ServeHTTP(w, r)
	})
	spec, err := json.Marshal(a.huma.OpenAPI())
	if err != nil {
		panic(err) // a test would have caught it
	}
	a.mux.HandleFunc("GET "+specPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(spec) // a client that is gone needs no answer
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path.Clean(r.URL.Path) != r.URL.Path {
			writeProblem(w, problem{Status: http.StatusNotFound, Detail: noRoute})
			return
		}
		if _, pattern := a.mux.Handler(r); pattern == "" {
			a.unrouted(w, r)
			return
		}
		v := a.visitOf(r)
		info(r.Context()).visit = v
		switch {
		case strings.HasPrefix(r.URL.Path, oidcPath) && r.Method == http.MethodHead: // one of these opens a session
			w.Header().Set("Allow", http.MethodGet)
			w.WriteHeader(http.StatusMethodNotAllowed)
		case strings.HasPrefix(r.URL.Path, oidcPath) && strings.HasSuffix(r.URL.Path, callbackSuffix):
			a.mux.ServeHTTP(w, withoutOthers(r))
		case open(r.URL.Path), openOIDC(r.URL.Path):
			a.mux.ServeHTTP(w, r)
		case r.URL.Path == sessionPath && r.Method == http.MethodPost: // nobody is anybody yet
			if err := a.sameOrigin(r, false); err != nil {
				writeProblem(w, a.problem(r.Context(), err))
				return
			}
			a.mux.ServeHTTP(w, r)
		default:
			a.authenticated(w, r)
		}
	})
}

const (
	specPath    = "/api/v1/openapi.json"
	metricsPath = "/metrics"
	noRoute     = "there is no such route; GET " + specPath + " lists them"
)

// open reports whether a path needs no token.
func open(p string) bool { return p == "/healthz" || p == "/readyz" || p == specPath }

// describeOthers adds to the OpenAPI document the routes that are served beside
// the router of the API. All but the metrics take no token.
func (a *api) describeOthers() {
	status := huma.SchemaFromType(a.huma.OpenAPI().Components.Schemas, reflect.TypeFor[struct {
		Status string `json:"status" enum:"ok,ready" doc:"How the server is."`
	}]())
	answer := func(description, mediaType string, schema *huma.Schema) *huma.Response {
		return &huma.Response{Description: description, Content: map[string]*huma.MediaType{mediaType: {Schema: schema}}}
	}
	refused := func(status int) *huma.Response {
		return answer(http.StatusText(status), problemType, a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[problem](), true, ""))
	}
	for _, op := range []huma.Operation{{
		OperationID: "get-health", Path: "/healthz", Summary: "Get whether the server runs",
		Responses: map[string]*huma.Response{"200": answer("OK", "application/json", status)},
	}, {
		OperationID: "get-readiness", Path: "/readyz", Summary: "Get whether the server can serve", Description: "It cannot while the database is away.",
		Responses: map[string]*huma.Response{
			"200": answer("OK", "application/json", status),
			"503": refused(http.StatusServiceUnavailable),
		},
	}, {
		OperationID: "get-openapi", Path: specPath, Summary: "Get this document",
		Responses: map[string]*huma.Response{"200": answer("OK", "application/json", &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true})},
	}, {
		OperationID: "get-metrics", Path: metricsPath, Summary: "Get metrics for Prometheus",
		Security: []map[string][]string{{"token": {}}},
		Responses: map[string]*huma.Response{
			"200": answer("OK", "text/plain", &huma.Schema{Type: huma.TypeString}),
			"401": refused(http.StatusUnauthorized), "403": refused(http.StatusForbidden), "503": refused(http.StatusServiceUnavailable),
		},
	}} {
		op.Method, op.Tags = http.MethodGet, []string{"Server"}
		a.huma.OpenAPI().AddOperation(&op)
	}
}

// methods are those that a route can have.
var methods = []string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodPut, http.MethodDelete}

// unrouted answers 405 where another method would do, and 404 elsewhere.
func (a *api) unrouted(w http.ResponseWriter, r *http.Request) {
	var allow []string
	for _, m := range methods {
		probe := r.Clone(r.Context())
		probe.Method = m
		if _, pattern := a.mux.Handler(probe); pattern != "" {
			allow = append(allow, m)
		}
	}
	if allow == nil {
		writeProblem(w, problem{Status: http.StatusNotFound, Detail: noRoute})
		return
	}
	w.Header().Set("Allow", strings.Join(allow, ", "))
	writeProblem(w, problem{Status: http.StatusMethodNotAllowed, Detail: "this route takes " + strings.Join(allow, ", ")})
}

// authenticated serves a request once it is known who asks.
func (a *api) authenticated(w http.ResponseWriter, r *http.Request) {
	info := info(r.Context())
	first, again, err := a.credential(r)
	var who store.Actor
	if err == nil {
		who, err = first(r.Context())
	}
	switch {
	case errors.Is(err, authn.ErrSessionOver):
		http.SetCookie(w, info.visit.cookie("", time.Time{}))
		fallthrough
	case err != nil && tokenError(err):
		w.Header().Set("WWW-Authenticate", `Bearer realm="gatehouse"`)
		writeProblem(w, problem{Status: http.StatusUnauthorized, Detail: err.Error()})
		return
	case err != nil:
		writeProblem(w, a.problem(r.Context(), err))
		return
	}
	info.token = who.TokenName
	if who.SessionID != "" {
		info.token = "session"
	}
	if a.OnUse != nil {
		a.OnUse(who.TokenID, a.Now())
	}
	ctx := context.WithValue(r.Context(), actorKey{}, who)
	ctx = context.WithValue(ctx, againKey{}, again)
	a.mux.ServeHTTP(w, r.WithContext(ctx))
}

// An asking finds out who asks.
type asking func(context.Context) (store.Actor, error)

// credential returns how to find out who asks, the first time and for an answer that
// takes long. If there is an Authorization, no cookie counts; one counts under
// /api/v1 alone.
func (a *api) credential(r *http.Request) (first, again asking, err error) {
	v := info(r.Context()).visit
	if len(r.Header.Values("Authorization")) > 0 || v.session == "" || !strings.HasPrefix(r.URL.Path, "/api/v1/") {
		presented := bearer(r)
		byToken := func(ctx context.Context) (store.Actor, error) { return a.Auth.Authenticate(ctx, presented, v.origin) }
		return byToken, byToken, nil
	}
	first = func(ctx context.Context) (store.Actor, error) {
		return a.Sessions.Authenticate(ctx, v.session, v.origin)
	}
	again = func(ctx context.Context) (store.Actor, error) {
		return a.Sessions.AuthenticateAgain(ctx, v.session, v.origin)
	}
	return first, again, a.sameOrigin(r, true)
}

func tokenError(err error) bool {
	for _, e := range []error{authn.ErrMissing, authn.ErrMalformed, authn.ErrUnknown, authn.ErrExpired, authn.ErrDisabled, authn.ErrSessionOver} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func bearer(r *http.Request) string {
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(value)
}

// The router of the API can hand a handler only a context, so who asks travels
// in it from authenticated to register, and no further.
type actorKey struct{}

func actor(ctx context.Context) store.Actor {
	who, _ := ctx.Value(actorKey{}).(store.Actor)
	return who
}

// againKey is of what finds out once more who asks, for an answer that takes long.
type againKey struct{}

func authenticateAgain(ctx context.Context) (store.Actor, error) {
	again, ok := ctx.Value(againKey{}).(asking)
	if !ok {
		return store.Actor{}, authn.ErrMissing
	}
	return again(ctx)
}

// A requestInfo is what the log line of a request says.
type requestInfo struct {
	id, token string
	visit     visit
}

type infoKey struct{}

func info(ctx context.Context) *requestInfo {
	if i, ok := ctx.Value(infoKey{}).(*requestInfo); ok {
		return i
	}
	return &requestInfo{}
}

// outermost gives each request its id, headers, limits and log line, and
// answers for a handler that panicked.
func (a *api) outermost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := a.Now()
		ri := &requestInfo{}
		if id, err := uuid.NewV7(); err == nil {
			ri.id = id.String()
		}
		h := w.Header()
		h.Set("X-Gatehouse-Request-Id", ri.id)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		// Not every writer has a deadline to set; the server's own limits stand.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
		r = r.WithContext(context.WithValue(r.Context(), infoKey{}, ri))
		rec := &statusRecorder{ResponseWriter: w}
		defer func() {
			if v := recover(); v != nil {
				// The value may hold anything; where it came from does not.
				a.Log.ErrorContext(r.Context(), "panic", "id", ri.id, "kind", fmt.Sprintf("%T", v), "stack", string(debug.Stack()))
				if rec.status == 0 {
					writeProblem(rec, a.problem(r.Context(), errors.New("panic")))
				}
			}
			level := slog.LevelInfo
			if open(r.URL.Path) {
				level = slog.LevelDebug
			}
			a.Log.Log(r.Context(), level, "api request", "id", ri.id, "token", ri.token, "method", method(r), "route", a.route(r),
				"status", rec.status, "ms", a.Now().Sub(start).Milliseconds())
		}()
		next.ServeHTTP(rec, r)
	})
}

// route names the matched pattern, never the path, which may hold anything.
func (a *api) route(r *http.Request) string {
	_, pattern := a.mux.Handler(r)
	if _, p, ok := strings.Cut(pattern, " "); ok {
		return p
	}
	return "none"
}

// method names the method if it is one that a route has: it may be anything.
func method(r *http.Request) string {
	if slices.Contains(methods, r.Method) || r.Method == http.MethodHead {
		return r.Method
	}
	return "other"
}

// A statusRecorder remembers the status.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (r *statusRecorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *statusRecorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap is for [http.ResponseController].
func (r *statusRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// clip returns at most n bytes of s, and what is not UTF-8 left out: a header
// may have any bytes in it.
func clip(s string, n int) string {
	return strings.ToValidUTF8(s[:min(len(s), n)], "")
}
