package clients_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/mockupstream"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
	"github.com/gatehousehq/gatehouse/test/clients/realserver"
)

// What a session of an agent is about. The note is a file, so the model can
// only know what is in it through a tool.
const (
	noteName     = "note.txt"
	noteText     = "the word is plum"
	firstPrompt  = "What is in " + noteName + "?"
	secondPrompt = "Say it again."
	firstSays    = "The note says plum, and six times seven is 42."
	secondSays   = "As I said: plum."
	shell        = "echo seven-times-six-is-$((6*7))"
	shellSays    = "seven-times-six-is-42"
)

// An agent is a client that works in several turns and uses tools.
type agent struct {
	// vendor is the type of the provider that it talks to, and via how that is
	// reached: "" is by the vendor's own API.
	vendor string
	via    reached
	// read and run are how its model reads the note and runs a command.
	read func(dir string) mockupstream.ToolCall
	run  mockupstream.ToolCall
	// work has it answer prompts, one after the other, in one session. It returns
	// what the agent said last to each, and what it counted in all.
	work func(t *testing.T, s *session, prompts ...string) (said []string, used mockupstream.Usage, err error)
	// upgrades is how often it asks for WebSocket for two prompts.
	upgrades int
}

var agents = map[string]agent{
	"Claude Code":                        claudeCode,
	"Codex":                              codex,
	"openai-go, chat completions":        goSDK("openai", "chat", "whole"),
	"openai-go, chat completions stream": goSDK("openai", "chat", "streamed"),
	"openai-go, responses":               goSDK("openai", "responses", "whole"),
	"openai-go, responses stream":        goSDK("openai", "responses", "streamed"),
	"anthropic-sdk-go":                   goSDK("anthropic", "messages", "whole"),
	"anthropic-sdk-go, stream":           goSDK("anthropic", "messages", "streamed"),
	"google-genai":                       genAI("whole"),
	"google-genai, stream":               genAI("streamed"),

	"Claude Code, on Bedrock":                  claudeCode.by(bedrockNative),
	"anthropic-sdk-go, on Bedrock":             goSDK("anthropic", "messages", "whole").by(bedrockNative),
	"anthropic-sdk-go, on Bedrock, stream":     goSDK("anthropic", "messages", "streamed").by(bedrockNative),
	"anthropic-sdk-go, on InvokeModel":         goSDK("anthropic", "messages", "whole").by(bedrockInvoke),
	"anthropic-sdk-go, on InvokeModel, stream": goSDK("anthropic", "messages", "streamed").by(bedrockInvoke),
	"openai-go, chat on dated Azure":           goSDK("openai", "chat", "whole").by(azureDated),
	"openai-go, chat stream on Azure":          goSDK("openai", "chat", "streamed").by(azureV1),
	"openai-go, responses stream on Azure":     goSDK("openai", "responses", "streamed").by(azureV1),
}

// A session is an agent at work, with a provider of its own behind Gatehouse.
type session struct {
	name, url string // of the provider, at Gatehouse
	token     secret.Text
	// dir is where the agent works, home is its HOME. Both last.
	dir, home string
	outside   *outside

	up   *mockupstream.Upstream
	keys []secret.Text

	mu   sync.Mutex
	seen []mockupstream.Conversation // which the script was played for
}

// After each answer the key that gave it is not good any more, but for the
// last: these are the ways.
var falls = []mockupstream.Behaviour{mockupstream.RateLimited, mockupstream.Invalid, mockupstream.Overloaded}

func newSession(t *testing.T, srv *realserver.Server, a agent, keys int) *session {
	t.Helper()
	s, base := newWork(t, a, strings.ToLower(strings.NewReplacer("/", "-", "_", "-", ",", "").Replace(t.Name())), falls, keys)
	s.url = srv.URL + "/ai/" + s.name
	if a.vendor == "openai" {
		s.url += "/v1"
		if a.via.settings == nil {
			base += "/v1"
		}
	}
	var keyTexts []string
	for _, k := range s.keys {
		keyTexts = append(keyTexts, k.Reveal())
	}
	if _, err := srv.Call(t.Context(), http.MethodPost, "/api/v1/ai/providers", map[string]any{
		"type": a.vendor, "name": s.name, "base_url": base, "api_keys": keyTexts, "settings": a.via.settings,
	}, nil); err != nil {
		t.Fatal(err)
	}
	s.token = newToken(t, srv, s.name)
	s.outside = newOutside(t, srv.URL)
	return s
}

