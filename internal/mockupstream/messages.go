package mockupstream

import (
	"bytes"
	"fmt"
	"net/http"
)

const (
	messageUsage = `{"input_tokens":%d,"cache_creation_input_tokens":%d,"cache_read_input_tokens":%d,` +
		`"cache_creation":{"ephemeral_5m_input_tokens":%d,"ephemeral_1h_input_tokens":0},"output_tokens":%d,"output_tokens_details":{"thinking_tokens":%d},"service_tier":"standard"}`

	// messageBody takes id, model, content, stop_reason, usage.
	messageBody = `{"model":%s,"id":%s,"type":"message","role":"assistant","content":[%s],"stop_reason":%s,"stop_sequence":null,"stop_details":null,"container":null,"usage":%s}`

	messageTool = `{"type":"tool_use","id":"toolu_%s","name":%s,"input":%s}`

	messageFirst = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":%s}\n\n"
	messagePing  = "event: ping\ndata: {\"type\":\"ping\"}\n\n"

	blockStart = "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":%d,\"content_block\":%s}\n\n"
	blockText  = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":%d,\"delta\":{\"type\":\"text_delta\",\"text\":%s}}\n\n"
	blockInput = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":%d,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":%s}}\n\n"
	blockStop  = "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":%d}\n\n"

	messageLast = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":%s,\"stop_sequence\":null,\"stop_details\":null,\"container\":null}," +
		"\"usage\":{\"input_tokens\":%d,\"cache_creation_input_tokens\":%d,\"cache_read_input_tokens\":%d,\"output_tokens\":%d,\"output_tokens_details\":{\"thinking_tokens\":%d}}}\n\n" +
		"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
)

// messages answers POST /v1/messages.
func messages(c *call) reply {
	if rep, bad := anthropicInvalid(c, "model", "max_tokens", "messages"); bad {
		return rep
	}
	p := c.prompt("messages", "system")
	a := c.answer(p)
	u := a.anthropic(p.tokens)
	id, model, stop := quote(c.name("msg_")), quote(p.model), []byte(`"end_turn"`)
	if len(a.calls) > 0 {
		stop = []byte(`"tool_use"`)
	}
	usage := func(output, thinking int) []byte {
		return fmt.Appendf(nil, messageUsage, u.Input, u.CacheWrite, u.CacheRead, u.CacheWrite, output, thinking)
	}
	if !p.stream {
		return reply{status: http.StatusOK, usage: u, body: fmt.Appendf(nil, messageBody, model, id,
			bytes.Join(blocks(a), []byte(",")), stop, usage(u.Output, u.Reasoning))}
	}
	first := fmt.Appendf(nil, messageFirst, fmt.Appendf(nil, messageBody, model, id, "", "null", usage(1, 0)))
	last := fmt.Appendf(nil, messageLast, stop, u.Input, u.CacheWrite, u.CacheRead, u.Output, u.Reasoning)
	return reply{status: http.StatusOK, usage: u, chunks: messageChunks(a, first, last)}
}

// blocks are the content of an answer: the text, if there is one, then the
// calls.
func blocks(a answer) [][]byte {
	var list [][]byte
	if len(a.words) > 0 {
		list = append(list, fmt.Appendf(nil, `{"type":"text","text":%s}`, quote(a.text())))
	}
	for _, tool := range a.calls {
		list = append(list, fmt.Appendf(nil, messageTool, tool.id, quote(tool.name), tool.input()))
	}
	return list
}

// messageChunks are the chunks of a streamed answer that begins with the event
// first and ends with those in last.
func messageChunks(a answer, first, last []byte) [][]byte {
	chunks := make([][]byte, 0, a.tokens()+2)
	begun, index := first, 0
	if len(a.words) > 0 {
		begun = fmt.Appendf(begun, blockStart, index, `{"type":"text","text":""}`)
		chunks = append(chunks, append(begun, messagePing...))
		for _, word := range a.words {
			chunks = append(chunks, fmt.Appendf(nil, blockText, index, quote(word)))
		}
		begun = fmt.Appendf(nil, blockStop, index)
		index++
	}
	for _, tool := range a.calls {
		begun = fmt.Appendf(begun, blockStart, index, fmt.Appendf(nil, messageTool, tool.id, quote(tool.name), "{}"))
		for _, piece := range tool.pieces {
			chunks = append(chunks, fmt.Appendf(begun, blockInput, index, quote(piece)))
			begun = nil
		}
		begun = fmt.Appendf(nil, blockStop, index)
		index++
	}
	return append(chunks, append(begun, last...))
}

// countTokens answers POST /v1/messages/count_tokens with what a message of
// the same content would be charged.
func countTokens(c *call) reply {
	if rep, bad := anthropicInvalid(c, "model", "messages"); bad {
		return rep
	}
	p := c.prompt("messages", "system")
	return reply{status: http.StatusOK, body: fmt.Appendf(nil, `{"input_tokens":%d}`, p.tokens)}
}
