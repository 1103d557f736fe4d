// Package openai describes the API of OpenAI, which many others speak too.
package openai

import (
	"net/http"
	"slices"
	"time"

	"github.com/gatehousehq/gatehouse/internal/upstream"
)

// Dialect returns the dialect. A provider's base URL includes /v1.
func Dialect() *upstream.Dialect {
	return &upstream.Dialect{
		Name:             "openai",
		CredentialHeader: "Authorization",
		CredentialPrefix: "Bearer ",
		Endpoints: []upstream.Endpoint{
			{Name: "chat/completions", Method: http.MethodPost, Path: "chat/completions", BodyModel: true},
			{Name: "responses", Method: http.MethodPost, Path: "responses", BodyModel: true},
			{Name: "responses/input_tokens", Method: http.MethodPost, Path: "responses/input_tokens", BodyModel: true},
			{Name: "completions", Method: http.MethodPost, Path: "completions", BodyModel: true},
			{Name: "embeddings", Method: http.MethodPost, Path: "embeddings", BodyModel: true},
			{Name: "models", Method: http.MethodGet, Path: "models"},
			{Name: "models/{id}", Method: http.MethodGet, Path: "models/*"},
		},
		// https://developers.openai.com/api/docs/guides/realtime-websocket and
		// https://developers.openai.com/api/docs/guides/websocket-mode
		Sockets: []upstream.Endpoint{
			{Name: "realtime", Method: http.MethodGet, Path: "realtime", Socket: true, QueryModel: true},
			{Name: "responses/socket", Method: http.MethodGet, Path: "responses", Socket: true},
		},
		// Nothing about a request is OpenAI's alone.
		Claims:   func(string, http.Header) bool { return false },
		Classify: classify,
		Limits: []upstream.Limit{
			{Type: "requests", Remaining: "X-Ratelimit-Remaining-Requests", Reset: "X-Ratelimit-Reset-Requests"},
			{Type: "tokens", Remaining: "X-Ratelimit-Remaining-Tokens", Reset: "X-Ratelimit-Reset-Tokens"},
			{Remaining: "X-Ratelimit-Remaining-Project-Tokens", Reset: "X-Ratelimit-Reset-Project-Tokens"},
		},
		ParseReset: parseReset,
		// https://platform.openai.com/docs/guides/rate-limits: they vary by model. Some
		// models share one; then each of them meets it once.
		LimitsByModel: true,
		ProbePath:     "models",
		AppendError:   appendError,
	}
}

// parseReset reads a duration such as 6m0s or 20ms. A plain number is not one:
// servers that send it mean seconds, milliseconds or a time.
func parseReset(v string, _ time.Time) time.Duration {
	d, err := time.ParseDuration(v)
	if err != nil {
		return 0
	}
	return max(0, d)
}

// Codes that say that there is no money, or that the account is closed. The
// status differs: 429 for most, 400 or 403 for some.
var (
	noCredit = []string{"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}
	closed   = []string{"invalid_api_key", "account_deactivated", "access_terminated", "invalid_organization"}
)

func classify(status int, body []byte) upstream.Verdict {
	v := upstream.ByStatus(status)
	if status >= 500 {
		return v
	}
	d := upstream.ParseDetail(body)
	switch {
	case slices.Contains(noCredit, d.Code), d.Type == "insufficient_quota":
		return upstream.QuotaExhausted
	case (status == 401 || status == 403) && d.Begins("You have insufficient permissions for this operation"):
		// A restricted key, which may well do other things.
		return upstream.NotPermitted
	case status != http.StatusForbidden:
		return v
	case slices.Contains(closed, d.Code),
		d.Begins("Incorrect API key", "Invalid API key", "The API key", "Your API key", "API key", "Your account"):
		return upstream.Refused
	case d.Code == "model_not_found", d.Begins("Project `"):
		return upstream.NotPermitted
	}
	return v
}

func appendError(dst []byte, e upstream.Error) []byte {
	dst = append(dst, `{"error":{"message":`...)
	dst = upstream.AppendString(dst, e.Message)
	dst = append(dst, `,"type":`...)
	dst = upstream.AppendString(dst, ErrorType(e.Status))
	dst = append(dst, `,"param":null,"code":`...)
	if e.Code == "" {
		dst = append(dst, `null`...)
	} else {
		dst = upstream.AppendString(dst, e.Code)
	}
	return append(dst, `}}`...)
}

// ErrorType returns the type that OpenAI sends with a status.
func ErrorType(status int) string {
	switch {
	case status == http.StatusForbidden:
		return "request_forbidden"
	case status == http.StatusTooManyRequests:
		return "requests"
	case status >= 500:
		return "server_error"
	}
	return "invalid_request_error"
}
