// Package password makes and checks the hashes that passwords are kept as, and
// says which passwords will do.
//
// A hash is argon2id (RFC 9106) in the PHC form, $argon2id$v=19$m=…,t=…,p=…$salt$key,
// with the parameters that OWASP recommends: 19 MiB, two passes, one lane. To make
// or check one takes that memory and some 30 ms of a CPU, on purpose; a [Hasher]
// does only so many at a time. It must not be done inside a transaction.
//
// A Hasher may be used concurrently.
package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"github.com/gatehousehq/gatehouse/internal/secret"
)

// AtATime is how many hashes are made or checked at a time: they take 19 MiB each.
const AtATime = 4

// params are those of one hash.
type params struct {
	memory uint32 // KiB
	passes uint32
	lanes  uint8
}

var current = params{memory: 19 << 10, passes: 2, lanes: 1}

const (
	saltBytes = 16
	keyBytes  = 32
	// Bounds of what is taken from a hash: one that somebody wrote into the database
	// must not take all memory.
	maxMemory = 256 << 10
	maxPasses = 16
	maxLanes  = 8
	maxHash   = 512
)

// A Hasher makes and checks hashes. Make it with [NewHasher].
type Hasher struct {
	turns  chan struct{}
	params params
	// dummy is checked for users who are not there, so that it takes as long.
	dummy string
}

// NewHasher returns a Hasher.
func NewHasher() *Hasher {
	h := &Hasher{turns: make(chan struct{}, AtATime), params: current}
	salt, key := make([]byte, saltBytes), make([]byte, keyBytes)
	rand.Read(salt) // never fails: crypto/rand ends the program instead
	rand.Read(key)
	h.dummy = h.params.format(salt, key)
	return h
}

// Hash returns what to keep of a password. It waits for its turn, or until ctx is
// done.
func (h *Hasher) Hash(ctx context.Context, p secret.Text) (secret.Text, error) {
	if err := h.turn(ctx); err != nil {
		return secret.Text{}, err
	}
	defer h.over()
	salt := make([]byte, saltBytes)
	rand.Read(salt) // never fails: crypto/rand ends the program instead
	return secret.New(h.params.format(salt, h.params.derive(p, salt, keyBytes))), nil
}

// Check reports whether p is the password that hash was made of. The zero hash is
// that of nobody: it is no password's, and takes as long as another to find out. It
// waits for its turn, or until ctx is done.
func (h *Hasher) Check(ctx context.Context, hash, p secret.Text) (bool, error) {
	text := hash.Reveal()
	if hash.IsZero() {
		text = h.dummy
	}
	ps, salt, key, err := parse(text)
	if err != nil {
		return false, err
	}
	if err := h.turn(ctx); err != nil {
		return false, err
	}
	defer h.over()
	same := subtle.ConstantTimeCompare(ps.derive(p, salt, uint32(len(key))), key) == 1
	return same && !hash.IsZero(), nil
}

func (h *Hasher) turn(ctx context.Context) error {
	select {
	case h.turns <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *Hasher) over() { <-h.turns }

func (ps params) derive(p secret.Text, salt []byte, n uint32) []byte {
	return argon2.IDKey([]byte(Normalise(p).Reveal()), salt, ps.passes, ps.memory, ps.lanes, n)
}

// Normalise returns p in Unicode's form NFC: the same characters typed at another
// keyboard are the same password.
func Normalise(p secret.Text) secret.Text { return secret.New(norm.NFC.String(p.Reveal())) }

var b64 = base64.RawStdEncoding.Strict()

func (ps params) format(salt, key []byte) string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, ps.memory, ps.passes, ps.lanes, b64.EncodeToString(salt), b64.EncodeToString(key))
}

var errHash = errors.New("password: the stored hash is not one that this version made: set the password again")

// parse takes a hash apart.
func parse(s string) (ps params, salt, key []byte, err error) {
	parts := strings.Split(s, "$")
	if len(s) > maxHash || len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return ps, nil, nil, errHash
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &ps.memory, &ps.passes, &ps.lanes); err != nil {
		return ps, nil, nil, errHash
	}
	salt, saltErr := b64.DecodeString(parts[4])
	key, keyErr := b64.DecodeString(parts[5])
	switch {
	case saltErr != nil || keyErr != nil || len(salt) < 8 || len(key) < 16:
		return ps, nil, nil, errHash
	case ps.lanes < 1 || ps.lanes > maxLanes || ps.passes < 1 || ps.passes > maxPasses || ps.memory < 8*uint32(ps.lanes) || ps.memory > maxMemory:
		return ps, nil, nil, errHash
	case ps.format(salt, key) != s: // the version, and another spelling of a number
		return ps, nil, nil, errHash
	}
	return ps, salt, key, nil
}
