// Package clients drives the real gatehouse binary with the vendors' own SDKs, and
// with Claude Code and Codex.
//
// The scripts beside it (npm test) are the SDKs' side; they can be pointed at
// any Gatehouse that has the mock upstream behind it. The test here builds the
// binary, puts it between the scripts and a mock upstream whose first keys are
// rate limited, on SQLite and, where GATEHOUSE_TEST_POSTGRES is set, on
// PostgreSQL, and then looks at what went upstream, what was audited and what
// was logged. TestAgents has Claude Code and Codex work, with tools, for a scripted
// model whose keys fall one after the other. Nothing here needs a network, and
// TestAgents also sees to it that nothing wants one.
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
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	// What the binary is made of: with these a change of it is a change of this
	// test, which go test then does not answer from its cache.
	_ "github.com/gatehousehq/gatehouse/internal/app"
	_ "github.com/gatehousehq/gatehouse/internal/cli"
	"github.com/gatehousehq/gatehouse/internal/mockupstream"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
	"github.com/gatehousehq/gatehouse/test/clients/realserver"
)

// The upstream keys: of each provider the first is rate limited.
const (
	openaiLimited    = "sk-mock-openai-limited-0001"
	openaiGood       = "sk-mock-openai-good-0000002"
	anthropicLimited = "sk-ant-mock-limited-0000003"
	anthropicGood    = "sk-ant-mock-good-0000000004"
	geminiLimited    = "AIza-mock-limited-000000005"
	geminiGood       = "AIza-mock-good-00000000006"
)

func TestSDKs(t *testing.T) {
	t.Parallel()
	needNode(t, "openai", "@anthropic-ai/sdk", "@google/genai")
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		testSDKs(t, "")
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		testSDKs(t, storetest.NewPostgres(t))
	})
}

// needNode skips the test where Node.js or one of these packages of npm is not
// installed.
func needNode(t *testing.T, packages ...string) {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("node is missing: run scripts/setup node")
	}
	for _, name := range packages {
		if _, err := os.Stat(filepath.Join("node_modules", name, "package.json")); err != nil {
			t.Skipf("%s is missing: run scripts/setup node", name)
		}
	}
}

// binary builds gatehouse, once for all tests.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := scratch()
	if err != nil {
		return "", err
	}
	return realserver.Build(context.Background(), dir)
})

// scratch makes a directory for what all tests use. It goes when they are through.
var scratch = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "gatehouse-clients-")
	scratchDir.Store(&dir)
	return dir, err
})

var scratchDir atomic.Pointer[string]

func TestMain(m *testing.M) {
	status := m.Run()
	if dir := scratchDir.Load(); dir != nil {
		_ = os.RemoveAll(*dir) // temporary files
	}
	os.Exit(status)
}

// startServer starts gatehouse on a database, "" for SQLite, until the test
// ends.
func startServer(t *testing.T, databaseURL string) *realserver.Server {
	t.Helper()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	srv, err := realserver.Start(t.Context(), realserver.Config{Binary: bin, Dir: t.TempDir(), DatabaseURL: databaseURL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		select {
		case <-srv.Exited(): // the test has stopped it
		default:
			if err := srv.Stop(); err != nil {
				t.Error(err)
			}
		}
		if t.Failed() {
			t.Logf("the server's log:\n%s", srv.Log())
		}
	})
	return srv
}

// newToken makes a token that can use the gateway.
func newToken(t *testing.T, srv *realserver.Server, name string) secret.Text {
	t.Helper()
	var created struct {
		Token secret.Text `json:"token"`
	}
	if _, err := srv.Call(t.Context(), http.MethodPost, "/api/v1/tokens", map[string]any{
		"name": name, "scopes": []string{"gateway:use"},
	}, &created); err != nil {
		t.Fatal(err)
	}
	return created.Token
}

