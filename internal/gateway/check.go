package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/gatehousehq/gatehouse/internal/keypool"
	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/upstream"
	"github.com/gatehousehq/gatehouse/internal/usage"
)

// NoModels is the outcome of a [Check] of a provider that has no list of models.
const NoModels = "no_models"

// A Check is what came of trying a key.
type Check struct {
	// OK is whether the provider accepts the key.
	OK bool
	// Outcome says how it ended: as that of a [usage.Attempt], or [NoModels].
	Outcome string
	// Status is the provider's; zero if it did not answer.
	Status int
	// Took is how long it took.
	Took time.Duration
	// Finding is what it says of the key; nil is nothing.
	Finding *keypool.Outcome
}

// Check lists the models of a provider with a key, or without if it is nil. It
// says nothing of what the provider answered but its status. The caller bounds
// its time.
func (g *Gateway) Check(ctx context.Context, p *routing.Provider, key *routing.Key) Check {
	began := g.cfg.Now()
	c := g.check(ctx, p, key)
	c.Took = g.cfg.Now().Sub(began)
	if c.Finding != nil {
		c.Finding.Began, c.Finding.Status, c.Finding.Trial = began, c.Status, true
	}
	return c
}

func (g *Gateway) check(ctx context.Context, p *routing.Provider, key *routing.Key) Check {
	d := g.byName[p.Dialect]
	var credential secret.Text
	if key != nil {
		credential = key.Secret
	}
	if d == nil || p.Fault != "" || p.BaseURL == nil || key != nil && key.Unreadable {
		return Check{Outcome: providerFault.reason}
	}
	if p.FirstByteTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.FirstByteTimeout)
		defer cancel()
	}
	req, err := d.Probe(ctx, p.BaseURL, p.Access, credential, g.cfg.Now())
	if _, bare := errors.AsType[*upstream.CredentialError](err); bare {
		return Check{Outcome: noCredentials.reason}
	}
	if err != nil {
		return Check{Outcome: providerFault.reason}
	}
	addHeaders(req.Header, p)
	res, err := g.roundTrip(p, req)
	if err != nil {
		return Check{Outcome: string(kindIn(ctx, err))}
	}
	c := Check{Status: res.StatusCode}
	if d.Answer != nil {
		err = d.Answer(res)
	}
	defer res.Body.Close()
	if err != nil {
		c.Outcome = string(kindIn(ctx, err))
		return c
	}
	switch {
	case res.StatusCode < 200 || res.StatusCode >= 300 && res.StatusCode < 400:
		c.Outcome = usage.Redirect
		return c
	case res.StatusCode < 300:
		c.OK, c.Outcome, c.Finding = true, usage.OK, &keypool.Outcome{}
		return c
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxErrorBody))
	if err != nil {
		return Check{Outcome: string(kindIn(ctx, err)), Status: res.StatusCode}
	}
	text := plainText(res.Header.Get("Content-Encoding"), raw)
	verdict := d.Classify(res.StatusCode, text)
	means := meaningOf(verdict, res.StatusCode)
	c.Outcome = means.outcome
	switch {
	case d.ProbeAsksWrong && verdict == upstream.ClientError:
		c.OK, c.Outcome, c.Finding = true, usage.OK, &keypool.Outcome{}
	case res.StatusCode == http.StatusNotFound, res.StatusCode == http.StatusMethodNotAllowed:
		c.Outcome = NoModels
	case verdict == upstream.NotPermitted: // to list models, but it is known
		c.OK, c.Finding = true, &keypool.Outcome{}
	default:
		if means.reason != "" {
			c.Finding = &keypool.Outcome{Reason: means.reason, RetryAfter: d.Wait(res.Header, text, g.cfg.Now())}
		}
	}
	return c
}

// kindIn is kindOf for what happened within ctx.
func kindIn(ctx context.Context, err error) connectionKind {
	if ctx.Err() != nil {
		return kindTimeout
	}
	return kindOf(err)
}

// Message says for people what came of the check. It has nothing of what the
// provider sent.
func (c Check) Message() string {
	switch c.Outcome {
	case usage.OK:
		return "The provider accepts the key."
	case usage.NotPermitted:
		return "The provider accepts the key, which may not list models."
	case usage.Limited:
		return "The key is rate limited at the moment."
	case usage.NoQuota:
		return "There is no credit behind the key, or a limit on spending is reached."
	case usage.Refused:
		return "The provider refuses the key."
	case usage.Unavailable:
		return "The provider answered with an error of its own, so the key could not be judged."
	case NoModels:
		return "The provider answers and has no list of models, so the key could not be judged. If it should have one, check its base_url."
	case usage.Redirect:
		return redirected.message
	case noCredentials.reason:
		return noCredentials.message
	case providerFault.reason:
		return "The provider cannot be reached as it is configured, or the key cannot be read."
	case usage.ClientError:
		return "The provider does not take the request for its models, so the key could not be judged. Check its base_url."
	case string(kindTimeout):
		return timedOut.message
	}
	return unreachable.message + " " + connectionKind(c.Outcome).advice()
}
