package translate_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/translate"
)

// conversation returns a request of about 20 KB: an agent's, with tools.
func conversation(client translate.API) []byte {
	line := strings.Repeat(`All work and no play makes Jack a dull boy.\n`, 10)
	schema := `{"type":"object","properties":{"path":{"type":"string","description":"` + line + `"},"limit":{"type":"integer"}},"required":["path"]}`
	var b bytes.Buffer
	if client == translate.Chat {
		b.WriteString(`{"model":"m","stream":true,"messages":[{"role":"system","content":"` + line + `"}`)
		for i := range 12 {
			fmt.Fprintf(&b, `,{"role":"user","content":"%s"},{"role":"assistant","content":"ok","tool_calls":[{"id":"call_%d","type":"function","function":{"name":"read","arguments":"{\"path\":\"a\"}"}}]},{"role":"tool","tool_call_id":"call_%d","content":"%s"}`, line, i, i, line)
		}
		b.WriteString(`],"tools":[`)
		for i := range 10 {
			fmt.Fprintf(&b, `%s{"type":"function","function":{"name":"read_%d","description":"%s","parameters":%s}}`, comma(i), i, line[:200], schema)
		}
		b.WriteString(`]}`)
		return b.Bytes()
	}
	b.WriteString(`{"model":"m","max_tokens":100,"stream":true,"system":"` + line + `","messages":[{"role":"user","content":"x"}`)
	for i := range 12 {
		fmt.Fprintf(&b, `,{"role":"assistant","content":[{"type":"text","text":"ok"},{"type":"tool_use","id":"toolu_%d","name":"read","input":{"path":"a"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_%d","content":"%s"},{"type":"text","text":"%s"}]}`, i, i, line, line)
	}
	b.WriteString(`],"tools":[`)
	for i := range 10 {
		fmt.Fprintf(&b, `%s{"name":"read_%d","description":"%s","input_schema":%s}`, comma(i), i, line[:200], schema)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

func comma(i int) string {
	if i == 0 {
		return ""
	}
	return ","
}

func BenchmarkRequest(b *testing.B) {
	for _, c := range []struct{ client, upstream translate.API }{
		{translate.Chat, translate.Messages}, {translate.Messages, translate.Chat}, {translate.Messages, translate.Responses},
	} {
		body := conversation(c.client)
		b.Run(fmt.Sprintf("%s to %s", c.client, c.upstream), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if _, err := translate.New(c.client, c.upstream, options()).Request(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkEvent is one event of text in a stream.
func BenchmarkEvent(b *testing.B) {
	for upstream, event := range map[translate.API]string{
		translate.Messages: "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" word\"}}\n\n",
		translate.Chat:     `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-5.5","choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}],"usage":null}` + "\n\n",
	} {
		client := translate.Messages
		if upstream == client {
			client = translate.Chat
		}
		b.Run(fmt.Sprintf("%s to %s", upstream, client), func(b *testing.B) {
			s := asked(b, client, upstream).Stream()
			s.Feed([]byte(`data: {"type":"message_start","message":{"id":"a","model":"b"}}` + "\n\n" + `data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}` + "\n\n"))
			piece := []byte(event)
			b.ReportAllocs()
			b.SetBytes(int64(len(piece)))
			for b.Loop() {
				if len(s.Feed(piece)) == 0 {
					b.Fatal("nothing")
				}
			}
		})
	}
}

// BenchmarkStream is a whole stream with a call, from its beginning.
func BenchmarkStream(b *testing.B) {
	data, err := os.ReadFile("testdata/streams/messages/tools.sse")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := run(asked(b, translate.Chat, translate.Messages).Stream(), data); err != nil {
			b.Fatal(err)
		}
	}
}
