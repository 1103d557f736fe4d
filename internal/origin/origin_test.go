package origin_test

import (
	"strings"
	"testing"
	"unicode"

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
		"https://API.EXAMPLE.İ":          "https://api.example.İ:443",
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

// A dialler does not take a letter beyond ASCII for one of ASCII, or not every
// time: so a host that has one never has the origin of a host that has none.
func TestNoOtherLetterPassesForOneOfASCII(t *testing.T) {
	t.Parallel()
	folds := 0
	for r := rune(unicode.MaxASCII + 1); r <= 0x1ffff; r++ { // beyond there is nothing with two cases
		host := "api" + string(r) + ".example"
		if strings.ToLower(host)[3] <= unicode.MaxASCII {
			folds++
		}
		if got := origin.Of("https://" + host); got != "" && !strings.ContainsFunc(got, func(r rune) bool { return r > unicode.MaxASCII }) {
			t.Errorf("Of(%q) = %q", host, got)
		}
	}
	if folds != 2 {
		t.Errorf("%d letters fold into ASCII, want İ and the Kelvin sign", folds)
	}
}
