package settings

import "slices"

// Causes are what can be wrong with an attempt that another key may do better,
// as [Pool.FailoverOn] names them.
func Causes() []string {
	return []string{
		CauseRateLimited, CauseQuota, CauseRefused, CauseNotPermitted, CauseUnavailable, CauseTimeout, CauseUnreachable,
	}
}

// The causes.
const (
	CauseRateLimited  = "rate_limited"       // 429
	CauseQuota        = "insufficient_quota" // no credit is left, or 402
	CauseRefused      = "key_refused"        // 401, or 403 on account of the key
	CauseNotPermitted = "not_permitted"      // the key may not use that model or endpoint
	CauseUnavailable  = "unavailable"        // 408, 5xx, 529
	CauseTimeout      = "timeout"            // no answer in time
	CauseUnreachable  = "unreachable"        // no connection, or one that broke before the answer
)

// A Pool is how requests use the keys of a provider. Every type of document has
// its fields.
type Pool struct {
	// FailoverOn are the causes at which a request goes on to the next key; nil
	// is all.
	FailoverOn []string
	// ReplayAfterSend is whether a request goes on that had been sent when the
	// attempt failed without an answer, so that the vendor may bill it twice; nil
	// is yes.
	ReplayAfterSend *bool
	// Probe is whether keys that were refused are tried in the background; nil is
	// yes.
	Probe *bool
	// Breaker is whether requests are kept from it while it does not answer; nil is
	// yes.
	Breaker *bool
	// MaxConcurrency is how many requests each gateway has under way with it at a
	// time; 0 is any number.
	MaxConcurrency int64
}

func (p *Pool) fields() []field {
	return []field{
		{name: "failover_on", value: &p.FailoverOn, of: Causes()},
		{name: "replay_after_send", value: &p.ReplayAfterSend},
		{name: "probe", value: &p.Probe},
		{name: "breaker", value: &p.Breaker},
		{name: "max_concurrency", value: &p.MaxConcurrency, max: 1_000_000},
	}
}

// MovesOn reports whether a request goes on to the next key after that cause.
func (p Pool) MovesOn(cause string) bool {
	return p.FailoverOn == nil || slices.Contains(p.FailoverOn, cause)
}

// Replays reports whether a request may be sent again that may be billed already.
func (p Pool) Replays() bool { return p.ReplayAfterSend == nil || *p.ReplayAfterSend }

// Breaks reports whether requests are kept from a provider that does not answer.
func (p Pool) Breaks() bool { return p.Breaker == nil || *p.Breaker }

// Probes reports whether keys are tried in the background.
func (p Pool) Probes() bool { return p.Probe == nil || *p.Probe }
