// Package mockazure is Azure OpenAI in front of a mock upstream: what speaks
// OpenAI's API behind it is spoken to in the ways of Azure.
//
// It holds requests to what Azure holds them to: the key is in api-key and there
// is no other credential; by a dated version the deployment is in the path and the
// version in the query, by the v1 API neither is. A deployment is named like its
// model. Errors are Azure's.
package mockazure

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/gatehousehq/gatehouse/internal/secret"
)

// An Azure is one resource, an [http.Handler].
type Azure struct {
	// Behind answers requests in OpenAI's API, by the same keys.
	Behind http.Handler
	// Version is the dated version that is served; "" is the v1 API.
	Version string
	// Keys are those that are known.
	Keys []secret.Text
}

// maxBody is the longest body that is taken.
const maxBody = 32 << 20

// ServeHTTP implements [http.Handler].
func (a *Azure) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		fail(w, http.StatusBadRequest, "BadRequest", "the body is too long, or broke off")
		return
	}
	key := r.Header.Get("Api-Key")
	if !slices.Contains(a.Keys, secret.New(key)) || r.Header.Get("Authorization") != "" {
		denied(w)
		return
	}
	path, ok := a.path(r.URL, gjson.GetBytes(body, "model").String())
	if !ok {
		fail(w, http.StatusNotFound, "404", "Resource not found")
		return
	}
	out := r.Clone(r.Context())
	out.URL = &url.URL{Path: "/v1/" + path}
	out.Header = http.Header{"Content-Type": r.Header["Content-Type"], "Authorization": {"Bearer " + key}}
	out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	w.Header().Set("Apim-Request-Id", "00000000-0000-4000-8000-000000000000")
	w.Header().Set("X-Ms-Region", "West Europe")
	a.Behind.ServeHTTP(&answer{ResponseWriter: w}, out)
}

// path returns what follows /v1/ at OpenAI.
func (a *Azure) path(u *url.URL, model string) (string, bool) {
	version := u.Query().Get("api-version")
	if a.Version == "" {
		path, ok := strings.CutPrefix(u.Path, "/openai/v1/")
		return path, ok && version == ""
	}
	rest, ok := strings.CutPrefix(u.Path, "/openai/deployments/")
	deployment, path, _ := strings.Cut(rest, "/")
	return path, ok && version == a.Version && deployment == model && model != ""
}

// An answer passes what is behind on, but for the errors that Azure words in
// another way.
type answer struct {
	http.ResponseWriter
	replaced bool
}

// WriteHeader implements [http.ResponseWriter].
func (a *answer) WriteHeader(status int) {
	switch status {
	case http.StatusUnauthorized:
		a.replaced = true
		denied(a.ResponseWriter)
	case http.StatusTooManyRequests:
		a.replaced = true
		fail(a.ResponseWriter, status, "429", "Requests to the ChatCompletions_Create Operation under Azure OpenAI API have exceeded call rate limit of your current pricing tier.")
	default:
		a.ResponseWriter.WriteHeader(status)
	}
}

// Write implements [http.ResponseWriter].
func (a *answer) Write(p []byte) (int, error) {
	if a.replaced {
		return len(p), nil
	}
	return a.ResponseWriter.Write(p)
}

// Unwrap lets a ResponseController at what is behind.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func denied(w http.ResponseWriter) {
	fail(w, http.StatusUnauthorized, "401", "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription and use a correct regional API endpoint for your resource.")
}

func fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Del("Content-Length")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error":{"code":%q,"message":%q}}`, code, message)
}
