package gateway

import (
	"encoding/json"
	"strings"
	"testing"
)

// A message that passes names no model that is not allowed, to a reader that takes
// the last mention and to one that does not mind the case; and where each message
// asks a model, it names one or asks for nothing.
func FuzzMayPass(f *testing.F) {
	for _, s := range []string{
		`{"type":"response.create","model":"ok"}`, `{"model":"ok","Model":"no"}`, `{"type":"response.cancel"}`, `{"session":{"audio":[{"model":"no"}]}}`,
		`{"m\u006fdel":"no"}`, `{"model":"ok","model":"no"}`, `{"type":"response.cancel","type":"x"}`, `{"model":"o\ud800k"}`, `[{"model":"no"}]`,
	} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, message []byte, eachNames bool) {
		if !mayPass(message, func(model string) bool { return model == "ok" }, eachNames) {
			return
		}
		var doc map[string]any
		if err := json.Unmarshal(message, &doc); err != nil {
			t.Fatalf("%q passes: %v", message, err)
		}
		if walk(doc) {
			t.Fatalf("%q passes", message)
		}
		var folded struct{ Model, Type any }
		if json.Unmarshal(message, &folded) != nil {
			t.Fatalf("%q passes", message)
		}
		if eachNames && folded.Model != "ok" && folded.Type != "response.cancel" && folded.Type != "response.processed" {
			t.Fatalf("%q passes, and asks for something", message)
		}
	})
}

// walk reports whether another model than ok is named anywhere.
func walk(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			if s, ok := value.(string); ok && strings.EqualFold(name, "model") && s != "ok" || walk(value) {
				return true
			}
		}
	case []any:
		for _, value := range v {
			if walk(value) {
				return true
			}
		}
	}
	return false
}
