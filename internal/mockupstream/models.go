package mockupstream

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// openAIModels answers GET /v1/models and /v1/models/{id}.
func openAIModels(c *call) reply {
	const model = `{"id":%s,"object":"model","created":1735689600,"owned_by":"gatehouse-mock"}`
	ids := []string{ChatModel, EmbeddingModel}
	id, one := strings.CutPrefix(c.r.URL.Path, "/v1/models/")
	switch {
	case !one:
		return reply{status: http.StatusOK, body: fmt.Appendf(nil, `{"object":"list","data":[`+model+`,`+model+`]}`,
			quote(ids[0]), quote(ids[1]))}
	case slices.Contains(ids, id):
		return reply{status: http.StatusOK, body: fmt.Appendf(nil, model, quote(id))}
	}
	return openAIError(http.StatusNotFound, "invalid_request_error", "model_not_found", "model",
		"The model '"+id+"' does not exist")
}

// anthropicModels answers the same paths in the other shape.
func anthropicModels(c *call) reply {
	const model = `{"type":"model","id":"` + ClaudeModel + `","display_name":"Mock Claude","created_at":"2025-01-01T00:00:00Z"}`
	id, one := strings.CutPrefix(c.r.URL.Path, "/v1/models/")
	switch {
	case !one:
		return reply{status: http.StatusOK, body: []byte(`{"data":[` + model + `],"has_more":false,"first_id":"` + ClaudeModel + `","last_id":"` + ClaudeModel + `"}`)}
	case id == ClaudeModel:
		return reply{status: http.StatusOK, body: []byte(model)}
	}
	return anthropicError(c, http.StatusNotFound, "not_found_error", "model: "+id)
}
