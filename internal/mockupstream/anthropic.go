package mockupstream

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/gatehousehq/gatehouse/internal/secret"
)

// anthropic is the Anthropic API around its endpoints.
type anthropic struct{}

// credential takes both headers that an API key may be in: x-api-key, and
// the bearer token that SDKs send since API version 2026-10-21.
func (anthropic) credential(r *http.Request) secret.Text {
	if key := r.Header.Get("X-Api-Key"); key != "" {
		return secret.New(key)
	}
	return bearer(r)
}

func (anthropic) headers(h http.Header, c *call, rep reply) {
	h.Set("Request-Id", c.name("req_"))
	h.Set("Anthropic-Organization-Id", "00000000-0000-4000-8000-000000000000")
	h.Set("Set-Cookie", "__cf_bm=mock; path=/; HttpOnly; Secure; SameSite=None")
	remaining, reset := "3999", c.now.Add(time.Minute)
	if rep.retryAfter > 0 {
		remaining, reset = "0", c.now.Add(rep.retryAfter)
		h.Set("Retry-After", seconds(rep.retryAfter))
	}
	if rep.status == http.StatusTooManyRequests || rep.status == statusOverloaded {
		h.Set("X-Should-Retry", "true")
	}
	at := reset.UTC().Format(time.RFC3339)
	for _, limit := range [...]struct{ prefix, limit, remaining string }{
		{"Anthropic-Ratelimit-Requests-", "4000", remaining},
		{"Anthropic-Ratelimit-Tokens-", "480000", "479000"},
		{"Anthropic-Ratelimit-Input-Tokens-", "400000", "399000"},
		{"Anthropic-Ratelimit-Output-Tokens-", "80000", "80000"},
	} {
		h.Set(limit.prefix+"Limit", limit.limit)
		h.Set(limit.prefix+"Remaining", limit.remaining)
		h.Set(limit.prefix+"Reset", at)
	}
}

// statusOverloaded is Anthropic's own status.
const statusOverloaded = 529

func anthropicError(c *call, status int, kind, message string) reply {
	return reply{status: status, body: fmt.Appendf(nil,
		`{"type":"error","error":{"type":%s,"message":%s},"request_id":%s}`,
		quote(kind), quote(message), quote(c.name("req_")))}
}

func (anthropic) unauthorized(c *call, presented secret.Text) reply {
	if presented.IsZero() {
		return anthropicError(c, http.StatusUnauthorized, "authentication_error", "x-api-key header is required")
	}
	return anthropicError(c, http.StatusUnauthorized, "authentication_error", "invalid x-api-key")
}

func (v anthropic) refusal(c *call, b Behaviour, presented secret.Text) reply {
	switch b {
	case RateLimited:
		rep := anthropicError(c, http.StatusTooManyRequests, "rate_limit_error",
			"This request would exceed the rate limit for your organization of 4,000 requests per minute. You can see the response headers for current usage. Please try again later.")
		rep.retryAfter = c.cfg.RetryAfter
		return rep
	case Exhausted:
		return anthropicError(c, http.StatusBadRequest, "invalid_request_error",
			"Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.")
	case Overloaded:
		return anthropicError(c, statusOverloaded, "overloaded_error", "Overloaded")
	default:
		return v.unauthorized(c, presented)
	}
}

func (anthropic) unknown(c *call, status int) reply {
	if status == http.StatusNotFound {
		return anthropicError(c, status, "not_found_error", "Not Found")
	}
	return anthropicError(c, status, "invalid_request_error", "Method Not Allowed")
}

// anthropicInvalid returns what is wrong with a request, and whether something
// is. The fields must be there.
func anthropicInvalid(c *call, fields ...string) (reply, bool) {
	bad := func(message string) (reply, bool) {
		return anthropicError(c, http.StatusBadRequest, "invalid_request_error", message), true
	}
	if c.r.Header.Get("Anthropic-Version") == "" {
		return bad("anthropic-version: header is required")
	}
	if c.cfg.Reply != "" {
		return reply{}, false
	}
	if !gjson.ValidBytes(c.body) || !gjson.ParseBytes(c.body).IsObject() {
		return bad("The request body is not valid JSON.")
	}
	for _, field := range fields {
		if !gjson.GetBytes(c.body, field).Exists() {
			return bad(field + ": Field required")
		}
	}
	if gjson.GetBytes(c.body, "messages.#").Int() == 0 {
		return bad("messages: at least one message is required")
	}
	return reply{}, false
}

const (
	messageUsage = `{"input_tokens":%d,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,` +
		`"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens":%d,"service_tier":"standard"}`

	// messageBody takes id, model, content, stop_reason, usage.
	messageBody = `{"model":%s,"id":%s,"type":"message","role":"assistant","content":[%s],"stop_reason":%s,"stop_sequence":null,"stop_details":null,"container":null,"usage":%s}`

	messageFirst = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":%s}\n\n" +
		"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n" +
		"event: ping\ndata: {\"type\":\"ping\"}\n\n"

	messageWord = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":%s}}\n\n"

	messageLast = "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n" +
		"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"stop_details\":null,\"container\":null}," +
		"\"usage\":{\"input_tokens\":%d,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":%d}}\n\n" +
		"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
)

// messages answers POST /v1/messages.
func messages(c *call) reply {
	if rep, bad := anthropicInvalid(c, "model", "max_tokens", "messages"); bad {
		return rep
	}
	p := c.prompt("messages", "system")
	words := c.words(p)
	id, model := quote(c.name("msg_")), quote(p.model)
	if !p.stream {
		return reply{status: http.StatusOK, body: fmt.Appendf(nil, messageBody, model, id,
			fmt.Appendf(nil, `{"type":"text","text":%s}`, quote(strings.Join(words, ""))), `"end_turn"`,
			fmt.Appendf(nil, messageUsage, p.tokens, len(words)))}
	}
	chunks := make([][]byte, 0, len(words)+2)
	chunks = append(chunks, fmt.Appendf(nil, messageFirst,
		fmt.Appendf(nil, messageBody, model, id, "", "null", fmt.Appendf(nil, messageUsage, p.tokens, 1))))
	for _, word := range words {
		chunks = append(chunks, fmt.Appendf(nil, messageWord, quote(word)))
	}
	chunks = append(chunks, fmt.Appendf(nil, messageLast, p.tokens, len(words)))
	return reply{status: http.StatusOK, chunks: chunks}
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
