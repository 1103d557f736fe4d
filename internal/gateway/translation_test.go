package gateway_test

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	"github.com/gatehousehq/gatehouse/internal/gateway"
	"github.com/gatehousehq/gatehouse/internal/mockupstream"
	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/usage"
)

// A clientForm is how a client of an API asks, and where it finds what it is told.
type clientForm struct {
	path     string
	body     string // has a %s for the model and a %t for whether to stream
	text     string // where the text of a whole answer is
	tool     string // where the name of a tool that is called is
	delta    string // where a piece of the text of an event is
	end      string // what the last event of a stream has in it
	messages bool
}

var clientForms = map[string]clientForm{
	"chat completions": {
		path: "chat/completions",
		body: `{"model":"%s","stream":%t,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"Say hello."}],` +
			`"tools":[{"type":"function","function":{"name":"look","parameters":{"type":"object","properties":{"at":{"type":"string"}}}}}]}`,
		text: "choices.0.message.content", tool: "choices.0.message.tool_calls.0.function.name", delta: "choices.0.delta.content", end: "[DONE]",
	},
	"responses": {
		path: "responses",
		body: `{"model":"%s","stream":%t,"input":"Say hello.","store":false,"tools":[{"type":"function","name":"look","parameters":{"type":"object","properties":{"at":{"type":"string"}}}}]}`,
		text: `output.#(type=="message").content.0.text`, tool: `output.#(type=="function_call").name`, delta: "delta", end: "response.completed",
	},
	"messages": {
		path:     "messages",
		messages: true,
		body:     `{"model":"%s","stream":%t,"max_tokens":100,"messages":[{"role":"user","content":"Say hello."}],"tools":[{"name":"look","input_schema":{"type":"object","properties":{"at":{"type":"string"}}}}]}`,
		text:     `content.#(type=="text").text`, tool: `content.#(type=="tool_use").name`, delta: "delta.text", end: "message_stop",
	},
}

func (f clientForm) request(model string, stream bool) string {
	body := fmt.Sprintf(f.body, model, stream)
	if !stream {
		body = strings.Replace(body, `"stream_options":{"include_usage":true},`, "", 1)
	}
	return body
}

// streamed reads the text out of a stream, and whether it is at its end.
func (f clientForm) streamed(body string) (text string, whole bool) {
	for line := range strings.SplitSeq(body, "\n") {
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		whole = strings.Contains(data, f.end)
		// Responses has deltas of arguments, too.
		if kind := gjson.Get(data, "type").Str; !strings.Contains(kind, "arguments") {
			text += gjson.Get(data, f.delta).Str
		}
	}
	return text, whole
}

const says = "Hello from the other side."

// mocked adds a provider on a mock that says the text and calls a tool.
func (h *house) mocked(name string, dialect routing.Dialect, behaviour mockupstream.Behaviour) *mockupstream.Upstream {
	h.t.Helper()
	k := key(name)
	up := mockupstream.New(mockupstream.Config{
		Keys: map[secret.Text]mockupstream.Key{k.Secret: {Label: name, Behaviour: behaviour}},
		Script: func(mockupstream.Conversation) (mockupstream.Turn, bool) {
			return mockupstream.Turn{Text: says, Calls: []mockupstream.ToolCall{{Name: "look", Input: `{"at":"it"}`}}, CacheRead: 7, CacheWrite: 0, Reasoning: 5}, true
		},
	})
	h.named(name, dialect, up.ServeHTTP, k)
	return up
}

// counted is what an upstream counted last, as records have it.
func counted(up *mockupstream.Upstream) usage.Tokens {
	all := up.Requests()
	u := all[len(all)-1].Usage
	return usage.Tokens{
		Input: int64(u.Input), Output: int64(u.Output), CacheRead: int64(u.CacheRead), CacheWrite: int64(u.CacheWrite), Reasoning: int64(u.Reasoning), Known: true,
	}
}

