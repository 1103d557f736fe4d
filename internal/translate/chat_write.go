package translate

import (
	"strings"

	"github.com/tidwall/gjson"
)

// writeChat writes a request of Chat Completions.
func (r *request) writeChat(w *writer) error {
	w.open('{')
	w.setStr("model", r.o.Model)
	w.key("messages")
	w.open('[')
	if !r.newer() {
		r.systemFirst()
	}
	for _, t := range r.turns {
		if err := r.writeChatTurn(w, t); err != nil {
			return err
		}
	}
	w.shut(']')
	if r.maxTokens != "" {
		name := "max_tokens"
		if r.newer() {
			name = "max_completion_tokens"
		}
		w.setRaw(name, r.maxTokens)
	}
	if r.temperature != "" {
		w.setRaw("temperature", r.temperature)
	}
	if r.topP != "" {
		w.setRaw("top_p", r.topP)
	}
	if len(r.stop) > 0 {
		w.key("stop")
		w.open('[')
		for _, s := range r.stop {
			w.lit(s)
		}
		w.shut(']')
	}
	if r.stream {
		w.setRaw("stream", "true")
		w.setRaw("stream_options", `{"include_usage":true}`)
	}
	r.writeChatTools(w)
	if r.format.schema != "" {
		r.writeChatFormat(w)
	}
	if e := r.effortOf(); e != "" && !unreasoning(r.o.Model) {
		w.setStr("reasoning_effort", e)
	}
	w.shut('}')
	return nil
}

// newer reports whether the upstream is OpenAI, or one that goes with the times.
func (r *request) newer() bool { return r.o.MaxCompletionTokens || ofOpenAI(r.o.Model) }

// systemFirst has all that the system says go before all else: the templates of
// many models have no other place for it.
func (r *request) systemFirst() {
	first := turn{role: system}
	var rest []turn
	for _, t := range r.turns {
		switch n := len(rest); {
		case t.role == system:
			first.parts = append(first.parts, t.parts...)
		case n > 0 && rest[n-1].role == t.role: // and for alternation
			rest[n-1].parts = append(rest[n-1].parts, t.parts...)
		default:
			rest = append(rest, t)
		}
	}
	r.turns = append([]turn{first}, rest...)
}

// ofOpenAI reports whether a model is one of OpenAI's, by its name.
func ofOpenAI(model string) bool {
	model = model[strings.LastIndexByte(model, '/')+1:]
	if strings.HasPrefix(model, "gpt-oss") { // which others serve
		return false
	}
	for _, p := range []string{"gpt-", "chatgpt-", "codex-", "o1", "o3", "o4"} {
		if strings.HasPrefix(model, p) {
			return true
		}
	}
	return false
}

// unreasoning reports whether a model is one of OpenAI's that refuse to be told
// how much to reason.
func unreasoning(model string) bool {
	model = model[strings.LastIndexByte(model, '/')+1:]
	for _, p := range []string{"gpt-3", "gpt-4", "chatgpt-"} {
		if strings.HasPrefix(model, p) {
			return true
		}
	}
	return false
}

func (r *request) writeChatTurn(w *writer, t turn) error {
	switch t.role {
	case system:
		if said := joined(t.parts, `\n\n`); said != "" {
			w.message("system")
			w.setLit("content", said)
			w.shut('}')
		}
		return nil
	case assistant:
		w.chatAssistant(t.parts, !r.newer())
		return nil
	}
	// Results come right after the calls; what they have that is not text comes
	// after all of them.
	var after []part
	for i := range t.parts {
		if p := &t.parts[i]; p.kind == toolResult {
			after = append(after, w.chatResult(p)...)
		}
	}
	for _, p := range t.parts {
		if p.kind != toolResult && !(p.kind == text && p.text == "") {
			after = append(after, p)
		}
	}
	if len(after) == 0 {
		return nil
	}
	w.message("user")
	w.key("content")
	if len(after) == 1 && after[0].kind == text {
		w.lit(after[0].text)
		w.shut('}')
		return nil
	}
	w.open('[')
	for i := range after {
		if err := w.chatPart(&after[i]); err != nil {
			return err
		}
	}
	w.shut(']')
	w.shut('}')
	return nil
}

// message begins a message.
func (w *writer) message(who string) {
	w.open('{')
	w.setStr("role", who)
}

// chatAssistant writes what the model said. Its thoughts are given back where
// they may be from: OpenAI has no place for them, and others demand them.
func (w *writer) chatAssistant(parts []part, thoughts bool) {
	said := joined(parts, "")
	var refused, reasoned lit
	calls := 0
	for i := range parts {
		switch parts[i].kind {
		case thought:
			if parts[i].signature == "" && thoughts {
				reasoned += parts[i].text
			}
		case refusal:
			refused += parts[i].text
		case toolUse:
			calls++
		}
	}
	if said == "" && refused == "" && calls == 0 {
		return
	}
	w.message("assistant")
	if refused != "" {
		w.setLit("refusal", refused)
	}
	w.orNull("content", said)
	if reasoned != "" {
		w.setLit("reasoning_content", reasoned)
	}
	if calls > 0 {
		w.key("tool_calls")
		w.open('[')
		for i := range parts {
			p := &parts[i]
			if p.kind != toolUse {
				continue
			}
			w.chatCall(p.id, p.name, p.asText())
		}
		w.shut(']')
	}
	w.shut('}')
}

