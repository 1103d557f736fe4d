package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gatehousehq/gatehouse/internal/mockupstream"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"gatehouse": func() { os.Exit(run()) }})
}

// The keys that the scripts' mock provider knows: the first is rate limited.
const (
	spentKey = "sk-canary-spent-0123456789-abcdef"
	goodKey  = "sk-canary-good-0123456789-abcdefg"
)

// TestScripts runs testdata/*.txtar against the real program, on SQLite and on
// PostgreSQL. A script has UPSTREAM, a mock provider, and PORT, a free port; it
// starts a server with "exec gatehouse server &" and waits for it with
// "serving". [sqlite] holds on SQLite only.
func TestScripts(t *testing.T) {
	for _, database := range []string{"sqlite", "postgres"} {
		t.Run(database, func(t *testing.T) {
			databaseURL := func() string { return "" }
			if database == "postgres" {
				if os.Getenv(storetest.PostgresVariable) == "" {
					t.Skip(storetest.PostgresVariable + " is not set: run through scripts/with-postgres, as make test does")
				}
				databaseURL = func() string { return storetest.NewPostgres(t) }
			}
			upstream := httptest.NewServer(mockupstream.New(mockupstream.Config{Keys: map[secret.Text]mockupstream.Key{
				secret.New(spentKey): {Label: "spent", Behaviour: mockupstream.RateLimited},
				secret.New(goodKey):  {Label: "good"},
			}}))
			t.Cleanup(upstream.Close)
			testscript.Run(t, testscript.Params{
				Dir: "testdata",
				Setup: func(e *testscript.Env) error {
					port, err := freePort()
					if err != nil {
						return err
					}
					e.Setenv("HOME", e.WorkDir)
					e.Setenv("UPSTREAM", upstream.URL)
					e.Setenv("PORT", fmt.Sprint(port))
					e.Setenv("GATEHOUSE_URL", fmt.Sprintf("http://127.0.0.1:%d", port))
					e.Setenv("GATEHOUSE_HTTP_ADDRESS", fmt.Sprintf("127.0.0.1:%d", port))
					e.Setenv("GATEHOUSE_DATA_DIR", filepath.Join(e.WorkDir, "data"))
					if u := databaseURL(); u != "" {
						e.Setenv("GATEHOUSE_DATABASE_URL", u)
					}
					return nil
				},
				Condition: func(name string) (bool, error) {
					if name != "sqlite" {
						return false, fmt.Errorf("there is no condition %q", name)
					}
					return database == name, nil
				},
				Cmds: map[string]func(*testscript.TestScript, bool, []string){"serving": serving, "secretfree": secretFree, "shutdown": shutdown},
			})
		})
	}
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}

// serving waits until the server answers.
func serving(ts *testscript.TestScript, _ bool, _ []string) {
	url := ts.Getenv("GATEHOUSE_URL") + "/readyz"
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		res, err := http.Get(url)
		if err != nil {
			continue
		}
		_ = res.Body.Close() // only the status is of interest
		if res.StatusCode == http.StatusOK {
			return
		}
	}
	ts.Fatalf("the server never answered")
}

// shutdown ends the server as a service manager would, and waits for it. It is not
// called stop: the script command of that name, which cannot be replaced, ends the
// script as passed.
func shutdown(ts *testscript.TestScript, _ bool, _ []string) {
	for _, c := range ts.BackgroundCmds() {
		ts.Check(c.Process.Signal(os.Interrupt))
	}
	ts.Check(ts.Exec("true"))
}

// secretFree fails if a file holds a part of an upstream key.
func secretFree(ts *testscript.TestScript, _ bool, files []string) {
	for _, f := range files {
		content := ts.ReadFile(f)
		for _, key := range []string{spentKey, goodKey} {
			for i := 3; i+10 <= len(key); i++ {
				if strings.Contains(content, key[i:i+10]) {
					ts.Fatalf("%s shows a part of an upstream key", f)
				}
			}
		}
	}
}
