package gateway

import (
	"context"
	"errors"
	"net/http"

	"github.com/gatehousehq/gatehouse/internal/upstream"
)

// prepare has the dialect make the request, for an upstream that is reached in
// another way than its clients speak.
func (t *tryState) prepare(ctx context.Context, req *http.Request, query string) error {
	x := t.x
	if !x.body.replayable && x.endpoint != nil && x.endpoint.BodyModel {
		return errNotHeld
	}
	o := upstream.Outgoing{
		Method: req.Method, Base: x.provider.BaseURL, Endpoint: x.endpoint, Path: x.path, Query: query,
		Access: x.provider.Access, Now: t.began, Header: req.Header, Body: x.body.held,
	}
	if t.key != nil {
		o.Key = t.key.Secret
	}
	if err := x.dialect.Prepare(ctx, &o); err != nil {
		return err
	}
	t.presented, t.refused = o.Presented, o.Refused
	req.URL = o.URL
	if len(o.Body) == 0 || len(x.body.held) > 0 && &o.Body[0] == &x.body.held[0] && len(o.Body) == len(x.body.held) {
		x.body.attach(req, x.watch.answerLater) // as it came
		return nil
	}
	o.Attach(req)
	return nil
}

// errNotHeld is a body that would have to be taken apart, and is too large.
var errNotHeld = errors.New("gateway: the body is not held")

// unsendable goes on to the next target, or answers, where no request could be
// made.
func (t *tryState) unsendable(err error) (answered bool) {
	x := t.x
	bad, ok := errors.AsType[*upstream.RequestError](err)
	_, bare := errors.AsType[*upstream.CredentialError](err)
	switch {
	case errors.Is(err, context.Canceled): // while it waited for credentials
		return t.unanswered(err)
	case bare:
		t.note().Outcome = noCredentials.reason
		return x.pass(noCredentials, noCredentials.message, 0)
	case errors.Is(err, errNotHeld):
		t.note().Outcome = bodyNotHeld.reason
		return x.pass(bodyNotHeld, bodyNotHeld.message, 0)
	case ok:
		t.note().Outcome = notForUpstream.reason
		refused := *notForUpstream
		refused.status = bad.Status
		return x.pass(&refused, bad.Message, 0)
	default:
		t.note().Outcome = providerFault.reason
		return x.pass(providerFault, providerFault.message, 0)
	}
}
