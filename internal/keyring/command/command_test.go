package command

// The tests are from inside: some set a time of their own.

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/keyring"
	"github.com/gatehousehq/gatehouse/internal/secret"
)

// script writes a program of the shell and returns its path.
func script(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return file
}

func newKey(t *testing.T) (encoded, id string) {
	t.Helper()
	k, text, err := keyring.NewLocal()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text)), k.ID()
}

func TestKeysThatAProgramPrints(t *testing.T) {
	t.Parallel()
	newer, newerID := newKey(t)
	older, olderID := newKey(t)
	// The arguments come as they are, without a shell.
	file := script(t, `[ "$#" = 2 ] && [ "$1" = 'op://$HOME/;ls' ] && [ "$2" = "--x='y" ] || exit 3
echo "# two"; echo `+newer+`; echo; echo `+older+`; echo noise >&2`)
	keks, err := Open(t.Context(), file+" op://$HOME/;ls   --x='y", keyring.Environ{"PATH=/usr/bin:/bin"})
	if err != nil {
		t.Fatal(err)
	}
	if len(keks) != 2 || keks[0].ID() != newerID || keks[1].ID() != olderID {
		t.Errorf("got %d keys", len(keks))
	}
}

func TestProgramGetsNoSecretOfOurs(t *testing.T) {
	t.Parallel()
	key, _ := newKey(t)
	out := filepath.Join(t.TempDir(), "environment")
	_, err := Open(t.Context(), script(t, "env >"+out+"; echo "+key), keyring.Environ{
		"PATH=/usr/bin:/bin", "HOME=/root", "OP_SERVICE_ACCOUNT_TOKEN=theirs",
		"GATEHOUSE_ENCRYPTION_KEYS=canary", "GATEHOUSE_DATABASE_URL=canary", "GATEHOUSE_PROVIDER_1_KEYS=canary", "GATEHOUSE_TOKEN=canary",
		"OPENAI_API_KEY=canary", "ANTHROPIC_API_KEY=canary",
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(b); strings.Contains(got, "canary") || !strings.Contains(got, "OP_SERVICE_ACCOUNT_TOKEN=theirs") || !strings.Contains(got, "HOME=/root") {
		t.Errorf("its environment:\n%s", got)
	}
	// Nor does it without any variable.
	if _, err := Open(t.Context(), script(t, "/usr/bin/env >"+out+"; echo "+key), nil); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(out); err != nil || strings.Contains(string(b), "HOME=") {
		t.Errorf("without an environment it has %s, %v", b, err)
	}
}

func TestProgramsThatFail(t *testing.T) {
	t.Parallel()
	key, _ := newKey(t)
	for name, tt := range map[string]struct{ script, want string }{
		"says why":               {"echo 'not signed in' >&2; echo second >&2; exit 1", "exit status 1: not signed in"},
		"says nothing":           {"exit 7", "exit status 7"},
		"shows the key":          {"echo 'I have " + key + " here' >&2; exit 1", "I have [redacted] here"},
		"prints, and fails":      {"echo " + key + "; exit 1", "exit status 1"},
		"prints nothing":         {"true", "there is no key in it"},
		"prints no key":          {"echo " + key[:30], "what it printed: line 1: it is not an encryption key"},
		"prints too much":        {"yes '#' | head -c 200000", "too much"},
		"complains without end":  {"yes 'ab cd ' | tr -d '\\n' | head -c 200000 >&2; exit 1", "…"},
		"complains in colours":   {"printf '\\033[31mno\\033[0m\\a\\n' >&2; exit 1", "exit status 1: [31mno [0m"},
		"is ended by a signal":   {"kill -9 $$", "signal: killed"},
		"is not there (command)": {"exec /no/such/program", "exit status 127"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Open(t.Context(), script(t, tt.script), keyring.Environ{"PATH=/usr/bin:/bin"})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			if len(err.Error()) > 400 || strings.ContainsAny(err.Error(), "\x1b\n\a") || strings.Contains(err.Error(), "second") {
				t.Errorf("the error says too much: %q", err)
			}
			for i := 0; i+10 <= len(key); i++ {
				if strings.Contains(err.Error(), key[i:i+10]) {
					t.Fatal("the error has part of a key in it")
				}
			}
		})
	}
	if _, err := Open(t.Context(), "/no/such/program", nil); err == nil || !strings.Contains(err.Error(), "/no/such/program") {
		t.Errorf("no such program: %v", err)
	}
}

func TestProgramThatHangs(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"itself":                 "exec sleep 300",
		"in what it runs":        "sleep 300; true",
		"with what it left":      "sleep 300 & wait",
		"deaf to a polite word":  "trap '' TERM INT HUP; sleep 300; sleep 300",
		"having printed already": "echo AAAA; sleep 300",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			_, err := run(t.Context(), []string{script(t, text)}, []string{"PATH=/usr/bin:/bin"}, 200*time.Millisecond)
			if err == nil || !strings.Contains(err.Error(), "not done after 200ms") {
				t.Errorf("got %v", err)
			}
			if d := time.Since(start); d > 20*time.Second {
				t.Errorf("it took %v", d)
			}
		})
	}
	// What the program started ends with it: then nobody holds the pipe any more.
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	released := make(chan error, 1)
	go func() { // ends with the last who has the pipe open
		b, err := os.ReadFile(pipe)
		if err == nil && string(b) != "held" {
			err = fmt.Errorf("read %q", b)
		}
		released <- err
	}()
	if _, err := run(t.Context(), []string{script(t, "exec 3>"+pipe+"; printf held >&3; sleep 60; true")}, []string{"PATH=/usr/bin:/bin"}, time.Second); err == nil {
		t.Error("it did not hang")
	}
	select {
	case err := <-released:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("what the program started runs on")
	}
	// Who stops the server stops the program.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := run(ctx, []string{script(t, "sleep 300")}, nil, time.Minute); err == nil {
		t.Error("it ran for a server that stops")
	}
	// Its output counts though a program that it left behind still holds it.
	text, err := run(t.Context(), []string{script(t, "sleep 4 & echo done")}, []string{"PATH=/usr/bin:/bin"}, 20*time.Second)
	if err != nil || text != secret.New("done\n") {
		t.Errorf("one that leaves another behind: %v", err)
	}
}
