package gateway

import (
	"net/http"

	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/upstream"
)

// movesOn reports whether the request goes on to the next key.
func (t *tryState) movesOn(cause routing.Causes) bool {
	return !t.last && cause != 0 && t.x.provider.Final&cause == 0
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

// causeOfVerdict returns why an error may be another with another key; zero if
// it would be the same.
func causeOfVerdict(v upstream.Verdict, status int) routing.Causes {
	switch v {
	case upstream.RateLimited:
		return routing.CauseRateLimited
	case upstream.QuotaExhausted:
		return routing.CauseQuota
	case upstream.Refused:
		if status == http.StatusPaymentRequired {
			return routing.CauseQuota
		}
		return routing.CauseRefused
	case upstream.NotPermitted:
		return routing.CauseNotPermitted
	case upstream.Unavailable:
		return routing.CauseUnavailable
	}
	return 0
}
