package gemini_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/upstream"
	"github.com/gatehousehq/gatehouse/internal/upstream/gemini"
)

func TestEndpoints(t *testing.T) {
	t.Parallel()
	d := gemini.Dialect()
	for _, tc := range []struct{ method, path, want, model string }{
		{"POST", "models/gemini-x:generateContent", "generateContent", "gemini-x"},
		{"POST", "models/gemini-x:streamGenerateContent", "streamGenerateContent", "gemini-x"},
		{"POST", "models/gemini-x:countTokens", "countTokens", "gemini-x"},
		{"POST", "models/gemini-x:embedContent", "embedContent", "gemini-x"},
		{"POST", "models/gemini-x:batchEmbedContents", "batchEmbedContents", "gemini-x"},
		{"GET", "models", "models", ""},
		{"GET", "models/gemini-x", "models/{id}", "gemini-x"},
		{"GET", "models/gemini-x:generateContent", "models/{id}", "gemini-x:generateContent"},
		{"POST", "models/gemini-x:predictLongRunning", "", ""},
		{"POST", "models/:generateContent", "", ""},
		{"POST", "models/gemini-x", "", ""},
		{"POST", "models/gemini-x/y:generateContent", "", ""},
		{"POST", "models/gemini-x:predict:generateContent", "", ""},
		{"POST", "models/gemini-x%3Apredict:generateContent", "", ""},
		{"POST", "tunedModels/x:generateContent", "", ""},
		{"POST", "cachedContents", "", ""},
		{"POST", "interactions", "", ""},
	} {
		e := d.Endpoint(tc.method, tc.path)
		if (e == nil) != (tc.want == "") || e != nil && e.Name != tc.want {
			t.Errorf("%s %s: got %+v, want %q", tc.method, tc.path, e, tc.want)
			continue
		}
		if e != nil && (e.BodyModel || e.PathModel() != (tc.model != "") || e.PathModel() && e.ModelIn(tc.path) != tc.model) {
			t.Errorf("%s %s: the model is %q, want %q", tc.method, tc.path, e.ModelIn(tc.path), tc.model)
		}
	}
}

func TestURLAndCredential(t *testing.T) {
	t.Parallel()
	d := gemini.Dialect()
	base, err := url.Parse("https://api.example/proxy")
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.URL(base, "v1beta/models/m:streamGenerateContent", "alt=sse")
	if err != nil || got.String() != "https://api.example/proxy/v1beta/models/m:streamGenerateContent?alt=sse" {
		t.Errorf("URL = %v, %v", got, err)
	}
	probe, err := d.Probe(context.Background(), base, nil, secret.New("k1"), time.Now())
	if err != nil || probe.URL.String() != "https://api.example/proxy/v1beta/models?pageSize=1" || probe.Header.Get("X-Goog-Api-Key") != "k1" || probe.Method != "GET" {
		t.Errorf("the probe is %+v, %v", probe, err)
	}
}

// failure is an error as Google writes them.
func failure(code int, status, message string, details ...string) string {
	return fmt.Sprintf(`{"error":{"code":%d,"message":%q,"status":%q,"details":[%s]}}`, code, message, status, strings.Join(details, ","))
}

func info(reason string) string {
	return fmt.Sprintf(`{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":%q,"domain":"googleapis.com","metadata":{"service":"generativelanguage.googleapis.com"}}`, reason)
}

func quota(ids ...string) string {
	var violations []string
	for _, id := range ids {
		id, value, _ := strings.Cut(id, "=")
		if value != "" {
			value = fmt.Sprintf(`,"quotaValue":%q`, value)
		}
		violations = append(violations, fmt.Sprintf(`{"quotaMetric":"generativelanguage.googleapis.com/generate_content_free_tier_requests","quotaId":%q%s}`, id, value))
	}
	return `{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[` + strings.Join(violations, ",") + `]}`
}

const exceeded = "You exceeded your current quota, please check your plan and billing details."

