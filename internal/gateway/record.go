package gateway

import "time"

// A Record is what is known of a request when it is over. It holds no secret
// and nothing of the bodies.
type Record struct {
	// ID is the request id that the client was given.
	ID string
	// TokenID and Token (its name) are empty if the token was not accepted.
	TokenID string
	Token   string
	// Provider is empty if there is none of the name, or not for this token.
	Provider string
	// Model is empty if it is unknown or not fit to be printed.
	Model string
	// Endpoint is the name of the endpoint of inference, "passthrough" for
	// another path, or empty.
	Endpoint string
	// Status is what the client got; 499 if it left before the end.
	Status int
	// Reason says why the gateway itself answered, or cut the response short;
	// it is empty if the upstream's answer was relayed whole.
	Reason string
	// Began is when the request came, Duration how long it took in all.
	Began    time.Time
	Duration time.Duration
	// Attempts are the tries, in order. The last one may have been relayed.
	Attempts []Attempt
}

// An Attempt is one try at an upstream with one key.
type Attempt struct {
	// KeyID is empty for a provider without keys.
	KeyID string
	// Status is the upstream's; zero if it did not answer.
	Status int
	// Outcome says how it ended: one of the outcomes.
	Outcome string
	// Duration is until the attempt was given up, or relayed to its end.
	Duration time.Duration
}

// The outcomes of attempts that got an answer. What went wrong with those that
// got none is named by the connection errors of this package.
const (
	outcomeOK           = "ok"
	outcomeClientError  = "client_error"
	outcomeUnavailable  = "unavailable"
	outcomeLimited      = "rate_limited"
	outcomeNoQuota      = "insufficient_quota"
	outcomeRefused      = "key_refused"
	outcomeNotPermitted = "not_permitted"
	outcomeRedirect     = "redirect"
	outcomeLeaked       = "key_in_response"
	outcomeAborted      = "aborted"
	outcomeClientGone   = "client_gone"
)
