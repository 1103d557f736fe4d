package mockupstream

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"

	"github.com/tidwall/gjson"
)

const (
	// contentsBody takes parts, finish reason, usage, model, id.
	contentsBody  = `{"candidates":[{"content":{"parts":[%s],"role":"model"}%s,"index":0}],"usageMetadata":%s,"modelVersion":%s,"responseId":%s}`
	contentsText  = `{"text":%s}`
	contentsCall  = `{"functionCall":{"id":%s,"name":%s,"args":%s}}`
	contentsStop  = `,"finishReason":"STOP"`
	contentsUsage = `{"promptTokenCount":%d,"cachedContentTokenCount":%d,"thoughtsTokenCount":%d%s,"promptTokensDetails":[{"modality":"TEXT","tokenCount":%[1]d}]}`
)

// gemini is the usage in Google's meaning: what came from a cache is part of the
// prompt, and what was thought is not part of the answer.
func (a answer) gemini(input int) Usage {
	return Usage{Input: input + a.cacheRead, Output: a.tokens(), CacheRead: a.cacheRead, Reasoning: a.reasoning}
}

// generateContent answers models/{model}:generateContent, and its stream.
func generateContent(c *call) reply {
	p, rep, bad := geminiPrompt(c)
	if bad {
		return rep
	}
	a := c.answer(p)
	u := a.gemini(p.tokens)
	usage := func(candidates string) []byte {
		return fmt.Appendf(nil, contentsUsage, u.Input, u.CacheRead, u.Reasoning, candidates)
	}
	whole := usage(fmt.Sprintf(`,"candidatesTokenCount":%d,"totalTokenCount":%d`, u.Output, u.Input+u.Output+u.Reasoning))
	id, model := quote(c.name("")), quote(p.model)
	body := func(parts []byte, stop string, usage []byte) []byte {
		return fmt.Appendf(nil, contentsBody, parts, stop, usage, model, id)
	}
	if !p.stream {
		var parts [][]byte
		if len(a.words) > 0 {
			parts = append(parts, fmt.Appendf(nil, contentsText, quote(a.text())))
		}
		for _, tool := range a.calls {
			parts = append(parts, fmt.Appendf(nil, contentsCall, quote(tool.id), quote(tool.name), tool.input()))
		}
		return reply{status: http.StatusOK, usage: u, body: body(bytes.Join(parts, []byte(",")), contentsStop, whole)}
	}
	// Each piece says what the prompt took, and the last one the rest.
	sofar := usage("")
	var docs [][]byte
	for _, word := range a.words {
		docs = append(docs, body(fmt.Appendf(nil, contentsText, quote(word)), "", sofar))
	}
	for _, tool := range a.calls {
		docs = append(docs, body(fmt.Appendf(nil, contentsCall, quote(tool.id), quote(tool.name), tool.input()), "", sofar))
	}
	docs = append(docs, body(fmt.Appendf(nil, contentsText, `""`), contentsStop, whole))
	return reply{status: http.StatusOK, usage: u, chunks: contentsChunks(docs, geminiListed(c.r)), listed: geminiListed(c.r)}
}

// contentsChunks makes a stream of documents: of events, or one list.
func contentsChunks(docs [][]byte, listed bool) [][]byte {
	var chunks [][]byte
	for i, doc := range docs {
		switch {
		case !listed:
			chunks = append(chunks, fmt.Appendf(nil, "data: %s\r\n\r\n", doc))
		case i == 0:
			chunks = append(chunks, append([]byte("["), doc...))
		default:
			chunks = append(chunks, append([]byte(",\r\n"), doc...))
		}
	}
	if listed {
		chunks = append(chunks, []byte("\n]"))
	}
	return chunks
}

// embedContents answers embedContent and batchEmbedContents.
func embedContents(c *call) reply {
	doc := gjson.ParseBytes(c.body)
	requests := []gjson.Result{doc}
	_, operation := geminiCall(c.r)
	if operation == "batchEmbedContents" {
		requests = doc.Get("requests").Array()
	}
	var tokens int
	var vectors []string
	for _, r := range requests {
		size := int(r.Get("outputDimensionality").Int())
		if size < 1 || size > maxDimensions {
			size = defaultDimensions
		}
		var p prompt
		p.count(r.Get("content.parts"))
		tokens += p.tokens
		vectors = append(vectors, string(appendVector([]byte(`{"values":`), vector(r.Get("content").Raw, size), false))+"}")
	}
	if tokens == 0 {
		return geminiError(c, http.StatusBadRequest, "INVALID_ARGUMENT", "content contains an empty Part.")
	}
	body := `{"embedding":` + vectors[0]
	if operation == "batchEmbedContents" {
		body = `{"embeddings":[` + strings.Join(vectors, ",") + `]`
	}
	return reply{status: http.StatusOK, usage: Usage{Input: tokens}, body: fmt.Appendf(nil, `%s,"usageMetadata":{"promptTokenCount":%d}}`, body, tokens)}
}
