package mockbedrock

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehousehq/gatehouse/internal/secret"
)

// authenticate returns the key that a request is from, or AWS's name for what is
// wrong.
func (b *Bedrock) authenticate(r *http.Request, body []byte, service string) (key secret.Text, problem string) {
	now := time.Now
	if b.Now != nil {
		now = b.Now
	}
	key, problem = verify(r, body, b.Region, service, b.Keys, b.Sessions, now())
	if problem == "" && key.IsZero() {
		key = b.SessionKey
	}
	return key, problem
}

// verify returns the one of the keys that a request is from, zero for a session, or
// AWS's name for what is wrong.
func verify(r *http.Request, body []byte, region, service string, keys []secret.Text, sessions *STS, now time.Time) (key secret.Text, problem string) {
	authorization := r.Header.Get("Authorization")
	if bearer, ok := strings.CutPrefix(authorization, "Bearer "); ok {
		if key = secret.New(bearer); slices.Contains(keys, key) && !strings.Contains(bearer, ":") {
			return key, ""
		}
		return secret.Text{}, "AccessDeniedException"
	}
	parts, ok := strings.CutPrefix(authorization, "AWS4-HMAC-SHA256 ")
	if !ok {
		return secret.Text{}, "MissingAuthenticationTokenException"
	}
	fields := map[string]string{}
	for part := range strings.SplitSeq(parts, ", ") {
		name, value, _ := strings.Cut(part, "=")
		fields[name] = value
	}
	date := r.Header.Get("X-Amz-Date")
	at, err := time.Parse("20060102T150405Z", date)
	if err != nil || now.Sub(at).Abs() > 15*time.Minute {
		return secret.Text{}, "InvalidSignatureException"
	}
	id, scope, _ := strings.Cut(fields["Credential"], "/")
	if scope != strings.Join([]string{date[:8], region, service, "aws4_request"}, "/") {
		return secret.Text{}, "InvalidSignatureException"
	}
	right := func(secretKey string) bool {
		want := signature(secretKey, scope, date, canonical(r, body, fields["SignedHeaders"]))
		return hmac.Equal([]byte(want), []byte(fields["Signature"]))
	}
	if token := r.Header.Get("X-Amz-Security-Token"); token != "" {
		secretKey, problem := sessions.find(id, token, now)
		if problem == "" && (!right(secretKey) || !slices.Contains(strings.Split(fields["SignedHeaders"], ";"), "x-amz-security-token")) {
			problem = "InvalidSignatureException"
		}
		return secret.Text{}, problem
	}
	for _, key := range keys {
		if access, secretKey, pair := strings.Cut(key.Reveal(), ":"); pair && access == id {
			if right(secretKey) {
				return key, ""
			}
			return secret.Text{}, "InvalidSignatureException"
		}
	}
	return secret.Text{}, "UnrecognizedClientException"
}

// canonical is the canonical request. A host must be signed, and so must every
// header of AWS's.
func canonical(r *http.Request, body []byte, signed string) string {
	names := strings.Split(signed, ";")
	if !slices.Contains(names, "host") || !slices.Contains(names, "x-amz-date") {
		return ""
	}
	var headers strings.Builder
	for _, name := range names {
		value := strings.Join(r.Header.Values(name), ",")
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = strconv.FormatInt(r.ContentLength, 10)
		}
		headers.WriteString(name + ":" + strings.TrimSpace(value) + "\n")
	}
	return strings.Join([]string{
		r.Method, encode(r.URL.EscapedPath()), r.URL.RawQuery, headers.String(), signed, sum(body),
	}, "\n")
}

// encode escapes a path once more, as every service but S3 has it.
func encode(path string) string {
	var b strings.Builder
	for i := range len(path) {
		switch c := path[i]; {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', strings.IndexByte("-._~/", c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteString("%" + strings.ToUpper(hex.EncodeToString([]byte{c})))
		}
	}
	return b.String()
}

func signature(secretKey, scope, date, canonical string) string {
	key := []byte("AWS4" + secretKey)
	for part := range strings.SplitSeq(scope, "/") {
		key = mac(key, part)
	}
	return hex.EncodeToString(mac(key, strings.Join([]string{"AWS4-HMAC-SHA256", date, scope, sum([]byte(canonical))}, "\n")))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}
