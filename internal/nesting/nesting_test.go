package nesting_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/nesting"
)

func TestWithin(t *testing.T) {
	t.Parallel()
	for doc, depth := range map[string]int{
		``: 0, `1`: 0, `"[[["`: 0, `"\"[[["`: 0, `"\\"`: 0, `[]`: 1, `{"a":[{}]}`: 3, `[[],[]]`: 2, `{"\\\"{":"}["}`: 1, `"[`: 0, `]]]]`: 0,
		`["a\\",[]]`: 2, strings.Repeat("[", 50): 50, `[{"a":"` + strings.Repeat(`\\`, 50) + `"},[[]]]`: 3,
	} {
		if !nesting.Within([]byte(doc), depth) {
			t.Errorf("%s is deeper than %d", doc, depth)
		}
		if depth > 0 && nesting.Within([]byte(doc), depth-1) {
			t.Errorf("%s is no deeper than %d", doc, depth-1)
		}
	}
}

// FuzzWithin compares with the standard library's reading, where that can read.
func FuzzWithin(f *testing.F) {
	for _, s := range []string{`{"a":[1,{"b":"\"["}]}`, `["\\",["\\\""]]`, `"[[`, `[]`} {
		f.Add([]byte(s), 2)
	}
	f.Fuzz(func(t *testing.T, doc []byte, limit int) {
		if limit < 0 || !json.Valid(doc) {
			nesting.Within(doc, limit)
			return
		}
		dec := json.NewDecoder(bytes.NewReader(doc))
		depth, deepest := 0, 0
		for {
			tok, err := dec.Token()
			if err != nil {
				break
			}
			switch tok {
			case json.Delim('['), json.Delim('{'):
				depth++
				deepest = max(deepest, depth)
			case json.Delim(']'), json.Delim('}'):
				depth--
			}
		}
		if got := nesting.Within(doc, limit); got != (deepest <= limit) {
			t.Fatalf("%s: got %t for %d, but its depth is %d", doc, got, limit, deepest)
		}
	})
}

func BenchmarkWithin(b *testing.B) {
	doc := []byte(`{"messages":[` + strings.Repeat(`{"role":"user","content":"`+strings.Repeat("words and more ", 60)+`"},`, 1000) + `{}]}`)
	b.SetBytes(int64(len(doc)))
	for b.Loop() {
		if !nesting.Within(doc, nesting.Max) {
			b.Fatal("too deep")
		}
	}
}
