package nesting_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/nesting"
)

func TestDepth(t *testing.T) {
	t.Parallel()
	for doc, depth := range map[string]int{
		`1`: 0, `"[[["`: 0, `"\"[[["`: 0, `"\\"`: 0, `[]`: 1, `{"a":[{}]}`: 3, `[[],[]]`: 2, `{"\\\"{":"}["}`: 1,
		`["a\\",[]]`: 2, strings.Repeat("[", 50) + strings.Repeat("]", 50): 50, `[{"a":"` + strings.Repeat(`\\`, 50) + `"},[[]]]`: 3,
		strings.Repeat(`{"a":`, 999) + "[]" + strings.Repeat("}", 999): 1000,
	} {
		if !nesting.ValidWithin([]byte(doc), depth) {
			t.Errorf("%s is deeper than %d", doc, depth)
		}
		if depth > 0 && nesting.ValidWithin([]byte(doc), depth-1) {
			t.Errorf("%s is no deeper than %d", doc, depth-1)
		}
	}
	for _, open := range []string{"[", `{"a":`, `[{"a":`} {
		if nesting.Valid(strings.Repeat(open, 5_000_000)) {
			t.Error("brackets without end are JSON")
		}
	}
	if deep := strings.Repeat("[", 1001) + strings.Repeat("]", 1001); nesting.Valid(deep) {
		t.Error("what is deeper than Max is let through")
	}
}

// documents are JSON and not, in each place of a word of eight bytes.
var documents = []string{
	``, ` `, `1`, `-`, `-0`, `01`, `0.`, `.5`, `1.5e`, `1.5e+`, `1.5E-7`, `1e5x`, `--1`, `+1`, `true`, `tru`, `trueq`, `false`, `fals`, `null`, `nul`, `nulll`, `NaN`,
	`""`, `"`, `"a`, `"\`, `"\"`, `"\x"`, `"\u12"`, `"\u12g4"`, `"\uD800"`, `"\u00e9\n\/"`, "\"\n\"", "\"\x00\"", "\"\x1f\"", "\"\x7f\"", "\"\x80\xff\"", "\"é\"", "\"\u2028\"",
	`[]`, `[`, `]`, `[1,]`, `[,1]`, `[1 2]`, `[1,2]`, `[}`, `{]`, `{}`, `{`, `}`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{"a":1,"b"}`, `{"a":1 "b":2}`, `{a:1}`, `{1:2}`, `{"a":1,"a":2}`, `{"a",1}`, `["a":1]`,
	"\ufeff{}", "{}\x00", "{} {}", "\v{}", " \t\r\n{ } ", `[[[{"a":[{"b":[]}]}]]]`, `[{}}`, `{"a":[}`, `[{"a":1]`, `/**/{}`, `'a'`,
}

func TestValid(t *testing.T) {
	t.Parallel()
	for _, d := range documents {
		for pad := range 18 {
			for _, doc := range []string{strings.Repeat(" ", pad) + d, d + strings.Repeat(" ", pad), `{"` + strings.Repeat("x", pad) + `":` + d + `}`, `["` + strings.Repeat("é", pad) + `",` + d + `]`, `"` + strings.Repeat("x", pad) + d} {
				if got, want := nesting.Valid(doc), json.Valid([]byte(doc)); got != want || nesting.Valid([]byte(doc)) != want {
					t.Errorf("%q: got %t, want %t", doc, got, want)
				}
			}
		}
	}
	for c := range 256 { // each byte, in each place of a word
		for at := range 17 {
			doc := []byte(`"` + strings.Repeat("x", 17) + `"`)
			doc[1+at] = byte(c)
			if got, want := nesting.Valid(doc), json.Valid(doc); got != want {
				t.Errorf("%q: got %t, want %t", doc, got, want)
			}
		}
	}
}

// FuzzValid compares with the standard library.
func FuzzValid(f *testing.F) {
	for _, s := range documents {
		f.Add([]byte(s), 2)
	}
	f.Fuzz(func(t *testing.T, doc []byte, limit int) {
		limit = min(max(limit, 0), nesting.Max)
		want := json.Valid(doc) && depthOf(doc) <= limit
		if got := nesting.ValidWithin(doc, limit); got != want {
			t.Fatalf("%q: got %t for %d", doc, got, limit)
		}
		var members []string
		valid := nesting.Members(doc, func(name, value nesting.Span) {
			members = append(members, string(doc[name.From:name.To]), string(doc[value.From:value.To]))
		})
		if want := membersOf(doc); valid != nesting.Valid(doc) || valid && !slices.Equal(members, want) {
			t.Fatalf("%q: %t, members %q, want %q", doc, valid, members, want)
		}
	})
}

// membersOf returns the names, as they are written, and values of an object.
func membersOf(doc []byte) (members []string) {
	dec := json.NewDecoder(bytes.NewReader(doc))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil
	}
	for dec.More() {
		from := dec.InputOffset()
		if _, err := dec.Token(); err != nil {
			return nil
		}
		var value json.RawMessage
		name := bytes.TrimLeft(doc[from:dec.InputOffset()], ", \t\r\n")
		if dec.Decode(&value) != nil {
			return nil
		}
		members = append(members, string(name), string(value))
	}
	return members
}

// depthOf returns how deep a document is nested.
func depthOf(doc []byte) (deepest int) {
	dec := json.NewDecoder(bytes.NewReader(doc))
	for depth := 0; ; {
		tok, err := dec.Token()
		if err != nil {
			return deepest
		}
		switch tok {
		case json.Delim('['), json.Delim('{'):
			depth++
			deepest = max(deepest, depth)
		case json.Delim(']'), json.Delim('}'):
			depth--
		}
	}
}

func BenchmarkValid(b *testing.B) {
	for name, doc := range map[string]string{
		"messages": `{"messages":[` + strings.Repeat(`{"role":"user","content":"`+strings.Repeat("words and more ", 60)+`"},`, 1000) + `{}]}`,
		"code":     `{"content":"` + strings.Repeat(`	if x != \"\" {\n\t\treturn \"a\\b\"\n\t}\n`[1:], 20000) + `"}`,
	} {
		for by, valid := range map[string]func([]byte) bool{"ours": nesting.Valid[[]byte], "encoding-json": json.Valid} {
			b.Run(name+"/"+by, func(b *testing.B) {
				doc := []byte(doc)
				b.SetBytes(int64(len(doc)))
				for b.Loop() {
					if !valid(doc) {
						b.Fatal("not valid")
					}
				}
			})
		}
	}
}
