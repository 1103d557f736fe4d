package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gatehousehq/gatehouse/internal/httpapi"
)

func openAPI(string) ([]byte, error) { return httpapi.Spec("dev") }

// permissionsFile is what the tests of the API found each route to take.
const permissionsFile = "internal/httpapi/testdata/permissions.golden"

// ownRoutes are about the caller alone, so that what they take cannot be found by
// adding one permission after the other.
var ownRoutes = map[string][]string{
	"/api/v1/me/password POST": {"password:create", "password:update"},
	"/api/v1/session DELETE":   nil,
}

// apiPage lists the routes in the order of the document's tags.
func apiPage(root string) ([]byte, error) {
	spec, err := httpapi.Spec("dev")
	if err != nil {
		return nil, err
	}
	var doc struct {
		Paths map[string]map[string]struct {
			Summary, Description string
			Tags                 []string
			Security             []any
		}
	}
	if err := json.Unmarshal(spec, &doc); err != nil {
		return nil, err
	}
	permissions, err := readPermissions(filepath.Join(root, filepath.FromSlash(permissionsFile)))
	if err != nil {
		return nil, err
	}
	byTag := map[string][][]string{}
	for path, operations := range doc.Paths {
		for method, op := range operations {
			route := path + " " + strings.ToUpper(method)
			needs := "no token"
			if len(op.Security) > 0 {
				names, ok := permissions[route]
				if own, byHand := ownRoutes[route]; byHand {
					names, ok = own, true
				}
				if !ok {
					return nil, fmt.Errorf("%s says nothing of %s", permissionsFile, route)
				}
				if needs = code(names...); needs == "" {
					needs = "any token"
				}
			}
			byTag[op.Tags[0]] = append(byTag[op.Tags[0]], []string{strings.ToUpper(method), path, op.Summary, needs})
		}
	}
	p := newPage("API routes",
		"The document for programs is [openapi.json](openapi.json), which a server also gives at `/api/v1/openapi.json`. What follows is a summary of it, with the permissions that each route takes. A role grants permissions ([roles](roles.md)), and a token's scopes must cover them ([scopes](scopes.md)).",
		"A change of a provider takes the permissions on its keys that the change is about: one that leaves `api_keys` out takes none of them but `ai_provider_key:read`.")
	for _, tag := range []string{"Providers", "Provider keys", "Routes", "Tokens", "Sessions", "Users", "Roles", "Audit", "Usage", "Encryption", "Server"} {
		rows := byTag[tag]
		delete(byTag, tag)
		slices.SortFunc(rows, func(a, b []string) int {
			order := []string{"GET", "POST", "PATCH", "DELETE"}
			if a[1] != b[1] {
				return strings.Compare(a[1], b[1])
			}
			return slices.Index(order, a[0]) - slices.Index(order, b[0])
		})
		for _, r := range rows {
			r[0], r[1] = code(r[0]), code(r[1])
		}
		p.heading(2, tag)
		p.table([]string{"Method", "Path", "What it does", "Takes"}, rows)
	}
	for tag := range byTag {
		return nil, fmt.Errorf("the tag %s has no place on the page", tag)
	}
	return p.bytes(), nil
}

// readPermissions returns the permissions by "PATH METHOD".
func readPermissions(file string) (map[string][]string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	out := map[string][]string{}
	for line := range strings.Lines(string(b)) {
		route, names, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if !ok {
			return nil, fmt.Errorf("%s has the line %q", file, line)
		}
		out[route] = nil
		if names != "" {
			out[route] = strings.Split(names, ", ")
		}
	}
	return out, nil
}
