package oidc_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/oidc"
)

func TestPathsToReturnTo(t *testing.T) {
	t.Parallel()
	for to, want := range map[string]string{
		"/providers":                   "/providers",
		"/requests?status=429&x=%2F":   "/requests?status=429&x=%2F",
		"/":                            "/",
		"":                             "/",
		"https://evil.example.com":     "/",
		"//evil.example.com":           "/",
		"/\\evil.example.com":          "/",
		"\\\\evil.example.com":         "/",
		"/\t/evil.example.com":         "/",
		"/ok\r\nSet-Cookie: a=b":       "/",
		"javascript:alert(1)":          "/",
		"providers":                    "/",
		"/api/v1/session/oidc/x":       "/",
		"/ü":                           "/",
		"/" + strings.Repeat("x", 512): "/",
	} {
		if got := oidc.NewFlow(to, [32]byte{}, time.Now()).Return; got != want {
			t.Errorf("%q: got %q, want %q", to, got, want)
		}
	}
}

func TestACookieIsGoodForItsOwnFlowAlone(t *testing.T) {
	t.Parallel()
	now := time.Unix(1893456000, 0)
	type flow struct {
		provider string
		began    time.Time
		former   [sha256.Size]byte
		to       string
	}
	seed := bytes.Repeat([]byte{7}, 32)
	b64 := base64.RawURLEncoding
	cookie := func(f flow) string {
		return strings.Join([]string{b64.EncodeToString(seed), strconv.FormatInt(f.began.Unix(), 10), b64.EncodeToString(f.former[:]), b64.EncodeToString([]byte(f.to))}, ".")
	}
	state := func(f flow) string {
		h := hmac.New(sha256.New, seed)
		h.Write([]byte(strings.Join([]string{"state", f.provider, strconv.FormatInt(f.began.Unix(), 10), string(f.former[:]), f.to}, "\x00")))
		return b64.EncodeToString(h.Sum(nil))
	}
	begun := flow{"acme", now, [sha256.Size]byte{1}, "/providers"}
	with := func(change func(*flow)) flow {
		f := begun
		change(&f)
		return f
	}
	for _, c := range []struct {
		name            string
		cookie, stateOf flow
		want            oidc.Reason // "" is that it is taken
	}{
		{"as it began", begun, begun, ""},
		{"with another path", with(func(f *flow) { f.to = "/audit" }), begun, oidc.WrongState},
		{"with another session to end", with(func(f *flow) { f.former[0] = 2 }), begun, oidc.WrongState},
		{"with another time", with(func(f *flow) { f.began = now.Add(-time.Second) }), begun, oidc.WrongState},
		{"with the state of another provider", begun, with(func(f *flow) { f.provider = "other" }), oidc.WrongState},
		{"too late", with(func(f *flow) { f.began = now.Add(-oidc.FlowTime - time.Second) }), with(func(f *flow) { f.began = now.Add(-oidc.FlowTime - time.Second) }), oidc.FlowExpired},
		{"of a time to come", with(func(f *flow) { f.began = now.Add(oidc.FlowTime + time.Second) }), with(func(f *flow) { f.began = now.Add(oidc.FlowTime + time.Second) }), oidc.FlowExpired},
	} {
		f, err := oidc.ParseFlow(cookie(c.cookie), "acme", state(c.stateOf), now)
		refused, _ := errors.AsType[*oidc.Error](err)
		if c.want == "" && (err != nil || f.Return != begun.to || f.Former != begun.former) || c.want != "" && (refused == nil || refused.Reason != c.want) {
			t.Errorf("%s: %+v, %v", c.name, f, err)
		}
	}
	away := with(func(f *flow) { f.to = "//evil.example.com" }) // by a program, which can make any state
	if f, err := oidc.ParseFlow(cookie(away), "acme", state(away), now); err == nil {
		t.Errorf("it leads to %q", f.Return)
	}
}

// FuzzParseFlow holds that a cookie is taken with its own state alone, and that no cookie
// leads away.
func FuzzParseFlow(f *testing.F) {
	now := time.Unix(1893456000, 0)
	good := oidc.NewFlow("/providers", [32]byte{1}, now)
	f.Add(good.Cookie(), "acme", "state")
	f.Add("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.1893456000..Ly9ldmls", "acme", "")
	f.Add("...", "", "")
	f.Fuzz(func(t *testing.T, cookie, provider, state string) {
		got, err := oidc.ParseFlow(cookie, provider, state, now)
		if err == nil {
			if !strings.HasPrefix(got.Return, "/") || strings.HasPrefix(got.Return, "//") || strings.Contains(got.Return, "\\") {
				t.Errorf("it leads to %q", got.Return)
			}
			if _, err := oidc.ParseFlow(cookie, provider+"x", state, now); err == nil {
				t.Error("another provider takes it")
			}
		}
	})
}
