package translate

import (
	"strconv"

	"github.com/tidwall/gjson"
)

// A chatReader reads the chunks of Chat Completions. Of several choices it reads
// the first: more are not asked for.
type chatReader struct {
	o     Options
	begun bool
	// in is the block that is coming, if open is set. Of calls it is number call, by
	// the upstream, and id is its id; made counts them.
	in   kind
	open bool
	call int64
	id   lit
	made int
	// what ends the answer is known before its end is.
	reason  string
	refused bool
	usage   usage
}

func (c *chatReader) read(doc gjson.Result, to sink) {
	if !doc.Exists() { // the mark at the end
		s := withCalls(chatStop(c.reason, c.refused), c.made > 0)
		to.take(event{kind: finish, stop: s, usage: c.usage})
		to.take(event{kind: done})
		return
	}
	if e := doc.Get("error"); e.Exists() && e.Type != gjson.Null {
		to.take(event{kind: fail, failure: failureOf(doc)})
		return
	}
	if u := doc.Get("usage"); u.IsObject() {
		c.usage = chatUsage(u)
	}
	choice := doc.Get("choices.0")
	if !choice.IsObject() || count(choice.Get("index")) != 0 {
		return // Azure begins with a chunk that has neither an id nor a choice
	}
	if !c.begun {
		c.begun = true
		to.take(event{kind: begin, id: c.o.idOr(litOf(doc.Get("id"))), model: litOf(doc.Get("model"))})
	}
	c.delta(choice.Get("delta"), to)
	if r := choice.Get("finish_reason").Str; r != "" {
		c.reason = r
		to.take(event{kind: shut})
		c.open = false
	}
}

func (c *chatReader) delta(d gjson.Result, to sink) {
	var reasoned bool
	d.ForEach(func(name, v gjson.Result) bool {
		switch name.Str {
		case "reasoning_content", "reasoning": // some send both
			if !reasoned {
				reasoned = c.text(thought, litOf(v), to)
			}
		case "content":
			eachText(v, func(in kind, said lit) { c.text(in, said, to) })
		case "refusal":
			c.refused = c.text(refusal, litOf(v), to) || c.refused
		case "tool_calls":
			v.ForEach(func(_, t gjson.Result) bool {
				c.calls(t, to)
				return true
			})
		}
		return true
	})
}

// text passes text on, in a block of its kind.
func (c *chatReader) text(in kind, said lit, to sink) bool {
	if said == "" {
		return false
	}
	if !c.open || c.in != in {
		to.take(event{kind: open, block: block{kind: in}})
		c.open, c.in = true, in
	}
	to.take(event{kind: more, text: said})
	return true
}

// calls passes a piece of a call on. A new one begins with another number, or
// with another id: some servers do not count.
func (c *chatReader) calls(t gjson.Result, to sink) {
	n, id := count(t.Get("index")), litOf(t.Get("id"))
	f := t.Get("function")
	switch {
	case c.open && c.in == toolUse && n == c.call && (id == "" || id == c.id):
	case n < c.call || n == c.call && id == "":
		// More of a call after the next one has begun, which no client expects.
		to.take(event{kind: fail, failure: failure{status: 502, message: "The upstream sent its calls of tools in pieces that are out of order."}})
		return
	default:
		c.open, c.in, c.call, c.id = true, toolUse, n, id
		b := block{kind: toolUse, id: id, name: litOf(f.Get("name"))}
		if id == "" {
			b.id = c.o.madeID(c.made)
		}
		c.made++
		to.take(event{kind: open, block: b})
	}
	if said := litOf(f.Get("arguments")); said != "" {
		to.take(event{kind: more, text: said})
	}
}

// A chatWriter writes the chunks of Chat Completions.
type chatWriter struct {
	t   *Translation
	out *writer
	// head begins a chunk, up to its delta.
	head []byte
	// in is the block that is open, calls and thoughts count them, and said is set
	// once the block has anything.
	in              kind
	calls, thoughts int
	said            bool
}

