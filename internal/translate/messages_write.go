package translate

import (
	"slices"
	"strconv"
	"strings"
)

// DefaultMaxTokens is where Messages is told to stop when the client did not
// say, which it has to be: no more than the model can, if that is known.
func DefaultMaxTokens(model string) int64 {
	switch {
	case strings.Contains(model, "claude-3-7"):
	case strings.Contains(model, "claude-3-5"):
		return 8192
	case strings.Contains(model, "claude-3-"):
		return 4096
	}
	return 32000
}

// writeMessages writes a request of Messages.
func (r *request) writeMessages(w *writer) error {
	w.open('{')
	w.setStr("model", r.o.Model)
	limit := r.limit()
	w.setRaw("max_tokens", limit)
	turns, instructions := r.alternate()
	if len(turns) == 0 {
		return cannot("messages", Messages, "it needs one of the user")
	}
	if len(instructions) > 0 {
		w.key("system")
		w.open('[')
		for i := range instructions {
			w.textBlock(&instructions[i])
		}
		w.shut(']')
	}
	w.key("messages")
	w.open('[')
	for _, t := range turns {
		w.open('{')
		if t.role == assistant {
			w.setRaw("role", `"assistant"`)
		} else {
			w.setRaw("role", `"user"`)
		}
		w.key("content")
		w.open('[')
		for i := range t.parts {
			if err := w.block(&t.parts[i]); err != nil {
				return err
			}
		}
		w.shut(']')
		w.shut('}')
	}
	w.shut(']')
	r.writeMessagesTools(w)
	if len(r.stop) > 0 {
		w.key("stop_sequences")
		w.open('[')
		for _, s := range r.stop {
			w.lit(s)
		}
		w.shut(']')
	}
	if r.temperature != "" {
		w.setRaw("temperature", clamp(r.temperature))
	}
	if r.topP != "" {
		w.setRaw("top_p", r.topP)
	}
	if r.topK != "" {
		w.setRaw("top_k", r.topK)
	}
	r.writeThinking(w, turns, limit)
	if r.cache != "" {
		w.setRaw("cache_control", r.cache)
	}
	if r.stream {
		w.setRaw("stream", "true")
	}
	w.shut('}')
	return nil
}

func (r *request) limit() string {
	switch {
	case r.maxTokens != "":
		return r.maxTokens
	case r.o.MaxTokens > 0:
		return strconv.FormatInt(r.o.MaxTokens, 10)
	}
	return strconv.FormatInt(DefaultMaxTokens(r.o.Model), 10)
}

// clamp keeps a temperature in the range of Messages, as Anthropic does for
// clients of OpenAI's API: theirs goes up to 2.
func clamp(temperature string) string {
	if f, err := strconv.ParseFloat(temperature, 64); err == nil && f > 1 {
		return "1"
	}
	return temperature
}

// alternate returns the turns as Messages wants them: user and assistant by
// turns, none empty, results of tools before all else; and what the system says,
// which goes before all of them.
func (r *request) alternate() (turns []turn, instructions []part) {
	for _, t := range r.turns {
		parts := make([]part, 0, len(t.parts))
		for _, p := range t.parts {
			switch {
			case (p.kind == text || p.kind == refusal) && p.text.blank(): // which it refuses
			case p.kind == thought && !p.claudes(): // another model's
			default:
				parts = append(parts, p)
			}
		}
		switch n := len(turns); {
		case len(parts) == 0:
		case t.role == system:
			instructions = append(instructions, parts...)
		case n > 0 && turns[n-1].role == t.role:
			turns[n-1].parts = append(turns[n-1].parts, parts...)
		default:
			turns = append(turns, turn{role: t.role, parts: parts})
		}
	}
	for _, t := range turns {
		slices.SortStableFunc(t.parts, func(a, b part) int { return a.late() - b.late() })
	}
	return turns, instructions
}

// late is what parts of a turn are ordered by.
func (p *part) late() int {
	if p.kind == toolResult {
		return 0
	}
	return 1
}

