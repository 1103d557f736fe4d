package mockupstream_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/gatehousehq/gatehouse/internal/mockupstream"
)

const contents = `{"systemInstruction":{"parts":[{"text":"be brief"}]},"contents":[{"role":"user","parts":[{"text":"hello there"}]}]}`

func geminiRequest(t *testing.T, method, url, key, body string) *http.Request {
	t.Helper()
	req := newRequest(t, method, url, "", body)
	req.Header.Del("Authorization")
	if key != "" {
		req.Header.Set("X-Goog-Api-Key", key)
	}
	return req
}

func TestContents(t *testing.T) {
	t.Parallel()
	up, url := newServer(t, mockupstream.Config{Script: mockupstream.Play(
		mockupstream.Turn{Text: "two words", CacheRead: 100, Reasoning: 7, Calls: []mockupstream.ToolCall{{Name: "read", Input: `{"path":"a"}`}}},
	)})
	tool := `"tools":[{"functionDeclarations":[{"name":"read"}]}],`
	body := strings.Replace(contents, "{", "{"+tool, 1)
	want := mockupstream.Usage{Input: 104, Output: 3, CacheRead: 100, Reasoning: 7}
	for _, tc := range []struct{ operation, contentType string }{
		{"generateContent", "application/json"},
		{"streamGenerateContent?alt=sse", "text/event-stream; charset=utf-8"},
		{"streamGenerateContent", "application/json; charset=UTF-8"},
	} {
		res, got := do(t, geminiRequest(t, "POST", url+"/v1beta/models/m:"+tc.operation, goodKey, body))
		if res.StatusCode != 200 || res.Header.Get("Content-Type") != tc.contentType {
			t.Fatalf("%s: %d %s", tc.operation, res.StatusCode, got)
		}
		var docs []gjson.Result
		switch {
		case strings.HasSuffix(tc.operation, "sse"):
			for event := range strings.SplitSeq(strings.TrimSuffix(got, "\r\n\r\n"), "\r\n\r\n") {
				docs = append(docs, gjson.Parse(strings.TrimPrefix(event, "data: ")))
			}
		case gjson.Parse(got).IsArray():
			docs = gjson.Parse(got).Array()
		default:
			docs = []gjson.Result{gjson.Parse(got)}
		}
		var text, call string
		for _, d := range docs {
			for _, part := range d.Get("candidates.0.content.parts").Array() {
				text += part.Get("text").String()
				call += part.Get("functionCall.name").String() + part.Get("functionCall.args.path").String()
			}
		}
		last := docs[len(docs)-1]
		if text != "two words" || call != "reada" || last.Get("candidates.0.finishReason").String() != "STOP" || last.Get("modelVersion").String() != "m" {
			t.Errorf("%s: %s", tc.operation, got)
		}
		u := last.Get("usageMetadata")
		said := mockupstream.Usage{
			Input: int(u.Get("promptTokenCount").Int()), Output: int(u.Get("candidatesTokenCount").Int()),
			CacheRead: int(u.Get("cachedContentTokenCount").Int()), Reasoning: int(u.Get("thoughtsTokenCount").Int()),
		}
		all := up.Requests()
		if counted := all[len(all)-1].Usage; said != want || counted != want || u.Get("totalTokenCount").Int() != 114 {
			t.Errorf("%s: it says %+v and counts %+v, want %+v", tc.operation, said, counted, want)
		}
	}
}

func TestGeminiBesidesContents(t *testing.T) {
	t.Parallel()
	up, url := newServer(t, mockupstream.Config{RetryAfter: 1500 * time.Millisecond})
	embed := `{"content":{"parts":[{"text":"a b c"}]},"outputDimensionality":2}`
	for _, tc := range []struct {
		name, method, path, key, body string
		status                        int
		field, want                   string
	}{
		{"an echo", "POST", "m:generateContent", goodKey, contents, 200, "candidates.0.content.parts.0.text", "This is the Gatehouse mock upstream. You said: hello there"},
		{"tokens", "POST", "m:countTokens", goodKey, contents, 200, "totalTokens", "4"},
		{"one embedding", "POST", "e:embedContent", goodKey, embed, 200, "embedding.values.#", "2"},
		{"many embeddings", "POST", "e:batchEmbedContents", goodKey, `{"requests":[` + embed + `,` + embed + `]}`, 200, "embeddings.#", "2"},
		{"a model", "GET", "mock-gemini", goodKey, "", 200, "name", "models/mock-gemini"},
		{"no such model", "GET", "other", goodKey, "", 404, "error.status", "NOT_FOUND"},
		{"no such operation", "POST", "m:predict", goodKey, contents, 404, "error.status", "NOT_FOUND"},
		{"nothing said", "POST", "m:generateContent", goodKey, `{"contents":[]}`, 400, "error.status", "INVALID_ARGUMENT"},
		{"no key", "POST", "m:generateContent", "", contents, 403, "error.status", "PERMISSION_DENIED"},
		{"an unknown key", "POST", "m:generateContent", "mock-key-of-nobody", contents, 400, "error.details.0.reason", "API_KEY_INVALID"},
		{"a rate limit", "POST", "m:generateContent", "mock-key-that-must-wait", contents, 429, "error.details.2.retryDelay", "2s"},
		{"a spent quota", "POST", "m:generateContent", "mock-key-that-is-spent", contents, 429, "error.details.0.violations.0.quotaId", "GenerateRequestsPerDayPerProjectPerModel"},
		{"overload", "POST", "m:streamGenerateContent?alt=sse", "mock-key-that-is-too-much", contents, 503, "error.status", "UNAVAILABLE"},
		{"overload of what would be a list", "POST", "m:streamGenerateContent", "mock-key-that-is-too-much", contents, 503, "0.error.status", "UNAVAILABLE"},
	} {
		res, got := do(t, geminiRequest(t, tc.method, url+"/v1beta/models/"+tc.path, tc.key, tc.body))
		if res.StatusCode != tc.status || gjson.Get(got, tc.field).String() != tc.want {
			t.Errorf("%s: %d %s, want %d with %s %q", tc.name, res.StatusCode, got, tc.status, tc.field, tc.want)
		}
	}
	if _, got := do(t, geminiRequest(t, "GET", url+"/v1beta/models", goodKey, "")); gjson.Get(got, "models.#").Int() != 1 {
		t.Errorf("the models are %s", got)
	}
	var embedded int
	for _, r := range up.Requests() {
		if strings.Contains(r.Path, "mbedContent") {
			embedded += r.Usage.Input
		}
	}
	if embedded != 9 {
		t.Errorf("embeddings counted %d tokens, want 9", embedded)
	}
}
