package usage

import (
	"encoding/json"
	"strings"
)

// A Kind is an API whose responses are metered.
type Kind uint8

// The kinds.
const (
	// NotMetered is for all other responses: a count of tokens that was asked
	// for is not usage.
	NotMetered Kind = iota
	// Completions are OpenAI's Chat Completions, its older completions, and its
	// embeddings: they count in one form.
	Completions
	// Responses is OpenAI's Responses, and its Realtime.
	Responses
	// Messages is Anthropic's Messages.
	Messages
	// Contents is what Gemini generates, and its embeddings.
	Contents
)

// KindOf returns the kind of the endpoint of the name.
func KindOf(endpoint string) Kind {
	switch endpoint {
	case "chat/completions", "completions", "embeddings":
		return Completions
	case "responses", "responses/socket", "realtime": // by WebSocket, each message is a document
		return Responses
	case "messages":
		return Messages
	case "generateContent", "streamGenerateContent", "embedContent", "batchEmbedContents":
		return Contents
	}
	return NotMetered
}

// A Meter reads what an upstream says was used, and which model answered, from
// the body of a response as it passes. It never changes the body nor holds it
// back, and it keeps no more of it than the counts themselves: its memory does
// not depend on the length of a body, of a line or of an event.
//
// Bodies are JSON or server-sent events, for Gemini also lists of documents, as they are or compressed by gzip or
// deflate; of other encodings nothing is known. A body that ends too early
// counts as far as it came. Names in it are found as vendors write them, without
// escapes; what stands in a string or deeper within is never taken for usage.
//
// A Meter is for one body after the other, and for one goroutine at a time. Each
// body needs its End, or the Reset for the next one: they free what decompression
// holds. The zero Meter reads nothing.
type Meter struct {
	kind   Kind
	form   form
	tokens Tokens
	model  string
	// named is set when the model has been read, fit to be printed or not.
	named bool

	scan   scanner
	events eventReader
	// packed is not nil while a body is being decompressed.
	packed *unpacker
	spare  *unpacker // to be used again
}

// A form is what a body is written in.
type form uint8

const (
	unreadable form = iota
	unclear         // until the first byte that tells
	document        // one JSON document, or a list of them
	eventStream
)

// NewMeter returns a meter for a body. See [Meter.Reset].
func NewMeter(kind Kind, contentType, contentEncoding string) *Meter {
	m := new(Meter)
	m.Reset(kind, contentType, contentEncoding)
	return m
}

// Reset begins a new body, which has these headers. What is neither declared as
// JSON nor as events is looked at.
func (m *Meter) Reset(kind Kind, contentType, contentEncoding string) {
	m.End() // of a body that was given up
	m.kind, m.form = kind, unclear
	m.tokens, m.model, m.named = Tokens{}, "", false
	m.scan.reset()
	m.events = eventReader{}

	media, _, _ := strings.Cut(contentType, ";")
	switch media = strings.TrimSpace(media); {
	case strings.EqualFold(media, "text/event-stream"):
		m.form = eventStream
	case strings.EqualFold(media, "application/json"):
		m.form = document
	}
	switch encoding := strings.TrimSpace(contentEncoding); {
	case kind == NotMetered:
		m.form = unreadable
	case encoding == "" || strings.EqualFold(encoding, "identity"):
	case strings.EqualFold(encoding, "gzip"), strings.EqualFold(encoding, "x-gzip"):
		m.unpack(gzipped)
	case strings.EqualFold(encoding, "deflate"):
		m.unpack(deflated)
	default:
		m.form = unreadable
	}
}

// Observe reads the next bytes of the body. A chunk may begin and end anywhere,
// and is not kept.
func (m *Meter) Observe(chunk []byte) {
	switch {
	case m.form == unreadable || len(chunk) == 0:
	case m.packed != nil:
		m.packed.observe(chunk)
	default:
		m.read(chunk)
	}
}

// End says what was used and which model answered. The model is empty if it is
// unknown or not fit to be printed.
func (m *Meter) End() (Tokens, string) {
	if m.packed != nil {
		m.packed.end()
		m.packed = nil
	}
	m.form = unreadable
	return m.tokens, m.model
}

// read reads bytes that are not compressed.
func (m *Meter) read(b []byte) {
	if m.form == unclear {
		if b = m.tell(b); len(b) == 0 {
			return
		}
	}
	if m.form == document {
		m.scan.read(m, b)
	} else {
		m.events.read(m, b)
	}
}

// tell finds out the form of the body by what it begins with, and returns what
// is left to be read.
func (m *Meter) tell(b []byte) []byte {
	for i, c := range b {
		switch c {
		case ' ', '\t', '\r', '\n', bom[0], bom[1], bom[2]:
			continue
		case '{', '[':
			m.form = document
		default:
			m.form = eventStream
		}
		return b[i:]
	}
	return nil
}

// maxModel is the longest name of a model that is written down.
const maxModel = 128

// name takes down the model, whose raw text is that between the quotes. After one
// that is not empty, no other is looked for.
func (m *Meter) name(raw []byte, whole, escaped bool) {
	if len(raw) == 0 {
		return
	}
	m.named = true
	if !whole {
		return
	}
	name := string(raw)
	if escaped && json.Unmarshal([]byte(`"`+name+`"`), &name) != nil {
		return
	}
	if len(name) > maxModel {
		return
	}
	for i := range len(name) {
		if name[i] < ' ' || name[i] > '~' {
			return
		}
	}
	m.model = name
}