// A client of each API is served by a provider that speaks another, whole and in
// streams, and what was used is recorded as the provider counted it.
func TestTranslatedTargets(t *testing.T) {
	t.Parallel()
	for name, form := range clientForms {
		for _, stream := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, stream %t", name, stream), func(t *testing.T) {
				t.Parallel()
				h := newHouse(t)
				dialect, path := routing.Anthropic, "/v1/messages"
				if form.messages {
					dialect, path = routing.OpenAI, "/v1/chat/completions"
				}
				up := h.mocked("other", dialect, mockupstream.OK)
				h.addRoute("fast", []string{"other/the-model"})
				for _, model := range []string{"fast", "other/the-model"} {
					req := h.request("POST", "/ai/v1/"+form.path+"?beta=true", form.request(model, stream))
					for k, v := range map[string]string{"Anthropic-Beta": "b", "Openai-Beta": "b", "X-Stainless-Lang": "js", "Accept-Encoding": "gzip, br", "Idempotency-Key": "i"} {
						req.Header.Set(k, v)
					}
					got := h.do(req)
					got.guarded(t)
					rec := h.record()
					text, tool, whole := gjson.Get(got.body, form.text).Str, gjson.Get(got.body, form.tool).Str, true
					if stream {
						text, whole = form.streamed(got.body)
						tool = map[bool]string{true: "look"}[strings.Contains(got.body, `"look"`)]
					}
					if got.status != 200 || got.err != nil || text != says || tool != "look" || !whole {
						t.Fatalf("%d %v %q %q, whole %t\n%s", got.status, got.err, text, tool, whole, got.body)
					}
					if kind := got.header.Get("Content-Type"); strings.HasPrefix(kind, "text/event-stream") != stream || !stream && kind != "application/json" {
						t.Errorf("Content-Type %q", kind)
					}
					if rec.Tokens != counted(up) || rec.Tokens.Input == 0 || rec.ActualModel != "the-model" || rec.Model != model || rec.Endpoint != form.path || rec.Path != form.path || rec.Provider != "other" {
						t.Errorf("recorded as %+v, the upstream counted %+v", rec, counted(up))
					}
					if rec.ResponseBytes != int64(len(got.body)) {
						t.Errorf("%d bytes were recorded of %d", rec.ResponseBytes, len(got.body))
					}
					all := up.Requests()
					sent := all[len(all)-1]
					if sent.Path != path || sent.Header.Get("Anthropic-Beta")+sent.Header.Get("Openai-Beta")+sent.Header.Get("X-Stainless-Lang") != "" || sent.Header.Get("Idempotency-Key") != "i" {
						t.Errorf("sent to %s with %v", sent.Path, sent.Header)
					}
				}
			})
		}
	}
}

// A request fails over from a provider of its own API to one of another, and the
// other way round: each gets the body in its own form.
func TestFailoverAcrossAPIs(t *testing.T) {
	t.Parallel()
	for name, form := range clientForms {
		for _, targets := range [][]string{{"down-open/a", "down-claude/b", "open/c", "claude/d"}, {"down-claude/b", "down-open/a", "claude/d", "open/c"}} {
			t.Run(name+" to "+targets[2], func(t *testing.T) {
				t.Parallel()
				h := newHouse(t)
				h.mocked("down-open", routing.OpenAI, mockupstream.Overloaded)
				h.mocked("down-claude", routing.Anthropic, mockupstream.RateLimited)
				ups := map[string]*mockupstream.Upstream{
					"open": h.mocked("open", routing.OpenAI, mockupstream.OK), "claude": h.mocked("claude", routing.Anthropic, mockupstream.OK),
				}
				h.addRoute("fast", targets)
				got := h.shared(form.path, form.request("fast", true))
				rec := h.record()
				if text, whole := form.streamed(got.body); got.status != 200 || text != says || !whole {
					t.Fatalf("%d %s", got.status, got.body)
				}
				want := strings.Split(targets[2], "/")[0]
				if rec.Provider != want || len(rec.Attempts) != 3 || rec.Tokens != counted(ups[want]) {
					t.Errorf("recorded as %+v", rec)
				}
			})
		}
	}
}

// A provider that is not to be asked at the client's path is asked at another: so one
// without Responses serves clients that have nothing else.
func TestPathsThatAProviderDoesNotServeAreTranslated(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	up := h.mocked("open", routing.OpenAI, mockupstream.OK)
	for _, tc := range []struct {
		client string
		paths  []string
		asked  string // "" is refused
		reason string
	}{
		{"responses", []string{"chat/*"}, "/v1/chat/completions", ""},
		{"responses", nil, "/v1/responses", ""},
		{"responses", []string{"responses", "chat/completions"}, "/v1/responses", ""},
		{"chat completions", []string{"responses"}, "/v1/responses", ""},
		{"messages", []string{"responses"}, "/v1/responses", ""},
		{"messages", []string{"models"}, "", "no_speaker"},
		{"responses", []string{"embeddings"}, "", "path_not_served"},
	} {
		p := *h.snapshot.Load().Provider("open")
		p.Paths = tc.paths
		h.addProvider(&p)
		form := clientForms[tc.client]
		before := len(up.Requests())
		got := h.shared(form.path, form.request("open/m", true))
		asked := ""
		if all := up.Requests(); len(all) > before {
			asked = all[before].Path
		}
		text, whole := form.streamed(got.body)
		if served := got.status == 200 && text == says && whole; asked != tc.asked || served != (asked != "") || h.record().Reason != tc.reason {
			t.Errorf("%s with %v: asked %q, %d %s", tc.client, tc.paths, asked, got.status, got.body)
		}
	}
}

