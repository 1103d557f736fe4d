// Package token makes and recognises Gatehouse API keys.
//
// A token is "gate_" and 38 base62 characters, of which the last six are the
// CRC-32 (IEEE) of all before them, "gate_" included, in base62 and padded on
// the left with "0". So a scanner can tell a real one from chance, and the
// server can refuse a mistyped one without looking it up. The other 32
// characters carry 190 bits of randomness, which is why a fast hash is enough
// to store it by.
package token

import (
	"crypto/rand"
	"crypto/sha256"
	"hash/crc32"

	"github.com/gatehousehq/gatehouse/internal/secret"
)

const (
	// Prefix begins every token.
	Prefix = "gate_"
	// Length is the length of every token in bytes.
	Length = len(Prefix) + random + check

	random   = 32
	check    = 6
	alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// A Hash is the SHA-256 of a token: the only form in which one is kept.
type Hash = [sha256.Size]byte

// New returns a fresh token.
func New() secret.Text {
	b := make([]byte, 0, Length)
	b = append(b, Prefix...)
	var buf [64]byte
	for len(b) < len(Prefix)+random {
		rand.Read(buf[:]) // never fails: crypto/rand ends the program instead
		for _, c := range buf {
			// 248 is the largest multiple of 62 in a byte: what is above it
			// would make the first characters more likely.
			if c < 248 && len(b) < len(Prefix)+random {
				b = append(b, alphabet[c%62])
			}
		}
	}
	sum := checksum(string(b))
	return secret.New(string(append(b, sum[:]...)))
}

// Valid reports whether s has the form and the checksum of a token.
func Valid(s string) bool {
	if len(s) != Length || s[:len(Prefix)] != Prefix {
		return false
	}
	for i := len(Prefix); i < Length; i++ {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	sum := checksum(s[:Length-check])
	return s[Length-check:] == string(sum[:])
}

// Sum returns the hash that s is stored and looked up by.
func Sum(s string) Hash {
	var space [64]byte // for the bytes of a token, which need no allocation so
	return sha256.Sum256(append(space[:0], s...))
}

func checksum(s string) (out [check]byte) {
	var space [64]byte
	n := crc32.ChecksumIEEE(append(space[:0], s...))
	for i := check - 1; i >= 0; i-- {
		out[i] = alphabet[n%62]
		n /= 62
	}
	return out
}
