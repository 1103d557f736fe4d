package mockupstream

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/gatehousehq/gatehouse/internal/secret"
)

// openAI is the OpenAI API around its endpoints.
type openAI struct{}

func (openAI) credential(r *http.Request) secret.Text { return bearer(r) }

func bearer(r *http.Request) secret.Text {
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return secret.Text{}
	}
	return secret.New(value)
}

func (openAI) headers(h http.Header, c *call, rep reply) {
	h.Set("X-Request-Id", c.name("req_"))
	h.Set("Openai-Organization", "org-mock")
	h.Set("Openai-Project", "proj_mock")
	h.Set("Openai-Processing-Ms", "7")
	h.Set("Openai-Version", "2020-10-01")
	h.Set("Set-Cookie", "__cf_bm=mock; path=/; HttpOnly; Secure; SameSite=None")
	remaining, reset := "9999", "6ms"
	if rep.retryAfter > 0 {
		remaining, reset = "0", rep.retryAfter.String()
		h.Set("Retry-After", seconds(rep.retryAfter))
		h.Set("Retry-After-Ms", strconv.FormatInt(rep.retryAfter.Milliseconds(), 10))
	}
	h.Set("X-Ratelimit-Limit-Requests", "10000")
	h.Set("X-Ratelimit-Remaining-Requests", remaining)
	h.Set("X-Ratelimit-Reset-Requests", reset)
	h.Set("X-Ratelimit-Limit-Tokens", "2000000")
	h.Set("X-Ratelimit-Remaining-Tokens", "1999000")
	h.Set("X-Ratelimit-Reset-Tokens", "30ms")
}

// seconds returns d in whole seconds, rounded up.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// openAIError is an error body. A param or code of "" is null.
func openAIError(status int, kind, code, param, message string) reply {
	null := func(s string) []byte {
		if s == "" {
			return []byte("null")
		}
		return quote(s)
	}
	return reply{status: status, body: fmt.Appendf(nil,
		`{"error":{"message":%s,"type":%s,"param":%s,"code":%s}}`,
		quote(message), quote(kind), null(param), null(code))}
}

func (openAI) unauthorized(_ *call, presented secret.Text) reply {
	if presented.IsZero() {
		return openAIError(http.StatusUnauthorized, "invalid_request_error", "", "",
			"You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).")
	}
	// The real one shows the ends of the key, too.
	return openAIError(http.StatusUnauthorized, "invalid_request_error", "invalid_api_key", "",
		"Incorrect API key provided: "+presented.Hint()+". You can find your API key at https://platform.openai.com/account/api-keys.")
}

func (v openAI) refusal(c *call, b Behaviour, presented secret.Text) reply {
	switch b {
	case RateLimited:
		rep := openAIError(http.StatusTooManyRequests, "requests", "rate_limit_exceeded", "",
			"Rate limit reached for "+ChatModel+" in organization org-mock on requests per min (RPM): Limit 10000, Used 10000, Requested 1. Please try again in "+c.cfg.RetryAfter.String()+".")
		rep.retryAfter = c.cfg.RetryAfter
		return rep
	case Exhausted:
		return openAIError(http.StatusTooManyRequests, "insufficient_quota", "insufficient_quota", "",
			"You exceeded your current quota, please check your plan and billing details. For more information on this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.")
	case Overloaded:
		return openAIError(http.StatusInternalServerError, "server_error", "", "",
			"The server had an error while processing your request. Sorry about that!")
	default:
		return v.unauthorized(c, presented)
	}
}

func (openAI) unknown(c *call, status int) reply {
	switch status {
	case http.StatusNotFound:
		return openAIError(status, "invalid_request_error", "", "", "Invalid URL ("+c.r.Method+" "+c.r.URL.Path+")")
	case http.StatusUpgradeRequired:
		return openAIError(status, "invalid_request_error", "", "", "This mock does not speak WebSocket: use HTTP.")
	}
	return openAIError(status, "invalid_request_error", "method_not_supported", "",
		"Not allowed to "+c.r.Method+" on "+c.r.URL.Path+" (HINT: Perhaps you meant to use a different HTTP method?)")
}

// openAIInvalid returns what is wrong with a request, and whether something is.
// The field named by input must be there and not be empty.
func openAIInvalid(c *call, input string) (reply, bool) {
	bad := func(code, param, message string) (reply, bool) {
		return openAIError(http.StatusBadRequest, "invalid_request_error", code, param, message), true
	}
	if c.cfg.Reply != "" {
		return reply{}, false
	}
	if !gjson.ValidBytes(c.body) || !gjson.ParseBytes(c.body).IsObject() {
		return bad("", "", "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)")
	}
	if gjson.GetBytes(c.body, "model").String() == "" {
		return bad("", "", "you must provide a model parameter")
	}
	switch value := gjson.GetBytes(c.body, input); {
	case !value.Exists():
		return bad("missing_required_parameter", input, "Missing required parameter: '"+input+"'.")
	case value.IsArray() && value.Get("#").Int() == 0:
		return bad("empty_array", input, "Invalid '"+input+"': empty array. Expected an array with minimum length 1, but got an empty array instead.")
	}
	return reply{}, false
}
