package settings

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/gatehousehq/gatehouse/internal/secret"
)

// A field is one member of a document.
type field struct {
	name  string
	value any      // where it is kept: a *string, *bool, **bool, *int64, *[]string, *secret.Text or value
	max   int      // the most bytes of a text or secret, or the largest number
	of    []string // what a list may have, in the order of the canonical form
}

func (f field) isSecret() bool {
	switch f.value.(type) {
	case *secret.Text, *headers:
		return true
	}
	return false
}

func (f field) isZero() bool {
	switch v := f.value.(type) {
	case *string:
		return *v == ""
	case *bool:
		return !*v
	case **bool: // one that is left out is neither
		return *v == nil
	case *[]string: // an empty list is one
		return *v == nil
	case *int64:
		return *v == 0
	case *secret.Text:
		return v.IsZero()
	case value:
		return v.isZero()
	}
	panic("settings: a field of no known type") // any test finds it
}

// read takes a JSON value into the field.
func (f field) read(raw json.RawMessage) error {
	switch v := f.value.(type) {
	case *bool, **bool:
		if json.Unmarshal(raw, v) != nil {
			return &FieldError{f.name, "must be true or false"}
		}
		return nil
	case *[]string:
		return f.readList(raw, v)
	case value:
		if err := v.read(raw); err != nil {
			return &FieldError{f.name, err.Error()}
		}
		return nil
	case *int64:
		var n int64
		if json.Unmarshal(raw, &n) != nil || n < 0 || n > int64(f.max) {
			return &FieldError{f.name, fmt.Sprintf("must be a number from 0 to %d", f.max)}
		}
		*v = n
		return nil
	}
	var text string
	switch {
	case json.Unmarshal(raw, &text) != nil:
		return &FieldError{f.name, "must be a string"}
	case f.isSecret() && (strings.Contains(text, "…") || text == secret.Redacted):
		return &FieldError{f.name, "is a masked form, not the secret: leave it out to keep what is there"}
	case len(text) > f.max || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return &FieldError{f.name, fmt.Sprintf("must be at most %d printable characters without spaces", f.max)}
	}
	switch v := f.value.(type) {
	case *string:
		*v = text
	case *secret.Text:
		*v = secret.New(text)
	}
	return nil
}

// readList takes a JSON array of names into v, in canonical order.
func (f field) readList(raw json.RawMessage, v *[]string) error {
	bad := &FieldError{f.name, "must be a list of some of " + quoted(f.of) + ", each once"}
	var names []string
	if json.Unmarshal(raw, &names) != nil {
		return bad
	}
	list := []string{}
	for _, name := range f.of {
		if slices.Contains(names, name) {
			list = append(list, name)
		}
	}
	if len(list) != len(names) {
		return bad
	}
	*v = list
	return nil
}

// json returns the value as JSON, in the clear.
func (f field) json() []byte {
	v := f.value
	switch own := v.(type) {
	case *secret.Text:
		v = own.Reveal()
	case value:
		v = own.json()
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings, bools and numbers, and lists and objects of them
	}
	return b
}

// A KeyForm is what the keys of a provider look like. The zero KeyForm allows
// every key.
type KeyForm struct {
	Name    string // for people
	pattern *regexp.Regexp
}

// Allows reports whether key is of that form.
func (f KeyForm) Allows(key secret.Text) bool {
	return f.pattern == nil || f.pattern.MatchString(key.Reveal())
}
