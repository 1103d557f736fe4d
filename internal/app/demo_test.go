package app_test

import (
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/app"
)

func TestDemoShowsAFailoverAndTheAuditLog(t *testing.T) {
	t.Parallel()
	out := &logBuffer{}
	cmd := app.DemoCommand(client.Version{Version: "test"})
	cmd.SetArgs([]string{"--http-address=127.0.0.1:0"})
	cmd.SetOut(out)
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := out.String()
	for _, want := range []string{
		"/ai/openai/v1/chat/completions -H \"Authorization: Bearer gate_", "ANTHROPIC_BASE_URL=http://127.0.0.1:", "codex exec", "openai.OpenAI(", "@anthropic-ai/sdk",
		"You said: Hello from the demo\n", "openai     chat/completions       mock-gpt      200  key 1: 429 → key 2: 200",
		"anthropic  messages               mock-claude   200  key 1: 429 → key 2: 200",
		"gemini     streamGenerateContent  mock-gemini   200  key 1: 429 → key 2: 200", "bootstrap  create  encryption_key", "owner      create  ai_provider       openai",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the demo does not show %q", want)
		}
	}
	if strings.Contains(got, "sk-demo") {
		t.Error("the demo shows an upstream key")
	}
	if t.Failed() {
		t.Log(got)
	}
}
