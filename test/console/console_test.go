// Package console drives the console of the real gatehouse binary with a real
// Chromium.
//
// The test builds the binary, puts it before a mock upstream, on SQLite and, where
// GATEHOUSE_TEST_POSTGRES is set, on PostgreSQL, and has the scripts beside it sign
// in: drive.mjs goes through every screen and its errors, managing.mjs through what one
// manages with, roles.mjs through what each
// role is shown, restart.mjs ends the server and starts it again, forms.mjs is refused
// wherever something is changed, many.mjs opens lists of much, and controls.mjs plants
// what the others are to find. A script fails for a violation of axe's rules, for
// anything that the browser reports to its log, a breach of the Content-Security-Policy
// above all, and for a request to another host. With -screenshots it writes what every
// screen looks like, narrow and wide, light and dark.
package console_test

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	// What the binary is made of: with these a change of it is a change of this
	// test, which go test then does not answer from its cache.
	_ "github.com/gatehousehq/gatehouse/internal/app"
	_ "github.com/gatehousehq/gatehouse/internal/cli"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
	"github.com/gatehousehq/gatehouse/test/clients/realserver"
)

var (
	screenshots = flag.String("screenshots", "", "write what the screens look like to this `directory`")
	long        = flag.Bool("long", false, "drive the console on PostgreSQL, too, and with a million entries")
)

// Each script has a server of its own.
var scripts = []struct {
	name     string
	postgres bool // on PostgreSQL without -long, too
}{
	{name: "drive"},
	{name: "roles"},
	{name: "restart", postgres: true},
	{name: "forms"},
	{name: "managing"},
	{name: "controls"},
}

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
	n := some
	if *long {
		n = many
	}
	t.Run("SQLite/many", func(t *testing.T) {
		t.Parallel()
		driveMany(t, &world{bin: bin, browser: browser}, n)
	})
	if *long {
		t.Run("PostgreSQL/many", func(t *testing.T) {
			t.Parallel()
			driveMany(t, &world{bin: bin, browser: browser, databaseURL: storetest.NewPostgres(t)}, n)
		})
	}
	t.Run("SQLite/oidc", func(t *testing.T) {
		t.Parallel()
		testOIDC(t, bin, browser)
	})
	for _, s := range scripts {
		t.Run("SQLite/"+s.name, func(t *testing.T) {
			t.Parallel()
			start(t, &world{bin: bin, browser: browser}).run(t, s.name, nil)
		})
		if *long || s.postgres {
			t.Run("PostgreSQL/"+s.name, func(t *testing.T) {
				t.Parallel()
				start(t, &world{bin: bin, browser: browser, databaseURL: storetest.NewPostgres(t)}).run(t, s.name, nil)
			})
		}
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
