package gateway

import (
	"net/http"
	"slices"
	"strings"
)

// shared is the first segment under /ai of the one URL for all providers.
const shared = "v1"

// reserved are the first segments under /ai that no provider can have. Those but
// shared are served as 404 until they mean something.
var reserved = []string{shared, "providers", "proxy"}

// Reserved returns the first segments under [Prefix] that cannot be the name of
// a provider.
func Reserved() []string { return slices.Clone(reserved) }

// versions are those that any dialect has.
var versions = []string{"v1", "v1beta", "v1alpha"}

// A destination is what a path says.
type destination struct {
	shared   bool // it is the URL for all providers, and provider is empty
	provider string
	version  string // of the API: v1 for most
	path     string // raw, after /v1/
}

// rawPath returns the path as it was sent. What net/http made of it would not
// do: two spellings of one path must not be told apart by the upstream only.
func rawPath(r *http.Request) string {
	if strings.HasPrefix(r.RequestURI, "/") {
		path, _, _ := strings.Cut(r.RequestURI, "?")
		return path
	}
	return r.URL.EscapedPath() // absolute form, or not from a server
}

// parsePath reads a raw path. The destination is as complete as the path
// allows even when it is refused, so that the refusal can be put in the right
// dialect.
func parsePath(raw string) (destination, *refusal) {
	rest, ok := strings.CutPrefix(raw, Prefix)
	if !ok || rest == "" {
		return destination{}, noPath
	}
	if !wellFormed(rest) {
		return destination{}, badPath
	}
	first, rest, _ := strings.Cut(rest, "/")
	switch {
	case first == shared && rest == "":
		return destination{}, noPath
	case first == shared:
		return destination{shared: true, path: rest}, nil
	case slices.Contains(reserved, first):
		return destination{path: rest}, reservedPath
	}
	version, path, _ := strings.Cut(rest, "/")
	if !slices.Contains(versions, version) || path == "" {
		return destination{provider: first}, noPath
	}
	return destination{provider: first, version: version, path: path}, nil
}

// wellFormed reports whether every reader of the path will read it alike. It
// holds a path to the letter of RFC 3986, and refuses dot and empty segments and
// whatever could become one when decoded, once or twice.
func wellFormed(path string) bool {
	start := 0
	for i := 0; i <= len(path); i++ {
		if i == len(path) || path[i] == '/' {
			switch path[start:i] {
			case "", ".", "..":
				return false
			}
			start = i + 1
			continue
		}
		c := path[i]
		if c != '%' {
			if !pathChar[c] {
				return false
			}
			continue
		}
		if i+2 >= len(path) {
			return false
		}
		hi, lo := unhex(path[i+1]), unhex(path[i+2])
		if hi > 15 || lo > 15 {
			return false
		}
		switch d := hi<<4 | lo; {
		case d < 0x20, d == 0x7f, d == '.', d == '/', d == '\\', d == '%':
			return false
		}
		i += 2
	}
	return true
}

// pathChar are the characters that stand for themselves in a segment.
var pathChar = func() (t [256]bool) {
	const marks = "-._~!$&'()*+,;=:@"
	for c := range t {
		t[c] = '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || strings.IndexByte(marks, byte(c)) >= 0
	}
	return t
}()

// unhex returns the value of a hexadecimal digit, or 255.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// methods are the HTTP methods that pass. TRACE is not among them: it makes the
// upstream send back the request, with its key.
var methods = map[string]bool{
	http.MethodGet: true, http.MethodHead: true, http.MethodPost: true, http.MethodPut: true,
	http.MethodPatch: true, http.MethodDelete: true, http.MethodOptions: true,
}

// upgrades reports whether the client asks for another protocol. An offer of
// HTTP/2 in the clear is not a wish: some HTTP clients make it with every
// request, and a server is free to pass it over.
func upgrades(h http.Header) bool {
	return slices.ContainsFunc(h["Upgrade"], func(v string) bool { return !strings.EqualFold(strings.TrimSpace(v), "h2c") })
}
