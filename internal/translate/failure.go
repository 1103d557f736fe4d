package translate

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/gatehousehq/gatehouse/internal/upstream/anthropic"
	"github.com/gatehousehq/gatehouse/internal/upstream/openai"
)

// A failure is an error of an upstream.
type failure struct {
	status        int
	message, code lit
}

// statusOverloaded is Anthropic's status for a server that has too much to do.
const statusOverloaded = 529

// statuses are those that Anthropic has types of errors of their own for.
var statuses = []int{
	http.StatusBadRequest, http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusNotFound,
	http.StatusRequestEntityTooLarge, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusGatewayTimeout, statusOverloaded,
}

// tooLong is OpenAI's code for a conversation that does not fit, which agents
// look for to shorten it. Anthropic has no code, and its agents look at how the
// message begins.
const tooLong = "context_length_exceeded"

var tooLongBegins = []string{"prompt is too long", "input length and `max_tokens` exceed context limit", "input is too long"}

// spentCode is OpenAI's code for an account without money.
const spentCode = "insufficient_quota"

// Error returns an error of the upstream, of a status that is kept, in the form
// that the client knows. What the upstream says for people is passed on; of a
// body in no known form, only the status is.
func (t *Translation) Error(status int, body []byte) []byte {
	doc, _ := parse(body)
	f := failureOf(doc)
	f.status = status
	var w writer
	switch t.client {
	case Messages:
		w.messagesError(f)
	default:
		w.open('{')
		w.key("error")
		w.openAIError(f)
		w.shut('}')
	}
	return w.b
}

// failureOf reads an error in any of the forms that are about. Its status is
// what the error itself says, and 500 if it does not.
func failureOf(doc gjson.Result) failure {
	e := doc.Get("error")
	f := failure{status: http.StatusInternalServerError}
	for _, v := range []gjson.Result{e.Get("message"), e, doc.Get("message"), doc.Get("detail")} {
		if f.message = litOf(v); f.message != "" {
			break
		}
	}
	f.code = litOf(e.Get("code"))
	for _, status := range statuses {
		if anthropic.ErrorType(status) == e.Get("type").Str {
			f.status = status
		}
	}
	if n := count(e.Get("code")); n >= 400 && n < 600 { // as OpenRouter has it
		f.status = int(n)
	}
	switch f.code {
	case tooLong:
		f.status = http.StatusBadRequest
	case "rate_limit_exceeded", spentCode:
		f.status = http.StatusTooManyRequests
	}
	if f.code == "" && e.Get("type").Str == "billing_error" {
		f.code = spentCode
	}
	said := strings.ToLower(string(f.message[:min(len(f.message), 64)]))
	for _, begins := range tooLongBegins {
		if strings.HasPrefix(said, begins) {
			f.code = tooLong
		}
	}
	return f
}

// said returns what the error says for people.
func (f *failure) said() lit {
	if f.message != "" {
		return f.message
	}
	return lit("The upstream answered with status " + strconv.Itoa(f.status) + ".")
}

func (w *writer) openAIError(f failure) {
	w.open('{')
	w.setLit("message", f.said())
	w.setStr("type", openai.ErrorType(f.status))
	w.setRaw("param", "null")
	w.orNull("code", f.code)
	w.shut('}')
}

func (w *writer) messagesError(f failure) {
	w.open('{')
	w.setRaw("type", `"error"`)
	w.key("error")
	w.open('{')
	kind, said := anthropic.ErrorType(f.status), f.said()
	switch f.code {
	case spentCode:
		kind = "billing_error"
	case tooLong:
		if !strings.HasPrefix(strings.ToLower(string(said)), tooLongBegins[0]) {
			said = lit(tooLongBegins[0]+": ") + said
		}
	}
	w.setStr("type", kind)
	w.setLit("message", said)
	w.shut('}')
	w.shut('}')
}
