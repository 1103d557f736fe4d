package gateway_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/gateway"
	"github.com/gatehousehq/gatehouse/internal/journal"
	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/usage"
)

const (
	wholeAnswer    = `{"id":"x","model":"gpt-real","usage":{"prompt_tokens":12,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":2}}}`
	streamedAnswer = "data: {\"model\":\"gpt-real\",\"usage\":null}\n\n" +
		"data: {\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":5,\"prompt_tokens_details\":{\"cached_tokens\":4},\"completion_tokens_details\":{\"reasoning_tokens\":2}}}\n\ndata: [DONE]\n\n"
)

// What passes is what is recorded: the usage that the upstream reports, the
// lengths of the bodies, and who the client is.
func TestUsageIsRecorded(t *testing.T) {
	t.Parallel()
	counted := usage.Tokens{Input: 12, Output: 5, CacheRead: 4, Reasoning: 2, Known: true}
	for _, tc := range []struct {
		name, path, contentType, answer string
		status                          int
		most                            int64 // of a body that is held
		tokens                          usage.Tokens
		model                           string
	}{
		{"whole", "chat/completions", "application/json", wholeAnswer, 200, 0, counted, "gpt-real"},
		{"streamed", "chat/completions", "text/event-stream", streamedAnswer, 200, 0, counted, "gpt-real"},
		{"with a body that is not held", "chat/completions", "application/json", wholeAnswer, 200, 10, counted, "gpt-real"},
		{"an error uses nothing", "chat/completions", "application/json", wholeAnswer, 400, 0, usage.Tokens{}, ""},
		{"a path that is not inference", "files", "application/json", wholeAnswer, 200, 0, usage.Tokens{}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, func(c *gateway.Config) { c.MaxReplayBody = tc.most })
			h.upstream(routing.OpenAI, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", tc.contentType)
				w.WriteHeader(tc.status)
				for i := range tc.answer { // byte by byte
					_, _ = io.WriteString(w, tc.answer[i:i+1])
					if i%40 == 0 {
						_ = http.NewResponseController(w).Flush()
					}
				}
			}, key("k1"))
			const body = `{"model":"gpt-asked","messages":[]}`
			req := h.request("POST", "/ai/openai/v1/"+tc.path, body)
			req.Header.Set("User-Agent", "OpenAI/JS 5.1.0")
			a := h.do(req)
			rec := h.record()
			if diff := cmp.Diff(rec.Tokens, tc.tokens); diff != "" || rec.ActualModel != tc.model {
				t.Errorf("model %q, tokens (-got +want):\n%s", rec.ActualModel, diff)
			}
			if a.body != tc.answer || rec.RequestBytes != int64(len(body)) || rec.ResponseBytes != int64(len(tc.answer)) || rec.Client != "OpenAI/JS 5.1.0" {
				t.Errorf("%q: recorded as %+v", a.body, rec)
			}
		})
	}
}

// A model that an upstream names is recorded only if it is fit to be printed: an
// upstream repeats what it was asked for.
func TestModelsThatAreNotRecorded(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"gpt-real": "gpt-real", "gate_0123456789": ""} {
		h := newHouse(t)
		h.upstream(routing.OpenAI, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"model":"`+name+`","usage":{"prompt_tokens":1}}`)
		}, key("k1"))
		h.do(h.request("POST", "/ai/openai/v1/chat/completions", `{"model":"m"}`))
		if rec := h.record(); rec.ActualModel != want || rec.Tokens.Input != 1 {
			t.Errorf("%s: recorded as %+v", name, rec)
		}
	}
}

// shipped closes the journal, and returns what it has.
func shipped(t *testing.T, j *journal.Journal) (recs []usage.Record) {
	t.Helper()
	done := make(chan error)
	go func() {
		done <- j.Ship(context.Background(), func(_ context.Context, batch []usage.Record) error {
			recs = append(recs, batch...)
			return nil
		})
	}()
	for j.Depth() > 0 { // Close waits for a Ship that has begun
		time.Sleep(time.Millisecond)
	}
	if err := errors.Join(j.Close(context.Background()), <-done); err != nil {
		t.Fatal(err)
	}
	return recs
}

// A request is in the journal before the upstream hears of it, and its record is
// there when the client has its answer.
func TestRequestsAreJournalled(t *testing.T) {
	t.Parallel()
	j, err := journal.Open(t.TempDir(), journal.Config{})
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, func(c *gateway.Config) { c.Journal = j })
	status := 200
	h.upstream(routing.OpenAI, func(w http.ResponseWriter, r *http.Request) {
		if j.InFlight() != 1 {
			t.Errorf("%d requests have begun", j.InFlight())
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, wholeAnswer)
	}, key("k1"))
	limited := h.addToken(&routing.Token{ID: "t-limited", Name: "limited", Use: true, Models: []string{"other"}})
	want := map[string]int{}
	ask := func(change func(*http.Request), wanted int) {
		t.Helper()
		req := h.request("POST", "/ai/openai/v1/chat/completions", `{"model":"m"}`)
		change(req)
		before := j.Depth()
		a := h.do(req)
		if a.status != wanted {
			t.Fatalf("got %d %s", a.status, a.body)
		}
		if j.Depth() != before+1 {
			t.Errorf("%d: the client has its answer, and the journal has not", wanted)
		}
		want[a.header.Get("X-Gatehouse-Request-Id")] = wanted
	}
	ask(func(*http.Request) {}, 200)
	ask(func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+limited.Reveal()) }, 403)
	ask(func(r *http.Request) { r.URL.Path = strings.Replace(r.URL.Path, "openai", "nobody", 1) }, 404)
	status = 400
	ask(func(*http.Request) {}, 400)
	// Who has no token writes nothing.
	req := h.request("POST", "/ai/openai/v1/chat/completions", `{"model":"m"}`)
	req.Header.Set("Authorization", "Bearer nothing")
	h.do(req)

	if n := j.InFlight(); n != 0 {
		t.Errorf("%d requests are still on", n)
	}
	got := map[string]int{}
	for _, rec := range shipped(t, j) {
		got[rec.ID] = rec.Status
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("(-got +want):\n%s", diff)
	}
}

// The record names all that took part by ids, which stay when names change, and
// of a path only what no client can choose.
func TestRecordsSayWhoAndWhere(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.token = h.addToken(&routing.Token{ID: "t-ann", Name: "hers", OwnerID: "u-ann", Use: true, Passthrough: true})
	h.upstream(routing.OpenAI, func(http.ResponseWriter, *http.Request) {})
	for path, want := range map[string][2]string{
		"embeddings":          {"embeddings", "embeddings"},
		"models/sk-somewhere": {"models/{id}", "models/{id}"},
		"files/secret-name":   {"passthrough", ""},
	} {
		method := "GET"
		if path == "embeddings" {
			method = "POST"
		}
		h.do(h.request(method, "/ai/openai/v1/"+path, ""))
		rec := h.record()
		if got := [2]string{rec.Endpoint, rec.Path}; got != want {
			t.Errorf("%s: endpoint and path are %q, want %q", path, got, want)
		}
		if rec.OwnerID != "u-ann" || rec.TokenID != "t-ann" || rec.ProviderID != "p-openai" || rec.Provider != "openai" {
			t.Errorf("%s: %+v", path, rec)
		}
	}
}
