package translate

import (
	"github.com/tidwall/gjson"
)

// readChat reads a request of Chat Completions.
func (r *request) readChat(top map[string]gjson.Result) error {
	if err := r.readCommon(top); err != nil {
		return err
	}
	r.maxTokens, _ = number(top["max_completion_tokens"])
	if r.maxTokens == "" {
		r.maxTokens, _ = number(top["max_tokens"])
	}
	r.topK, _ = number(top["top_k"])
	r.cache = top["cache_control"].Raw
	r.usage = top["stream_options"].Get("include_usage").Bool()
	r.effort = top["reasoning_effort"].Str
	switch stop := top["stop"]; {
	case stop.Type == gjson.String:
		r.stop = []lit{litOf(stop)}
	case stop.IsArray():
		for _, s := range stop.Array() {
			r.stop = append(r.stop, litOf(s))
		}
	}
	if t := top["thinking"]; t.IsObject() {
		r.readThinking(t)
	}
	if err := r.readFormat("response_format", top["response_format"], "json_schema"); err != nil {
		return err
	}
	for _, t := range top["tools"].Array() {
		if err := r.readChatTool(t); err != nil {
			return err
		}
	}
	if err := r.readChatChoice(top["tool_choice"]); err != nil {
		return err
	}
	messages := top["messages"]
	if !messages.IsArray() {
		return invalid("messages", "a list is required")
	}
	for _, m := range messages.Array() {
		if err := r.readChatMessage(m); err != nil {
			return err
		}
	}
	return nil
}

// readCommon reads what all APIs call the same.
func (r *request) readCommon(top map[string]gjson.Result) error {
	r.temperature, _ = number(top["temperature"])
	r.topP, _ = number(top["top_p"])
	r.stream = top["stream"].Bool()
	if p := top["parallel_tool_calls"]; p.IsBool() {
		r.parallel = p.Raw
	}
	if m := top["model"]; m.Type != gjson.String {
		return invalid("model", "a name is required")
	}
	return nil
}

// readFormat reads the form that the answer is to have; the schema and what is said
// of it are in f or, if within names one, in a member of it.
func (r *request) readFormat(member string, f gjson.Result, within string) error {
	schema, in := f, member
	if within != "" {
		schema, in = f.Get(within), member+"."+within
	}
	switch f.Get("type").Str {
	case "", "text":
	case "json_schema":
		if !schema.Get("schema").IsObject() {
			return invalid(in, "it needs a schema")
		}
		r.format = format{
			schema: schema.Get("schema").Raw, name: litOf(schema.Get("name")), description: litOf(schema.Get("description")), strict: flag(schema.Get("strict")),
		}
	case "json_object":
		return cannot(member, r.to, "an answer is held to a schema or to nothing: use json_schema")
	default:
		return cannot(member, r.to, "its type is not known here")
	}
	return nil
}

// flag returns a truth value as it was written, or nothing.
func flag(v gjson.Result) string {
	if v.IsBool() {
		return v.Raw
	}
	return ""
}

func (r *request) readChatTool(t gjson.Result) error {
	if t.Get("type").Str != "function" {
		return cannot("tools", r.to, "one is not a function")
	}
	f := t.Get("function")
	r.addTool(tool{
		name: litOf(f.Get("name")), description: litOf(f.Get("description")), schema: f.Get("parameters").Raw, strict: flag(f.Get("strict")),
		cache: cacheOf(t, f),
	})
	return nil
}

// cacheOf returns the cache_control of the first that has one.
func cacheOf(of ...gjson.Result) string {
	for _, v := range of {
		if c := v.Get("cache_control"); c.IsObject() {
			return c.Raw
		}
	}
	return ""
}

func (r *request) addTool(t tool) {
	if !gjson.Get(t.schema, "type").Exists() {
		t.schema = emptySchema
	}
	r.tools = append(r.tools, t)
}

func (r *request) readChatChoice(c gjson.Result) error {
	if c.Type == gjson.String {
		return r.readMode("tool_choice", c.Str)
	}
	switch c.Get("type").Str {
	case "":
	case "function":
		r.choice = choice{mode: oneTool, name: litOf(c.Get("function.name"))}
	case "allowed_tools":
		a := c.Get("allowed_tools")
		var allowed []lit
		for _, t := range a.Get("tools").Array() {
			allowed = append(allowed, litOf(t.Get("function.name")))
		}
		return r.allow(allowed, a.Get("mode").Str)
	default:
		return cannot("tool_choice", r.to, "its type is not known here")
	}
	return nil
}

