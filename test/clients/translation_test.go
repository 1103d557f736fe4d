package clients_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/mockupstream"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/translate"
)

// A translator is a server for clients of each API, in front of an upstream that
// speaks another: as little of a gateway as can be.
type translator struct {
	// upstream answers a request, of the API, that was translated.
	upstream func(ctx context.Context, api translate.API, body []byte, stream bool) (*http.Response, error)
	api      translate.API
	count    atomic.Int64
}

func (tr *translator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	client, ok := apiOf(r.URL.Path)
	switch {
	case r.Header.Get("Upgrade") != "":
		w.WriteHeader(http.StatusUpgradeRequired)
		return
	case !ok:
		http.NotFound(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	t := translate.New(client, tr.api, translate.Options{Model: "the-model", Thoughts: true, Now: time.Now(), ID: strconv.FormatInt(tr.count.Add(1), 10)})
	asked, err := t.Request(body)
	if err != nil {
		answerJSON(w, http.StatusBadRequest, t.Error(http.StatusBadRequest, fmt.Appendf(nil, `{"message":%q}`, err)))
		return
	}
	var head struct{ Stream bool }
	if err := json.Unmarshal(asked, &head); err != nil {
		answerJSON(w, http.StatusInternalServerError, nil)
		return
	}
	res, err := tr.upstream(r.Context(), tr.api, asked, head.Stream)
	if err != nil {
		answerJSON(w, http.StatusBadGateway, t.Error(http.StatusBadGateway, nil))
		return
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusOK && head.Stream {
		w.Header().Set("Content-Type", "text/event-stream")
		if _, err := io.Copy(flusher{w}, t.Reader(res.Body)); err != nil {
			panic(http.ErrAbortHandler)
		}
		return
	}
	whole, err := io.ReadAll(res.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if res.StatusCode != http.StatusOK {
		answerJSON(w, res.StatusCode, t.Error(res.StatusCode, whole))
		return
	}
	answer, err := t.Response(whole)
	if err != nil {
		answerJSON(w, http.StatusBadGateway, t.Error(http.StatusBadGateway, whole))
		return
	}
	answerJSON(w, http.StatusOK, answer)
}

func answerJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may have left
}

type flusher struct{ http.ResponseWriter }

func (f flusher) Write(b []byte) (int, error) {
	n, err := f.ResponseWriter.Write(b)
	f.ResponseWriter.(http.Flusher).Flush()
	return n, err
}

func apiOf(path string) (translate.API, bool) {
	for _, api := range []translate.API{translate.Chat, translate.Responses, translate.Messages} {
		if strings.HasSuffix(path, "/v1/"+api.Path()) {
			return api, true
		}
	}
	return 0, false
}

const translatedKey = "sk-mock-translated-0000000001"

// TestTranslation has every agent work with a model behind each of the other
// APIs, and compares what it did, said and counted with what the model saw, said
// and counted.
func TestTranslation(t *testing.T) {
	t.Parallel()
	needNode(t, "@anthropic-ai/claude-code", "@openai/codex")
	for name, a := range agents {
		if a.vendor == "gemini" || a.via.settings != nil {
			continue // nothing is translated from the first, and the others speak as those without
		}
		own := translate.Chat
		switch {
		case a.vendor == "anthropic":
			own = translate.Messages
		case name == "Codex":
			own = translate.Responses
			a = newCodex("web_search = \"disabled\"\n") // as docs/translation.md says
		case strings.Contains(name, "responses"):
			own = translate.Responses
		}
		for _, api := range []translate.API{translate.Chat, translate.Responses, translate.Messages} {
			if api != own {
				t.Run(name+" to "+api.String(), func(t *testing.T) {
					t.Parallel()
					testTranslation(t, a, own, api)
				})
			}
		}
	}
}

func testTranslation(t *testing.T, a agent, own, api translate.API) {
	s := &session{dir: t.TempDir(), home: t.TempDir(), token: secret.New("unused")}
	if err := os.WriteFile(filepath.Join(s.dir, noteName), []byte(noteText+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	play := mockupstream.Play(
		mockupstream.Turn{Text: "I read the note.", Calls: []mockupstream.ToolCall{a.read(s.dir), a.run}, CacheWrite: 300},
		mockupstream.Turn{Text: firstSays, CacheRead: 300, Reasoning: 20},
		mockupstream.Turn{Text: secondSays, CacheRead: 310},
	)
	s.up = mockupstream.New(mockupstream.Config{
		Keys: map[secret.Text]mockupstream.Key{secret.New(translatedKey): {Label: "the key"}},
		Script: func(c mockupstream.Conversation) (mockupstream.Turn, bool) {
			turn, ok := play(c)
			if ok {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.seen = append(s.seen, c)
			}
			return turn, ok
		},
	})
	upstream := httptest.NewServer(s.up)
	t.Cleanup(upstream.Close)
	front := httptest.NewServer(&translator{api: api, upstream: func(ctx context.Context, api translate.API, body []byte, _ bool) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, upstream.URL+"/v1/"+api.Path(), bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", "application/json")
		if api == translate.Messages {
			req.Header.Set("X-Api-Key", translatedKey)
			req.Header.Set("Anthropic-Version", "2023-06-01")
		} else {
			req.Header.Set("Authorization", "Bearer "+translatedKey)
		}
		return http.DefaultClient.Do(req)
	}})
	t.Cleanup(front.Close)
	s.outside = newOutside(t, front.URL)
	s.url = front.URL
	if a.vendor == "openai" {
		s.url += "/v1"
	}
	said, used, err := a.work(t, s, firstPrompt, secondPrompt)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{firstSays, secondSays}, said); diff != "" {
		t.Errorf("what the agent said (-want +got):\n%s", diff)
	}
	seen := s.conversations()
	if len(seen) != 3 {
		t.Fatalf("the model was asked for %d turns, want 3", len(seen))
	}
	for i, c := range seen {
		if c.Answers != i {
			t.Errorf("turn %d has %d answers before it", i, c.Answers)
		}
	}
	if r := seen[1].Results; len(r) != 2 || !strings.Contains(r[0], noteText) || !strings.Contains(r[1], shellSays) {
		t.Errorf("the tools gave %q", r)
	}
	var want mockupstream.Usage
	for _, r := range s.up.Requests() {
		if r.Status != http.StatusOK {
			t.Errorf("the upstream answered %d", r.Status)
		}
		want = sum(want, r.Usage)
	}
	// OpenAI's count of input includes what has to do with a cache.
	switch {
	case own == translate.Messages:
		want.Input -= want.CacheRead + want.CacheWrite
	case api == translate.Messages:
		want.Input += want.CacheRead + want.CacheWrite
	}
	if used != want || want.CacheRead == 0 || want.Reasoning == 0 {
		t.Errorf("the agent counted %+v, the upstream %+v", used, want)
	}
	s.outside.check(t)
}

// A fixtures serves recorded answers, translated: at /API/NAME/v1/… that of the
// folder of that API in the testdata of package translate.
type fixtures struct{}

const testdata = "../../internal/translate/testdata/"

func (fixtures) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	parts := strings.SplitN(r.URL.Path, "/", 4)
	apis := map[string]translate.API{"chat": translate.Chat, "responses": translate.Responses, "messages": translate.Messages}
	if _, ok := apis[parts[1]]; !ok || len(parts) < 4 {
		http.NotFound(w, r)
		return
	}
	folder, name := parts[1], parts[2]
	(&translator{api: apis[folder], upstream: func(_ context.Context, _ translate.API, _ []byte, stream bool) (*http.Response, error) {
		if status, err := strconv.Atoi(name); err == nil {
			body := fmt.Sprintf(`{"error":{"type":"invalid_request_error","code":null,"message":"recorded %d"}}`, status)
			return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body))}, nil
		}
		file := testdata + "answers/" + folder + "/" + name + ".json"
		if stream {
			file = testdata + "streams/" + folder + "/" + name + ".sse"
		}
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		return &http.Response{StatusCode: http.StatusOK, Body: f}, nil
	}}).ServeHTTP(w, r)
}

// TestTranslationIsRead has the vendors' SDKs of Go read translations of recorded
// answers, whole and in streams.
func TestTranslationIsRead(t *testing.T) {
	t.Parallel()
	sdks, err := goSDKs()
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(fixtures{})
	t.Cleanup(srv.Close)
	ctx, cancel := context.WithTimeout(t.Context(), sdksTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, sdks.tests, "-test.run", "^TestTranslated", "-test.v")
	cmd.Env = []string{"HOME=" + t.TempDir(), "TRANSLATED_URL=" + srv.URL}
	out, err := cmd.CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("SKIP")) || bytes.Count(out, []byte("--- PASS: ")) < 18 {
		t.Errorf("%v\n%s", err, out)
	}
}
