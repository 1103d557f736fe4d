package password

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gatehousehq/gatehouse/internal/secret"
)

// Limits on the length of a password, in characters. There are no rules of which
// characters it must have: what they buy is worse passwords (NIST SP 800-63B).
const (
	MinLength = 12
	MaxLength = 256
)

// Why a password will not do.
var (
	ErrLength = fmt.Errorf("must be %d to %d characters; several words are easy to remember", MinLength, MaxLength)
	ErrText   = errors.New("must be text without control characters")
	ErrCommon = errors.New("is one of those that are tried first: common, of few different characters, a row of the keyboard or the alphabet, or little but the name of its user")
)

// Acceptable says why p will not do as a new password of the user of that name, nil
// if it will.
func Acceptable(p secret.Text, userName string) error {
	s := p.Reveal()
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return ErrText
	}
	s = Normalise(p).Reveal()
	if n := utf8.RuneCountInString(s); n < MinLength || n > MaxLength {
		return ErrLength
	}
	if guessable(s, userName) {
		return ErrCommon
	}
	return nil
}

// guessable reports whether nearly all of s is what is guessed first.
func guessable(s, userName string) bool {
	const enough = 6 // characters that are none of it
	lower := strings.ToLower(s)
	different := map[rune]bool{}
	for _, r := range lower {
		different[r] = true
	}
	if len(different) < 5 {
		return true
	}
	rest := lower
	for _, part := range append([]string{strings.ToLower(userName)}, common...) {
		if utf8.RuneCountInString(part) >= 3 {
			rest = strings.ReplaceAll(rest, part, "")
		}
	}
	if rest == lower {
		return false
	}
	rest = strings.TrimFunc(rest, func(r rune) bool { return !unicode.IsLetter(r) })
	return utf8.RuneCountInString(rest) < enough
}

// common are what long passwords that are guessed early are made of, longest
// first. A list of whole passwords would hold few of this length.
var common = []string{
	"qwertyuiopasdfghjklzxcvbnm", "abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjkl", "qwertzuiopasdfghjkl", "correcthorsebatterystaple",
	"administrator", "1q2w3e4r5t6y7u8i9o0p", "1qaz2wsx3edc4rfv5tgb", "zaq12wsxcde34rfv", "qwertyuiop", "qwertzuiop", "asdfghjkl", "abcdefghij", "1234567890", "0987654321",
	"gatehouse", "letmeinnow", "trustno1", "iloveyou", "password", "passw0rd", "p@ssw0rd", "p@ssword", "passwort", "changeme", "welcome", "letmein", "sunshine",
	"princess", "football", "baseball", "superman", "starwars", "whatever", "computer", "internet", "michelle", "1q2w3e4r", "1qaz2wsx", "q1w2e3r4", "zxcvbnm", "qwerty", "qwertz", "azerty", "asdfgh",
	"abcdef", "abc123", "123123", "monkey", "dragon", "master", "shadow", "secret", "default", "admin", "hello", "summer", "winter", "spring", "autumn", "login", "guest", "root", "test", "user", "owner",
}
