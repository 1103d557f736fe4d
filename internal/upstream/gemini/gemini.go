// Package gemini describes the API of Google's Gemini models
// (https://ai.google.dev/api), as served at generativelanguage.googleapis.com.
//
// A provider's base URL is what Google's SDKs take: without a version. The model
// is in the path, and what is done with it follows after a colon.
package gemini

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehousehq/gatehouse/internal/upstream"
)

// Dialect returns the dialect.
func Dialect() *upstream.Dialect {
	return &upstream.Dialect{
		Name:             "gemini",
		Versions:         []string{"v1beta", "v1", "v1alpha"},
		CredentialHeader: "X-Goog-Api-Key",
		Endpoints:        endpoints(),
		Claims:           claims,
		Classify:         classify,
		WaitIn:           waitIn,
		// https://ai.google.dev/gemini-api/docs/rate-limits: they are for each model of a project.
		LimitsByModel: true,
		RefuseQuery:   refuseQuery,
		ProbePath:     "v1beta/models",
		ProbeQuery:    "pageSize=1",
		AppendError:   appendError,
	}
}

// operations are those of inference, on a model.
var operations = []string{"generateContent", "streamGenerateContent", "countTokens", "embedContent", "batchEmbedContents"}

func endpoints() []upstream.Endpoint {
	list := []upstream.Endpoint{
		{Name: "models", Method: http.MethodGet, Path: "models"},
		{Name: "models/{id}", Method: http.MethodGet, Path: "models/*"},
	}
	for _, operation := range operations {
		list = append(list, upstream.Endpoint{Name: operation, Method: http.MethodPost, Path: "models/*:" + operation})
	}
	return list
}

// claims knows a request by what no other API has, an operation after a colon,
// and Google's clients by their headers where others have the same path.
func claims(path string, h http.Header) bool {
	model, below := strings.CutPrefix(path, "models/")
	if !below && path != "models" && path != "" {
		return false
	}
	_, operation, _ := strings.Cut(model, ":")
	return slices.Contains(operations, operation) || len(h["X-Goog-Api-Key"]) > 0 || len(h["X-Goog-Api-Client"]) > 0
}

// parameters are those of Google's own for every API
// (https://docs.cloud.google.com/apis/docs/system-parameters) that choose a
// credential, an account or a user to count for, or that make the answer such
// that what was used is not in it. Those that begin with a "$" do the same, and
// some of them set any header.
var parameters = []string{
	"key", "api_key", "access_token", "oauth_token", "bearer_token", "quotauser", "userproject", "callback", "fields",
}

// refuseQuery also refuses what two readers of the query could take for
// different things.
func refuseQuery(query string) bool {
	if query == "" || query == "alt=sse" {
		return false
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return true
	}
	for name, all := range values {
		switch lower := strings.ToLower(name); {
		case strings.HasPrefix(name, "$"), slices.Contains(parameters, lower):
			return true
		case lower == "alt":
			// alt=media is for files, which are no part of inference.
			if slices.ContainsFunc(all, func(v string) bool { return v != "sse" && v != "json" && v != "media" }) {
				return true
			}
		}
	}
	return false
}