// textBlock writes a part as text.
func (w *writer) textBlock(p *part) {
	w.open('{')
	w.setRaw("type", `"text"`)
	w.setLit("text", p.text)
	w.cache(p)
	w.shut('}')
}

func (w *writer) cache(p *part) {
	if p.cache != "" {
		w.setRaw("cache_control", p.cache)
	}
}

// block writes a part as a block of content.
func (w *writer) block(p *part) error {
	switch p.kind {
	case text, refusal:
		w.textBlock(p)
		return nil
	case file:
		if !p.source.plain && p.source.url == "" && p.source.mediaType != pdf {
			return cannot("A file", Messages, "it is neither PDF nor text")
		}
	}
	w.open('{')
	switch p.kind {
	case image:
		w.setRaw("type", `"image"`)
		w.source(p.source)
	case file:
		w.setRaw("type", `"document"`)
		w.source(p.source)
		if p.source.name != "" {
			w.setLit("title", p.source.name)
		}
	case thought:
		w.setRaw("type", `"thinking"`)
		w.setLit("thinking", p.text)
		w.setLit("signature", p.signature)
	case redacted:
		w.setRaw("type", `"redacted_thinking"`)
		w.setLit("data", p.text)
	case toolUse:
		w.setRaw("type", `"tool_use"`)
		w.setLit("id", callID(p.id))
		w.setLit("name", p.name)
		w.setRaw("input", p.asObject())
	case toolResult:
		w.setRaw("type", `"tool_result"`)
		w.setLit("tool_use_id", callID(p.id))
		if err := w.results(p.parts); err != nil {
			return err
		}
		if p.failed {
			w.setRaw("is_error", "true")
		}
	}
	if p.kind != thought && p.kind != redacted {
		w.cache(p)
	}
	w.shut('}')
	return nil
}

// results writes the content of a result, unless there is none.
func (w *writer) results(parts []part) error {
	if len(parts) == 0 || len(parts) == 1 && parts[0].kind == text && parts[0].text.blank() {
		return nil
	}
	w.key("content")
	w.open('[')
	for i := range parts {
		if parts[i].kind == text && parts[i].text.blank() {
			continue
		}
		if err := w.block(&parts[i]); err != nil {
			return err
		}
	}
	w.shut(']')
	return nil
}

func (w *writer) source(s source) {
	w.key("source")
	w.open('{')
	switch {
	case s.url != "":
		w.setRaw("type", `"url"`)
		w.setLit("url", s.url)
	case s.plain:
		w.setRaw("type", `"text"`)
		w.setRaw("media_type", `"text/plain"`)
		w.setLit("data", s.data)
	default:
		w.setRaw("type", `"base64"`)
		w.setStr("media_type", s.mediaType)
		w.setLit("data", s.data)
	}
	w.shut('}')
}

func (r *request) writeMessagesTools(w *writer) {
	if len(r.tools) == 0 {
		return
	}
	w.key("tools")
	w.open('[')
	for _, t := range r.tools {
		w.open('{')
		w.setLit("name", t.name)
		if t.description != "" {
			w.setLit("description", t.description)
		}
		w.setRaw("input_schema", t.schema)
		if t.strict == "true" {
			w.setRaw("strict", "true")
		}
		if t.cache != "" {
			w.setRaw("cache_control", t.cache)
		}
		w.shut('}')
	}
	w.shut(']')
	if r.choice.mode == unset && r.parallel != "false" {
		return
	}
	w.key("tool_choice")
	w.open('{')
	switch r.choice.mode {
	case none:
		w.setRaw("type", `"none"`)
	case anyTool:
		w.setRaw("type", `"any"`)
	case oneTool:
		w.setRaw("type", `"tool"`)
		w.setLit("name", r.choice.name)
	default:
		w.setRaw("type", `"auto"`)
	}
	if r.parallel == "false" && r.choice.mode != none {
		w.setRaw("disable_parallel_tool_use", "true")
	}
	w.shut('}')
}
