package dbaudit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/gatehousehq/gatehouse/internal/store"
)

// secretsMember is the member of the public part of a document that names the
// secret members that are set, as package settings writes it.
const secretsMember = "_secrets"

// documentDiff writes what changed of a document that was written anew, each
// member by itself as NAME.MEMBER. Of secret members it says which were given or
// cleared; those that the edit kept are not touched by it. Of the document as a
// whole it says, as NAME, that an edit cleared it, and that what was shown of it
// before was no document.
func documentDiff(name string, before, after, edited any, write func(name string, shown any) error) error {
	whole := map[string]bool{}
	old, oldSecrets, err := members(before, name)
	if err != nil {
		// Somebody wrote to the database. It must be possible to put that right.
		whole["unreadable"] = true
	}
	if before != nil && after != nil && !isSet(part(after, name, document)) {
		whole["cleared"] = true // which the members tell only if nobody altered what is shown
	}
	if len(whole) > 0 {
		if err := write(name, whole); err != nil {
			return err
		}
	}
	cur, curSecrets, err := members(after, name)
	if err != nil {
		return err
	}
	keeps, _ := part(edited, name, kept).(store.Set)
	shown := map[string]any{}
	for _, m := range slices.Concat(oldSecrets, curSecrets) {
		if !slices.Contains(keeps.Slice(), m) {
			shown[m] = secretChange
		}
	}
	for _, doc := range []map[string]json.RawMessage{old, cur} {
		for m := range doc {
			if !bytes.Equal(old[m], cur[m]) {
				shown[m] = change{side(old, m), side(cur, m)}
			}
		}
	}
	for _, m := range slices.Sorted(maps.Keys(shown)) {
		if err := write(name+"."+m, shown[m]); err != nil {
			return err
		}
	}
	return nil
}

func isSet(v any) bool {
	z, ok := v.(interface{ IsZero() bool })
	return ok && !z.IsZero()
}

// members returns what a record shows of the document of that name, and which
// secret members are set beside it.
func members(rec any, name string) (shown map[string]json.RawMessage, secrets []string, err error) {
	text, _ := part(rec, name, public).(string)
	if text == "" {
		return nil, nil, nil
	}
	if err := json.Unmarshal([]byte(text), &shown); err != nil {
		return nil, nil, fmt.Errorf("field %s: its public part is not a JSON object", name)
	}
	if names, ok := shown[secretsMember]; ok {
		if json.Unmarshal(names, &secrets) != nil {
			return nil, nil, fmt.Errorf("field %s: %s is not a list of names", name, secretsMember)
		}
		delete(shown, secretsMember)
	}
	return shown, secrets, nil
}

// part returns the field of a record with that name and class; nil if there is
// none.
func part(rec any, name, class string) any {
	if rec == nil {
		return nil
	}
	v := reflect.ValueOf(rec)
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("audit") == name+","+class {
			return v.Field(i).Interface()
		}
	}
	return nil
}

// side returns a member of one side of a change; nil if it is not there.
func side(members map[string]json.RawMessage, name string) *value {
	m, ok := members[name]
	if !ok {
		return nil
	}
	return &value{m}
}
