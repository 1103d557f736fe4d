// Package translate turns requests and answers of one API into those of another:
// Chat Completions, Responses and Messages, each into each. It is for a client
// that speaks one to a model that is served by another.
//
// What a request asks for is either carried over, or known to be a hint that is
// left out, or refused by a [RequestError]: nothing that would change the meaning
// of the answer is dropped in silence. docs/translation.md has the list, and a
// test holds it to the code. An answer that broke off never looks complete.
//
// The package knows bytes. It sees no header, dials nothing, and keeps no text of
// a prompt or an answer but what an event or a client's form needs; no error has
// any of it, but for what the upstream itself says in its errors.
//
// A [Translation] is for one request and one goroutine at a time. All else may be
// used concurrently.
package translate

import (
	"errors"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/gatehousehq/gatehouse/internal/nesting"
)

// An API is what a client or an upstream speaks.
type API uint8

// The APIs.
const (
	// Chat is OpenAI's Chat Completions.
	Chat API = iota
	// Responses is OpenAI's Responses.
	Responses
	// Messages is Anthropic's Messages.
	Messages

	apis // how many there are
)

// String returns the name that people use.
func (a API) String() string {
	return [apis]string{"Chat Completions", "Responses", "Messages"}[a]
}

// Path returns the path after /v1/.
func (a API) Path() string {
	return [apis]string{"chat/completions", "responses", "messages"}[a]
}

// Options are what a translation has to be told.
type Options struct {
	// Model is the model to ask for. It is required.
	Model string
	// MaxTokens is what Messages is told to stop at if the client did not say; zero
	// is [DefaultMaxTokens].
	MaxTokens int64
	// MaxCompletionTokens is set if an upstream of Chat Completions takes
	// max_completion_tokens whatever its models are called. Otherwise it does for
	// the names of OpenAI's models, and max_tokens for all others: servers that
	// know but one of the two know the older one.
	MaxCompletionTokens bool
	// Thoughts is set if all that the client sends back of this answer comes through
	// a translation, which gives each upstream its own thoughts and leaves out those
	// of others. Then the client is given the model's thoughts in a form that it
	// sends back. An upstream that gets them as they are refuses another vendor's.
	Thoughts bool
	// Now is the time of an answer whose API does not have one.
	Now time.Time
	// ID is the id of an answer that comes without one, and part of the ids that
	// are made for parts of an answer. It is letters, digits, _ and -.
	ID string
}

// A Translation translates one request, and then what the upstream answers. The
// answer may depend on the request, so that Request comes first.
type Translation struct {
	client, upstream API
	o                Options
	// usage is set if the client asked for usage at the end of a stream.
	usage bool
	// sealed is set if it takes thoughts that are to be sent back, and tools are
	// those of its tools that have other names upstream.
	sealed bool
	tools  names
}

// New returns a translation for a client of one API and an upstream of another.
func New(client, upstream API, o Options) *Translation {
	return &Translation{client: client, upstream: upstream, o: o}
}

// A RequestError is a request that cannot be translated. It is the client's to
// mend: a 400. Its message is for the client, and quotes no value.
type RequestError struct {
	// Member is what it is about, such as messages.tool_calls; it may be empty.
	Member string
	// Message says what is wrong.
	Message string
}

func (e *RequestError) Error() string { return e.Message }

func invalid(member, why string) error {
	return &RequestError{Member: member, Message: member + " is not valid: " + why + "."}
}

func cannot(member string, to API, why string) error {
	return &RequestError{Member: member, Message: member + " cannot be translated to " + to.String() + ": " + why + "."}
}

var errNotJSON = &RequestError{Message: "The body must be a JSON object with each member once, nested no deeper than 1,000 levels."}

// ForOpenAI returns which of OpenAI's two APIs to ask for a model, if a client
// speaks neither: Responses for OpenAI's own models since GPT-5, the later of
// which refuse tools in Chat Completions, and Chat Completions for all others,
// since few servers have Responses.
func ForOpenAI(model string) API {
	if ofOpenAI(model) && !unreasoning(model) && !strings.Contains(model, "/") {
		return Responses
	}
	return Chat
}

// Request translates a whole request. Errors are of type [*RequestError].
func (t *Translation) Request(body []byte) ([]byte, error) {
	doc, ok := parse(body)
	if !ok {
		return nil, errNotJSON
	}
	r := request{from: t.client, to: t.upstream, o: t.o}
	top, err := members(t.client, t.upstream, doc)
	if err != nil {
		return nil, err
	}
	switch t.client {
	case Chat:
		err = r.readChat(top)
	case Responses:
		err = r.readResponses(top)
	case Messages:
		err = r.readMessages(top)
	}
	if err != nil {
		return nil, err
	}
	t.usage, t.sealed, t.tools = r.usage, r.sealed && t.o.Thoughts, r.names
	w := writer{b: make([]byte, 0, len(body)+len(body)/8+512)}
	switch t.upstream {
	case Chat:
		err = r.writeChat(&w)
	case Responses:
		r.writeResponses(&w)
	case Messages:
		err = r.writeMessages(&w)
	}
	if err != nil {
		return nil, err
	}
	return w.b, nil
}

// errNotAnswer is an answer of another form than its API has.
var errNotAnswer = errors.New("the upstream's answer is not in the form of its API")

// Response translates a whole answer of a request that succeeded. An error means
// that the upstream did not answer in its API's form, or with an error after all.
func (t *Translation) Response(body []byte) ([]byte, error) {
	doc, ok := parse(body)
	if !ok {
		return nil, errNotAnswer
	}
	var a answer
	var err error
	switch t.upstream {
	case Chat:
		err = readChatAnswer(doc, &a, t.o)
	case Responses:
		err = readResponsesAnswer(doc, &a, t.o)
	case Messages:
		err = readMessagesAnswer(doc, &a, t.o)
	}
	if err != nil {
		return nil, err
	}
	w := writer{b: make([]byte, 0, len(body)+512)}
	switch t.client {
	case Chat:
		t.writeChatAnswer(&w, &a)
	case Responses:
		t.writeResponsesAnswer(&w, &a, "completed")
	case Messages:
		t.writeMessagesAnswer(&w, &a)
	}
	return w.b, nil
}

// parse returns a body that is a JSON object.
func parse(body []byte) (gjson.Result, bool) {
	if !nesting.Valid(body) {
		return gjson.Result{}, false
	}
	doc := gjson.ParseBytes(body)
	return doc, doc.IsObject()
}
