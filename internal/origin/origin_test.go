package origin_test

import (
	"testing"

	"github.com/gatehousehq/gatehouse/internal/origin"
)

// Sealed keys are bound to these very strings: what changes one of them makes
// every key of such a provider unreadable.
func TestOf(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"https://api.example.com/v1":     "https://api.example.com:443",
		"https://api.example.com:443":    "https://api.example.com:443",
		"HTTPS://API.Example.COM/V1":     "https://api.example.com:443",
		"http://api.example.com/v1":      "http://api.example.com:80",
		"https://api.example.com:8443/x": "https://api.example.com:8443",
		"http://[::1]:9/v1":              "http://::1:9",
		"ftp://h":                        "ftp://h:",
		"":                               "",
		"/v1":                            "",
		"https://:443":                   "",
		"https://h:port":                 "",
	} {
		if got := origin.Of(in); got != want {
			t.Errorf("Of(%q) = %q, want %q", in, got, want)
		}
	}
}
