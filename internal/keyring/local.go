package keyring

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
)

// A Local is a [KEK] that this process holds: 32 bytes, which wrap by
// AES-256-GCM as nonce, ciphertext and tag.
type Local struct {
	aead cipher.AEAD
	id   string
}

var _ KEK = (*Local)(nil)

// localIDHex is how many hexadecimal digits the id of a [Local] has.
const localIDHex = 32

// NewLocal returns a fresh key, and its encoded form to keep: base64 of 32 bytes
// and a line break.
func NewLocal() (*Local, []byte, error) {
	raw := make([]byte, keySize)
	rand.Read(raw) // never fails
	k, err := newLocal(raw)
	return k, []byte(base64.StdEncoding.EncodeToString(raw) + "\n"), err
}

// ParseLocal returns the key that [NewLocal] encoded. Its errors do not carry
// it.
func ParseLocal(encoded []byte) (*Local, error) {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(encoded)))
	if err != nil || len(raw) != keySize {
		return nil, errors.New("it is not an encryption key: expected 32 bytes in base64 on one line")
	}
	return newLocal(raw)
}

func newLocal(raw []byte) (*Local, error) {
	b, err := aes.NewCipher(raw)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(b)
	if err != nil {
		return nil, err
	}
	return &Local{aead, hex.EncodeToString(mac(raw, kekIDLabel))[:localIDHex]}, nil
}

// ID implements [KEK].
func (k *Local) ID() string { return k.id }

// Wrap implements [KEK].
func (k *Local) Wrap(_ context.Context, dataKey, bound []byte) ([]byte, error) {
	nonce := make([]byte, k.aead.NonceSize())
	rand.Read(nonce) // never fails
	return k.aead.Seal(nonce, nonce, dataKey, bound), nil
}

// Unwrap implements [KEK].
func (k *Local) Unwrap(_ context.Context, wrapped, bound []byte) ([]byte, error) {
	n := k.aead.NonceSize()
	if len(wrapped) < n {
		return nil, ErrAltered
	}
	raw, err := k.aead.Open(nil, wrapped[:n], wrapped[n:], bound)
	if err != nil {
		return nil, ErrAltered
	}
	return raw, nil
}
