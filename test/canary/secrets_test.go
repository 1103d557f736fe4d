package canary_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/token"
)

// A secretKind is a line of the table of secrets.
type secretKind struct {
	name string
	// make returns a new one; nil is for what the product makes itself, which
	// [vault.learn] is told of.
	make func() string
	// homes are where it may be seen, as the beginning of what a piece of a sink is
	// called: see [piece]. Nowhere else, and if there are any, in one of them it
	// must be: a secret that went nowhere proves nothing.
	homes []string
	// only is "program" for what the journey of the real program alone has.
	only string
}

// secretKinds is every kind of secret that exists. A new one is a line here, and
// a step of the journey that uses it.
var secretKinds = []secretKind{
	{"key of an OpenAI provider", odd("sk-", 60), []string{"upstream requests/openai head"}, ""},
	{"key of an Anthropic provider", odd("sk-ant-", 60), []string{"upstream requests/anthropic head"}, ""},
	{"key pair of a Bedrock provider", func() string { return plain("AKIA", capitals, 16)() + ":" + plain("", base64Digits, 40)() }, nil, ""},
	{"Bedrock access key", plain("AKIA", capitals, 16), nil, ""},
	{"Bedrock secret key", plain("", base64Digits, 40), nil, ""},
	{"secret key of an AWS session", plain("", base64Digits, 40), nil, ""},
	{"token of an AWS session", plain("FwoGZXIv", base64Digits, 300), []string{"upstream requests/anthropic head"}, ""},
	{"header of a provider", odd("", 60), []string{"upstream requests/openai head"}, ""},
	{"password of a proxy", plain("", letters, 40), []string{"proxy head"}, ""},
	{"key from the environment", plain("sk-proj-", letters, 60), []string{"upstream requests/openai head"}, "program"},
	{"key in the wrong place", odd("sk-", 60), nil, ""},
	{"owner's token", nil, []string{"files/owner-token"}, ""},
	{"token", nil, []string{"API answers/new token", "program output/new token"}, ""},
	{"token that nobody has", func() string { t := token.New(); return t.Reveal() }, nil, ""},
	{"mistyped token", func() string { t := token.New(); return t.Reveal()[:40] + "zzz" }, nil, ""},
	{"password of the database", odd("", 40), nil, ""},
	{"encryption key", nil, []string{"files/encryption-key"}, ""},
	{"encryption key of somebody else", func() string { return base64.StdEncoding.EncodeToString([]byte(plain("", letters, 32)())) }, nil, ""},
	{"data key for sealing", nil, nil, ""},
	{"data key for fingerprints", nil, nil, ""},
	{"data key for signing", nil, nil, ""},
	{"password of a webhook", plain("", letters, 40), []string{"webhook head"}, ""},
	{"secret in the URL of a webhook", plain("", letters, 40), []string{"webhook head"}, ""},
	{"age identity", plain("AGE-SECRET-KEY-1", bech32, 58), nil, "program"},
	{"private key of TLS", newTLSKey, nil, ""},
	{"client secret of an identity provider", plain("", letters, 40), nil, ""},
	{"authorization code", plain("", capitals, 26), nil, ""},
	{"ID token", plain("", letters, 86), nil, ""}, // its signature: the rest is like others
	{"prompt", odd("", 60), []string{"upstream requests/openai body", "upstream requests/anthropic body"}, ""},
	{"answer", odd("", 60), []string{"gateway answers"}, ""},
	{"query of a gateway request", plain("", letters, 40), []string{"upstream requests/openai head", "upstream requests/anthropic head"}, ""},
}

// The random characters of secrets. With 62 of them or more, ten make 8·10¹⁷
// parts or more: against a hundred thousand parts that are searched for in a
// gigabyte of other random letters, the odds of one hit by chance are one to eight
// thousand; what is really searched has far fewer. Of a data key, whose bytes are
// any, it is 10²⁴.
const (
	capitals     = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	letters      = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	bech32       = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"
	base64Digits = letters + "+/"
	oddLetters   = letters + `"\<>&'%+/=?#:;@!$(){}[]^~*|_-.`
)

