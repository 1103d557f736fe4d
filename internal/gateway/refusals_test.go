package gateway_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/gateway"
	"github.com/gatehousehq/gatehouse/internal/keypool"
	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/token"
)

// Every refusal: its status, its dialect, and words that a person can act on.
func TestRefusals(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	reached := func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("the upstream was reached: %s %s", r.Method, r.URL.Path)
	}
	h.upstream(routing.OpenAI, reached, key("k1"))
	h.upstream(routing.Anthropic, reached, key("k2"))
	base := mustURL(t, "http://127.0.0.1:1")
	h.addProvider(&routing.Provider{Name: "off", Dialect: routing.Anthropic, BaseURL: base})
	h.addProvider(&routing.Provider{Name: "broken", Dialect: routing.OpenAI, Enabled: true, BaseURL: base, Fault: "settings do not open"})
	h.addProvider(&routing.Provider{Name: "strange", Dialect: "gopher", Enabled: true, BaseURL: base})
	h.addProvider(&routing.Provider{Name: "spent", Dialect: routing.OpenAI, Enabled: true, BaseURL: base, Keys: []routing.Key{
		{ID: "d", Disabled: true}, {ID: "u", Unreadable: true}, {ID: "e", ExpiresAt: h.clock()},
	}})
	h.addProvider(&routing.Provider{Name: "failed", Dialect: routing.OpenAI, Enabled: true, BaseURL: base, Keys: []routing.Key{key("f"), {ID: "d", Disabled: true}}})
	h.pool.Report("f", keypool.Outcome{Reason: keypool.Unauthorized})
	h.addProvider(&routing.Provider{Name: "cooling", Dialect: routing.Anthropic, Enabled: true, BaseURL: base, Keys: []routing.Key{key("c1"), key("c2")}})
	h.pool.Report("c1", keypool.Outcome{Reason: keypool.RateLimited, RetryAfter: time.Minute})
	h.pool.Report("c2", keypool.Outcome{Reason: keypool.RateLimited, RetryAfter: 6500 * time.Millisecond})

	all := h.token.Reveal()
	bearer := func(s string) http.Header { return http.Header{"Authorization": {"Bearer " + s}} }
	good := bearer(all)
	other := h.addToken(&routing.Token{ID: "t2", Name: "other", Use: true}).Reveal()
	expired := bearer(h.addToken(&routing.Token{ID: "t3", Name: "old", Use: true, ExpiresAt: h.clock()}).Reveal())
	useless := bearer(h.addToken(&routing.Token{ID: "t4", Name: "reader"}).Reveal())
	plain := bearer(other)
	narrow := bearer(h.addToken(&routing.Token{ID: "t5", Name: "narrow", Use: true, Providers: []string{"anthropic"}}).Reveal())
	nowhere := bearer(h.addToken(&routing.Token{ID: "t6", Name: "nowhere", Use: true, Providers: []string{}}).Reveal())
	with := func(base http.Header, kv ...string) http.Header {
		out := base.Clone()
		for i := 0; i < len(kv); i += 2 {
			out.Add(kv[i], kv[i+1])
		}
		return out
	}
	const chat = "/ai/openai/v1/chat/completions"
	const messages = "/ai/anthropic/v1/messages"

	for _, tc := range []struct {
		name    string
		method  string
		path    string
		header  http.Header
		status  int
		dialect routing.Dialect
		says    string
		reason  string
	}{
		{"no token", "POST", chat, nil, 401, routing.OpenAI, "No Gatehouse token was sent", "no_token"},
		{"no token, Anthropic by path", "POST", messages, nil, 401, routing.Anthropic, "No Gatehouse token", "no_token"},
		{"no token, Anthropic by header", "GET", "/ai/nope/v1/models", http.Header{"Anthropic-Version": {"2023-06-01"}}, 401, routing.Anthropic, "No Gatehouse token", "no_token"},
		{"an empty header is no token", "POST", chat, http.Header{"X-Api-Key": {""}}, 401, routing.OpenAI, "No Gatehouse token", "no_token"},
		{"a key of the vendor", "POST", chat, bearer("sk-proj-abcdef"), 401, routing.OpenAI, "begin with \"gate_\"", "foreign_token"},
		{"another scheme", "POST", chat, http.Header{"Authorization": {"Basic " + all}}, 401, routing.OpenAI, "begin with \"gate_\"", "foreign_token"},
		{"no scheme", "POST", chat, http.Header{"Authorization": {all}}, 401, routing.OpenAI, "begin with \"gate_\"", "foreign_token"},
		{"a mistyped token", "POST", chat, bearer(all[:len(all)-1] + "!"), 401, routing.OpenAI, "checksum", "malformed_token"},
		{"a token cut short", "POST", messages, http.Header{"X-Api-Key": {all[:20]}}, 401, routing.Anthropic, "checksum", "malformed_token"},
		{"two tokens in one header", "POST", chat, bearer(all + ", Bearer " + all), 401, routing.OpenAI, "checksum", "malformed_token"},
		{"an unknown token", "POST", chat, bearer(token.New().Reveal()), 401, routing.OpenAI, "not known here", "unknown_token"},
		{"an expired token", "POST", chat, expired, 401, routing.OpenAI, "expired", "expired_token"},
		{"two different tokens", "POST", chat, with(good, "X-Api-Key", other), 401, routing.OpenAI, "differ", "ambiguous_token"},
		{"two different tokens, Google's header", "POST", chat, with(good, "X-Goog-Api-Key", other), 401, routing.OpenAI, "differ", "ambiguous_token"},
		{"two different values of x-api-key", "POST", chat, http.Header{"X-Api-Key": {all, other}}, 401, routing.OpenAI, "differ", "ambiguous_token"},
		{"two different Authorization headers", "POST", chat, with(good, "Authorization", "Bearer sk-x"), 401, routing.OpenAI, "differ", "ambiguous_token"},
		{"401 before 404", "POST", "/ai/nope/v1/chat/completions", bearer("sk-x"), 401, routing.OpenAI, "begin with", "foreign_token"},
		{"401 before 400", "POST", "/ai/openai/v1/../x", nil, 401, routing.OpenAI, "No Gatehouse token", "no_token"},
		{"401 before the key parameter", "POST", chat + "?key=" + all, nil, 401, routing.OpenAI, "in the URL", "no_token"},
		{"no right to the gateway", "POST", chat, useless, 403, routing.OpenAI, "gateway:use", "no_gateway_use"},

		{"a key in the URL", "POST", chat + "?key=x", good, 400, routing.OpenAI, "\"key\" parameter", "credential_in_url"},
		{"an empty key in the URL", "POST", messages + "?beta=true&key", good, 400, routing.Anthropic, "\"key\" parameter", "credential_in_url"},
		{"an escaped key in the URL", "POST", chat + "?a=b&k%65y=x", good, 400, routing.OpenAI, "\"key\" parameter", "credential_in_url"},
		{"a key after a semicolon", "POST", chat + "?a=b;key=x", good, 400, routing.OpenAI, "\"key\" parameter", "credential_in_url"},
		{"the token itself in the URL", "POST", chat + "?t=" + all, good, 400, routing.OpenAI, "in the URL", "credential_in_url"},
		{"the token escaped in the URL", "POST", chat + "?t=g%61te_" + all[5:], good, 400, routing.OpenAI, "in the URL", "credential_in_url"},

		{"dots", "POST", "/ai/openai/v1/../x", good, 400, routing.OpenAI, "dot segment", "bad_path"},
		{"one dot", "POST", "/ai/openai/./v1/x", good, 400, routing.OpenAI, "dot segment", "bad_path"},
		{"an empty segment", "POST", "/ai/openai//v1/x", good, 400, routing.OpenAI, "empty", "bad_path"},
		{"no provider", "POST", "/ai//v1/x", good, 400, routing.OpenAI, "empty", "bad_path"},
		{"a slash at the end", "POST", chat + "/", good, 400, routing.OpenAI, "empty", "bad_path"},
		{"an encoded dot", "POST", "/ai/openai/v1/%2e%2e/x", good, 400, routing.OpenAI, "encoded dot", "bad_path"},
		{"an encoded dot within", "POST", "/ai/openai/v1/a%2Eb", good, 400, routing.OpenAI, "encoded dot", "bad_path"},
		{"an encoded slash", "POST", "/ai/openai/v1/a%2fb", good, 400, routing.OpenAI, "slash", "bad_path"},
		{"an encoded backslash", "POST", "/ai/openai/v1/a%5Cb", good, 400, routing.OpenAI, "path", "bad_path"},
		{"an encoded percent sign", "POST", "/ai/openai/v1/%252e%252e/x", good, 400, routing.OpenAI, "percent", "bad_path"},
		{"an encoded NUL", "POST", "/ai/openai/v1/a%00", good, 400, routing.OpenAI, "path", "bad_path"},
		{"an encoded line feed", "POST", "/ai/openai/v1/a%0Ab", good, 400, routing.OpenAI, "path", "bad_path"},
		{"nothing", "GET", "/ai/", good, 404, routing.OpenAI, "/ai/{provider}/v1/", "no_path"},
		{"no version", "POST", "/ai/openai/chat/completions", good, 404, routing.OpenAI, "/ai/{provider}/v1", "no_path"},
		{"nothing after the version", "POST", "/ai/openai/v1", good, 404, routing.OpenAI, "/ai/{provider}/v1", "no_path"},
		{"outside", "POST", "/api/v1/x", good, 404, routing.OpenAI, "/ai/{provider}/v1", "no_path"},
		{"the URL for all, without a path", "POST", "/ai/v1", good, 404, routing.OpenAI, "/ai/{provider}/v1", "no_path"},
		{"the URL for all, without a token", "POST", "/ai/v1/messages", nil, 401, routing.Anthropic, "No Gatehouse token", "no_token"},
		{"the URL for all, without a body", "POST", "/ai/v1/chat/completions", good, 400, routing.OpenAI, "exactly one top-level", "model_unreadable"},
		{"another path of the URL for all", "POST", "/ai/v1/files", good, 404, routing.OpenAI, "URL for all providers", "no_path"},
		{"another path of the URL for all, Anthropic by path", "POST", "/ai/v1/messages/batches", good, 404, routing.Anthropic, "URL for all providers", "no_path"},
		{"another method at the URL for all", "GET", "/ai/v1/chat/completions", good, 404, routing.OpenAI, "URL for all providers", "no_path"},
		{"WebSocket at the URL for all", "GET", "/ai/v1/responses", with(good, "Connection", "Upgrade", "Upgrade", "websocket"), 426, routing.OpenAI, "WebSocket", "upgrade"},
		{"TRACE at the URL for all", "TRACE", "/ai/v1/responses", good, 405, routing.OpenAI, "method", "bad_method"},
		{"reserved providers", "GET", "/ai/providers", good, 404, routing.OpenAI, "reserved", "reserved_path"},
		{"reserved proxy", "GET", "/ai/proxy/v1/models", good, 404, routing.OpenAI, "reserved", "reserved_path"},

		{"an unknown provider", "POST", "/ai/nope/v1/chat/completions", good, 404, routing.OpenAI, "no provider of this name", "no_provider"},
		{"an unknown provider, Anthropic by path", "POST", "/ai/nope/v1/messages/count_tokens", good, 404, routing.Anthropic, "no provider of this name", "no_provider"},
		{"a provider left out by the token", "POST", chat, narrow, 404, routing.OpenAI, "no provider of this name", "no_provider"},
		{"a token for no provider", "POST", messages, nowhere, 404, routing.Anthropic, "no provider of this name", "no_provider"},
		{"a disabled provider", "GET", "/ai/off/v1/models", good, 503, routing.Anthropic, "disabled", "provider_disabled"},
		{"a faulty provider", "POST", "/ai/broken/v1/responses", good, 503, routing.OpenAI, "configured", "provider_fault"},
		{"a dialect that is not known", "POST", "/ai/strange/v1/responses", good, 503, routing.OpenAI, "configured", "provider_fault"},
		{"TRACE", "TRACE", chat, good, 405, routing.OpenAI, "method", "bad_method"},
		{"WebSocket", "GET", "/ai/openai/v1/responses", with(good, "Connection", "Upgrade", "Upgrade", "websocket"), 400, routing.OpenAI, "handshake of a WebSocket", "bad_websocket"},
		{"another protocol", "GET", "/ai/openai/v1/responses", with(good, "Connection", "Upgrade", "Upgrade", "spdy/3"), 426, routing.OpenAI, "WebSocket", "upgrade"},
		{"two protocols", "GET", "/ai/openai/v1/responses", with(good, "Connection", "Upgrade", "Upgrade", "websocket", "Upgrade", "h2c"), 426, routing.OpenAI, "WebSocket", "upgrade"},
		{"WebSocket by POST", "POST", "/ai/openai/v1/responses", with(good, "Connection", "Upgrade", "Upgrade", "websocket"), 426, routing.OpenAI, "WebSocket", "upgrade"},
		{"WebSocket where there is none", "GET", "/ai/openai/v1/chat/completions", with(good, "Connection", "Upgrade", "Upgrade", "websocket"), 426, routing.OpenAI, "WebSocket", "upgrade"},
		{"WebSocket of another API", "GET", "/ai/anthropic/v1/responses", with(good, "Connection", "Upgrade", "Upgrade", "websocket"), 426, routing.Anthropic, "WebSocket", "upgrade"},
		{"a path outside inference", "GET", "/ai/openai/v1/files", plain, 403, routing.OpenAI, "gateway:passthrough", "no_passthrough"},
		{"another method", "DELETE", "/ai/openai/v1/models/m", plain, 403, routing.OpenAI, "gateway:passthrough", "no_passthrough"},
		{"HEAD is another method", "HEAD", "/ai/openai/v1/models", plain, 403, "", "", "no_passthrough"},

		{"no usable key", "POST", "/ai/spent/v1/responses", good, 503, routing.OpenAI, "disabled or expired or unreadable", "no_usable_key"},
		{"failed keys", "POST", "/ai/failed/v1/responses", good, 502, routing.OpenAI, "No key that is configured", "keys_failed"},
		{"cooling keys", "POST", "/ai/cooling/v1/messages", good, 429, routing.Anthropic, "rate limited", "rate_limited"},
	} {
		req := h.request(tc.method, tc.path, "")
		req.Header = tc.header.Clone()
		if req.Header == nil {
			req.Header = http.Header{}
		}
		got := h.do(req)
		rec := h.record()
		if got.status != tc.status || rec.Status != tc.status || rec.Reason != tc.reason {
			t.Errorf("%s: got %d, recorded as %d %q, want %d %q", tc.name, got.status, rec.Status, rec.Reason, tc.status, tc.reason)
			continue
		}
		got.guarded(t)
		if tc.method != "HEAD" {
			if msg := got.message(t, tc.dialect); !strings.Contains(msg, tc.says) {
				t.Errorf("%s: the message does not say %q: %s", tc.name, tc.says, msg)
			}
		}
		if strings.Contains(got.body, "gate_"+all[5:10]) || strings.Contains(got.body, "nope") || strings.Contains(got.body, "sk-x") {
			t.Errorf("%s: the answer repeats what was sent: %s", tc.name, got.body)
		}
		wantRetry := ""
		if tc.status == 502 || tc.status == 503 {
			wantRetry = "false"
		}
		if got.header.Get("X-Should-Retry") != wantRetry {
			t.Errorf("%s: x-should-retry is %q, want %q", tc.name, got.header.Get("X-Should-Retry"), wantRetry)
		}
		if (got.header.Get("Www-Authenticate") != "") != (tc.status == 401) {
			t.Errorf("%s: WWW-Authenticate is %q", tc.name, got.header.Get("Www-Authenticate"))
		}
		if tc.name == "cooling keys" && got.header.Get("Retry-After") != "7" {
			t.Errorf("Retry-After is %q, want the shortest wait, rounded up: 7", got.header.Get("Retry-After"))
		}
		if rec.Provider == "nope" {
			t.Errorf("%s: a provider that does not exist was recorded", tc.name)
		}
	}
}

