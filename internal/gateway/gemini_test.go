package gateway_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/gatehousehq/gatehouse/internal/mockupstream"
	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/usage"
)

const askGemini = `{"contents":[{"role":"user","parts":[{"text":"hello there"}]}]}`

// google adds a provider of Gemini on a mock, with keys that behave like that.
func (h *house) google(does map[string]mockupstream.Behaviour, keys ...routing.Key) *mockupstream.Upstream {
	h.t.Helper()
	cfg := mockupstream.Config{Keys: map[secret.Text]mockupstream.Key{}, RetryAfter: 90 * time.Second, Now: h.clock}
	for id, b := range does {
		cfg.Keys[key(id).Secret] = mockupstream.Key{Label: id, Behaviour: b}
	}
	up := mockupstream.New(cfg)
	h.upstream(routing.Gemini, up.ServeHTTP, keys...)
	return up
}

// Requests to Gemini fail over at each of Google's ways to say no, and are
// metered in each form that an answer has.
func TestGemini(t *testing.T) {
	t.Parallel()
	for operation, form := range map[string]string{
		"generateContent": "{", "streamGenerateContent?alt=sse": "data: {", "streamGenerateContent": "[{",
	} {
		t.Run(operation, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			up := h.google(map[string]mockupstream.Behaviour{
				"limited": mockupstream.RateLimited, "spent": mockupstream.Exhausted, "busy": mockupstream.Overloaded, "good": mockupstream.OK,
			}, key("limited"), key("spent"), key("wrong"), key("busy"), key("good"))
			req := h.request("POST", "/ai/gemini/v1beta/models/mock-gemini:"+operation, askGemini)
			req.Header.Del("Authorization")
			req.Header.Set("X-Goog-Api-Key", h.token.Reveal())
			req.Header.Set("X-Goog-Api-Client", "google-genai-sdk/2.32.0")
			req.Header.Set("X-Goog-User-Project", "somebody-elses")
			a := h.do(req)
			if a.status != 200 || !strings.HasPrefix(a.body, form) || !strings.Contains(a.body, "hello") {
				t.Fatalf("got %d %s", a.status, a.body)
			}
			rec := h.record()
			want := usage.Tokens{Input: 2, Output: 10, Known: true}
			if len(rec.Attempts) != 5 || rec.Tokens != want || rec.Model != "mock-gemini" || rec.ActualModel != "mock-gemini" || rec.Path != rec.Endpoint {
				t.Errorf("recorded as %+v", rec)
			}
			for id, want := range map[string]string{"limited": "ready but for mock-gemini", "spent": "failed", "wrong": "failed", "busy": "ready", "good": "ready"} {
				if got := h.state(id); got != want {
					t.Errorf("the key %s is %s, want %s", id, got, want)
				}
			}
			sent := up.Requests()[4]
			if sent.Header.Get("X-Goog-Api-Client") == "" || sent.Header.Get("X-Goog-User-Project") != "" || len(sent.Credentials) != 1 || sent.Key != "good" {
				t.Errorf("sent %+v", sent)
			}
			if a.header.Get("Set-Cookie") != "" {
				t.Error("a cookie comes back")
			}
			h.advance(89 * time.Second)
			if got := h.state("limited"); got != "ready but for mock-gemini" {
				t.Errorf("after 89 of the 90 seconds that were asked for, the key is %s", got)
			}
			h.advance(2 * time.Second)
			if got := h.state("limited"); got != "ready" {
				t.Errorf("after the wait the key is %s", got)
			}
		})
	}
}

