package gateway

import (
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/gatehousehq/gatehouse/internal/nesting"
)

// silent are the events of clients that ask no model for anything.
var silent = []string{"response.cancel", "response.processed"}

// mayPass reports whether a message of a client may go up that is limited to the
// models that allowed says. Where each message asks a model, it must name one; and
// none may name another, at whatever depth: the model of a transcription is in the
// settings of a session.
func mayPass(message []byte, allowed func(model string) bool, eachNames bool) bool {
	if !nesting.Valid(message) {
		return false
	}
	doc := gjson.ParseBytes(message)
	if !doc.IsObject() || !allNamedAllowed(doc, allowed) {
		return false
	}
	if !eachNames {
		return true
	}
	if _, ok := soleString(message, "model"); ok {
		return true
	}
	event, ok := soleString(message, "type")
	return ok && slices.Contains(silent, event)
}

// allNamedAllowed reports whether every string that is called a model is an
// allowed one. Validity bounds how deep it goes.
func allNamedAllowed(v gjson.Result, allowed func(model string) bool) bool {
	all := true
	v.ForEach(func(key, value gjson.Result) bool {
		switch {
		case value.IsObject(), value.IsArray():
			all = allNamedAllowed(value, allowed)
		case value.Type == gjson.String && strings.EqualFold(key.Str, "model"):
			name, ok := plainString(value)
			all = ok && allowed(name)
		}
		return all
	})
	return all
}
