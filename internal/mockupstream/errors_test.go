package mockupstream_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/mockupstream"
)

var errLeft = errors.New("the client left")

func contextWithCause(t *testing.T) (context.Context, func()) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	return ctx, func() { cancel(errLeft) }
}

const chat = `{"model":"m","messages":[{"role":"user","content":"x"}]}`
const message = `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}]}`

func TestRefusals(t *testing.T) {
	t.Parallel()
	_, url := newServer(t, mockupstream.Config{RetryAfter: 1500 * time.Millisecond})
	for _, c := range []struct {
		name, path, key, body string
		status                int
		fields, headers       map[string]string
	}{
		{"OpenAI rate limit", "/v1/chat/completions", "mock-key-that-must-wait", chat, 429,
			map[string]string{"error.type": "requests", "error.code": "rate_limit_exceeded", "error.param": ""},
			map[string]string{"Retry-After": "2", "Retry-After-Ms": "1500", "X-Ratelimit-Remaining-Requests": "0", "X-Ratelimit-Reset-Requests": "1.5s"}},
		{"OpenAI revoked key", "/v1/responses", "mock-key-that-was-revoked", chat, 401,
			map[string]string{"error.code": "invalid_api_key", "error.type": "invalid_request_error"}, nil},
		{"OpenAI unknown key", "/v1/embeddings", "mock-key-of-nobody", chat, 401,
			map[string]string{"error.code": "invalid_api_key"}, map[string]string{"X-Request-Id": "req_*"}},
		{"OpenAI no key", "/v1/embeddings", "", chat, 401,
			map[string]string{"error.code": "", "error.type": "invalid_request_error"}, nil},
		{"OpenAI spent account", "/v1/chat/completions", "mock-key-that-is-spent", chat, 429,
			map[string]string{"error.type": "insufficient_quota", "error.code": "insufficient_quota"},
			map[string]string{"Retry-After": ""}},
		{"OpenAI overloaded", "/v1/chat/completions", "mock-key-that-is-too-much", chat, 500,
			map[string]string{"error.type": "server_error"}, nil},
		{"OpenAI not JSON", "/v1/chat/completions", goodKey, `{"model":`, 400,
			map[string]string{"error.type": "invalid_request_error", "error.code": ""}, nil},
		{"OpenAI no model", "/v1/chat/completions", goodKey, `{}`, 400,
			map[string]string{"error.message": "you must provide a model parameter"}, nil},
		{"OpenAI no messages", "/v1/chat/completions", goodKey, `{"model":"m"}`, 400,
			map[string]string{"error.code": "missing_required_parameter", "error.param": "messages"}, nil},
		{"OpenAI empty input", "/v1/embeddings", goodKey, `{"model":"m","input":[]}`, 400,
			map[string]string{"error.code": "empty_array", "error.param": "input"}, nil},
		{"OpenAI dimensions", "/v1/embeddings", goodKey, `{"model":"m","input":"x","dimensions":-1}`, 400,
			map[string]string{"error.param": "dimensions"}, nil},
		{"OpenAI unknown path", "/v1/nothing", goodKey, chat, 404,
			map[string]string{"error.message": "Invalid URL (POST /v1/nothing)"}, nil},
		{"OpenAI wrong method", "/v1/models", goodKey, chat, 405,
			map[string]string{"error.code": "method_not_supported"}, nil},

		{"Anthropic rate limit", "/v1/messages", "mock-key-that-must-wait", message, 429,
			map[string]string{"type": "error", "error.type": "rate_limit_error"},
			map[string]string{"Retry-After": "2", "X-Should-Retry": "true", "Anthropic-Ratelimit-Requests-Remaining": "0",
				"Anthropic-Ratelimit-Requests-Reset": "2026-11-23T12:00:01Z"}},
		{"Anthropic revoked key", "/v1/messages", "mock-key-that-was-revoked", message, 401,
			map[string]string{"error.type": "authentication_error", "error.message": "invalid x-api-key"}, nil},
		{"Anthropic unknown key", "/v1/messages/count_tokens", "mock-key-of-nobody", message, 401,
			map[string]string{"error.type": "authentication_error"}, map[string]string{"Request-Id": "req_*"}},
		{"Anthropic no key", "/v1/messages", "", message, 401,
			map[string]string{"error.message": "x-api-key header is required"}, nil},
		{"Anthropic spent account", "/v1/messages", "mock-key-that-is-spent", message, 400,
			map[string]string{"error.type": "invalid_request_error"}, nil},
		{"Anthropic overloaded", "/v1/messages", "mock-key-that-is-too-much", message, 529,
			map[string]string{"error.type": "overloaded_error", "error.message": "Overloaded"},
			map[string]string{"X-Should-Retry": "true"}},
		{"Anthropic no max_tokens", "/v1/messages", goodKey, `{"model":"m","messages":[]}`, 400,
			map[string]string{"error.message": "max_tokens: Field required"}, nil},
		{"Anthropic no messages", "/v1/messages", goodKey, `{"model":"m","max_tokens":1,"messages":[]}`, 400,
			map[string]string{"error.message": "messages: at least one message is required"}, nil},
		{"Anthropic unknown path", "/v1/messages/nothing", goodKey, message, 404,
			map[string]string{"error.type": "not_found_error"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			res, body := post(t, url+c.path, c.key, c.body)
			if res.StatusCode != c.status {
				t.Errorf("status %d, want %d", res.StatusCode, c.status)
			}
			check(t, body, c.fields)
			for name, want := range c.headers {
				got := res.Header.Get(name)
				if prefix, open := strings.CutSuffix(want, "*"); open && strings.HasPrefix(got, prefix) && got != prefix {
					continue
				}
				if got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	}
}

// A vendor's answers carry what must not pass a gateway, so that tests can see
// that it does not.
func TestHeadersThatRevealTheAccount(t *testing.T) {
	t.Parallel()
	_, url := newServer(t, mockupstream.Config{})
	for path, names := range map[string][]string{
		"/v1/chat/completions": {"Set-Cookie", "Openai-Organization", "Openai-Project", "X-Request-Id", "Openai-Processing-Ms", "Openai-Version"},
		"/v1/messages":         {"Set-Cookie", "Anthropic-Organization-Id", "Request-Id"},
	} {
		res, _ := post(t, url+path, goodKey, message)
		for _, name := range names {
			if res.Header.Get(name) == "" {
				t.Errorf("%s: no %s", path, name)
			}
		}
	}
}

func TestAnthropicNeedsAVersionAndTakesBothCredentials(t *testing.T) {
	t.Parallel()
	_, url := newServer(t, mockupstream.Config{})
	req := newRequest(t, http.MethodPost, url+"/v1/messages", goodKey, message)
	req.Header.Del("Anthropic-Version")
	res, body := do(t, req)
	if res.StatusCode != http.StatusBadRequest || !strings.Contains(body, "anthropic-version: header is required") {
		t.Errorf("without a version: %d %s", res.StatusCode, body)
	}
	req = newRequest(t, http.MethodPost, url+"/v1/messages", "", message)
	req.Header.Set("Authorization", "Bearer "+goodKey)
	if res, body := do(t, req); res.StatusCode != http.StatusOK {
		t.Errorf("with a bearer token: %d %s", res.StatusCode, body)
	}
	req = newRequest(t, http.MethodPost, url+"/v1/chat/completions", "", chat)
	req.Header.Set("Authorization", "Basic "+goodKey)
	if res, _ := do(t, req); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("OpenAI with another scheme: %d", res.StatusCode)
	}
}

func TestAWebSocketIsRefusedSoThatCodexGoesOn(t *testing.T) {
	t.Parallel()
	_, url := newServer(t, mockupstream.Config{})
	req := newRequest(t, http.MethodGet, url+"/v1/responses", goodKey, "")
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "websocket")
	if res, _ := do(t, req); res.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("status %d, want 426", res.StatusCode)
	}
}

