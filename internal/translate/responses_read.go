package translate

import (
	"github.com/tidwall/gjson"
)

// readResponses reads a request of Responses.
func (r *request) readResponses(top map[string]gjson.Result) error {
	if err := r.readCommon(top); err != nil {
		return err
	}
	r.usage = r.stream // a stream always ends with it
	r.maxTokens, _ = number(top["max_output_tokens"])
	reasoning := top["reasoning"]
	r.effort = reasoning.Get("effort").Str
	r.summary = reasoning.Get("summary").Type == gjson.String
	for _, v := range top["include"].Array() {
		switch v.Str {
		case "reasoning.encrypted_content":
			r.sealed = true
		case "message.output_text.logprobs":
			return cannot("include", r.to, odds)
		}
	}
	if err := r.readFormat("text.format", top["text"].Get("format"), ""); err != nil {
		return err
	}
	for _, t := range top["tools"].Array() {
		if err := r.readResponsesTool("", t); err != nil {
			return err
		}
	}
	if err := r.readResponsesChoice(top["tool_choice"]); err != nil {
		return err
	}
	if l := litOf(top["instructions"]); l != "" {
		r.say(system, part{kind: text, text: l})
	}
	switch input := top["input"]; {
	case input.Type == gjson.String:
		r.say(user, part{kind: text, text: litOf(input)})
	case input.IsArray():
		for _, v := range input.Array() {
			if err := r.readItem(v); err != nil {
				return err
			}
		}
	default:
		return invalid("input", "text or a list is required")
	}
	return nil
}

// readResponsesTool reads a tool, which may be in a namespace or be one.
func (r *request) readResponsesTool(namespace lit, t gjson.Result) error {
	switch kind := t.Get("type").Str; kind {
	case "function":
		f := tool{
			name:        r.names.note(clientTool{namespace: namespace, name: litOf(t.Get("name"))}),
			description: litOf(t.Get("description")), schema: t.Get("parameters").Raw, strict: flag(t.Get("strict")),
		}
		r.addTool(f)
		return nil
	case "custom":
		r.addTool(r.names.custom(namespace, t))
		return nil
	case "namespace":
		for _, in := range t.Get("tools").Array() {
			if err := r.readResponsesTool(litOf(t.Get("name")), in); err != nil {
				return err
			}
		}
		return nil
	default:
		return cannot("The tool "+printable(kind), r.to, hosted)
	}
}

func (r *request) readResponsesChoice(c gjson.Result) error {
	if c.Type == gjson.String {
		return r.readMode("tool_choice", c.Str)
	}
	switch c.Get("type").Str {
	case "":
	case "function", "custom":
		r.choice = choice{mode: oneTool, name: flatOf(c)}
	case "allowed_tools":
		var allowed []lit
		for _, t := range c.Get("tools").Array() {
			allowed = append(allowed, flatOf(t))
		}
		return r.allow(allowed, c.Get("mode").Str)
	default:
		return cannot("tool_choice", r.to, hosted)
	}
	return nil
}

// flatOf returns the name of a tool that is named with its namespace.
func flatOf(v gjson.Result) lit { return flat(litOf(v.Get("namespace")), litOf(v.Get("name"))) }

func (r *request) readItem(v gjson.Result) error {
	switch v.Get("type").Str {
	case "message", "":
		return r.readResponsesMessage(v)
	case "function_call":
		r.say(assistant, part{kind: toolUse, id: litOf(v.Get("call_id")), name: flatOf(v), arguments: litOf(v.Get("arguments"))})
	case "custom_tool_call":
		r.say(assistant, part{kind: toolUse, id: litOf(v.Get("call_id")), name: flatOf(v), object: wrapInput(litOf(v.Get("input")))})
	case "function_call_output", "custom_tool_call_output":
		parts, err := r.readResponsesContent("input.output", v.Get("output"))
		if err != nil {
			return err
		}
		r.say(user, part{kind: toolResult, id: litOf(v.Get("call_id")), parts: parts})
	case "reasoning":
		r.readReasoningItem(v)
	case "item_reference":
		return cannot("input", r.to, "an item_reference refers to what another server has stored")
	default:
		return cannot("input", r.to, "an item is of a type that it does not have")
	}
	return nil
}

// readReasoningItem reads a thought: one of Claude's, or one that its model left
// open. What only OpenAI could read is left out.
func (r *request) readReasoningItem(v gjson.Result) {
	if sealed := litOf(v.Get("encrypted_content")); sealed != "" {
		if p, ok := unseal(sealed); ok {
			r.say(assistant, p)
		}
		return
	}
	for _, s := range v.Get("summary").Array() {
		if said := litOf(s.Get("text")); said != "" {
			r.say(assistant, part{kind: thought, text: said})
		}
	}
}

func (r *request) readResponsesMessage(v gjson.Result) error {
	parts, err := r.readResponsesContent("input.content", v.Get("content"))
	if err != nil {
		return err
	}
	switch v.Get("role").Str {
	case "user":
		r.say(user, parts...)
	case "assistant":
		r.say(assistant, parts...)
	case "system", "developer":
		r.say(system, parts...)
	default:
		return invalid("input.role", "it must be user, assistant, system or developer")
	}
	return nil
}

func (r *request) readResponsesContent(member string, c gjson.Result) ([]part, error) {
	return readParts(member, "parts", c, func(v gjson.Result) ([]part, error) {
		var p part
		var err error
		switch v.Get("type").Str {
		case "input_text", "output_text", "text":
			p.kind, p.text = text, litOf(v.Get("text"))
		case "refusal":
			p.kind, p.text = refusal, litOf(v.Get("refusal"))
		case "input_image":
			p.kind = image
			if litOf(v.Get("file_id")) != "" {
				return nil, cannot(member, r.to, "a file_id refers to what another server has stored")
			}
			p.source, err = newSource(litOf(v.Get("image_url")), member)
		case "input_file":
			p.kind = file
			p.source, err = r.readFile(member, v)
		default:
			err = cannot(member, r.to, "a part is of a type that it does not have")
		}
		return []part{p}, err
	})
}
