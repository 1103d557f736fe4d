// Package bedrock reaches Claude models on Amazon Bedrock for clients that speak
// Anthropic's Messages API.
//
// Bedrock has two ways, told apart by the base URL:
//
//   - its native Messages API, for a base URL that ends in /anthropic: requests
//     pass as they are, with another credential;
//     https://docs.aws.amazon.com/bedrock/latest/userguide/inference-messages-api.html
//   - InvokeModel, InvokeModelWithResponseStream and CountTokens else: the model
//     goes from the body into the path, and the stream of events comes in AWS's
//     binary framing, which is taken apart into server-sent events.
//     https://docs.aws.amazon.com/bedrock/latest/APIReference/API_Operations_Amazon_Bedrock_Runtime.html
//
// A key is a pair ACCESS_KEY_ID:SECRET, which signs requests (Signature Version
// 4), or a Bedrock API key, which is sent as a bearer token. In its place a
// [Source] may have a pair for now, with the token of a session.
//
// Nothing of a body is written anew but what has to be: members that Bedrock does
// not take are left out, and the rest passes byte for byte.
package bedrock

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/upstream"
	"github.com/gatehousehq/gatehouse/internal/upstream/anthropic"
)

// Access is how one provider reaches Bedrock: the Access of an
// [upstream.Outgoing].
type Access struct {
	Region string
	// Model and SmallFastModel take the place of the models that clients ask for:
	// the second that of any Haiku, the first that of all others. "" leaves what
	// was asked for.
	Model, SmallFastModel string
	// Pair is ACCESS_KEY_ID:SECRET for a provider without keys; zero is none.
	Pair secret.Text
	// Source has other credentials for a provider without keys; nil is none.
	Source Source
}

// A Source has credentials that change with time. It may be used concurrently.
type Source interface {
	// Credentials returns a pair ACCESS_KEY_ID:SECRET and its session token, if it
	// has one. An error is an [upstream.CredentialError] or the context's.
	Credentials(context.Context) (pair, session secret.Text, err error)
	// Refused says that AWS did not take them.
	Refused()
}

// Dialect returns the dialect.
func Dialect() *upstream.Dialect {
	d := anthropic.Dialect()
	d.Name = "bedrock"
	// There is no such model, which only those are told who may ask.
	d.ProbePath, d.ProbeQuery, d.ProbeAsksWrong = "messages/count_tokens", "", true
	d.ProbeBody = []byte(`{"model":"anthropic.no-such-model-v1:0","max_tokens":1,"messages":[{"role":"user","content":"x"}]}`)
	d.Limits, d.ParseReset = nil, nil
	d.Classify = classify
	d.Prepare = prepare
	d.Answer = answer
	return d
}

// Errors of requests that Bedrock has no place for. They are for the client.
var (
	errNoModels = &upstream.RequestError{Status: http.StatusNotFound, Message: "Amazon Bedrock has no list of models in this API: ask for a model by its name."}
	errPath     = &upstream.RequestError{Status: http.StatusNotFound, Message: "Amazon Bedrock has no such path."}
)

// errNoAccess is a provider that was not compiled for this dialect.
var errNoAccess = errors.New("bedrock: the provider has no region")

func prepare(ctx context.Context, o *upstream.Outgoing) error {
	a, ok := o.Access.(*Access)
	if !ok || a.Region == "" {
		return errNoAccess
	}
	if o.Endpoint == nil {
		return errPath
	}
	var err error
	if strings.HasSuffix(o.Base.Path, "/anthropic") {
		err = a.native(o)
	} else {
		err = a.invoke(o)
	}
	if err != nil {
		return err
	}
	key, session := o.Key, secret.Text{}
	switch {
	case !key.IsZero():
	case a.Source != nil:
		if key, session, err = a.Source.Credentials(ctx); err != nil {
			return err
		}
		o.Presented, o.Refused = session, a.Source.Refused
	default:
		key = a.Pair
	}
	return authorise(ctx, o, key, session, a.Region)
}

// native has the path of Anthropic's own API. Only the model may need another
// name.
func (a *Access) native(o *upstream.Outgoing) (err error) {
	if o.Endpoint.BodyModel {
		doc, err := upstream.ParseObject(o.Body)
		if err != nil {
			return err
		}
		if name := a.model(doc.Model); name != doc.Model {
			o.Body = doc.WithModel(name)
		}
	}
	o.URL, err = (&upstream.Dialect{BasePath: "/v1"}).URL(o.Base, o.Path, o.Query)
	return err
}

// invoke makes an invocation of a model out of a request for messages.
func (a *Access) invoke(o *upstream.Outgoing) error {
	if !o.Endpoint.BodyModel {
		return errNoModels
	}
	doc, err := upstream.ParseObject(o.Body)
	if err != nil {
		return err
	}
	betas := takeBetas(o.Header)
	var operation string
	switch {
	case o.Endpoint.Name == "messages/count_tokens":
		operation, o.Body = "count-tokens", countBody(invocation(doc, betas))
	case doc.Stream:
		operation, o.Body = "invoke-with-response-stream", invocation(doc, betas)
	default:
		operation, o.Body = "invoke", invocation(doc, betas)
	}
	o.Header["Content-Type"] = []string{"application/json"}
	o.Header["Accept"] = []string{"application/json"}
	if operation == "invoke-with-response-stream" {
		o.Header["Accept"] = []string{contentEvents}
	}
	delete(o.Header, "Accept-Encoding")   // what comes is looked into
	delete(o.Header, "Anthropic-Version") // it is in the body
	model := a.model(doc.Model)
	o.URL = &url.URL{
		Scheme: o.Base.Scheme, Host: o.Base.Host,
		Path: o.Base.Path + "/model/" + model + "/" + operation,
		// An ARN has slashes and colons, which must not be taken for more segments.
		RawPath: o.Base.EscapedPath() + "/model/" + url.QueryEscape(model) + "/" + operation,
	}
	return nil
}

// model returns what Bedrock calls the model that was asked for.
func (a *Access) model(asked string) string {
	set := a.Model
	if strings.Contains(strings.ToLower(asked), "haiku") {
		set = a.SmallFastModel
	}
	if set == "" {
		return asked
	}
	return set
}
