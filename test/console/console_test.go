// Package console drives the console of the real gatehouse binary with a real
// Chromium.
//
// The test builds the binary, puts it before a mock upstream, on SQLite and, where
// GATEHOUSE_TEST_POSTGRES is set and the long form is asked for, on PostgreSQL, and
// has the script beside it (drive.mjs) sign in and go through every screen and its
// errors. The script fails for a violation of axe's rules, for anything that the
// browser reports to its log, a breach of the Content-Security-Policy above all, and
// for a request to another host. With -screenshots it writes what every screen looks
// like, narrow and wide, light and dark.
package console_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
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

var (
	screenshots = flag.String("screenshots", "", "write what the screens look like to this `directory`")
	long        = flag.Bool("long", false, "drive the console on PostgreSQL, too")
)

// The upstream keys: a good one, one without credit, and one that is rate limited.
const (
	goodKey    = "sk-mock-console-good-00000001"
	spareKey   = "sk-mock-console-spare-0000002"
	limitedKey = "sk-mock-console-limited-00003"
)

func TestConsole(t *testing.T) {
	t.Parallel()
	browser := need(t)
	bin, err := realserver.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Run("presets are those of the command line", func(t *testing.T) {
		t.Parallel()
		testPresets(t, bin)
	})
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		drive(t, bin, browser, "")
	})
	if *long {
		t.Run("PostgreSQL", func(t *testing.T) {
			t.Parallel()
			drive(t, bin, browser, storetest.NewPostgres(t))
		})
	}
}

// need returns the path of the browser, and skips the test where it or the
// script's packages are missing.
func need(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat(filepath.Join("node_modules", "playwright-core", "package.json")); err != nil {
		t.Skip("playwright-core is missing: run scripts/setup console")
	}
	for _, name := range []string{"chromium", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("a browser is missing: run scripts/setup chromium")
	return ""
}

// drive runs the script against a new server.
func drive(t *testing.T, bin, browser, databaseURL string) {
	upstream := httptest.NewServer(mockupstream.New(mockupstream.Config{
		Keys: map[secret.Text]mockupstream.Key{
			secret.New(goodKey): {Label: "good"}, secret.New(spareKey): {Label: "spare"},
			secret.New(limitedKey): {Label: "limited", Behaviour: mockupstream.RateLimited},
		},
		RetryAfter: time.Minute,
	}))
	t.Cleanup(upstream.Close)
	srv, err := realserver.Start(t.Context(), realserver.Config{Binary: bin, Dir: t.TempDir(), DatabaseURL: databaseURL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Stop(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "drive.mjs")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	// What the script is told has secrets in it: it goes in by its standard input.
	told, err := json.Marshal(map[string]any{
		"url": srv.URL, "upstream": upstream.URL, "browser": browser, "screenshots": *screenshots,
		"ownerToken": srv.OwnerToken().Reveal(), "goodKey": goodKey, "spareKey": spareKey, "limitedKey": limitedKey,
		"sandbox": os.Getuid() != 0,
	})
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin = bytes.NewReader(told)
	err = cmd.Run()
	t.Logf("%s", &out)
	if err != nil {
		t.Fatalf("the script failed: %v", err)
	}
}

func testPresets(t *testing.T, bin string) {
	cmd := exec.CommandContext(t.Context(), bin, "provider", "add", "--list-presets", "--output", "json")
	listed, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile("../../web/src/presets.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(kept), string(listed)); diff != "" {
		t.Errorf("web/src/presets.json is not what the command line lists (-kept +listed):\n%s", diff)
	}
}
