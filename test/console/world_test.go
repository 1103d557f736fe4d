package console_test

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/mockupstream"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/test/clients/realserver"
)

// The upstream keys: a good one, another, and one that is rate limited.
const (
	goodKey    = "sk-mock-console-good-00000001"
	spareKey   = "sk-mock-console-spare-0000002"
	limitedKey = "sk-mock-console-limited-00003"
)

// A world is a server before a mock upstream, for one script.
type world struct {
	bin, browser, databaseURL string
	dir                       string // that of the server; made if it is ""
	flags                     []string

	upstream string
	mu       sync.Mutex
	srv      *realserver.Server
}

// start starts the server of a world, which ends with the test, and returns it.
func start(t *testing.T, w *world) *world {
	t.Helper()
	upstream := httptest.NewServer(mockupstream.New(mockupstream.Config{
		Keys: map[secret.Text]mockupstream.Key{
			secret.New(goodKey): {Label: "good"}, secret.New(spareKey): {Label: "spare"},
			secret.New(limitedKey): {Label: "limited", Behaviour: mockupstream.RateLimited},
		},
		RetryAfter: time.Minute,
	}))
	t.Cleanup(upstream.Close)
	w.upstream = upstream.URL
	if w.dir == "" {
		w.dir = t.TempDir()
	}
	if err := w.begin(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.srv.Stop(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// begin starts the server at an address.
func (w *world) begin(ctx context.Context, address string) error {
	srv, err := realserver.Start(ctx, realserver.Config{Binary: w.bin, Dir: w.dir, DatabaseURL: w.databaseURL, Address: address, Flags: w.flags})
	if err == nil {
		w.srv = srv
	}
	return err
}

// ServeHTTP lets a script end the server as kill -9 does, and start it again where
// it was.
func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch r.URL.Path {
	case "/kill":
		w.srv.Kill()
	case "/start":
		// It outlives the request.
		if err := w.begin(context.WithoutCancel(r.Context()), strings.TrimPrefix(w.srv.URL, "http://")); err != nil {
			http.Error(rw, err.Error(), http.StatusInternalServerError)
		}
	default:
		http.NotFound(rw, r)
	}
}

// run runs a script against the server, and tells it more.
func (w *world) run(t *testing.T, script string, more map[string]any) {
	t.Helper()
	control := httptest.NewServer(w)
	defer control.Close()
	told := map[string]any{
		"url": w.srv.URL, "control": control.URL, "upstream": w.upstream, "browser": w.browser, "screenshots": "",
		"ownerToken": w.srv.OwnerToken().Reveal(), "goodKey": goodKey, "spareKey": spareKey, "limitedKey": limitedKey,
		"sandbox": os.Getuid() != 0, "routes": routes(t),
	}
	if script == "drive" {
		told["screenshots"] = *screenshots
	}
	maps.Copy(told, more)
	// What the script is told has secrets in it: it goes in by its standard input.
	in, err := json.Marshal(told)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", script+".mjs")
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &out
	err = cmd.Run()
	t.Logf("%s", &out)
	if err != nil {
		t.Fatalf("the script failed: %v", err)
	}
}

var routePath = regexp.MustCompile(`createRoute\(\{[^\n]* path: '([^']+)'`)

// routes are the addresses of the console's screens, from its source.
func routes(t *testing.T) (all []string) {
	t.Helper()
	source, err := os.ReadFile("../../web/src/router.tsx")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range routePath.FindAllSubmatch(source, -1) {
		all = append(all, string(m[1]))
	}
	if len(all) < 10 {
		t.Fatalf("the console has the routes %v", all)
	}
	return all
}
