package app_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/app"
	"github.com/gatehousehq/gatehouse/internal/config"
	"github.com/gatehousehq/gatehouse/internal/mockupstream"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

const (
	spentKey = "sk-canary-spent-0123456789-abcdef"
	goodKey  = "sk-canary-good-0123456789-abcdefg"
)

// eachDatabase runs fn with the flags of a server on each database.
func eachDatabase(t *testing.T, fn func(t *testing.T, flags ...string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		fn(t)
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		fn(t, "--database-url="+storetest.NewPostgres(t))
	})
}

// configure returns settings with a free port.
func configure(t *testing.T, dir string, flags ...string) config.Config {
	t.Helper()
	var cfg config.Config
	fs := pflag.NewFlagSet("server", pflag.ContinueOnError)
	cfg.Bind(fs)
	if err := fs.Parse(append([]string{"--data-dir=" + dir, "--http-address=127.0.0.1:0"}, flags...)); err != nil {
		t.Fatal(err)
	}
	if err := cfg.Load(fs, func(string) (string, bool) { return "", false }); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// A logBuffer is a log that can be read while it is written.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A running server.
type running struct {
	*app.Server
	dir  string
	log  *logBuffer
	stop func() error // once
	// Owner is a client with the owner's token.
	owner *client.Client
}

func options(log io.Writer) app.Options {
	return app.Options{
		Version: client.Version{Version: "test"},
		Log:     slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

// start serves until the test is over or stop is called.
func start(t *testing.T, dir string, flags ...string) *running {
	t.Helper()
	log := &logBuffer{}
	s, err := app.NewServer(t.Context(), configure(t, dir, flags...), options(log))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background()) // outlives t's context, which ends before the clean-up
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	stop := sync.OnceValue(func() error { cancel(); return <-served })
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	r := &running{Server: s, dir: dir, log: log, stop: stop}
	if b, err := os.ReadFile(filepath.Join(dir, "owner-token")); err == nil {
		r.owner = connect(t, s.URL(), strings.TrimSpace(string(b)))
	}
	return r
}

func connect(t *testing.T, url, token string) *client.Client {
	t.Helper()
	c, err := client.New(url, token, client.WithHTTPClient(&http.Client{Transport: newTransport(t)}))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newTransport(t *testing.T) *http.Transport {
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// dataDir returns a directory that only its owner can read.
func dataDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// newUpstream starts a mock provider that knows both keys.
func newUpstream(t *testing.T, cfg mockupstream.Config) (*mockupstream.Upstream, string) {
	t.Helper()
	cfg.Keys = map[secret.Text]mockupstream.Key{
		secret.New(spentKey): {Label: "spent", Behaviour: mockupstream.RateLimited},
		secret.New(goodKey):  {Label: "good"},
	}
	u := mockupstream.New(cfg)
	srv := httptest.NewServer(u)
	t.Cleanup(srv.Close)
	return u, srv.URL
}

const chat = `{"model":"mock-gpt","messages":[{"role":"user","content":"hi"}]}`

// ask sends a chat completion with a token and returns the status and the
// body.
func (r *running) ask(t *testing.T, provider, token string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL()+"/ai/"+provider+"/v1/chat/completions", strings.NewReader(chat))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	res, err := newTransport(t).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func (r *running) mint(t *testing.T, scopes ...string) client.CreatedToken {
	t.Helper()
	tok, err := r.owner.CreateToken(t.Context(), client.CreateToken{Name: "test", Scopes: scopes})
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func (r *running) add(t *testing.T, name, baseURL string, keys ...string) client.Provider {
	t.Helper()
	p, err := r.owner.CreateProvider(t.Context(), client.CreateProvider{Type: client.OpenAI, Name: name, BaseURL: baseURL, APIKeys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// eventually waits for something that another process, or the clock, brings
// about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to pass: %s", what)
		}
	}
}