// provider adds a provider, whose type is its name or the end of it.
func provider(t *testing.T, srv *realserver.Server, name, url string, keys ...string) {
	t.Helper()
	kind := name[strings.LastIndex(name, "-")+1:]
	if kind == "openai" {
		url += "/v1"
	}
	if _, err := srv.Call(t.Context(), http.MethodPost, "/api/v1/ai/providers", map[string]any{
		"type": kind, "name": name, "base_url": url, "api_keys": keys,
	}, nil); err != nil {
		t.Fatal(err)
	}
}

// upstreamKeys are the keys that the upstream of the SDKs knows.
func upstreamKeys() map[secret.Text]mockupstream.Key {
	return map[secret.Text]mockupstream.Key{
		secret.New(openaiLimited):    {Label: "openai limited", Behaviour: mockupstream.RateLimited},
		secret.New(openaiGood):       {Label: "openai good"},
		secret.New(anthropicLimited): {Label: "anthropic limited", Behaviour: mockupstream.RateLimited},
		secret.New(anthropicGood):    {Label: "anthropic good"},
		secret.New(geminiLimited):    {Label: "gemini limited", Behaviour: mockupstream.RateLimited},
		secret.New(geminiGood):       {Label: "gemini good"},
	}
}

func testSDKs(t *testing.T, databaseURL string) {
	up := mockupstream.New(mockupstream.Config{
		Keys:       upstreamKeys(),
		RetryAfter: time.Hour, // once limited, limited for the whole test
	})
	upstream := httptest.NewServer(up)
	t.Cleanup(upstream.Close)
	slow := newSlow(t)

	srv := startServer(t, databaseURL)
	provider(t, srv, "openai", upstream.URL, openaiLimited, openaiGood)
	provider(t, srv, "anthropic", upstream.URL, anthropicLimited, anthropicGood)
	provider(t, srv, "gemini", upstream.URL, geminiLimited, geminiGood)
	provider(t, srv, "slow-openai", slow.url, openaiGood)
	provider(t, srv, "slow-anthropic", slow.url, anthropicGood)
	token := newToken(t, srv, "sdks")

	for _, run := range []func(*testing.T, string, secret.Text) (string, error){runJavaScript, runGo} {
		if out, err := run(t, srv.URL, token); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
	checkUpstream(t, up.Requests())
	slow.check(t)
	for _, vendor := range []string{"openai", "anthropic", "gemini"} {
		checkRecords(t, srv, vendor, slices.DeleteFunc(up.Requests(), func(r mockupstream.Request) bool {
			return !strings.HasPrefix(r.Key, vendor)
		}))
	}
	secrets := []secret.Text{
		token, srv.OwnerToken(), secret.New(openaiLimited), secret.New(openaiGood),
		secret.New(anthropicLimited), secret.New(anthropicGood), secret.New(geminiLimited), secret.New(geminiGood),
	}
	checkAudit(t, srv, secrets)
	if err := srv.Stop(); err != nil {
		t.Error(err)
	}
	for i, s := range secrets {
		if strings.Contains(srv.Log(), s.Reveal()) {
			t.Errorf("secret %d is in the server's log", i)
		}
	}
}

// checkUpstream looks at what left the gateway.
func checkUpstream(t *testing.T, requests []mockupstream.Request) {
	t.Helper()
	count := map[string]int{}
	for i, r := range requests {
		what := fmt.Sprintf("request %d, %s %s", i, r.Method, r.Path)
		count[r.Key]++
		vendor, _, _ := strings.Cut(r.Key, " ")
		var want map[string][]secret.Text
		switch {
		case vendor == "openai" && strings.HasSuffix(r.Key, "limited"):
			want = map[string][]secret.Text{"Authorization": {secret.New("Bearer " + openaiLimited)}}
		case vendor == "openai":
			want = map[string][]secret.Text{"Authorization": {secret.New("Bearer " + openaiGood)}}
		case vendor == "gemini" && strings.HasSuffix(r.Key, "limited"):
			want = map[string][]secret.Text{"X-Goog-Api-Key": {secret.New(geminiLimited)}}
		case vendor == "gemini":
			want = map[string][]secret.Text{"X-Goog-Api-Key": {secret.New(geminiGood)}}
		case strings.HasSuffix(r.Key, "limited"):
			want = map[string][]secret.Text{"X-Api-Key": {secret.New(anthropicLimited)}}
		default:
			want = map[string][]secret.Text{"X-Api-Key": {secret.New(anthropicGood)}}
		}
		if !cmp.Equal(r.Credentials, want, cmp.Comparer(func(a, b secret.Text) bool { return a == b })) {
			t.Errorf("%s: its credentials are not those of the key %q alone", what, r.Key)
		}
		if strings.Contains(fmt.Sprint(r.Header, r.Query, r.Path), "gate_") {
			t.Errorf("%s carries a Gatehouse token", what)
		}
		if agent := r.Header.Get("User-Agent"); agent == "" || strings.HasPrefix(agent, "Go-http-client") {
			t.Errorf("%s: the user agent %q is not the client's", what, agent)
		}
		if r.Method == http.MethodPost && r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: content type %q", what, r.Header.Get("Content-Type"))
		}
		if strings.HasSuffix(r.Key, "limited") && r.Status == http.StatusTooManyRequests {
			checkFailover(t, what, r, requests[i+1:])
		}
	}
	for key, atLeast := range map[string]int{"openai good": 16, "anthropic good": 14, "gemini good": 10, "openai limited": 1, "anthropic limited": 1, "gemini limited": 1} {
		if count[key] < atLeast {
			t.Errorf("%q was used %d times, want %d or more", key, count[key], atLeast)
		}
	}
	// The scripts of the vendors run at once, but each sends one request after the
	// other: who was told to wait an hour is not asked for that model again, and for
	// none once it was a request without one. Two models and the list are asked for.
	for key, most := range map[string]int{"openai limited": 3, "anthropic limited": 2, "gemini limited": 3} {
		if count[key] > most {
			t.Errorf("%q was used %d times within the hour that it was to be left alone, want %d at most", key, count[key], most)
		}
	}
}

