package usage_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/gatehousehq/gatehouse/internal/usage"
)

// A sample is a body in testdata, with what is to be read from it.
type sample struct {
	name   string
	kind   usage.Kind
	tokens usage.Tokens
	model  string
}

var samples = []sample{
	{"chat.json", usage.Completions, usage.Tokens{Input: 1117, Output: 46, CacheRead: 1024, CacheWrite: 64, Reasoning: 32, Known: true}, "gpt-4.1-2025-04-14"},
	{"chat.sse", usage.Completions, usage.Tokens{Input: 19, Output: 10, Reasoning: 4, Known: true}, "gpt-4o-mini-2024-07-18"},
	{"chat_azure.sse", usage.Completions, usage.Tokens{Input: 8, Output: 2, Known: true}, "gpt-4o-2024-11-20"},
	{"chat_cumulative.sse", usage.Completions, usage.Tokens{Input: 42, Output: 2, Known: true}, "meta-llama/Llama-3.1-8B-Instruct"},
	{"chat_silent.sse", usage.Completions, usage.Tokens{}, "gpt-4o-mini"},
	{"groq.sse", usage.Completions, usage.Tokens{Input: 40, Output: 25, Known: true}, "llama-3.1-70b-versatile"},
	{"deepseek.json", usage.Completions, usage.Tokens{Input: 316, Output: 10, CacheRead: 256, Reasoning: 6, Known: true}, "deepseek-reasoner"},
	{"completions.json", usage.Completions, usage.Tokens{Input: 5, Output: 7, Known: true}, "gpt-3.5-turbo-instruct"},
	{"completions.sse", usage.Completions, usage.Tokens{Input: 3, Output: 2, Known: true}, "gpt-3.5-turbo-instruct"},
	{"embeddings.json", usage.Completions, usage.Tokens{Input: 8, Known: true}, "text-embedding-3-small"},
	{"responses.json", usage.Responses, usage.Tokens{Input: 36, Output: 87, CacheRead: 12, CacheWrite: 5, Reasoning: 64, Known: true}, "gpt-5.1-2025-11-13"},
	{"responses.sse", usage.Responses, usage.Tokens{Input: 3137, Output: 411, CacheRead: 2048, Reasoning: 384, Known: true}, "gpt-5.1-codex"},
	{"responses_incomplete.sse", usage.Responses, usage.Tokens{Input: 37, Output: 16, Reasoning: 16, Known: true}, "gpt-5.1-codex"},
	{"responses_failed.sse", usage.Responses, usage.Tokens{}, "gpt-5.1-codex"},
	{"messages.json", usage.Messages, usage.Tokens{Input: 2095, Output: 503, CacheRead: 11024, CacheWrite: 248, Reasoning: 120, Known: true}, "claude-sonnet-4-5-20250929"},
	{"messages.sse", usage.Messages, usage.Tokens{Input: 25, Output: 15, CacheRead: 4096, CacheWrite: 128, Known: true}, "claude-opus-4-1-20250805"},
	{"messages_tools.sse", usage.Messages, usage.Tokens{Input: 10682, Output: 510, CacheRead: 7, Reasoning: 60, Known: true}, "claude-haiku-4-5-20251001"},
	{"gemini.json", usage.Contents, usage.Tokens{Input: 1316, Output: 42, CacheRead: 1024, Reasoning: 310, Known: true}, "gemini-2.5-pro"},
	{"gemini.sse", usage.Contents, usage.Tokens{Input: 11, Output: 9, Reasoning: 28, Known: true}, "gemini-3.1-flash-lite-preview"},
	{"gemini_list.json", usage.Contents, usage.Tokens{Input: 11, Output: 9, Reasoning: 28, Known: true}, "gemini-3.1-flash-lite-preview"},
	{"gemini_embed.json", usage.Contents, usage.Tokens{Input: 8, Known: true}, ""},
	{"messages_error.sse", usage.Messages, usage.Tokens{Input: 12, Output: 1, Known: true}, "claude-haiku-4-5-20251001"},
}

