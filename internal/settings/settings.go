// Package settings knows the settings documents of providers: typed by _type
// and versioned by _version. A document of another type or version is refused,
// never guessed at.
package settings

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// A FieldError says what is wrong with one field of a document. It carries no
// value.
type FieldError struct {
	Field   string // "" is the document as a whole
	Message string
}

func (e *FieldError) Error() string {
	if e.Field == "" {
		return "settings " + e.Message
	}
	return "settings." + e.Field + " " + e.Message
}

// TypeOpenAI is the _type of [OpenAI].
const TypeOpenAI = "openai"

// OpenAI are the settings of a provider that is reached by the OpenAI API as it
// is. What it names is billed, so a client cannot choose it.
type OpenAI struct {
	Type         string `json:"_type"`
	Version      int    `json:"_version"`
	Organization string `json:"organization,omitempty"` // sent as OpenAI-Organization
	Project      string `json:"project,omitempty"`      // sent as OpenAI-Project
}

// maxField is the longest value of a field in bytes.
const maxField = 256

// Parse reads a document for a provider of the given type and returns it.
func Parse(providerType string, document []byte) (OpenAI, error) {
	var head struct {
		Type    string `json:"_type"`
		Version int    `json:"_version"`
	}
	if trimmed := bytes.TrimSpace(document); len(trimmed) == 0 || trimmed[0] != '{' || json.Unmarshal(document, &head) != nil {
		return OpenAI{}, &FieldError{"", `must be a JSON object with "_type" and "_version"`}
	}
	if head.Type != TypeOpenAI {
		return OpenAI{}, &FieldError{"_type", fmt.Sprintf("is unknown; this version knows %q", TypeOpenAI)}
	}
	if head.Version != 1 {
		return OpenAI{}, &FieldError{"_version", "is unknown; this version knows 1"}
	}
	if providerType != TypeOpenAI {
		return OpenAI{}, &FieldError{"_type", fmt.Sprintf("%q is for providers of type openai", TypeOpenAI)}
	}
	var doc OpenAI
	dec := json.NewDecoder(bytes.NewReader(document))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&doc); err != nil {
		return OpenAI{}, &FieldError{"", `may have "organization" and "project", which are strings, and nothing else`}
	}
	for field, v := range map[string]string{"organization": doc.Organization, "project": doc.Project} {
		if len(v) > maxField || strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return OpenAI{}, &FieldError{field, fmt.Sprintf("must be at most %d printable characters without spaces", maxField)}
		}
	}
	return doc, nil
}

// Encode returns the document in its canonical form.
func (o OpenAI) Encode() string {
	b, err := json.Marshal(o)
	if err != nil {
		panic(err) // strings and an int
	}
	return string(b)
}

// Headers returns what the settings add to each request upstream.
func (o OpenAI) Headers() map[string]string {
	h := map[string]string{}
	if o.Organization != "" {
		h["Openai-Organization"] = o.Organization
	}
	if o.Project != "" {
		h["Openai-Project"] = o.Project
	}
	return h
}
