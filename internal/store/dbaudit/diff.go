package dbaudit

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// The classes of a field, from its audit tag "NAME,CLASS".
const (
	track   = "track"  // {"old":…,"new":…}, without the one that is not there
	secrets = "secret" // {"secret":true}: it changed, and that is all
	ignore  = "ignore"
)

// diff returns the fields that differ as a JSON object in the order of the
// record, {} if none does. before is nil for a creation and after for a
// deletion, of which fields with the zero value are left out. A field without a
// class is an error.
func diff(before, after any) (string, error) {
	typ := reflect.TypeOf(after)
	if after == nil {
		typ = reflect.TypeOf(before)
	}
	old, cur := reflect.ValueOf(before), reflect.ValueOf(after)
	var out strings.Builder
	out.WriteByte('{')
	for i := range typ.NumField() {
		name, class, _ := strings.Cut(typ.Field(i).Tag.Get("audit"), ",")
		var o, n any
		if before != nil {
			o = old.Field(i).Interface()
		}
		if after != nil {
			n = cur.Field(i).Interface()
		}
		if class == ignore || o == n || before == nil && cur.Field(i).IsZero() || after == nil && old.Field(i).IsZero() {
			continue
		}
		var shown any
		switch class {
		case track:
			shown = change{tracked(before, o), tracked(after, n)}
		case secrets:
			shown = map[string]bool{"secret": true}
		default:
			return "", fmt.Errorf("field %s of %s has no class", typ.Field(i).Name, typ)
		}
		b, err := json.Marshal(shown)
		if err != nil {
			return "", fmt.Errorf("field %s of %s: %w", typ.Field(i).Name, typ, err)
		}
		if out.Len() > 1 {
			out.WriteByte(',')
		}
		fmt.Fprintf(&out, "%q:%s", name, b)
	}
	out.WriteByte('}')
	return out.String(), nil
}

// A change is a field before and after; nil where there was no record.
type change struct {
	Old *value `json:"old,omitempty"`
	New *value `json:"new,omitempty"`
}

// A value is one side of a change.
type value struct{ v any }

// MarshalJSON writes null for a time that is not set.
func (v value) MarshalJSON() ([]byte, error) {
	if z, ok := v.v.(interface{ IsZero() bool }); ok && z.IsZero() {
		return []byte("null"), nil
	}
	return json.Marshal(v.v)
}

// tracked returns the field of a record, if there is one.
func tracked(rec, field any) *value {
	if rec == nil {
		return nil
	}
	return &value{field}
}