// A client of Chat Completions reaches Claude on Bedrock: what Bedrock's dialect
// does comes after the translation.
func TestTranslatedToBedrock(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.amazon("", pairLimited, pairGood)
	h.addRoute("fast", []string{"bedrock/claude"})
	form := clientForms["chat completions"]
	for _, stream := range []bool{false, true} {
		got := h.shared(form.path, form.request("fast", stream))
		rec := h.record()
		text := gjson.Get(got.body, form.text).Str
		if stream {
			text, _ = form.streamed(got.body)
		}
		if got.status != 200 || text == "" || !rec.Tokens.Known || rec.ActualModel == "" {
			t.Errorf("stream %t: %d %s, recorded as %+v", stream, got.status, got.body, rec)
		}
	}
}

// Errors of an upstream come in the form of the client, with their status, and
// nothing of a stream that broke off looks whole.
func TestErrorsAreTranslated(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var d desk
	h.named("claude", routing.Anthropic, d.at("claude", reply{status: 400, body: `{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: too large"}}`, header: http.Header{"Content-Type": {"application/json"}, "Anthropic-Ratelimit-Requests-Remaining": {"1"}}}), key("a"))
	h.named("open", routing.OpenAI, d.at("open", reply{status: 413, body: "too large"}), key("b"))
	h.named("leaky", routing.OpenAI, d.at("leaky", reply{status: 400, body: `{"error":{"message":"bad key ` + key("c").Secret.Reveal() + `"}}`}), key("c"))
	for _, tc := range []struct {
		form, model string
		status      int
		dialect     routing.Dialect
		says        string
	}{
		{"chat completions", "claude/m", 400, routing.OpenAI, "max_tokens: too large"},
		{"responses", "claude/m", 400, routing.OpenAI, "max_tokens: too large"},
		{"messages", "open/m", 413, routing.Anthropic, ""},
		{"messages", "leaky/m", 502, routing.Anthropic, "withheld"},
	} {
		form := clientForms[tc.form]
		got := h.shared(form.path, form.request(tc.model, true))
		var doc struct {
			Type  string
			Error struct{ Type, Message string }
		}
		if err := json.Unmarshal([]byte(got.body), &doc); err != nil || got.status != tc.status || doc.Error.Type == "" || (doc.Type == "error") != (tc.dialect == routing.Anthropic) ||
			!strings.Contains(doc.Error.Message, tc.says) || got.header.Get("Content-Type") != "application/json" || got.header.Get("Anthropic-Ratelimit-Requests-Remaining") != "" {
			t.Errorf("%s at %s: %d %v %s", tc.form, tc.model, got.status, got.header, got.body)
		}
	}

	// What cannot be translated is refused before anything is sent, or goes to a
	// target that speaks it.
	d.take()
	h.named("spare", routing.OpenAI, d.at("spare"), key("d"))
	h.addRoute("either", []string{"claude/m", "spare/n"})
	got := h.shared("chat/completions", `{"model":"claude/m","n":2,"messages":[{"role":"user","content":"x"}]}`)
	if msg := got.message(t, routing.OpenAI); got.status != 400 || !strings.Contains(msg, "n cannot be translated") {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := h.shared("chat/completions", `{"model":"either","n":2,"messages":[{"role":"user","content":"x"}]}`); got.body != "welcome to spare" {
		t.Errorf("%d %s", got.status, got.body)
	}
	if diff := cmp.Diff([]string{`spare /v1/chat/completions {"model":"n","n":2,"messages":[{"role":"user","content":"x"}]}`}, d.take()); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
}

func TestTranslatedAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	const begun = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[],\"model\":\"m\",\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n" +
		"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n" +
		"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hel\"}}\n\n"
	for name, answer := range map[string]http.HandlerFunc{
		"a page": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, "<html>")
		},
		"another API": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"object":"list","data":[]}`)
		},
		"compressed, though it was not asked for": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Header().Set("Content-Type", "text/event-stream") // of which the client would have the beginning
			z := gzip.NewWriter(w)
			io.WriteString(z, begun)
			z.Close()
		},
		"longer than is held": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"id":"m","type":"message","role":"assistant","model":"m","stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1},"content":[{"type":"text","text":"`)
			io.WriteString(w, strings.Repeat("a", 32<<20))
			io.WriteString(w, `"}]}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			p := h.named("claude", routing.Anthropic, answer, key("a"), key("b"))
			h.mocked("open", routing.OpenAI, mockupstream.OK)
			h.addRoute("fast", []string{"claude/m", "open/n"})
			form := clientForms["chat completions"]
			got := h.shared(form.path, form.request("fast", false))
			rec := h.record()
			if got.status != 200 || len(rec.Attempts) != 2 || rec.Attempts[0].Outcome != usage.Unreadable || !rec.Attempts[0].BilledTwice {
				t.Errorf("with another target: %d %s, %+v", got.status, got.body, rec.Attempts)
			}
			got = h.shared(form.path, form.request("claude/m", false))
			if rec := h.record(); got.message(t, routing.OpenAI) == "" || got.status != 502 || rec.Reason != "answer_unreadable" || len(rec.Attempts) != 1 || rec.Attempts[0].BilledTwice {
				t.Errorf("alone: %d %s, %+v", got.status, got.body, rec)
			}
			careful := *p
			careful.NoReplay = true
			h.addProvider(&careful)
			got = h.shared(form.path, form.request("fast", false))
			if rec := h.record(); got.status != 502 || got.header.Get("X-Should-Retry") != "false" || len(rec.Attempts) != 1 {
				t.Errorf("where it must not be sent again: %d %s, %+v", got.status, got.body, rec)
			}
		})
	}
	t.Run("a stream that breaks off", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		h.named("claude", routing.Anthropic, func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, begun)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, key("a"))
		for name, form := range clientForms {
			if form.messages {
				continue
			}
			got := h.shared(form.path, form.request("claude/m", true))
			rec := h.record()
			text, whole := form.streamed(got.body)
			if got.status != 200 || text != "Hel" || whole || got.err == nil || rec.Reason != "upstream_aborted" || rec.Tokens.Input != 3 {
				t.Errorf("%s: %d, text %q, whole %t, %v, recorded as %+v\n%s", name, got.status, text, whole, got.err, rec, got.body)
			}
		}
	})
}

// The memory of a body and of its translation is given back, and counts.
func TestMemoryOfTranslatedBodies(t *testing.T) {
	t.Parallel()
	form := clientForms["messages"]
	body := strings.Replace(form.request("fast", false), "Say hello.", strings.Repeat("x", 2000), 1)
	h := newHouse(t, func(c *gateway.Config) { c.MaxReplayBody, c.MaxReplayMemory = 4000, 6000 })
	h.mocked("down", routing.OpenAI, mockupstream.Overloaded)
	patient := *h.snapshot.Load().Provider("down")
	patient.NoBreaker = true
	h.addProvider(&patient)
	h.mocked("claude", routing.Anthropic, mockupstream.OK)
	h.mocked("open", routing.OpenAI, mockupstream.OK)
	h.addRoute("fast", []string{"down/a", "down/b", "down/c", "down/d", "claude/m"})
	for range 5 {
		if got := h.shared(form.path, body); got.status != 200 {
			t.Fatalf("%d %s", got.status, got.body)
		}
		if rec := h.record(); len(rec.Attempts) != 5 || rec.RequestBytes != int64(len(body)) {
			t.Fatalf("recorded as %+v", rec)
		}
	}
	large := strings.Replace(form.request("open/m", false), "Say hello.", strings.Repeat("x", 3500), 1)
	if got := h.shared(form.path, large); got.status != 429 || h.record().Reason != "body_memory" {
		t.Errorf("without room for the translation: %d %s", got.status, got.body)
	}
}

// A stream passes on as it comes: each event of the upstream is an event at the
// client before the next one is sent.
func TestTranslatedStreamsAreNotHeldBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	goOn := make(chan struct{})
	events := []string{
		`{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","content":[],"model":"m","usage":{"input_tokens":3,"output_tokens":1}}}`,
		`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`,
	}
	for i := range 5 {
		events = append(events, fmt.Sprintf(`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"piece %d."}}`, i))
	}
	events = append(events, `{"type":"content_block_stop","index":0}`,
		`{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}}`, `{"type":"message_stop"}`)
	h.named("claude", routing.Anthropic, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		for _, e := range events {
			fmt.Fprintf(w, "event: x\ndata: %s\n\n", e)
			w.(http.Flusher).Flush()
			if strings.Contains(e, "text_delta") {
				<-goOn
			}
		}
	}, key("a"))
	form := clientForms["chat completions"]
	res, err := h.client.Do(h.request("POST", "/ai/v1/"+form.path, form.request("claude/m", true)))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var all []byte
	buf := make([]byte, 4096)
	for i := range 5 {
		for !strings.Contains(string(all), fmt.Sprintf("piece %d", i)) {
			n, err := res.Body.Read(buf)
			if all = append(all, buf[:n]...); err != nil {
				t.Fatalf("before piece %d: %v\n%s", i, err, all)
			}
		}
		goOn <- struct{}{}
	}
	rest, err := io.ReadAll(res.Body)
	if text, whole := form.streamed(string(append(all, rest...))); err != nil || text != "piece 0.piece 1.piece 2.piece 3.piece 4." || !whole {
		t.Errorf("%q, whole %t, %v", text, whole, err)
	}
}
