package mockupstream

import (
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// A Script says what the model answers to a conversation; false leaves it to
// the echo. It is called once for each request that is let in, concurrently,
// and may call the methods of the [Upstream].
type Script func(Conversation) (Turn, bool)

// Play returns a script of these turns, for any number of conversations at
// once: the turn n, counted from zero, answers a request that has n answers in
// it. Requests that offer no tools, with which clients make titles and such,
// are not part of it.
func Play(turns ...Turn) Script {
	return func(c Conversation) (Turn, bool) {
		if len(c.Tools) == 0 || c.Answers >= len(turns) {
			return Turn{}, false
		}
		return turns[c.Answers], true
	}
}

// A Conversation is what a request holds, in the same words for every API.
type Conversation struct {
	Model string
	// Said is what the user said last.
	Said string
	// Answers is how many answers of the model came before.
	Answers int
	// Tools are the names of the tools on offer.
	Tools []string
	// Results are what the tools returned so far.
	Results []string
}

// A Turn is one answer of the model.
type Turn struct {
	Text  string
	Calls []ToolCall
	// CacheRead and CacheWrite are how much of the input came from a cache and
	// went into one, Reasoning how much was thought before the answer.
	CacheRead, CacheWrite, Reasoning int
}

// A ToolCall is one use of a tool. Input is a JSON object.
type ToolCall struct{ Name, Input string }

// A Usage is what an answer says that it used, by the meaning of the API that
// it is in: OpenAI's Input has CacheRead and CacheWrite in it, Anthropic's has
// not; Output has Reasoning in it, but for Gemini's, whose Input has CacheRead.
type Usage struct{ Input, Output, CacheRead, CacheWrite, Reasoning int }

// An answer is a turn on its way into a reply.
type answer struct {
	words []string // with the space behind each; none if there is no text
	calls []toolCall
	// cacheRead and the rest are those of the turn.
	cacheRead, cacheWrite, reasoning int
}

type toolCall struct {
	name, id string
	pieces   []string // of the input
}

// answer returns what the model answers to p.
func (c *call) answer(p prompt) answer {
	if c.cfg.Script != nil && c.cfg.Reply == "" {
		if turn, ok := c.cfg.Script(p.conversation); ok {
			return c.play(turn)
		}
	}
	return answer{words: c.words(p)}
}

func (c *call) play(turn Turn) answer {
	a := answer{cacheRead: turn.CacheRead, cacheWrite: turn.CacheWrite, reasoning: turn.Reasoning}
	if turn.Text != "" {
		a.words = strings.SplitAfter(turn.Text, " ")
	}
	for i, tool := range turn.Calls {
		a.calls = append(a.calls, toolCall{
			name: tool.Name, id: c.name("") + string(rune('a'+i)), pieces: strings.SplitAfter(tool.Input, " "),
		})
	}
	return a
}

func (a answer) text() string { return strings.Join(a.words, "") }

func (t toolCall) input() string { return strings.Join(t.pieces, "") }

// tokens is what the answer costs. A token is a word, also of a tool's input.
func (a answer) tokens() int {
	n := len(a.words)
	for _, t := range a.calls {
		n += len(t.pieces)
	}
	return n
}

// openAI is the usage in OpenAI's meaning: all of the input is in one number.
func (a answer) openAI(input int) Usage {
	return Usage{
		Input: input + a.cacheRead + a.cacheWrite, Output: a.tokens() + a.reasoning,
		CacheRead: a.cacheRead, CacheWrite: a.cacheWrite, Reasoning: a.reasoning,
	}
}

// anthropic is the usage in Anthropic's: input is what no cache had to do with.
func (a answer) anthropic(input int) Usage {
	return Usage{
		Input: input, Output: a.tokens() + a.reasoning,
		CacheRead: a.cacheRead, CacheWrite: a.cacheWrite, Reasoning: a.reasoning,
	}
}

// converse reads a conversation from a whole request; turns is the field that
// it is in.
func converse(doc gjson.Result, turns string) Conversation {
	c := Conversation{Model: doc.Get("model").String()}
	doc.Get("tools").ForEach(func(_, tool gjson.Result) bool {
		// Chat completions has it in the function, tools of the vendor's own
		// have a type alone.
		for _, field := range [...]string{"name", "function.name", "type"} {
			if name := tool.Get(field).String(); name != "" {
				c.Tools = append(c.Tools, name)
				break
			}
		}
		return true
	})
	answering := false // several items may be one answer
	doc.Get(turns).ForEach(func(_, item gjson.Result) bool {
		kind, role := item.Get("type").String(), item.Get("role").String()
		model := role == "assistant" || slices.Contains([]string{"function_call", "reasoning"}, kind)
		if model && !answering {
			c.Answers++
		}
		answering = model
		switch {
		case role == "tool":
			c.Results = append(c.Results, plain(item.Get("content")))
		case kind == "function_call_output":
			c.Results = append(c.Results, plain(item.Get("output")))
		case role == "user":
			item.Get("content").ForEach(func(_, part gjson.Result) bool {
				if part.Get("type").String() == "tool_result" {
					c.Results = append(c.Results, plain(part.Get("content")))
				}
				return true
			})
		}
		return true
	})
	return c
}

// plain is the text of a string or of a list of parts.
func plain(content gjson.Result) string {
	if content.Type == gjson.String {
		return content.Str
	}
	var text strings.Builder
	content.ForEach(func(_, part gjson.Result) bool {
		text.WriteString(part.Get("text").String())
		return true
	})
	return text.String()
}
