package mockupstream

import (
	"fmt"
	"net/http"
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
