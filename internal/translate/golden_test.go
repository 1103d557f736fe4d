package translate_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/translate"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// apis by the names of their folders.
var apis = map[string]translate.API{"chat": translate.Chat, "responses": translate.Responses, "messages": translate.Messages}

func options() translate.Options {
	return translate.Options{Model: "the-model", Thoughts: true, ID: "0199", Now: time.Unix(1_795_000_000, 0)}
}

// ask is a request that each API understands.
const ask = `{"model":"m","max_tokens":10,"stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"x"}]}`

// asked returns a translation that has had a request; of Responses, one with a
// namespace, and that takes thoughts back.
func asked(t testing.TB, client, upstream translate.API) *translate.Translation {
	t.Helper()
	tr := translate.New(client, upstream, options())
	body := ask
	switch client {
	case translate.Messages:
		body = strings.Replace(ask, `"stream_options":{"include_usage":true},`, "", 1)
	case translate.Responses:
		body = `{"model":"m","input":"x","include":["reasoning.encrypted_content"]}`
	}
	if _, err := tr.Request([]byte(body)); err != nil {
		t.Fatal(err)
	}
	return tr
}

// eachFile runs f for the files of a folder, for each of the other APIs: those
// that come from the one, in the name of the folder.
func eachFile(t *testing.T, folder string, f func(t *testing.T, from, to translate.API, data []byte) []byte) {
	t.Helper()
	files, err := filepath.Glob("testdata/" + folder + "/*/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, ".golden") {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		from := filepath.Base(filepath.Dir(name))
		for to, api := range apis {
			if to == from {
				continue
			}
			base := strings.TrimSuffix(name, filepath.Ext(name))
			t.Run(strings.TrimPrefix(base, "testdata/")+" to "+to, func(t *testing.T) {
				t.Parallel()
				golden(t, base+"."+to+".golden", f(t, apis[from], api, data))
			})
		}
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got; -update rewrites it):\n%s", name, diff)
	}
}

// pretty returns JSON as people read it, or the error.
func pretty(t *testing.T, b []byte, err error) []byte {
	t.Helper()
	var refused *translate.RequestError
	if errors.As(err, &refused) {
		return fmt.Appendf(nil, "error: %s\n", refused.Message)
	}
	if err != nil {
		return fmt.Appendf(nil, "failed: %s\n", err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, b)
	}
	out.WriteByte('\n')
	return out.Bytes()
}

func TestRequests(t *testing.T) {
	t.Parallel()
	eachFile(t, "requests", func(t *testing.T, from, to translate.API, data []byte) []byte {
		b, err := translate.New(from, to, options()).Request(data)
		return pretty(t, b, err)
	})
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	eachFile(t, "answers", func(t *testing.T, from, to translate.API, data []byte) []byte {
		b, err := asked(t, to, from).Response(data)
		return pretty(t, b, err)
	})
}

func TestStreams(t *testing.T) {
	t.Parallel()
	eachFile(t, "streams", func(t *testing.T, from, to translate.API, data []byte) []byte {
		s := asked(t, to, from).Stream()
		out := append([]byte(nil), s.Feed(data)...)
		rest, err := s.End(nil)
		out = append(out, rest...)
		if err != nil {
			out = fmt.Appendf(out, "failed: %s\n", err)
		}
		return out
	})
}
