package openai_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/upstream"
	"github.com/gatehousehq/gatehouse/internal/upstream/openai"
)

func TestEndpoints(t *testing.T) {
	t.Parallel()
	d := openai.Dialect()
	for _, tc := range []struct {
		method, path, want string
		bodyModel          bool
	}{
		{"POST", "chat/completions", "chat/completions", true},
		{"POST", "completions", "completions", true},
		{"POST", "responses", "responses", true},
		{"POST", "responses/input_tokens", "responses/input_tokens", true},
		{"POST", "embeddings", "embeddings", true},
		{"GET", "models", "models", false},
		{"GET", "models/gpt-5", "models/{id}", false},
		{"GET", "models/ft:gpt-5:org::x", "models/{id}", false},
		{"GET", "models/a/b", "", false},
		{"GET", "models/", "", false},
		{"DELETE", "models/gpt-5", "", false},
		{"GET", "chat/completions", "", false},
		{"GET", "responses/resp_1", "", false},
		{"DELETE", "responses/resp_1", "", false},
		{"POST", "responses/resp_1/cancel", "", false},
		{"POST", "Chat/Completions", "", false},
		{"POST", "files", "", false},
	} {
		e := d.Endpoint(tc.method, tc.path)
		switch {
		case e == nil && tc.want != "":
			t.Errorf("%s %s is not inference", tc.method, tc.path)
		case e != nil && (e.Name != tc.want || e.BodyModel != tc.bodyModel):
			t.Errorf("%s %s is %q (model in body: %v), want %q", tc.method, tc.path, e.Name, e.BodyModel, tc.want)
		}
	}
}

func TestURLAndCredential(t *testing.T) {
	t.Parallel()
	d := openai.Dialect()
	for base, want := range map[string]string{
		"https://api.example/v1":         "https://api.example/v1/models/a%20b?x=1&y=%2F",
		"http://127.0.0.1:8080/a%2Fb/v1": "http://127.0.0.1:8080/a%2Fb/v1/models/a%20b?x=1&y=%2F",
		"http://127.0.0.1:8080":          "http://127.0.0.1:8080/models/a%20b?x=1&y=%2F",
	} {
		u, err := url.Parse(base)
		if err != nil {
			t.Fatal(err)
		}
		got, err := d.URL(u, "models/a%20b", "x=1&y=%2F")
		if err != nil || got.String() != want {
			t.Errorf("URL = %v, %v, want %s", got, err, want)
		}
	}
	if _, err := d.URL(&url.URL{}, "a%zz", ""); err == nil {
		t.Error("a malformed path has a URL")
	}
	h := http.Header{}
	d.SetCredential(h, secret.New("k1"))
	if h.Get("Authorization") != "Bearer k1" {
		t.Error("the credential is not a bearer token")
	}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	d := openai.Dialect()
	for _, tc := range []struct {
		name   string
		status int
		body   string
		want   upstream.Verdict
	}{
		{"a rate limit", 429, `{"error":{"message":"Rate limit reached","type":"requests","param":null,"code":"rate_limit_exceeded"}}`, upstream.RateLimited},
		{"a 429 without a body", 429, ``, upstream.RateLimited},
		{"no quota", 429, `{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}`, upstream.QuotaExhausted},
		{"no quota, by type", 429, `{"error":{"type":"insufficient_quota","code":null}}`, upstream.QuotaExhausted},
		{"a hard limit", 400, `{"error":{"code":"billing_hard_limit_reached","type":"invalid_request_error"}}`, upstream.QuotaExhausted},
		{"a wrong key", 401, `{"error":{"message":"Incorrect API key provided: sk-12***34.","code":"invalid_api_key"}}`, upstream.Refused},
		{"a 401 of any kind", 401, `nope`, upstream.Refused},
		{"a missing scope", 401, `{"error":{"message":"You have insufficient permissions for this operation. Missing scopes: model.read.","code":null}}`, upstream.NotPermitted},
		{"payment", 402, `{}`, upstream.Refused},
		{"a model that the project may not use", 403, "{\"error\":{\"message\":\"Project `p` does not have access to model `m`\",\"code\":\"model_not_found\"}}", upstream.NotPermitted},
		{"a closed account", 403, `{"error":{"message":"Gone","code":"account_deactivated"}}`, upstream.Refused},
		{"a wrong key as 403", 403, `{"error":{"message":"Invalid API key","code":403}}`, upstream.Refused},
		{"a country", 403, `{"error":{"code":"unsupported_country_region_territory","type":"request_forbidden"}}`, upstream.ClientError},
		{"a page of a firewall", 403, `<html>API key blocked</html>`, upstream.ClientError},
		{"a bad request", 400, `{"error":{"message":"bad","type":"invalid_request_error"}}`, upstream.ClientError},
		{"words of the client in the message", 400, `{"error":{"message":"unknown model: Your account insufficient_quota","code":null}}`, upstream.ClientError},
		{"not found", 404, `{}`, upstream.ClientError},
		{"too large", 413, ``, upstream.ClientError},
		{"request timeout", 408, ``, upstream.Unavailable},
		{"server error", 500, `{"error":{"code":"insufficient_quota"}}`, upstream.Unavailable},
		{"overloaded", 529, ``, upstream.Unavailable},
		{"an error that is a string", 429, `{"error":"slow down"}`, upstream.RateLimited},
	} {
		if got := d.Classify(tc.status, []byte(tc.body)); got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestErrorBody(t *testing.T) {
	t.Parallel()
	d := openai.Dialect()
	for status, want := range map[int]string{400: "invalid_request_error", 401: "invalid_request_error", 403: "request_forbidden", 404: "invalid_request_error", 429: "requests", 500: "server_error", 503: "server_error"} {
		got := d.AppendError([]byte("x"), upstream.Error{Status: status, Code: "c", Message: "say \"hi\"\n", RequestID: "r"})
		var doc struct {
			Error map[string]any `json:"error"`
		}
		if err := json.Unmarshal(got[1:], &doc); err != nil {
			t.Fatal(err)
		}
		if len(doc.Error) != 4 || doc.Error["type"] != want || doc.Error["message"] != "say \"hi\"\n" || doc.Error["param"] != nil || doc.Error["code"] != "c" {
			t.Errorf("%d: %s", status, got)
		}
	}
	if got := string(d.AppendError(nil, upstream.Error{Status: 404, Message: "m"})); got != `{"error":{"message":"m","type":"invalid_request_error","param":null,"code":null}}` {
		t.Errorf("without a code: %s", got)
	}
}

func TestClaimsNothing(t *testing.T) {
	t.Parallel()
	if openai.Dialect().Claims("chat/completions", http.Header{"Openai-Beta": {"x"}}) {
		t.Error("openai is the dialect of last resort and claims nothing")
	}
}
