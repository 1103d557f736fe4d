package mockupstream_test

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	"github.com/gatehousehq/gatehouse/internal/mockupstream"
	"github.com/gatehousehq/gatehouse/internal/secret"
)

// The keys of these tests, by what they do.
var keys = map[string]mockupstream.Behaviour{
	"mock-key-that-is-fine":      mockupstream.OK,
	"mock-key-that-must-wait":    mockupstream.RateLimited,
	"mock-key-that-was-revoked":  mockupstream.Invalid,
	"mock-key-that-is-spent":     mockupstream.Exhausted,
	"mock-key-that-is-too-much":  mockupstream.Overloaded,
	"mock-key-that-says-nothing": mockupstream.Stall,
	"mock-key-that-breaks-off":   mockupstream.Reset,
}

const goodKey = "mock-key-that-is-fine"

func at() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

func newUpstream(cfg mockupstream.Config) *mockupstream.Upstream {
	cfg.Now = at
	cfg.Keys = map[secret.Text]mockupstream.Key{}
	for key, does := range keys {
		cfg.Keys[secret.New(key)] = mockupstream.Key{Label: does.String(), Behaviour: does}
	}
	return mockupstream.New(cfg)
}

func newServer(t *testing.T, cfg mockupstream.Config) (*mockupstream.Upstream, string) {
	t.Helper()
	up := newUpstream(cfg)
	srv := httptest.NewServer(up)
	t.Cleanup(srv.Close)
	return up, srv.URL
}