// chatCall writes a call of a tool.
func (w *writer) chatCall(id, name, arguments lit) {
	w.open('{')
	w.setLit("id", id)
	w.setRaw("type", `"function"`)
	w.key("function")
	w.open('{')
	w.setLit("name", name)
	w.setLit("arguments", arguments)
	w.shut('}')
	w.shut('}')
}

// failedMark begins the result of a tool that failed: there is no flag for it.
const failedMark = "Error: "

// chatResult writes the result of a tool as text, and returns what else there
// is in it, with a word on where it is from.
func (w *writer) chatResult(p *part) []part {
	said := joined(p.parts, `\n`)
	if p.failed {
		said = failedMark + said
	}
	var rest []part
	for _, in := range p.parts {
		if in.kind == image || in.kind == file {
			rest = append(rest, in)
		}
	}
	if len(rest) > 0 {
		if said == "" {
			said = "The result is in the next message."
		}
		rest = append([]part{{kind: text, text: "From the result of the tool call " + p.id + ":"}}, rest...)
	}
	w.message("tool")
	w.setLit("tool_call_id", p.id)
	w.setLit("content", said)
	w.shut('}')
	return rest
}

// chatPart writes a part of what the user says.
func (w *writer) chatPart(p *part) error {
	if p.kind == file && p.source.url != "" {
		return cannot("A document", Chat, "a file has no URL there")
	}
	w.open('{')
	switch {
	case p.kind == image:
		w.setRaw("type", `"image_url"`)
		w.key("image_url")
		w.open('{')
		w.key("url")
		w.url(p.source)
		w.shut('}')
	case p.kind == file && !p.source.plain:
		w.setRaw("type", `"file"`)
		w.key("file")
		w.open('{')
		w.setLit("filename", p.source.fileName())
		w.key("file_data")
		w.dataURL(p.source)
		w.shut('}')
	default:
		w.setRaw("type", `"text"`)
		w.setLit("text", p.words())
	}
	w.shut('}')
	return nil
}

// url writes where a source is.
func (w *writer) url(s source) {
	if s.url != "" {
		w.lit(s.url)
		return
	}
	w.dataURL(s)
}

// fileName returns a name for a file, which OpenAI wants.
func (s *source) fileName() lit {
	switch {
	case s.name == "":
		return "document.pdf"
	case s.mediaType == pdf && !strings.HasSuffix(string(s.name), ".pdf"):
		return s.name + ".pdf"
	}
	return s.name
}

// words returns the text of a part, or of a file that is text.
func (p *part) words() lit {
	if p.kind != file {
		return p.text
	}
	if p.source.name == "" {
		return p.source.data
	}
	return p.source.name + `:\n` + p.source.data
}

func (r *request) writeChatTools(w *writer) {
	if len(r.tools) == 0 {
		return
	}
	w.key("tools")
	w.open('[')
	for _, t := range r.tools {
		w.open('{')
		w.setRaw("type", `"function"`)
		w.key("function")
		w.open('{')
		w.function(t)
		w.shut('}')
		w.shut('}')
	}
	w.shut(']')
	switch r.choice.mode {
	case unset:
	case oneTool:
		w.key("tool_choice")
		w.open('{')
		w.setRaw("type", `"function"`)
		w.key("function")
		w.open('{')
		w.setLit("name", r.choice.name)
		w.shut('}')
		w.shut('}')
	default:
		w.setStr("tool_choice", modes[r.choice.mode])
	}
	if r.parallel != "" {
		w.setRaw("parallel_tool_calls", r.parallel)
	}
}

// modes are the words of OpenAI.
var modes = [...]string{auto: "auto", none: "none", anyTool: "required"}

// withProperties returns the schema of an object with properties, without which
// OpenAI refuses it.
func withProperties(schema string) string {
	v := gjson.Parse(schema)
	if v.Get("type").Str != "object" || v.Get("properties").Exists() {
		return schema
	}
	return strings.TrimRight(schema[:len(schema)-1], " \t\r\n") + `,"properties":{}}`
}

// function writes the members of a tool, which OpenAI's APIs agree on.
func (w *writer) function(t tool) {
	w.setLit("name", t.name)
	if t.description != "" {
		w.setLit("description", t.description)
	}
	w.setRaw("parameters", withProperties(t.schema))
	if t.strict != "" {
		w.setRaw("strict", t.strict)
	}
}

func (r *request) writeChatFormat(w *writer) {
	w.key("response_format")
	w.open('{')
	w.setRaw("type", `"json_schema"`)
	w.key("json_schema")
	w.open('{')
	w.schema(r.format)
	w.shut('}')
	w.shut('}')
}

// schema writes the members of a format, which OpenAI's APIs agree on.
func (w *writer) schema(f format) {
	name := f.name
	if name == "" {
		name = "output"
	}
	w.setLit("name", name)
	if f.description != "" {
		w.setLit("description", f.description)
	}
	if f.strict != "" {
		w.setRaw("strict", f.strict)
	}
	w.setRaw("schema", f.schema)
}