func (r *request) readMode(member, mode string) error {
	switch mode {
	case "auto":
		r.choice.mode = auto
	case "none":
		r.choice.mode = none
	case "required":
		r.choice.mode = anyTool
	default:
		return invalid(member, "it must be auto, none, required or a tool")
	}
	return nil
}

// allow leaves the tools that may be called.
func (r *request) allow(names []lit, mode string) error {
	kept := r.tools[:0]
	for _, t := range r.tools {
		for _, n := range names {
			if n != "" && n == t.name {
				kept = append(kept, t)
				break
			}
		}
	}
	r.tools = kept
	return r.readMode("tool_choice.mode", mode)
}

func (r *request) readChatMessage(m gjson.Result) error {
	switch m.Get("role").Str {
	case "system", "developer":
		parts, err := r.readChatContent("messages.content", m.Get("content"), cacheOf(m))
		if err == nil {
			r.say(system, parts...)
		}
		return err
	case "user":
		parts, err := r.readChatContent("messages.content", m.Get("content"), cacheOf(m))
		if err == nil {
			r.say(user, parts...)
		}
		return err
	case "assistant":
		return r.readChatAssistant(m)
	case "tool":
		parts, err := r.readChatContent("messages.content", m.Get("content"), "")
		if err == nil {
			r.say(user, part{kind: toolResult, id: litOf(m.Get("tool_call_id")), parts: parts, cache: cacheOf(m)})
		}
		return err
	case "function":
		return cannot("messages.role", r.to, "function is out of date: use tool")
	}
	return invalid("messages.role", "it must be system, developer, user, assistant or tool")
}

func (r *request) readChatAssistant(m gjson.Result) error {
	for _, out := range []string{"audio", "function_call"} {
		if v := m.Get(out); v.IsObject() {
			return cannot("messages."+out, r.to, "it is not known there")
		}
	}
	parts := readReasoningDetails(m.Get("reasoning_details"))
	said, err := r.readChatContent("messages.content", m.Get("content"), cacheOf(m))
	if err != nil {
		return err
	}
	parts = append(parts, said...)
	if l := litOf(m.Get("refusal")); l != "" {
		parts = append(parts, part{kind: refusal, text: l})
	}
	for _, c := range m.Get("tool_calls").Array() {
		f := c.Get("function")
		if !f.IsObject() {
			return cannot("messages.tool_calls", r.to, "one does not call a function")
		}
		parts = append(parts, part{kind: toolUse, id: litOf(c.Get("id")), name: litOf(f.Get("name")), arguments: litOf(f.Get("arguments"))})
	}
	r.say(assistant, parts...)
	return nil
}

// readChatContent reads text or a list of parts.
func (r *request) readChatContent(member string, c gjson.Result, cache string) ([]part, error) {
	parts, err := readParts(member, "parts", c, func(v gjson.Result) ([]part, error) {
		p := part{cache: cacheOf(v)}
		var err error
		switch v.Get("type").Str {
		case "text":
			p.kind, p.text = text, litOf(v.Get("text"))
		case "refusal":
			p.kind, p.text = refusal, litOf(v.Get("refusal"))
		case "image_url":
			p.kind = image
			p.source, err = newSource(litOf(v.Get("image_url.url")), member)
		case "file":
			p.kind = file
			p.source, err = r.readFile(member, v.Get("file"))
		case "input_audio":
			err = cannot(member, r.to, "there is no audio")
		default:
			err = cannot(member, r.to, "a part is of a type that is not known here")
		}
		return []part{p}, err
	})
	if err != nil {
		return nil, err
	}
	if n := len(parts); n > 0 && parts[n-1].cache == "" {
		parts[n-1].cache = cache
	}
	return parts, nil
}

// readFile reads a file as Chat Completions and Responses have it.
func (r *request) readFile(member string, f gjson.Result) (source, error) {
	if litOf(f.Get("file_id")) != "" {
		return source{}, cannot(member, r.to, "a file_id refers to what another server has stored")
	}
	data := f.Get("file_data")
	if u := f.Get("file_url"); u.Type == gjson.String {
		data = u
	}
	s, err := newSource(litOf(data), member)
	s.name = litOf(f.Get("filename"))
	return s, err
}
