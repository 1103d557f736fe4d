package mockupstream

import (
	"bytes"
	"fmt"
	"net/http"
)

const (
	// responseBody takes id, created, status, completed_at, model, output, usage.
	responseBody = `{"id":%s,"object":"response","created_at":%d,"status":"%s","background":false,"completed_at":%s,"error":null,` +
		`"incomplete_details":null,"instructions":null,"max_output_tokens":null,"max_tool_calls":null,"model":%s,"output":[%s],` +
		`"parallel_tool_calls":true,"previous_response_id":null,"prompt_cache_key":null,"reasoning":{"effort":null,"summary":null},` +
		`"safety_identifier":null,"service_tier":"default","store":false,"temperature":1.0,"text":{"format":{"type":"text"},"verbosity":"medium"},` +
		`"tool_choice":"auto","tools":[],"top_logprobs":0,"top_p":1.0,"truncation":"disabled","usage":%s,"user":null,"metadata":{}}`

	responseItem  = `{"id":%s,"type":"message","status":"%s","content":[%s],"role":"assistant"}`
	responsePart  = `{"type":"output_text","annotations":[],"logprobs":[],"text":%s}`
	responseTool  = `{"id":"fc_%s","type":"function_call","status":"%s","arguments":%s,"call_id":"call_%s","name":%s}`
	responseUsage = `{"input_tokens":%d,"input_tokens_details":{"cached_tokens":%d,"cache_write_tokens":%d},"output_tokens":%d,` +
		`"output_tokens_details":{"reasoning_tokens":%d},"total_tokens":%d}`
)

// responses answers POST /v1/responses.
func responses(c *call) reply {
	if rep, bad := openAIInvalid(c, "input"); bad {
		return rep
	}
	p := c.prompt("input", "instructions")
	a := c.answer(p)
	id, model, created := quote(c.name("resp_")), quote(p.model), c.now.Unix()
	u := a.openAI(p.tokens)
	completed := fmt.Appendf(nil, responseBody,
		id, created, "completed", fmt.Append(nil, created), model, bytes.Join(c.items(a), []byte(",")),
		fmt.Appendf(nil, responseUsage, u.Input, u.CacheRead, u.CacheWrite, u.Output, u.Reasoning, u.Input+u.Output))
	if !p.stream {
		return reply{status: http.StatusOK, usage: u, body: completed}
	}
	started := fmt.Appendf(nil, responseBody, id, created, "in_progress", "null", model, "", "null")
	return reply{status: http.StatusOK, usage: u, chunks: c.events(a, started, completed)}
}

// items are the finished items of an answer: the text, if there is one, then
// the calls.
func (c *call) items(a answer) [][]byte {
	var items [][]byte
	if len(a.words) > 0 {
		items = append(items, fmt.Appendf(nil, responseItem, quote(c.name("msg_")), "completed",
			fmt.Appendf(nil, responsePart, quote(a.text()))))
	}
	for _, tool := range a.calls {
		items = append(items, fmt.Appendf(nil, responseTool, tool.id, "completed", quote(tool.input()), tool.id, quote(tool.name)))
	}
	return items
}

// events are the chunks of a streamed answer.
func (c *call) events(a answer, started, completed []byte) [][]byte {
	var sequence int
	event := func(b []byte, kind, format string, args ...any) []byte {
		b = fmt.Appendf(b, "event: %s\ndata: {\"type\":\"%s\",\"sequence_number\":%d,", kind, kind, sequence)
		b = fmt.Appendf(b, format, args...)
		sequence++
		return append(b, "}\n\n"...)
	}
	begun := event(nil, "response.created", `"response":%s`, started)
	begun = event(begun, "response.in_progress", `"response":%s`, started)
	chunks := make([][]byte, 0, a.tokens()+2)
	done := c.items(a)
	index := 0
	if len(a.words) > 0 {
		item, text := quote(c.name("msg_")), quote(a.text())
		begun = event(begun, "response.output_item.added", `"output_index":0,"item":%s`,
			fmt.Appendf(nil, responseItem, item, "in_progress", ""))
		begun = event(begun, "response.content_part.added", `"item_id":%s,"output_index":0,"content_index":0,"part":%s`,
			item, fmt.Appendf(nil, responsePart, `""`))
		chunks = append(chunks, begun)
		for _, word := range a.words {
			chunks = append(chunks, event(nil, "response.output_text.delta",
				`"item_id":%s,"output_index":0,"content_index":0,"delta":%s,"logprobs":[]`, item, quote(word)))
		}
		begun = event(nil, "response.output_text.done",
			`"item_id":%s,"output_index":0,"content_index":0,"text":%s,"logprobs":[]`, item, text)
		begun = event(begun, "response.content_part.done",
			`"item_id":%s,"output_index":0,"content_index":0,"part":%s`, item, fmt.Appendf(nil, responsePart, text))
		begun = event(begun, "response.output_item.done", `"output_index":0,"item":%s`, done[0])
		index++
	}
	for _, tool := range a.calls {
		begun = event(begun, "response.output_item.added", `"output_index":%d,"item":%s`, index,
			fmt.Appendf(nil, responseTool, tool.id, "in_progress", `""`, tool.id, quote(tool.name)))
		for _, piece := range tool.pieces {
			chunks = append(chunks, event(begun, "response.function_call_arguments.delta",
				`"item_id":"fc_%s","output_index":%d,"delta":%s`, tool.id, index, quote(piece)))
			begun = nil
		}
		begun = event(nil, "response.function_call_arguments.done",
			`"item_id":"fc_%s","output_index":%d,"name":%s,"arguments":%s`, tool.id, index, quote(tool.name), quote(tool.input()))
		begun = event(begun, "response.output_item.done", `"output_index":%d,"item":%s`, index, done[index])
		index++
	}
	return append(chunks, event(begun, "response.completed", `"response":%s`, completed))
}
