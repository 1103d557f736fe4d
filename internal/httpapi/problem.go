package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/auditlog"
	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// A problem is an RFC 9457 problem document.
type problem struct {
	Type   string              `json:"type" doc:"What kind of problem it is; about:blank: what the status says."`
	Title  string              `json:"title" doc:"The name of the status."`
	Status int                 `json:"status" doc:"The HTTP status."`
	Detail string              `json:"detail" doc:"What was wrong this time, and what to do."`
	Errors []client.FieldError `json:"errors,omitempty" nullable:"false" doc:"What is wrong with each field."`
	// Current is the document as it is now, where an edit was stale.
	Current any `json:"current,omitempty" doc:"With status 412, the resource as it is now."`

	again bool   // nothing was done, and the same request may do better soon
	after string // seconds after which it may; "" is a few
}

func (p problem) Error() string { return p.Detail }

// GetStatus is for huma.
func (p problem) GetStatus() int { return p.Status }

// GetHeaders is for huma.
func (p problem) GetHeaders() http.Header {
	if !p.again {
		return nil
	}
	return http.Header{"Retry-After": {cmp.Or(p.after, "5")}}
}

// ContentType is for huma.
func (problem) ContentType(string) string { return problemType }

const problemType = "application/problem+json"

// complete fills in what follows from the status.
func (p problem) complete() problem {
	p.Type, p.Title = "about:blank", http.StatusText(p.Status)
	return p
}

// refused is the problem of one part of a request.
func refused(location, message string) problem {
	return problem{
		Status: http.StatusUnprocessableEntity, Detail: details[http.StatusUnprocessableEntity],
		Errors: []client.FieldError{{Location: location, Message: message}},
	}
}

func writeProblem(w http.ResponseWriter, p problem) {
	maps.Copy(w.Header(), p.GetHeaders())
	writeJSON(w, p.Status, problemType, p.complete())
}

func writeJSON(w http.ResponseWriter, status int, mediaType string, v any) {
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that is gone needs no answer
}

// problem says what an error of the store means to whoever asked. This is the
// one place where that is decided; anything unknown is logged, and not shown.
func (a *api) problem(ctx context.Context, err error) problem {
	if fields := invalidFields(err); len(fields) > 0 {
		return problem{Status: http.StatusUnprocessableEntity, Detail: details[http.StatusUnprocessableEntity], Errors: fields}.complete()
	}
	var stale *staleError
	var denied *store.DeniedError
	var conflict *store.ConflictError
	var notInForce *store.NotInForceError
	var tooMany *authn.TooManyError
	var p problem
	switch {
	case errors.As(err, &p):
	case errors.As(err, &notInForce):
		a.Log.ErrorContext(ctx, "change saved but not in force", "id", info(ctx).id, "error", err)
		p = problem{Status: http.StatusServiceUnavailable, Detail: "the change is saved, but this server could not put it into force yet; it goes on trying"}
	case errors.As(err, &stale):
		p = problem{Status: http.StatusPreconditionFailed, Current: stale.current, Detail: "it has changed since you read it; look at what it is now, and send If-Match with its revision"}
	case errors.As(err, &denied) && denied.Reason != "":
		p = problem{Status: http.StatusForbidden, Detail: denied.Reason}
	case errors.As(err, &denied):
		p = problem{Status: http.StatusForbidden, Detail: "this takes the permission " + denied.Missing.String() + ", which the role of the token's owner, its scopes or its allow-lists do not give"}
	case errors.As(err, &conflict) && conflict.Reason != "":
		p = problem{Status: http.StatusConflict, Detail: conflict.Reason}
	case errors.As(err, &conflict):
		p = problem{Status: http.StatusConflict, Detail: "it is there already", Errors: []client.FieldError{{Location: "body." + conflict.Field, Message: taken(conflict.Field)}}}
	case errors.Is(err, store.ErrNotFound):
		p = problem{Status: http.StatusNotFound, Detail: "there is no such thing here, or it is not yours to see"}
	case errors.Is(err, store.ErrUnavailable):
		a.Log.ErrorContext(ctx, "database unavailable", "id", info(ctx).id, "error", err)
		p = problem{Status: http.StatusServiceUnavailable, again: true, Detail: "the database is not available; nothing was changed. Try again"}
	case errors.Is(err, store.ErrUncertain):
		a.Log.ErrorContext(ctx, "database lost during commit", "id", info(ctx).id, "error", err)
		p = problem{Status: http.StatusServiceUnavailable, Detail: "the database went away while the change was being saved: it may have been made or not. Look before you try again"}
	case errors.Is(err, auditlog.ErrRewritten):
		p = problem{Status: http.StatusConflict, Detail: "the audit log does not continue what its last checkpoint says: it was altered, cut, or restored from a backup. Verify it with gatehouse audit verify, and the checkpoints that were kept"}
	case errors.As(err, &tooMany):
		p = problem{Status: http.StatusTooManyRequests, again: true, after: tooMany.RetryAfter(), Detail: err.Error()}
	case errors.Is(err, authn.ErrWrongPassword), errors.Is(err, authn.ErrUserDisabled), tokenError(err):
		p = problem{Status: http.StatusUnauthorized, Detail: err.Error()}
	case errors.Is(err, authn.ErrNoPower):
		p = problem{Status: http.StatusForbidden, Detail: err.Error()}
	case errors.Is(err, store.ErrStale):
		p = problem{Status: http.StatusConflict, Detail: "it was changed in the meantime: look, and try again"}
	case errors.Is(err, context.Canceled):
		p = problem{Status: 499, Detail: "the client went away"}
	default:
		a.Log.ErrorContext(ctx, "internal error", "id", info(ctx).id, "error", err)
		p = problem{Status: http.StatusInternalServerError, Detail: "something went wrong in the server; its log has more under id " + info(ctx).id}
	}
	return p.complete()
}

