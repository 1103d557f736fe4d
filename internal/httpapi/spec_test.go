package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/httpapi"
)

func spec(t *testing.T) map[string]any {
	t.Helper()
	b, err := httpapi.Spec("dev")
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// visit calls see for every object in v, with where it is.
func visit(v any, at string, see func(at string, object map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		see(at, v)
		for k, e := range v {
			visit(e, at+"/"+strings.ReplaceAll(k, "/", "~1"), see)
		}
	case []any:
		for i, e := range v {
			visit(e, fmt.Sprintf("%s/%d", at, i), see)
		}
	}
}

// operations calls fn for each operation of a document.
func operations(doc map[string]any, fn func(method, path string, op map[string]any)) {
	for path, item := range doc["paths"].(map[string]any) {
		for method, op := range item.(map[string]any) {
			fn(strings.ToUpper(method), path, op.(map[string]any))
		}
	}
}

func TestSpecIsSound(t *testing.T) {
	t.Parallel()
	doc := spec(t)
	if v := doc["openapi"].(string); !strings.HasPrefix(v, "3.1.") {
		t.Errorf("it is OpenAPI %s", v)
	}
	info := doc["info"].(map[string]any)
	if info["title"] != "Gatehouse" || info["version"] != "dev" {
		t.Errorf("info is %v", info)
	}
	lookup := func(ref string) bool {
		var at any = doc
		for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
			object, ok := at.(map[string]any)
			if !ok {
				return false
			}
			if at, ok = object[strings.ReplaceAll(part, "~1", "/")]; !ok {
				return false
			}
		}
		return true
	}
	refs := map[string]bool{}
	visit(doc, "#", func(at string, object map[string]any) {
		if ref, ok := object["$ref"].(string); ok {
			refs[ref] = true
			if !strings.HasPrefix(ref, "#/") || !lookup(ref) {
				t.Errorf("%s refers to %s, which is not there", at, ref)
			}
		}
		if required, ok := object["required"].([]any); ok {
			properties, _ := object["properties"].(map[string]any)
			for _, name := range required {
				if _, ok := properties[name.(string)]; !ok {
					t.Errorf("%s requires %v, which it has not", at, name)
				}
			}
		}
		if pattern, ok := object["pattern"].(string); ok {
			if _, err := regexp.Compile(pattern); err != nil {
				t.Errorf("%s: %v", at, err)
			}
		}
		if _, ok := object["nullable"]; ok && !strings.HasSuffix(at, "/properties") {
			t.Errorf("%s says nullable, as OpenAPI 3.0 did", at)
		}
	})
	for name := range doc["components"].(map[string]any)["schemas"].(map[string]any) {
		if !refs["#/components/schemas/"+name] {
			t.Errorf("schema %s is referred to by nothing", name)
		}
	}
}

func TestOperationsAreDescribed(t *testing.T) {
	t.Parallel()
	doc := spec(t)
	schemes := doc["components"].(map[string]any)["securitySchemes"].(map[string]any)
	ids := map[string]bool{}
	var open []string
	placeholder := regexp.MustCompile(`\{([a-z]+)\}`)
	operations(doc, func(method, path string, op map[string]any) {
		name := method + " " + path
		id, _ := op["operationId"].(string)
		if id == "" || ids[id] {
			t.Errorf("%s: operationId %q is empty or another's", name, id)
		}
		ids[id] = true
		if op["summary"] == nil || op["tags"] == nil {
			t.Errorf("%s has no summary or no tag", name)
		}
		security, _ := op["security"].([]any)
		for _, requirement := range security {
			for scheme := range requirement.(map[string]any) {
				if schemes[scheme] == nil {
					t.Errorf("%s: security scheme %s is not there", name, scheme)
				}
			}
		}
		if len(security) == 0 {
			open = append(open, name)
		}
		var declared, inPath []string
		parameters, _ := op["parameters"].([]any)
		for _, p := range parameters {
			p := p.(map[string]any)
			if p["in"] == "path" {
				declared = append(declared, p["name"].(string))
				if p["required"] != true {
					t.Errorf("%s: path parameter %v is not required", name, p["name"])
				}
			}
			if p["description"] == nil {
				t.Errorf("%s: parameter %v has no description", name, p["name"])
			}
		}
		for _, m := range placeholder.FindAllStringSubmatch(path, -1) {
			inPath = append(inPath, m[1])
		}
		slices.Sort(declared)
		slices.Sort(inPath)
		if !slices.Equal(declared, inPath) {
			t.Errorf("%s declares the parameters %v", name, declared)
		}
		responses := op["responses"].(map[string]any)
		for status, r := range responses {
			content, _ := r.(map[string]any)["content"].(map[string]any)
			want := "application/json"
			if strings.HasSuffix(name, "/export") {
				want = "application/jsonl"
			}
			if strings.HasSuffix(name, "/metrics") {
				want = "text/plain"
			}
			if strings.HasSuffix(name, "/events") {
				want = "text/event-stream"
			}
			switch {
			case status >= "400":
				want = "application/problem+json"
			case status == "204", status == "303":
				want = ""
			}
			if _, ok := content[want]; !ok && want != "" || want == "" && content != nil {
				t.Errorf("%s: a %s is %v", name, status, content)
			}
		}
		if len(security) > 0 && (responses["401"] == nil || responses["403"] == nil) {
			t.Errorf("%s does not say that it may be refused", name)
		}
	})
	slices.Sort(open)
	if diff := cmp.Diff([]string{
		"GET /api/v1/openapi.json", "GET /api/v1/session/methods", "GET /api/v1/session/oidc/{name}", "GET /api/v1/session/oidc/{name}/callback", "GET /api/v1/session/oidc/{name}/end",
		"GET /healthz", "GET /readyz", "POST /api/v1/session",
	}, open); diff != "" {
		t.Errorf("operations without a token (-want +got):\n%s", diff)
	}
}

func TestFieldsAreDescribed(t *testing.T) {
	t.Parallel()
	visit(spec(t), "#", func(at string, object map[string]any) {
		properties, ok := object["properties"].(map[string]any)
		if !ok {
			return
		}
		if strings.HasSuffix(at, "/FieldError") { // two words that say it all
			return
		}
		for name, p := range properties {
			p := p.(map[string]any)
			if p["$ref"] == nil && p["description"] == nil {
				t.Errorf("%s/%s has no description", at, name)
			}
		}
	})
}

// The document lists exactly what is served.
func TestSpecHasEveryRoute(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		var have, want []string
		operations(spec(t), func(method, path string, _ map[string]any) { have = append(have, path+" "+method) })
		for _, r := range routesOf(t, s, 1) {
			want = append(want, r.pattern+" "+r.method)
		}
		want = append(want, "/api/v1/session POST", "/api/v1/session DELETE", "/api/v1/me/password POST") // of tests of their own
		want = append(want, "/api/v1/session/methods GET", "/api/v1/session/oidc/{name} GET", "/api/v1/session/oidc/{name}/callback GET", "/api/v1/session/oidc/{name}/end GET")
		want = append(want, "/healthz GET", "/readyz GET", "/api/v1/openapi.json GET")
		slices.Sort(have)
		slices.Sort(want)
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("operations (-tested +described):\n%s", diff)
		}
		served := decode[map[string]any](t, s.want(t, http.StatusOK, "GET", "/api/v1/openapi.json", ""))
		operations(served, func(method, path string, _ map[string]any) {
			have = slices.DeleteFunc(have, func(h string) bool { return h == path+" "+method })
		})
		if len(have) > 0 {
			t.Errorf("the served document has not %v", have)
		}
	})
}
