package translate

import (
	"github.com/tidwall/gjson"
)

// readMessages reads a request of Messages.
func (r *request) readMessages(top map[string]gjson.Result) error {
	if err := r.readCommon(top); err != nil {
		return err
	}
	r.usage = r.stream // a stream always ends with it
	r.maxTokens, _ = number(top["max_tokens"])
	for _, s := range top["stop_sequences"].Array() {
		r.stop = append(r.stop, litOf(s))
	}
	if t := top["thinking"]; t.IsObject() {
		r.readThinking(t)
		r.summary = t.Get("display").Str == "summarized"
	}
	config := top["output_config"]
	r.effort = config.Get("effort").Str
	f := config.Get("format")
	if !f.IsObject() {
		f = top["output_format"]
	}
	if f.IsObject() {
		if f.Get("type").Str != "json_schema" || !f.Get("schema").IsObject() {
			return invalid("output_config.format", "it must be a json_schema")
		}
		r.format = format{schema: f.Get("schema").Raw, name: "output", strict: "true"}
	}
	for _, t := range top["tools"].Array() {
		if kind := t.Get("type").Str; kind != "" && kind != "custom" {
			return cannot("tools", r.to, "one is not a custom tool, and "+hosted)
		}
		r.addTool(tool{
			name: litOf(t.Get("name")), description: litOf(t.Get("description")), schema: t.Get("input_schema").Raw, strict: flag(t.Get("strict")),
		})
	}
	if err := r.readMessagesChoice(top["tool_choice"]); err != nil {
		return err
	}
	if err := r.readSystem(top["system"]); err != nil {
		return err
	}
	messages := top["messages"]
	if !messages.IsArray() {
		return invalid("messages", "a list is required")
	}
	for _, m := range messages.Array() {
		if err := r.readMessagesTurn(m); err != nil {
			return err
		}
	}
	return nil
}

func (r *request) readMessagesChoice(c gjson.Result) error {
	switch c.Get("type").Str {
	case "":
		return nil
	case "auto":
		r.choice.mode = auto
	case "none":
		r.choice.mode = none
	case "any":
		r.choice.mode = anyTool
	case "tool":
		r.choice = choice{mode: oneTool, name: litOf(c.Get("name"))}
	default:
		return invalid("tool_choice.type", "it must be auto, any, none or tool")
	}
	if c.Get("disable_parallel_tool_use").Bool() {
		r.parallel = "false"
	}
	return nil
}

func (r *request) readSystem(s gjson.Result) error {
	parts, err := r.readBlocks("system", s)
	if err != nil {
		return err
	}
	for _, p := range parts {
		if p.kind != text {
			return invalid("system", "it must be text")
		}
	}
	if len(parts) > 0 {
		r.say(system, parts...)
	}
	return nil
}

func (r *request) readMessagesTurn(m gjson.Result) error {
	parts, err := r.readBlocks("messages.content", m.Get("content"))
	if err != nil {
		return err
	}
	switch m.Get("role").Str {
	case "user":
		r.say(user, parts...)
	case "assistant":
		r.say(assistant, parts...)
	case "system":
		r.say(system, parts...)
	default:
		return invalid("messages.role", "it must be user, assistant or system")
	}
	return nil
}

// readBlocks reads text or a list of blocks.
func (r *request) readBlocks(member string, c gjson.Result) ([]part, error) {
	return readParts(member, "blocks", c, func(b gjson.Result) ([]part, error) { return r.readBlock(member, b) })
}

// readBlock reads one block; a document that is a list of blocks is all of them.
func (r *request) readBlock(member string, b gjson.Result) ([]part, error) {
	p := part{}
	var err error
	switch b.Get("type").Str {
	case "text":
		p.kind, p.text = text, litOf(b.Get("text"))
	case "image":
		p.kind = image
		p.source, err = r.readSource(member, b.Get("source"))
	case "document":
		return r.readDocument(member, b)
	case "thinking":
		p.kind, p.text, p.signature = thought, litOf(b.Get("thinking")), litOf(b.Get("signature"))
	case "redacted_thinking":
		p.kind, p.text = redacted, litOf(b.Get("data"))
	case "tool_use":
		p.kind, p.id, p.name, p.object = toolUse, ownID(litOf(b.Get("id"))), litOf(b.Get("name")), b.Get("input").Raw
		if !b.Get("input").IsObject() {
			err = invalid(member, "the input of a tool_use must be an object")
		}
	case "tool_result":
		p.kind, p.id, p.failed = toolResult, ownID(litOf(b.Get("tool_use_id"))), b.Get("is_error").Bool()
		p.parts, err = r.readBlocks(member, b.Get("content"))
	default:
		err = cannot(member, r.to, "a block is of a type that it does not have")
	}
	if err != nil {
		return nil, err
	}
	return []part{p}, nil
}

func (r *request) readSource(member string, s gjson.Result) (source, error) {
	switch s.Get("type").Str {
	case "base64":
		return source{mediaType: s.Get("media_type").Str, data: litOf(s.Get("data"))}, nil
	case "url":
		return source{url: litOf(s.Get("url"))}, nil
	case "text":
		return source{mediaType: "text/plain", data: litOf(s.Get("data")), plain: true}, nil
	case "file":
		return source{}, cannot(member, r.to, "a file_id refers to what another server has stored")
	}
	return source{}, cannot(member, r.to, "a source is of a type that is not known here")
}

func (r *request) readDocument(member string, b gjson.Result) ([]part, error) {
	if b.Get("citations.enabled").Bool() {
		return nil, cannot(member, r.to, "there are no citations")
	}
	if s := b.Get("source"); s.Get("type").Str == "content" {
		return r.readBlocks(member, s.Get("content"))
	}
	s, err := r.readSource(member, b.Get("source"))
	if err != nil {
		return nil, err
	}
	s.name = litOf(b.Get("title"))
	parts := []part{{kind: file, source: s}}
	if c := litOf(b.Get("context")); c != "" {
		parts = append([]part{{kind: text, text: c}}, parts...)
	}
	return parts, nil
}
