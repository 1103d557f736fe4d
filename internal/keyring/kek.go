// Package keyring holds the encryption keys of an installation: the
// key-encrypting keys (KEKs), which the operator keeps, and the data keys that
// they wrap, which are rows of dbcrypt_keys.
//
// A [Ring] has the data keys. It never leaves the process and never prints, and
// is safe for concurrent use. What it holds is replaced as a whole when the rows
// change, so that keys are rotated while it is used.
package keyring

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbcrypt"
)

const keySize = 32

// Labels keep what is computed under one key for one purpose from meaning
// anything for another.
const (
	kekIDLabel  = "gatehouse kek id v1"
	digestLabel = "gatehouse data key digest v1"
	checkLabel  = "gatehouse data key check v1"
	wrapLabel   = "gatehouse data key wrap v1"
)

// A KEK wraps data keys. It may be in another place, and then each call asks
// there: never within a transaction.
type KEK interface {
	// ID names the key without telling anything of it, and stays the same for as
	// long as what it wrapped can be unwrapped.
	ID() string
	// Wrap returns what [KEK.Unwrap] returns dataKey of, given the same bound:
	// what the data key belongs to, which is no secret.
	Wrap(ctx context.Context, dataKey, bound []byte) ([]byte, error)
	// Unwrap returns [ErrAltered] for what this key did not wrap, or not for
	// bound. Other errors are of the way to it.
	Unwrap(ctx context.Context, wrapped, bound []byte) ([]byte, error)
}

// ErrAltered is for a wrapped key that does not open under the key that is said
// to have wrapped it.
var ErrAltered = errors.New("does not open")

// NewDataKey returns a fresh data key for an installation, wrapped for keeping.
func NewDataKey(ctx context.Context, kek KEK, installation string, purpose store.KeyPurpose) (store.EncryptionKey, error) {
	raw := make([]byte, keySize)
	rand.Read(raw) // never fails
	k := store.EncryptionKey{
		ActiveDigest: hex.EncodeToString(mac(raw, digestLabel)), Purpose: purpose, KEKID: kek.ID(),
		CheckValue: string(mac(raw, checkLabel)),
	}
	wrapped, err := kek.Wrap(ctx, raw, bound(installation, k))
	if err != nil {
		return store.EncryptionKey{}, fmt.Errorf("wrap a data key by %s: %w", kek.ID(), err)
	}
	k.WrappedKey = string(wrapped)
	return k, nil
}

// rewrap returns w wrapped by kek instead of the one that wrapped it, which is
// from.
func rewrap(ctx context.Context, from, kek KEK, installation string, w store.EncryptionKey) (store.EncryptionKey, error) {
	key, err := unwrap(ctx, from, installation, w)
	if err != nil {
		return w, err
	}
	wrapped, err := kek.Wrap(ctx, []byte(key.Secret.Reveal()), bound(installation, w))
	if err != nil {
		return w, fmt.Errorf("wrap data key %d by %s: %w", w.Number, kek.ID(), err)
	}
	w.FormerKEKs = store.SetOf(append(w.FormerKEKs.Slice(), w.KEKID)...)
	w.WrappedKey, w.KEKID = string(wrapped), kek.ID()
	return w, nil
}

// unwrap returns the data key of an active row.
func unwrap(ctx context.Context, kek KEK, installation string, w store.EncryptionKey) (dbcrypt.DataKey, error) {
	raw, err := kek.Unwrap(ctx, []byte(w.WrappedKey), bound(installation, w))
	switch {
	case errors.Is(err, ErrAltered),
		err == nil && (hex.EncodeToString(mac(raw, digestLabel)) != w.ActiveDigest || !hmac.Equal(mac(raw, checkLabel), []byte(w.CheckValue))):
		return dbcrypt.DataKey{}, fmt.Errorf("data key %d %w: the row of dbcrypt_keys was altered; restore it from a backup", w.Number, ErrAltered)
	case err != nil:
		return dbcrypt.DataKey{}, fmt.Errorf("unwrap data key %d by %s: %w", w.Number, kek.ID(), err)
	}
	return dbcrypt.DataKey{Digest: w.ActiveDigest, Secret: secret.New(string(raw))}, nil
}

// bound is what a data key belongs to.
func bound(installation string, k store.EncryptionKey) []byte {
	return []byte(strings.Join([]string{wrapLabel, installation, string(k.Purpose), k.ActiveDigest}, "\x00"))
}

func mac(key []byte, label string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(label))
	return m.Sum(nil)
}
