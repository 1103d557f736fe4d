// Package origin knows what the origin of a base URL is: the place that a key
// is sealed to, and that decides whether keys must be given again.
package origin

import (
	"net/url"
	"strings"
)

// Of returns scheme, host and port of a base URL, its ASCII letters in lower
// case, the port always given. A URL without a host has the origin "".
//
// Letters beyond ASCII stay as they are: unicode folds the Turkish İ to i, while
// a dialler takes it for a letter of its own, so that two hosts would have one
// origin.
func Of(baseURL string) string {
	u, err := url.Parse(baseURL)
	if err != nil || u.Hostname() == "" {
		return ""
	}
	scheme, port := strings.ToLower(u.Scheme), u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	return scheme + "://" + lower(u.Hostname()) + ":" + port
}

// lower works on bytes, so that what is no UTF-8 stays as it is, too.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] += 'a' - 'A'
		}
	}
	return string(b)
}
