package mockupstream_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	"github.com/gatehousehq/gatehouse/internal/mockupstream"
	"github.com/gatehousehq/gatehouse/internal/secret"
)

// A dialect is how a conversation with tools is written in one API.
type dialect struct {
	path string
	// opening and later are the bodies of the first request and of the next,
	// without the end.
	opening, later string
	// usage is where a whole answer has it, and counted is what it says.
	usage   map[string]string
	counted mockupstream.Usage
	// text, names and inputs are where a whole answer has them.
	text, names, inputs string
	// sum adds the events of a stream up to texts and inputs.
	sum func(event) (text, input string)
}

const (
	weatherChat      = `{"type":"function","function":{"name":"weather","parameters":{}}}`
	weatherResponses = `{"type":"function","name":"weather","parameters":{}},{"type":"web_search"}`
	weatherMessages  = `{"name":"weather","input_schema":{"type":"object"}}`
)

var dialects = map[string]dialect{
	"chat completions": {
		path:    "/v1/chat/completions",
		opening: `{"model":"m","tools":[` + weatherChat + `],"messages":[{"role":"user","content":"how is it"}]`,
		later: `{"model":"m","tools":[` + weatherChat + `],"messages":[{"role":"user","content":"how is it"},` +
			`{"role":"assistant","content":"I look.","tool_calls":[{"id":"1"},{"id":"2"}]},` +
			`{"role":"tool","tool_call_id":"1","content":"cold"},{"role":"tool","tool_call_id":"2","content":[{"type":"text","text":"hot"}]}]`,
		usage: map[string]string{
			"usage.prompt_tokens": "10", "usage.completion_tokens": "11", "usage.total_tokens": "21",
			"usage.prompt_tokens_details.cached_tokens": "4", "usage.prompt_tokens_details.cache_write_tokens": "3", "usage.completion_tokens_details.reasoning_tokens": "6",
			"choices.0.finish_reason": "tool_calls",
		},
		counted: mockupstream.Usage{Input: 10, Output: 11, CacheRead: 4, CacheWrite: 3, Reasoning: 6},
		text:    "choices.0.message.content",
		names:   "choices.0.message.tool_calls.#.function.name", inputs: "choices.0.message.tool_calls.#.function.arguments",
		sum: func(e event) (string, string) {
			delta := gjson.Get(e.data, "choices.0.delta")
			return delta.Get("content").String(), delta.Get("tool_calls.0.function.arguments").String()
		},
	},
	"responses": {
		path:    "/v1/responses",
		opening: `{"model":"m","tools":[` + weatherResponses + `],"input":[{"role":"user","content":"how is it"}]`,
		later: `{"model":"m","tools":[` + weatherResponses + `],"input":[{"role":"user","content":"how is it"},` +
			`{"type":"reasoning","summary":[]},{"type":"message","role":"assistant","content":[{"type":"output_text","text":"I look."}]},` +
			`{"type":"function_call","call_id":"1"},{"type":"function_call","call_id":"2"},` +
			`{"type":"function_call_output","call_id":"1","output":"cold"},` +
			`{"type":"function_call_output","call_id":"2","output":[{"type":"input_text","text":"hot"}]}]`,
		usage: map[string]string{
			"usage.input_tokens": "10", "usage.output_tokens": "11", "usage.total_tokens": "21",
			"usage.input_tokens_details.cached_tokens": "4", "usage.input_tokens_details.cache_write_tokens": "3", "usage.output_tokens_details.reasoning_tokens": "6",
			"output.0.type": "message", "output.1.type": "function_call", "output.1.status": "completed",
		},
		counted: mockupstream.Usage{Input: 10, Output: 11, CacheRead: 4, CacheWrite: 3, Reasoning: 6},
		text:    "output.0.content.0.text",
		names:   "output.#(type==function_call)#.name", inputs: "output.#(type==function_call)#.arguments",
		sum: func(e event) (string, string) {
			delta := gjson.Get(e.data, "delta").String()
			if e.name == "response.function_call_arguments.delta" {
				return "", delta
			}
			return delta, ""
		},
	},
	"messages": {
		path:    "/v1/messages",
		opening: `{"model":"m","max_tokens":9,"tools":[` + weatherMessages + `],"messages":[{"role":"user","content":"how is it"}]`,
		later: `{"model":"m","max_tokens":9,"tools":[` + weatherMessages + `],"messages":[{"role":"user","content":"how is it"},` +
			`{"role":"assistant","content":[{"type":"text","text":"I look."},{"type":"tool_use","id":"1"},{"type":"tool_use","id":"2"}]},` +
			`{"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":"cold"},` +
			`{"type":"tool_result","tool_use_id":"2","content":[{"type":"text","text":"hot"}]}]}]`,
		usage: map[string]string{
			"usage.input_tokens": "3", "usage.output_tokens": "11",
			"usage.cache_read_input_tokens": "4", "usage.cache_creation_input_tokens": "3", "stop_reason": "tool_use",
			"usage.output_tokens_details.thinking_tokens": "6",
		},
		counted: mockupstream.Usage{Input: 3, Output: 11, CacheRead: 4, CacheWrite: 3, Reasoning: 6},
		text:    "content.0.text",
		names:   "content.#(type==tool_use)#.name", inputs: "content.#(type==tool_use)#.input",
		sum: func(e event) (string, string) {
			delta := gjson.Get(e.data, "delta")
			return delta.Get("text").String(), delta.Get("partial_json").String()
		},
	},
}

