package gateway

import (
	"net/http"
	"slices"
	"strings"
)

// requestHeaders are the headers that pass from client to upstream. A "*" at
// the end stands for any ending.
//
// What is not here does not pass. On purpose not here: every credential, cookies,
// whatever chooses an account to bill (openai-organization, openai-project,
// chatgpt-account-id, anthropic-workspace-id, x-goog-user-project), forwarded and x-forwarded-*,
// tracing headers, and all that belongs to the connection alone.
var requestHeaders = []string{
	"Accept",
	"Accept-Encoding",
	"Accept-Language",
	"Content-Encoding",
	"Content-Type",
	"Idempotency-Key",
	"User-Agent",

	// Anthropic's API, its SDKs, and Claude Code.
	"Anthropic-Beta",
	"Anthropic-Client-Platform",
	"Anthropic-Dangerous-Direct-Browser-Access",
	"Anthropic-Version",
	"X-Anthropic-Additional-Protection",
	"X-App",
	"X-Claude-Code-*",
	"X-Client-App",
	"X-Client-Request-Id",
	"X-Stainless-*",

	// OpenAI's API and Codex.
	"Conversation_id",
	"Openai-Beta",
	"Originator",
	"Session-Id",
	"Session_id",
	"Thread-Id",
	"Version",
	"X-Codex-*",
	"X-Oai-Attestation",
	"X-Openai-Internal-Codex-Responses-Lite",
	"X-Openai-Subagent",
	"X-Responsesapi-Include-Timing-Metrics",

	// Google's SDKs.
	"X-Goog-Api-Client",
	"X-Server-Timeout",
}

// responseHeaders are the headers that pass from upstream to client.
//
// On purpose not here: cookies, whatever names the account (openai-organization,
// openai-project, anthropic-organization-id, anthropic-workspace-id, plans and
// credit), location, and what a browser would act on.
var responseHeaders = []string{
	"Cache-Control",
	"Content-Disposition",
	"Content-Encoding",
	"Content-Language",
	"Content-Length",
	"Content-Type",
	"Retry-After",
	"Retry-After-Ms",
	"X-Should-Retry",

	// Vendors' request ids.
	"Request-Id",
	"X-Request-Id",

	"Anthropic-Fast-*",
	"Anthropic-Priority-*",
	"Anthropic-Ratelimit-*",

	"Openai-Model",
	"Openai-Poll-After-Ms",
	"Openai-Processing-Ms",
	"Openai-Version",
	"X-Codex-Primary-*",
	"X-Codex-Secondary-*",
	"X-Codex-Turn-State",
	"X-Models-Etag",
	"X-Ratelimit-*",
	"X-Reasoning-Included",
}

// RequestHeaders returns the headers that pass from a client to an upstream, in
// canonical form. A "*" at the end stands for any ending.
func RequestHeaders() []string { return sorted(requestHeaders) }

// ResponseHeaders returns the headers that pass from an upstream to a client,
// like [RequestHeaders].
func ResponseHeaders() []string { return sorted(responseHeaders) }

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}

// A headerSet is a list of headers, made fast.
type headerSet struct {
	exact    map[string]bool
	prefixes []string
}

func newHeaderSet(list []string) headerSet {
	s := headerSet{exact: make(map[string]bool, len(list))}
	for _, name := range list {
		if prefix, wild := strings.CutSuffix(name, "*"); wild {
			s.prefixes = append(s.prefixes, prefix)
		} else {
			s.exact[name] = true
		}
	}
	return s
}

func (s *headerSet) has(name string) bool {
	if s.exact[name] {
		return true
	}
	for _, p := range s.prefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// copyTo copies the headers in the set from src to dst, except those that src
// declares to be of the connection only. The values are shared.
func (s *headerSet) copyTo(dst, src http.Header) {
	connection := src["Connection"]
	for name, values := range src {
		if s.has(name) && !(len(connection) > 0 && nominated(connection, name)) {
			dst[name] = values
		}
	}
}

// codings are the content codings that usage can be read through.
var codings = []string{"gzip, deflate"}

// readable returns what of an Accept-Encoding an upstream of inference is told:
// a stream in a coding that only the client can read could not be metered. A
// client takes what it accepts, and identity always.
func readable(accept []string) []string {
	known, all := 0, true
	for _, v := range accept {
		for coding := range strings.SplitSeq(v, ",") {
			switch name, params, _ := strings.Cut(strings.TrimSpace(coding), ";"); {
			case params != "":
				all = false
			case strings.EqualFold(name, "gzip"), strings.EqualFold(name, "deflate"):
				known++
			case !strings.EqualFold(name, "identity"):
				all = false
			}
		}
	}
	switch {
	case all:
		return accept
	case known == 2:
		return codings
	}
	var out []string
	for _, v := range accept {
		for coding := range strings.SplitSeq(v, ",") {
			coding = strings.TrimSpace(coding)
			if name, _, _ := strings.Cut(coding, ";"); strings.EqualFold(name, "gzip") || strings.EqualFold(name, "deflate") || strings.EqualFold(name, "identity") {
				out = append(out, coding)
			}
		}
	}
	if len(out) == 0 {
		out = append(out, "identity")
	}
	return []string{strings.Join(out, ", ")}
}

// nominated reports whether a Connection header names the header.
func nominated(connection []string, name string) bool {
	for _, v := range connection {
		for option := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(option), name) {
				return true
			}
		}
	}
	return false
}