// newWork returns a session without a way to its model, and where that is. Its keys
// fall one after the other, in the ways that are given.
func newWork(t *testing.T, a agent, name string, falls []mockupstream.Behaviour, keys int) (s *session, base string) {
	t.Helper()
	s = &session{name: name, dir: t.TempDir(), home: t.TempDir()}
	if err := os.WriteFile(filepath.Join(s.dir, noteName), []byte(noteText+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := mockupstream.Config{Keys: map[secret.Text]mockupstream.Key{}, RetryAfter: time.Hour}
	for i := range keys {
		text := secret.New(a.via.key(a.vendor, i))
		s.keys = append(s.keys, text)
		cfg.Keys[text] = mockupstream.Key{Label: label(i)}
	}
	play := mockupstream.Play(
		mockupstream.Turn{Text: "I read the note.", Calls: []mockupstream.ToolCall{a.read(s.dir)}, CacheWrite: 300},
		mockupstream.Turn{Calls: []mockupstream.ToolCall{a.run}, CacheRead: 300, Reasoning: 20},
		mockupstream.Turn{Text: firstSays, CacheRead: 300},
		mockupstream.Turn{Text: secondSays, CacheRead: 310},
	)
	cfg.Script = func(c mockupstream.Conversation) (mockupstream.Turn, bool) {
		turn, ok := play(c)
		if ok {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.seen = append(s.seen, c)
			if i := c.Answers; i < len(falls) && i < len(s.keys) {
				s.up.SetKey(s.keys[i], mockupstream.Key{Label: label(i), Behaviour: falls[i]})
			}
		}
		return turn, ok
	}
	s.up = mockupstream.New(cfg)
	upstream := httptest.NewServer(a.via.before(s.up, s.keys))
	t.Cleanup(upstream.Close)
	return s, upstream.URL + a.via.path
}

func label(key int) string { return fmt.Sprintf("key %d", key) }

func (s *session) conversations() []mockupstream.Conversation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// TestAgents has agents work through Gatehouse while one key of the provider
// falls after the other, between any two turns. What an agent is told when it
// asks too early is up to Gatehouse: no agent repeats anything by itself.
func TestAgents(t *testing.T) {
	t.Parallel()
	needNode(t, "@anthropic-ai/claude-code", "@openai/codex", "@google/genai")
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		testAgents(t, "")
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		testAgents(t, storetest.NewPostgres(t))
	})
}

func testAgents(t *testing.T, databaseURL string) {
	srv := startServer(t, databaseURL)
	for name, a := range agents {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSession(t, srv, a, len(falls)+1)
			said, used, err := a.work(t, s, firstPrompt, secondPrompt)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{firstSays, secondSays}, said); diff != "" {
				t.Errorf("what the agent said (-want +got):\n%s", diff)
			}
			s.check(t, len(falls))
			s.checkLog(t, srv.Log(), a.upgrades)
			s.checkUsage(t, used)
			checkRecords(t, srv, s.name, s.up.Requests())
		})
	}
}

// check looks at how the session went, from the upstream's end, where so many keys
// fell.
func (s *session) check(t *testing.T, fell int) {
	t.Helper()
	const turns = 4
	seen := s.conversations()
	if len(seen) != turns {
		t.Fatalf("the model was asked for %d turns, want %d", len(seen), turns)
	}
	for i, c := range seen {
		if c.Answers != i {
			t.Errorf("turn %d has %d answers before it", i, c.Answers)
		}
	}
	if results := seen[1].Results; len(results) != 1 || !strings.Contains(results[0], noteText) {
		t.Errorf("reading the note gave %q", results)
	}
	if results := seen[2].Results; len(results) != 2 || !strings.Contains(results[1], shellSays) {
		t.Errorf("running the command gave %q", results)
	}
	// Each key gave one answer of the session, was asked once more, and then
	// left alone. Side requests, which are no part of the script, may come to
	// whichever key is in use.
	refused := map[string]int{}
	for _, r := range s.up.Requests() {
		// Asking for a WebSocket, which this upstream does not have, is none either.
		if r.Status != http.StatusOK && r.Header.Get("Upgrade") == "" {
			refused[r.Key]++
		}
	}
	want := map[string]int{}
	for i := range fell {
		want[label(i)] = 1
	}
	if diff := cmp.Diff(want, refused); diff != "" {
		t.Errorf("refusals by key (-want +got):\n%s", diff)
	}
	s.outside.check(t)
}

// checkLog looks at how Gatehouse answered, by its log: what could not be
// upgraded went on over HTTP, and nothing else was refused. An agent may hang up
// once it has the last event, before the stream is at its end: that is 499.
func (s *session) checkLog(t *testing.T, log string, upgrades int) {
	t.Helper()
	got := map[string]int{}
	for _, m := range regexp.MustCompile(`provider=(\S+) .* status=(\d+) `).FindAllStringSubmatch(log, -1) {
		if m[1] == s.name && m[2] != "200" && m[2] != "499" {
			got[m[2]]++
		}
	}
	want := map[string]int{}
	if upgrades > 0 {
		want["426"] = upgrades
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("refusals of Gatehouse by status (-want +got):\n%s", diff)
	}
}

// checkUsage compares what the agent counted with what the upstream said.
func (s *session) checkUsage(t *testing.T, got mockupstream.Usage) {
	t.Helper()
	var want mockupstream.Usage
	for _, r := range s.up.Requests() {
		want = sum(want, r.Usage)
	}
	if want.Input == 0 || want.Output == 0 || want.CacheRead == 0 {
		t.Fatalf("the upstream counted %+v", want)
	}
	if got != want {
		t.Errorf("the agent counted %+v, the upstream %+v", got, want)
	}
}

func sum(a, b mockupstream.Usage) mockupstream.Usage {
	return mockupstream.Usage{
		Input: a.Input + b.Input, Output: a.Output + b.Output, CacheRead: a.CacheRead + b.CacheRead,
		CacheWrite: a.CacheWrite + b.CacheWrite, Reasoning: a.Reasoning + b.Reasoning,
	}
}

// TestAgentsNeedFailover is the control: with one key, no session gets past
// its first answer.
func TestAgentsNeedFailover(t *testing.T) {
	t.Parallel()
	needNode(t, "@anthropic-ai/claude-code", "@openai/codex", "@google/genai")
	srv := startServer(t, "")
	for name, a := range agents {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSession(t, srv, a, 1)
			said, _, err := a.work(t, s, firstPrompt)
			if err == nil {
				t.Error("the agent ended as if all were well")
			}
			if slices.Contains(said, firstSays) {
				t.Error("the agent got its answer")
			}
			if seen := s.conversations(); len(seen) != 1 {
				t.Errorf("the model was asked for %d turns, want 1", len(seen))
			}
			s.outside.check(t)
		})
	}
}
