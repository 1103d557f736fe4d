package clients_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/mockupstream"
)

// agentTimeout bounds one run of an agent, which takes a second or two.
const agentTimeout = 90 * time.Second

// claudeCode is Claude Code, set up as the README says.
var claudeCode = agent{
	vendor: "anthropic",
	read: func(dir string) mockupstream.ToolCall {
		return mockupstream.ToolCall{Name: "Read", Input: fmt.Sprintf(`{"file_path": %q}`, filepath.Join(dir, noteName))}
	},
	run: mockupstream.ToolCall{Name: "Bash", Input: fmt.Sprintf(`{"command": %q, "description": "Multiply"}`, shell)},
	work: func(t *testing.T, s *session, prompts ...string) ([]string, mockupstream.Usage, error) {
		var said []string
		var used mockupstream.Usage
		for i, prompt := range prompts {
			args := []string{"node", npm(t, "@anthropic-ai/claude-code/cli-wrapper.cjs"),
				"-p", prompt, "--output-format", "json", "--model", mockupstream.ClaudeModel, "--allowed-tools", "Read,Bash"}
			if i > 0 {
				args = append(args, "--continue")
			}
			out, failed := s.run(t, args,
				"ANTHROPIC_BASE_URL="+s.url, "ANTHROPIC_AUTH_TOKEN="+s.token.Reveal(),
				"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1", "CLAUDE_CODE_MAX_RETRIES=0")
			var result struct {
				Result  string `json:"result"`
				IsError bool   `json:"is_error"`
				Usage   struct {
					Input      int `json:"input_tokens"`
					Output     int `json:"output_tokens"`
					CacheRead  int `json:"cache_read_input_tokens"`
					CacheWrite int `json:"cache_creation_input_tokens"`
					Details    struct {
						Thinking int `json:"thinking_tokens"`
					} `json:"output_tokens_details"`
				} `json:"usage"`
			}
			if err := json.Unmarshal(out, &result); err != nil {
				return said, used, errors.Join(failed, fmt.Errorf("not a result: %w: %s", err, out))
			}
			if failed != nil || result.IsError {
				return said, used, errors.Join(failed, errors.New(result.Result))
			}
			said = append(said, result.Result)
			u := result.Usage
			used = sum(used, mockupstream.Usage{
				Input: u.Input, Output: u.Output, CacheRead: u.CacheRead, CacheWrite: u.CacheWrite, Reasoning: u.Details.Thinking,
			})
		}
		return said, used, nil
	},
}

// codexConfig is what the README says, and what keeps Codex from asking other
// servers than the provider, and from repeating by itself what failed. It is
// told that the provider speaks WebSocket, as OpenAI's own does: it has to find
// out that this one does not.
const codexConfig = `
model_provider = "gatehouse"
check_for_update_on_startup = false

[model_providers.gatehouse]
name     = "Gatehouse"
base_url = %q
env_key  = "GATEHOUSE_TOKEN"
wire_api = "responses"
supports_websockets = true
request_max_retries = 0
stream_max_retries = 0

[analytics]
enabled = false

[features]
apps = false
plugins = false
remote_plugin = false
`

// codex is Codex.
var codex = newCodex("")

