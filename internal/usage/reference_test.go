package usage_test

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/gatehousehq/gatehouse/internal/usage"
)

// A reference reads a whole body in the plainest way there is: it cuts a stream
// into events by the text of the standard, and decodes each document with
// encoding/json. It shares nothing with the meter.
type reference struct {
	kind   usage.Kind
	tokens usage.Tokens
	model  string
	named  bool
}

// byReference reports false if the body is not what it is declared to be.
func byReference(kind usage.Kind, stream bool, body []byte) (usage.Tokens, string, bool) {
	r := reference{kind: kind}
	ok := true
	docs := []string{string(body)}
	list := kind == usage.Contents && !stream && strings.HasPrefix(strings.TrimLeft(string(body), "\uFEFF \t\r\n"), "[")
	if list {
		docs = nil
		var raw []json.RawMessage
		if json.Unmarshal([]byte(strings.TrimLeft(string(body), "\uFEFF \t\r\n")), &raw) != nil {
			return usage.Tokens{}, "", false
		}
		for _, doc := range raw {
			if doc[0] != '{' { // no vendor's
				return usage.Tokens{}, "", false
			}
			docs = append(docs, string(doc))
		}
	}
	if stream {
		docs = events(string(body))
	}
	for _, doc := range docs {
		// A mark before the document does no harm, whole or not.
		for doc != "" && strings.IndexByte("\uFEFF \t\r\n", doc[0]) >= 0 {
			doc = doc[1:]
		}
		if strings.HasPrefix(doc, "{") && !r.document(doc) {
			ok = false
		}
	}
	return r.tokens, r.model, ok
}

// events returns the data of the events of a stream, that of one which the
// stream breaks off in included.
func events(stream string) []string {
	stream = strings.TrimPrefix(stream, "\uFEFF")
	stream = strings.ReplaceAll(stream, "\r\n", "\n")
	stream = strings.ReplaceAll(stream, "\r", "\n")
	var out, data []string
	for line := range strings.SplitSeq(stream, "\n") {
		if line == "" {
			if data != nil {
				out = append(out, strings.Join(data, "\n"))
			}
			data = nil
			continue
		}
		if field, value, _ := strings.Cut(line, ":"); field == "data" {
			data = append(data, strings.TrimPrefix(value, " "))
		}
	}
	if data != nil {
		out = append(out, strings.Join(data, "\n"))
	}
	return out
}

func (r *reference) document(doc string) bool {
	if !json.Valid([]byte(doc)) {
		return false
	}
	inner := map[usage.Kind]string{usage.Completions: "x_groq", usage.Responses: "response", usage.Messages: "message"}[r.kind]
	for name, value := range members([]byte(doc)) {
		if name == inner && value[0] == '{' {
			for name, value := range members(value) {
				r.member(name, value)
			}
			continue
		}
		r.member(name, value)
	}
	return true
}

func (r *reference) member(name string, value json.RawMessage) {
	var s string
	theUsage, theModel := "usage", "model"
	if r.kind == usage.Contents {
		theUsage, theModel = "usageMetadata", "modelVersion"
	}
	switch {
	case name == theModel && json.Unmarshal(value, &s) == nil && s != "" && !r.named:
		r.named = true
		if len(s) <= 128 && strings.Trim(s, printables) == "" {
			r.model = s
		}
	case name == theUsage && value[0] == '{':
		r.usage(value)
	}
}

var printables = func() string {
	var b strings.Builder
	for c := byte(' '); c <= '~'; c++ {
		b.WriteByte(c)
	}
	return b.String()
}()

func (r *reference) usage(object json.RawMessage) {
	flat := map[string]int64{}
	for name, value := range members(object) {
		if value[0] == '{' {
			for inner, value := range members(value) {
				integer(flat, name+"."+inner, value)
			}
			continue
		}
		integer(flat, name, value)
	}
	var t usage.Tokens
	if r.kind == usage.Messages {
		t = r.tokens
	}
	take := func(into *int64, names ...string) {
		for _, name := range names {
			if n, found := flat[name]; found {
				*into, t.Known = n, true
			}
		}
	}
	switch r.kind {
	case usage.Completions:
		take(&t.Input, "prompt_tokens")
		take(&t.Output, "completion_tokens")
		take(&t.CacheRead, "prompt_cache_hit_tokens")
		if flat["prompt_tokens_details.cached_tokens"] > 0 || t.CacheRead == 0 {
			take(&t.CacheRead, "prompt_tokens_details.cached_tokens")
		}
		take(&t.CacheWrite, "prompt_tokens_details.cache_write_tokens")
		take(&t.Reasoning, "completion_tokens_details.reasoning_tokens")
	case usage.Responses:
		take(&t.Input, "input_tokens")
		take(&t.Output, "output_tokens")
		for _, details := range []string{"input_tokens_details", "input_token_details"} {
			take(&t.CacheRead, details+".cached_tokens")
			take(&t.CacheWrite, details+".cache_write_tokens")
		}
		take(&t.Reasoning, "output_tokens_details.reasoning_tokens", "output_token_details.reasoning_tokens")
	case usage.Messages:
		take(&t.Input, "input_tokens")
		take(&t.Output, "output_tokens")
		take(&t.CacheRead, "cache_read_input_tokens")
		take(&t.CacheWrite, "cache_creation_input_tokens")
		take(&t.Reasoning, "output_tokens_details.thinking_tokens")
	case usage.Contents:
		var tools int64
		take(&t.Input, "promptTokenCount")
		take(&tools, "toolUsePromptTokenCount")
		t.Input += tools
		take(&t.Output, "candidatesTokenCount")
		take(&t.CacheRead, "cachedContentTokenCount")
		take(&t.Reasoning, "thoughtsTokenCount")
	}
	if t.Known {
		r.tokens = t
	}
}

func integer(into map[string]int64, name string, value json.RawMessage) {
	var n *int64
	if json.Unmarshal(value, &n) == nil && n != nil && *n >= 0 {
		into[name] = *n
	}
}

// members goes through an object in its order, names that come twice included.
func members(object []byte) func(func(string, json.RawMessage) bool) {
	return func(yield func(string, json.RawMessage) bool) {
		d := json.NewDecoder(bytes.NewReader(object))
		if _, err := d.Token(); err != nil {
			return
		}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return
			}
			var value json.RawMessage
			if d.Decode(&value) != nil || !yield(name.(string), value) {
				return
			}
		}
	}
}
