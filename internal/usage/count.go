package usage

import (
	"strconv"

	"github.com/tidwall/gjson"
)

// count takes down a usage object.
func (m *Meter) count(raw []byte) {
	switch m.kind {
	case Completions:
		m.countCompletions(gjson.ParseBytes(raw))
	case Responses:
		m.countResponses(gjson.ParseBytes(raw))
	case Messages:
		m.countMessages(gjson.ParseBytes(raw))
	case Contents:
		m.countContents(gjson.ParseBytes(raw))
	case NotMetered:
	}
}

// countCompletions reads the form of Chat Completions. Some upstreams send what
// was used until then with every chunk: the last one counts.
func (m *Meter) countCompletions(u gjson.Result) {
	var t Tokens
	var hits int64 // DeepSeek's name for what came from a cache
	u.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "prompt_tokens":
			t.take(&t.Input, value)
		case "completion_tokens":
			t.take(&t.Output, value)
		case "prompt_cache_hit_tokens":
			t.take(&hits, value)
		case "prompt_tokens_details":
			t.takeInputDetails(value)
		case "completion_tokens_details":
			t.takeOutputDetails(value, "reasoning_tokens")
		}
		return true
	})
	if t.CacheRead == 0 {
		t.CacheRead = hits
	}
	m.replace(t)
}

// countResponses reads the form of Responses.
func (m *Meter) countResponses(u gjson.Result) {
	var t Tokens
	u.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "input_tokens":
			t.take(&t.Input, value)
		case "output_tokens":
			t.take(&t.Output, value)
		case "input_tokens_details", "input_token_details": // the second is Realtime's
			t.takeInputDetails(value)
		case "output_tokens_details", "output_token_details":
			t.takeOutputDetails(value, "reasoning_tokens")
		}
		return true
	})
	m.replace(t)
}

// countMessages reads the form of Messages. In a stream the counts are
// cumulative, and the later ones leave out what has not changed: each that is
// there replaces the one before.
func (m *Meter) countMessages(u gjson.Result) {
	t := m.tokens
	u.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "input_tokens":
			t.take(&t.Input, value)
		case "output_tokens":
			t.take(&t.Output, value)
		case "cache_read_input_tokens":
			t.take(&t.CacheRead, value)
		case "cache_creation_input_tokens":
			t.take(&t.CacheWrite, value)
		case "output_tokens_details":
			t.takeOutputDetails(value, "thinking_tokens")
		}
		return true
	})
	m.tokens = t
}

// countContents reads the form of Gemini. In a stream the counts are cumulative,
// and one of zero is left out. What tools took as input is counted apart from the
// prompt.
func (m *Meter) countContents(u gjson.Result) {
	var t Tokens
	var tools int64
	u.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "promptTokenCount":
			t.take(&t.Input, value)
		case "toolUsePromptTokenCount":
			t.take(&tools, value)
		case "candidatesTokenCount":
			t.take(&t.Output, value)
		case "cachedContentTokenCount":
			t.take(&t.CacheRead, value)
		case "thoughtsTokenCount":
			t.take(&t.Reasoning, value)
		}
		return true
	})
	t.Input += tools
	m.replace(t)
}

// replace is for forms that say all at once. One that says nothing is as good
// as none.
func (m *Meter) replace(t Tokens) {
	if t.Known {
		m.tokens = t
	}
}

func (t *Tokens) takeInputDetails(details gjson.Result) {
	if !details.IsObject() {
		return
	}
	details.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "cached_tokens":
			t.take(&t.CacheRead, value)
		case "cache_write_tokens":
			t.take(&t.CacheWrite, value)
		}
		return true
	})
}

func (t *Tokens) takeOutputDetails(details gjson.Result, reasoning string) {
	if !details.IsObject() {
		return
	}
	details.ForEach(func(key, value gjson.Result) bool {
		if key.Str == reasoning {
			t.take(&t.Reasoning, value)
		}
		return true
	})
}

// take reads one count. What is no count, null above all, says nothing.
func (t *Tokens) take(into *int64, value gjson.Result) {
	if value.Type != gjson.Number {
		return
	}
	if n, err := strconv.ParseInt(value.Raw, 10, 64); err == nil && n >= 0 {
		*into = n
		t.Known = true
	}
}