// What a client of Gemini is told has the form of its vendor, and a wait is
// where its SDKs look for it.
func TestGeminiRefusals(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.google(map[string]mockupstream.Behaviour{"limited": mockupstream.RateLimited}, key("limited"))
	h.upstream(routing.OpenAI, func(http.ResponseWriter, *http.Request) { t.Error("OpenAI was reached") }, key("k"))
	plain := h.addToken(&routing.Token{ID: "t2", Name: "plain", Use: true}).Reveal()
	limited := h.addToken(&routing.Token{ID: "t3", Name: "models", Use: true, Passthrough: true, Models: []string{"gemini-2*"}}).Reveal()
	all := h.token.Reveal()
	for _, tc := range []struct {
		name, method, path, token string
		status                    int
		reason, state             string
	}{
		{"no token", "POST", "gemini/v1beta/models/m:generateContent", "", 401, "no_token", "UNAUTHENTICATED"},
		{"a key of the vendor", "POST", "nope/v1beta/models/m:generateContent", "AIzaSyX", 401, "foreign_token", "UNAUTHENTICATED"},
		{"a provider that is not there", "POST", "nope/v1beta/models/m:generateContent", all, 404, "no_provider", "NOT_FOUND"},
		{"another version", "POST", "gemini/v2/models/m:generateContent", all, 404, "no_path", "NOT_FOUND"},
		{"uploads", "POST", "gemini/upload/v1beta/files", all, 404, "no_path", "NOT_FOUND"},
		{"no version", "GET", "gemini/models", all, 404, "no_path", "NOT_FOUND"},
		{"a key in the query", "POST", "gemini/v1beta/models/m:generateContent?key=AIza", all, 400, "credential_in_url", "INVALID_ARGUMENT"},
		{"a project in the query", "POST", "gemini/v1beta/models/m:generateContent?%24userProject=p", all, 400, "bad_query", "INVALID_ARGUMENT"},
		{"an answer without its usage", "POST", "gemini/v1beta/models/m:generateContent?fields=candidates", all, 400, "bad_query", "INVALID_ARGUMENT"},
		{"files", "GET", "gemini/v1beta/files", plain, 403, "no_passthrough", "PERMISSION_DENIED"},
		{"another operation", "POST", "gemini/v1beta/models/m:predictLongRunning", plain, 403, "no_passthrough", "PERMISSION_DENIED"},
		{"two operations", "POST", "gemini/v1beta/models/gemini-2:predict:generateContent", limited, 403, "model_unknown", "PERMISSION_DENIED"},
		{"a model that is not in the list", "POST", "gemini/v1beta/models/gemini-3:generateContent", limited, 403, "model_denied", "PERMISSION_DENIED"},
		{"the list of models", "GET", "gemini/v1beta/models", limited, 403, "model_unknown", "PERMISSION_DENIED"},
		{"a model in the list", "POST", "gemini/v1beta/models/gemini-2.5-pro:generateContent", limited, 429, "rate_limited", "RESOURCE_EXHAUSTED"},
		{"the version of Gemini elsewhere", "POST", "openai/v1beta/chat/completions", all, 404, "no_path", ""},
	} {
		req := h.request(tc.method, "/ai/"+tc.path, askGemini)
		req.Header.Del("Authorization")
		req.Header.Set("X-Goog-Api-Key", tc.token)
		a := h.do(req)
		rec := h.record()
		if a.status != tc.status || rec.Reason != tc.reason || gjson.Get(a.body, "error.status").String() != tc.state || gjson.Get(a.body, "error.message").String() == "" {
			t.Errorf("%s: got %d %q %s, want %d %q", tc.name, a.status, rec.Reason, a.body, tc.status, tc.reason)
		}
		a.guarded(t)
		if tc.status == 429 {
			wait := gjson.Get(a.body, `error.details.#(@type=="type.googleapis.com/google.rpc.RetryInfo").retryDelay`).String()
			if wait != "90s" || a.header.Get("Retry-After") != "90" {
				t.Errorf("%s: the wait is %q and %q", tc.name, wait, a.header.Get("Retry-After"))
			}
		}
	}
}

// The version that was asked for is the one that is asked, and the body is as it
// came.
func TestGeminiVersions(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var got string
	p := h.upstream(routing.Gemini, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = r.URL.RequestURI() + " " + string(body)
	}, key("k"))
	p.BaseURL.Path = "/base"
	for _, path := range []string{"v1beta/models/m:embedContent", "v1/models/m:countTokens", "v1alpha/models/a%20b:generateContent", "v1beta/cachedContents?pageSize=1"} {
		const body = "{ \"contents\" : [] }"
		if a := h.do(h.request("POST", "/ai/gemini/"+path, body)); a.status != 200 || got != "/base/"+path+" "+body {
			t.Errorf("%s: got %d, and the upstream %s", path, a.status, got)
		}
	}
}

func TestGeminiKeysCanBeTried(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.google(map[string]mockupstream.Behaviour{"good": mockupstream.OK, "spent": mockupstream.Exhausted}, key("good"))
	for id, want := range map[string]string{"good": usage.OK, "wrong": usage.Refused, "spent": usage.NoQuota} {
		k := key(id)
		if c := h.gw.Check(context.Background(), h.snapshot.Load().Provider("gemini"), &k); c.Outcome != want {
			t.Errorf("%s: %+v, want %s", id, c, want)
		}
	}
}
