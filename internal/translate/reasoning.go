package translate

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// readThinking reads Messages' member thinking.
func (r *request) readThinking(t gjson.Result) {
	r.thinking = thinking{kind: t.Get("type").Str, budget: count(t.Get("budget_tokens")), raw: t.Raw}
}

// budgets are for Claude models that are told how much to think in tokens, by
// the effort that the client asked for.
var budgets = map[string]int64{"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 24576, "max": 32000}

// minBudget is the least that Anthropic accepts.
const minBudget = 1024

// budgeted are parts of the names of those models; all later ones, and other
// vendors' that speak Messages, adapt how much they think to the effort. Those
// in unthinking do not think.
var (
	unthinking = []string{"claude-2", "claude-instant", "claude-3-opus", "claude-3-sonnet", "claude-3-haiku", "claude-3-5"}
	budgeted   = []string{
		"claude-3-7", "claude-opus-4-0", "claude-opus-4-1", "claude-opus-4-2025", "claude-opus-4-5", "claude-opus-4@",
		"claude-sonnet-4-0", "claude-sonnet-4-2025", "claude-sonnet-4-5", "claude-sonnet-4@", "claude-haiku-4-5",
	}
)

func anyIn(model string, names []string) bool {
	for _, n := range names {
		if strings.Contains(model, n) {
			return true
		}
	}
	return false
}

// writeThinking writes how much Messages is to think, and output_config.
func (r *request) writeThinking(w *writer, turns []turn, limit string) {
	effort := r.effort
	if effort == "minimal" {
		effort = "low"
	}
	switch {
	case r.thinking.raw != "":
		if effort == "none" {
			effort = ""
		}
		w.setRaw("thinking", r.thinking.raw)
	case r.effort == "" || anyIn(r.o.Model, unthinking):
		effort = ""
	case r.effort == "none":
		effort = ""
		w.setRaw("thinking", `{"type":"disabled"}`)
	case anyIn(r.o.Model, budgeted):
		effort = ""
		if n := r.budget(limit); n >= minBudget && !r.forced() && !thoughtless(turns) {
			w.setRaw("thinking", `{"type":"enabled","budget_tokens":`+strconv.FormatInt(n, 10)+`}`)
		}
	case r.forced(): // which goes with effort, and not with thinking
	case r.summary:
		w.setRaw("thinking", `{"type":"adaptive","display":"summarized"}`)
	default:
		w.setRaw("thinking", `{"type":"adaptive"}`)
	}
	if effort == "" && r.format.schema == "" {
		return
	}
	w.key("output_config")
	w.open('{')
	if effort != "" {
		w.setStr("effort", effort)
	}
	if r.format.schema != "" {
		w.key("format")
		w.open('{')
		w.setRaw("type", `"json_schema"`)
		w.setRaw("schema", r.format.schema)
		w.shut('}')
	}
	w.shut('}')
}

// forced reports whether a tool has to be called.
func (r *request) forced() bool {
	return len(r.tools) > 0 && (r.choice.mode == anyTool || r.choice.mode == oneTool)
}

// budget returns how many tokens go with the effort, and leave room for the
// answer within the limit.
func (r *request) budget(limit string) int64 {
	n, ok := budgets[r.effort]
	if !ok {
		return 0
	}
	most, err := strconv.ParseInt(limit, 10, 64)
	if err != nil {
		return 0
	}
	return min(n, most/2)
}

// thoughtless reports whether the answer goes on after results of tools that the
// model called without a thought. Models with a budget refuse to begin with one
// there, and most clients do not send back what they were sent.
func thoughtless(turns []turn) bool {
	if n := len(turns); n < 2 || turns[n-1].parts[0].kind != toolResult {
		return false
	}
	for i := len(turns) - 2; i >= 0; i-- {
		if turns[i].role == assistant {
			k := turns[i].parts[0].kind
			return k != thought && k != redacted
		}
	}
	return false
}

// effortOf is the way back: of Messages' members to one word that all servers of
// OpenAI's APIs know.
func (r *request) effortOf() string {
	switch r.effort {
	case "minimal", "low", "medium", "high":
		return r.effort
	case "xhigh", "max":
		return "high"
	case "none":
		return r.effort
	}
	if r.thinking.kind != "enabled" {
		return ""
	}
	switch n := r.thinking.budget; {
	case n < 4096:
		return "low"
	case n < 16384:
		return "medium"
	}
	return "high"
}

// Thoughts travel through Chat Completions in reasoning_details, in the form that
// OpenRouter gave them.

const claudeFormat = "anthropic-claude-v1"

func readReasoningDetails(list gjson.Result) []part {
	var parts []part
	for _, d := range list.Array() {
		if f := d.Get("format"); f.Type == gjson.String && f.Str != claudeFormat {
			continue
		}
		switch d.Get("type").Str {
		case "reasoning.text":
			if s := litOf(d.Get("signature")); s != "" {
				parts = append(parts, part{kind: thought, text: litOf(d.Get("text")), signature: s})
			}
		case "reasoning.encrypted":
			if data := litOf(d.Get("data")); data != "" {
				parts = append(parts, part{kind: redacted, text: data})
			}
		}
	}
	return parts
}

// detail writes one of reasoning_details. Members without a value are left out:
// in a stream it comes in pieces.
func (w *writer) detail(index int, b *built) {
	w.open('{')
	if b.kind == redacted {
		w.setRaw("type", `"reasoning.encrypted"`)
		w.setLit("data", b.text())
	} else {
		w.setRaw("type", `"reasoning.text"`)
		if len(b.said) > 0 {
			w.setLit("text", b.text())
		}
		if len(b.signature) > 0 {
			w.setLit("signature", lit(b.signature))
		}
	}
	w.setRaw("format", `"`+claudeFormat+`"`)
	w.setInt("index", int64(index))
	w.shut('}')
}

// Thoughts of OpenAI's models travel through Messages as their signatures, under
// a mark of ours.
const openAIMark = "openai.v1."

// claudes reports whether a thought is one of Claude's, with its signature.
func (p *part) claudes() bool {
	return p.signature != "" && !strings.HasPrefix(string(p.signature), openAIMark)
}

// openAIs returns what OpenAI takes back for a thought of one of its models.
func (p *part) openAIs() (lit, bool) {
	s, ok := strings.CutPrefix(string(p.signature), openAIMark)
	return lit(s), ok
}

// They travel through Responses in encrypted_content, under a mark of ours:
// other servers' is not for Messages.

const sealMark = "claude.v1."

// seal returns encrypted_content for a thought.
func seal(b *built) lit {
	w := writer{}
	w.open('{')
	if b.kind == redacted {
		w.setLit("data", b.text())
	} else {
		w.setLit("thinking", b.text())
		w.setLit("signature", lit(b.signature))
	}
	w.shut('}')
	return lit(sealMark + base64.RawURLEncoding.EncodeToString(w.b))
}

func unseal(l lit) (part, bool) {
	packed, ok := strings.CutPrefix(string(l), sealMark)
	if !ok {
		return part{}, false
	}
	b, err := base64.RawURLEncoding.DecodeString(packed)
	if err != nil {
		return part{}, false
	}
	v, ok := parse(b)
	if !ok {
		return part{}, false
	}
	if data := litOf(v.Get("data")); data != "" {
		return part{kind: redacted, text: data}, true
	}
	return part{kind: thought, text: litOf(v.Get("thinking")), signature: litOf(v.Get("signature"))}, litOf(v.Get("signature")) != ""
}
