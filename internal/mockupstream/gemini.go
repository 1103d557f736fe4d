package mockupstream

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/gatehousehq/gatehouse/internal/secret"
)

// gemini is Google's Gemini API around its endpoints.
type gemini struct{}

func (gemini) credential(r *http.Request) secret.Text {
	return secret.New(r.Header.Get("X-Goog-Api-Key"))
}

// headers has little to do: what Google says of limits is in the bodies.
func (gemini) headers(h http.Header, _ *call, _ reply) {
	h.Set("Server", "scaffolding on HTTPServer2")
	h.Set("Server-Timing", "gfet4t7; dur=7")
	h.Set("Set-Cookie", "NID=mock; path=/; HttpOnly; Secure; SameSite=None")
}

const googleRPC = "type.googleapis.com/google.rpc."

// geminiError is an error body, in a list where the answer would be one.
func geminiError(c *call, code int, status, message string, details ...string) reply {
	body := fmt.Appendf(nil, `{"error":{"code":%d,"message":%s,"status":%s`, code, quote(message), quote(status))
	if len(details) > 0 {
		body = fmt.Appendf(body, `,"details":[%s]`, strings.Join(details, ","))
	}
	body = append(body, "}}"...)
	if geminiListed(c.r) {
		body = fmt.Appendf(nil, "[%s\n]", body)
	}
	return reply{status: code, body: body}
}

func (gemini) unauthorized(c *call, presented secret.Text) reply {
	if presented.IsZero() {
		return geminiError(c, http.StatusForbidden, "PERMISSION_DENIED",
			"Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other form of API consumer identity to call this API.")
	}
	return geminiError(c, http.StatusBadRequest, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.",
		`{"@type":"`+googleRPC+`ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com","metadata":{"service":"generativelanguage.googleapis.com"}}`,
		`{"@type":"`+googleRPC+`LocalizedMessage","locale":"en-US","message":"API key not valid. Please pass a valid API key."}`)
}

// geminiQuota is what a quota that is used up looks like.
func geminiQuota(c *call, id string) reply {
	return geminiError(c, http.StatusTooManyRequests, "RESOURCE_EXHAUSTED",
		"You exceeded your current quota, please check your plan and billing details. For more information on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits.",
		`{"@type":"`+googleRPC+`QuotaFailure","violations":[{"quotaMetric":"generativelanguage.googleapis.com/generate_content_paid_tier_requests","quotaId":"`+id+`","quotaDimensions":{"location":"global","model":"`+GeminiModel+`"},"quotaValue":"10"}]}`,
		`{"@type":"`+googleRPC+`Help","links":[{"description":"Learn more about Gemini API quotas","url":"https://ai.google.dev/gemini-api/docs/rate-limits"}]}`,
		`{"@type":"`+googleRPC+`RetryInfo","retryDelay":"`+seconds(c.cfg.RetryAfter)+`s"}`)
}

func (v gemini) refusal(c *call, b Behaviour, presented secret.Text) reply {
	switch b {
	case RateLimited:
		return geminiQuota(c, "GenerateRequestsPerMinutePerProjectPerModel")
	case Exhausted:
		return geminiQuota(c, "GenerateRequestsPerDayPerProjectPerModel")
	case Overloaded:
		return geminiError(c, http.StatusServiceUnavailable, "UNAVAILABLE", "The model is overloaded. Please try again later.")
	default:
		return v.unauthorized(c, presented)
	}
}

func (gemini) unknown(c *call, status int) reply {
	return geminiError(c, status, "NOT_FOUND", "Requested entity was not found.")
}

// geminiCall returns the model and the operation that a path names.
func geminiCall(r *http.Request) (model, operation string) {
	rest, _ := strings.CutPrefix(r.URL.Path, "/v1beta/models/")
	model, operation, _ = strings.Cut(rest, ":")
	return model, operation
}

// geminiListed reports whether the answer is a stream that is one JSON list.
func geminiListed(r *http.Request) bool {
	_, operation := geminiCall(r)
	return operation == "streamGenerateContent" && r.URL.Query().Get("alt") != "sse"
}

// matchGemini finds the endpoint for a path below /v1beta.
func matchGemini(r *http.Request) (method string, end endpoint) {
	_, operation := geminiCall(r)
	switch operation {
	case "generateContent", "streamGenerateContent":
		return http.MethodPost, generateContent
	case "countTokens":
		return http.MethodPost, geminiCountTokens
	case "embedContent", "batchEmbedContents":
		return http.MethodPost, embedContents
	case "":
		if r.URL.Path == "/v1beta/models" || strings.HasPrefix(r.URL.Path, "/v1beta/models/") {
			return http.MethodGet, geminiModels
		}
	}
	return "", nil
}

// geminiPrompt reads what c asks, and says if it cannot be answered.
func geminiPrompt(c *call) (p prompt, rep reply, bad bool) {
	doc := gjson.ParseBytes(c.body)
	if !gjson.ValidBytes(c.body) || !doc.IsObject() {
		return p, geminiError(c, http.StatusBadRequest, "INVALID_ARGUMENT", "Invalid JSON payload received."), true
	}
	if doc.Get("contents.#").Int() == 0 {
		return p, geminiError(c, http.StatusBadRequest, "INVALID_ARGUMENT", "* GenerateContentRequest.contents: contents is not specified\n"), true
	}
	var operation string
	p.model, operation = geminiCall(c.r)
	p.stream = operation == "streamGenerateContent"
	p.count(doc.Get("systemInstruction.parts"))
	p.conversation = Conversation{Model: p.model}
	doc.Get("tools.#.functionDeclarations.#.name").ForEach(func(_, names gjson.Result) bool {
		for _, name := range names.Array() {
			p.conversation.Tools = append(p.conversation.Tools, name.String())
		}
		return true
	})
	doc.Get("contents").ForEach(func(_, turn gjson.Result) bool {
		text := p.count(turn.Get("parts"))
		if turn.Get("role").String() == "model" {
			p.conversation.Answers++
			return true
		}
		if text != "" {
			p.last = text
		}
		for _, result := range turn.Get("parts.#.functionResponse.response").Array() {
			if output := result.Get("output"); output.Type == gjson.String {
				result = output
			}
			p.conversation.Results = append(p.conversation.Results, result.String())
		}
		return true
	})
	p.conversation.Said = p.last
	return p, reply{}, false
}

func geminiCountTokens(c *call) reply {
	p, rep, bad := geminiPrompt(c)
	if bad {
		return rep
	}
	return reply{status: http.StatusOK, body: fmt.Appendf(nil, `{"totalTokens":%d,"promptTokensDetails":[{"modality":"TEXT","tokenCount":%d}]}`, p.tokens, p.tokens)}
}

// geminiModels answers GET /v1beta/models and /v1beta/models/{id}.
func geminiModels(c *call) reply {
	const model = `{"name":"models/` + GeminiModel + `","version":"001","displayName":"Mock Gemini","inputTokenLimit":1048576,"outputTokenLimit":65536,"supportedGenerationMethods":["generateContent","countTokens"]}`
	id, one := strings.CutPrefix(c.r.URL.Path, "/v1beta/models/")
	switch {
	case !one:
		return reply{status: http.StatusOK, body: []byte(`{"models":[` + model + `]}`)}
	case id == GeminiModel:
		return reply{status: http.StatusOK, body: []byte(model)}
	}
	return geminiError(c, http.StatusNotFound, "NOT_FOUND", "Model is not found: models/"+id+" for api version v1beta.")
}
