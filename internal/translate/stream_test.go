package translate_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/gatehousehq/gatehouse/internal/translate"
)

// ends are what a whole stream ends with, and no other has.
var ends = map[translate.API]string{
	translate.Chat: "data: [DONE]\n\n", translate.Responses: "event: response.completed\n", translate.Messages: "event: message_stop\n",
}

// wholeStreams are the recorded streams that are whole.
func wholeStreams(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/streams/*/*.sse")
	if err != nil {
		t.Fatal(err)
	}
	streams := map[string][]byte{}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		switch filepath.Base(name) {
		case "tools.sse", "gemini.sse", "refusal.sse", "azure.sse", "mistral.sse":
			streams[name] = data
		}
	}
	if len(streams) < 7 {
		t.Fatalf("there are %d streams", len(streams))
	}
	return streams
}

func apiOf(file string) translate.API { return apis[filepath.Base(filepath.Dir(file))] }

// run feeds a stream in pieces.
func run(s *translate.Stream, pieces ...[]byte) ([]byte, error) {
	var out []byte
	for _, p := range pieces {
		out = append(out, s.Feed(p)...)
	}
	last, err := s.End(nil)
	return append(out, last...), err
}

// cut cuts data into pieces.
func cut(data []byte, r *rand.Rand) (pieces [][]byte) {
	for len(data) > 0 {
		n := 1 + r.IntN(min(len(data), 200))
		pieces = append(pieces, data[:n])
		data = data[n:]
	}
	return pieces
}

// TestPieces: it makes no difference in which pieces a stream comes, nor with
// which ends of lines.
func TestPieces(t *testing.T) {
	t.Parallel()
	for name, data := range wholeStreams(t) {
		for _, client := range apis {
			if client == apiOf(name) {
				continue
			}
			want, err := run(asked(t, client, apiOf(name)).Stream(), data)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			var bytewise [][]byte
			for i := range data {
				bytewise = append(bytewise, data[i:i+1])
			}
			ways := map[string][][]byte{
				"byte by byte": bytewise, "with CRLF": {bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n"))},
				"with CR": {bytes.ReplaceAll(data, []byte("\n"), []byte("\r"))}, "after a mark": {[]byte("\uFEFF"), data},
				"without its last line": {bytes.TrimRight(data, "\n")},
			}
			for i := range 20 {
				ways[fmt.Sprint("at random ", i)] = cut(data, rand.New(rand.NewPCG(1, uint64(i))))
			}
			for way, pieces := range ways {
				if got, err := run(asked(t, client, apiOf(name)).Stream(), pieces...); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s to %s %s: %v\ngot  %s\nwant %s", name, client, way, err, got, want)
				}
			}
		}
	}
}

// TestBrokenOff: wherever a stream breaks off, what the client gets says that it
// did, and does not end as a whole one.
func TestBrokenOff(t *testing.T) {
	t.Parallel()
	for name, data := range wholeStreams(t) {
		last := len(bytes.TrimRight(data, "\n"))
		for _, client := range apis {
			if client == apiOf(name) {
				continue
			}
			for n := 0; n < last; n++ {
				if n < last-50 && n%11 != 0 {
					continue // enough places
				}
				got, err := run(asked(t, client, apiOf(name)).Stream(), data[:n])
				if !errors.Is(err, translate.ErrBrokenOff) || bytes.Contains(got, []byte(ends[client])) || !bytes.Contains(got, []byte("broke off")) {
					t.Fatalf("%s to %s, cut at %d of %d: %v\n%s", name, client, n, last, err, got)
				}
			}
		}
	}
}

// TestWhole is the control of TestBrokenOff.
func TestWhole(t *testing.T) {
	t.Parallel()
	for name, data := range wholeStreams(t) {
		for _, client := range apis {
			if client == apiOf(name) || client == translate.Responses && strings.HasSuffix(name, "messages/refusal.sse") { // is incomplete there
				continue
			}
			if got, err := run(asked(t, client, apiOf(name)).Stream(), data); err != nil || !bytes.Contains(got, []byte(ends[client])) {
				t.Errorf("%s to %s: %v\n%s", name, client, err, got)
			}
		}
	}
}

// TestAtOnce: each event is passed on with the piece that it ends in.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	s := asked(t, translate.Chat, translate.Messages).Stream()
	for _, c := range []struct{ piece, want string }{
		{`data: {"type":"message_start","message":{"id":"a","model":"b"}}` + "\n\n", `"role":"assistant"`},
		{`data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}` + "\n\n", ""},
		{`data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hel"}}` + "\n", ""},
		{"\n", `"content":"Hel"`},
		{`data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"lo"}}` + "\n\n", `"content":"lo"`},
		{`data: {"type":"content_block_stop","index":0}` + "\n\n", ""},
		{`data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":3}}` + "\n\n", `"finish_reason":"stop"`},
		{`data: {"type":"message_stop"}` + "\n\n", "[DONE]"},
	} {
		got := string(s.Feed([]byte(c.piece)))
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("after %q: got %q, want %q", c.piece, got, c.want)
		}
	}
}

// TestBadStreams: what makes no sense ends in an error, and in nothing after it.
func TestBadStreams(t *testing.T) {
	t.Parallel()
	const started = `data: {"type":"message_start","message":{"id":"a","model":"b"}}` + "\n\n"
	for name, c := range map[string]struct {
		upstream translate.API
		data     string
		broken   bool
	}{
		"no JSON":                     {translate.Messages, started + "data: {\"type\n\n", true},
		"JSON that is no object":      {translate.Chat, "data: [1]\n\n", true},
		"brackets without end":        {translate.Chat, "data: " + strings.Repeat("[", 100_000) + "\n\n", true},
		"calls in disorder":           {translate.Chat, `data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f"}},{"index":1,"id":"b","function":{"name":"g"}},{"index":0,"function":{"arguments":"{}"}}]}}]}` + "\n\n", false},
		"an error before all":         {translate.Chat, `data: {"error":{"message":"no"}}` + "\n\n", false},
		"an error that is text":       {translate.Chat, `data: {"error":"no"}` + "\n\n", false},
		"an error event of Responses": {translate.Responses, `data: {"type":"error","code":"server_error","message":"no"}` + "\n\n", false},
		"a nested error of Responses": {translate.Responses, `data: {"type":"error","error":{"code":"server_error","message":"no"}}` + "\n\n", false},
	} {
		for _, client := range apis {
			if client == c.upstream {
				continue
			}
			t.Run(name+" to "+client.String(), func(t *testing.T) {
				t.Parallel()
				got, err := run(asked(t, client, c.upstream).Stream(), []byte(c.data), []byte(": late\n\ndata: {\"type\":\"message_stop\"}\n\ndata: [DONE]\n\n"))
				if (err != nil) != c.broken {
					t.Errorf("got error %v", err)
				}
				if bytes.Contains(got, []byte(ends[client])) || !bytes.Contains(got, []byte(`"message":"`)) || !bytes.HasSuffix(got, []byte("}\n\n")) {
					t.Errorf("got %s", got)
				}
			})
		}
	}
}

// TestNoStream is about answers that are no stream at all.
func TestNoStream(t *testing.T) {
	t.Parallel()
	for _, data := range []string{"", "<html>busy</html>", ": comment\n\n", "data: {\"type\":\"message_start\"", "event: message_stop\n\n"} {
		got, err := run(asked(t, translate.Chat, translate.Messages).Stream(), []byte(data))
		if !errors.Is(err, translate.ErrBrokenOff) || !strings.HasPrefix(string(got), `data: {"error":{"message":"`) {
			t.Errorf("%q: got %q, %v", data, got, err)
		}
	}
}

// TestLongEvents: an event that is too long is given up as soon as it is.
func TestLongEvents(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]string{
		"a line without an end": "data: " + strings.Repeat("x", translate.MaxEvent), "a line": "data: " + strings.Repeat("x", translate.MaxEvent) + "\n",
		"lines": strings.Repeat("data: "+strings.Repeat("x", 1<<20)+"\n", 9),
	} {
		s := asked(t, translate.Chat, translate.Messages).Stream()
		if got := s.Feed([]byte(data)); !bytes.Contains(got, []byte("error")) {
			t.Errorf("%s: got %q", name, got)
		}
		if got := s.Feed([]byte("\n\ndata: {\"type\":\"message_stop\"}\n\n")); len(got) > 0 {
			t.Errorf("%s: %q comes after it", name, got)
		}
		if _, err := s.End(nil); err == nil {
			t.Errorf("%s: there is no error", name)
		}
	}
}

// TestLines: data in several lines is one document, whatever ends them.
func TestLines(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"\n", "\r\n", "\r"} {
		data := strings.ReplaceAll("id: 1\ndata:{\"type\":\ndata: \"message_stop\"\ndata\ndata: }\nretry: 5\n\n", "\n", end)
		if got, err := run(asked(t, translate.Chat, translate.Messages).Stream(), []byte(data)); err != nil || !bytes.HasSuffix(got, []byte(ends[translate.Chat])) {
			t.Errorf("%q: got %q, %v", data, got, err)
		}
	}
}

// TestStrayDeltas: what belongs to no open block goes into none, and none opens
// once the answer has ended.
func TestStrayDeltas(t *testing.T) {
	t.Parallel()
	const delta = `data: {"type":"content_block_delta","index":%d,"delta":{"type":"text_delta","text":"%s"}}` + "\n\n"
	data := `data: {"type":"message_start","message":{"id":"a","model":"b"}}` + "\n\n" +
		fmt.Sprintf(delta, 0, "early") +
		`data: {"type":"content_block_start","index":0,"content_block":{"type":"server_tool_use","id":"s"}}` + "\n\n" + fmt.Sprintf(delta, 0, "hosted") +
		`data: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}` + "\n\n" + fmt.Sprintf(delta, 5, "other") + fmt.Sprintf(delta, 1, "right") +
		`data: {"type":"content_block_stop","index":1}` + "\n\n" + fmt.Sprintf(delta, 1, "late") +
		`data: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}` + "\n\n" +
		`data: {"type":"content_block_start","index":2,"content_block":{"type":"text","text":""}}` + "\n\n" + fmt.Sprintf(delta, 2, "after") +
		`data: {"type":"message_stop"}` + "\n\n"
	got, err := run(asked(t, translate.Chat, translate.Messages).Stream(), []byte(data))
	if err != nil || !bytes.Contains(got, []byte(`"content":"right"`)) {
		t.Errorf("got %s, %v", got, err)
	}
	for _, stray := range []string{"early", "hosted", "other", "late", "after"} {
		if bytes.Contains(got, []byte(stray)) {
			t.Errorf("%s is in %s", stray, got)
		}
	}
}

// TestLongAnswers: of an answer that is kept, there is a limit.
func TestLongAnswers(t *testing.T) {
	t.Parallel()
	piece := []byte(`data: {"choices":[{"delta":{"content":"` + strings.Repeat("x", 1<<20) + `"}}]}` + "\n\n")
	for client, broken := range map[translate.API]bool{translate.Messages: false, translate.Responses: true} {
		s := asked(t, client, translate.Chat).Stream()
		for range translate.MaxAnswer>>20 + 1 {
			s.Feed(piece)
		}
		s.Feed([]byte("data: [DONE]\n\n"))
		if _, err := s.End(nil); (err != nil) != broken {
			t.Errorf("%s: got %v", client, err)
		}
	}
}

type body struct {
	io.Reader
	closed bool
}

func (b *body) Close() error {
	b.closed = true
	return nil
}

func TestReader(t *testing.T) {
	t.Parallel()
	for name, data := range wholeStreams(t) {
		client := translate.Messages
		if apiOf(name) == client {
			client = translate.Chat
		}
		want, err := run(asked(t, client, apiOf(name)).Stream(), data)
		if err != nil {
			t.Fatal(err)
		}
		for way, r := range map[string]io.Reader{
			"at once": bytes.NewReader(data), "byte by byte": iotest.OneByteReader(bytes.NewReader(data)), "with the end": iotest.DataErrReader(bytes.NewReader(data)),
		} {
			b := &body{Reader: r}
			rc := asked(t, client, apiOf(name)).Reader(b)
			got, err := io.ReadAll(iotest.HalfReader(rc))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s %s: %v\ngot  %s\nwant %s", name, way, err, got, want)
			}
			if rc.Close(); !b.closed {
				t.Error("the body is not closed")
			}
		}
		half := data[:len(data)/2]
		reset := errors.New("reset")
		for way, c := range map[string]struct {
			r    io.Reader
			want error
		}{
			"ended too early": {bytes.NewReader(half), translate.ErrBrokenOff},
			"lost":            {io.MultiReader(bytes.NewReader(half), iotest.ErrReader(reset)), reset},
			"makes no sense":  {io.MultiReader(bytes.NewReader(half), strings.NewReader("\n\ndata: x\n\n"), bytes.NewReader(data)), nil},
		} {
			got, err := io.ReadAll(asked(t, client, apiOf(name)).Reader(io.NopCloser(c.r)))
			if err == nil || c.want != nil && !errors.Is(err, c.want) || bytes.Contains(got, []byte(ends[client])) {
				t.Errorf("%s, which %s: %v\n%s", name, way, err, got)
			}
		}
	}
}
