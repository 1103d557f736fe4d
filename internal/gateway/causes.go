package gateway

import (
	"net/http"

	"github.com/gatehousehq/gatehouse/internal/keypool"
	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/upstream"
	"github.com/gatehousehq/gatehouse/internal/usage"
)

// movesOn reports whether the request goes on to the next key, or to the next
// target after the last one.
func (t *tryState) movesOn(cause routing.Causes) bool {
	return cause != 0 && t.x.provider.Final&cause == 0 && (!t.last || t.x.another())
}

// mayBeBilled reports whether the vendor may charge for an attempt that it gave
// no answer to.
func (t *tryState) mayBeBilled(kind connectionKind) bool {
	switch t.x.r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return false
	}
	return t.sent && (kind == kindTimeout || kind == kindLost)
}

func causeOf(kind connectionKind) routing.Causes {
	if kind == kindTimeout {
		return routing.CauseTimeout
	}
	return routing.CauseUnreachable
}

// A meaning is what the gateway makes of an upstream's error.
type meaning struct {
	outcome string         // of the attempt
	reason  keypool.Reason // what is held against the key, if anything
	cause   routing.Causes // why another key may do better; zero if none would
}

var meanings = map[upstream.Verdict]meaning{
	upstream.ClientError:    {outcome: usage.ClientError},
	upstream.Unavailable:    {usage.Unavailable, "", routing.CauseUnavailable},
	upstream.RateLimited:    {usage.Limited, keypool.RateLimited, routing.CauseRateLimited},
	upstream.QuotaExhausted: {usage.NoQuota, keypool.QuotaExhausted, routing.CauseQuota},
	upstream.Refused:        {usage.Refused, keypool.Forbidden, routing.CauseRefused},
	upstream.NotPermitted:   {usage.NotPermitted, "", routing.CauseNotPermitted},
}

// meaningOf returns what an error of that verdict and status means.
func meaningOf(v upstream.Verdict, status int) meaning {
	m := meanings[v]
	switch {
	case v != upstream.Refused:
	case status == http.StatusUnauthorized:
		m.reason = keypool.Unauthorized
	case status == http.StatusPaymentRequired:
		m.reason, m.cause = keypool.PaymentRequired, routing.CauseQuota
	}
	return m
}