// newCodex returns Codex with more at the top of its settings.
func newCodex(settings string) agent {
	return agent{
		vendor: "openai", upgrades: 2,
		read: func(dir string) mockupstream.ToolCall {
			return mockupstream.ToolCall{Name: "exec_command", Input: fmt.Sprintf(`{"cmd": "cat %s", "workdir": %q}`, noteName, dir)}
		},
		run: mockupstream.ToolCall{Name: "exec_command", Input: fmt.Sprintf(`{"cmd": %q}`, shell)},
		work: func(t *testing.T, s *session, prompts ...string) ([]string, mockupstream.Usage, error) {
			home := filepath.Join(s.home, ".codex")
			if err := os.MkdirAll(home, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(home, "config.toml"), fmt.Appendf(nil, settings+codexConfig, s.url), 0o600); err != nil {
				t.Fatal(err)
			}
			var said []string
			var used mockupstream.Usage
			for i, prompt := range prompts {
				args := []string{"node", npm(t, "@openai/codex/bin/codex.js"), "exec"}
				if i > 0 {
					args = append(args, "resume", "--last")
				}
				// Its sandbox is not part of this: it needs more than CI gives.
				args = append(args, "--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "-m", mockupstream.ChatModel, prompt)
				out, failed := s.run(t, args, "GATEHOUSE_TOKEN="+s.token.Reveal())
				last, counted, err := codexEvents(out)
				if err := errors.Join(failed, err); err != nil {
					return said, used, fmt.Errorf("%w\n%s", err, out)
				}
				said, used = append(said, last), counted
			}
			return said, used, nil
		},
	}
}

// codexEvents reads what Codex prints: what it said last, what it counted from the
// beginning of the session, and whether it gave up.
func codexEvents(out []byte) (said string, used mockupstream.Usage, err error) {
	for line := range bytes.Lines(out) {
		var event struct {
			Type string `json:"type"`
			Item struct {
				Type, Text string
			} `json:"item"`
			Usage struct {
				Input      int `json:"input_tokens"`
				Output     int `json:"output_tokens"`
				CacheRead  int `json:"cached_input_tokens"`
				CacheWrite int `json:"cache_write_input_tokens"`
				Reasoning  int `json:"reasoning_output_tokens"`
			} `json:"usage"`
		}
		if json.Unmarshal(line, &event) != nil {
			continue // it also prints warnings
		}
		switch {
		case event.Item.Type == "agent_message":
			said = event.Item.Text
		case event.Type == "turn.failed":
			err = errors.New("the turn failed")
		case event.Type == "turn.completed":
			used = mockupstream.Usage(event.Usage)
		}
	}
	return said, used, err
}

// goSDK is the small agent of gosdk/agent.
func goSDK(vendor, api, form string) agent {
	return agent{
		vendor: vendor,
		read: func(dir string) mockupstream.ToolCall {
			return mockupstream.ToolCall{Name: "read_file", Input: fmt.Sprintf(`{"path": %q}`, filepath.Join(dir, noteName))}
		},
		run: mockupstream.ToolCall{Name: "run_command", Input: fmt.Sprintf(`{"command": %q}`, shell)},
		work: func(t *testing.T, s *session, prompts ...string) ([]string, mockupstream.Usage, error) {
			goSDKs, err := goSDKs()
			if err != nil {
				t.Fatal(err)
			}
			name := strings.ToUpper(vendor)
			return s.report(t, append([]string{goSDKs.agent, api, form}, prompts...), name+"_BASE_URL="+s.url, name+"_API_KEY="+s.token.Reveal())
		},
	}
}

// genAI is the small agent of genai-agent.mjs.
func genAI(form string) agent {
	a := goSDK("", "", "") // which has the same tools
	a.vendor = "gemini"
	a.work = func(t *testing.T, s *session, prompts ...string) ([]string, mockupstream.Usage, error) {
		script, err := filepath.Abs("genai-agent.mjs")
		if err != nil {
			t.Fatal(err)
		}
		return s.report(t, append([]string{"node", script, form}, prompts...), "GOOGLE_GEMINI_BASE_URL="+s.url, "GEMINI_API_KEY="+s.token.Reveal())
	}
	return a
}

// report runs a small agent and reads what it prints.
func (s *session) report(t *testing.T, command []string, env ...string) ([]string, mockupstream.Usage, error) {
	t.Helper()
	out, err := s.run(t, command, env...)
	if err != nil {
		return nil, mockupstream.Usage{}, err
	}
	var report struct {
		Said []string
		Used mockupstream.Usage
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return nil, mockupstream.Usage{}, fmt.Errorf("not a report: %w: %s", err, out)
	}
	return report.Said, report.Used, nil
}

// npm is the path of a script in a package.
func npm(t *testing.T, script string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("node_modules", script))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs a command in the session's directory, with nothing of the caller's
// environment but the PATH, and returns what it printed.
func (s *session) run(t *testing.T, command []string, env ...string) ([]byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), agentTimeout)
	defer cancel()
	watched := s.outside.watch(command)
	cmd := exec.CommandContext(ctx, watched[0], watched[1:]...)
	// What it started itself ends with it, and what strace looks at with strace.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	cmd.Dir = s.dir
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.home, "TMPDIR=" + t.TempDir(), "SHELL=/bin/bash", "LANG=C.UTF-8",
	}, append(s.outside.env(), env...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.Bytes(), fmt.Errorf("%s: %w\n%s", filepath.Base(command[0]), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.Bytes(), nil
}
