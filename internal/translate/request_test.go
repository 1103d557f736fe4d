package translate_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/translate"
)

// least are requests with what each API requires, open for more members.
var least = map[translate.API]string{
	translate.Chat:      `{"model":"m","messages":[{"role":"user","content":"hi"}]`,
	translate.Responses: `{"model":"m","input":"hi"`,
	translate.Messages:  `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]`,
}

func eachPair(t *testing.T, f func(t *testing.T, client, upstream translate.API)) {
	t.Helper()
	for _, client := range apis {
		for _, upstream := range apis {
			if client != upstream {
				t.Run(fmt.Sprintf("%s to %s", client, upstream), func(t *testing.T) {
					t.Parallel()
					f(t, client, upstream)
				})
			}
		}
	}
}

// TestMembers holds every member to its rule: what is refused names itself and
// repeats no value, what is left out changes nothing, and null asks for nothing.
func TestMembers(t *testing.T) {
	t.Parallel()
	const secret = "canary-value"
	eachPair(t, func(t *testing.T, client, upstream translate.API) {
		plain, err := translate.New(client, upstream, options()).Request([]byte(least[client] + "}"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range translate.Fates(client, upstream) {
			if strings.Contains(least[client], `"`+f.Name+`"`) {
				continue
			}
			with := func(value string) ([]byte, error) {
				return translate.New(client, upstream, options()).Request([]byte(least[client] + `,"` + f.Name + `":` + value + "}"))
			}
			if got, err := with("null"); err != nil || string(got) != string(plain) {
				t.Errorf("%s: null asks for something: %s, %v", f.Name, got, err)
			}
			got, err := with(`{"x":["` + secret + `"]}`)
			switch f.How {
			case "left out":
				if err != nil || string(got) != string(plain) {
					t.Errorf("%s is not left out: %s, %v", f.Name, got, err)
				}
			case "refused":
				var refused *translate.RequestError
				if !errors.As(err, &refused) || refused.Member != f.Name || !strings.HasPrefix(err.Error(), f.Name+" cannot be translated to ") {
					t.Errorf("%s is not refused by name: %s, %v", f.Name, got, err)
				}
				if strings.Contains(fmt.Sprint(err), secret) {
					t.Errorf("%s: the error repeats a value: %v", f.Name, err)
				}
			}
		}
	})
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		client, upstream translate.API
		body             string // more members, or all
		want             string
	}{
		"more answers than one":                   {translate.Chat, translate.Messages, `,"n":2`, "n cannot be translated to Messages: there is one answer."},
		"probabilities":                           {translate.Chat, translate.Messages, `,"logprobs":true`, "logprobs cannot"},
		"words ruled out":                         {translate.Chat, translate.Messages, `,"logit_bias":{"50256":-100}`, "logit_bias cannot"},
		"a member that nobody knows":              {translate.Chat, translate.Messages, `,"min P=secret":0.1`, "A member cannot be translated to Messages: it is not known here."},
		"a plain member that nobody knows":        {translate.Chat, translate.Messages, `,"guided_json":{}`, "guided_json cannot be translated to Messages: it is not known here."},
		"a member twice":                          {translate.Chat, translate.Messages, `,"model":"n"`, "each member once"},
		"no JSON":                                 {translate.Chat, translate.Messages, `x{`, "must be a JSON object"},
		"no object":                               {translate.Chat, translate.Messages, `[]`, "must be a JSON object"},
		"too deep":                                {translate.Chat, translate.Messages, `{"model":"m","messages":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + "}", "nested no deeper"},
		"no messages":                             {translate.Chat, translate.Messages, `{"model":"m"}`, "messages is not valid: a list is required."},
		"no model":                                {translate.Chat, translate.Messages, `{"messages":[]}`, "model is not valid"},
		"the system alone":                        {translate.Chat, translate.Messages, `{"model":"m","messages":[{"role":"system","content":"x"}]}`, "messages cannot be translated to Messages: it needs one of the user."},
		"a role that nobody has":                  {translate.Chat, translate.Messages, `{"model":"m","messages":[{"role":"robot","content":"x"}]}`, "messages.role is not valid"},
		"the old role for results":                {translate.Chat, translate.Messages, `{"model":"m","messages":[{"role":"function","content":"x"}]}`, "messages.role cannot"},
		"sound":                                   {translate.Chat, translate.Messages, `{"model":"m","messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{}}]}]}`, "there is no audio"},
		"a file of another server":                {translate.Chat, translate.Messages, `{"model":"m","messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"f"}}]}]}`, "stored"},
		"a file of an odd type":                   {translate.Chat, translate.Messages, `{"model":"m","messages":[{"role":"user","content":[{"type":"file","file":{"file_data":"data:application/zip;base64,AA=="}}]}]}`, "neither PDF nor text"},
		"an image without a URL":                  {translate.Chat, translate.Messages, `{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":"x"}]}]}`, "there is no URL"},
		"an image that is not in base64":          {translate.Chat, translate.Messages, `{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png,x"}}]}]}`, "base64"},
		"a custom tool of Chat Completions":       {translate.Chat, translate.Messages, `,"tools":[{"type":"custom","custom":{"name":"x"}}]`, "tools cannot"},
		"a search by the vendor in Messages":      {translate.Messages, translate.Chat, `,"tools":[{"type":"web_search_20250305","name":"web_search"}]`, "tools cannot be translated to Chat Completions"},
		"connectors":                              {translate.Messages, translate.Chat, `,"mcp_servers":[{"url":"x"}]`, "mcp_servers cannot"},
		"citations":                               {translate.Messages, translate.Chat, `{"model":"m","messages":[{"role":"user","content":[{"type":"document","citations":{"enabled":true},"source":{"type":"text","data":"x"}}]}]}`, "there are no citations"},
		"a document by URL":                       {translate.Messages, translate.Chat, `{"model":"m","messages":[{"role":"user","content":[{"type":"document","source":{"type":"url","url":"https://example.com/a.pdf"}}]}]}`, "a file has no URL there"},
		"a call with text for input":              {translate.Messages, translate.Chat, `{"model":"m","messages":[{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"b","input":"c"}]}]}`, "must be an object"},
		"a block of the vendor's tools":           {translate.Messages, translate.Chat, `{"model":"m","messages":[{"role":"assistant","content":[{"type":"server_tool_use","id":"a"}]}]}`, "does not have"},
		"stop sequences for Responses":            {translate.Messages, translate.Responses, `,"stop_sequences":["a"]`, "stop_sequences cannot be translated to Responses: it has no stop sequences."},
		"a conversation that is stored":           {translate.Responses, translate.Chat, `,"conversation":"conv_1"`, "conversation cannot"},
		"work in the background":                  {translate.Responses, translate.Chat, `,"background":true`, "background cannot"},
		"an item that is stored":                  {translate.Responses, translate.Chat, `{"model":"m","input":[{"type":"item_reference","id":"x"}]}`, "stored"},
		"a call of the vendor's":                  {translate.Responses, translate.Chat, `{"model":"m","input":[{"type":"web_search_call","id":"x"}]}`, "does not have"},
		"a tool with an odd type is not repeated": {translate.Responses, translate.Chat, `,"tools":[{"type":"Secret 1"}]`, "The tool A member cannot"},
		"probabilities that are included":         {translate.Responses, translate.Chat, `,"include":["message.output_text.logprobs"]`, "include cannot be translated to Chat Completions: there are no log probabilities."},
		"a type with escapes in it":               {translate.Chat, translate.Messages, `{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/\u0070ng;base64,AA=="}}]}]}`, "base64"},
		"cutting a conversation":                  {translate.Responses, translate.Chat, `,"truncation":"auto"`, "truncation cannot"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := c.body
			if strings.HasPrefix(body, ",") {
				body = least[c.client] + body + "}"
			}
			got, err := translate.New(c.client, c.upstream, options()).Request([]byte(body))
			var refused *translate.RequestError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %s, %v; want %q", got, err, c.want)
			}
		})
	}
}

// TestPackedIDs: an id that a client made to look like a packed one stays an id,
// whatever is packed in it.
func TestPackedIDs(t *testing.T) {
	t.Parallel()
	for _, inside := range []string{`x","role":"system`, "a\nb", "\\", `"`} {
		id := "id64_" + base64.RawURLEncoding.EncodeToString([]byte(inside))
		body := fmt.Sprintf(`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":%q}]}]}`, id)
		got, err := translate.New(translate.Messages, translate.Chat, options()).Request([]byte(body))
		if err != nil || !strings.Contains(string(got), `{"role":"tool","tool_call_id":"`+id+`",`) {
			t.Errorf("%q: got %s, %v", inside, got, err)
		}
	}
}

// TestCarried has requests by parts of what they become.
func TestCarried(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		client, upstream translate.API
		o                translate.Options
		body             string // more members
		has              []string
		hasNot           []string
	}{
		"the limit that options have":                        {translate.Chat, translate.Messages, translate.Options{Model: "x", MaxTokens: 77}, ``, []string{`"max_tokens":77`}, nil},
		"the limit of an old model":                          {translate.Chat, translate.Messages, translate.Options{Model: "claude-3-haiku-20240307"}, ``, []string{`"max_tokens":4096`}, nil},
		"the client's limit":                                 {translate.Chat, translate.Messages, translate.Options{Model: "x", MaxTokens: 77}, `,"max_tokens":5`, []string{`"max_tokens":5`}, nil},
		"the newer name of a limit goes first":               {translate.Chat, translate.Messages, translate.Options{Model: "x"}, `,"max_tokens":5,"max_completion_tokens":6`, []string{`"max_tokens":6`}, nil},
		"a model of OpenAI takes the newer name":             {translate.Messages, translate.Chat, translate.Options{Model: "openai/gpt-5.5"}, ``, []string{`"max_completion_tokens":9`}, []string{`"max_tokens"`}},
		"other models take the older name":                   {translate.Messages, translate.Chat, translate.Options{Model: "gpt-oss-120b"}, ``, []string{`"max_tokens":9`}, nil},
		"a provider may take the newer name":                 {translate.Messages, translate.Chat, translate.Options{Model: "mine", MaxCompletionTokens: true}, ``, []string{`"max_completion_tokens":9`}, nil},
		"effort becomes a budget for older models":           {translate.Chat, translate.Messages, translate.Options{Model: "claude-sonnet-4-5"}, `,"reasoning_effort":"medium"`, []string{`"thinking":{"type":"enabled","budget_tokens":8192}`}, []string{"effort"}},
		"a budget leaves room":                               {translate.Chat, translate.Messages, translate.Options{Model: "claude-haiku-4-5"}, `,"reasoning_effort":"high","max_tokens":4000`, []string{`"budget_tokens":2000`}, nil},
		"no room, no budget":                                 {translate.Chat, translate.Messages, translate.Options{Model: "claude-haiku-4-5"}, `,"reasoning_effort":"high","max_tokens":1500`, nil, []string{"thinking"}},
		"models that do not think are not told to":           {translate.Chat, translate.Messages, translate.Options{Model: "claude-3-5-sonnet-20241022"}, `,"reasoning_effort":"high"`, nil, []string{"thinking", "effort"}},
		"no effort is no thought":                            {translate.Chat, translate.Messages, translate.Options{Model: "x"}, `,"reasoning_effort":"none"`, []string{`"thinking":{"type":"disabled"}`}, []string{"effort"}},
		"a forced tool goes without thought":                 {translate.Chat, translate.Messages, translate.Options{Model: "x"}, `,"reasoning_effort":"low","tool_choice":"required","tools":[{"type":"function","function":{"name":"f"}}]`, []string{`"effort":"low"`, `"any"`}, []string{"thinking"}},
		"Anthropic's member is passed on":                    {translate.Chat, translate.Messages, translate.Options{Model: "x"}, `,"thinking":{"type":"enabled","budget_tokens":2000},"top_k":5,"cache_control":{"type":"ephemeral"}`, []string{`"thinking":{"type":"enabled","budget_tokens":2000}`, `"top_k":5`, `"cache_control":{"type":"ephemeral"}`}, nil},
		"models that refuse effort are not told":             {translate.Messages, translate.Chat, translate.Options{Model: "gpt-4o"}, `,"output_config":{"effort":"high"}`, nil, []string{"effort"}},
		"effort that few know becomes high":                  {translate.Messages, translate.Chat, translate.Options{Model: "x"}, `,"output_config":{"effort":"max"}`, []string{`"reasoning_effort":"high"`}, nil},
		"a small budget is low effort":                       {translate.Messages, translate.Chat, translate.Options{Model: "x"}, `,"thinking":{"type":"enabled","budget_tokens":1024}`, []string{`"reasoning_effort":"low"`}, nil},
		"a schema of the beta":                               {translate.Messages, translate.Chat, translate.Options{Model: "x"}, `,"output_format":{"type":"json_schema","schema":{"type":"object"}}`, []string{`"response_format":{"type":"json_schema"`}, nil},
		"a stream is asked for its usage":                    {translate.Messages, translate.Chat, translate.Options{Model: "x"}, `,"stream":true`, []string{`"stream":true,"stream_options":{"include_usage":true}`}, nil},
		"a summary is asked for if thoughts are to be shown": {translate.Messages, translate.Responses, translate.Options{Model: "gpt-5.5"}, `,"thinking":{"type":"adaptive","display":"summarized"}`, []string{`"reasoning":{"summary":"auto"}`}, []string{"include"}},
		"thoughts are asked for if they can come back":       {translate.Messages, translate.Responses, translate.Options{Model: "gpt-5.5", Thoughts: true}, ``, []string{`"include":["reasoning.encrypted_content"]`}, []string{`"reasoning":`}},
		"and not of models that have none":                   {translate.Messages, translate.Responses, translate.Options{Model: "gpt-4.1", Thoughts: true}, `,"thinking":{"type":"adaptive","display":"summarized"}`, nil, []string{"include", "reasoning"}},
		"the system has its place at OpenAI":                 {translate.Responses, translate.Chat, translate.Options{Model: "gpt-5.5"}, `,"input":[{"role":"user","content":"a"},{"role":"developer","content":"b"}]`, []string{`{"role":"user","content":"a"},{"role":"system","content":"b"}`}, nil},
		"and goes first elsewhere":                           {translate.Responses, translate.Chat, translate.Options{Model: "qwen"}, `,"input":[{"role":"user","content":"a"},{"role":"developer","content":"b"},{"role":"user","content":"c"}]`, []string{`[{"role":"system","content":"b"},{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"c"}]}]`}, nil},
		"an open thought goes back":                          {translate.Responses, translate.Chat, translate.Options{Model: "kimi"}, `,"input":[{"role":"user","content":"a"},{"type":"reasoning","summary":[{"type":"summary_text","text":"t"}]},{"role":"assistant","content":"b"}]`, []string{`"content":"b","reasoning_content":"t"`}, nil},
		"but not to OpenAI":                                  {translate.Responses, translate.Chat, translate.Options{Model: "gpt-5.5"}, `,"input":[{"role":"user","content":"a"},{"type":"reasoning","summary":[{"type":"summary_text","text":"t"}]},{"role":"assistant","content":"b"}]`, nil, []string{"reasoning"}},
		"nor to Claude":                                      {translate.Responses, translate.Messages, translate.Options{Model: "x"}, `,"input":[{"role":"user","content":"a"},{"type":"reasoning","summary":[{"type":"summary_text","text":"t"}]},{"role":"assistant","content":"b"}]`, nil, []string{"thinking"}},
		"brackets in text are not nesting":                   {translate.Chat, translate.Messages, translate.Options{Model: "x"}, `,"stop":"\\\"` + strings.Repeat("[", 2000) + `"`, []string{`"stop_sequences":["\\\"[[`}, nil},
		"no budget for a forced tool":                        {translate.Chat, translate.Messages, translate.Options{Model: "claude-sonnet-4-5"}, `,"reasoning_effort":"low","tool_choice":"required","tools":[{"type":"function","function":{"name":"f"}}]`, []string{`"any"`}, []string{"thinking"}},
		"arguments that are too deep are no object":          {translate.Responses, translate.Messages, translate.Options{Model: "x"}, `,"input":[{"role":"user","content":"a"},{"type":"function_call","call_id":"c","name":"f","arguments":"{\"a\":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + `}"}]`, []string{"INVALID_JSON"}, nil},
		"a limit that Responses refuses is its least":        {translate.Chat, translate.Responses, translate.Options{Model: "x"}, `,"max_tokens":1`, []string{`"max_output_tokens":16`}, nil},
		"a limit that it takes is as written":                {translate.Chat, translate.Responses, translate.Options{Model: "x"}, `,"max_tokens":17`, []string{`"max_output_tokens":17`}, nil},
		"no limit is none":                                   {translate.Chat, translate.Responses, translate.Options{Model: "x"}, ``, nil, []string{"max_output_tokens"}},
		"Responses stores nothing":                           {translate.Messages, translate.Responses, translate.Options{Model: "x"}, ``, []string{`"store":false`}, nil},
		"a choice without tools is left out":                 {translate.Chat, translate.Messages, translate.Options{Model: "x"}, `,"tool_choice":"none","parallel_tool_calls":true`, nil, []string{"tool_choice"}},
		"tools that are not to be called":                    {translate.Chat, translate.Messages, translate.Options{Model: "x"}, `,"tool_choice":"none","parallel_tool_calls":false,"tools":[{"type":"function","function":{"name":"f"}}]`, []string{`"tool_choice":{"type":"none"}`}, nil},
		"one call at a time":                                 {translate.Messages, translate.Chat, translate.Options{Model: "x"}, `,"tool_choice":{"type":"any","disable_parallel_tool_use":true},"tools":[{"name":"f","input_schema":{}}]`, []string{`"tool_choice":"required","parallel_tool_calls":false`}, nil},
		"a long name of a namespace fits":                    {translate.Responses, translate.Chat, translate.Options{Model: "x"}, `,"tools":[{"type":"namespace","name":"` + strings.Repeat("n", 50) + `","tools":[{"type":"function","name":"` + strings.Repeat("f", 50) + `"}]}]`, []string{`"name":"` + strings.Repeat("n", 50) + `_`}, []string{strings.Repeat("f", 50)}},
		"a summary of the reasoning is asked for":            {translate.Responses, translate.Messages, translate.Options{Model: "x"}, `,"reasoning":{"effort":"low","summary":"auto"}`, []string{`"display":"summarized"`}, nil},
		"the model comes from the options, escaped":          {translate.Chat, translate.Messages, translate.Options{Model: `a"b`}, ``, []string{`"model":"a\"b"`}, nil},
		"an unset choice with one call at a time":            {translate.Chat, translate.Messages, translate.Options{Model: "x"}, `,"parallel_tool_calls":false,"tools":[{"type":"function","function":{"name":"f"}}]`, []string{`{"type":"auto","disable_parallel_tool_use":true}`}, nil},
		"a temperature that both have is as written":         {translate.Chat, translate.Messages, translate.Options{Model: "x"}, `,"temperature":0.70`, []string{`"temperature":0.70`}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := least[c.client] + c.body + "}"
			if strings.Contains(c.body, `"input":[`) {
				body = `{"model":"m"` + c.body + "}"
			}
			got, err := translate.New(c.client, c.upstream, c.o).Request([]byte(body))
			if err != nil || !json.Valid(got) {
				t.Fatalf("got %s, %v", got, err)
			}
			for _, s := range c.has {
				if !strings.Contains(string(got), s) {
					t.Errorf("%s is missing in %s", s, got)
				}
			}
			for _, s := range c.hasNot {
				if strings.Contains(string(got), s) {
					t.Errorf("%s is in %s", s, got)
				}
			}
		})
	}
}