func TestClassify(t *testing.T) {
	t.Parallel()
	d := gemini.Dialect()
	perMinute, perDay := "GenerateRequestsPerMinutePerProjectPerModel", "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
	for _, tc := range []struct {
		name   string
		status int
		body   string
		want   upstream.Verdict
	}{
		{"a wrong key", 400, failure(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", info("API_KEY_INVALID")), upstream.Refused},
		{"a key that is gone", 400, failure(400, "INVALID_ARGUMENT", "API Key not found. Please pass a valid API key.", info("API_KEY_INVALID")), upstream.Refused},
		{"an expired key, said in words", 400, failure(400, "INVALID_ARGUMENT", "API key expired. Please renew the API key."), upstream.Refused},
		{"a wrong key, in a list", 400, "[" + failure(400, "INVALID_ARGUMENT", "API key not valid.", info("API_KEY_INVALID")) + "\n]", upstream.Refused},
		{"another's reason", 400, strings.Replace(failure(400, "INVALID_ARGUMENT", "x", info("API_KEY_INVALID")), `"googleapis.com"`, `"example.com"`, 1), upstream.ClientError},
		{"words of the client in the message", 400, failure(400, "INVALID_ARGUMENT", "Invalid value: API key not valid"), upstream.ClientError},
		{"a bad request", 400, failure(400, "INVALID_ARGUMENT", "contents is not specified"), upstream.ClientError},
		{"a place that is not served", 400, failure(400, "FAILED_PRECONDITION", "User location is not supported for the API use."), upstream.ClientError},
		{"a place where one has to pay", 400, failure(400, "FAILED_PRECONDITION", "Gemini API free tier is not available in your country. Please enable billing."), upstream.NotPermitted},
		{"no identity", 401, failure(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.", info("ACCESS_TOKEN_TYPE_UNSUPPORTED")), upstream.Refused},
		{"no key", 403, failure(403, "PERMISSION_DENIED", "Method doesn't allow unregistered callers (callers without established identity)."), upstream.Refused},
		{"a leaked key", 403, failure(403, "PERMISSION_DENIED", "Your API key was reported as leaked. Please use another API key."), upstream.Refused},
		{"a suspended key", 403, failure(403, "PERMISSION_DENIED", "Permission denied: Consumer 'api_key:X' has been suspended.", info("CONSUMER_SUSPENDED")), upstream.Refused},
		{"a key for other services", 403, failure(403, "PERMISSION_DENIED", "Requests to this API are blocked.", info("API_KEY_SERVICE_BLOCKED")), upstream.Refused},
		{"a project without the service", 403, failure(403, "PERMISSION_DENIED", "Generative Language API has not been used in project 1 before or it is disabled.", info("SERVICE_DISABLED")), upstream.Refused},
		{"a project that does not pay", 403, failure(403, "PERMISSION_DENIED", "This API method requires billing to be enabled.", info("BILLING_DISABLED")), upstream.QuotaExhausted},
		{"another's file", 403, failure(403, "PERMISSION_DENIED", "You do not have permission to access the File x or it may not exist."), upstream.NotPermitted},
		{"a 403 of something in between", 403, "<html>Forbidden</html>", upstream.ClientError},
		{"a rate limit", 429, failure(429, "RESOURCE_EXHAUSTED", exceeded, quota(perMinute+"=15")), upstream.RateLimited},
		{"a rate limit without details", 429, failure(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."), upstream.RateLimited},
		{"an unreadable 429", 429, "\x1f\x8b", upstream.RateLimited},
		{"a quota for a day", 429, failure(429, "RESOURCE_EXHAUSTED", exceeded, quota(perMinute+"=15", perDay+"=100")), upstream.QuotaExhausted},
		{"a model that the plan is without", 429, failure(429, "RESOURCE_EXHAUSTED", exceeded, quota(perMinute, perDay)), upstream.NotPermitted},
		{"no credit", 429, failure(429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted. Please go to AI Studio."), upstream.QuotaExhausted},
		{"not found", 404, failure(404, "NOT_FOUND", "models/x is not found for API version v1beta"), upstream.ClientError},
		{"overloaded", 503, failure(503, "UNAVAILABLE", "The model is overloaded. Please try again later."), upstream.Unavailable},
		{"internal", 500, failure(500, "INTERNAL", "An internal error has occurred."), upstream.Unavailable},
		{"too slow", 504, failure(504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."), upstream.Unavailable},
	} {
		if got := d.Classify(tc.status, []byte(tc.body)); got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestWaitIsReadFromTheBody(t *testing.T) {
	t.Parallel()
	d := gemini.Dialect()
	retry := func(delay string) string {
		return failure(429, "RESOURCE_EXHAUSTED", exceeded, quota("PerMinute=1"), `{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":`+delay+`}`)
	}
	for _, tc := range []struct {
		body   string
		header http.Header
		want   time.Duration
	}{
		{retry(`"20.044661s"`), nil, 20044661 * time.Microsecond},
		{retry(`"37s"`), nil, 37 * time.Second},
		{"[" + retry(`"37s"`) + "]", nil, 37 * time.Second},
		{retry(`"37s"`), http.Header{"Retry-After": {"5"}}, 5 * time.Second},
		{retry(`"0s"`), nil, 0},
		{retry(`"-3s"`), nil, 0},
		{retry(`"37"`), nil, 0},
		{retry(`37`), nil, 0},
		{retry(`"NaNs"`), nil, 0},
		{retry(`"1e300s"`), nil, 366 * 24 * time.Hour},
		{failure(429, "RESOURCE_EXHAUSTED", "Please retry in 20s."), nil, 0},
		{"", nil, 0},
	} {
		if got := d.Wait(tc.header, []byte(tc.body), time.Now()); got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.body, got, tc.want)
		}
	}
}

// What would choose a credential, an account or another answer does not pass in
// any spelling; the control is what does.
func TestQueriesThatAreRefused(t *testing.T) {
	t.Parallel()
	d := gemini.Dialect()
	for query, want := range map[string]bool{
		"": false, "alt=sse": false, "alt=json": false, "alt=media": false, "pageSize=5&pageToken=a%2Bb": false, "updateMask=displayName": false, "prettyPrint=false": false,
		"key=x": true, "KEY=x": true, "%6bey=x": true, "access_token=x": true, "oauth_token=x": true, "quotaUser=u": true, "userProject=p": true,
		"$userProject=p": true, "%24httpHeaders=x": true, "$alt=proto": true, "fields=candidates": true, "callback=f": true,
		"alt=proto": true, "alt=sse&alt=proto": true, "a;key=x": true, "%zz=1": true,
	} {
		if got := d.RefuseQuery(query); got != want {
			t.Errorf("%q: refused %v, want %v", query, got, want)
		}
	}
}

func TestErrorBody(t *testing.T) {
	t.Parallel()
	d := gemini.Dialect()
	for status, name := range map[int]string{
		400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 413: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED",
		500: "INTERNAL", 502: "UNAVAILABLE", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
	} {
		got := d.AppendError(nil, upstream.Error{Status: status, Message: `a "b"`, RequestID: "r1"})
		want := fmt.Sprintf(`{"error":{"code":%d,"message":"a \"b\"","status":"%s","details":[{"@type":"type.googleapis.com/google.rpc.RequestInfo","requestId":"r1"}]}}`, status, name)
		if string(got) != want || !json.Valid(got) {
			t.Errorf("%d: got %s, want %s", status, got, want)
		}
	}
	// Its clients read when to come again from the body.
	got := d.AppendError(nil, upstream.Error{Status: 429, Message: "m", RetryAfter: 1500 * time.Millisecond})
	if wait := d.Wait(nil, got, time.Now()); wait != 2*time.Second {
		t.Errorf("the wait in %s is %v", got, wait)
	}
}

func TestClaims(t *testing.T) {
	t.Parallel()
	d := gemini.Dialect()
	for path, want := range map[string]bool{"models/m:generateContent": true, "models/m:countTokens": true, "models": false, "models/ft:gpt-x": false, "chat/completions": false, "": false} {
		if got := d.Claims(path, http.Header{}); got != want {
			t.Errorf("Claims(%q) = %v, want %v", path, got, want)
		}
	}
	for _, name := range []string{"X-Goog-Api-Key", "X-Goog-Api-Client"} {
		if !d.Claims("models", http.Header{name: {"x"}}) {
			t.Errorf("a client with %s is not claimed", name)
		}
	}
}

// Whatever an upstream sends, it is read without harm, and a success is never
// made out of it.
func FuzzErrors(f *testing.F) {
	f.Add(429, []byte(failure(429, "RESOURCE_EXHAUSTED", exceeded, quota("PerDay=1"), info("X"), `{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.5s"}`)))
	f.Add(400, []byte(`[{"error":{"message":[],"details":{"@type":1}}}]`))
	f.Add(403, []byte(`{"error":"x"}`))
	d := gemini.Dialect()
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		v := d.Classify(status, body)
		if w := d.Wait(nil, body, time.Now()); w < 0 || w > 366*24*time.Hour {
			t.Fatalf("waits %v", w)
		}
		if status >= 500 && v != upstream.Unavailable || status == 429 && v == upstream.ClientError {
			t.Fatalf("%d is %v", status, v)
		}
	})
}

// What passes has none of the names in it, to a reader that splits at more places.
func FuzzQuery(f *testing.F) {
	for _, s := range []string{"alt=sse", "a=b&key=1", "a=b;key=1", "%6bey=1", "$x", "+key=1"} {
		f.Add(s)
	}
	d := gemini.Dialect()
	f.Fuzz(func(t *testing.T, query string) {
		if d.RefuseQuery(query) {
			return
		}
		for _, pair := range strings.FieldsFunc(query, func(r rune) bool { return r == '&' || r == ';' }) {
			name, _, _ := strings.Cut(pair, "=")
			if decoded, err := url.QueryUnescape(name); err == nil {
				name = decoded
			}
			if strings.EqualFold(name, "key") || strings.EqualFold(name, "access_token") || strings.HasPrefix(name, "$") {
				t.Fatalf("%q passes", query)
			}
		}
	})
}
