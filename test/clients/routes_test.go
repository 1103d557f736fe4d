package clients_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/mockupstream"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/test/clients/realserver"
)

// routed are the agents that go by the one URL for all providers.
var routed = map[string]agent{
	"Claude Code":                        claudeCode,
	"Codex":                              newCodex("web_search = \"disabled\"\n"), // as docs/translation.md says
	"openai-go, chat completions stream": goSDK("openai", "chat", "streamed"),
	"anthropic-sdk-go":                   goSDK("anthropic", "messages", "whole"),
}

// downfalls are how the first two of three providers end, after an answer each.
var downfalls = []mockupstream.Behaviour{mockupstream.RateLimited, mockupstream.Invalid}

// vendorsOf are the types of the providers of a session: the third speaks another
// API than the agent.
func vendorsOf(a agent) []string {
	other := map[string]string{"openai": "anthropic", "anthropic": "openai"}[a.vendor]
	return []string{a.vendor, a.vendor, other}
}

func (s *session) provider(i int) string { return s.name + "-" + string(rune('a'+i)) }

// newRouted returns a session with three providers of one key each, and a token for
// the first of them, as many as it reaches. Which of a route's targets it has is up
// to that.
func newRouted(t *testing.T, srv *realserver.Server, a agent, name string, reaches int) *session {
	t.Helper()
	s, base := newWork(t, a, strings.ToLower(strings.NewReplacer(" ", "-", ",", "").Replace(name)), downfalls, 3)
	var mine []string
	for i, vendor := range vendorsOf(a) {
		url := base
		if vendor == "openai" {
			url += "/v1"
		}
		if _, err := srv.Call(t.Context(), http.MethodPost, "/api/v1/ai/providers", map[string]any{
			"type": vendor, "name": s.provider(i), "base_url": url, "api_keys": []string{s.keys[i].Reveal()},
		}, nil); err != nil {
			t.Fatal(err)
		}
		mine = append(mine, s.provider(i))
	}
	s.url = srv.URL + "/ai"
	if a.vendor == "openai" {
		s.url += "/v1"
	}
	var created struct {
		Token secret.Text `json:"token"`
	}
	if _, err := srv.Call(t.Context(), http.MethodPost, "/api/v1/tokens", map[string]any{
		"name": s.name, "scopes": []string{"gateway:use"}, "providers": mine[:reaches],
	}, &created); err != nil {
		t.Fatal(err)
	}
	s.token = created.Token
	return s
}

// TestSessionsThroughARoute has agents ask for a route by the name of their model,
// and its providers fall between any two turns: from one of the agent's own API to
// the next, and from there to one that speaks another.
func TestSessionsThroughARoute(t *testing.T) {
	t.Parallel()
	needNode(t, "@anthropic-ai/claude-code", "@openai/codex")
	srv := startServer(t, "")
	sessions := map[string]*session{}
	targets := map[string][]map[string]any{}
	models := map[string]string{"openai": mockupstream.ChatModel, "anthropic": mockupstream.ClaudeModel}
	add := func(name string, a agent, reaches int) {
		s := newRouted(t, srv, a, name, reaches)
		sessions[name] = s
		for i, vendor := range vendorsOf(a) {
			targets[models[a.vendor]] = append(targets[models[a.vendor]], map[string]any{"provider": s.provider(i), "model": models[vendor]})
		}
	}
	for name, a := range routed {
		add(name, a, 3)
	}
	const short = "with the first two alone"
	add(short, routed["anthropic-sdk-go"], 2)
	for name, list := range targets {
		if _, err := srv.Call(t.Context(), http.MethodPost, "/api/v1/ai/routes", map[string]any{"name": name, "targets": list}, nil); err != nil {
			t.Fatal(err)
		}
	}
	for name, a := range routed {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sessions[name]
			s.outside = newOutside(t, srv.URL)
			said, used, err := a.work(t, s, firstPrompt, secondPrompt)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{firstSays, secondSays}, said); diff != "" {
				t.Errorf("what the agent said (-want +got):\n%s", diff)
			}
			s.check(t, len(downfalls))
			var want mockupstream.Usage
			for _, r := range s.up.Requests() {
				u := r.Usage
				if translated := r.Key == label(2); translated && a.vendor == "anthropic" {
					u.Input -= u.CacheRead + u.CacheWrite // which OpenAI's count includes
				} else if translated {
					u.Input += u.CacheRead + u.CacheWrite
				}
				want = sum(want, u)
			}
			if used != want || want.CacheRead == 0 || want.Reasoning == 0 {
				t.Errorf("the agent counted %+v, the upstream %+v", used, want)
			}
			// What is recorded is what each provider counted, as it counts.
			for i := range s.keys {
				checkRecords(t, srv, s.provider(i), slices.DeleteFunc(s.up.Requests(), func(r mockupstream.Request) bool { return r.Key != label(i) }))
			}
		})
	}
	// The control: what the last of the providers is there for.
	t.Run(short, func(t *testing.T) {
		t.Parallel()
		s := sessions[short]
		s.outside = newOutside(t, srv.URL)
		if said, _, err := routed["anthropic-sdk-go"].work(t, s, firstPrompt, secondPrompt); err == nil || slices.Contains(said, firstSays) {
			t.Errorf("without its last provider the agent said %q, %v", said, err)
		}
	})
}