func taken(field string) string {
	if strings.HasPrefix(field, "api_key") {
		return "this provider has that key already"
	}
	return "is taken; choose another"
}

// A staleError is an [store.ErrStale] with what is there now.
type staleError struct{ current any }

func (*staleError) Error() string { return store.ErrStale.Error() }

// invalidFields finds every [store.InvalidError] in err, in the order of their
// fields.
func invalidFields(err error) []client.FieldError {
	var out []client.FieldError
	var walk func(error)
	walk = func(err error) {
		switch e := err.(type) {
		case *store.InvalidError:
			out = append(out, client.FieldError{Location: "body." + e.Field, Message: e.Reason})
		case interface{ Unwrap() []error }:
			for _, e := range e.Unwrap() {
				walk(e)
			}
		case interface{ Unwrap() error }:
			walk(e.Unwrap())
		}
	}
	walk(err)
	slices.SortStableFunc(out, func(a, b client.FieldError) int { return strings.Compare(a.Location, b.Location) })
	return out
}

// useProblems makes the router answer with our problems. It has no setting for
// it but a variable, and by its default it sends back what it was sent, keys
// included.
var useProblems = sync.OnceFunc(func() {
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		p := problem{Status: status, Detail: details[status]}
		if status == http.StatusInternalServerError && msg == "cannot read request body" { // not our fault
			p = problem{Status: http.StatusBadRequest, Detail: "the body could not be read to its end"}
		}
		if p.Detail == "" {
			p.Detail = msg
		}
		for _, err := range errs {
			var d *huma.ErrorDetail
			if errors.As(err, &d) && status == http.StatusUnprocessableEntity {
				p.Errors = append(p.Errors, fieldError(d))
			}
		}
		return p.complete()
	}
})

// details replace what the router says of a request that it refuses by itself.
var details = map[int]string{
	http.StatusBadRequest:            "the body is not valid JSON",
	http.StatusRequestEntityTooLarge: "the body is larger than 1 MiB",
	http.StatusUnsupportedMediaType:  "send JSON, with Content-Type: application/json",
	http.StatusUnprocessableEntity:   "some of what was sent cannot be accepted",
	http.StatusRequestTimeout:        "the body took too long to arrive",
}

// missingField is how the router says that a field is needed.
var missingField = regexp.MustCompile(`^expected required property ([a-z_]+) to be present$`)

// fieldError passes on what the router found, without anything that was sent:
// neither a value nor a name that is not ours.
func fieldError(d *huma.ErrorDetail) client.FieldError {
	part, _, _ := strings.Cut(d.Location, ".")
	if m := missingField.FindStringSubmatch(d.Message); m != nil {
		return client.FieldError{Location: d.Location + "." + m[1], Message: "is required"}
	}
	switch {
	case part == "query" && d.Message == "unknown query parameter":
		return client.FieldError{Location: part, Message: "has a parameter that is not known here; GET " + specPath + " lists them"}
	case d.Message == validation.MsgUnexpectedProperty:
		return client.FieldError{Location: part, Message: "has a field that is not known here; GET " + specPath + " lists them"}
	case strings.HasPrefix(d.Message, "expected ") || strings.HasPrefix(d.Message, "invalid "):
		message, _, _ := strings.Cut(d.Message, ": ") // behind it, some quote the value
		return client.FieldError{Location: d.Location, Message: message}
	}
	return client.FieldError{Location: part, Message: "has a value that is out of range, or a field twice"}
}
