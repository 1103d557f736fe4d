package translate_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/translate"
)

// odd are values that may stand where another was expected.
var odd = []string{`null`, `""`, `"x"`, `0`, `-1.5e9`, `true`, `[]`, `{}`, `[null]`, `{"type":"text"}`, `"data:,"`, `[{"type":"function","id":"","text":7}]`}

var every = flag.Int("every", 23, "how many of the odd documents are tried: one in so many")

// mutants gives a document once for each of its values and each odd one in its
// place, and once without each member; of these, one in so many.
func mutants(t *testing.T, doc []byte, f func([]byte)) {
	t.Helper()
	root := decode(t, doc)
	n := len(doc) // so that documents begin at different places
	give := func() {
		if n++; n%*every != 0 {
			return
		}
		b, err := json.Marshal(root)
		if err != nil {
			t.Fatal(err)
		}
		f(b)
	}
	var walk func(v any)
	with := func(set func(any), old any) {
		for _, o := range odd {
			set(json.RawMessage(o))
			give()
		}
		set(old)
		walk(old)
	}
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, name := range slices.Sorted(maps.Keys(v)) {
				old := v[name]
				with(func(n any) { v[name] = n }, old)
				delete(v, name)
				give()
				v[name] = old
			}
		case []any:
			for i, old := range v {
				with(func(n any) { v[i] = n }, old)
			}
		}
	}
	walk(root)
}

func documents(t *testing.T, pattern string) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	docs := map[string][]byte{}
	for _, name := range files {
		if docs[name], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	return docs
}

// TestOddRequests: whatever stands in a request, it is translated or refused.
func TestOddRequests(t *testing.T) {
	t.Parallel()
	n := 0
	for name, doc := range documents(t, "testdata/requests/*/*.json") {
		client := apiOf(name)
		_, upstreams := fuzzed(byte(client))
		mutants(t, doc, func(b []byte) {
			for _, upstream := range upstreams {
				n++
				got, err := translate.New(client, upstream, options()).Request(b)
				var refused *translate.RequestError
				if err == nil {
					check(t, got)
				} else if !errors.As(err, &refused) {
					t.Fatalf("%s: %v", b, err)
				}
			}
		})
	}
	t.Logf("%d requests", n)
}

// TestOddAnswers is the same for answers.
func TestOddAnswers(t *testing.T) {
	t.Parallel()
	n := 0
	for name, doc := range documents(t, "testdata/answers/*/*.json") {
		upstream := apiOf(name)
		_, clients := fuzzed(byte(upstream))
		mutants(t, doc, func(b []byte) {
			for _, client := range clients {
				n++
				if got, err := asked(t, client, upstream).Response(b); err == nil {
					check(t, got)
				}
			}
		})
	}
	t.Logf("%d answers", n)
}

// TestOddEvents is the same for streams, in which one event is odd.
func TestOddEvents(t *testing.T) {
	t.Parallel()
	n := 0
	for name, data := range wholeStreams(t) {
		upstream := apiOf(name)
		_, clients := fuzzed(byte(upstream))
		events := strings.SplitAfter(string(data), "\n\n")
		for i, e := range events {
			head, doc, _ := strings.Cut(e, "data: ")
			if !strings.HasPrefix(doc, "{") {
				continue
			}
			before, after := strings.Join(events[:i], ""), strings.Join(events[i+1:], "")
			mutants(t, []byte(doc), func(b []byte) {
				for _, client := range clients {
					n++
					got, err := run(asked(t, client, upstream).Stream(), fmt.Appendf(nil, "%s%sdata: %s\n\n%s", before, head, b, after))
					checkEvents(t, client, got, err)
				}
			})
		}
	}
	t.Logf("%d streams", n)
}

