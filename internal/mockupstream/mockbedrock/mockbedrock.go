// Package mockbedrock is Amazon Bedrock in front of a mock upstream: what speaks
// Anthropic's API behind it is spoken to in the ways of AWS.
//
// It holds requests to what AWS holds them to: each must be signed by a pair that
// it knows (Signature Version 4, worked out here once more from its description,
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html)
// or bear a key that it knows, have its model in the path and no member that
// Bedrock does not take; it has every model but those named no-such-model. Answers come in AWS's framing, and errors are AWS's.
package mockbedrock

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/gatehousehq/gatehouse/internal/secret"
)

// A Bedrock is the service in one region, an [http.Handler].
type Bedrock struct {
	// Behind answers requests in Anthropic's API; it is presented the whole key.
	Behind http.Handler
	// Region is what requests must be signed for.
	Region string
	// Keys are ACCESS_KEY_ID:SECRET pairs and Bedrock API keys that are known.
	Keys []secret.Text
	// Sessions, if not nil, knows the credentials of roles; what is behind is
	// presented SessionKey for them.
	Sessions   *STS
	SessionKey secret.Text
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// maxBody is the longest body that is taken, as at AWS.
const maxBody = 25_000_000

// ServeHTTP implements [http.Handler].
func (b *Bedrock) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		fail(w, http.StatusBadRequest, "ValidationException", "the body is too long, or broke off")
		return
	}
	service := "bedrock"
	if strings.HasPrefix(r.Host, "bedrock-mantle.") {
		service = "bedrock-mantle"
	}
	key, problem := b.authenticate(r, body, service)
	if problem != "" {
		fail(w, http.StatusForbidden, problem, "The security token included in the request is invalid.")
		return
	}
	w.Header().Set("X-Amzn-Requestid", fmt.Sprintf("%08x", len(body))) // any will do
	if native, ok := strings.CutPrefix(r.URL.EscapedPath(), "/anthropic"); ok {
		b.Behind.ServeHTTP(w, behind(r, native, key, body))
		return
	}
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), "/model/")
	escaped, operation, _ := strings.Cut(rest, "/")
	model, err := url.PathUnescape(escaped)
	if !ok || err != nil || r.Method != http.MethodPost {
		fail(w, http.StatusNotFound, "UnknownOperationException", "")
		return
	}
	if strings.Contains(model, "no-such-model") {
		fail(w, http.StatusBadRequest, "ValidationException", "The provided model identifier is invalid.")
		return
	}
	if operation == "count-tokens" {
		b.count(w, r, key, model, body)
		return
	}
	request, problem := messages(body, model, operation == "invoke-with-response-stream")
	switch {
	case problem != "":
		fail(w, http.StatusBadRequest, "ValidationException", problem)
	case operation == "invoke":
		whole := httptest.NewRecorder()
		b.Behind.ServeHTTP(whole, behind(r, "/v1/messages", key, request))
		relay(w, whole)
	case operation == "invoke-with-response-stream":
		f := &framer{w: w}
		b.Behind.ServeHTTP(f, behind(r, "/v1/messages", key, request))
		f.end()
	default:
		fail(w, http.StatusNotFound, "UnknownOperationException", "")
	}
}

// behind is the request that Anthropic's API is sent.
func behind(r *http.Request, path string, key secret.Text, body []byte) *http.Request {
	out := r.Clone(r.Context())
	out.URL = &url.URL{Path: path}
	out.Header = http.Header{"Content-Type": {"application/json"}, "X-Api-Key": {key.Reveal()}, "Anthropic-Version": {"2023-06-01"}}
	out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return out
}

// messages makes a request for messages of an invocation's body, and says what
// Bedrock would not take of it.
func messages(body []byte, model string, stream bool) (request []byte, problem string) {
	switch doc := gjson.ParseBytes(body); {
	case !gjson.ValidBytes(body) || !doc.IsObject():
		return nil, "Malformed input request, please reformat your input and try again."
	case doc.Get("model").Exists():
		return nil, "model: Extra inputs are not permitted"
	case doc.Get("stream").Exists():
		return nil, "stream: Extra inputs are not permitted"
	case doc.Get("anthropic_version").Str != "bedrock-2023-05-31":
		return nil, "anthropic_version: Field required"
	case strings.Contains(doc.Get("anthropic_beta").Raw, "oauth-"):
		return nil, "invalid beta flag"
	}
	return fmt.Appendf(nil, `{"model":%q,"stream":%v,%s`, model, stream, bytes.TrimSpace(body)[1:]), ""
}

func (b *Bedrock) count(w http.ResponseWriter, r *http.Request, key secret.Text, model string, body []byte) {
	invocation, err := base64.StdEncoding.DecodeString(gjson.GetBytes(body, "input.invokeModel.body").Str)
	request, problem := messages(invocation, model, false)
	if err != nil || problem != "" {
		fail(w, http.StatusBadRequest, "ValidationException", problem)
		return
	}
	whole := httptest.NewRecorder()
	b.Behind.ServeHTTP(whole, behind(r, "/v1/messages/count_tokens", key, request))
	if whole.Code != http.StatusOK {
		relay(w, whole)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"inputTokens":%d}`, gjson.GetBytes(whole.Body.Bytes(), "input_tokens").Int())
}

// relay passes an answer on, and makes AWS's error of one of Anthropic's.
func relay(w http.ResponseWriter, whole *httptest.ResponseRecorder) {
	if whole.Code != http.StatusOK {
		failAs(w, whole.Code, whole.Body.Bytes())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(whole.Body.Bytes()) // a client that has left is no one's loss
}

// failAs answers with AWS's error for one of Anthropic's.
func failAs(w http.ResponseWriter, status int, body []byte) {
	message := gjson.GetBytes(body, "error.message").Str
	switch {
	case status == http.StatusTooManyRequests:
		fail(w, status, "ThrottlingException", "Too many requests, please wait before trying again.")
	case status == http.StatusUnauthorized:
		fail(w, http.StatusForbidden, "UnrecognizedClientException", "The security token included in the request is invalid.")
	case status == 529:
		fail(w, http.StatusServiceUnavailable, "ServiceUnavailableException", "Bedrock is unable to process your request.")
	case status < http.StatusInternalServerError:
		fail(w, status, "ValidationException", message)
	default:
		fail(w, status, "InternalServerException", message)
	}
}

func fail(w http.ResponseWriter, status int, exception, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amzn-Errortype", exception+":http://internal.amazon.com/coral/com.amazon.bedrock/")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"message":%q}`, message)
}
