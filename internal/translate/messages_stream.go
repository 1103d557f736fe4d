package translate

import (
	"strconv"

	"github.com/tidwall/gjson"
)

// A messagesReader reads the events of Messages.
type messagesReader struct {
	o Options
	// index is that of the block that is open, or -1. Blocks that nobody asked for
	// are passed over.
	index  int64
	called bool
	usage  usage
}

func (m *messagesReader) read(doc gjson.Result, to sink) {
	switch doc.Get("type").Str {
	case "message_start":
		head := doc.Get("message")
		m.usage.addMessages(head.Get("usage"))
		to.take(event{kind: begin, id: m.o.idOr(litOf(head.Get("id"))), model: litOf(head.Get("model"))})
	case "content_block_start":
		m.start(doc, to)
	case "content_block_delta":
		if m.index >= 0 && count(doc.Get("index")) == m.index {
			m.delta(doc.Get("delta"), to)
		}
	case "content_block_stop":
		if m.index >= 0 && count(doc.Get("index")) == m.index {
			m.index = -1
			to.take(event{kind: shut})
		}
	case "message_delta":
		m.usage.addMessages(doc.Get("usage"))
		if d := doc.Get("delta"); d.Get("stop_reason").Type == gjson.String {
			explain(d.Get("stop_details"), to)
			to.take(event{
				kind: finish, stop: withCalls(messagesStop(d.Get("stop_reason").Str), m.called), usage: m.usage, sequence: litOf(d.Get("stop_sequence")),
			})
		}
	case "message_stop":
		to.take(event{kind: finish, stop: withCalls(endTurn, m.called), usage: m.usage}) // if it has not been told
		to.take(event{kind: done})
	case "ping":
		to.take(event{kind: ping})
	case "error":
		to.take(event{kind: fail, failure: failureOf(doc)})
	}
}

func (m *messagesReader) start(doc gjson.Result, to sink) {
	b := doc.Get("content_block")
	var e event
	switch b.Get("type").Str {
	case "text":
		e = event{kind: open, block: block{kind: text}, text: litOf(b.Get("text"))}
	case "thinking":
		e = event{kind: open, block: block{kind: thought}, text: litOf(b.Get("thinking"))}
	case "redacted_thinking":
		e = event{kind: open, block: block{kind: redacted}, text: litOf(b.Get("data"))}
	case "tool_use":
		m.called = true
		e = event{kind: open, block: block{kind: toolUse, id: litOf(b.Get("id")), name: litOf(b.Get("name"))}, text: arguments(b.Get("input"))}
	default:
		m.index = -1
		to.take(event{kind: shut})
		return
	}
	m.index = count(doc.Get("index"))
	to.take(e)
	if e.text != "" {
		to.take(event{kind: more, text: e.text})
	}
}

func (m *messagesReader) delta(d gjson.Result, to sink) {
	e := event{kind: more}
	switch d.Get("type").Str {
	case "text_delta":
		e.text = litOf(d.Get("text"))
	case "input_json_delta":
		e.text = litOf(d.Get("partial_json"))
	case "thinking_delta":
		e.text = litOf(d.Get("thinking"))
	case "signature_delta":
		e.kind, e.text = signature, litOf(d.Get("signature"))
	}
	if e.text != "" {
		to.take(e)
	}
}

// A messagesWriter writes the events of Messages.
type messagesWriter struct {
	out   *writer
	in    kind
	index int64
}

func (m *messagesWriter) take(e event) {
	w := m.out
	switch e.kind {
	case begin:
		m.event("message_start")
		w.key("message")
		w.open('{')
		w.setLit("id", e.id)
		w.setRaw("type", `"message"`)
		w.setRaw("role", `"assistant"`)
		w.setLit("model", e.model)
		w.setRaw("content", "[]")
		w.setRaw("stop_reason", "null")
		w.setRaw("stop_sequence", "null")
		w.setRaw("usage", `{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}`)
		w.shut('}')
		m.end()
	case open:
		m.in = e.block.kind
		m.start(e.block)
	case more:
		m.more(e.text)
	case signature:
		m.delta("signature_delta", "signature", e.text)
	case shut:
		m.indexed("content_block_stop")
		m.end()
		m.index++
	case finish:
		m.event("message_delta")
		w.key("delta")
		w.open('{')
		w.messagesStop(e.stop, e.sequence)
		w.shut('}')
		w.key("usage")
		w.messagesUsage(e.usage)
		m.end()
	case done:
		m.event("message_stop")
		m.end()
	case ping:
		m.event("ping")
		m.end()
	case fail:
		w.b = append(w.b, "event: error\ndata: "...)
		w.messagesError(e.failure)
		w.b = append(w.b, "\n\n"...)
	}
}

// event begins an event, and end ends it.
func (m *messagesWriter) event(name string) {
	w := m.out
	w.b = append(w.b, "event: "...)
	w.b = append(w.b, name...)
	w.b = append(w.b, "\ndata: {\"type\":\""...)
	w.b = append(w.b, name...)
	w.b = append(w.b, '"')
}

func (m *messagesWriter) end() { m.out.b = append(m.out.b, "}\n\n"...) }

// indexed begins an event of the block that is open.
func (m *messagesWriter) indexed(name string) {
	m.event(name)
	m.out.b = append(m.out.b, `,"index":`...)
	m.out.b = strconv.AppendInt(m.out.b, m.index, 10)
}

func (m *messagesWriter) start(b block) {
	m.indexed("content_block_start")
	w := m.out
	w.key("content_block")
	w.open('{')
	switch b.kind {
	case thought:
		w.setRaw("type", `"thinking"`)
		w.setRaw("thinking", `""`)
		w.setRaw("signature", `""`)
	case redacted:
		w.setRaw("type", `"redacted_thinking"`)
		w.setRaw("data", `""`)
	case toolUse:
		w.setRaw("type", `"tool_use"`)
		w.setLit("id", callID(b.id))
		w.setLit("name", b.name)
		w.setRaw("input", "{}")
	default:
		w.setRaw("type", `"text"`)
		w.setRaw("text", `""`)
	}
	w.shut('}')
	m.end()
}

func (m *messagesWriter) more(said lit) {
	switch m.in {
	case thought:
		m.delta("thinking_delta", "thinking", said)
	case redacted: // no API but Messages has them
	case toolUse:
		m.delta("input_json_delta", "partial_json", said)
	default:
		m.delta("text_delta", "text", said)
	}
}

func (m *messagesWriter) delta(kind, member string, said lit) {
	m.indexed("content_block_delta")
	w := m.out
	w.key("delta")
	w.open('{')
	w.setStr("type", kind)
	w.setLit(member, said)
	w.shut('}')
	m.end()
}
