package translate

import (
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// readResponsesAnswer reads an answer of Responses.
func readResponsesAnswer(doc gjson.Result, to sink, o Options) error {
	if !doc.Get("output").IsArray() || doc.Get("status").Str == "failed" {
		return errNotAnswer
	}
	to.take(event{kind: begin, id: o.idOr(litOf(doc.Get("id"))), model: litOf(doc.Get("model"))})
	called, refused := false, false
	for _, item := range doc.Get("output").Array() {
		switch item.Get("type").Str {
		case "reasoning":
			readReasoning(item, to)
		case "message":
			for _, c := range item.Get("content").Array() {
				if said := litOf(c.Get("text")); said != "" {
					whole(to, block{kind: text}, said)
				}
				if said := litOf(c.Get("refusal")); said != "" {
					refused = true
					whole(to, block{kind: refusal}, said)
				}
			}
		case "function_call":
			called = true
			whole(to, block{kind: toolUse, id: litOf(item.Get("call_id")), name: litOf(item.Get("name"))}, litOf(item.Get("arguments")))
		}
	}
	to.take(event{kind: finish, stop: responsesStop(doc, refused, called), usage: responsesUsage(doc.Get("usage"))})
	to.take(event{kind: done})
	return nil
}

// readReasoning reads an item of reasoning as one thought, with what OpenAI takes
// back for its signature.
func readReasoning(item gjson.Result, to sink) {
	sealed := litOf(item.Get("encrypted_content"))
	var said []lit
	for _, list := range []string{"summary", "content"} {
		for _, s := range item.Get(list).Array() {
			if l := litOf(s.Get("text")); l != "" {
				said = append(said, l)
			}
		}
	}
	if sealed == "" && len(said) == 0 {
		return
	}
	to.take(event{kind: open, block: block{kind: thought}})
	for i, l := range said {
		if i > 0 {
			l = betweenParts + l
		}
		to.take(event{kind: more, text: l})
	}
	if sealed != "" {
		to.take(event{kind: signature, text: openAIMark + sealed})
	}
	to.take(event{kind: shut})
}

// betweenParts goes between the parts of a summary.
const betweenParts = `\n\n`

func responsesStop(doc gjson.Result, refused, called bool) stop {
	switch {
	case doc.Get("incomplete_details.reason").Str == "content_filter":
		return filtered
	case doc.Get("status").Str == "incomplete":
		return maxTokens
	case refused:
		return refuses
	}
	return withCalls(endTurn, called)
}

func responsesUsage(u gjson.Result) usage {
	if !u.IsObject() {
		return usage{}
	}
	in := u.Get("input_tokens_details")
	return usage{
		known: true, input: count(u.Get("input_tokens")), output: count(u.Get("output_tokens")),
		cacheRead: count(in.Get("cached_tokens")), cacheWrite: count(in.Get("cache_write_tokens")),
		reasoning: count(u.Get("output_tokens_details.reasoning_tokens")),
	}
}

// writeResponsesAnswer writes a response: a whole one, or as far as it is.
func (t *Translation) writeResponsesAnswer(w *writer, a *answer, status string) {
	why := ""
	if status == "completed" {
		if why = incomplete(a); why != "" {
			status = "incomplete"
		}
	}
	w.open('{')
	w.setLit("id", "resp_"+idPart(a.id))
	w.setRaw("object", `"response"`)
	w.setInt("created_at", t.o.Now.Unix())
	w.setStr("status", status)
	w.setRaw("background", "false")
	w.setRaw("error", "null")
	w.key("incomplete_details")
	if why == "" {
		w.raw("null")
	} else {
		w.open('{')
		w.setStr("reason", why)
		w.shut('}')
	}
	w.setRaw("instructions", "null")
	w.setRaw("metadata", "{}")
	w.setLit("model", a.model)
	w.key("output")
	w.open('[')
	if status != "in_progress" {
		for i := range a.blocks {
			if t.shown(a.blocks[i].kind) {
				t.item(w, a, i, "completed")
			}
		}
	}
	w.shut(']')
	// What the request was is not repeated, but for what decoders insist on.
	w.setRaw("parallel_tool_calls", "true")
	w.setRaw("previous_response_id", "null")
	w.setRaw("store", "false")
	w.setRaw("temperature", "null")
	w.setRaw("text", `{"format":{"type":"text"}}`)
	w.setRaw("tool_choice", `"auto"`)
	w.setRaw("tools", "[]")
	w.setRaw("top_p", "null")
	w.setRaw("truncation", `"disabled"`)
	w.key("usage")
	if !a.usage.known {
		w.raw("null")
	} else {
		w.responsesUsage(a.usage)
	}
	w.shut('}')
}

// incomplete says why an answer is, if it is.
func incomplete(a *answer) string {
	switch a.stop {
	case maxTokens:
		return "max_output_tokens"
	case filtered:
		return "content_filter"
	}
	return ""
}

// idPart makes an id part of another.
func idPart(id lit) lit {
	return lit(strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' {
			return c
		}
		return '_'
	}, string(id)))
}