// TestThoughtlessCalls is about models with a budget: they refuse to think after
// results of calls that came without a thought, which is all that most clients
// send back.
func TestThoughtlessCalls(t *testing.T) {
	t.Parallel()
	const body = `{"model":"m","reasoning_effort":"high","messages":[{"role":"user","content":"x"},` +
		`{"role":"assistant","content":null,%s"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":"y"}]}`
	const details = `"reasoning_details":[{"type":"reasoning.text","text":"t","signature":"s"}],`
	for _, c := range []struct {
		model, details string
		thinks         bool
	}{
		{"claude-sonnet-4-5", "", false},
		{"claude-sonnet-4-5", details, true},
		{"claude-sonnet-5", "", true},
	} {
		o := options()
		o.Model = c.model
		got, err := translate.New(translate.Chat, translate.Messages, o).Request(fmt.Appendf(nil, body, c.details))
		if err != nil {
			t.Fatal(err)
		}
		if thinks := strings.Contains(string(got), `"thinking":{`); thinks != c.thinks {
			t.Errorf("%s, %q: thinks is %t: %s", c.model, c.details, thinks, got)
		}
	}
}

// TestRoundTrips: what one API asks for is the same after it was asked for in
// another, for all that both can say.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	const chat = `{"model":"the-model","messages":[` +
		`{"role":"system","content":"Be brief."},` +
		`{"role":"user","content":[{"type":"text","text":"What \"is\" this?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw=="}},{"type":"image_url","image_url":{"url":"https://example.com/a.png"}},{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,JVBERi0="}}]},` +
		`{"role":"assistant","content":"I look.","tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\":[1,\"\u00e9\"]}"}},{"id":"call_2","type":"function","function":{"name":"g","arguments":"{}"}}]},` +
		`{"role":"tool","tool_call_id":"call_1","content":"one"},{"role":"tool","tool_call_id":"call_2","content":"two"},` +
		`{"role":"user","content":"And?"}],` +
		`"max_tokens":100,"temperature":0.5,"top_p":0.9,%s"stream":true,"stream_options":{"include_usage":true},` +
		`"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object","properties":{}},"strict":true}},{"type":"function","function":{"name":"g","parameters":{"type":"object","properties":{}}%s}}],` +
		`"tool_choice":"required","parallel_tool_calls":false,"reasoning_effort":"high"}`
	for _, c := range []struct {
		by     translate.API
		body   string
		client string
	}{
		{translate.Messages, fmt.Sprintf(chat, `"stop":["A","B"],`, ""), "chat"},
		{translate.Responses, fmt.Sprintf(chat, "", `,"strict":false`), "chat"},
	} {
		there, err := translate.New(translate.Chat, c.by, options()).Request([]byte(c.body))
		if err != nil {
			t.Fatal(err)
		}
		back, err := translate.New(c.by, translate.Chat, options()).Request(drop(t, there, "store"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(decode(t, []byte(c.body)), decode(t, back)); diff != "" {
			t.Errorf("by %s (-before +after):\n%s\n%s", c.by, diff, there)
		}
	}
}

func decode(t testing.TB, b []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, b)
	}
	return v
}

func drop(t testing.TB, b []byte, name string) []byte {
	t.Helper()
	v := decode(t, b).(map[string]any)
	delete(v, name)
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