// newRequest makes a request as the vendor of path would get it.
func newRequest(t *testing.T, method, url, key, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(url, "/messages") {
		req.Header.Set("Anthropic-Version", "2023-06-01")
		req.Header.Set("X-Api-Key", key)
	} else {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	return req
}

func do(t *testing.T, req *http.Request) (*http.Response, string) {
	t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func post(t *testing.T, url, key, body string) (*http.Response, string) {
	t.Helper()
	return do(t, newRequest(t, http.MethodPost, url, key, body))
}

// An event is one server-sent event.
type event struct{ name, data string }

func events(t *testing.T, stream string) []event {
	t.Helper()
	var list []event
	var e event
	lines := bufio.NewScanner(strings.NewReader(stream))
	for lines.Scan() {
		switch field, value, _ := strings.Cut(lines.Text(), ": "); field {
		case "event":
			e.name = value
		case "data":
			e.data = value
			if value != "[DONE]" && !gjson.Valid(value) {
				t.Errorf("event %q has no JSON: %s", e.name, value)
			}
		case "":
			list = append(list, e)
			e = event{}
		default:
			t.Errorf("unexpected line %q", lines.Text())
		}
	}
	if e != (event{}) {
		t.Errorf("the stream ends within the event %+v", e)
	}
	return list
}

// check compares fields of a JSON document with what they should be, as text.
func check(t *testing.T, doc string, want map[string]string) {
	t.Helper()
	if !gjson.Valid(doc) {
		t.Fatalf("not JSON: %s", doc)
	}
	got := map[string]string{}
	for path := range want {
		got[path] = gjson.Get(doc, path).String()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields differ (-want +got):\n%s\nin %s", diff, doc)
	}
}

const echo = "This is the Gatehouse mock upstream. You said: "

func TestChatCompletions(t *testing.T) {
	t.Parallel()
	_, url := newServer(t, mockupstream.Config{})
	const body = `{"model":"gpt-x","messages":[{"role":"system","content":"be brief"},` +
		`{"role":"user","content":"first"},{"role":"assistant","content":"ok"},{"role":"user","content":[{"type":"text","text":"hello \"you\""}]}]`

	res, whole := post(t, url+"/v1/chat/completions", goodKey, body+"}")
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "application/json" {
		t.Errorf("got %d, %q", res.StatusCode, res.Header.Get("Content-Type"))
	}
	check(t, whole, map[string]string{
		"object": "chat.completion", "model": "gpt-x", "created": "1795435200",
		"choices.0.message.role": "assistant", "choices.0.message.content": echo + `hello "you"`,
		"choices.0.finish_reason": "stop",
		"usage.prompt_tokens":     "6", "usage.completion_tokens": "10", "usage.total_tokens": "16",
	})

	res, stream := post(t, url+"/v1/chat/completions", goodKey, body+`,"stream":true,"stream_options":{"include_usage":true}}`)
	if got := res.Header.Get("Content-Type"); got != "text/event-stream; charset=utf-8" {
		t.Errorf("content type %q", got)
	}
	list := events(t, stream)
	if last := list[len(list)-1].data; last != "[DONE]" {
		t.Fatalf("last event %q", last)
	}
	var text strings.Builder
	ids := map[string]bool{}
	for _, e := range list[:len(list)-1] {
		text.WriteString(gjson.Get(e.data, "choices.0.delta.content").String())
		ids[gjson.Get(e.data, "id").String()] = true
		check(t, e.data, map[string]string{"object": "chat.completion.chunk", "model": "gpt-x"})
	}
	if got, want := text.String(), gjson.Get(whole, "choices.0.message.content").String(); got != want {
		t.Errorf("streamed %q, want %q", got, want)
	}
	if len(ids) != 1 {
		t.Errorf("chunks have %d ids, want one", len(ids))
	}
	check(t, list[0].data, map[string]string{"choices.0.delta.role": "assistant", "usage": ""})
	check(t, list[len(list)-3].data, map[string]string{"choices.0.finish_reason": "stop"})
	check(t, list[len(list)-2].data, map[string]string{"choices.#": "0", "usage": gjson.Get(whole, "usage").Raw})

	_, plain := post(t, url+"/v1/chat/completions", goodKey, body+`,"stream":true}`)
	if strings.Contains(plain, "usage") {
		t.Error("a stream without include_usage says usage")
	}
}

func TestResponses(t *testing.T) {
	t.Parallel()
	_, url := newServer(t, mockupstream.Config{})
	_, whole := post(t, url+"/v1/responses", goodKey, `{"model":"gpt-x","instructions":"be very brief","input":"hello you"}`)
	check(t, whole, map[string]string{
		"object": "response", "status": "completed", "model": "gpt-x", "created_at": "1795435200",
		"output.0.type": "message", "output.0.status": "completed",
		"output.0.content.0.type": "output_text", "output.0.content.0.text": echo + "hello you",
		"usage.input_tokens": "5", "usage.output_tokens": "10", "usage.total_tokens": "15",
	})

	_, stream := post(t, url+"/v1/responses", goodKey, `{"model":"gpt-x","stream":true,"instructions":"be very brief",`+
		`"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"hello you"}]}]}`)
	list := events(t, stream)
	var text strings.Builder
	var names []string
	for i, e := range list {
		check(t, e.data, map[string]string{"type": e.name, "sequence_number": strconv.Itoa(i)})
		text.WriteString(gjson.Get(e.data, "delta").String())
		if len(names) == 0 || names[len(names)-1] != e.name {
			names = append(names, e.name)
		}
	}
	if diff := cmp.Diff([]string{
		"response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
		"response.output_text.delta", "response.output_text.done", "response.content_part.done",
		"response.output_item.done", "response.completed",
	}, names); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	completed := gjson.Get(list[len(list)-1].data, "response")
	for path, want := range map[string]string{
		"output.0.content.0.text": text.String(), "usage": gjson.Get(whole, "usage").Raw, "status": "completed",
	} {
		if got := completed.Get(path).String(); got != want {
			t.Errorf("response.completed: %s is %q, want %q", path, got, want)
		}
	}
	if text.String() != echo+"hello you" {
		t.Errorf("streamed %q", text.String())
	}
	check(t, list[0].data, map[string]string{"response.status": "in_progress", "response.output.#": "0", "response.usage": ""})
}

func TestMessages(t *testing.T) {
	t.Parallel()
	_, url := newServer(t, mockupstream.Config{})
	const body = `{"model":"claude-x","max_tokens":99,"system":[{"type":"text","text":"be brief"}],` +
		`"messages":[{"role":"user","content":[{"type":"text","text":"<reminder> x"},{"type":"text","text":"hello you"}]}]`
	_, whole := post(t, url+"/v1/messages?beta=true", goodKey, body+"}")
	check(t, whole, map[string]string{
		"type": "message", "role": "assistant", "model": "claude-x", "stop_reason": "end_turn",
		"content.0.type": "text", "content.0.text": echo + "hello you",
		"usage.input_tokens": "6", "usage.output_tokens": "10",
	})
	_, count := post(t, url+"/v1/messages/count_tokens", goodKey, body+"}")
	if count != `{"input_tokens":6}` {
		t.Errorf("count_tokens: %s", count)
	}

	_, stream := post(t, url+"/v1/messages", goodKey, body+`,"stream":true}`)
	var text strings.Builder
	var names []string
	list := events(t, stream)
	for _, e := range list {
		check(t, e.data, map[string]string{"type": e.name})
		text.WriteString(gjson.Get(e.data, "delta.text").String())
		if len(names) == 0 || names[len(names)-1] != e.name {
			names = append(names, e.name)
		}
	}
	if diff := cmp.Diff([]string{
		"message_start", "content_block_start", "ping", "content_block_delta",
		"content_block_stop", "message_delta", "message_stop",
	}, names); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if text.String() != echo+"hello you" {
		t.Errorf("streamed %q", text.String())
	}
	check(t, list[0].data, map[string]string{"message.usage.input_tokens": "6", "message.content.#": "0", "message.stop_reason": ""})
	check(t, list[len(list)-2].data, map[string]string{"delta.stop_reason": "end_turn", "usage.output_tokens": "10"})
}

func TestEmbeddings(t *testing.T) {
	t.Parallel()
	_, url := newServer(t, mockupstream.Config{})
	_, floats := post(t, url+"/v1/embeddings", goodKey, `{"model":"e","input":["a b","c","a b"],"dimensions":3}`)
	check(t, floats, map[string]string{
		"object": "list", "data.#": "3", "data.1.index": "1", "data.0.embedding.#": "3",
		"data.0.embedding":    gjson.Get(floats, "data.2.embedding").Raw,
		"usage.prompt_tokens": "5", "usage.total_tokens": "5",
	})
	var square float64
	for _, v := range gjson.Get(floats, "data.0.embedding").Array() {
		square += v.Float() * v.Float()
	}
	if square < 0.9999 || square > 1.0001 {
		t.Errorf("the vector's length is not 1: %v", square)
	}
	_, base64 := post(t, url+"/v1/embeddings", goodKey, `{"model":"e","input":"a b","encoding_format":"base64"}`)
	if got := len(gjson.Get(base64, "data.0.embedding").String()); got != 1536*4*4/3 {
		t.Errorf("the default vector has %d characters of base64", got)
	}
}

func TestModelsHaveTheShapeOfTheAsker(t *testing.T) {
	t.Parallel()
	_, url := newServer(t, mockupstream.Config{})
	get := func(path string, anthropic bool) (*http.Response, string) {
		req := newRequest(t, http.MethodGet, url+path, goodKey, "")
		if anthropic {
			req.Header.Set("Anthropic-Version", "2026-10-21")
		}
		return do(t, req)
	}
	_, list := get("/v1/models", false)
	check(t, list, map[string]string{"object": "list", "data.0.id": mockupstream.ChatModel, "data.0.object": "model"})
	_, one := get("/v1/models/"+mockupstream.EmbeddingModel, false)
	check(t, one, map[string]string{"id": mockupstream.EmbeddingModel, "object": "model"})
	res, none := get("/v1/models/none", false)
	check(t, none, map[string]string{"error.code": "model_not_found"})
	if res.StatusCode != http.StatusNotFound {
		t.Errorf("unknown model: %d", res.StatusCode)
	}

	_, list = get("/v1/models?limit=20", true)
	check(t, list, map[string]string{"has_more": "false", "first_id": mockupstream.ClaudeModel, "data.0.type": "model"})
	_, one = get("/v1/models/"+mockupstream.ClaudeModel, true)
	check(t, one, map[string]string{"id": mockupstream.ClaudeModel, "display_name": "Mock Claude"})
	res, none = get("/v1/models/none", true)
	check(t, none, map[string]string{"type": "error", "error.type": "not_found_error"})
	if res.StatusCode != http.StatusNotFound {
		t.Errorf("unknown model: %d", res.StatusCode)
	}
}