// plain returns what makes secrets of those letters.
func plain(prefix, alphabet string, n int) func() string {
	return func() string {
		b := make([]byte, n)
		rand.Read(b) // never fails
		for i, c := range b {
			b[i] = alphabet[int(c)%len(alphabet)]
		}
		return prefix + string(b)
	}
}

// odd returns what makes secrets that look different in each form: a third of
// their characters have to be escaped somewhere. The parts at the ends, which a
// hint shows three and four characters of, are letters.
func odd(prefix string, n int) func() string {
	return func() string {
		return prefix + plain("", letters, 8)() + plain("", oddLetters, n-16)() + plain("", letters, 8)()
	}
}

func newTLSKey() string {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		panic(err)
	}
	return string(der)
}

// searched returns the bytes of a secret that count. Of some the beginning is the
// same in all.
func searched(kind, value string) string {
	switch kind {
	case "encryption key", "encryption key of somebody else": // base64 of what counts
		raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value))
		if err != nil {
			panic(err)
		}
		return string(raw)
	case "age identity": // behind what all have
		return strings.TrimPrefix(value, "AGE-SECRET-KEY-1")
	case "private key of TLS": // a header, the number, and the point, which is public
		return value[36 : 36+32]
	}
	return value
}

// perKind is how many secrets there are of a kind that the test makes.
const perKind = 3

// A vault has the secrets of one journey.
type vault struct {
	mu     sync.Mutex
	values map[string][]string
	next   map[string]int
	search *search
}

func newVault() *vault {
	return &vault{values: map[string][]string{}, next: map[string]int{}, search: newSearch()}
}

func kindNamed(name string) *secretKind {
	i := slices.IndexFunc(secretKinds, func(k secretKind) bool { return k.name == name })
	if i < 0 {
		panic(fmt.Sprintf("there is no kind of secret %q", name))
	}
	return &secretKinds[i]
}

// one returns a secret of that kind, another than the last.
func (v *vault) one(kind string) string {
	k := kindNamed(kind)
	v.mu.Lock()
	defer v.mu.Unlock()
	for len(v.values[kind]) < perKind && k.make != nil {
		v.add(kind, k.make())
	}
	v.next[kind]++
	return v.values[kind][v.next[kind]%len(v.values[kind])]
}

// learn has a secret searched for that the product made.
func (v *vault) learn(kind, value string) {
	kindNamed(kind)
	v.mu.Lock()
	defer v.mu.Unlock()
	if value != "" && !slices.Contains(v.values[kind], value) {
		v.add(kind, value)
	}
}

func (v *vault) add(kind, value string) {
	v.values[kind] = append(v.values[kind], value)
	v.search.add(kind, searched(kind, value))
}

// first returns the first secret of a kind, "" if there is none yet.
func (v *vault) first(kind string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.values[kind]) == 0 {
		return ""
	}
	return v.values[kind][0]
}

func (v *vault) in(b []byte) []hit {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.search.in(b)
}

// TestAPartOfASecretIsFoundInEveryForm looks for every part of a secret of each
// kind in every form, in the middle of other things.
func TestAPartOfASecretIsFoundInEveryForm(t *testing.T) {
	t.Parallel()
	for _, k := range secretKinds {
		secret := plain("", letters, 32)()
		if k.make != nil {
			secret = searched(k.name, k.make())
		}
		s := newSearch()
		s.add(k.name, secret)
		for _, f := range forms {
			for _, p := range parts(secret) {
				for _, text := range f.write(p) {
					b := []byte("x" + text + "x")
					if len(s.in(b)) == 0 {
						t.Errorf("%s, %s: a part was not found", k.name, f.name)
					}
				}
			}
			// One character less is no part, but in base64 six bits are.
			if short := secret[:part-1]; f.name != "base64" && f.name != "base64 for URLs" {
				for _, text := range f.write([]byte(short)) {
					if hits := s.in([]byte("  " + text + "  ")); len(hits) > 0 {
						t.Errorf("%s, %s: %d characters are taken for %d", k.name, f.name, len(short), part)
					}
				}
			}
		}
		if hint := secret[:3] + "…" + secret[len(secret)-4:]; len(s.in([]byte(hint))) > 0 {
			t.Errorf("%s: the hint is taken for the secret", k.name)
		}
	}
}
