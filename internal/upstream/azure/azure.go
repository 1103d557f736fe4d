// Package azure reaches OpenAI's models on Azure for clients that speak OpenAI's
// API.
//
// Azure has two ways, told apart by whether the provider's settings have an API
// version:
//
//   - its v1 API, for a base URL such as https://NAME.openai.azure.com/openai/v1:
//     the paths and bodies are OpenAI's, and a model is named by its deployment;
//     https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle
//   - the API of that version, for a base URL such as
//     https://NAME.openai.azure.com/openai: the deployment, which must be named like
//     the model that is asked for, is in the path;
//     https://learn.microsoft.com/azure/ai-foundry/openai/reference
//
// The key is sent as api-key either way. Bodies pass as they are.
package azure

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehousehq/gatehouse/internal/upstream"
	"github.com/gatehousehq/gatehouse/internal/upstream/openai"
)

// Access is how one provider reaches Azure: the Access of an
// [upstream.Outgoing].
type Access struct {
	// APIVersion is the api-version of requests, such as 2024-10-21; "" is the v1
	// API.
	APIVersion string
}

// Dialect returns the dialect.
func Dialect() *upstream.Dialect {
	d := openai.Dialect()
	d.Name = "azure"
	d.Prepare = prepare
	d.Sockets = nil // it has other paths, and other models in them
	return d
}

// deployed are the endpoints that Azure has below a deployment. The others name
// it in the body.
var deployed = map[string]bool{"chat/completions": true, "completions": true, "embeddings": true}

// errVersion keeps a client from choosing another API than the settings say.
var errVersion = &upstream.RequestError{Status: http.StatusBadRequest, Message: "api-version is set by the provider, and must not be in the query."}

func prepare(_ context.Context, o *upstream.Outgoing) error {
	a, _ := o.Access.(*Access) // a provider without settings is one of the v1 API
	path, query := o.Path, o.Query
	if a != nil && a.APIVersion != "" {
		values, err := url.ParseQuery(query)
		if err != nil || values.Has("api-version") {
			return errVersion
		}
		if o.Endpoint != nil && deployed[o.Endpoint.Name] {
			doc, err := upstream.ParseObject(o.Body)
			if err != nil {
				return err
			}
			path = "deployments/" + url.PathEscape(doc.Model) + "/" + path
		}
		query = strings.TrimPrefix(query+"&api-version="+url.QueryEscape(a.APIVersion), "&")
	}
	var err error
	if o.URL, err = (&upstream.Dialect{}).URL(o.Base, path, query); err != nil {
		return err
	}
	if !o.Key.IsZero() {
		o.Header["Api-Key"] = []string{o.Key.Reveal()}
	}
	return nil
}
