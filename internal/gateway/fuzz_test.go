package gateway_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/gateway"
	"github.com/gatehousehq/gatehouse/internal/keypool"
	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/token"
)

// fuzzed returns a gateway with a provider whose base URL has a path, and a
// token with these rights. Requests that go up are handed to sent.
func fuzzed(f *testing.F, rights routing.Token, sent func(*http.Request)) (*gateway.Gateway, string) {
	tok := token.New().Reveal()
	rights.Use = true
	snapshot := routing.NewSnapshot(1,
		[]*routing.Provider{{
			ID: "p", Name: "openai", Dialect: routing.OpenAI, Enabled: true, BaseURL: mustURL(f, "http://upstream.invalid/base/v1"),
			Keys: []routing.Key{key("k")},
		}},
		map[token.Hash]*routing.Token{token.Sum(tok): &rights})
	return gateway.New(gateway.Config{
		Snapshot: func() *routing.Snapshot { return snapshot },
		Pool:     keypool.New(time.Now, keypool.Config{}),
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			sent(r)
			return respond(r, strings.NewReader("")), nil
		}),
	}), tok
}

// Whatever path comes, what goes up is below the provider's base URL, as it was
// written, to the provider's host; and without the right to pass through, it is
// an endpoint of inference to every reader.
func FuzzPath(f *testing.F) {
	for _, s := range []string{
		"/ai/openai/v1/models", "/ai/openai/v1/models/a%20b?x=1", "/ai/openai/v1/../../x", "/ai/openai/v1/%2e%2e/x", "/ai//openai/v1/x", "/ai/openai/v1/a;b/c",
		"/ai/openai/v1/a%5c..%5cb", "http://evil/ai/openai/v1/models", "//evil/ai/openai/v1/models", "/ai/openai/v1/models/%C3%A9#x", "/ai/openai/v1/m?key=1",
	} {
		f.Add(s)
	}
	var sent *http.Request
	all, tokAll := fuzzed(f, routing.Token{Passthrough: true}, func(r *http.Request) { sent = r })
	some, tokSome := fuzzed(f, routing.Token{}, func(r *http.Request) { sent = r })
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || strings.ContainsAny(target, "\r\n ") {
			return // not a request line
		}
		for gw, tok := range map[*gateway.Gateway]string{all: tokAll, some: tokSome} {
			sent = nil
			w := httptest.NewRecorder()
			gw.ServeHTTP(w, &http.Request{
				Method: "GET", URL: u, RequestURI: target, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: "h",
				Header: http.Header{"X-Api-Key": {tok}}, Body: http.NoBody,
			})
			if sent == nil {
				if w.Code < 400 || !json.Valid(w.Body.Bytes()) {
					t.Fatalf("%q: nothing went up, and the answer is %d %q", target, w.Code, w.Body)
				}
				continue
			}
			rest, ok := strings.CutPrefix(sent.URL.RequestURI(), "/base/v1/")
			if !ok || sent.URL.Host != "upstream.invalid" || sent.Host != "upstream.invalid" || sent.URL.Scheme != "http" {
				t.Fatalf("%q went to %s", target, sent.URL)
			}
			if !strings.HasSuffix(target, rest) {
				t.Fatalf("%q went up as %q", target, rest)
			}
			raw, _, _ := strings.Cut(rest, "?")
			decoded := raw
			for range 3 {
				if path.Clean("/"+decoded) != "/"+decoded || strings.ContainsAny(decoded, "\\\x00") {
					t.Fatalf("%q: the path is not clean when decoded: %q", target, decoded)
				}
				if decoded, err = url.PathUnescape(decoded); err != nil {
					t.Fatalf("%q: %v", target, err)
				}
			}
			if gw == some && raw != "models" && !(strings.HasPrefix(raw, "models/") && strings.Count(decoded, "/") == 1) {
				t.Fatalf("%q is no inference and went up", target)
			}
		}
	})
}

// What a token with a list of models gets through names an allowed model to
// every reader: one that takes the first mention, one that takes the last, one
// that does not mind the case.
func FuzzModel(f *testing.F) {
	for _, s := range []string{
		`{"model":"ok"}`, `{"model":"ok","model":"no"}`, `{"model":"ok","Model":"no"}`, `{"model":"ok","mod\u0065l":"no"}`, `{"a":{"model":"no"},"model":"ok"}`,
		`{"model":"ok"}{"model":"no"}`, "\ufeff{\"model\":\"ok\"}", `{"model":"o\u006b"}`, `{"model":"ok","x":[[[[]]]]}`, `[{"model":"ok"}]`,
	} {
		f.Add([]byte(s))
	}
	var sent []byte
	gw, tok := fuzzed(f, routing.Token{Models: []string{"ok"}}, func(r *http.Request) { sent, _ = io.ReadAll(r.Body) })
	f.Fuzz(func(t *testing.T, body []byte) {
		sent = nil
		r := httptest.NewRequest("POST", "/ai/openai/v1/responses", strings.NewReader(string(body)))
		r.Header.Set("X-Api-Key", tok)
		w := httptest.NewRecorder()
		gw.ServeHTTP(w, r)
		if w.Code != 200 {
			if w.Code != 403 || sent != nil {
				t.Fatalf("got %d", w.Code)
			}
			return
		}
		if string(sent) != string(body) {
			t.Fatal("the body changed")
		}
		var last map[string]any
		var folded struct{ Model any }
		if json.Unmarshal(body, &last) != nil || json.Unmarshal(body, &folded) != nil || last["model"] != "ok" || folded.Model != "ok" {
			t.Fatalf("%q got through", body)
		}
		if first := firstKey(t, body); first != "ok" {
			t.Fatalf("%q got through; its first model is %q", body, first)
		}
	})
}

// firstKey returns the first top-level "model", in any case.
func firstKey(t *testing.T, body []byte) any {
	d := json.NewDecoder(strings.NewReader(string(body)))
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	for d.More() {
		k, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		if s, _ := k.(string); strings.EqualFold(s, "model") {
			return v
		}
	}
	return nil
}
