package clienttest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/gatehousehq/gatehouse/client"
)

// A call is one request on its way to an answer.
type call struct {
	w     http.ResponseWriter
	r     *http.Request
	body  []byte
	actor *client.Token
}

func (c *call) answer(status int, v any) {
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(status)
	_ = json.NewEncoder(c.w).Encode(v) // a client that left does not hear it
}

func (c *call) problem(status int, detail string, fields ...client.FieldError) {
	c.w.Header().Set("Content-Type", "application/problem+json")
	c.w.WriteHeader(status)
	_ = json.NewEncoder(c.w).Encode(map[string]any{ // a client that left does not hear it
		"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": detail, "errors": fields,
	})
}

func (c *call) invalid(location, message string) {
	c.problem(http.StatusUnprocessableEntity, "the request is not valid", client.FieldError{Location: location, Message: message})
}

// decode reads the body into v. It answers and returns false if it cannot.
func (c *call) decode(v any) bool {
	if c.r.Header.Get("Content-Type") != "application/json" {
		c.problem(http.StatusUnsupportedMediaType, "the body must be application/json")
		return false
	}
	d := json.NewDecoder(bytes.NewReader(c.body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		if !json.Valid(c.body) {
			c.problem(http.StatusBadRequest, "the body is not JSON")
		} else {
			c.invalid("body", "has a field that is unknown or of the wrong type")
		}
		return false
	}
	return true
}

// A given is a field of a change as it was sent. Its zero value was left out.
type given[T any] struct {
	sent  bool
	value *T // nil is null
}

func (g *given[T]) UnmarshalJSON(b []byte) error {
	g.sent = true
	return json.Unmarshal(b, &g.value)
}

// fresh reports whether the request may change p: it carries no revision, or
// the current one. Otherwise it answers.
func (s *Server) fresh(c *call, p *client.Provider) bool {
	want := c.r.Header.Get("If-Match")
	if want != "" && s.stale[p.Name] {
		delete(s.stale, p.Name)
		p.Revision++
	}
	if want != "" && want != strconv.Quote(strconv.FormatInt(p.Revision, 10)) {
		c.answer(http.StatusPreconditionFailed, p)
		return false
	}
	return true
}