func TestKeylessServesWhoHasNoKey(t *testing.T) {
	t.Parallel()
	up, url := newServer(t, mockupstream.Config{Keyless: true})
	req := newRequest(t, http.MethodPost, url+"/v1/chat/completions", "", chat)
	req.Header.Del("Authorization")
	if res, _ := do(t, req); res.StatusCode != http.StatusOK {
		t.Errorf("without a key: %d", res.StatusCode)
	}
	if res, _ := post(t, url+"/v1/chat/completions", "mock-key-of-nobody", chat); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("with an unknown key: %d", res.StatusCode)
	}
	if got := up.Requests()[0].Key; got != "none" {
		t.Errorf("label %q", got)
	}
}

// What a key says of itself in an error never is the whole key.
func TestAnErrorHidesTheKey(t *testing.T) {
	t.Parallel()
	_, url := newServer(t, mockupstream.Config{})
	for _, key := range []string{"short", "mock-key-that-was-revoked", "mock-key-of-nobody-in-particular"} {
		for _, path := range []string{"/v1/chat/completions", "/v1/messages"} {
			if _, body := post(t, url+path, key, chat); strings.Contains(body, key) {
				t.Errorf("%s: the answer has the key in it", path)
			}
		}
	}
}

func BenchmarkUpstream(b *testing.B) {
	up := newUpstream(mockupstream.Config{Keep: -1, Reply: strings.Repeat("word ", 47) + "word"})
	for name, body := range map[string]string{
		"reply":  `{"model":"m","stream":false,"messages":[]}`,
		"stream": `{"model":"m","stream":true,"messages":[]}`,
		"1MiB":   `{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("x", 1<<20) + `"}]}`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				req := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(body))
				req.Header.Set("Authorization", "Bearer "+goodKey)
				up.ServeHTTP(httptest.NewRecorder(), req)
			}
		})
	}
}
