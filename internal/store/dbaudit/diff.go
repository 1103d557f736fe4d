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
	// document is a sealed JSON object, shown member by member: see
	// documentDiff. The fields of the same name and these classes go with it.
	document = "document"
	public   = "public" // what of it stands in the clear
	kept     = "kept"   // secret members that an edit takes over, a store.Set
)

// diff returns the fields that differ as a JSON object in the order of the
// record, {} if none does. before is nil for a creation and after for a
// deletion, of which fields with the zero value are left out. edited is what
// after was before the layers beneath had it. A field without a class is an
// error.
func diff(before, after, edited any) (string, error) {
	typ := reflect.TypeOf(after)
	if after == nil {
		typ = reflect.TypeOf(before)
	}
	old, cur := reflect.ValueOf(before), reflect.ValueOf(after)
	var out strings.Builder
	out.WriteByte('{')
	write := func(name string, shown any) error {
		b, err := json.Marshal(shown)
		if err != nil {
			return fmt.Errorf("field %s of %s: %w", name, typ, err)
		}
		if out.Len() > 1 {
			out.WriteByte(',')
		}
		fmt.Fprintf(&out, "%q:%s", name, b)
		return nil
	}
	for i := range typ.NumField() {
		name, class, _ := strings.Cut(typ.Field(i).Tag.Get("audit"), ",")
		var o, n any
		if before != nil {
			o = old.Field(i).Interface()
		}
		if after != nil {
			n = cur.Field(i).Interface()
		}
		if class == ignore || class == public || class == kept || o == n || before == nil && cur.Field(i).IsZero() || after == nil && old.Field(i).IsZero() {
			continue
		}
		var err error
		switch class {
		case track:
			err = write(name, change{tracked(before, o), tracked(after, n)})
		case secrets:
			err = write(name, secretChange)
		case document:
			err = documentDiff(name, before, after, edited, write)
		default:
			err = fmt.Errorf("field %s of %s has no class", typ.Field(i).Name, typ)
		}
		if err != nil {
			return "", err
		}
	}
	out.WriteByte('}')
	return out.String(), nil
}

// secretChange is all that is said of a secret.
var secretChange = map[string]bool{"secret": true}

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