func (c *chatWriter) take(e event) {
	switch e.kind {
	case begin:
		c.begin(e)
	case open:
		c.in, c.said = e.block.kind, false
		if c.in == toolUse {
			c.calls++
			w := c.chunk()
			c.call(w)
			w.setLit("id", e.block.id)
			w.setRaw("type", `"function"`)
			w.key("function")
			w.open('{')
			w.setLit("name", e.block.name)
			w.setRaw("arguments", `""`)
			w.b = append(w.b, "}}]"...)
			c.end("null")
		}
	case more:
		c.said = true
		c.more(e.text)
	case signature:
		if c.details() {
			c.detail(c.chunk(), &built{block: block{kind: thought}, signature: []byte(e.text)})
			c.end("null")
		}
	case shut:
		if c.in == toolUse && !c.said {
			c.more("{}")
		}
		if c.in == thought || c.in == redacted {
			c.thoughts++
		}
	case finish:
		c.chunk()
		c.end(`"` + finishReasons[e.stop] + `"`)
		if c.t.usage && e.usage.known {
			c.usage(e.usage)
		}
	case done:
		c.out.b = append(c.out.b, "data: [DONE]\n\n"...)
	case ping:
		c.out.b = append(c.out.b, ": ping\n\n"...)
	case fail:
		w := c.out
		w.b = append(w.b, "data: "...)
		w.open('{')
		w.key("error")
		w.openAIError(e.failure)
		w.b = append(w.b, "}\n\n"...)
	}
}

func (c *chatWriter) begin(e event) {
	w := &writer{}
	w.open('{')
	w.setLit("id", e.id)
	w.setRaw("object", `"chat.completion.chunk"`)
	w.setInt("created", c.t.o.Now.Unix())
	w.setLit("model", e.model)
	w.key("choices")
	w.b = append(w.b, '[')
	c.head = w.b
	out := c.chunk()
	out.setRaw("role", `"assistant"`)
	out.setRaw("content", `""`)
	c.end("null")
}

// chunk begins a chunk with an open delta, and end ends it.
func (c *chatWriter) chunk() *writer {
	w := c.out
	w.b = append(w.b, "data: "...)
	w.b = append(w.b, c.head...)
	w.b = append(w.b, `{"index":0,"delta":{`...)
	return w
}

func (c *chatWriter) end(reason string) {
	w := c.out
	w.b = append(w.b, `},"logprobs":null,"finish_reason":`...)
	w.b = append(w.b, reason...)
	w.b = append(w.b, "}]"...)
	if c.t.usage {
		w.b = append(w.b, `,"usage":null`...)
	}
	w.b = append(w.b, "}\n\n"...)
}

// call begins a piece of the call.
func (c *chatWriter) call(w *writer) {
	w.b = append(w.b, `"tool_calls":[{"index":`...)
	w.b = strconv.AppendInt(w.b, int64(c.calls-1), 10)
}

// details reports whether the client gets thoughts in a form to send back.
func (c *chatWriter) details() bool { return c.t.o.Thoughts && c.t.upstream == Messages }

func (c *chatWriter) more(said lit) {
	if c.in == redacted && !c.details() {
		return
	}
	w := c.chunk()
	switch c.in {
	case thought:
		w.setLit("reasoning_content", said)
		if c.details() {
			c.detail(w, &built{block: block{kind: thought}, said: []byte(said)})
		}
	case redacted:
		c.detail(w, &built{block: block{kind: redacted}, said: []byte(said)})
	case refusal:
		w.setLit("refusal", said)
	case toolUse:
		c.call(w)
		w.key("function")
		w.open('{')
		w.setLit("arguments", said)
		w.b = append(w.b, "}}]"...)
	default:
		w.setLit("content", said)
	}
	c.end("null")
}

// detail writes a piece of reasoning_details.
func (c *chatWriter) detail(w *writer, b *built) {
	w.key("reasoning_details")
	w.open('[')
	w.detail(c.thoughts, b)
	w.shut(']')
}

func (c *chatWriter) usage(u usage) {
	w := c.out
	w.b = append(w.b, "data: "...)
	w.b = append(w.b, c.head...)
	w.shut(']')
	w.key("usage")
	w.chatUsage(u)
	w.b = append(w.b, "}\n\n"...)
}
