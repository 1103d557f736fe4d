package translate_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gatehousehq/gatehouse/internal/translate"
)

// seed adds the files of a folder, with the number of their API.
func seed(f *testing.F, pattern string, more ...any) {
	f.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		f.Fatalf("no files: %v", err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		if !strings.HasSuffix(name, ".golden") {
			f.Add(append([]any{data, byte(apiOf(name))}, more...)...)
		}
	}
}

// fuzzed are the APIs from one to the two others.
func fuzzed(from byte) (translate.API, []translate.API) {
	var to []translate.API
	for _, api := range []translate.API{translate.Chat, translate.Responses, translate.Messages} {
		if api != translate.API(from%3) {
			to = append(to, api)
		}
	}
	return translate.API(from % 3), to
}

// check fails unless b is JSON of which every reader reads the same: an object
// with each of its members once.
func check(t *testing.T, b []byte) {
	t.Helper()
	if !json.Valid(b) {
		t.Fatalf("not JSON: %q", b)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		t.Fatalf("no object: %q", b)
	}
	seen := map[string]bool{}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			t.Fatal(err)
		}
		if name := tok.(string); seen[name] {
			t.Fatalf("%s is there twice: %q", name, b)
		} else {
			seen[name] = true
		}
		var skipped json.RawMessage
		if err := dec.Decode(&skipped); err != nil {
			t.Fatal(err)
		}
	}
}

func FuzzRequest(f *testing.F) {
	seed(f, "testdata/requests/*/*.json")
	f.Fuzz(func(t *testing.T, data []byte, from byte) {
		client, upstreams := fuzzed(from)
		for _, upstream := range upstreams {
			got, err := translate.New(client, upstream, options()).Request(data)
			var refused *translate.RequestError
			switch {
			case err == nil:
				check(t, got)
				var head struct{ Model string }
				if err := json.Unmarshal(got, &head); err == nil && head.Model != options().Model {
					t.Fatalf("the model is %q", head.Model)
				}
			case !errors.As(err, &refused):
				t.Fatalf("got %v", err)
			case !utf8.ValidString(err.Error()) || len(err.Error()) > 300:
				t.Fatalf("the error is %q", err)
			}
		}
	})
}

func FuzzAnswer(f *testing.F) {
	seed(f, "testdata/answers/*/*.json")
	f.Fuzz(func(t *testing.T, data []byte, from byte) {
		upstream, clients := fuzzed(from)
		for _, client := range clients {
			if got, err := asked(t, client, upstream).Response(data); err == nil {
				check(t, got)
			}
			check(t, asked(t, client, upstream).Error(500, data))
		}
	})
}

// FuzzStream: whatever comes, what goes on is events whose data is JSON, the same
// in whatever pieces it came, and never the end of a whole answer after an error.
func FuzzStream(f *testing.F) {
	seed(f, "testdata/streams/*/*.sse", uint64(1))
	f.Fuzz(func(t *testing.T, data []byte, from byte, split uint64) {
		upstream, clients := fuzzed(from)
		for _, client := range clients {
			want, err := run(asked(t, client, upstream).Stream(), data)
			got, err2 := run(asked(t, client, upstream).Stream(), cut(data, rand.New(rand.NewPCG(split, 2)))...)
			if !bytes.Equal(got, want) || (err == nil) != (err2 == nil) {
				t.Fatalf("in pieces: %q, %v\nat once: %q, %v", got, err2, want, err)
			}
			checkEvents(t, client, want, err)
		}
	})
}

func checkEvents(t *testing.T, client translate.API, b []byte, broken error) {
	t.Helper()
	if len(b) > 0 && !bytes.HasSuffix(b, []byte("\n\n")) {
		t.Fatalf("half an event: %q", b)
	}
	ended := false
	for e := range strings.SplitSeq(strings.TrimSuffix(string(b), "\n\n"), "\n\n") {
		if e == "" || e == ": ping" {
			continue
		}
		if ended {
			t.Fatalf("%q comes after the end", e)
		}
		_, data, ok := strings.Cut(e, "data: ")
		if !ok || strings.ContainsAny(data, "\n\r") {
			t.Fatalf("not an event: %q", e)
		}
		if data == "[DONE]" && client == translate.Chat {
			ended = true
			continue
		}
		check(t, []byte(data))
		ended = strings.HasPrefix(e, "event: message_stop") || strings.HasPrefix(e, "event: response.completed") || strings.HasPrefix(e, "event: response.incomplete")
	}
	if broken != nil && ended {
		t.Fatalf("broken off (%v) and whole: %q", broken, b)
	}
}
