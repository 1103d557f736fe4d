package translate

import (
	"strconv"

	"github.com/tidwall/gjson"
)

// A responsesReader reads the events of Responses.
type responsesReader struct {
	o Options
	// in is the block that is open, and parted is set between two parts of a summary.
	in              kind
	parted          bool
	open            bool
	called, refused bool
}

func (r *responsesReader) read(doc gjson.Result, to sink) {
	switch doc.Get("type").Str {
	case "response.created":
		head := doc.Get("response")
		to.take(event{kind: begin, id: r.o.idOr(litOf(head.Get("id"))), model: litOf(head.Get("model"))})
	case "response.output_item.added":
		item := doc.Get("item")
		if item.Get("type").Str == "function_call" {
			r.called = true
			r.open, r.in = true, toolUse
			to.take(event{kind: open, block: block{kind: toolUse, id: litOf(item.Get("call_id")), name: litOf(item.Get("name"))}})
		}
	case "response.output_text.delta":
		r.text(text, litOf(doc.Get("delta")), to)
	case "response.refusal.delta":
		r.refused = true
		r.text(refusal, litOf(doc.Get("delta")), to)
	case "response.reasoning_summary_text.delta", "response.reasoning_text.delta":
		r.text(thought, litOf(doc.Get("delta")), to)
	case "response.function_call_arguments.delta":
		if r.open && r.in == toolUse {
			to.take(event{kind: more, text: litOf(doc.Get("delta"))})
		}
	case "response.reasoning_summary_part.done":
		r.parted = true
	case "response.output_item.done":
		r.done(doc.Get("item"), to)
	case "response.content_part.done":
		r.open = false
		to.take(event{kind: shut})
	case "response.completed", "response.incomplete":
		head := doc.Get("response")
		to.take(event{kind: finish, stop: responsesStop(head, r.refused, r.called), usage: responsesUsage(head.Get("usage"))})
		to.take(event{kind: done})
	case "response.failed":
		to.take(event{kind: fail, failure: failureOf(doc.Get("response"))})
	case "error":
		if doc.Get("error").IsObject() {
			to.take(event{kind: fail, failure: failureOf(doc)})
			return
		}
		to.take(event{kind: fail, failure: failureOf(gjson.Parse(`{"error":` + doc.Raw + `}`))})
	}
}

// done ends an item. What OpenAI takes back of its reasoning comes only now.
func (r *responsesReader) done(item gjson.Result, to sink) {
	if item.Get("type").Str == "reasoning" {
		if sealed := litOf(item.Get("encrypted_content")); sealed != "" {
			if !r.open || r.in != thought {
				to.take(event{kind: open, block: block{kind: thought}})
			}
			to.take(event{kind: signature, text: openAIMark + sealed})
		}
	}
	r.open, r.parted = false, false
	to.take(event{kind: shut})
}

// text passes text on, in a block of its kind.
func (r *responsesReader) text(in kind, said lit, to sink) {
	if said == "" {
		return
	}
	if in == thought && r.open && r.in == thought && r.parted {
		said = betweenParts + said
	}
	r.parted = false
	if !r.open || r.in != in {
		r.open, r.in = true, in
		to.take(event{kind: open, block: block{kind: in}})
	}
	to.take(event{kind: more, text: said})
}

// A responsesWriter writes the events of Responses. It keeps the answer, which
// is repeated at its end.
type responsesWriter struct {
	t        *Translation
	out      *writer
	a        answer
	sequence int64
	// shown counts the items, and parted is set once the summary of a thought began.
	shown  int64
	parted bool
}

func (r *responsesWriter) take(e event) {
	n := len(r.a.blocks)
	r.a.take(e)
	switch e.kind {
	case begin:
		r.response("response.created", "in_progress")
		r.response("response.in_progress", "in_progress")
	case open:
		r.parted = false
		if r.t.shown(e.block.kind) {
			r.item("response.output_item.added", n, "in_progress")
		}
		if e.block.kind == text || e.block.kind == refusal {
			r.part("response.content_part.added", &built{block: e.block})
		}
	case more:
		r.more(&r.a.blocks[n-1], e.text)
	case signature: // is in the item
	case shut:
		b := &r.a.blocks[n-1]
		if r.t.shown(b.kind) {
			r.shut(b)
			r.item("response.output_item.done", n-1, "completed")
			r.shown++
		}
	case finish:
	case done:
		name := "response.completed"
		if incomplete(&r.a) != "" {
			name = "response.incomplete"
		}
		r.response(name, "completed")
	case ping:
		r.out.b = append(r.out.b, ": ping\n\n"...)
	case fail:
		r.fail(e.failure)
	}
}

