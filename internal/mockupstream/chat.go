package mockupstream

import (
	"bytes"
	"fmt"
	"net/http"

	"github.com/tidwall/gjson"
)

const (
	chatUsage = `{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,` +
		`"prompt_tokens_details":{"cached_tokens":%d,"cache_write_tokens":%d,"audio_tokens":0},` +
		`"completion_tokens_details":{"reasoning_tokens":%d,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}`

	// chatBody takes id, created, model, content, tool calls, finish reason, usage.
	chatBody = `{"id":%s,"object":"chat.completion","created":%d,"model":%s,` +
		`"choices":[{"index":0,"message":{"role":"assistant","content":%s%s,"refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"%s"}],` +
		`"usage":%s,"service_tier":"default","system_fingerprint":"fp_mock"}`

	// chatTool takes id, name, input.
	chatTool = `{"id":"call_%s","type":"function","function":{"name":%s,"arguments":%s}}`

	// chatHead begins every chunk of one answer.
	chatHead = `data: {"id":%s,"object":"chat.completion.chunk","created":%d,"model":%s,"service_tier":"default","system_fingerprint":"fp_mock","choices":[`

	chatFirst     = `{"index":0,"delta":{"role":"assistant","content":%s,"refusal":null},"logprobs":null,"finish_reason":null}]`
	chatWord      = `{"index":0,"delta":{"content":%s},"logprobs":null,"finish_reason":null}]`
	chatToolFirst = `{"index":0,"delta":{"tool_calls":[{"index":%d,"id":"call_%s","type":"function","function":{"name":%s,"arguments":""}}]},"logprobs":null,"finish_reason":null}]`
	chatToolWord  = `{"index":0,"delta":{"tool_calls":[{"index":%d,"function":{"arguments":%s}}]},"logprobs":null,"finish_reason":null}]`
	chatLast      = `{"index":0,"delta":{},"logprobs":null,"finish_reason":"%s"}]`
)

// chatCompletions answers POST /v1/chat/completions.
func chatCompletions(c *call) reply {
	if rep, bad := openAIInvalid(c, "messages"); bad {
		return rep
	}
	p := c.prompt("messages", "")
	a := c.answer(p)
	id, created, model := quote(c.name("chatcmpl-")), c.now.Unix(), quote(p.model)
	finish, content := "stop", quote(a.text())
	if len(a.calls) > 0 {
		finish = "tool_calls"
	}
	if len(a.words) == 0 {
		content = []byte("null")
	}
	u := a.openAI(p.tokens)
	usage := fmt.Appendf(nil, chatUsage, u.Input, u.Output, u.Input+u.Output, u.CacheRead, u.CacheWrite, u.Reasoning)
	if !p.stream {
		return reply{status: http.StatusOK, usage: u, body: fmt.Appendf(nil, chatBody,
			id, created, model, content, chatTools(a.calls), finish, usage)}
	}
	head := fmt.Appendf(nil, chatHead, id, created, model)
	// With include_usage every chunk has the field, null but in the last one.
	tail := []byte("}\n\n")
	withUsage := c.cfg.Reply == "" && gjson.GetBytes(c.body, "stream_options.include_usage").Bool()
	if withUsage {
		tail = []byte(`,"usage":null}` + "\n\n")
	} else {
		u = Usage{}
	}
	event := func(choice []byte) []byte {
		return bytes.Join([][]byte{head, choice, tail}, nil)
	}
	if len(a.words) > 0 {
		content = []byte(`""`)
	}
	chunks := make([][]byte, 0, a.tokens()+2)
	chunks = append(chunks, event(fmt.Appendf(nil, chatFirst, content)))
	for _, word := range a.words {
		chunks = append(chunks, event(fmt.Appendf(nil, chatWord, quote(word))))
	}
	for i, tool := range a.calls {
		begun := event(fmt.Appendf(nil, chatToolFirst, i, tool.id, quote(tool.name)))
		for _, piece := range tool.pieces {
			chunks = append(chunks, append(begun, event(fmt.Appendf(nil, chatToolWord, i, quote(piece)))...))
			begun = nil
		}
	}
	last := event(fmt.Appendf(nil, chatLast, finish))
	if withUsage {
		last = fmt.Appendf(last, "%s],\"usage\":%s}\n\n", head, usage)
	}
	return reply{status: http.StatusOK, usage: u, chunks: append(chunks, append(last, "data: [DONE]\n\n"...))}
}

// chatTools is the field of a message that has the calls, with the comma
// before it.
func chatTools(calls []toolCall) []byte {
	if len(calls) == 0 {
		return nil
	}
	list := make([][]byte, len(calls))
	for i, tool := range calls {
		list[i] = fmt.Appendf(nil, chatTool, tool.id, quote(tool.name), quote(tool.input()))
	}
	return fmt.Appendf(nil, `,"tool_calls":[%s]`, bytes.Join(list, []byte(",")))
}