// itemID returns the id of block number n.
func itemID(a *answer, n int) lit {
	prefix := lit("msg_")
	switch a.blocks[n].kind {
	case thought, redacted:
		prefix = "rs_"
	case toolUse:
		prefix = "fc_"
	}
	return prefix + idPart(a.id) + "_" + lit(strconv.Itoa(n))
}

// shown reports whether a client sees blocks of the kind: what nobody can read
// is for those who send it back.
func (t *Translation) shown(k kind) bool { return k != redacted || t.sealed }

// item writes block number n as an item.
func (t *Translation) item(w *writer, a *answer, n int, status string) {
	b := &a.blocks[n]
	w.open('{')
	w.setLit("id", itemID(a, n))
	switch b.kind {
	case thought, redacted:
		w.setRaw("type", `"reasoning"`)
		w.key("summary")
		w.open('[')
		if b.kind == thought && len(b.said) > 0 {
			w.summary(b.text())
		}
		w.shut(']')
		if status == "completed" && t.sealed && (b.kind == redacted || len(b.signature) > 0) {
			w.setLit("encrypted_content", seal(b))
		}
	case toolUse:
		t.callItem(w, b, status)
	default:
		w.setRaw("type", `"message"`)
		w.setRaw("role", `"assistant"`)
		w.setStr("status", status)
		w.key("content")
		w.open('[')
		if status == "completed" {
			w.outputPart(b)
		}
		w.shut(']')
	}
	w.shut('}')
}

func (w *writer) summary(said lit) {
	w.open('{')
	w.setRaw("type", `"summary_text"`)
	w.setLit("text", said)
	w.shut('}')
}

// outputPart writes the one part of a message.
func (w *writer) outputPart(b *built) {
	w.open('{')
	if b.kind == refusal {
		w.setRaw("type", `"refusal"`)
		w.setLit("refusal", b.text())
	} else {
		w.setRaw("type", `"output_text"`)
		w.setLit("text", b.text())
		w.setRaw("annotations", "[]")
	}
	w.shut('}')
}

// callItem writes a call in the terms of the client, whose tool may be called
// differently, or be a custom one.
func (t *Translation) callItem(w *writer, b *built, status string) {
	named, known := t.tools[b.name]
	if !known {
		named.name = b.name
	}
	said := lit("")
	if status == "completed" {
		said = b.arguments()
	}
	if named.custom {
		w.setRaw("type", `"custom_tool_call"`)
		if said != "" {
			said = unwrapInput(said)
		}
		w.setLit("input", said)
	} else {
		w.setRaw("type", `"function_call"`)
		w.setLit("arguments", said)
	}
	w.setLit("call_id", b.id)
	w.setLit("name", named.name)
	if named.namespace != "" {
		w.setLit("namespace", named.namespace)
	}
	w.setStr("status", status)
}

func (w *writer) responsesUsage(u usage) {
	w.open('{')
	w.setInt("input_tokens", u.input)
	w.key("input_tokens_details")
	w.open('{')
	w.setInt("cached_tokens", u.cacheRead)
	w.setInt("cache_write_tokens", u.cacheWrite)
	w.shut('}')
	w.setInt("output_tokens", u.output)
	w.key("output_tokens_details")
	w.open('{')
	w.setInt("reasoning_tokens", u.reasoning)
	w.shut('}')
	w.setInt("total_tokens", u.input+u.output)
	w.shut('}')
}