// event begins an event, and end ends it.
func (r *responsesWriter) event(name string) *writer {
	w := r.out
	w.b = append(w.b, "event: "...)
	w.b = append(w.b, name...)
	w.b = append(w.b, "\ndata: {\"type\":\""...)
	w.b = append(w.b, name...)
	w.b = append(w.b, `","sequence_number":`...)
	w.b = strconv.AppendInt(w.b, r.sequence, 10)
	r.sequence++
	return w
}

func (r *responsesWriter) end() { r.out.b = append(r.out.b, "}\n\n"...) }

func (r *responsesWriter) response(name, status string) {
	w := r.event(name)
	w.key("response")
	r.t.writeResponsesAnswer(w, &r.a, status)
	r.end()
}

func (r *responsesWriter) item(name string, n int, status string) {
	w := r.event(name)
	w.setInt("output_index", r.shown)
	w.key("item")
	r.t.item(w, &r.a, n, status)
	r.end()
}

// inItem begins an event within the item that is open.
func (r *responsesWriter) inItem(name, index string) *writer {
	w := r.event(name)
	w.setLit("item_id", itemID(&r.a, len(r.a.blocks)-1))
	w.setInt("output_index", r.shown)
	if index != "" {
		w.setInt(index, 0)
	}
	return w
}

// part tells of the one part of a message.
func (r *responsesWriter) part(name string, b *built) {
	w := r.inItem(name, "content_index")
	w.key("part")
	w.outputPart(b)
	r.end()
}

func (r *responsesWriter) summary(name string, said lit) {
	w := r.inItem(name, "summary_index")
	w.key("part")
	w.summary(said)
	r.end()
}

func (r *responsesWriter) delta(name, index string, said lit) {
	w := r.inItem(name, index)
	w.setLit("delta", said)
	if name == "response.output_text.delta" {
		w.setRaw("logprobs", "[]")
	}
	r.end()
}

func (r *responsesWriter) more(b *built, said lit) {
	switch b.kind {
	case thought:
		if !r.parted {
			r.parted = true
			r.summary("response.reasoning_summary_part.added", "")
		}
		r.delta("response.reasoning_summary_text.delta", "summary_index", said)
	case refusal:
		r.delta("response.refusal.delta", "content_index", said)
	case toolUse:
		if !r.t.tools[b.name].custom { // its input is known at its end
			r.delta("response.function_call_arguments.delta", "", said)
		}
	case text:
		r.delta("response.output_text.delta", "content_index", said)
	}
}

// shut tells the whole of a block that ends.
func (r *responsesWriter) shut(b *built) {
	switch b.kind {
	case thought:
		if r.parted {
			w := r.inItem("response.reasoning_summary_text.done", "summary_index")
			w.setLit("text", b.text())
			r.end()
			r.summary("response.reasoning_summary_part.done", b.text())
		}
	case refusal:
		w := r.inItem("response.refusal.done", "content_index")
		w.setLit("refusal", b.text())
		r.end()
		r.part("response.content_part.done", b)
	case text:
		w := r.inItem("response.output_text.done", "content_index")
		w.setLit("text", b.text())
		w.setRaw("logprobs", "[]")
		r.end()
		r.part("response.content_part.done", b)
	case toolUse:
		name, member, said := "response.function_call_arguments.done", "arguments", b.arguments()
		if r.t.tools[b.name].custom {
			name, member, said = "response.custom_tool_call_input.done", "input", unwrapInput(said)
			r.delta("response.custom_tool_call_input.delta", "", said)
		}
		w := r.inItem(name, "")
		w.setLit(member, said)
		r.end()
	}
}

func (r *responsesWriter) fail(f failure) {
	w := r.event("response.failed")
	w.key("response")
	w.open('{')
	w.setLit("id", "resp_"+idPart(r.t.o.idOr(r.a.id)))
	w.setRaw("object", `"response"`)
	w.setInt("created_at", r.t.o.Now.Unix())
	w.setRaw("status", `"failed"`)
	w.setLit("model", r.a.model)
	w.setRaw("output", "[]")
	w.key("error")
	w.open('{')
	w.setLit("code", f.responsesCode())
	w.setLit("message", f.said())
	w.b = append(w.b, "},\"incomplete_details\":null,\"usage\":null}"...)
	r.end()
}

// responsesCode returns the code of an error, which a response always has.
func (f *failure) responsesCode() lit {
	switch {
	case f.code != "":
		return f.code
	case f.status == 429:
		return "rate_limit_exceeded"
	case f.status < 500:
		return "invalid_prompt"
	}
	return "server_error"
}
