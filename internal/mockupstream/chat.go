package mockupstream

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"

	"github.com/tidwall/gjson"
)

const (
	chatUsage = `{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,` +
		`"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},` +
		`"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}`

	chatBody = `{"id":%s,"object":"chat.completion","created":%d,"model":%s,` +
		`"choices":[{"index":0,"message":{"role":"assistant","content":%s,"refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],` +
		`"usage":%s,"service_tier":"default","system_fingerprint":"fp_mock"}`

	// chatHead begins every chunk of one answer.
	chatHead = `data: {"id":%s,"object":"chat.completion.chunk","created":%d,"model":%s,"service_tier":"default","system_fingerprint":"fp_mock","choices":[`

	chatFirst = `{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}]`
	chatWord  = `{"index":0,"delta":{"content":%s},"logprobs":null,"finish_reason":null}]`
	chatLast  = `{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]`
)

// chatCompletions answers POST /v1/chat/completions.
func chatCompletions(c *call) reply {
	if rep, bad := openAIInvalid(c, "messages"); bad {
		return rep
	}
	p := c.prompt("messages", "")
	words := c.words(p)
	id, created, model := quote(c.name("chatcmpl-")), c.now.Unix(), quote(p.model)
	usage := fmt.Appendf(nil, chatUsage, p.tokens, len(words), p.tokens+len(words))
	if !p.stream {
		return reply{status: http.StatusOK, body: fmt.Appendf(nil, chatBody,
			id, created, model, quote(strings.Join(words, "")), usage)}
	}
	head := fmt.Appendf(nil, chatHead, id, created, model)
	// With include_usage every chunk has the field, null but in the last one.
	tail := []byte("}\n\n")
	withUsage := c.cfg.Reply == "" && gjson.GetBytes(c.body, "stream_options.include_usage").Bool()
	if withUsage {
		tail = []byte(`,"usage":null}` + "\n\n")
	}
	event := func(choice []byte) []byte {
		return bytes.Join([][]byte{head, choice, tail}, nil)
	}
	chunks := make([][]byte, 0, len(words)+2)
	chunks = append(chunks, event([]byte(chatFirst)))
	for _, word := range words {
		chunks = append(chunks, event(fmt.Appendf(nil, chatWord, quote(word))))
	}
	last := event([]byte(chatLast))
	if withUsage {
		last = fmt.Appendf(last, "%s],\"usage\":%s}\n\n", head, usage)
	}
	return reply{status: http.StatusOK, chunks: append(chunks, append(last, "data: [DONE]\n\n"...))}
}
