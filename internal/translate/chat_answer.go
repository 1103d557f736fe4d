package translate

import (
	"github.com/tidwall/gjson"
)

// readChatAnswer reads an answer of Chat Completions.
func readChatAnswer(doc gjson.Result, to sink, o Options) error {
	c := doc.Get("choices.0")
	m := c.Get("message")
	if !m.IsObject() {
		return errNotAnswer
	}
	to.take(event{kind: begin, id: o.idOr(litOf(doc.Get("id"))), model: litOf(doc.Get("model"))})
	if said := reasoningOf(m); said != "" {
		whole(to, block{kind: thought}, said)
	}
	eachText(m.Get("content"), func(in kind, said lit) { whole(to, block{kind: in}, said) })
	refused := litOf(m.Get("refusal"))
	if refused != "" {
		whole(to, block{kind: refusal}, refused)
	}
	called := m.Get("tool_calls").Array()
	for i, t := range called {
		id := litOf(t.Get("id"))
		if id == "" {
			id = o.madeID(i)
		}
		whole(to, block{kind: toolUse, id: id, name: litOf(t.Get("function.name"))}, litOf(t.Get("function.arguments")))
	}
	s := chatStop(c.Get("finish_reason").Str, refused != "")
	to.take(event{kind: finish, stop: withCalls(s, len(called) > 0), usage: chatUsage(doc.Get("usage"))})
	to.take(event{kind: done})
	return nil
}

// eachText gives the texts of content, which is text or, at Mistral, a list of
// texts and thoughts.
func eachText(content gjson.Result, give func(kind, lit)) {
	if said := litOf(content); said != "" {
		give(text, said)
		return
	}
	if !content.IsArray() {
		return
	}
	for _, c := range content.Array() {
		if said := litOf(c.Get("text")); said != "" {
			give(text, said)
		}
		for _, t := range c.Get("thinking").Array() {
			if said := litOf(t.Get("text")); said != "" {
				give(thought, said)
			}
		}
	}
}

// reasoningOf returns the reasoning that some servers show, by either name.
func reasoningOf(m gjson.Result) lit {
	if l := litOf(m.Get("reasoning_content")); l != "" {
		return l
	}
	return litOf(m.Get("reasoning"))
}

func chatStop(reason string, refused bool) stop {
	switch reason {
	case "length":
		return maxTokens
	case "tool_calls", "function_call":
		return calls
	case "content_filter":
		return filtered
	}
	if refused {
		return refuses
	}
	return endTurn
}

func chatUsage(u gjson.Result) usage {
	if !u.IsObject() {
		return usage{}
	}
	in, out := u.Get("prompt_tokens_details"), u.Get("completion_tokens_details")
	n := usage{
		known: true, input: count(u.Get("prompt_tokens")), output: count(u.Get("completion_tokens")),
		cacheRead: count(in.Get("cached_tokens")), cacheWrite: count(in.Get("cache_write_tokens")), reasoning: count(out.Get("reasoning_tokens")),
	}
	if n.cacheRead == 0 {
		n.cacheRead = count(u.Get("prompt_cache_hit_tokens")) // DeepSeek's name
	}
	return n
}

// finishReasons are the words of Chat Completions.
var finishReasons = [...]string{endTurn: "stop", maxTokens: "length", stopSequence: "stop", calls: "tool_calls", refuses: "stop", filtered: "content_filter"}

func (t *Translation) writeChatAnswer(w *writer, a *answer) {
	w.open('{')
	w.setLit("id", a.id)
	w.setRaw("object", `"chat.completion"`)
	w.setInt("created", t.o.Now.Unix())
	w.setLit("model", a.model)
	w.key("choices")
	w.open('[')
	w.open('{')
	w.setInt("index", 0)
	w.key("message")
	t.writeChatSaid(w, a)
	w.setRaw("logprobs", "null")
	w.setStr("finish_reason", finishReasons[a.stop])
	w.shut('}')
	w.shut(']')
	if a.usage.known {
		w.key("usage")
		w.chatUsage(a.usage)
	}
	w.shut('}')
}

// writeChatSaid writes the message of an answer.
func (t *Translation) writeChatSaid(w *writer, a *answer) {
	var said, reasoned, refused []byte
	called, thoughts := 0, 0
	for i := range a.blocks {
		switch b := &a.blocks[i]; b.kind {
		case text:
			said = append(said, b.said...)
		case thought:
			reasoned = append(reasoned, b.said...)
			thoughts++
		case redacted:
			thoughts++
		case refusal:
			refused = append(refused, b.said...)
		case toolUse:
			called++
		case image, file, toolResult:
		}
	}
	w.message("assistant")
	if len(said) == 0 && called > 0 {
		w.setRaw("content", "null")
	} else {
		w.setLit("content", lit(said))
	}
	w.orNull("refusal", lit(refused))
	if len(reasoned) > 0 {
		w.setLit("reasoning_content", lit(reasoned))
	}
	if thoughts > 0 && t.o.Thoughts && t.upstream == Messages {
		w.key("reasoning_details")
		w.open('[')
		n := 0
		for i := range a.blocks {
			if b := &a.blocks[i]; b.kind == thought || b.kind == redacted {
				w.detail(n, b)
				n++
			}
		}
		w.shut(']')
	}
	if called > 0 {
		w.key("tool_calls")
		w.open('[')
		for i := range a.blocks {
			b := &a.blocks[i]
			if b.kind != toolUse {
				continue
			}
			w.chatCall(b.id, b.name, b.arguments())
		}
		w.shut(']')
	}
	w.shut('}')
}

func (w *writer) chatUsage(u usage) {
	w.open('{')
	w.setInt("prompt_tokens", u.input)
	w.setInt("completion_tokens", u.output)
	w.setInt("total_tokens", u.input+u.output)
	w.key("prompt_tokens_details")
	w.open('{')
	w.setInt("cached_tokens", u.cacheRead)
	w.setInt("cache_write_tokens", u.cacheWrite)
	w.shut('}')
	w.key("completion_tokens_details")
	w.open('{')
	w.setInt("reasoning_tokens", u.reasoning)
	w.shut('}')
	w.shut('}')
}
