package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/client/clienttest"
	"github.com/gatehousehq/gatehouse/internal/cli"
)

// canary begins every secret that the scripts give to a command. None may come
// out of one.
const canary = "sk-canary"

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"gatehouse": func() { os.Exit(gatehouse()) }})
}

// gatehouse is the program as main makes it.
func gatehouse() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	extra := &cobra.Command{
		Use: "extra", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return errors.New("out of coal") },
	}
	extra.Flags().String("data-dir", "", "a flag that is global elsewhere")
	root := cli.New("1.2.3", extra)
	root.SetOut(watch{os.Stdout})
	root.SetErr(watch{os.Stderr})
	return cli.Run(ctx, root)
}

// watch ends the program when a canary is written.
type watch struct{ io.Writer }

func (w watch) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(canary)) {
		fmt.Fprintln(os.Stderr, "A SECRET WAS WRITTEN")
		os.Exit(99)
	}
	return w.Writer.Write(b)
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			s := clienttest.NewServer()
			env.Defer(s.Close)
			env.Values["server"] = s
			env.Setenv("GATEHOUSE_URL", s.URL)
			env.Setenv("GATEHOUSE_TOKEN", s.Token)
			env.Setenv("CANARY", canary+"-0123456789-abcd")
			env.Setenv("TZ", "UTC")
			env.Setenv("GORACE", "atexit_sleep_ms=0") // else each command takes a second under -race
			closed := httptest.NewServer(nil)
			closed.Close() // nothing listens there
			env.Setenv("CLOSED_URL", closed.URL)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code": code, "models": models, "edit-behind": editBehind, "keys": keys, "changes": changes, "limit-token": limitToken,
			"owner-token": ownerToken, "expand": expand, "rotation": rotation, "findings": findings,
			"interrupt-rotation": interruptRotation, "looked": looked,
		},
	})
}

func server(ts *testscript.TestScript) *clienttest.Server {
	return ts.Value("server").(*clienttest.Server)
}

// code N COMMAND... runs a command and requires that exit code.
func code(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	if neg || err != nil || want == 0 {
		ts.Fatalf("usage: code N COMMAND..., N not 0")
	}
	err = ts.Exec(args[1], args[2:]...)
	var exit interface{ ExitCode() int }
	if !errors.As(err, &exit) || exit.ExitCode() != want {
		ts.Fatalf("got %v, want exit code %d", err, want)
	}
}

// models PROVIDER STATUS BODY sets what a provider answers when it is tested.
func models(ts *testscript.TestScript, _ bool, args []string) {
	status, err := strconv.Atoi(args[1])
	ts.Check(err)
	server(ts).SetModels(args[0], status, args[2])
}

// edit-behind PROVIDER lets somebody edit it before the next conditional change.
func editBehind(ts *testscript.TestScript, _ bool, args []string) { server(ts).EditBehind(args[0]) }

// keys PROVIDER KEY... requires that the provider has exactly those.
func keys(ts *testscript.TestScript, _ bool, args []string) {
	if got := server(ts).KeysOf(args[0]); !slices.Equal(got, args[1:]) {
		ts.Fatalf("%s has the keys %q, want %q", args[0], got, args[1:])
	}
}

// changes FILE requires that the changes that were asked for are those in the
// file, a line each: method, path, If-Match and body.
func changes(ts *testscript.TestScript, _ bool, args []string) {
	var got strings.Builder
	for _, r := range server(ts).Requests() {
		if r.Method != "GET" {
			fmt.Fprintln(&got, strings.TrimRight(fmt.Sprint(r.Method, " ", r.Path, " ", r.Header.Get("If-Match"), " ", r.Body), " "))
		}
	}
	if want := ts.ReadFile(args[0]); got.String() != want {
		ts.Fatalf("got the changes\n%s\nwant\n%s", got.String(), want)
	}
}

// limit-token SCOPE... makes the commands that follow use a token with those
// scopes.
func limitToken(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv("GATEHOUSE_TOKEN", server(ts).AddToken("limited", args...))
}

// owner-token DIR writes the owner's token there, as a server does.
func ownerToken(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	ts.Check(os.WriteFile(filepath.Join(dir, "owner-token"), []byte(server(ts).Token+"\n"), 0o600))
}

// expand FILE... replaces $NAME in files by the value of the variable.
func expand(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}

// rotation FILE sets the steps of the next rotation: JSON, one a line.
func rotation(ts *testscript.TestScript, _ bool, args []string) {
	server(ts).SetRotation(jsonLines[client.Rotation](ts, args[0])...)
}

// findings FILE sets what verifying the secrets finds: JSON, one a line.
func findings(ts *testscript.TestScript, _ bool, args []string) {
	server(ts).SetFindings(jsonLines[client.EncryptionFinding](ts, args[0])...)
}

func jsonLines[T any](ts *testscript.TestScript, file string) (out []T) {
	for line := range strings.Lines(ts.ReadFile(file)) {
		var v T
		ts.Check(json.Unmarshal([]byte(line), &v))
		out = append(out, v)
	}
	return out
}

// interrupt-rotation STATUS... has those who look at a rotation next answered
// with these statuses; 0 cuts the connection.
func interruptRotation(ts *testscript.TestScript, _ bool, args []string) {
	var statuses []int
	for _, a := range args {
		n, err := strconv.Atoi(a)
		ts.Check(err)
		statuses = append(statuses, n)
	}
	server(ts).InterruptRotation(statuses...)
}

// looked N waits until a rotation was looked at so many times.
func looked(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		n := 0
		for _, r := range server(ts).Requests() {
			if r.Method == "GET" && strings.HasSuffix(r.Path, "/rotation") {
				n++
			}
		}
		if n >= want {
			return
		}
	}
	ts.Fatalf("nobody looked at the rotation %d times", want)
}
