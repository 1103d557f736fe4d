package bedrock

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/gatehousehq/gatehouse/internal/upstream"
)

// maxError is how much of an error, or of a count, is read.
const maxError = 64 << 10

// answer turns a response of Bedrock into one of Anthropic's API. One of the
// native API is one already.
func answer(res *http.Response) error {
	h := res.Header
	if id := h.Get("X-Amzn-Requestid"); id != "" {
		h["Request-Id"] = []string{id}
	}
	kind, _, _ := mime.ParseMediaType(h.Get("Content-Type")) // none is not ours
	switch {
	case res.StatusCode >= http.StatusBadRequest:
		return answerError(res)
	case kind == contentEvents:
		res.Body = newEvents(res.Body)
		h["Content-Type"] = []string{"text/event-stream; charset=utf-8"}
		delete(h, "Content-Length")
		res.ContentLength = -1
	case strings.HasSuffix(res.Request.URL.Path, "/count-tokens"):
		return answerCount(res)
	}
	return nil
}

// answerError makes Anthropic's error of AWS's, {"message":…} with its kind in a
// header.
func answerError(res *http.Response) error {
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxError))
	if err != nil {
		return err
	}
	if gjson.GetBytes(raw, "error.type").Exists() { // the native API
		replace(res, raw)
		return nil
	}
	exception, _, _ := strings.Cut(res.Header.Get("X-Amzn-Errortype"), ":")
	message := gjson.GetBytes(raw, "message").Str
	if message == "" {
		message = gjson.GetBytes(raw, "Message").Str // AWS spells it so before the service is reached
	}
	if exception == "AccessDeniedException" && refusesKey(message) {
		exception = "UnrecognizedClientException"
	}
	if strings.Contains(message, "arn:") { // it names the account, and who is signed in there
		message = "Amazon Bedrock refuses this to the account of the provider."
	}
	status, kind := meaning(exception, res.StatusCode)
	res.StatusCode = status
	replace(res, appendError(nil, kind, message))
	return nil
}

func answerCount(res *http.Response) error {
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxError))
	if err != nil {
		return err
	}
	n := gjson.GetBytes(raw, "inputTokens")
	if n.Type != gjson.Number {
		return errEvent
	}
	replace(res, []byte(`{"input_tokens":`+n.Raw+`}`))
	return nil
}

// replace gives a response another body. The one that was is closed by whoever
// closes the new one.
func replace(res *http.Response, body []byte) {
	res.Body = struct {
		io.Reader
		io.Closer
	}{bytes.NewReader(body), res.Body}
	res.ContentLength = int64(len(body))
	res.Header["Content-Type"] = []string{"application/json"}
	res.Header["Content-Length"] = []string{strconv.Itoa(len(body))}
	delete(res.Header, "Content-Encoding")
}

// refusesKey reports whether a refusal is of the credential, not of what was
// asked for: both are AccessDeniedException where the credential is a Bedrock API
// key.
func refusesKey(message string) bool {
	d := upstream.Detail{Message: message}
	return d.Begins("Authentication failed", "Bearer Token has expired", "Invalid API Key", "API Key")
}

// meaning returns the status and type of Anthropic's error for one of AWS,
// https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html.
// Within a stream there is no status.
func meaning(exception string, status int) (int, string) {
	name := strings.ToLower(strings.TrimSuffix(exception, "Exception"))
	switch name {
	case "throttling", "servicequotaexceeded":
		return http.StatusTooManyRequests, "rate_limit_error"
	case "unrecognizedclient", "expiredtoken", "invalidsignature", "incompletesignature", "missingauthenticationtoken", "invalidclienttokenid":
		return http.StatusUnauthorized, "authentication_error"
	case "accessdenied", "optinrequired", "notauthorized":
		return http.StatusForbidden, "permission_error"
	case "resourcenotfound":
		return http.StatusNotFound, "not_found_error"
	case "validation":
		return http.StatusBadRequest, "invalid_request_error"
	case "modelnotready", "serviceunavailable":
		return 529, "overloaded_error"
	case "modeltimeout":
		return http.StatusGatewayTimeout, "timeout_error"
	case "internalserver", "modelerror", "modelstreamerror", "internalfailure":
		return http.StatusInternalServerError, "api_error"
	}
	switch status {
	case http.StatusUnauthorized:
		return status, "authentication_error"
	case http.StatusForbidden:
		return status, "permission_error"
	case http.StatusTooManyRequests:
		return status, "rate_limit_error"
	case http.StatusServiceUnavailable:
		return status, "overloaded_error"
	case 0:
		return http.StatusInternalServerError, "api_error"
	}
	if status < http.StatusInternalServerError {
		return status, "invalid_request_error"
	}
	return status, "api_error"
}

// classify reads what answer has made of an error.
func classify(status int, body []byte) upstream.Verdict {
	if upstream.ParseDetail(body).Type == "permission_error" {
		// The account has no access to the model, or the key may not invoke it.
		return upstream.NotPermitted
	}
	return upstream.ByStatus(status)
}
