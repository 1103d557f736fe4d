package usage_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/usage"
)

// BenchmarkDelta is one event in the middle of a stream: 0 allocs/op.
func BenchmarkDelta(b *testing.B) {
	for _, tc := range []struct {
		sample string
		event  int
	}{{"chat.sse", 2}, {"messages.sse", 3}, {"responses.sse", 3}} {
		s := samples[indexOf(tc.sample)]
		body := s.body(b)
		events := bytes.SplitAfter(body, []byte("\n\n"))
		delta := events[tc.event]
		for name, chunks := range map[string][][]byte{
			"whole":   {delta},
			"CRLF":    {bytes.ReplaceAll(delta, []byte("\n"), []byte("\r\n"))},
			"in half": {delta[:len(delta)/2], delta[len(delta)/2:]},
		} {
			b.Run(tc.sample+" "+name, func(b *testing.B) {
				m := usage.NewMeter(s.kind, s.contentType(), "")
				m.Observe(events[0])
				b.ReportAllocs()
				b.SetBytes(int64(len(delta)))
				for b.Loop() {
					for _, c := range chunks {
						m.Observe(c)
					}
				}
				m.End()
			})
		}
	}
}

// BenchmarkBody is a whole body, in chunks of 32 KiB.
func BenchmarkBody(b *testing.B) {
	vector := "[" + strings.Repeat("-0.009327292,0.0023064255,", 750) + "0]"
	embeddings := fmt.Sprintf(`{"object":"list","data":[%s],"model":"m","usage":{"prompt_tokens":8}}`,
		strings.Repeat(`{"object":"embedding","index":0,"embedding":`+vector+`},`, 49)+`{"embedding":`+vector+`}`)
	text := fmt.Sprintf(`{"model":"m","choices":[{"message":{"content":"%s"}}],"usage":{"prompt_tokens":8}}`, strings.Repeat(`some text\nand \"more\", `, 1000))
	bodies := map[string]struct {
		s    sample
		body []byte
	}{
		"embeddings": {samples[indexOf("embeddings.json")], []byte(embeddings)},
		"text":       {samples[indexOf("chat.json")], []byte(text)},
	}
	for _, name := range []string{"chat.json", "chat.sse", "messages.sse", "responses.sse"} {
		s := samples[indexOf(name)]
		bodies[name] = struct {
			s    sample
			body []byte
		}{s, s.body(b)}
	}
	for name, tc := range bodies {
		for _, encoding := range []string{"", "gzip"} {
			body := tc.body
			if encoding != "" {
				var packed bytes.Buffer
				w := gzip.NewWriter(&packed)
				_, _ = w.Write(body) // into memory
				_ = w.Close()
				body = packed.Bytes()
			}
			b.Run(name+" "+encoding, func(b *testing.B) {
				m := new(usage.Meter)
				chunks := pieces(body, func() int { return 32 << 10 })
				b.ReportAllocs()
				b.SetBytes(int64(len(tc.body)))
				for b.Loop() {
					m.Reset(tc.s.kind, tc.s.contentType(), encoding)
					for _, c := range chunks {
						m.Observe(c)
					}
					if t, _ := m.End(); !t.Known {
						b.Fatal("nothing was read")
					}
				}
			})
		}
	}
}