// TestErrors: an error keeps its status and what it says, in the client's form.
func TestErrors(t *testing.T) {
	t.Parallel()
	const (
		chat, messages = translate.Chat, translate.Messages
	)
	for name, c := range map[string]struct {
		client translate.API
		status int
		body   string
		want   string
	}{
		"a request that is wrong": {chat, 400, `{"type":"error","error":{"type":"invalid_request_error","message":"bad \"x\""},"request_id":"r"}`,
			`{"error":{"message":"bad \"x\"","type":"invalid_request_error","param":null,"code":null}}`},
		"a limit": {chat, 429, `{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}`,
			`{"error":{"message":"slow","type":"requests","param":null,"code":null}}`},
		"no money": {chat, 402, `{"type":"error","error":{"type":"billing_error","message":"pay"}}`,
			`{"error":{"message":"pay","type":"invalid_request_error","param":null,"code":"insufficient_quota"}}`},
		"a server with too much to do": {chat, 529, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`,
			`{"error":{"message":"Overloaded","type":"server_error","param":null,"code":null}}`},
		"a conversation that is too long": {chat, 400, `{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 tokens > 8 maximum"}}`,
			`{"error":{"message":"prompt is too long: 9 tokens > 8 maximum","type":"invalid_request_error","param":null,"code":"context_length_exceeded"}}`},
		"a conversation that is too long for OpenAI": {messages, 400, `{"error":{"message":"This model's maximum context length is 8 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}`,
			`{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: This model's maximum context length is 8 tokens."}}`},
		"no money at OpenAI": {messages, 429, `{"error":{"message":"pay","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}`,
			`{"type":"error","error":{"type":"billing_error","message":"pay"}}`},
		"no such model": {messages, 404, `{"error":{"message":"gone","type":"invalid_request_error","param":null,"code":"model_not_found"}}`,
			`{"type":"error","error":{"type":"not_found_error","message":"gone"}}`},
		"a key that is refused": {messages, 401, `{"error":{"message":"who","type":"invalid_request_error"}}`,
			`{"type":"error","error":{"type":"authentication_error","message":"who"}}`},
		"an error that is text":     {messages, 503, `{"error":"busy"}`, `{"type":"error","error":{"type":"api_error","message":"busy"}}`},
		"an error of FastAPI":       {messages, 422, `{"detail":"odd"}`, `{"type":"error","error":{"type":"invalid_request_error","message":"odd"}}`},
		"an error of another shape": {messages, 500, `{"object":"error","message":"odd"}`, `{"type":"error","error":{"type":"api_error","message":"odd"}}`},
		"a page":                    {chat, 502, `<html>secret</html>`, `{"error":{"message":"The upstream answered with status 502.","type":"server_error","param":null,"code":null}}`},
		"nothing":                   {messages, 504, ``, `{"type":"error","error":{"type":"timeout_error","message":"The upstream answered with status 504."}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream := messages
			if c.client == messages {
				upstream = chat
			}
			got := translate.New(c.client, upstream, options()).Error(c.status, []byte(c.body))
			if string(got) != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestNoAnswers: what is no answer of the API is not made one.
func TestNoAnswers(t *testing.T) {
	t.Parallel()
	for api, bodies := range map[translate.API][]string{
		translate.Chat:      {``, `[]`, `{}`, `{"choices":[]}`, `{"error":{"message":"no"}}`, `{"choices":[{"message":"x"}]}`},
		translate.Messages:  {`<html>`, `{}`, `{"content":"x"}`, `{"type":"error","error":{}}`},
		translate.Responses: {`{}`, `{"status":"failed","output":[],"error":{"message":"no"}}`},
	} {
		_, clients := fuzzed(byte(api))
		for _, client := range clients {
			for _, b := range bodies {
				if got, err := asked(t, client, api).Response([]byte(b)); err == nil || bytes.Contains([]byte(err.Error()), []byte("no\"")) {
					t.Errorf("%s to %s: %s became %s, %v", api, client, b, got, err)
				}
			}
		}
	}
}
