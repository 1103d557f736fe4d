package httpapi

import (
	"bytes"
	"encoding/json"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// A patch is a field of a PATCH body: left out, null, or a value.
type patch[T any] struct {
	sent, null bool
	value      T
}

// UnmarshalJSON is called only for a field that was sent.
func (p *patch[T]) UnmarshalJSON(b []byte) error {
	p.sent = true
	if bytes.Equal(b, []byte("null")) {
		p.null = true
		return nil
	}
	return json.Unmarshal(b, &p.value)
}

// Schema is for huma: that of T, which may also be null.
func (patch[T]) Schema(r huma.Registry) *huma.Schema {
	s := *r.Schema(reflect.TypeFor[T](), true, "")
	s.Nullable = true
	s.PrecomputeMessages()
	return &s
}

// required returns the value, nil if none was sent. Null is refused: there is
// nothing to clear.
func (p patch[T]) required(field string) (*T, error) {
	switch {
	case !p.sent:
		return nil, nil
	case p.null:
		return nil, &store.InvalidError{Field: field, Reason: "cannot be null; leave it out to keep it"}
	}
	return &p.value, nil
}

// clearable returns the value, nil if none was sent, and the zero value for
// null.
func (p patch[T]) clearable() *T {
	if !p.sent {
		return nil
	}
	return &p.value
}

// A document is any JSON value, kept as it was sent.
type document json.RawMessage

// UnmarshalJSON keeps a copy.
func (d *document) UnmarshalJSON(b []byte) error {
	*d = bytes.Clone(b)
	return nil
}

// Schema is for huma.
func (document) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}
}

// aliasSecrets makes secrets strings in the OpenAPI document.
func aliasSecrets(r huma.Registry) {
	r.RegisterTypeAlias(reflect.TypeFor[secret.Text](), reflect.TypeFor[string]())
}
