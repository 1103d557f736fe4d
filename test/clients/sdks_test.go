package clients_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/mockupstream"
	"github.com/gatehousehq/gatehouse/internal/secret"
)

// sdksTimeout bounds one run of the SDKs, which takes a second or two.
const sdksTimeout = 2 * time.Minute

// runJavaScript runs npm's test script without npm.
func runJavaScript(t *testing.T, url string, token secret.Text) (string, error) {
	return runSDKs(t, url, token, "node", "--test", "--test-reporter=spec")
}

// runGo runs the tests in gosdk.
func runGo(t *testing.T, url string, token secret.Text) (string, error) {
	sdks, err := goSDKs()
	if err != nil {
		t.Fatal(err)
	}
	return runSDKs(t, url, token, sdks.tests)
}

func runSDKs(t *testing.T, url string, token secret.Text, command string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), sdksTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, command, args...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(),
		"GATEHOUSE_URL=" + url, "GATEHOUSE_TOKEN=" + token.Reveal(),
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w", filepath.Base(command), err)
	}
	return string(out), err
}

// goPrograms are what gosdk is built into.
type goPrograms struct{ tests, agent string }

// quick leaves the compiler's optimizations of the SDKs out: with them the SDKs,
// which are large, take twice as long to build.
var quick = []string{"-gcflags=github.com/openai/...=-N -l", "-gcflags=github.com/anthropics/...=-N -l"}

// goSDKs vets and builds gosdk, once for all tests.
var goSDKs = sync.OnceValues(func() (goPrograms, error) {
	dir, err := scratch()
	if err != nil {
		return goPrograms{}, err
	}
	p := goPrograms{tests: filepath.Join(dir, "gosdk.test"), agent: filepath.Join(dir, "agent")}
	for _, args := range [][]string{{"build", "-o", p.agent, "./agent"}, {"test", "-c", "-o", p.tests, "."}, {"vet", "./..."}} {
		cmd := exec.Command("go", slices.Insert(args, 1, quick...)...)
		cmd.Dir = "gosdk"
		if out, err := cmd.CombinedOutput(); err != nil {
			return goPrograms{}, fmt.Errorf("build the Go SDKs: %w\n%s", err, out)
		}
	}
	return p, nil
})

// A slow upstream begins to answer a stream and stops, until the client leaves.
type slow struct {
	url     string
	up      *mockupstream.Upstream
	running sync.WaitGroup
}

func newSlow(t *testing.T) *slow {
	t.Helper()
	s := &slow{up: mockupstream.New(mockupstream.Config{Keys: upstreamKeys(), Pace: time.Hour})}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.running.Add(1)
		defer s.running.Done()
		s.up.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	s.url = srv.URL
	return s
}

// check fails unless each of the streams was begun, and ended because the client
// had left.
func (s *slow) check(t *testing.T) {
	t.Helper()
	var got []string
	for _, r := range s.up.Requests() {
		got = append(got, r.Path)
	}
	if len(got) != 3 {
		t.Errorf("the streams that a client leaves were %q, want three", got)
	}
	ended := make(chan struct{})
	go func() { // ends with the requests, by the server's end at the latest
		s.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Error("the upstream is not told that the client has left")
	}
}

// TestSDKsNeedFailover is the control: with limited keys alone, what TestSDKs runs
// does not pass.
func TestSDKsNeedFailover(t *testing.T) {
	t.Parallel()
	needNode(t, "openai", "@anthropic-ai/sdk", "@google/genai")
	upstream := httptest.NewServer(mockupstream.New(mockupstream.Config{Keys: upstreamKeys(), RetryAfter: time.Hour}))
	t.Cleanup(upstream.Close)
	slow := newSlow(t)
	srv := startServer(t, "")
	provider(t, srv, "openai", upstream.URL, openaiLimited)
	provider(t, srv, "anthropic", upstream.URL, anthropicLimited)
	provider(t, srv, "gemini", upstream.URL, geminiLimited)
	provider(t, srv, "slow-openai", slow.url, openaiGood)
	provider(t, srv, "slow-anthropic", slow.url, anthropicGood)
	token := newToken(t, srv, "sdks")
	for _, c := range []struct {
		name   string
		run    func(*testing.T, string, secret.Text) (string, error)
		failed []string
	}{
		{"JavaScript", runJavaScript, []string{"✖ chat completion ", "✖ response ", "✖ embeddings ", "✖ message ", "✖ content "}},
		{"Go", runGo, []string{"--- FAIL: TestChatCompletion ", "--- FAIL: TestResponse ", "--- FAIL: TestEmbeddings ", "--- FAIL: TestMessage "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			out, err := c.run(t, srv.URL, token)
			if err == nil {
				t.Error("the SDKs got their answers")
			}
			for _, want := range c.failed {
				if !strings.Contains(out, want) {
					t.Errorf("there is no %q in\n%s", want, out)
				}
			}
		})
	}
}
