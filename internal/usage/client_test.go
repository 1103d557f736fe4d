package usage_test

import (
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/usage"
)

func TestClientName(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, agent, want string }{
		{"Claude Code", "claude-cli/2.1.330 (external, cli)", "claude-cli/2.1.330"},
		{"Codex", "codex_cli_rs/0.98.0 (Mac OS 15.1.0; arm64) iTerm.app/3.5", "codex_cli_rs/0.98.0"},
		{"OpenAI's SDK of JavaScript", "OpenAI/JS 5.1.0", "OpenAI/JS 5.1.0"},
		{"OpenAI's SDK of Python", "AsyncOpenAI/Python 1.99.2", "AsyncOpenAI/Python 1.99.2"},
		{"Anthropic's SDK of Go", "Anthropic/Go 1.2.0 extra/1", "Anthropic/Go 1.2.0"},
		{"curl", "curl/8.5.0", "curl/8.5.0"},
		{"a name alone", "node", "node"},
		{"a name and a comment", "undici (x)", "undici"},
		{"a version that is a word", "tool/next (x)", "tool/next"},
		{"a version before another product", "tool/next other/2", "tool/next"},
		{"what is no version after a word", "tool/next 2/3", "tool/next"},
		{"a name of 32 bytes", strings.Repeat("a", 32) + "/1", strings.Repeat("a", 32) + "/1"},
		{"a name of 33 bytes", strings.Repeat("a", 33) + "/1", ""},
		{"a version of 25 bytes", "a/" + strings.Repeat("1", 25), "a"},
		{"a second version of 25 bytes", "a/b " + strings.Repeat("1", 25), "a/b"},
		{"no version after a slash", "a/ 1", "a"},
		{"two slashes", "a/1/2", "a"},
		{"a token of ours", "gate_" + strings.Repeat("x", 38), ""},
		{"a token of ours as a version", "x/gate_" + strings.Repeat("1", 38), "x"},
		{"a key of a vendor", "sk-proj-" + strings.Repeat("x", 40), ""},
		{"nothing", "", ""},
		{"space", " curl/8", ""},
		{"a comment first", "(x) curl/8", ""},
		{"a control character", "a\nb/1", ""},
		{"what is not ASCII", "möbel/1", ""},
		{"markup", "<script>/1", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := usage.ClientName(tc.agent); got != tc.want {
				t.Errorf("ClientName(%q) = %q, want %q", tc.agent, got, tc.want)
			}
		})
	}
}

func FuzzClientName(f *testing.F) {
	f.Add("claude-cli/2.1.330 (external, cli)")
	f.Add("OpenAI/JS 5.1.0")
	f.Fuzz(func(t *testing.T, agent string) {
		name := usage.ClientName(agent)
		if !strings.HasPrefix(agent, name) || len(name) > 32+1+24+1+24 || strings.Trim(name, printables) != "" || strings.Count(name, " ") > 1 {
			t.Errorf("ClientName(%q) = %q", agent, name)
		}
	})
}
