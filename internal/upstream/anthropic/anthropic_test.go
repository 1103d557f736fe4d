package anthropic_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/upstream"
	"github.com/gatehousehq/gatehouse/internal/upstream/anthropic"
)

func TestEndpoints(t *testing.T) {
	t.Parallel()
	d := anthropic.Dialect()
	for _, tc := range []struct{ method, path, want string }{
		{"POST", "messages", "messages"},
		{"POST", "messages/count_tokens", "messages/count_tokens"},
		{"GET", "models", "models"},
		{"GET", "models/claude-x", "models/{id}"},
		{"GET", "messages", ""},
		{"POST", "messages/batches", ""},
		{"GET", "messages/batches", ""},
		{"POST", "complete", ""},
	} {
		e := d.Endpoint(tc.method, tc.path)
		if (e == nil) != (tc.want == "") || e != nil && e.Name != tc.want {
			t.Errorf("%s %s: got %+v, want %q", tc.method, tc.path, e, tc.want)
		}
		if e != nil && (e.PathModel() != (tc.want == "models/{id}") || e.BodyModel != (tc.method == "POST")) {
			t.Errorf("%s %s: wrong place of the model: %+v", tc.method, tc.path, e)
		}
	}
}

func TestURLAndCredential(t *testing.T) {
	t.Parallel()
	d := anthropic.Dialect()
	base, err := url.Parse("https://api.example/proxy")
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.URL(base, "messages", "beta=true")
	if err != nil || got.String() != "https://api.example/proxy/v1/messages?beta=true" {
		t.Errorf("URL = %v, %v", got, err)
	}
	h := http.Header{}
	d.SetCredential(h, secret.New("k1"))
	if h.Get("X-Api-Key") != "k1" {
		t.Error("the credential is not in x-api-key")
	}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	d := anthropic.Dialect()
	body := func(typ, msg string) string {
		return `{"type":"error","error":{"type":"` + typ + `","message":"` + msg + `"},"request_id":"req_1"}`
	}
	for _, tc := range []struct {
		name   string
		status int
		body   string
		want   upstream.Verdict
	}{
		{"a rate limit", 429, body("rate_limit_error", "x"), upstream.RateLimited},
		{"a wrong key", 401, body("authentication_error", "invalid x-api-key"), upstream.Refused},
		{"billing", 402, body("billing_error", "x"), upstream.Refused},
		{"no credit", 400, body("invalid_request_error", "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing."), upstream.QuotaExhausted},
		{"no credit as 403", 403, body("billing_error", "pay"), upstream.QuotaExhausted},
		{"a disabled organization", 400, body("invalid_request_error", "This organization has been disabled."), upstream.Refused},
		{"OAuth not allowed", 403, body("permission_error", "OAuth authentication is currently not allowed for this organization."), upstream.Refused},
		{"a resource that the key may not use", 403, body("permission_error", "Your API key does not have permission to use the specified resource."), upstream.NotPermitted},
		{"a region", 403, body("forbidden", "Request not allowed"), upstream.ClientError},
		{"words of the client in the message", 400, body("invalid_request_error", "model: Your credit balance is too low"), upstream.ClientError},
		{"a workspace's limit on spending", 400, body("invalid_request_error", "You have reached your specified workspace API usage limits. You will regain access on 2026-10-01 at 00:00 UTC."), upstream.QuotaExhausted},
		{"an organization's limit on spending", 400, body("invalid_request_error", "You have reached your specified API usage limits. You will regain access on 2026-10-01 at 00:00 UTC."), upstream.QuotaExhausted},
		{"the limit on spending of its tier", 429, body("rate_limit_error", "You have reached your API usage limits: your organization has crossed its monthly API usage threshold."), upstream.QuotaExhausted},
		{"a rate limit", 429, body("rate_limit_error", "This request would exceed the rate limit for your organization of 50 requests per minute."), upstream.RateLimited},
		{"a bad request", 400, body("invalid_request_error", "max_tokens: required"), upstream.ClientError},
		{"not found", 404, body("not_found_error", "model: x"), upstream.ClientError},
		{"too large", 413, body("request_too_large", "x"), upstream.ClientError},
		{"server error", 500, body("api_error", "x"), upstream.Unavailable},
		{"overloaded", 529, body("overloaded_error", "x"), upstream.Unavailable},
		{"an unreadable 403", 403, "\x1f\x8b", upstream.ClientError},
	} {
		if got := d.Classify(tc.status, []byte(tc.body)); got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestErrorBody(t *testing.T) {
	t.Parallel()
	d := anthropic.Dialect()
	for status, typ := range map[int]string{
		400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error", 404: "not_found_error",
		413: "request_too_large", 429: "rate_limit_error", 500: "api_error", 502: "api_error", 503: "api_error", 504: "timeout_error",
		529: "overloaded_error", 405: "invalid_request_error",
	} {
		want := `{"type":"error","error":{"type":"` + typ + `","message":"a \"b\""},"request_id":"r1"}`
		if got := string(d.AppendError(nil, upstream.Error{Status: status, Code: "ignored", Message: `a "b"`, RequestID: "r1"})); got != want {
			t.Errorf("%d: got %s, want %s", status, got, want)
		}
	}
}

func TestClaims(t *testing.T) {
	t.Parallel()
	d := anthropic.Dialect()
	for path, want := range map[string]bool{"messages": true, "messages/count_tokens": true, "messagesx": false, "models": false, "": false} {
		if got := d.Claims(path, http.Header{}); got != want {
			t.Errorf("Claims(%q) = %v, want %v", path, got, want)
		}
	}
	if !d.Claims("models", http.Header{"Anthropic-Version": {"2023-06-01"}}) {
		t.Error("a client that names an anthropic-version is not claimed")
	}
}
