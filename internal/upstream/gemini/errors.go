package gemini

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/gatehousehq/gatehouse/internal/nesting"
	"github.com/gatehousehq/gatehouse/internal/upstream"
)

// A failure is what there is to know of an error of Google's
// (https://cloud.google.com/apis/design/errors). The zero failure is a body that
// is something else.
type failure struct {
	status string // the name of a code of gRPC
	// reason says what is wrong with the call, if it was Google's front end that
	// refused it.
	reason string
	detail upstream.Detail
	// daily is set if a quota for a day is used up; none if a quota was asked for
	// that the key does not have any of, as for models that its plan is without.
	daily, none bool
	delay       time.Duration
}

// parse reads {"error":{"code","message","status","details":[…]}}. A stream that
// is not of events has its error in a list.
func parse(body []byte) failure {
	if !nesting.Valid(body) {
		return failure{}
	}
	doc := gjson.ParseBytes(body)
	if doc.IsArray() {
		doc = doc.Get("0")
	}
	e := doc.Get("error")
	f := failure{status: text(e.Get("status")), detail: upstream.Detail{Message: text(e.Get("message"))}}
	e.Get("details").ForEach(func(_, d gjson.Result) bool {
		switch strings.TrimPrefix(text(d.Get("@type")), "type.googleapis.com/google.rpc.") {
		case "ErrorInfo":
			if text(d.Get("domain")) == "googleapis.com" {
				f.reason = text(d.Get("reason"))
			}
		case "QuotaFailure":
			d.Get("violations").ForEach(func(_, v gjson.Result) bool {
				day := strings.Contains(text(v.Get("quotaId")), "PerDay")
				f.daily = f.daily || day
				// Google leaves out a limit of zero.
				f.none = f.none || day && !v.Get("quotaValue").Exists()
				return true
			})
		case "RetryInfo":
			f.delay = seconds(text(d.Get("retryDelay")))
		}
		return true
	})
	return f
}

func text(v gjson.Result) string {
	if v.Type != gjson.String {
		return ""
	}
	return v.Str
}

// maxDelay is the longest wait that is believed; the pool has its own limit below.
const maxDelay = 366 * 24 * time.Hour

// seconds reads a duration as JSON has those of protocol buffers: "20.045s".
func seconds(s string) time.Duration {
	number, ok := strings.CutSuffix(s, "s")
	f, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(f > 0) { // not a number is not
		return 0
	}
	if f >= maxDelay.Seconds() {
		return maxDelay
	}
	return time.Duration(f * float64(time.Second))
}

func waitIn(body []byte) time.Duration { return parse(body).delay }

func classify(status int, body []byte) upstream.Verdict {
	v := upstream.ByStatus(status)
	if status >= 500 {
		return v
	}
	f := parse(body)
	switch status {
	case http.StatusTooManyRequests:
		return f.exhausted()
	case http.StatusBadRequest:
		switch {
		case f.reason == "API_KEY_INVALID", f.detail.Begins("API key not valid", "API Key not found", "API key expired"):
			return upstream.Refused
		case f.detail.Begins("Gemini API free tier is not available"):
			return upstream.NotPermitted // another key may have an account that pays
		}
	case http.StatusForbidden:
		switch {
		case f.reason == "BILLING_DISABLED":
			return upstream.QuotaExhausted
		case strings.HasPrefix(f.reason, "API_KEY_"), strings.HasPrefix(f.reason, "CONSUMER_"), f.reason == "SERVICE_DISABLED",
			f.reason == "ACCOUNT_STATE_INVALID",
			f.detail.Begins("Your API key", "Method doesn't allow unregistered callers", "Permission denied: Consumer"):
			return upstream.Refused
		case f.status == "PERMISSION_DENIED":
			return upstream.NotPermitted
		}
	}
	return v
}

// exhausted tells apart what RESOURCE_EXHAUSTED is used for.
func (f failure) exhausted() upstream.Verdict {
	switch {
	case f.none:
		return upstream.NotPermitted
	case f.daily,
		f.detail.Begins("Your prepayment credits are depleted", "Your project has exceeded its monthly spending cap", "Your project has exceeded its spending cap"):
		return upstream.QuotaExhausted
	}
	return upstream.RateLimited
}

func appendError(dst []byte, e upstream.Error) []byte {
	dst = append(dst, `{"error":{"code":`...)
	dst = strconv.AppendInt(dst, int64(e.Status), 10)
	dst = append(dst, `,"message":`...)
	dst = upstream.AppendString(dst, e.Message)
	dst = append(dst, `,"status":"`...)
	dst = append(dst, statusName(e.Status)...)
	dst = append(dst, `","details":[`...)
	if e.RetryAfter > 0 {
		dst = append(dst, `{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"`...)
		dst = strconv.AppendInt(dst, int64((e.RetryAfter+time.Second-1)/time.Second), 10)
		dst = append(dst, `s"},`...)
	}
	dst = append(dst, `{"@type":"type.googleapis.com/google.rpc.RequestInfo","requestId":`...)
	dst = upstream.AppendString(dst, e.RequestID)
	return append(dst, `}]}}`...)
}

// statusName gives the code of gRPC that Google sends with a status.
func statusName(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "UNAUTHENTICATED"
	case http.StatusForbidden:
		return "PERMISSION_DENIED"
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return "NOT_FOUND"
	case http.StatusTooManyRequests:
		return "RESOURCE_EXHAUSTED"
	case http.StatusInternalServerError:
		return "INTERNAL"
	case http.StatusGatewayTimeout:
		return "DEADLINE_EXCEEDED"
	}
	if status >= 500 {
		return "UNAVAILABLE"
	}
	return "INVALID_ARGUMENT"
}
