package oidc

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"
)

const (
	// FlowTime is how long somebody may take at the provider.
	FlowTime = 10 * time.Minute
	// MaxReturn is the longest path to return to, in bytes.
	MaxReturn = 512

	seedLen = 32
)

// A Flow is one sign-in on its way. Its browser keeps it in a cookie, and no server
// does, so that any of them can go on with it. What the provider sees of it (state,
// nonce, and the digest of the PKCE verifier) is derived from its seed by HMAC, and
// says nothing of it; the state covers all else of it, and the provider's name. Zero is
// no flow.
type Flow struct {
	seed  [seedLen]byte
	began time.Time // whole seconds
	// Return is the path of this server to go to afterwards.
	Return string
	// Former is the SHA-256 of what opened the session that the browser had until then,
	// zero for none. Of a browser that comes back from another site it is not seen.
	Former [sha256.Size]byte
}

// NewFlow returns a flow that begins now. A path that does not stay on this server is
// replaced by the first page.
func NewFlow(to string, former [sha256.Size]byte, now time.Time) Flow {
	f := Flow{began: time.Unix(now.Unix(), 0), Return: safePath(to), Former: former}
	rand.Read(f.seed[:]) // never fails: crypto/rand ends the program instead
	return f
}

// safePath returns a path with its query if browsers take it for one of the same
// origin, and "/" else. The API's are no pages.
func safePath(to string) string {
	if len(to) > MaxReturn || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.HasPrefix(to, "/api/") ||
		strings.ContainsFunc(to, func(c rune) bool { return c <= ' ' || c > '~' || c == '\\' }) {
		return "/"
	}
	return to
}

var b64 = base64.RawURLEncoding

// Cookie returns what the browser is to keep.
func (f Flow) Cookie() string {
	former := ""
	if f.Former != [sha256.Size]byte{} {
		former = b64.EncodeToString(f.Former[:])
	}
	return strings.Join([]string{b64.EncodeToString(f.seed[:]), strconv.FormatInt(f.began.Unix(), 10), former, b64.EncodeToString([]byte(f.Return))}, ".")
}

// ParseFlow returns the flow of a cookie, if the provider of that name was asked by it,
// with that state, not too long before now.
func ParseFlow(cookie, provider, state string, now time.Time) (Flow, error) {
	refuse := func(r Reason) (Flow, error) { return Flow{}, &Error{Provider: provider, Reason: r} }
	if cookie == "" {
		return refuse(NoCookie)
	}
	f, err := parseFlow(cookie)
	if err != nil || subtle.ConstantTimeCompare([]byte(f.state(provider)), []byte(state)) != 1 {
		return refuse(WrongState)
	}
	if age := now.Sub(f.began); age > FlowTime || age < -FlowTime {
		return refuse(FlowExpired)
	}
	return f, nil
}

var errNoFlow = errors.New("not a flow")

func parseFlow(cookie string) (f Flow, err error) {
	parts := strings.Split(cookie, ".")
	if len(cookie) > 1024 || len(parts) != 4 {
		return f, errNoFlow
	}
	seed, err1 := b64.DecodeString(parts[0])
	began, err2 := strconv.ParseInt(parts[1], 10, 64)
	former, err3 := b64.DecodeString(parts[2])
	to, err4 := b64.DecodeString(parts[3])
	if errors.Join(err1, err2, err3, err4) != nil || len(seed) != seedLen || len(former) != 0 && len(former) != sha256.Size {
		return f, errNoFlow
	}
	copy(f.seed[:], seed)
	copy(f.Former[:], former)
	f.began, f.Return = time.Unix(began, 0), safePath(string(to))
	return f, nil
}

func (f Flow) state(provider string) string {
	return f.derive("state", provider, strconv.FormatInt(f.began.Unix(), 10), string(f.Former[:]), f.Return)
}

func (f Flow) nonce() string { return f.derive("nonce") }

func (f Flow) verifier() string { return f.derive("verifier") }

// derive returns what belongs to the flow by that name. No part may have a NUL in it
// but one of a fixed length.
func (f Flow) derive(parts ...string) string {
	h := hmac.New(sha256.New, f.seed[:])
	h.Write([]byte(strings.Join(parts, "\x00"))) // never fails
	return b64.EncodeToString(h.Sum(nil))
}
