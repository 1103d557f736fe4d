package azure_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/upstream"
	"github.com/gatehousehq/gatehouse/internal/upstream/azure"
)

func outgoing(method, base, path, query, body string, access *azure.Access) (upstream.Outgoing, error) {
	d := azure.Dialect()
	u, err := url.Parse(base)
	if err != nil {
		return upstream.Outgoing{}, err
	}
	o := upstream.Outgoing{
		Method: method, Base: u, Path: path, Query: query, Body: []byte(body), Endpoint: d.Endpoint(method, path),
		Header: http.Header{}, Key: secret.New("azure-key-0123456789"), Access: access,
	}
	return o, d.Prepare(context.Background(), &o)
}

func TestPaths(t *testing.T) {
	t.Parallel()
	const v1, classic = "https://n.openai.azure.com/openai/v1", "https://n.openai.azure.com/openai"
	dated := &azure.Access{APIVersion: "2024-10-21"}
	for _, tc := range []struct {
		name, method, base, path, query, body string
		access                                *azure.Access
		want                                  string
	}{
		{"the v1 API has OpenAI's paths", "POST", v1, "chat/completions", "", `{"model":"gpt"}`, &azure.Access{}, v1 + "/chat/completions"},
		{"and needs no settings", "POST", v1, "responses", "a=1", `{"model":"gpt"}`, nil, v1 + "/responses?a=1"},
		{"the deployment is in the path", "POST", classic, "chat/completions", "", `{"model":"gpt-4o"}`, dated, classic + "/deployments/gpt-4o/chat/completions?api-version=2024-10-21"},
		{"a query stays", "POST", classic, "embeddings", "a=1", `{"model":"e"}`, dated, classic + "/deployments/e/embeddings?a=1&api-version=2024-10-21"},
		{"a deployment is one segment", "POST", classic, "completions", "", `{"model":"../x?y#z"}`, dated, classic + "/deployments/..%2Fx%3Fy%23z/completions?api-version=2024-10-21"},
		{"responses name it in the body", "POST", classic, "responses", "", `{"model":"gpt"}`, dated, classic + "/responses?api-version=2024-10-21"},
		{"a list has none", "GET", classic, "models", "", "", dated, classic + "/models?api-version=2024-10-21"},
	} {
		o, err := outgoing(tc.method, tc.base, tc.path, tc.query, tc.body, tc.access)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if got := o.URL.String(); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
		if string(o.Body) != tc.body {
			t.Errorf("%s: the body became %s", tc.name, o.Body)
		}
		if o.Header.Get("Api-Key") != "azure-key-0123456789" || o.Header.Get("Authorization") != "" {
			t.Errorf("%s: the headers are %v", tc.name, o.Header)
		}
	}
}

func TestWhatCannotBeAsked(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ query, body string }{
		"another version":          {"api-version=2020-01-01", `{"model":"gpt"}`},
		"another version, escaped": {"api%2Dversion=2020-01-01", `{"model":"gpt"}`},
		"a query that is none":     {"a=%zz", `{"model":"gpt"}`},
		"two models":               {"", `{"model":"a","model":"b"}`},
		"no model":                 {"", `{}`},
		"a model that is a path":   {"", `{"model":".."}`},
		"a model that is a dot":    {"", `{"model":"\u002e"}`},
	} {
		_, err := outgoing("POST", "https://h/openai", "chat/completions", tc.query, tc.body, &azure.Access{APIVersion: "2024-10-21"})
		if bad, ok := errors.AsType[*upstream.RequestError](err); !ok || bad.Status != 400 {
			t.Errorf("%s: %v", name, err)
		}
	}
}
