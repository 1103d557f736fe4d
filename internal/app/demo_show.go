package app

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/mockupstream"
	"github.com/gatehousehq/gatehouse/internal/usage"
)

// printf writes to whoever watches; if nobody does, there is nobody to tell.
func (d *demo) printf(format string, args ...any) { _, _ = fmt.Fprintf(d.out, format, args...) }

// instructions prints what to paste into the clients.
func (d *demo) instructions(dir string) {
	url, token := d.server.URL(), d.token.Reveal()
	d.printf(`Gatehouse demo: %[1]s with a built-in mock provider, offline

Paste into another terminal:

  # curl
  curl -N %[1]s/ai/openai/v1/chat/completions -H "Authorization: Bearer %[2]s" -H "Content-Type: application/json" \
    -d '{"model":"%[3]s","stream":true,"messages":[{"role":"user","content":"Hello"}]}'

  # Claude Code
  ANTHROPIC_BASE_URL=%[1]s/ai/anthropic ANTHROPIC_AUTH_TOKEN=%[2]s claude --model %[4]s -p "Hello"

  # Codex
  GATEHOUSE_TOKEN=%[2]s codex exec --skip-git-repo-check -m %[3]s -c model_provider=gatehouse \
    -c 'model_providers.gatehouse={name="Gatehouse",base_url="%[1]s/ai/openai/v1",env_key="GATEHOUSE_TOKEN",wire_api="responses"}' "Hello"

  # Python, with the openai or the anthropic package
  python3 -c 'import openai; c = openai.OpenAI(base_url="%[1]s/ai/openai/v1", api_key="%[2]s"); print(c.responses.create(model="%[3]s", input="Hello").output_text)'
  python3 -c 'import anthropic; c = anthropic.Anthropic(base_url="%[1]s/ai/anthropic", api_key="%[2]s"); print(c.messages.create(model="%[4]s", max_tokens=100, messages=[{"role": "user", "content": "Hello"}]).content[0].text)'

  # JavaScript, with the openai or the @anthropic-ai/sdk package
  node -e 'const O = require("openai"); new O({baseURL: "%[1]s/ai/openai/v1", apiKey: "%[2]s"}).responses.create({model: "%[3]s", input: "Hello"}).then(r => console.log(r.output_text))'
  node -e 'const A = require("@anthropic-ai/sdk"); new A({baseURL: "%[1]s/ai/anthropic", apiKey: "%[2]s"}).messages.create({model: "%[4]s", max_tokens: 100, messages: [{role: "user", content: "Hello"}]}).then(r => console.log(r.content[0].text))'

  # The same with Google's: the google-genai package, and @google/genai
  python3 -c 'from google import genai; c = genai.Client(api_key="%[2]s", http_options={"base_url": "%[1]s/ai/gemini"}); print(c.models.generate_content(model="%[6]s", contents="Hello").text)'
  node -e 'const {GoogleGenAI: G} = require("@google/genai"); new G({apiKey: "%[2]s", httpOptions: {baseUrl: "%[1]s/ai/gemini"}}).models.generateContent({model: "%[6]s", contents: "Hello"}).then(r => console.log(r.text))'

  # Gatehouse itself
  gatehouse --url %[1]s --data-dir %[5]s key list openai

`, url, token, mockupstream.ChatModel, mockupstream.ClaudeModel, dir, mockupstream.GeminiModel)
}

// sendRequests streams an answer from each provider. The first key of each is
// rate limited, so each fails over to the second.
func (d *demo) sendRequests(ctx context.Context, events <-chan usage.Record) error {
	d.printf("Three requests, streamed:\n\n")
	for _, r := range []struct{ path, body string }{
		{"/ai/openai/v1/chat/completions", `{"model":"` + mockupstream.ChatModel + `","stream":true,"messages":[{"role":"user","content":"Hello from the demo"}]}`},
		{"/ai/anthropic/v1/messages", `{"model":"` + mockupstream.ClaudeModel + `","max_tokens":100,"stream":true,"messages":[{"role":"user","content":"Hello from the demo"}]}`},
		{"/ai/gemini/v1beta/models/" + mockupstream.GeminiModel + ":streamGenerateContent?alt=sse", `{"contents":[{"role":"user","parts":[{"text":"Hello from the demo"}]}]}`},
	} {
		if err := d.stream(ctx, r.path, r.body); err != nil {
			return err
		}
		select {
		case rec := <-events:
			d.printRecord(rec)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// stream sends one request and prints the words of the answer as they come.
func (d *demo) stream(ctx context.Context, path, body string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.server.URL()+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+d.token.Reveal())
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Anthropic-Version", "2023-06-01") // the OpenAI API does not mind
	res, err := (&http.Transport{}).RoundTrip(req)
	if err != nil {
		return fmt.Errorf("POST %s: %w", path, err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("POST %s: the gateway answered %s", path, res.Status)
	}
	d.printf("POST %s\n  ", path)
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var event struct {
			Choices []struct{ Delta struct{ Content string } }
			Delta   struct{ Text string }

			Candidates []struct {
				Content struct{ Parts []struct{ Text string } }
			}
		}
		if json.Unmarshal([]byte(data), &event) != nil {
			continue // [DONE]
		}
		d.printf("%s", event.Delta.Text)
		for _, c := range event.Choices {
			d.printf("%s", c.Delta.Content)
		}
		for _, c := range event.Candidates {
			for _, part := range c.Content.Parts {
				d.printf("%s", part.Text)
			}
		}
	}
	d.printf("\n")
	return lines.Err()
}

// watch prints each request until ctx is done.
func (d *demo) watch(ctx context.Context, events <-chan usage.Record) {
	for {
		select {
		case r := <-events:
			d.printRecord(r)
		case <-ctx.Done():
			return
		}
	}
}

// printRecord prints one request: what it was, which keys were tried, and how
// it ended.
func (d *demo) printRecord(r usage.Record) {
	var tried []string
	for _, a := range r.Attempts {
		answer := fmt.Sprint(a.Status)
		if a.Status == 0 {
			answer = a.Outcome
		}
		tried = append(tried, fmt.Sprintf("%s: %s", d.keys[a.KeyID], answer))
	}
	note := ""
	if len(r.Attempts) > 1 {
		note = "  failover"
	}
	if len(tried) == 0 {
		tried = append(tried, r.Reason)
	}
	d.printf("%s  %-9s  %-21s  %-12s  %d  %s  %d ms%s\n", r.Began.Local().Format(time.TimeOnly), orDash(r.Provider), orDash(r.Endpoint), orDash(r.Model),
		r.Status, strings.Join(tried, " → "), r.Duration.Milliseconds(), note)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// showAudit prints what was written down about setting this up.
func (d *demo) showAudit(ctx context.Context) error {
	d.printf("\nThe audit log of what was set up:\n\n")
	var entries []client.AuditEntry
	for e, err := range d.admin.Audit(ctx, client.AuditFilter{}) {
		if err != nil {
			return fmt.Errorf("read the audit log: %w", err)
		}
		entries = append(entries, e)
	}
	for i := len(entries) - 1; i >= 0; i-- {
		e := entries[i]
		d.printf("%2d  %s  %-9s  %-6s  %-16s  %s\n", e.Index, e.Time.Local().Format(time.TimeOnly), e.Actor.Name, e.Action, e.ResourceType, e.Target)
	}
	return nil
}
