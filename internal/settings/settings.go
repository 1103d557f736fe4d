// Package settings knows the settings documents of providers: typed by _type
// and versioned by _version. A document of another type or version is refused,
// never guessed at.
//
// Some fields of a document are secret. They are write-only: a document that
// leaves one out keeps it, and "" or null clears it. What is shown in their
// place is the member _secrets, which names those that are set; it is ignored
// where it is written, since clients send back what they have read.
//
// A type of document is a file of this package and a line of kinds.
package settings

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/gatehousehq/gatehouse/internal/secret"
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

// A Document is a settings document that was found right. The zero Document is
// that of a provider without settings.
type Document struct {
	// Fields are those of its type, *[OpenAI] or *[Bedrock] for example; nil
	// for the zero Document. Secret fields that are kept are empty in them.
	Fields Fields
	// Full is the document in its canonical form, with the secret fields that
	// were given and without those that are kept.
	Full secret.Text
	// Public is the canonical form without secret fields. Its member _secrets
	// names those that are given or kept; it is left out if there are none.
	Public string
	// Given and Kept name the secret fields that were given, and those that were
	// left out and are set in the document before.
	Given, Kept []string
	// Credentials is whether it says what to authenticate with, so that there
	// must be no provider keys.
	Credentials bool
	// Keys is what the keys of its provider must look like.
	Keys KeyForm
}

// Fields are what a type of document has besides _type and _version.
type Fields interface {
	// Headers returns what the settings add to each request upstream.
	Headers() map[string]string
	// fields returns every field, in the order of the canonical form.
	fields() []field
	// check says what is wrong with the fields taken together, given the secret
	// ones that are kept, and whether there are credentials among them.
	check(kept []string) (credentials bool, err error)
	keys() KeyForm
	// common returns what every type has.
	common() *Common
}

// A kind is a type of document. providerType is the type of provider that it is
// for.
type kind struct {
	name, providerType string
	empty              func() Fields
}

var kinds = []kind{
	{TypeOpenAI, "openai", func() Fields { return new(OpenAI) }},
	{TypeAnthropic, "anthropic", func() Fields { return new(Anthropic) }},
	{TypeBedrock, "anthropic", func() Fields { return new(Bedrock) }},
	{TypeAzure, "openai", func() Fields { return new(Azure) }},
	{TypeGemini, "gemini", func() Fields { return new(Gemini) }},
}

// version is that of every type so far.
const version = 1

// secretsMember is the member of the public form that names what is not in it.
const secretsMember = "_secrets"

// Parse reads a document for a provider of the given type. before is the public
// form of the document that it replaces, "" for none: a secret field that is set
// there is kept if it is left out here and both are of the same _type.
func Parse(providerType string, document []byte, before string) (Document, error) {
	var members map[string]json.RawMessage
	if json.Unmarshal(document, &members) != nil || members == nil {
		return Document{}, &FieldError{"", `must be a JSON object with "_type" and "_version"`}
	}
	k, err := kindOf(members, providerType)
	if err != nil {
		return Document{}, err
	}
	doc := Document{Fields: k.empty()}
	fields, set := doc.Fields.fields(), setBefore(k, before)
	if err := k.known(members, fields); err != nil {
		return Document{}, err
	}
	for _, f := range fields {
		raw, sent := members[f.name]
		if sent && !bytes.Equal(raw, []byte("null")) {
			if err := f.read(raw); err != nil {
				return Document{}, err
			}
		}
		switch {
		case !f.isSecret():
		case !f.isZero():
			doc.Given = append(doc.Given, f.name)
		case !sent && slices.Contains(set, f.name):
			doc.Kept = append(doc.Kept, f.name)
		}
	}
	if doc.Credentials, err = doc.Fields.check(doc.Kept); err != nil {
		return Document{}, err
	}
	if err := doc.Fields.common().Reach.check(doc.Kept); err != nil {
		return Document{}, err
	}
	doc.Keys = doc.Fields.keys()
	doc.Full = secret.New(k.encode(fields, nil, true))
	doc.Public = k.encode(fields, slices.Concat(doc.Given, doc.Kept), false)
	return doc, nil
}

// kindOf returns the type that a document says it is of.
func kindOf(members map[string]json.RawMessage, providerType string) (kind, error) {
	var name string
	var v int
	nameErr, versionErr := json.Unmarshal(members["_type"], &name), json.Unmarshal(members["_version"], &v)
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
	switch {
	case nameErr != nil || i < 0:
		return kind{}, &FieldError{"_type", fmt.Sprintf("is unknown; this version knows %s", quoted(Types()))}
	case versionErr != nil || v != version:
		return kind{}, &FieldError{"_version", fmt.Sprintf("is unknown; this version knows %d", version)}
	case kinds[i].providerType != providerType:
		return kind{}, &FieldError{"_type", fmt.Sprintf("%q is for providers of type %s", kinds[i].name, kinds[i].providerType)}
	}
	return kinds[i], nil
}

// setBefore returns the secret fields that are set in a document before, if it
// was of the same type.
func setBefore(k kind, public string) []string {
	var before struct {
		Type    string   `json:"_type"`
		Secrets []string `json:"_secrets"`
	}
	if json.Unmarshal([]byte(public), &before) != nil || before.Type != k.name {
		return nil // no document, or none that anything could be kept of
	}
	return before.Secrets
}

// known refuses members that the type does not have, without naming them.
func (k kind) known(members map[string]json.RawMessage, fields []field) error {
	names := []string{"_type", "_version", secretsMember}
	for _, f := range fields {
		names = append(names, f.name)
	}
	for name := range members {
		if !slices.Contains(names, name) {
			return &FieldError{"", fmt.Sprintf("has a field that is not known; besides _type and _version, %q has %s", k.name, quoted(names[3:]))}
		}
	}
	return nil
}

// encode writes the document: secret fields if full, and else the names of
// those that are set. Fields with the zero value are left out.
func (k kind) encode(fields []field, set []string, full bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, `{"_type":%q,"_version":%d`, k.name, version)
	for _, f := range fields {
		if !f.isZero() && (full || !f.isSecret()) {
			fmt.Fprintf(&b, ",%q:%s", f.name, f.json())
		}
	}
	if len(set) > 0 {
		slices.Sort(set)
		fmt.Fprintf(&b, ",%q:[%s]", secretsMember, strings.ReplaceAll(quoted(set), ", ", ","))
	}
	b.WriteByte('}')
	return b.String()
}

// Types returns the types of documents.
func Types() []string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return names
}

// FieldsOf returns the names of the fields of a type of document besides _type
// and _version, those that are shown and those that are secret.
func FieldsOf(docType string) (shown, secrets []string) {
	for _, k := range kinds {
		if k.name != docType {
			continue
		}
		for _, f := range k.empty().fields() {
			if f.isSecret() {
				secrets = append(secrets, f.name)
			} else {
				shown = append(shown, f.name)
			}
		}
	}
	return shown, secrets
}

func quoted(names []string) string {
	q := make([]string, len(names))
	for i, n := range names {
		q[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(q, ", ")
}
