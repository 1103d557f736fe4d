package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
)

// Models returns the ids of the models that a provider offers, as it answers
// through the gateway. So it needs a token that may use the gateway, and it
// fails if no key of the provider works. A provider with very many models may
// name only some of them.
func (c *Client) Models(ctx context.Context, provider string) ([]string, error) {
	list, err := call[modelList](ctx, c, http.MethodGet, "/ai/"+url.PathEscape(provider)+"/v1/models", 0, nil)
	if e, ok := errors.AsType[*Error](err); ok && e.foreign {
		// The gateway passes on what the provider says, whatever its form.
		e.Detail = "the provider does not answer with a list of models"
	}
	if err != nil {
		return nil, err
	}
	ids := make([]string, 0, len(list))
	for _, m := range list {
		ids = append(ids, m.ID)
	}
	return ids, nil
}

type model struct{ ID string }

// A modelList is {"data":[…]} from nearly every provider, and from Together
// the bare array.
type modelList []model

func (l *modelList) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, (*[]model)(l))
	}
	var doc struct{ Data []model }
	err := json.Unmarshal(b, &doc)
	*l = doc.Data
	return err
}
