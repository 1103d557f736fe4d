package bedrock

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/tidwall/gjson"

	"github.com/gatehousehq/gatehouse/internal/nesting"
	"github.com/gatehousehq/gatehouse/internal/upstream"
)

// contentEvents is the media type of AWS's binary framing,
// https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html
// describes it for another service.
const contentEvents = "application/vnd.amazon.eventstream"

// errEvent is a message that is none of Bedrock's. It does not say what was in
// it.
var errEvent = errors.New("bedrock: an event is not well formed")

// events turns a stream of AWS's events into one of server-sent events, one for
// one. A message that is cut short or altered is an error, never an end.
type events struct {
	from    io.ReadCloser
	decoder *eventstream.Decoder
	read    int    // bytes of the message
	payload []byte // of the last message
	data    []byte // decoded from it
	out     bytes.Buffer
	err     error
}

func newEvents(from io.ReadCloser) *events {
	return &events{from: from, decoder: eventstream.NewDecoder()}
}

// Close implements [io.Closer].
func (e *events) Close() error { return e.from.Close() }

// Read implements [io.Reader]. It gives what one message became at most, so that
// each is passed on as it comes.
func (e *events) Read(p []byte) (int, error) {
	for e.out.Len() == 0 {
		if e.err != nil {
			return 0, e.err
		}
		e.next()
	}
	return e.out.Read(p)
}

func (e *events) next() {
	e.read = 0
	m, err := e.decoder.Decode(readerFunc(e.count), e.payload[:0])
	if err != nil {
		if errors.Is(err, io.EOF) && e.read > 0 { // the decoder takes a cut between two numbers for the end
			err = io.ErrUnexpectedEOF
		}
		e.err = err
		return
	}
	e.payload = m.Payload
	switch header(m, ":message-type") {
	case "event":
		if header(m, ":event-type") != "chunk" {
			return // a kind that came later, and is none of Anthropic's
		}
		e.err = e.chunk()
	case "exception":
		e.fail(header(m, ":exception-type"), gjson.GetBytes(m.Payload, "message").Str)
	case "error":
		e.fail(header(m, ":error-code"), header(m, ":error-message"))
	default:
		e.err = errEvent
	}
}

// count reads from the stream, and counts.
func (e *events) count(p []byte) (int, error) {
	n, err := e.from.Read(p)
	e.read += n
	return n, err
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// chunk writes the event that is in a message, {"bytes":"<base64>"}.
func (e *events) chunk() (err error) {
	encoded := gjson.GetBytes(e.payload, "bytes")
	if encoded.Type != gjson.String {
		return errEvent
	}
	e.data, err = base64.StdEncoding.AppendDecode(e.data[:0], []byte(encoded.Str))
	if err != nil || !nesting.Valid(e.data) {
		return errEvent
	}
	kind := gjson.GetBytes(e.data, "type").Str
	if !plain(kind) {
		return errEvent
	}
	// In JSON a line break can only stand between values.
	for i, c := range e.data {
		if c == '\n' || c == '\r' {
			e.data[i] = ' '
		}
	}
	e.write(kind, e.data)
	return nil
}

// fail writes the event of an error, which is the last one.
func (e *events) fail(exception, message string) {
	_, kind := meaning(exception, 0)
	e.write("error", appendError(nil, kind, message))
	e.err = io.EOF
}

func (e *events) write(kind string, data []byte) {
	e.out.WriteString("event: ")
	e.out.WriteString(kind)
	e.out.WriteString("\ndata: ")
	e.out.Write(data)
	e.out.WriteString("\n\n")
}

// plain reports whether a name cannot be anything else in a line of its own.
func plain(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && c != '_' {
			return false
		}
	}
	return name != ""
}

func header(m eventstream.Message, name string) string {
	if v, ok := m.Headers.Get(name).(eventstream.StringValue); ok {
		return string(v)
	}
	return ""
}

func appendError(dst []byte, kind, message string) []byte {
	dst = append(dst, `{"type":"error","error":{"type":"`...)
	dst = append(dst, kind...)
	dst = append(dst, `","message":`...)
	dst = upstream.AppendString(dst, message)
	return append(dst, `}}`...)
}
