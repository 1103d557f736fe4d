// Package origin knows what the origin of a base URL is: the place that a key
// is sealed to, and that decides whether keys must be given again.
package origin

import (
	"net/url"
	"strings"
)

// Of returns scheme, host and port of a base URL in lower case, the port always
// given. A URL without a host has the origin "".
func Of(baseURL string) string {
	u, err := url.Parse(baseURL)
	if err != nil || u.Hostname() == "" {
		return ""
	}
	scheme, port := strings.ToLower(u.Scheme), u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	return scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}
