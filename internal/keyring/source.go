package keyring

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// SourceSetting is the setting that names the sources.
const SourceSetting = "--encryption-key-source"

// A Kind is a way to get at KEKs.
type Kind string

// The kinds of sources.
const (
	FromFile        Kind = "file"
	FromEnvironment Kind = "env"
	FromCredential  Kind = "credential" // of systemd
	FromCommand     Kind = "exec"
	FromVault       Kind = "vault"
	FromAWSKMS      Kind = "awskms"
)

// A Source is where KEKs are, as the operator names it.
type Source struct {
	Kind Kind
	// Name is what follows the colon: a path, a command, the name of a key.
	Name string
}

// String names the source for people. The arguments of a command are left out:
// one of them may be a secret.
func (s Source) String() string {
	name := s.Name
	if s.Kind == FromCommand {
		name, _, _ = strings.Cut(name, " ")
	}
	if name == "" {
		return string(s.Kind)
	}
	return string(s.Kind) + ":" + name
}

// ParseSources returns the sources that the setting lists, the one with the
// newest key first. Its errors do not repeat what they refuse: it may be a key,
// put where the name of its source belongs.
func ParseSources(list []string) ([]Source, error) {
	var out []Source
	for i, text := range list {
		s, err := parseSource(strings.TrimSpace(text))
		if err != nil {
			return nil, fmt.Errorf("source %d: %w", i+1, err)
		}
		if slices.Contains(out, s) {
			return nil, fmt.Errorf("source %d: it is named twice", i+1)
		}
		out = append(out, s)
	}
	return out, nil
}

func parseSource(text string) (Source, error) {
	kind, name, named := strings.Cut(text, ":")
	s := Source{Kind(kind), strings.TrimSpace(name)}
	if named && s.Name == "" {
		return s, fmt.Errorf("nothing follows the colon of %q", kind)
	}
	switch s.Kind {
	case FromFile:
	case FromEnvironment:
		if named {
			return s, fmt.Errorf("env is always the variable %s; nothing follows it", keysVariable)
		}
	case FromCredential:
		if strings.ContainsRune(s.Name, '/') {
			return s, errors.New("credential takes a name, not a path; for a path there is file:PATH")
		}
	case FromCommand:
		if !filepath.IsAbs(s.Name) {
			return s, errors.New("exec takes the full path of a program, as in exec:/usr/bin/op read op://vault/gatehouse")
		}
	case FromVault:
		if !vaultName.MatchString(s.Name) {
			return s, errors.New("vault takes the mount of the Transit engine and the name of a key, as in vault:transit/gatehouse")
		}
	case FromAWSKMS:
		if !named {
			return s, errors.New("awskms takes the id, the ARN or the alias of a key, as in awskms:alias/gatehouse")
		}
	default:
		return s, errors.New("it must begin with file, env, credential, exec, vault or awskms")
	}
	return s, nil
}

// vaultName is the path of a mount, which may have slashes in it, and the name of
// a key.
var vaultName = regexp.MustCompile(`^([\w-][\w.-]*/)+[\w-][\w.-]*$`)

// An Environ is the variables of a process, as of [os.Environ].
type Environ []string

// Get returns the value of a variable, "" if there is none.
func (e Environ) Get(name string) string {
	for _, v := range slices.Backward(e) {
		if n, value, _ := strings.Cut(v, "="); n == name {
			return value
		}
	}
	return ""
}

// An Opener opens the KEKs of a source of its kind, and tries whether they work.
// Its errors say where it looked, and have no secret in them.
type Opener func(ctx context.Context, name string, env Environ) ([]KEK, error)

// A Place is what [Open] looks into.
type Place struct {
	// File is the key file of a source "file" that names none.
	File    string
	Environ Environ
	// Unset, if not nil, takes a variable out of the environment of the process,
	// so that no other program inherits it.
	Unset func(name string) error
	// Openers are for the kinds that are not of this package.
	Openers map[Kind]Opener
}

// Default returns the sources that count where none is named: the variable if
// it is set, else the file.
func (p Place) Default() []Source {
	if p.Environ.Get(keysVariable) != "" {
		return []Source{{Kind: FromEnvironment}}
	}
	return []Source{{Kind: FromFile}}
}

// Open returns the KEKs of all sources in their order; the first wraps. It wants
// each source to have one at least, and none twice. The error is a [NoFileError] if
// the one source is the file that may be made, and it is not there.
func Open(ctx context.Context, sources []Source, p Place) ([]KEK, error) {
	if err := p.hide(sources); err != nil {
		return nil, err
	}
	var all []KEK
	from := map[string]Source{}
	for _, s := range sources {
		keks, err := p.open(ctx, s)
		if missing, ok := errors.AsType[*NoFileError](err); ok && len(sources) == 1 {
			return nil, missing
		} else if ok { // which is wanted cannot be known
			err = fmt.Errorf("%s; %s", missing, howToMake)
		}
		if err == nil && len(keks) == 0 {
			err = errors.New("there is no key in it")
		}
		if err != nil {
			return nil, fmt.Errorf("encryption key from %s: %w", s, err)
		}
		for _, k := range keks {
			if other, twice := from[k.ID()]; twice {
				return nil, fmt.Errorf("encryption key %s is there twice, from %s and from %s: remove one", Short(k.ID()), other, s)
			}
			from[k.ID()] = s
			all = append(all, k)
		}
	}
	return all, nil
}

// hide takes the keys out of the environment of the process. Keys that are there
// for nothing are a mistake: either they are not in use, or another is.
func (p Place) hide(sources []Source) error {
	if p.Environ.Get(keysVariable) == "" {
		return nil
	}
	if p.Unset != nil {
		if err := p.Unset(keysVariable); err != nil {
			return err
		}
	}
	if !slices.Contains(sources, Source{Kind: FromEnvironment}) {
		return fmt.Errorf("%s is set, and %s does not name env: add it there, or unset the variable", keysVariable, SourceSetting)
	}
	return nil
}

func (p Place) open(ctx context.Context, s Source) ([]KEK, error) {
	switch s.Kind {
	case FromFile:
		if s.Name == "" {
			return readDefaultFile(p.File)
		}
		return readFile(s.Name)
	case FromEnvironment:
		return readVariable(p.Environ)
	case FromCredential:
		return readCredential(s.Name, p.Environ)
	}
	open, ok := p.Openers[s.Kind]
	if !ok {
		return nil, errors.New("this build has no support for it")
	}
	return open(ctx, s.Name, p.Environ)
}
