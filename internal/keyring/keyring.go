// Package keyring holds the encryption keys of an installation: the
// key-encrypting key (KEK), which the operator keeps, and the data keys that it
// wraps, which are rows of dbcrypt_keys.
//
// A [Ring] never leaves the process and never prints. It is safe for concurrent
// use once it is loaded.
package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbcrypt"
)

const (
	keySize  = 32
	kekIDHex = 32 // hexadecimal digits of a KEK's id
)

// Labels keep what is computed under one key for one purpose from meaning
// anything for another.
const (
	kekIDLabel  = "gatehouse kek id v1"
	digestLabel = "gatehouse data key digest v1"
	checkLabel  = "gatehouse data key check v1"
	wrapLabel   = "gatehouse data key wrap v1"
)

// A KEK is a key-encrypting key.
type KEK struct {
	aead cipher.AEAD
	id   string
}

// NewKEK returns a fresh key, and its encoded form to keep: base64 of 32 bytes
// and a line break.
func NewKEK() (*KEK, []byte, error) {
	raw := make([]byte, keySize)
	rand.Read(raw) // never fails
	k, err := newKEK(raw)
	return k, []byte(base64.StdEncoding.EncodeToString(raw) + "\n"), err
}

// ParseKEK returns the key that [NewKEK] encoded. Its errors do not carry it.
func ParseKEK(encoded []byte) (*KEK, error) {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(encoded)))
	if err != nil || len(raw) != keySize {
		return nil, errors.New("it is not an encryption key: expected 32 bytes in base64 on one line")
	}
	return newKEK(raw)
}

func newKEK(raw []byte) (*KEK, error) {
	b, err := aes.NewCipher(raw)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(b)
	if err != nil {
		return nil, err
	}
	return &KEK{aead, hex.EncodeToString(mac(raw, kekIDLabel))[:kekIDHex]}, nil
}

// ID names the key without telling anything of it.
func (k *KEK) ID() string { return k.id }

func mac(key []byte, label string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(label))
	return m.Sum(nil)
}

// A Ring is the data keys of an installation, unwrapped. It implements
// [dbcrypt.Keys].
type Ring struct {
	primary, fingerprinting dbcrypt.DataKey
	signing                 dbcrypt.DataKey
	byDigest                map[string]dbcrypt.DataKey
}

var _ dbcrypt.Keys = (*Ring)(nil)

// Generate returns a fresh data key, wrapped for keeping.
func (k *KEK) Generate(installation string, purpose store.KeyPurpose) store.EncryptionKey {
	raw, nonce := make([]byte, keySize), make([]byte, k.aead.NonceSize())
	rand.Read(raw) // never fails
	rand.Read(nonce)
	digest := hex.EncodeToString(mac(raw, digestLabel))
	return store.EncryptionKey{
		ActiveDigest: digest, Purpose: purpose, KEKID: k.id,
		WrappedKey: string(k.aead.Seal(nonce, nonce, raw, wrapContext(installation, purpose, digest))),
		CheckValue: string(mac(raw, checkLabel)),
	}
}

func wrapContext(installation string, purpose store.KeyPurpose, digest string) []byte {
	return []byte(strings.Join([]string{wrapLabel, installation, string(purpose), digest}, "\x00"))
}

// A WrongKEKError says that the data keys are wrapped by another KEK.
type WrongKEKError struct{ Have, Need string }

func (e *WrongKEKError) Error() string {
	return fmt.Sprintf("the encryption key here (%s…) is not the one that the database was encrypted with (%s…)", e.Have[:8], e.Need[:min(8, len(e.Need))])
}

// Unwrap opens the data keys of an installation. It needs one active key of
// each purpose, and every active key must open.
func (k *KEK) Unwrap(installation string, wrapped []store.EncryptionKey) (*Ring, error) {
	r := &Ring{byDigest: map[string]dbcrypt.DataKey{}}
	for _, w := range wrapped {
		if w.ActiveDigest == "" {
			continue // retired: no row is sealed under it
		}
		if w.KEKID != k.id {
			return nil, &WrongKEKError{Have: k.id, Need: w.KEKID}
		}
		key, err := k.unwrap(installation, w)
		if err != nil {
			return nil, fmt.Errorf("data key %d does not open: the row of dbcrypt_keys was altered; restore it from a backup", w.Number)
		}
		switch w.Purpose { // of several, the newest is primary
		case store.ForSealing:
			r.primary = key
			r.byDigest[key.Digest] = key
		case store.ForFingerprinting:
			r.fingerprinting = key
		case store.ForSigning:
			r.signing = key
		}
	}
	if r.primary.Secret.IsZero() || r.fingerprinting.Secret.IsZero() || r.signing.Secret.IsZero() {
		return nil, errors.New("the database has no active data key of each purpose: restore dbcrypt_keys from a backup")
	}
	return r, nil
}

func (k *KEK) unwrap(installation string, w store.EncryptionKey) (dbcrypt.DataKey, error) {
	b := []byte(w.WrappedKey)
	n := k.aead.NonceSize()
	if len(b) < n {
		return dbcrypt.DataKey{}, errors.New("too short")
	}
	raw, err := k.aead.Open(nil, b[:n], b[n:], wrapContext(installation, w.Purpose, w.ActiveDigest))
	if err != nil {
		return dbcrypt.DataKey{}, err
	}
	if hex.EncodeToString(mac(raw, digestLabel)) != w.ActiveDigest || !hmac.Equal(mac(raw, checkLabel), []byte(w.CheckValue)) {
		return dbcrypt.DataKey{}, errors.New("check value differs")
	}
	return dbcrypt.DataKey{Digest: w.ActiveDigest, Secret: secret.New(string(raw))}, nil
}

// Primary implements [dbcrypt.Keys].
func (r *Ring) Primary() dbcrypt.DataKey { return r.primary }

// ByDigest implements [dbcrypt.Keys].
func (r *Ring) ByDigest(digest string) (dbcrypt.DataKey, bool) {
	k, ok := r.byDigest[digest]
	return k, ok
}

// Fingerprinting implements [dbcrypt.Keys].
func (r *Ring) Fingerprinting() dbcrypt.DataKey { return r.fingerprinting }

// Signing returns the key whose secret is the seed of the Ed25519 key that signs
// checkpoints of the audit log.
func (r *Ring) Signing() dbcrypt.DataKey { return r.signing }
