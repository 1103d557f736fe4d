package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/gatehousehq/gatehouse/internal/secret"
)

// maxInput is the most that is read from a file or standard input, in bytes.
const maxInput = 1 << 20

// A keySource says where the API keys of a provider come from.
type keySource struct {
	file, env string
	otherwise string // what else can be done where there is none
}

func (k *keySource) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&k.file, "api-key-file", "", "read the API keys from this `file`, one a line; - is standard input")
	f.StringVar(&k.env, "api-key-env", "", "read the API key from this environment `variable`")
	cmd.MarkFlagsMutuallyExclusive("api-key-file", "api-key-env")
}

func (k *keySource) given() bool { return k.file != "" || k.env != "" }

// read returns the keys in failover order, at least one. It prompts if no
// source is given.
func (k *keySource) read(cmd *cobra.Command, prompt string) ([]secret.Text, error) {
	switch {
	case k.env != "":
		v := os.Getenv(k.env)
		if v == "" {
			return nil, usagef("the variable that --api-key-env names is not set")
		}
		return []secret.Text{secret.New(v)}, nil
	case k.file != "" && k.file != "-":
		return k.lines(cmd)
	}
	if in, ok := terminal(cmd); ok {
		key, err := promptSecret(cmd, in, prompt, "the API key")
		return []secret.Text{key}, err
	}
	if k.file == "-" {
		return k.lines(cmd)
	}
	return nil, usagef("an API key is needed, and there is no terminal to ask for it: give --api-key-file (- is standard input) or --api-key-env%s", k.otherwise)
}

func (k *keySource) lines(cmd *cobra.Command) ([]secret.Text, error) {
	keys, err := secretsIn(cmd, "--api-key-file", k.file, "the API keys")
	if err == nil && len(keys) == 0 {
		err = errors.New("read the API keys: there is none")
	}
	return keys, err
}

// secretsIn reads one secret a line from the file that a flag names; - is standard
// input. Empty lines do not count; space around a secret is left for the server to
// refuse. what is for the errors.
func secretsIn(cmd *cobra.Command, flag, file, what string) ([]secret.Text, error) {
	r := cmd.InOrStdin()
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("open the file that %s names: %w", flag, cause(err))
		}
		defer func() { _ = f.Close() }() // it was only read
		r = f
	}
	b, err := untilDone(cmd.Context(), func() ([]byte, error) { return io.ReadAll(io.LimitReader(r, maxInput+1)) })
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, cause(err))
	}
	if len(b) > maxInput {
		return nil, fmt.Errorf("read %s: there is more than 1 MiB", what)
	}
	var all []secret.Text
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if line != "" {
			all = append(all, secret.New(line))
		}
	}
	return all, nil
}

// promptSecret asks a person for what they type without it being shown.
func promptSecret(cmd *cobra.Command, in *os.File, prompt, what string) (secret.Text, error) {
	_, _ = fmt.Fprint(cmd.ErrOrStderr(), printable(prompt)+" (it is not shown): ") // the terminal may be gone; then the read fails
	b, err := readPassword(cmd.Context(), int(in.Fd()))
	say(cmd, "")
	if err != nil {
		return secret.Text{}, fmt.Errorf("read %s: %w", what, err)
	}
	if len(b) == 0 {
		return secret.Text{}, fmt.Errorf("read %s: there is none", what)
	}
	return secret.New(string(b)), nil
}

// readPassword reads a line that is not shown. When ctx ends, or on an
// interrupt, it gives the terminal its echo back.
func readPassword(ctx context.Context, fd int) ([]byte, error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	state, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	b, err := untilDone(ctx, func() ([]byte, error) { return term.ReadPassword(fd) })
	if ctx.Err() != nil {
		return nil, errors.Join(ctx.Err(), term.Restore(fd, state))
	}
	return b, err
}

// untilDone returns what read returns, or the error of ctx if that ends first.
// A read from standard input cannot be stopped: then it goes on until the
// process ends, which is about to.
func untilDone(ctx context.Context, read func() ([]byte, error)) ([]byte, error) {
	type result struct {
		b   []byte
		err error
	}
	done := make(chan result, 1)
	go func() {
		b, err := read()
		done <- result{b, err}
	}()
	select {
	case r := <-done:
		return r.b, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// terminal returns standard input if a person sits there.
func terminal(cmd *cobra.Command) (*os.File, bool) {
	f, ok := cmd.InOrStdin().(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}

// confirm asks whether to go on. Without a terminal it takes --yes alone.
func confirm(cmd *cobra.Command, yes bool, question string) error {
	if yes {
		return nil
	}
	in, ok := terminal(cmd)
	if !ok {
		return usagef("this removes something, and there is no terminal to ask for consent: give --yes")
	}
	_, _ = fmt.Fprint(cmd.ErrOrStderr(), printable(question)+" [y/N] ") // the terminal may be gone; then the read fails
	answer, err := untilDone(cmd.Context(), func() ([]byte, error) { return readLine(in), nil })
	if err != nil {
		return err
	}
	if s := strings.ToLower(strings.TrimSpace(string(answer))); s != "y" && s != "yes" {
		return errors.New("nothing was removed")
	}
	return nil
}

// readLine reads to the end of a line or of r, and no further.
func readLine(r io.Reader) []byte {
	var line []byte
	b := make([]byte, 1)
	for len(line) < 100 {
		if _, err := io.ReadFull(r, b); err != nil || b[0] == '\n' {
			break // what was typed until then counts
		}
		line = append(line, b[0])
	}
	return line
}

// readSettings returns the settings document that --settings gives: JSON, or
// @ and the name of a file with it.
func readSettings(flag string) (json.RawMessage, error) {
	text := []byte(flag)
	if name, ok := strings.CutPrefix(flag, "@"); ok {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read the file that --settings names: %w", cause(err))
		}
		text = b
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(text, &object) != nil || object == nil {
		return nil, usagef("--settings must be a JSON object, or @ and the name of a file with one")
	}
	return text, nil
}

// cause returns err without the name of a file, in the place of which a secret
// may have been typed.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
