package routing

import "github.com/gatehousehq/gatehouse/internal/settings"

// Causes are what can be wrong with an attempt that another key may do better.
type Causes uint8

// The causes, each a set of one.
const (
	CauseRateLimited  Causes = 1 << iota // 429
	CauseQuota                           // no credit is left, or 402
	CauseRefused                         // 401, or 403 on account of the key
	CauseNotPermitted                    // the key may not use that model or endpoint
	CauseUnavailable                     // 408, 5xx, 529
	CauseTimeout                         // no answer in time
	CauseUnreachable                     // no connection, or one that broke before the answer
)

// causeNames has the causes in the order of their bits.
var causeNames = settings.Causes()

// finalCauses returns the causes after which a request stays where it is.
func finalCauses(p settings.Pool) (final Causes) {
	for i, name := range causeNames {
		if !p.MovesOn(name) {
			final |= 1 << i
		}
	}
	return final
}
