package token_test

import (
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/token"
)

func TestNewIsValidAndUnique(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	counts := map[byte]int{}
	for range 2000 {
		s := token.New().Reveal()
		if !token.Valid(s) || len(s) != token.Length || seen[s] {
			t.Fatalf("bad token, or one made twice (length %d)", len(s))
		}
		seen[s] = true
		for i := len(token.Prefix); i < token.Length-6; i++ {
			counts[s[i]]++
		}
	}
	// 64,000 characters over 62: about 1,032 each. Eight standard deviations.
	for c, n := range counts {
		if n < 775 || n > 1290 {
			t.Errorf("character %q came %d times", c, n)
		}
	}
	if len(counts) != 62 {
		t.Errorf("%d characters in use, want 62", len(counts))
	}
}

// The checksum is a published format: a scanner elsewhere must agree with it.
// Vectors made with Python: zlib.crc32 and base62 over 0-9A-Za-z.
func TestKnownAnswers(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"gate_00000000000000000000000000000000" + "3Gi7rd",
		"gate_abcdefghijklmnopqrstuvwxyzABCDEF" + "26mWxv",
	} {
		if !token.Valid(s) {
			t.Errorf("%s is refused", s)
		}
	}
}

func TestAnyOneCharacterWrongIsRefused(t *testing.T) {
	t.Parallel()
	s := token.New().Reveal()
	for i := range s {
		for _, c := range "0aZ~ é" {
			bad := s[:i] + string(c) + s[i+1:]
			if bad != s && token.Valid(bad) {
				t.Errorf("character %d changed to %q: still valid", i, c)
			}
		}
	}
	for _, bad := range []string{"", "gate_", s[1:], s + "0", strings.ToUpper(s), " " + s, s[:len(s)-1]} {
		if token.Valid(bad) {
			t.Errorf("a token of length %d is accepted", len(bad))
		}
	}
}

func FuzzValid(f *testing.F) {
	f.Add(token.New().Reveal())
	f.Add("gate_")
	f.Fuzz(func(t *testing.T, s string) {
		if token.Valid(s) && (len(s) != token.Length || !strings.HasPrefix(s, token.Prefix)) {
			t.Errorf("accepted %q", s)
		}
	})
}
