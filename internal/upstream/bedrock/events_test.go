package bedrock_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/gatehousehq/gatehouse/internal/mockupstream/mockbedrock"
)

func chunk(data string) []byte {
	payload := fmt.Sprintf(`{"bytes":%q,"p":"abc"}`, base64.StdEncoding.EncodeToString([]byte(data)))
	return mockbedrock.Frame([]byte(payload), ":event-type", "chunk", ":content-type", "application/json", ":message-type", "event")
}

// events has a stream of AWS's turned, read in pieces as from makes them.
func events(stream []byte, from func(io.Reader) io.Reader) (string, error) {
	res := &http.Response{
		StatusCode: 200, Header: http.Header{"Content-Type": {"application/vnd.amazon.eventstream"}, "Content-Length": {"1"}},
		Body: io.NopCloser(from(bytes.NewReader(stream))), Request: &http.Request{URL: &url.URL{Path: "/model/m/invoke-with-response-stream"}},
	}
	if err := dialect.Answer(res); err != nil {
		return "", err
	}
	if res.ContentLength != -1 || res.Header.Get("Content-Length") != "" {
		return "", fmt.Errorf("the length stays %d", res.ContentLength)
	}
	out, err := io.ReadAll(res.Body)
	return string(out), err
}

func plain(r io.Reader) io.Reader { return r }

func TestEvents(t *testing.T) {
	t.Parallel()
	exception := func(kind string) []byte {
		return mockbedrock.Frame([]byte(`{"message":"slow \"down\""}`), ":exception-type", kind, ":content-type", "application/json", ":message-type", "exception")
	}
	for _, tc := range []struct {
		name   string
		stream []byte
		want   string
	}{
		{"one for one", append(chunk(`{"type":"message_start"}`), chunk(`{"type":"message_stop","amazon-bedrock-invocationMetrics":{}}`)...),
			"event: message_start\ndata: {\"type\":\"message_start\"}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\",\"amazon-bedrock-invocationMetrics\":{}}\n\n"},
		{"line breaks between values", chunk("{\"type\":\n\"ping\"\r\n}"), "event: ping\ndata: {\"type\": \"ping\"  }\n\n"},
		{"other kinds of events", append(mockbedrock.Frame([]byte(`{}`), ":event-type", "later", ":message-type", "event"), chunk(`{"type":"ping"}`)...),
			"event: ping\ndata: {\"type\":\"ping\"}\n\n"},
		{"an exception ends it", append(append(chunk(`{"type":"ping"}`), exception("throttlingException")...), chunk(`{"type":"ping"}`)...),
			"event: ping\ndata: {\"type\":\"ping\"}\n\nevent: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"slow \\\"down\\\"\"}}\n\n"},
		{"an unknown exception", exception("someException"), "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"slow \\\"down\\\"\"}}\n\n"},
		{"an error of the framing", mockbedrock.Frame(nil, ":message-type", "error", ":error-code", "InternalFailure", ":error-message", "sorry"),
			"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"sorry\"}}\n\n"},
		{"nothing", nil, ""},
	} {
		for name, from := range map[string]func(io.Reader) io.Reader{"whole": plain, "byte by byte": iotest.OneByteReader, "with the end": iotest.DataErrReader} {
			if got, err := events(tc.stream, from); got != tc.want || err != nil {
				t.Errorf("%s, %s: %v\n%s\nwant\n%s", tc.name, name, err, got, tc.want)
			}
		}
	}
}

// A message that is not whole or not as it was is an error, wherever it is cut or
// altered; what came before it stays.
func TestDamagedEvents(t *testing.T) {
	t.Parallel()
	first, second := chunk(`{"type":"ping"}`), chunk(`{"type":"message_stop"}`)
	const begun = "event: ping\ndata: {\"type\":\"ping\"}\n\n"
	for cut := 1; cut < len(second); cut++ {
		if got, err := events(append(bytes.Clone(first), second[:cut]...), plain); err == nil || got != begun {
			t.Fatalf("cut after %d bytes: %q, %v", cut, got, err)
		}
	}
	for bit := range len(second) * 8 {
		altered := bytes.Clone(second)
		altered[bit/8] ^= 1 << (bit % 8)
		if got, err := events(append(bytes.Clone(first), altered...), plain); err == nil || got != begun {
			t.Fatalf("bit %d: %q, %v", bit, got, err)
		}
	}
	for name, data := range map[string]string{
		"no JSON": "x", "no type": "{}", "a type of two lines": `{"type":"a\ndata: b"}`, "a type that is no word": `{"type":"A b"}`,
	} {
		if got, err := events(chunk(data), plain); err == nil || got != "" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for name, frame := range map[string][]byte{
		"no base64":       mockbedrock.Frame([]byte(`{"bytes":"*"}`), ":event-type", "chunk", ":message-type", "event"),
		"no bytes":        mockbedrock.Frame([]byte(`{}`), ":event-type", "chunk", ":message-type", "event"),
		"no message type": mockbedrock.Frame([]byte(`{}`), ":event-type", "chunk"),
	} {
		if got, err := events(frame, plain); err == nil || got != "" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func FuzzEvents(f *testing.F) {
	f.Add(chunk(`{"type":"ping"}`))
	f.Add(mockbedrock.Frame([]byte(`{"message":"m"}`), ":message-type", "exception", ":exception-type", "x"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		got, err := events(stream, plain)
		if err == nil && len(stream) > 0 && len(got) > 4*len(stream)+1000 {
			t.Errorf("%d bytes became %d", len(stream), len(got))
		}
		// Each event is a name and one line of data.
		for event := range strings.SplitSeq(strings.TrimSuffix(got, "\n\n"), "\n\n") {
			if lines := strings.Split(event, "\n"); event != "" && (len(lines) != 2 || !strings.HasPrefix(lines[0], "event: ") || !strings.HasPrefix(lines[1], "data: {")) {
				t.Errorf("an event is %q", event)
			}
		}
	})
}
