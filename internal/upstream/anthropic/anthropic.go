// Package anthropic describes the API of Anthropic.
package anthropic

import (
	"net/http"
	"strings"
	"time"

	"github.com/gatehousehq/gatehouse/internal/upstream"
)

// Dialect returns the dialect. A provider's base URL does not include /v1.
func Dialect() *upstream.Dialect {
	return &upstream.Dialect{
		Name:             "anthropic",
		BasePath:         "/v1",
		CredentialHeader: "X-Api-Key",
		Endpoints: []upstream.Endpoint{
			{Name: "messages", Method: http.MethodPost, Path: "messages", BodyModel: true},
			{Name: "messages/count_tokens", Method: http.MethodPost, Path: "messages/count_tokens", BodyModel: true},
			{Name: "models", Method: http.MethodGet, Path: "models"},
			{Name: "models/{id}", Method: http.MethodGet, Path: "models/*"},
		},
		Claims: func(path string, h http.Header) bool {
			return path == "messages" || strings.HasPrefix(path, "messages/") || len(h["Anthropic-Version"]) > 0
		},
		Classify: classify,
		Limits: []upstream.Limit{
			{Remaining: "Anthropic-Ratelimit-Requests-Remaining", Reset: "Anthropic-Ratelimit-Requests-Reset"},
			{Remaining: "Anthropic-Ratelimit-Tokens-Remaining", Reset: "Anthropic-Ratelimit-Tokens-Reset"},
			{Remaining: "Anthropic-Ratelimit-Input-Tokens-Remaining", Reset: "Anthropic-Ratelimit-Input-Tokens-Reset"},
			{Remaining: "Anthropic-Ratelimit-Output-Tokens-Remaining", Reset: "Anthropic-Ratelimit-Output-Tokens-Reset"},
		},
		ParseReset: parseReset,
		// https://docs.claude.com/en/api/rate-limits: they are for each class of models.
		LimitsByModel: true,
		ProbePath:     "models",
		ProbeQuery:    "limit=1",
		ProbeHeader:   http.Header{"Anthropic-Version": {"2023-06-01"}},
		AppendError:   appendError,
	}
}

// parseReset reads a time in RFC 3339.
func parseReset(v string, now time.Time) time.Duration {
	at, err := time.Parse(time.RFC3339, v)
	if err != nil {
		return 0
	}
	return max(0, at.Sub(now))
}

// spent begins what is said when there is no credit, or a limit on spending that
// the customer or the vendor set is reached: with 400 most of them, the last one
// with 429.
var spent = []string{
	"Your credit balance is too low",
	"You have reached your specified API usage limits",
	"You have reached your specified workspace API usage limits",
	"You have reached your API usage limits",
}

func classify(status int, body []byte) upstream.Verdict {
	v := upstream.ByStatus(status)
	switch status {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusTooManyRequests:
	default:
		return v
	}
	d := upstream.ParseDetail(body)
	switch {
	case d.Begins(spent...), d.Type == "billing_error":
		return upstream.QuotaExhausted
	case status == http.StatusTooManyRequests:
		return v
	case d.Begins("This organization has been disabled", "Your account does not have access", "OAuth authentication is",
		"OAuth token has been", "This API key", "Invalid API key", "API key has been"):
		return upstream.Refused
	case status == http.StatusForbidden && d.Type == "permission_error":
		// "Your API key does not have permission to use the specified resource."
		return upstream.NotPermitted
	}
	return v
}

func appendError(dst []byte, e upstream.Error) []byte {
	dst = append(dst, `{"type":"error","error":{"type":`...)
	dst = upstream.AppendString(dst, ErrorType(e.Status))
	dst = append(dst, `,"message":`...)
	dst = upstream.AppendString(dst, e.Message)
	dst = append(dst, `},"request_id":`...)
	dst = upstream.AppendString(dst, e.RequestID)
	return append(dst, '}')
}

// ErrorType returns the type that Anthropic sends with a status.
func ErrorType(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "authentication_error"
	case http.StatusPaymentRequired:
		return "billing_error"
	case http.StatusForbidden:
		return "permission_error"
	case http.StatusNotFound:
		return "not_found_error"
	case http.StatusRequestEntityTooLarge:
		return "request_too_large"
	case http.StatusTooManyRequests:
		return "rate_limit_error"
	case http.StatusGatewayTimeout:
		return "timeout_error"
	case 529:
		return "overloaded_error"
	}
	if status >= 500 {
		return "api_error"
	}
	return "invalid_request_error"
}