// checkFailover finds the attempt that followed a refused one: the same bytes
// with the next key.
func checkFailover(t *testing.T, what string, refused mockupstream.Request, later []mockupstream.Request) {
	t.Helper()
	next := strings.Replace(refused.Key, "limited", "good", 1)
	i := slices.IndexFunc(later, func(r mockupstream.Request) bool { return r.Key == next })
	if i < 0 {
		t.Errorf("%s was refused, and nothing followed", what)
		return
	}
	if later[i].Path != refused.Path || later[i].Query != refused.Query || later[i].BodySHA256 != refused.BodySHA256 ||
		later[i].BodySize != refused.BodySize || later[i].Status != http.StatusOK {
		t.Errorf("%s was refused; what followed is not the same request: %s, %d bytes, status %d",
			what, later[i].Path, later[i].BodySize, later[i].Status)
	}
}

// checkAudit reads the whole log of the server.
func checkAudit(t *testing.T, srv *realserver.Server, secrets []secret.Text) {
	t.Helper()
	var page struct {
		Items []struct {
			Action       string `json:"action"`
			ResourceType string `json:"resource_type"`
			RequestID    string `json:"request_id"`
			Actor        struct {
				Kind string `json:"kind"`
			} `json:"actor"`
		} `json:"items"`
	}
	body, err := srv.Call(t.Context(), http.MethodGet, "/api/v1/audit?limit=500", nil, &page)
	if err != nil {
		t.Error(err)
		return
	}
	got := map[string]int{}
	for _, e := range page.Items {
		if e.Actor.Kind != "user" {
			continue // the server's own first steps
		}
		got[e.Action+" "+e.ResourceType]++
		if e.RequestID == "" {
			t.Errorf("the entry %s %s says no request", e.Action, e.ResourceType)
		}
	}
	want := map[string]int{"create ai_provider": 5, "create ai_provider_key": 8, "create api_key": 1}
	for what, n := range want {
		if got[what] != n {
			t.Errorf("audited %d × %q, want %d; all: %v", got[what], what, n, got)
		}
	}
	for i, s := range secrets {
		if strings.Contains(string(body), s.Reveal()) {
			t.Errorf("secret %d is in the audit log", i)
		}
	}
}
