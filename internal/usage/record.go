// Package usage says what is known of a request to the gateway: a [Record] of
// what was asked, tried, answered and used.
//
// A Record holds no secret and nothing of the bodies. What an upstream counted
// is in it as that vendor means it; see [Tokens]. A [Meter] reads that from the
// bytes of a response as they pass, and [ClientName] says who asked.
//
// A Record and a Meter belong to one goroutine at a time; the functions may be
// called concurrently.
package usage

import "time"

// A Record is what is known of a request, in full when it is over.
type Record struct {
	// ID is the request id that the client was given.
	ID string
	// TokenID and Token (its name) are empty if the token was not accepted;
	// OwnerID is whose it is.
	TokenID string
	Token   string
	OwnerID string
	// Client is the product that the client calls itself, with its version
	// ("claude-cli/2.1.330"); empty if that is unknown or not fit to be printed.
	Client string
	// Provider is empty if there is none of the name, or not for this token.
	ProviderID string
	Provider   string
	// Model is what was asked for; empty if it is unknown or not fit to be
	// printed. ActualModel is what the upstream says it was answered by.
	Model       string
	ActualModel string
	// Endpoint is the name of the endpoint of inference, "passthrough" for
	// another path, or empty. Path is the raw path after /v1/, if it is one of
	// inference; where a client can choose a part of it, it is the endpoint's name.
	Endpoint string
	Path     string
	// Status is what the client got; 499 if it left before the end.
	Status int
	// Reason says why the gateway itself answered, or cut the response short;
	// it is empty if the upstream's answer was relayed whole.
	Reason string
	// Began is when the request came, FirstByte how long the client waited for
	// the first byte of an upstream's body (zero is never), Duration how long
	// it took in all.
	Began     time.Time
	FirstByte time.Duration
	Duration  time.Duration
	// Attempts are the tries, in order. The last one may have been relayed.
	Attempts []Attempt
	// RequestBytes and ResponseBytes are the lengths of the bodies, as far as
	// they came from and went to the client.
	RequestBytes  int64
	ResponseBytes int64
	// Tokens are what the upstream says was used. The zero value says nothing.
	Tokens Tokens
	// Unfinished is set if the process died before the end, which is unknown
	// then: the record says what was known when the first attempt began.
	Unfinished bool
}

// An Attempt is one try at an upstream with one key.
type Attempt struct {
	// ProviderID and Provider are set where the attempt was at another provider
	// than the one in the record, which is that of the last.
	ProviderID, Provider string
	// KeyID is empty for a provider without keys.
	KeyID string
	// Status is the upstream's; zero if it did not answer.
	Status int
	// Outcome says how it ended: one of the outcomes.
	Outcome string
	// Began is when it was sent. Duration is until the attempt was given up, or
	// relayed to its end.
	Began    time.Time
	Duration time.Duration
	// BilledTwice is set when the request had been sent when the attempt failed
	// without an answer, and was sent again: the vendor may charge for both.
	BilledTwice bool
}

// Tokens are what a vendor counted, by that vendor's meaning: at OpenAI, Input
// includes CacheRead and Output includes Reasoning; at Anthropic, Input is what
// came neither from a cache nor went into one; at Gemini, Input includes CacheRead
// and what tools took, and Output does not include Reasoning.
type Tokens struct {
	Input, Output         int64
	CacheRead, CacheWrite int64
	Reasoning             int64
	// Known is set when the upstream reported any of it; zero is then a count.
	Known bool
}

// Add adds what another response used, if that is known.
func (t *Tokens) Add(u Tokens) {
	t.Input += u.Input
	t.Output += u.Output
	t.CacheRead += u.CacheRead
	t.CacheWrite += u.CacheWrite
	t.Reasoning += u.Reasoning
	t.Known = t.Known || u.Known
}

// The outcomes of attempts that got an answer. What went wrong with those that
// got none is named by the gateway's connection errors.
const (
	OK           = "ok"
	ClientError  = "client_error"
	Unavailable  = "unavailable"
	Limited      = "rate_limited"
	NoQuota      = "insufficient_quota"
	Refused      = "key_refused"
	NotPermitted = "not_permitted"
	Redirect     = "redirect"
	Leaked       = "key_in_response"
	Aborted      = "aborted"
	Unreadable   = "answer_unreadable" // it could not be translated
	ClientGone   = "client_gone"
)
