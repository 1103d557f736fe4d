package keyring

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode"

	"github.com/gatehousehq/gatehouse/internal/secret"
)

const (
	// keysVariable has keys in it, separated by commas or white space.
	keysVariable = "GATEHOUSE_ENCRYPTION_KEYS"
	// credentialsVariable is the directory of systemd with the credentials of the
	// service.
	credentialsVariable = "CREDENTIALS_DIRECTORY"
	defaultCredential   = "encryption-key"

	// MaxKeyFile is how large a key file may be, in bytes: a thousand keys.
	MaxKeyFile = 64 << 10
)

// howToMake says how to make a key.
const howToMake = "openssl rand -base64 32 makes one"

// A NoFileError says that the key file that may be made is not there.
type NoFileError struct{ File string }

func (e *NoFileError) Error() string { return fmt.Sprintf("there is no encryption key in %s", e.File) }

// ParseKeys returns the keys of a key file: one a line, the newest first, with
// empty lines and comments behind "#". Its errors do not carry them.
func ParseKeys(text secret.Text) ([]KEK, error) {
	var out []KEK
	for i, line := range strings.Split(text.Reveal(), "\n") {
		line, _, _ = strings.Cut(line, "#")
		if strings.TrimSpace(line) == "" {
			continue
		}
		k, err := ParseLocal([]byte(line))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		out = append(out, k)
	}
	if len(out) == 0 {
		return nil, errors.New("there is no key in it: expected 32 bytes in base64, one key a line; " + howToMake)
	}
	return out, nil
}

func readDefaultFile(file string) ([]KEK, error) {
	keks, err := readFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &NoFileError{file}
	}
	return keks, err
}

// readFile reads a key file. Where there is a link, as Kubernetes makes them,
// what counts is the file that it leads to.
func readFile(file string) ([]KEK, error) {
	text, err := readSecret(file, true)
	if err != nil {
		return nil, err
	}
	keks, err := ParseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return keks, nil
}

func readSecret(file string, private bool) (text secret.Text, err error) {
	// Not blocking: opening a pipe would wait for somebody to write into it.
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return text, fmt.Errorf("read the encryption key: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return text, err
	}
	if !info.Mode().IsRegular() {
		return text, fmt.Errorf("%s is not a file", file)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); private && ok && exposed(info.Mode(), int(st.Uid), os.Geteuid()) {
		return text, fmt.Errorf("%s: others have access to it (mode %04o): chmod 600 %s", file, info.Mode().Perm(), file)
	}
	b, err := io.ReadAll(io.LimitReader(f, MaxKeyFile+1))
	if err != nil {
		return text, fmt.Errorf("read the encryption key: %w", err)
	}
	if len(b) > MaxKeyFile {
		return text, fmt.Errorf("%s is too large to be a key file", file)
	}
	return secret.New(string(b)), nil
}

// exposed reports whether others than its owner, and root, have access to a key
// file. One that root owns may let its group read it: that is how Kubernetes
// hands a secret to a process that is not root (fsGroup).
func exposed(mode fs.FileMode, owner, self int) bool {
	perm := mode.Perm() &^ 0o700
	if owner == 0 && self != 0 {
		perm &^= 0o040
	}
	return perm != 0
}

func readVariable(env Environ) ([]KEK, error) {
	list := secret.New(env.Get(keysVariable))
	if list.IsZero() {
		return nil, fmt.Errorf("the variable %s is not set: put the key into it, or several separated by commas, the newest first; %s", keysVariable, howToMake)
	}
	separator := func(r rune) bool { return r == ',' || unicode.IsSpace(r) }
	keks, err := ParseKeys(secret.New(strings.Join(strings.FieldsFunc(list.Reveal(), separator), "\n")))
	if err != nil {
		// The lines are the keys: there is no other word for them here.
		return nil, fmt.Errorf("%s: %w", keysVariable, err)
	}
	return keks, nil
}

// readCredential reads a credential that systemd hands to the service. Who may
// read it is systemd's business: the mode shows more than there is where access
// is given by a list.
func readCredential(name string, env Environ) ([]KEK, error) {
	if name == "" {
		name = defaultCredential
	}
	dir := env.Get(credentialsVariable)
	if dir == "" {
		return nil, fmt.Errorf("%s is not set: is there a line LoadCredential=%s:PATH in the unit of systemd?", credentialsVariable, name)
	}
	file := filepath.Join(dir, name)
	text, err := readSecret(file, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("systemd gave no credential of that name: is there a line LoadCredential=%s:PATH in the unit?", name)
	}
	if err != nil {
		return nil, err
	}
	keks, err := ParseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return keks, nil
}
