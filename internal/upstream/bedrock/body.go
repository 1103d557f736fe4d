package bedrock

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/gatehousehq/gatehouse/internal/upstream"
)

// version is what the member anthropic_version must be,
// https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html.
const version = "bedrock-2023-05-31"

// invocation returns the body of InvokeModel: without the members that are in the
// path, and with those that were headers.
func invocation(d upstream.Object, betas []string) []byte {
	out := append(make([]byte, 0, len(d.Text)+64), '{')
	put := func(raw string) {
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, raw...)
	}
	hasVersion := false
	for _, m := range d.Members {
		switch m.Name {
		case "model", "stream":
			continue
		case "anthropic_version":
			hasVersion = true
		case "anthropic_beta":
			for _, b := range gjson.ParseBytes(d.Text[m.From:m.To]).Array() {
				betas = append(betas, b.Str)
			}
			continue
		}
		put(m.Raw)
	}
	if !hasVersion {
		put(`"anthropic_version":"` + version + `"`)
	}
	if betas = acceptable(betas); len(betas) > 0 {
		list := []byte(`"anthropic_beta":[`)
		for i, b := range betas {
			if i > 0 {
				list = append(list, ',')
			}
			list = upstream.AppendString(list, b)
		}
		put(string(append(list, ']')))
	}
	return append(out, '}')
}

// countBody returns the body of CountTokens for an invocation,
// https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_CountTokens.html.
// It must have max_tokens, which a request to count need not have.
func countBody(invocation []byte) []byte {
	if !gjson.GetBytes(invocation, "max_tokens").Exists() {
		invocation = append(invocation[:len(invocation)-1], `,"max_tokens":1}`...)
	}
	out := []byte(`{"input":{"invokeModel":{"body":"`)
	out = base64.StdEncoding.AppendEncode(out, invocation)
	return append(out, `"}}}`...)
}

// takeBetas takes the header anthropic-beta out of h: Bedrock has it in the body.
func takeBetas(h http.Header) (betas []string) {
	for _, v := range h["Anthropic-Beta"] {
		for b := range strings.SplitSeq(v, ",") {
			betas = append(betas, strings.TrimSpace(b))
		}
	}
	delete(h, "Anthropic-Beta")
	return betas
}

// notOnBedrock are the beginnings of betas that Anthropic's own service alone
// has, and its clients send unasked. Bedrock refuses a request for the sake of one
// ("invalid beta flag"): https://github.com/anthropics/claude-code/issues/49370,
// https://github.com/BerriAI/litellm/pull/19877.
var notOnBedrock = []string{
	"advanced-tool-use-", "extended-cache-ttl-", "fast-mode-", "files-api-", "mcp-client-", "mcp-servers-", "oauth-", "prompt-caching-scope-",
	"redact-thinking-", "token-efficient-tools-2026-",
}

// acceptable returns each beta once that Bedrock is not known to refuse.
func acceptable(betas []string) (out []string) {
	for _, b := range betas {
		refused := slices.ContainsFunc(notOnBedrock, func(begin string) bool { return strings.HasPrefix(b, begin) })
		if b != "" && !refused && !slices.Contains(out, b) {
			out = append(out, b)
		}
	}
	return out
}
