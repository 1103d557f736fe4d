package client

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// An Error is a request that the server answered and refused.
type Error struct {
	Status int    // of the HTTP response
	Title  string // what kind of refusal it is
	Detail string // what was wrong this time; may be empty
	Errors []FieldError

	// foreign is whether the answer was not in a form that Gatehouse gives.
	foreign bool
}

// A FieldError says what is wrong with one part of a request.
type FieldError struct {
	Location string `json:"location"` // such as "body.base_url"
	Message  string `json:"message"`
}

// Error returns the detail, or the title if there is none, and then what is
// wrong with each field.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Detail)
	if e.Detail == "" {
		b.WriteString(e.Title)
	}
	fmt.Fprintf(&b, " (%d)", e.Status)
	for _, f := range e.Errors {
		fmt.Fprintf(&b, "; %s: %s", f.Location, f.Message)
	}
	return b.String()
}

// An answer is what came back, whatever it was.
type answer struct {
	status    int
	mediaType string
	body      []byte
}

// refusal makes an error of an answer that is not a success: a problem
// document, or an error of the gateway in the dialect of its client.
func (a answer) refusal() *Error {
	var doc struct {
		Title  string
		Detail string
		Errors []FieldError
		Error  json.RawMessage
	}
	if json.Unmarshal(a.body, &doc) == nil {
		e := &Error{Status: a.status, Title: doc.Title, Detail: doc.Detail, Errors: doc.Errors}
		if e.Title == "" {
			e.Title = http.StatusText(a.status)
		}
		if e.Detail == "" {
			e.Detail = message(doc.Error)
		}
		if doc.Title != "" || e.Detail != "" || a.status == http.StatusPreconditionFailed {
			return e
		}
	}
	return a.foreign()
}

// message returns what a provider says in its error: an object with a message,
// or just that.
func message(raw json.RawMessage) string {
	var doc struct{ Message string }
	if json.Unmarshal(raw, &doc) == nil {
		return doc.Message
	}
	var s string
	_ = json.Unmarshal(raw, &s) // anything else says nothing
	return s
}

// foreign makes an error of an answer that Gatehouse would not give. What it
// says is left out: it can be anything.
func (a answer) foreign() *Error {
	e := &Error{Status: a.status, Title: http.StatusText(a.status), foreign: true}
	kind := a.mediaType
	if kind == "" {
		kind = "something without a type"
	}
	switch {
	case a.status >= 300 && a.status < 400:
		e.Detail = "the server redirects, which is not followed: use the URL that it leads to"
	case a.status < 300:
		e.Detail = "the answer, " + kind + ", is not one of Gatehouse: check the server's URL"
	default:
		e.Detail = "the answer, " + kind + ", is not one of Gatehouse: check the server's URL, and any proxy before it"
	}
	return e
}
