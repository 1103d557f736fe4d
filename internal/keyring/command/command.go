// Package command reads key-encrypting keys from what a program prints.
//
// It is the only package of Gatehouse that runs another program, and does so at
// the start only, if --encryption-key-source says exec. There is no shell.
// What the program prints is never shown; of what it complains about, the first
// line is, without what looks like a key.
package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/gatehousehq/gatehouse/internal/keyring"
	"github.com/gatehousehq/gatehouse/internal/secret"
)

const (
	// Timeout is how long the program may take.
	Timeout = 30 * time.Second
	// afterwards is how long it may hold on to its output when it is over, or has
	// been ended: a program that it left behind may have it, too.
	afterwards = time.Second

	maxComplaint = 200 // characters
)

var _ keyring.Opener = Open

// Open runs a program, given by its path, with arguments that are separated by
// spaces, and takes what it prints for a key file.
func Open(ctx context.Context, name string, env keyring.Environ) ([]keyring.KEK, error) {
	text, err := run(ctx, strings.Fields(name), clean(env), Timeout)
	if err != nil {
		return nil, err
	}
	keks, err := keyring.ParseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("what it printed: %w", err)
	}
	return keks, nil
}

// clean leaves out the secrets of Gatehouse, which are no business of another
// program: all its own variables, and those that providers are added from.
func clean(env keyring.Environ) []string {
	return slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return strings.HasPrefix(name, "GATEHOUSE_") || name == "OPENAI_API_KEY" || name == "ANTHROPIC_API_KEY"
	})
}

func run(ctx context.Context, args, env []string, timeout time.Duration) (secret.Text, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	if env == nil {
		env = []string{} // nil would be all of them
	}
	cmd.Env = env
	// A group of its own, so that what the program itself started ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = afterwards
	out, complaint := &bounded{max: keyring.MaxKeyFile}, &bounded{max: 4 << 10}
	cmd.Stdout, cmd.Stderr = out, complaint
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return secret.Text{}, fmt.Errorf("it was not done after %v", timeout)
	case errors.As(err, &exit):
		return secret.Text{}, fmt.Errorf("it ended with %v%s", exit.ProcessState, shown(complaint.kept.Bytes()))
	case err != nil && !errors.Is(err, exec.ErrWaitDelay): // that is one who left another behind
		return secret.Text{}, fmt.Errorf("run it: %w", err)
	case out.over:
		return secret.Text{}, errors.New("it printed too much to be keys")
	}
	return secret.New(out.kept.String()), nil
}

// looksLikeKey is a run of characters such as keys are made of.
var looksLikeKey = regexp.MustCompile(`[A-Za-z0-9+/=_-]{24,}`)

// shown returns what may be shown of a complaint: its first line, cut, without
// control characters and what looks like a key.
func shown(complaint []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(complaint)), "\n")
	line = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, line)
	// Before cutting: half a key is a key's half.
	line = strings.TrimSpace(looksLikeKey.ReplaceAllString(line, secret.Redacted))
	if r := []rune(line); len(r) > maxComplaint {
		line = string(r[:maxComplaint]) + "…"
	}
	if line == "" {
		return ""
	}
	return ": " + line
}

// A bounded keeps the beginning of what is written to it. It is no bytes.Buffer, since
// that would read for itself without end.
type bounded struct {
	kept bytes.Buffer
	max  int
	over bool
}

func (b *bounded) Write(p []byte) (int, error) {
	if room := b.max - b.kept.Len(); len(p) > room {
		b.over = true
		b.kept.Write(p[:room]) // never fails
		return len(p), nil
	}
	return b.kept.Write(p)
}