func (s sample) stream() bool { return strings.HasSuffix(s.name, ".sse") }

func (s sample) contentType() string {
	if s.stream() {
		return "text/event-stream; charset=utf-8"
	}
	return "application/json"
}

func (s sample) body(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "bodies", s.name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A counted is what a meter says.
type counted struct {
	tokens usage.Tokens
	model  string
}

func counts(m *usage.Meter) counted {
	tokens, model := m.End()
	return counted{tokens, model}
}

// meter passes chunks by a meter that has seen another body, which breaks off
// anywhere.
func meter(kind usage.Kind, contentType, encoding string, chunks ...[]byte) counted {
	m := usage.NewMeter(usage.Messages, "text/event-stream", "")
	m.Observe([]byte("data: {\"message\":{\"model\":\"other\",\"usage\":{\"input_tokens\":1}},\"usage\":{\"x\":\"\\"))
	m.End()
	m.Reset(kind, contentType, encoding)
	for _, c := range chunks {
		c := bytes.Clone(c)
		m.Observe(c)
		clear(c) // what is kept is a copy
	}
	return counts(m)
}

// forms are the ways in which servers write the same stream.
var forms = []struct {
	name string
	from func(string) string
}{
	{"as it is", func(s string) string { return s }},
	{"with CRLF", func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }},
	{"with CR", func(s string) string { return strings.ReplaceAll(s, "\n", "\r") }},
	{"with each line end in turn", func(s string) string {
		var b strings.Builder
		ends := []string{"\n", "\r", "\r\n"}
		for i, line := range strings.Split(s, "\n") {
			b.WriteString(line)
			b.WriteString(ends[i%3])
		}
		return b.String()
	}},
	{"with a mark and no space", func(s string) string { return "\uFEFF" + strings.ReplaceAll(s, "data: ", "data:") }},
	{"with comments and ids", func(s string) string {
		return ": hello\n\n" + strings.ReplaceAll(s, "data: ", "id: 1\nretry\n:\"usage\":{\"prompt_tokens\":1}\ndata: ")
	}},
	{"with data on many lines", func(s string) string {
		return strings.NewReplacer(`,"`, ",\ndata:\ndata: \"", `usage":{`, "usage\": \ndata\ndata: {").Replace(s)
	}},
	{"without its end", func(s string) string { return strings.TrimRight(s, "\n") }},
}

// variants are the forms of a body that say the same.
func (s sample) variants(t testing.TB) map[string][]byte {
	body := s.body(t)
	if !s.stream() {
		return map[string][]byte{"as it is": body, "with a mark": append([]byte("\uFEFF\r\n"), body...)}
	}
	out := map[string][]byte{}
	for _, f := range forms {
		out[f.name] = []byte(f.from(string(body)))
	}
	return out
}

func TestMeterReadsEveryKind(t *testing.T) {
	t.Parallel()
	for _, s := range samples {
		for form, body := range s.variants(t) {
			t.Run(s.name+" "+form, func(t *testing.T) {
				t.Parallel()
				want := counted{s.tokens, s.model}
				tokens, model, ok := byReference(s.kind, s.stream(), body)
				if ref := (counted{tokens, model}); !ok || ref != want {
					t.Fatalf("the reference has %+v, %t, want %+v", ref, ok, want)
				}
				if got := meter(s.kind, s.contentType(), "", body); got != want {
					t.Errorf("whole: %+v, want %+v", got, want)
				}
				if got := meter(s.kind, "", "", body); got != want {
					t.Errorf("without a Content-Type: %+v, want %+v", got, want)
				}
				step := 1
				if form != "as it is" {
					step = 11 // the fuzz target has the rest
				}
				for i := 0; i < len(body); i += step {
					if got := meter(s.kind, s.contentType(), "", body[:i], nil, body[i:]); got != want {
						t.Fatalf("cut at %d: %+v, want %+v", i, got, want)
					}
				}
				for n := 1; n < 9; n++ {
					if got := meter(s.kind, s.contentType(), "", pieces(body, func() int { return n })...); got != want {
						t.Fatalf("in pieces of %d: %+v, want %+v", n, got, want)
					}
				}
				rnd := rand.New(rand.NewPCG(1, uint64(len(body))))
				for range 20 {
					chunks := pieces(body, func() int { return 1 + rnd.IntN(1+rnd.IntN(300)) })
					if got := meter(s.kind, s.contentType(), "", chunks...); got != want {
						t.Fatalf("in %d pieces: %+v, want %+v", len(chunks), got, want)
					}
				}
			})
		}
	}
}

