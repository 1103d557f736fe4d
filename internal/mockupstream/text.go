package mockupstream

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// A prompt is what an answer is made from.
type prompt struct {
	model  string
	stream bool
	last   string // what the user said last
	tokens int    // a token is a word here
	// conversation is filled in for a script only.
	conversation Conversation
}

// prompt reads what c asks. The turns of the conversation are in the field
// named turns, what stands before them in the field named system.
func (c *call) prompt(turns, system string) prompt {
	if c.cfg.Reply != "" {
		return head(c.body)
	}
	p := read(c.body, turns, system)
	if c.cfg.Script != nil {
		p.conversation = converse(gjson.ParseBytes(c.body), turns)
		p.conversation.Said = p.last
	}
	return p
}

// headSize is how much of a request is looked at when the reply is fixed.
const headSize = 4 << 10

// head reads a prompt from the beginning of a request, which may be cut.
func head(body []byte) prompt {
	p := prompt{tokens: len(body) / 4}
	body = body[:min(len(body), headSize)]
	p.model = gjson.GetBytes(body, "model").String()
	p.stream = bytes.Contains(body, []byte(`"stream":true`)) || bytes.Contains(body, []byte(`"stream": true`))
	return p
}

// read takes a prompt from a whole request.
func read(body []byte, turns, system string) prompt {
	doc := gjson.ParseBytes(body)
	p := prompt{
		model:  doc.Get("model").String(),
		stream: doc.Get("stream").Bool(),
	}
	if system != "" {
		p.count(doc.Get(system))
	}
	list := doc.Get(turns)
	if list.Type == gjson.String {
		p.last = list.String()
		p.count(list)
		return p
	}
	list.ForEach(func(_, turn gjson.Result) bool {
		content := turn.Get("content")
		text := p.count(content)
		if turn.Get("role").String() == "user" && text != "" {
			p.last = text
		}
		return true
	})
	return p
}

// count adds the words of a string or a list of content parts to p, and
// returns the last text among them.
func (p *prompt) count(content gjson.Result) (last string) {
	if content.Type == gjson.String {
		p.tokens += len(strings.Fields(content.Str))
		return content.Str
	}
	content.ForEach(func(_, part gjson.Result) bool {
		if text := part.Get("text"); text.Type == gjson.String {
			p.tokens += len(strings.Fields(text.Str))
			last = text.Str
		}
		return true
	})
	return last
}

// maxEcho bounds what is repeated of the user's words, in bytes.
const maxEcho = 1 << 10

// words returns the echo of p, cut behind each space: together they are the
// text, and their number is the number of its tokens.
func (c *call) words(p prompt) []string {
	text := c.cfg.Reply
	if text == "" {
		said := p.last
		if len(said) > maxEcho {
			end := maxEcho
			for !utf8.RuneStart(said[end]) {
				end--
			}
			said = said[:end] + "…"
		}
		text = "This is the Gatehouse mock upstream. You said: " + said
	}
	return strings.SplitAfter(text, " ")
}

// quote returns s as a JSON string.
func quote(s string) []byte { return gjson.AppendJSONString(nil, s) }

// name returns an identifier of the call, with a prefix that says of what.
func (c *call) name(prefix string) string {
	const digits = "000000000000000000000000"
	n := strconv.FormatUint(c.id, 10)
	return prefix + digits[:len(digits)-len(n)] + n
}
