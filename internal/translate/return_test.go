package translate_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/gatehousehq/gatehouse/internal/translate"
)

// TestThoughtsReturn: Claude gets its thoughts back as it had them, from clients
// of either API that send back what they were sent.
func TestThoughtsReturn(t *testing.T) {
	t.Parallel()
	answer, err := os.ReadFile("testdata/answers/messages/quoted.json")
	if err != nil {
		t.Fatal(err)
	}
	var said struct{ Content []any }
	if err := json.Unmarshal(answer, &said); err != nil {
		t.Fatal(err)
	}
	for client, next := range map[translate.API]func(got map[string]any) any{
		translate.Chat: func(got map[string]any) any {
			message := got["choices"].([]any)[0].(map[string]any)["message"]
			return map[string]any{"model": "m", "messages": []any{map[string]any{"role": "user", "content": "x"}, message}}
		},
		translate.Responses: func(got map[string]any) any {
			return map[string]any{"model": "m", "input": append([]any{map[string]any{"role": "user", "content": "x"}}, got["output"].([]any)...)}
		},
	} {
		first := asked(t, client, translate.Messages)
		got, err := first.Response(answer)
		if err != nil {
			t.Fatal(err)
		}
		body, err := json.Marshal(next(decode(t, got).(map[string]any)))
		if err != nil {
			t.Fatal(err)
		}
		back, err := translate.New(client, translate.Messages, options()).Request(body)
		if err != nil {
			t.Fatal(err)
		}
		var sent struct{ Messages []struct{ Content []any } }
		if err := json.Unmarshal(back, &sent); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(said.Content, sent.Messages[1].Content); diff != "" {
			t.Errorf("from a client of %s (-said +sent back):\n%s", client, diff)
		}
	}
}

// TestThoughtsAreAskedFor: without asking for them, a client of Responses gets
// nothing that it could send back.
func TestThoughtsAreAskedFor(t *testing.T) {
	t.Parallel()
	answer, err := os.ReadFile("testdata/answers/messages/quoted.json")
	if err != nil {
		t.Fatal(err)
	}
	tr := translate.New(translate.Responses, translate.Messages, options())
	if _, err := tr.Request([]byte(`{"model":"m","input":"x"}`)); err != nil {
		t.Fatal(err)
	}
	got, err := tr.Response(answer)
	if err != nil || strings.Contains(string(got), "encrypted_content") || strings.Count(string(got), `"type":"reasoning"`) != 1 {
		t.Errorf("got %s, %v", got, err)
	}
}

