package mockupstream

import (
	"fmt"
	"net/http"
	"strings"
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
	responseUsage = `{"input_tokens":%d,"input_tokens_details":{"cached_tokens":0},"output_tokens":%d,` +
		`"output_tokens_details":{"reasoning_tokens":0},"total_tokens":%d}`
)

// responses answers POST /v1/responses.
func responses(c *call) reply {
	if rep, bad := openAIInvalid(c, "input"); bad {
		return rep
	}
	p := c.prompt("input", "instructions")
	words := c.words(p)
	id, item, model, created := quote(c.name("resp_")), quote(c.name("msg_")), quote(p.model), c.now.Unix()
	text := quote(strings.Join(words, ""))
	part := fmt.Appendf(nil, responsePart, text)
	whole := fmt.Appendf(nil, responseItem, item, "completed", part)
	usage := fmt.Appendf(nil, responseUsage, p.tokens, len(words), p.tokens+len(words))
	completed := fmt.Appendf(nil, responseBody,
		id, created, "completed", fmt.Append(nil, created), model, whole, usage)
	if !p.stream {
		return reply{status: http.StatusOK, body: completed}
	}

	started := fmt.Appendf(nil, responseBody, id, created, "in_progress", "null", model, "", "null")
	var sequence int
	event := func(b []byte, kind, format string, args ...any) []byte {
		b = fmt.Appendf(b, "event: %s\ndata: {\"type\":\"%s\",\"sequence_number\":%d,", kind, kind, sequence)
		b = fmt.Appendf(b, format, args...)
		sequence++
		return append(b, "}\n\n"...)
	}
	first := event(nil, "response.created", `"response":%s`, started)
	first = event(first, "response.in_progress", `"response":%s`, started)
	first = event(first, "response.output_item.added", `"output_index":0,"item":%s`,
		fmt.Appendf(nil, responseItem, item, "in_progress", ""))
	first = event(first, "response.content_part.added", `"item_id":%s,"output_index":0,"content_index":0,"part":%s`,
		item, fmt.Appendf(nil, responsePart, `""`))
	chunks := make([][]byte, 0, len(words)+2)
	chunks = append(chunks, first)
	for _, word := range words {
		chunks = append(chunks, event(nil, "response.output_text.delta",
			`"item_id":%s,"output_index":0,"content_index":0,"delta":%s,"logprobs":[]`, item, quote(word)))
	}
	last := event(nil, "response.output_text.done",
		`"item_id":%s,"output_index":0,"content_index":0,"text":%s,"logprobs":[]`, item, text)
	last = event(last, "response.content_part.done",
		`"item_id":%s,"output_index":0,"content_index":0,"part":%s`, item, part)
	last = event(last, "response.output_item.done", `"output_index":0,"item":%s`, whole)
	last = event(last, "response.completed", `"response":%s`, completed)
	return reply{status: http.StatusOK, chunks: append(chunks, last)}
}