func pieces(body []byte, size func() int) [][]byte {
	var out [][]byte
	for len(body) > 0 {
		n := min(size(), len(body))
		out = append(out, body[:n])
		body = body[n:]
	}
	return out
}

// What is cut off counts as far as it came, and never as something else.
func TestBodiesThatEndTooEarly(t *testing.T) {
	t.Parallel()
	for _, s := range samples {
		body := s.body(t)
		reached := false
		for i := range body {
			got := meter(s.kind, s.contentType(), "", body[:i])
			if got.model != "" && got.model != s.model {
				t.Fatalf("%s cut at %d: the model is %q", s.name, i, got.model)
			}
			// Streams have counts on the way; a document has one.
			if !s.stream() && s.name != "gemini_list.json" && got.tokens != (usage.Tokens{}) && got.tokens != s.tokens {
				t.Fatalf("%s cut at %d: %+v", s.name, i, got.tokens)
			}
			reached = reached || got.tokens == s.tokens
		}
		if !reached {
			t.Errorf("%s: nothing is read before the end", s.name)
		}
	}
}

func TestMeterOddities(t *testing.T) {
	t.Parallel()
	const js, sse = "application/json", "text/event-stream"
	two := usage.Tokens{Input: 2, Known: true}
	long := strings.Repeat("x", 5000)
	for _, tc := range []struct {
		name        string
		kind        usage.Kind
		contentType string
		body        string
		want        counted
	}{
		{"usage may come before all else", usage.Completions, js, `{"usage":{"prompt_tokens":2},"choices":[],"model":"m"}`, counted{two, "m"}},
		{"what a string says is not usage", usage.Completions, js, `{"a":"\\\"usage\":{\"prompt_tokens\":1}","b":"\\","model":"m"}`, counted{model: "m"}},
		{"what is nested is not usage", usage.Completions, js, `{"a":{"usage":{"prompt_tokens":1},"model":"n"},"b":[{"usage":{"prompt_tokens":1}}],"message":{"usage":{"prompt_tokens":1}}}`, counted{}},
		{"an array is not usage", usage.Completions, js, `[{"usage":{"prompt_tokens":1}}]`, counted{}},
		{"a string is not usage", usage.Completions, js, `{"usage":"{\"prompt_tokens\":1}"}`, counted{}},
		{"usage in an array is not usage", usage.Completions, js, `{"usage":[{"prompt_tokens":1}]}`, counted{}},
		{"null counts are not known", usage.Completions, js, `{"usage":{"prompt_tokens":null}}`, counted{}},
		{"an empty usage is not known", usage.Completions, js, `{"usage":{}}`, counted{}},
		{"zero is known", usage.Completions, js, `{"usage":{"prompt_tokens":0}}`, counted{tokens: usage.Tokens{Known: true}}},
		{"negative, broken and huge counts are not counts", usage.Completions, js, `{"usage":{"prompt_tokens":-1,"completion_tokens":1.5,"prompt_tokens_details":{"cached_tokens":99999999999999999999}}}`, counted{}},
		{"details may be null", usage.Completions, js, `{"usage":{"prompt_tokens":2,"prompt_tokens_details":null,"completion_tokens_details":"x"}}`, counted{tokens: two}},
		{"what is nested in the message of an event is not usage", usage.Messages, js, `{"message":{"message":{"usage":{"input_tokens":1},"model":"n"}}}`, counted{}},
		{"a longer name is another", usage.Responses, js, `{"response":null,"responses":{"usage":{"input_tokens":1}}}`, counted{}},
		{"other names do not count", usage.Messages, js, `{"usage":{"prompt_tokens":1}}`, counted{}},
		{"a usage that is too long is left out", usage.Completions, js, `{"usage":{"prompt_tokens":1,"x":"` + long + `"},"model":"m"}`, counted{model: "m"}},
		{"a name that is too long is another", usage.Completions, js, `{"usage` + long + `":{"prompt_tokens":1},"usage":{"prompt_tokens":2}}`, counted{tokens: two}},
		{"a model that is too long is left out", usage.Completions, js, `{"model":"` + long + `"}`, counted{}},
		{"a model of 129 bytes is left out", usage.Completions, js, `{"model":"` + long[:129] + `"}`, counted{}},
		{"a model of 128 bytes is not", usage.Completions, js, `{"model":"` + long[:128] + `"}`, counted{model: long[:128]}},
		{"a model that cannot be printed is left out", usage.Completions, js, `{"model":"a\nb","usage":{"prompt_tokens":2}}`, counted{tokens: two}},
		{"a model may be escaped", usage.Completions, js, `{"model":"a\/\u0062"}`, counted{model: "a/b"}},
		{"a model that is no string is none", usage.Completions, js, `{"model":{"model":"m"},"usage":{"prompt_tokens":2}}`, counted{tokens: two}},
		{"of two models the first counts", usage.Completions, js, `{"model":"m","model":"n"}`, counted{model: "m"}},
		{"of two usages the last counts", usage.Completions, js, `{"usage":{"prompt_tokens":1},"usage":{"prompt_tokens":2}}`, counted{tokens: two}},
		{"an empty usage takes nothing back", usage.Completions, sse, "data: {\"model\":\"m\",\"usage\":{\"prompt_tokens\":2}}\n\ndata: {\"usage\":{}}\n\n", counted{two, "m"}},
		{"space may be anywhere", usage.Completions, sse, "data: { \"model\" : \"m\" }\n\ndata:\t{ \"usage\" \t:\t { \"prompt_tokens\" : 2 } }\n\n", counted{two, "m"}},
		{"an event may go on after the name", usage.Completions, sse, "data: {\"model\":\"m\"}\n\ndata: {\"usage\"\ndata: :\ndata: {\"prompt_tokens\":2}}\n\n", counted{two, "m"}},
		{"a field that begins like data is another", usage.Completions, sse, "dat: {\"usage\":{\"prompt_tokens\":1}}\ndatas: {\"usage\":{\"prompt_tokens\":1}}\n data: {\"usage\":{\"prompt_tokens\":1}}\n\n", counted{}},
		{"a second mark is part of a name", usage.Completions, sse, "\uFEFF\uFEFFdata: {\"usage\":{\"prompt_tokens\":1}}\n\n", counted{}},
		{"half a mark is part of a name", usage.Completions, sse, "\xef\xbbdata: {\"usage\":{\"prompt_tokens\":1}}\n\n", counted{}},
		{"another type is looked at", usage.Completions, "text/plain", "\r\n{\"usage\":{\"prompt_tokens\":2}}", counted{tokens: two}},
		{"another type may be events", usage.Completions, "binary/octet-stream", "event: x\ndata: {\"usage\":{\"prompt_tokens\":2}}\n\n", counted{tokens: two}},
		{"the type may be in capitals", usage.Completions, "Application/JSON;charset=UTF-8", `{"usage":{"prompt_tokens":2}}`, counted{tokens: two}},
		{"Gemini has names of its own", usage.Contents, js, `{"usage":{"promptTokenCount":1},"model":"n","usageMetadata":{"promptTokenCount":2},"modelVersion":"m"}`, counted{two, "m"}},
		{"and others do not have its names", usage.Completions, js, `{"usageMetadata":{"prompt_tokens":1},"modelVersion":"n"}`, counted{}},
		{"what tools took is input", usage.Contents, js, `{"usageMetadata":{"promptTokenCount":1,"toolUsePromptTokenCount":1}}`, counted{tokens: two}},
		{"of a list the last usage counts", usage.Contents, js, `[{"modelVersion":"m","usageMetadata":{"promptTokenCount":1}} , {"usageMetadata":{"promptTokenCount":2}}]`, counted{two, "m"}},
		{"a list in a list is not read", usage.Contents, js, `[[{"usageMetadata":{"promptTokenCount":1}}]]`, counted{}},
		{"nor what follows a list", usage.Contents, js, `[{"usageMetadata":{"promptTokenCount":2}}]{"usageMetadata":{"promptTokenCount":1}}`, counted{tokens: two}},
		{"nor two documents without a list", usage.Contents, js, `{"usageMetadata":{"promptTokenCount":2}},{"usageMetadata":{"promptTokenCount":1}}`, counted{tokens: two}},
		{"metadata of a kind that is no count", usage.Contents, sse, "data: {\"modelVersion\":\"m\",\"usageMetadata\":{\"promptTokenCount\":2}}\n\ndata: {\"usageMetadata\":{\"trafficType\":\"ON_DEMAND\"}}\n\n", counted{two, "m"}},
		{"what is not metered is not", usage.NotMetered, js, `{"usage":{"input_tokens":1},"model":"m","input_tokens":5}`, counted{}},
		{"an error has no usage", usage.Messages, js, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}`, counted{}},
		{"nothing has no usage", usage.Messages, js, ``, counted{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := meter(tc.kind, tc.contentType, "", []byte(tc.body)); got != tc.want {
				t.Errorf("whole: %+v, want %+v", got, tc.want)
			}
			if got := meter(tc.kind, tc.contentType, "", pieces([]byte(tc.body), func() int { return 1 })...); got != tc.want {
				t.Errorf("byte by byte: %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestKindOf(t *testing.T) {
	t.Parallel()
	for endpoint, want := range map[string]usage.Kind{
		"chat/completions": usage.Completions, "completions": usage.Completions, "embeddings": usage.Completions,
		"responses": usage.Responses, "responses/input_tokens": usage.NotMetered,
		"messages": usage.Messages, "messages/count_tokens": usage.NotMetered,
		"generateContent": usage.Contents, "streamGenerateContent": usage.Contents, "embedContent": usage.Contents,
		"batchEmbedContents": usage.Contents, "countTokens": usage.NotMetered,
		"models": usage.NotMetered, "passthrough": usage.NotMetered, "": usage.NotMetered,
	} {
		if got := usage.KindOf(endpoint); got != want {
			t.Errorf("KindOf(%q) = %d, want %d", endpoint, got, want)
		}
	}
}

var encodings = map[string]struct {
	header string
	writer func(io.Writer) flusher
}{
	"gzip":    {"gzip", func(w io.Writer) flusher { return gzip.NewWriter(w) }},
	"GZIP":    {" GZIP ", func(w io.Writer) flusher { return gzip.NewWriter(w) }},
	"deflate": {"deflate", func(w io.Writer) flusher { return zlib.NewWriter(w) }},
	"deflate, no zlib": {"deflate", func(w io.Writer) flusher {
		f, _ := flate.NewWriter(w, 6) // there is a level 6
		return f
	}},
}

type flusher interface {
	io.WriteCloser
	Flush() error
}

func TestCompressedBodies(t *testing.T) {
	t.Parallel()
	for name, e := range encodings {
		for _, s := range samples {
			t.Run(name+" "+s.name, func(t *testing.T) {
				t.Parallel()
				// Each event is flushed, as servers of streams do.
				var packed bytes.Buffer
				w := e.writer(&packed)
				for event := range bytes.SplitAfterSeq(s.body(t), []byte("\n\n")) {
					if _, err := w.Write(event); err != nil {
						t.Fatal(err)
					}
					if err := w.Flush(); err != nil {
						t.Fatal(err)
					}
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				want := counted{s.tokens, s.model}
				m := usage.NewMeter(s.kind, s.contentType(), e.header)
				for _, n := range []int{packed.Len(), 1, 2, 3, 7, 100} {
					for _, c := range pieces(packed.Bytes(), func() int { return n }) {
						c := bytes.Clone(c)
						m.Observe(c)
						clear(c)
					}
					if got := counts(m); got != want {
						t.Errorf("in pieces of %d: %+v, want %+v", n, got, want)
					}
					m.Reset(s.kind, s.contentType(), e.header)
				}
				m.Observe(packed.Bytes()[:packed.Len()/2])
				if got := counts(m); got.model != "" && got.model != s.model {
					t.Errorf("cut off: %+v", got)
				}
			})
		}
	}
}

func TestEncodingsThatAreNotUnderstood(t *testing.T) {
	t.Parallel()
	const body = `{"model":"m","usage":{"prompt_tokens":2}}`
	for _, encoding := range []string{"br", "zstd", "gzip, gzip", "aws-chunked", "gzip", "deflate"} {
		if got := meter(usage.Completions, "application/json", encoding, []byte(body), []byte(body)); got != (counted{}) {
			t.Errorf("%s: %+v", encoding, got)
		}
	}
	if got := meter(usage.Completions, "application/json", "identity", []byte(body)); got.tokens.Input != 2 {
		t.Errorf("identity: %+v", got)
	}
}

// A body that was given up leaves nothing behind, and does not show in the next.
func TestResetEndsTheBodyBefore(t *testing.T) { // not in parallel: others' goroutines would count
	before := goleak.IgnoreCurrent()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = io.WriteString(w, `{"model":"m","usage":{"prompt_tokens":2},`) // into memory
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	var m usage.Meter
	for range 3 {
		m.Reset(usage.Completions, "application/json", "gzip")
		m.Observe(packed.Bytes())
	}
	m.Reset(usage.Completions, "application/json", "gzip")
	if got := counts(&m); got != (counted{}) {
		t.Errorf("%+v", got)
	}
	goleak.VerifyNone(t, before)
}

// Deflate without the head of zlib may begin like one.
func TestDeflateThatLooksLikeZlib(t *testing.T) {
	t.Parallel()
	const body = `{"usage":{"prompt_tokens":2} }` // of a length that is not right for zlib
	// A stored block, whose first byte has bits that do not count.
	packed := append([]byte{0x08, byte(len(body)), 0, ^byte(len(body)), 0xff}, body...)
	packed = append(packed, 0x01, 0, 0, 0xff, 0xff)
	if got := meter(usage.Completions, "application/json", "deflate", packed); got.tokens.Input != 2 {
		t.Errorf("%+v", got)
	}
}

// What grows beyond measure is not read to its end. The control is one that
// grows less.
func TestBombsAreNotUnpacked(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		fill string
		want bool
	}{
		{strings.Repeat(" ", 64<<20), false},
		{strings.Repeat(" ", 1<<20), true},
	} {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		fmt.Fprintf(w, `{"x":1,%s"usage":{"prompt_tokens":2}}`, tc.fill)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if got := meter(usage.Completions, "application/json", "gzip", packed.Bytes()); got.tokens.Known != tc.want {
			t.Errorf("%d bytes of %d: %+v", packed.Len(), len(tc.fill), got)
		}
	}
}

func TestOrdinaryChunksDoNotAllocate(t *testing.T) { // not in parallel: others' allocations would count
	for _, name := range []string{"chat.sse", "messages.sse", "responses.sse"} {
		s := samples[indexOf(name)]
		m := usage.NewMeter(s.kind, s.contentType(), "")
		events := bytes.SplitAfter(s.body(t), []byte("\n\n"))
		m.Observe(events[0]) // has the model, and may have usage
		delta := events[2]
		if n := testing.AllocsPerRun(100, func() {
			m.Observe(delta)
			m.Observe(delta[:20])
			m.Observe(delta[20:])
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
		m.End()
	}
}

func indexOf(name string) int {
	for i, s := range samples {
		if s.name == name {
			return i
		}
	}
	panic("no sample " + name)
}