// TestNamesReturn: tools that have another name or form upstream are called by
// their own, and what has the name of none is passed on.
func TestNamesReturn(t *testing.T) {
	t.Parallel()
	request, err := os.ReadFile("testdata/requests/responses/agent.json")
	if err != nil {
		t.Fatal(err)
	}
	const (
		calls = `{"type":"tool_use","id":"1","name":"agents__spawn","input":{"a":1}},{"type":"tool_use","id":"2","name":"apply_patch","input":{"input":"*** \"x\"\n"}},` +
			`{"type":"tool_use","id":"3","name":"exec_command","input":{}},{"type":"tool_use","id":"4","name":"unheard","input":{}},{"type":"tool_use","id":"5","name":"apply_patch","input":{"text":"odd"}}`
		whole = `{"id":"msg_1","model":"c","content":[` + calls + `],"stop_reason":"tool_use"}`
	)
	want := []string{
		`{"id":"fc_msg_1_0","type":"function_call","arguments":"{\"a\":1}","call_id":"1","name":"spawn","namespace":"agents","status":"completed"}`,
		`{"id":"fc_msg_1_1","type":"custom_tool_call","input":"*** \"x\"\n","call_id":"2","name":"apply_patch","status":"completed"}`,
		`{"id":"fc_msg_1_2","type":"function_call","arguments":"{}","call_id":"3","name":"exec_command","status":"completed"}`,
		`{"id":"fc_msg_1_3","type":"function_call","arguments":"{}","call_id":"4","name":"unheard","status":"completed"}`,
		`{"id":"fc_msg_1_4","type":"custom_tool_call","input":"{\"text\":\"odd\"}","call_id":"5","name":"apply_patch","status":"completed"}`,
	}
	tr := translate.New(translate.Responses, translate.Messages, options())
	if _, err := tr.Request(request); err != nil {
		t.Fatal(err)
	}
	got, err := tr.Response([]byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	var events strings.Builder
	events.WriteString(`data: {"type":"message_start","message":{"id":"msg_1","model":"c"}}` + "\n\n")
	for i, c := range decode(t, []byte("["+calls+"]")).([]any) {
		b, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&events, "data: {\"type\":\"content_block_start\",\"index\":%d,\"content_block\":%s}\n\ndata: {\"type\":\"content_block_stop\",\"index\":%d}\n\n", i, b, i)
	}
	events.WriteString(`data: {"type":"message_stop"}` + "\n\n")
	streamed, err := run(tr.Stream(), []byte(events.String()))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range want {
		if !strings.Contains(string(got), w) {
			t.Errorf("%s is missing in\n%s", w, got)
		}
		if strings.Count(string(streamed), w) != 2 { // in its own event and in the last
			t.Errorf("%s is missing in\n%s", w, streamed)
		}
	}
	if n := strings.Count(string(streamed), "response.function_call_arguments.delta\""); n != 1 {
		t.Errorf("%d pieces of arguments, want 1: those of custom tools are none\n%s", n, streamed)
	}
	for _, w := range []string{`"response.custom_tool_call_input.delta"`, `"input":"*** \"x\"\n"`, `"response.function_call_arguments.done"`} {
		if !strings.Contains(string(streamed), w) {
			t.Errorf("%s is missing in\n%s", w, streamed)
		}
	}
}

// TestConversationsReturn: any conversation that both APIs can have is the same
// after it was had in the other.
func TestConversationsReturn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		said := rapid.StringN(1, 40, -1).Filter(func(s string) bool { return strings.TrimSpace(s) != "" }) // which Messages refuses
		object := rapid.MapOfN(said, rapid.OneOf(said.AsAny(), rapid.Int32().AsAny(), rapid.Bool().AsAny(), rapid.SliceOfN(said, 0, 3).AsAny()), 0, 3)
		calls := 0
		call := func(t *rapid.T) map[string]any {
			calls++
			arguments, err := json.Marshal(object.Draw(t, "arguments"))
			if err != nil {
				t.Fatal(err)
			}
			prefix := rapid.SampledFrom([]string{"call_", "id64_", "functions.f:", "é \""}).Draw(t, "prefix")
			return map[string]any{"id": fmt.Sprint(prefix, calls), "type": "function", "function": map[string]any{"name": "f", "arguments": string(arguments)}}
		}
		var messages []any
		if rapid.Bool().Draw(t, "system") {
			messages = append(messages, map[string]any{"role": "system", "content": said.Draw(t, "system says")})
		}
		for range rapid.IntRange(1, 4).Draw(t, "turns") {
			messages = append(messages, map[string]any{"role": "user", "content": said.Draw(t, "user says")})
			for range rapid.IntRange(0, 2).Draw(t, "rounds of calls") {
				m := map[string]any{"role": "assistant", "content": nil}
				if rapid.Bool().Draw(t, "with text") {
					m["content"] = said.Draw(t, "assistant says")
				}
				var made []any
				for range rapid.IntRange(1, 3).Draw(t, "calls") {
					made = append(made, call(t))
				}
				m["tool_calls"] = made
				messages = append(messages, m)
				for _, c := range made {
					messages = append(messages, map[string]any{"role": "tool", "tool_call_id": c.(map[string]any)["id"], "content": said.Draw(t, "result")})
				}
			}
			messages = append(messages, map[string]any{"role": "assistant", "content": said.Draw(t, "assistant ends")})
		}
		messages = append(messages, map[string]any{"role": "user", "content": said.Draw(t, "user asks")})
		chat, err := json.Marshal(map[string]any{"model": "the-model", "max_tokens": 99, "messages": messages})
		if err != nil {
			t.Fatal(err)
		}
		for _, by := range []translate.API{translate.Messages, translate.Responses} {
			there, err := translate.New(translate.Chat, by, options()).Request(chat)
			if err != nil {
				t.Fatal(err)
			}
			back, err := translate.New(by, translate.Chat, options()).Request(there)
			if err != nil {
				t.Fatal(err)
			}
			var before, after any
			if err := json.Unmarshal(chat, &before); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(back, &after); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, after); diff != "" {
				t.Fatalf("by %s (-before +after):\n%s", by, diff)
			}
		}
	})
}

