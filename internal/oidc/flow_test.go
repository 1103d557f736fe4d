package oidc_test

import (
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
