package usage

import "strings"

// The longest name and version of a client that are written down. Both are
// shorter than any token or key, so that none that was put there is.
const (
	maxProduct = 32
	maxVersion = 24
)

// ClientName returns what a User-Agent calls the client itself, which is its
// first product with its version: "claude-cli/2.1.330". The vendors' SDKs put
// the language in place of the version and the version after it, which gives
// "OpenAI/JS 5.1.0". It is empty if the first product is not in the form of the
// standard (RFC 9110) or too long; a version that is too long is left out.
func ClientName(userAgent string) string {
	first, rest, _ := strings.Cut(userAgent, " ")
	name, version, versioned := strings.Cut(first, "/")
	if !isToken(name) || len(name) > maxProduct {
		return ""
	}
	if !versioned {
		return name
	}
	if !isToken(version) || len(version) > maxVersion {
		return name
	}
	if isDigit(version[0]) {
		return userAgent[:len(first)]
	}
	second, _, _ := strings.Cut(rest, " ")
	if isToken(second) && len(second) <= maxVersion && isDigit(second[0]) {
		return userAgent[:len(first)+1+len(second)]
	}
	return userAgent[:len(first)]
}

// isToken reports whether s is a token by RFC 9110.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && !isDigit(c) && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
