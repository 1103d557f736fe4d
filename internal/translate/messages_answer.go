package translate

import (
	"github.com/tidwall/gjson"
)

// readMessagesAnswer reads an answer of Messages.
func readMessagesAnswer(doc gjson.Result, to sink, o Options) error {
	if !doc.Get("content").IsArray() {
		return errNotAnswer
	}
	to.take(event{kind: begin, id: o.idOr(litOf(doc.Get("id"))), model: litOf(doc.Get("model"))})
	called := false
	for _, c := range doc.Get("content").Array() {
		switch c.Get("type").Str {
		case "text":
			if said := litOf(c.Get("text")); said != "" {
				whole(to, block{kind: text}, said)
			}
		case "thinking":
			to.take(event{kind: open, block: block{kind: thought}})
			if said := litOf(c.Get("thinking")); said != "" {
				to.take(event{kind: more, text: said})
			}
			if s := litOf(c.Get("signature")); s != "" {
				to.take(event{kind: signature, text: s})
			}
			to.take(event{kind: shut})
		case "redacted_thinking":
			whole(to, block{kind: redacted}, litOf(c.Get("data")))
		case "tool_use":
			called = true
			whole(to, block{kind: toolUse, id: litOf(c.Get("id")), name: litOf(c.Get("name"))}, arguments(c.Get("input")))
		}
	}
	explain(doc.Get("stop_details"), to)
	e := event{kind: finish, sequence: litOf(doc.Get("stop_sequence"))}
	e.stop = withCalls(messagesStop(doc.Get("stop_reason").Str), called)
	e.usage.addMessages(doc.Get("usage"))
	to.take(e)
	to.take(event{kind: done})
	return nil
}

// explain passes on why the vendor stopped an answer, as a refusal.
func explain(details gjson.Result, to sink) {
	if said := litOf(details.Get("explanation")); said != "" {
		whole(to, block{kind: refusal}, said)
	}
}

// arguments returns the input of a call as text; of an empty one, nothing.
func arguments(input gjson.Result) lit {
	if !input.IsObject() || len(input.Raw) <= len("{}") {
		return ""
	}
	return escape(input.Raw)
}

func messagesStop(reason string) stop {
	switch reason {
	case "max_tokens", "model_context_window_exceeded":
		return maxTokens
	case "stop_sequence":
		return stopSequence
	case "tool_use":
		return calls
	case "refusal":
		return filtered
	}
	return endTurn
}

// addMessages takes the counts of a usage object: those that are there replace
// what was there before. Messages counts what came from a cache or went into one
// apart from the other input.
func (u *usage) addMessages(v gjson.Result) {
	if !v.IsObject() {
		return
	}
	fresh := u.input - u.cacheRead - u.cacheWrite
	v.ForEach(func(key, n gjson.Result) bool {
		switch key.Str {
		case "input_tokens":
			fresh = countOr(n, fresh)
		case "cache_read_input_tokens":
			u.cacheRead = countOr(n, u.cacheRead)
		case "cache_creation_input_tokens":
			u.cacheWrite = countOr(n, u.cacheWrite)
		case "output_tokens":
			u.output = countOr(n, u.output)
		case "output_tokens_details":
			u.reasoning = countOr(n.Get("thinking_tokens"), u.reasoning)
		}
		return true
	})
	u.known = true
	u.input = fresh + u.cacheRead + u.cacheWrite
}

func countOr(v gjson.Result, otherwise int64) int64 {
	if v.Type != gjson.Number {
		return otherwise
	}
	return count(v)
}

// stopReasons are the words of Messages.
var stopReasons = [...]string{
	endTurn: "end_turn", maxTokens: "max_tokens", stopSequence: "stop_sequence", calls: "tool_use", refuses: "refusal", filtered: "refusal",
}

func (t *Translation) writeMessagesAnswer(w *writer, a *answer) {
	w.open('{')
	w.setLit("id", a.id)
	w.setRaw("type", `"message"`)
	w.setRaw("role", `"assistant"`)
	w.setLit("model", a.model)
	w.key("content")
	w.open('[')
	for i := range a.blocks {
		b := &a.blocks[i]
		if b.kind == thought && !t.o.Thoughts {
			continue
		}
		w.open('{')
		switch b.kind {
		case thought:
			w.setRaw("type", `"thinking"`)
			w.setLit("thinking", b.text())
			w.setLit("signature", lit(b.signature))
		case redacted:
			w.setRaw("type", `"redacted_thinking"`)
			w.setLit("data", b.text())
		case toolUse:
			w.setRaw("type", `"tool_use"`)
			w.setLit("id", callID(b.id))
			w.setLit("name", b.name)
			w.setRaw("input", object(b.text()))
		default:
			w.setRaw("type", `"text"`)
			w.setLit("text", b.text())
		}
		w.shut('}')
	}
	w.shut(']')
	w.messagesStop(a.stop, a.sequence)
	w.key("usage")
	w.messagesUsage(a.usage)
	w.shut('}')
}

// messagesStop writes why an answer ends.
func (w *writer) messagesStop(s stop, sequence lit) {
	w.setStr("stop_reason", stopReasons[s])
	if s != stopSequence {
		sequence = ""
	}
	w.orNull("stop_sequence", sequence)
	if s == refuses || s == filtered {
		w.setRaw("stop_details", `{"type":"refusal","category":null,"explanation":null}`)
		return
	}
	w.setRaw("stop_details", "null")
}

func (w *writer) messagesUsage(u usage) {
	w.open('{')
	w.setInt("input_tokens", max(0, u.input-u.cacheRead-u.cacheWrite))
	w.setInt("cache_creation_input_tokens", u.cacheWrite)
	w.setInt("cache_read_input_tokens", u.cacheRead)
	w.setInt("output_tokens", u.output)
	w.key("output_tokens_details")
	w.open('{')
	w.setInt("thinking_tokens", u.reasoning)
	w.shut('}')
	w.shut('}')
}