// A provider that a token may not see is told apart from one that does not
// exist by nothing at all.
func TestHiddenProviderLooksUnknown(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.upstream(routing.OpenAI, func(http.ResponseWriter, *http.Request) { t.Error("reached") })
	narrow := h.addToken(&routing.Token{ID: "n", Use: true, Providers: []string{"else"}})
	var bodies []string
	for _, p := range []string{"openai", "nothere"} {
		req := h.request("POST", "/ai/"+p+"/v1/embeddings", `{}`)
		req.Header.Set("Authorization", "Bearer "+narrow.Reveal())
		a := h.do(req)
		bodies = append(bodies, a.body)
		if rec := h.record(); rec.Provider != "" {
			t.Errorf("the provider %q was recorded", rec.Provider)
		}
	}
	if bodies[0] != bodies[1] {
		t.Errorf("the answers differ:\n%s\n%s", bodies[0], bodies[1])
	}
}

func TestAcceptedCredentials(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.upstream(routing.OpenAI, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "Bearer "+key("k").Secret.Reveal() || r.Header.Get("X-Api-Key") != "" || r.Header.Get("X-Goog-Api-Key") != "" {
			t.Error("the upstream got other credentials than the key")
		}
	}, key("k"))
	h.upstream(routing.Anthropic, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("X-Api-Key"); got != key("k").Secret.Reveal() || r.Header.Get("Authorization") != "" || r.Header.Get("X-Goog-Api-Key") != "" {
			t.Error("the upstream got other credentials than the key")
		}
	}, key("k"))
	tok := h.token.Reveal()
	for name, header := range map[string]http.Header{
		"bearer":                     {"Authorization": {"Bearer " + tok}},
		"bearer in small letters":    {"Authorization": {"bearer   " + tok}},
		"x-api-key":                  {"X-Api-Key": {tok}},
		"x-goog-api-key":             {"X-Goog-Api-Key": {tok}},
		"all three, equal":           {"Authorization": {"Bearer " + tok}, "X-Api-Key": {tok}, "X-Goog-Api-Key": {tok}},
		"beside another credential":  {"Authorization": {"Bearer " + tok}, "X-Api-Key": {"sk-dummy"}},
		"beside another bearer":      {"Authorization": {"Bearer sk-dummy"}, "X-Api-Key": {tok}},
		"the same header twice":      {"Authorization": {"Bearer " + tok, "Bearer " + tok}},
		"an offer of HTTP/2 beside":  {"X-Api-Key": {tok}, "Connection": {"Upgrade, HTTP2-Settings"}, "Upgrade": {"h2c"}, "Http2-Settings": {"AAMAAABk"}},
		"beside an empty other":      {"X-Api-Key": {tok}, "X-Goog-Api-Key": {""}},
		"x-api-key with space round": {"X-Api-Key": {" " + tok + " "}},
	} {
		for _, path := range []string{"/ai/openai/v1/models", "/ai/anthropic/v1/models"} {
			req := h.request("GET", path, "")
			req.Header = header.Clone()
			if a := h.do(req); a.status != 200 {
				t.Errorf("%s: %s: got %d %s", name, path, a.status, a.body)
			}
		}
	}
}

func TestReserved(t *testing.T) {
	t.Parallel()
	got := gateway.Reserved()
	if strings.Join(got, " ") != "v1 providers proxy" {
		t.Errorf("reserved are %q", got)
	}
	got[0] = "changed"
	if gateway.Reserved()[0] != "v1" {
		t.Error("a caller changed the list")
	}
}

func TestWithoutASnapshotEveryTokenIsUnknown(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *gateway.Config) { c.Snapshot = func() *routing.Snapshot { return nil } })
	if a := h.chat(); a.status != 401 {
		t.Errorf("got %d", a.status)
	}
}

func TestUseIsReported(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	n := 0
	h.upstream(routing.OpenAI, func(w http.ResponseWriter, r *http.Request) {
		if n++; n == 1 {
			w.WriteHeader(500)
		}
	}, key("k1"), key("k2"))
	h.chat()
	h.do(h.request("GET", "/ai/nope/v1/models", ""))
	h.record()
	h.record()
	if got := strings.Join(h.uses, " "); got != "t-all/k1 t-all/k2 t-all/" {
		t.Errorf("uses are %q", got)
	}
}
