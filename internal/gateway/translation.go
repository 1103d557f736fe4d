package gateway

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/translate"
	"github.com/gatehousehq/gatehouse/internal/upstream"
	"github.com/gatehousehq/gatehouse/internal/usage"
)

// Headers that pass between a client and an upstream that speak different APIs:
// what belongs to one of them would mean nothing to the other.
var (
	translatedRequestHeaders  = newHeaderSet([]string{"Accept-Language", "Idempotency-Key", "User-Agent"})
	translatedResponseHeaders = newHeaderSet([]string{
		"Cache-Control", "Content-Length", "Content-Type", "Request-Id", "Retry-After", "Retry-After-Ms", "X-Request-Id", "X-Should-Retry",
	})
)

// anthropicVersion is the version of Anthropic's API that is spoken to it.
const anthropicVersion = "2023-06-01"

// maxTranslated is how much of an answer is read that comes in one piece.
const maxTranslated = 32 << 20

// errNotTranslated is an answer that is not of its API, or is too large.
var errNotTranslated = errors.New("gateway: the answer cannot be translated")

// clientAPI returns what a client speaks at a path, if it can be translated.
func clientAPI(path string) (translate.API, bool) {
	for _, api := range []translate.API{translate.Chat, translate.Responses, translate.Messages} {
		if path == api.Path() {
			return api, true
		}
	}
	return 0, false
}

// translated returns what a provider speaks in the place of what the client does at
// the path, nil for nothing. Of OpenAI's two APIs the first is the one that all
// have who speak it. At OpenAI itself a client of Messages is better off with the
// other: Chat Completions refuses tools there for later models, and agents always
// have tools.
func translated(p *routing.Provider, d *upstream.Dialect, path, model string) (e *upstream.Endpoint, api translate.API) {
	own, ok := clientAPI(path)
	if !ok {
		return nil, 0
	}
	order := [...]translate.API{translate.Messages, translate.Chat, translate.Responses}
	if own == translate.Messages && atOpenAI(p) && translate.ForOpenAI(model) == translate.Responses {
		order[1], order[2] = order[2], order[1]
	}
	for _, api := range order {
		e := d.Endpoint(http.MethodPost, api.Path())
		if api != own && e != nil && servesPath(p, e.Path) {
			return e, api
		}
	}
	return nil, 0
}

// translateRequest puts a translation in the place of the body that is held, for a
// target that speaks another API.
func (x *exchange) translateRequest(t *target) (bad *refusal, message string) {
	own, _ := clientAPI(x.rec.Path)
	j := &x.journey
	j.translation = translate.New(own, t.api, translate.Options{
		Model: t.model, Thoughts: j.thoughts, Now: x.rec.Began, ID: x.rec.ID,
		// Names of models do not tell there: Azure has deployments, OpenAI tuned models.
		MaxCompletionTokens: t.provider.Dialect == routing.Azure || atOpenAI(t.provider),
	})
	body, err := j.translation.Request(x.body.held)
	if err != nil {
		if e, ok := errors.AsType[*translate.RequestError](err); ok {
			return notForUpstream, e.Message
		}
		return internalError, internalError.message
	}
	if !x.reserve(int64(len(body))) {
		return noBodyMemory, noBodyMemory.message
	}
	j.came = x.body.buf
	x.body.buf, x.body.held = ownBuffer(body), body
	return nil, ""
}

func atOpenAI(p *routing.Provider) bool {
	if p.BaseURL == nil {
		return false
	}
	host := p.BaseURL.Hostname()
	return host == openAIHost || strings.HasSuffix(host, "."+openAIHost)
}

// openAIHost is where OpenAI is, and what its hosts for regions end in.
const openAIHost = "api.openai.com"

// untranslate puts the body that came back in the place of its translation.
func (x *exchange) untranslate() {
	j := &x.journey
	if j.came != nil {
		n := int64(len(x.body.held))
		x.body.reserved -= n
		x.g.replayLeft.Add(n)
		x.keep(j.came)
	}
	j.translation, j.came, j.whole = nil, nil, nil
}

// translateHeaders returns the headers of a request that is translated.
func (x *exchange) translateHeaders(h http.Header) {
	translatedRequestHeaders.copyTo(h, x.r.Header)
	h["Accept"] = []string{"application/json"}
	h["Accept-Encoding"] = []string{"identity"} // what comes is read
	h["Content-Type"] = []string{"application/json"}
	if x.endpoint.Name == translate.Messages.Path() {
		h["Anthropic-Version"] = []string{anthropicVersion}
	}
}

// translateAnswer puts a translation in the place of a response that succeeded. A
// stream is translated as it is read.
func (x *exchange) translateAnswer(res *http.Response) error {
	j := &x.journey
	if j.translation == nil {
		return nil
	}
	if c := res.Header.Get("Content-Encoding"); c != "" && !strings.EqualFold(c, "identity") {
		return errNotTranslated
	}
	if kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); kind == "text/event-stream" {
		res.Body = j.translation.Reader(&observed{res.Body, x})
		res.ContentLength = -1
		delete(res.Header, "Content-Length")
		return nil
	}
	x.watch.wait(forUpstream)
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxTranslated+1))
	if err != nil {
		return err
	}
	if len(raw) > maxTranslated {
		return errNotTranslated
	}
	body, err := j.translation.Response(raw)
	if err != nil {
		return errNotTranslated
	}
	j.whole = raw
	replaceBody(res, body)
	return nil
}

// strange goes on to the next target, or answers, where an answer could not be
// translated. It may be billed all the same.
func (t *tryState) strange() (answered bool) {
	x := t.x
	t.note().Outcome = usage.Unreadable
	if x.provider.NoReplay {
		x.refuse(strangeAnswer) // which tells the client not to send it again
		return true
	}
	answered = x.pass(strangeAnswer, strangeAnswer.message, 0)
	t.note().BilledTwice = !answered
	return answered
}

// replaceBody gives a response another body, which needs no closing.
func replaceBody(res *http.Response, body []byte) {
	res.Body = io.NopCloser(bytes.NewReader(body))
	res.ContentLength = int64(len(body))
	res.Header["Content-Length"] = []string{strconv.Itoa(len(body))}
	res.Header["Content-Type"] = []string{"application/json"}
	delete(res.Header, "Content-Encoding")
}

// An observed is the body of an upstream that is translated: it is metered before
// that, and each piece of it is progress, whether or not the client hears of it.
type observed struct {
	body io.ReadCloser
	x    *exchange
}

func (o *observed) Read(p []byte) (int, error) {
	n, err := o.body.Read(p)
	if n > 0 {
		o.x.meter.Observe(p[:n])
		o.x.watch.wait(forUpstream)
	}
	return n, err
}

func (o *observed) Close() error { return o.body.Close() }
