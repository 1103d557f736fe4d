package translate

import "strconv"

// minOutput is the least that Responses takes for a limit. Agents ask for one token
// to see whether they are let in.
const minOutput = 16

// writeResponses writes a request of Responses. Nothing of it is to be stored.
func (r *request) writeResponses(w *writer) {
	w.open('{')
	w.setStr("model", r.o.Model)
	w.key("input")
	w.open('[')
	for _, t := range r.turns {
		w.items(t)
	}
	w.shut(']')
	w.setRaw("store", "false")
	reasons := !unreasoning(r.o.Model)
	if r.o.Thoughts && r.from == Messages && reasons {
		w.setRaw("include", `["reasoning.encrypted_content"]`)
	}
	if r.maxTokens != "" {
		limit := r.maxTokens
		if n, err := strconv.ParseInt(limit, 10, 64); err == nil && n > 0 && n < minOutput {
			limit = strconv.Itoa(minOutput)
		}
		w.setRaw("max_output_tokens", limit)
	}
	if r.temperature != "" {
		w.setRaw("temperature", r.temperature)
	}
	if r.topP != "" {
		w.setRaw("top_p", r.topP)
	}
	if r.stream {
		w.setRaw("stream", "true")
	}
	r.writeResponsesTools(w)
	if r.format.schema != "" {
		w.key("text")
		w.open('{')
		w.key("format")
		w.open('{')
		w.setRaw("type", `"json_schema"`)
		w.schema(r.format)
		w.b = append(w.b, "}}"...)
	}
	if e := r.effortOf(); reasons && (e != "" || r.summary) {
		w.key("reasoning")
		w.open('{')
		if e != "" {
			w.setStr("effort", e)
		}
		if r.summary { // which OpenAI has for those who proved who they are
			w.setRaw("summary", `"auto"`)
		}
		w.shut('}')
	}
	w.shut('}')
}

// items writes a turn as items: calls and their results are items of their own.
func (w *writer) items(t turn) {
	who := [...]string{user: "user", assistant: "assistant", system: "system"}[t.role]
	var said []part
	flush := func() {
		if len(said) == 0 {
			return
		}
		parts := said
		said = nil
		w.open('{')
		w.setRaw("type", `"message"`)
		w.setStr("role", who)
		w.key("content")
		w.open('[')
		for i := range parts {
			w.input(&parts[i], t.role)
		}
		w.b = append(w.b, "]}"...)
	}
	for _, p := range t.parts {
		switch p.kind {
		case thought:
			if sealed, ok := p.openAIs(); ok {
				flush()
				w.reasoning(p.text, sealed)
			}
		case redacted: // Claude's
		case toolUse, toolResult:
			flush()
			w.call(&p)
		default:
			said = append(said, p)
		}
	}
	flush()
}

// reasoning gives a model of OpenAI a thought of its own back.
func (w *writer) reasoning(said, sealed lit) {
	w.open('{')
	w.setRaw("type", `"reasoning"`)
	w.key("summary")
	w.open('[')
	if said != "" {
		w.summary(said)
	}
	w.shut(']')
	w.setLit("encrypted_content", sealed)
	w.shut('}')
}

// call writes a call or its result.
func (w *writer) call(p *part) {
	w.open('{')
	if p.kind == toolUse {
		w.setRaw("type", `"function_call"`)
		w.setLit("call_id", p.id)
		w.setLit("name", p.name)
		w.setLit("arguments", p.asText())
		w.shut('}')
		return
	}
	w.setRaw("type", `"function_call_output"`)
	w.setLit("call_id", p.id)
	w.key("output")
	parts := p.parts
	if p.failed {
		parts = append([]part{{kind: text, text: lit(failedMark)}}, parts...)
	}
	w.open('[')
	for i := range parts {
		w.input(&parts[i], user)
	}
	w.b = append(w.b, "]}"...)
}

// input writes a part of what somebody says.
func (w *writer) input(p *part, who role) {
	w.open('{')
	switch {
	case who == assistant:
		w.setRaw("type", `"output_text"`)
		w.setLit("text", p.words())
	case p.kind == image:
		w.setRaw("type", `"input_image"`)
		w.setRaw("detail", `"auto"`)
		w.key("image_url")
		w.url(p.source)
	case p.kind == file && p.source.url != "":
		w.setRaw("type", `"input_file"`)
		w.setLit("file_url", p.source.url)
	case p.kind == file && !p.source.plain:
		w.setRaw("type", `"input_file"`)
		w.setLit("filename", p.source.fileName())
		w.key("file_data")
		w.dataURL(p.source)
	default:
		w.setRaw("type", `"input_text"`)
		w.setLit("text", p.words())
	}
	w.shut('}')
}

func (r *request) writeResponsesTools(w *writer) {
	if len(r.tools) == 0 {
		return
	}
	w.key("tools")
	w.open('[')
	for _, t := range r.tools {
		w.open('{')
		w.setRaw("type", `"function"`)
		if t.strict == "" { // which is not what it means to leave it out
			t.strict = "false"
		}
		w.function(t)
		w.shut('}')
	}
	w.shut(']')
	switch r.choice.mode {
	case unset:
	case oneTool:
		w.key("tool_choice")
		w.open('{')
		w.setRaw("type", `"function"`)
		w.setLit("name", r.choice.name)
		w.shut('}')
	default:
		w.setStr("tool_choice", modes[r.choice.mode])
	}
	if r.parallel != "" {
		w.setRaw("parallel_tool_calls", r.parallel)
	}
}
