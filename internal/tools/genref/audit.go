package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/settings"
	"github.com/gatehousehq/gatehouse/internal/store"
)

func auditPage(string) ([]byte, error) {
	p := newPage("Audit log",
		"Each change leaves an entry, written in the transaction that makes the change: no entry, no change. `GET /api/v1/audit` lists the entries, newest first.",
		"What is no change is counted, and written once a minute with its count: refusals (`denied`), tokens that were not accepted (`login_failed`), and the opening of sealed secrets (`open`). Other reads leave no entry.")
	p.heading(2, "An entry")
	var rows [][]string
	for _, f := range reflect.VisibleFields(reflect.TypeFor[client.AuditEntry]()) {
		name := jsonName(f)
		if f.Type == reflect.TypeFor[client.AuditActor]() {
			for _, g := range reflect.VisibleFields(f.Type) {
				rows = append(rows, []string{code(name + "." + jsonName(g)), g.Tag.Get("doc")})
			}
			continue
		}
		rows = append(rows, []string{code(name), f.Tag.Get("doc")})
	}
	p.table([]string{"Field", "What it says"}, rows)

	p.heading(2, "What a diff shows")
	p.text("A field that is **shown** stands in the diff with its old and its new value. Of a **secret** the diff says that it changed, `{\"secret\":true}`, and nothing else. Fields of a settings document stand in the diff one by one; a secret one does if it was given anew or cleared, and not if it was kept. Of the document as a whole the diff says `{\"cleared\":true}` when an edit cleared it, and `{\"unreadable\":true}` when what was shown of it before was no document: somebody wrote to the database. The other fields stand in no diff: they are ids, times and counters that say nothing more than the entry does.")
	for _, rec := range store.Records() {
		ref := rec.(interface{ Ref() store.Ref }).Ref()
		p.heading(3, code(string(ref.Resource)))
		typ := reflect.TypeOf(rec)
		classes := map[string][]string{}
		for i := range typ.NumField() {
			name, class, ok := strings.Cut(typ.Field(i).Tag.Get("audit"), ",")
			if !ok {
				return nil, fmt.Errorf("field %s of %s has no class", typ.Field(i).Name, typ)
			}
			switch class {
			case "document":
				shown, secrets := documentFields(name)
				classes["track"] = append(classes["track"], shown...)
				classes["secret"] = append(classes["secret"], secrets...)
			case "public", "kept": // they are how a document is shown
			default:
				classes[class] = append(classes[class], name)
			}
		}
		rows := [][]string{{"shown", code(classes["track"]...)}}
		if secrets := classes["secret"]; secrets != nil {
			rows = append(rows, []string{"secret", code(secrets...)})
		}
		rows = append(rows, []string{"in no diff", code(classes["ignore"]...)})
		p.table([]string{"", "Fields"}, rows)
	}
	return p.bytes(), nil
}

// documentFields returns the fields that settings documents have, of any type,
// by their names in a diff.
func documentFields(name string) (shown, secrets []string) {
	shown = []string{name + "._type", name + "._version"}
	for _, docType := range settings.Types() {
		s, hidden := settings.FieldsOf(docType)
		for _, f := range s {
			if f = name + "." + f; !slices.Contains(shown, f) { // most types have some in common
				shown = append(shown, f)
			}
		}
		for _, f := range hidden {
			secrets = append(secrets, name+"."+f)
		}
	}
	return shown, secrets
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}