// The inputs of these calls are two words and one.
var turns = []mockupstream.Turn{
	{
		Text: "I look.", CacheRead: 4, CacheWrite: 3, Reasoning: 6,
		Calls: []mockupstream.ToolCall{{Name: "weather", Input: `{"city": "Ulm"}`}, {Name: "weather", Input: `{"city":"Rom"}`}},
	},
	{Text: "Cold in Ulm, hot in Rom."},
}

func TestAScriptIsPlayed(t *testing.T) {
	t.Parallel()
	for name, d := range dialects {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var seen []mockupstream.Conversation
			play := mockupstream.Play(turns...)
			up, url := newServer(t, mockupstream.Config{Script: func(c mockupstream.Conversation) (mockupstream.Turn, bool) {
				mu.Lock()
				defer mu.Unlock()
				seen = append(seen, c)
				return play(c)
			}})

			_, whole := post(t, url+d.path, goodKey, d.opening+"}")
			check(t, whole, d.usage)
			check(t, whole, map[string]string{d.text: "I look.", d.names: `["weather","weather"]`})
			var inputs strings.Builder
			for _, input := range gjson.Get(whole, d.inputs).Array() {
				inputs.WriteString(input.String())
			}
			if got, want := inputs.String(), `{"city": "Ulm"}{"city":"Rom"}`; got != want {
				t.Errorf("the inputs are %s, want %s", got, want)
			}

			_, stream := post(t, url+d.path, goodKey, d.opening+`,"stream":true,"stream_options":{"include_usage":true}}`)
			var streamedText, streamedInputs strings.Builder
			for _, e := range events(t, stream) {
				text, input := d.sum(e)
				streamedText.WriteString(text)
				streamedInputs.WriteString(input)
			}
			if streamedText.String() != "I look." || streamedInputs.String() != inputs.String() {
				t.Errorf("streamed %q and %s, want what the whole answer has", &streamedText, &streamedInputs)
			}

			_, last := post(t, url+d.path, goodKey, d.later+"}")
			check(t, last, map[string]string{d.text: "Cold in Ulm, hot in Rom."})
			if calls := gjson.Get(last, d.names).Array(); len(calls) != 0 {
				t.Errorf("the last turn calls %v", calls)
			}

			requests := up.Requests()
			for i, r := range requests[:2] {
				if r.Usage != d.counted {
					t.Errorf("request %d: counted %+v, want %+v", i, r.Usage, d.counted)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			tools := []string{"weather"}
			if name == "responses" {
				tools = append(tools, "web_search")
			}
			opening := mockupstream.Conversation{Model: "m", Said: "how is it", Tools: tools}
			later := opening
			later.Answers, later.Results = 1, []string{"cold", "hot"}
			if diff := cmp.Diff([]mockupstream.Conversation{opening, opening, later}, seen); diff != "" {
				t.Errorf("the script saw (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatIsNotInTheScriptIsEchoed(t *testing.T) {
	t.Parallel()
	_, url := newServer(t, mockupstream.Config{Script: mockupstream.Play(turns[0])})
	for name, body := range map[string]string{
		"no tools are offered":     `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"how is it"}]}`,
		"the script is at its end": dialects["messages"].later + "}",
	} {
		_, got := post(t, url+"/v1/messages", goodKey, body)
		check(t, got, map[string]string{"content.0.text": echo + "how is it", "stop_reason": "end_turn"})
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// A script may turn the keys, as a provider does in the middle of a session.
func TestAScriptMayChangeTheKeys(t *testing.T) {
	t.Parallel()
	var up *mockupstream.Upstream
	up, url := newServer(t, mockupstream.Config{Script: func(mockupstream.Conversation) (mockupstream.Turn, bool) {
		up.SetKey(secret.New(goodKey), mockupstream.Key{Label: "revoked", Behaviour: mockupstream.Invalid})
		return mockupstream.Turn{Text: "the last"}, true
	}})
	for i, want := range []int{http.StatusOK, http.StatusUnauthorized} {
		if res, body := post(t, url+"/v1/messages", goodKey, dialects["messages"].opening+"}"); res.StatusCode != want {
			t.Errorf("request %d: %d, want %d: %s", i, res.StatusCode, want, body)
		}
	}
}

func TestUsageIsCountedAsItIsSaid(t *testing.T) {
	t.Parallel()
	const said = `"messages":[{"role":"user","content":"how is it"}]`
	for _, c := range []struct {
		name, path, body string
		want             mockupstream.Usage
	}{
		{"an echo", "/v1/messages", `{"model":"m","max_tokens":9,` + said + `}`, mockupstream.Usage{Input: 3, Output: 11}},
		{"a stream that says it", "/v1/chat/completions", `{"model":"m","stream":true,"stream_options":{"include_usage":true},` + said + `}`, mockupstream.Usage{Input: 3, Output: 11}},
		{"a stream that was not asked", "/v1/chat/completions", `{"model":"m","stream":true,` + said + `}`, mockupstream.Usage{}},
		{"embeddings", "/v1/embeddings", `{"model":"m","input":["a b","c"]}`, mockupstream.Usage{Input: 3}},
		{"a refusal", "/v1/messages", `{}`, mockupstream.Usage{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			up, url := newServer(t, mockupstream.Config{})
			post(t, url+c.path, goodKey, c.body)
			if got := up.Requests()[0].Usage; got != c.want {
				t.Errorf("counted %+v, want %+v", got, c.want)
			}
		})
	}
}

// A conversation is read from what a client sent.
func FuzzConversations(f *testing.F) {
	paths := []string{"/v1/chat/completions", "/v1/responses", "/v1/messages"}
	for i, path := range paths {
		for _, d := range dialects {
			if d.path == path {
				f.Add(uint8(i), d.opening+"}")
				f.Add(uint8(i), d.later+`,"stream":true}`)
			}
		}
	}
	f.Fuzz(func(t *testing.T, api uint8, body string) {
		asked := false
		up := newUpstream(mockupstream.Config{Script: func(c mockupstream.Conversation) (mockupstream.Turn, bool) {
			asked = true
			if objects := strings.Count(body, "{"); c.Answers > objects || len(c.Results) > objects {
				t.Errorf("%d answers and %d results in a request of %d objects", c.Answers, len(c.Results), objects)
			}
			return turns[0], true
		}})
		w := httptest.NewRecorder()
		up.ServeHTTP(w, newRequest(t, http.MethodPost, paths[int(api)%len(paths)], goodKey, body))
		if asked != (w.Code == http.StatusOK) {
			t.Errorf("the script was asked: %v, the status is %d", asked, w.Code)
		}
		if w.Header().Get("Content-Type") == "application/json" && !gjson.ValidBytes(w.Body.Bytes()) {
			t.Errorf("the answer is not JSON: %s", w.Body)
		}
	})
}