// TestThoughtsStay: where the next request may come to another vendor, clients
// get no thoughts that they would send there.
func TestThoughtsStay(t *testing.T) {
	t.Parallel()
	o := options()
	o.Thoughts = false
	for name, marks := range map[string][]string{
		"chat/tools": {`"type":"thinking"`}, "messages/tools": {"reasoning_details", "encrypted_content", `"data":"b3Bh`}, "responses/tools": {`"type":"thinking"`, "reasoning_details", "openai.v1"},
	} {
		answer, err := os.ReadFile("testdata/answers/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		stream, err := os.ReadFile("testdata/streams/" + name + ".sse")
		if err != nil {
			t.Fatal(err)
		}
		upstream, clients := fuzzed(byte(apiOf("x/" + name)))
		for _, client := range clients {
			tr := translate.New(client, upstream, o)
			body := least[client] + "}"
			if client == translate.Responses {
				body = least[client] + `,"include":["reasoning.encrypted_content"]}`
			}
			if _, err := tr.Request([]byte(body)); err != nil {
				t.Fatal(err)
			}
			whole, err := tr.Response(answer)
			if err != nil {
				t.Fatal(err)
			}
			streamed, err := run(tr.Stream(), stream)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range marks {
				if strings.Contains(string(whole), m) || strings.Contains(string(streamed), m) {
					t.Errorf("%s to %s has %s:\n%s\n%s", name, client, m, whole, streamed)
				}
			}
			if !strings.Contains(string(whole), "get_weather") || !strings.Contains(string(streamed), "get_weather") {
				t.Errorf("%s to %s has no call:\n%s\n%s", name, client, whole, streamed)
			}
		}
	}
}

// TestOpenAIsThoughtsReturn: a client of Messages gives a model of OpenAI what
// it takes back.
func TestOpenAIsThoughtsReturn(t *testing.T) {
	t.Parallel()
	stream, err := os.ReadFile("testdata/streams/responses/tools.sse")
	if err != nil {
		t.Fatal(err)
	}
	answer, err := os.ReadFile("testdata/answers/responses/tools.json")
	if err != nil {
		t.Fatal(err)
	}
	const item = `{"type":"reasoning","summary":[{"type":"summary_text","text":"I need it"}],"encrypted_content":"gAAA"}`
	tr := asked(t, translate.Messages, translate.Responses)
	whole, err := tr.Response(answer)
	if err != nil {
		t.Fatal(err)
	}
	streamed, err := run(tr.Stream(), stream)
	if err != nil || !strings.Contains(string(streamed), `"signature":"openai.v1.gAAA"`) {
		t.Errorf("the stream has no signature: %v\n%s", err, streamed)
	}
	content, err := json.Marshal(decode(t, whole).(map[string]any)["content"])
	if err != nil {
		t.Fatal(err)
	}
	back, err := translate.New(translate.Messages, translate.Responses, options()).Request(
		fmt.Appendf(nil, `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":%s}]}`, content))
	if err != nil || !strings.Contains(string(back), item) {
		t.Errorf("%s is missing in %s, %v", item, back, err)
	}
}

func TestForOpenAI(t *testing.T) {
	t.Parallel()
	for model, want := range map[string]translate.API{
		"gpt-5.5": translate.Responses, "o4-mini": translate.Responses, "gpt-4.1": translate.Chat, "openai/gpt-5.5": translate.Chat,
		"gpt-oss-120b": translate.Chat, "deepseek-v4-pro": translate.Chat, "": translate.Chat,
	} {
		if got := translate.ForOpenAI(model); got != want {
			t.Errorf("%q: got %s, want %s", model, got, want)
		}
	}
}
