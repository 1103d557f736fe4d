package store

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Interceptions are the records of requests to the gateway. Writing them
// neither raises the generation nor leaves audit entries, and waits for no other
// writer: see docs/adr/0014.
type Interceptions interface {
	// Record adds records. One whose id is there already is left as it is, so
	// that a batch can be written again.
	Record(ctx context.Context, batch []Interception) error
	// Get returns the record with that id.
	Get(ctx context.Context, id string) (Interception, error)
	// List returns the records that q selects, newest first.
	List(ctx context.Context, q InterceptionQuery) ([]Interception, error)
	// Usage sums up the records that q selects, whatever its Before, by group:
	// the largest groups first, and for hours and days the latest. Its Limit is
	// the most groups to return.
	Usage(ctx context.Context, by UsageGroup, q InterceptionQuery) ([]Usage, error)
	// Scope returns which records the actor may see, for what shows them before
	// they are written.
	Scope(ctx context.Context) (Scope, error)
	// Prune removes the oldest records from before a time, at most limit of them,
	// and returns how many.
	Prune(ctx context.Context, before time.Time, limit int) (int64, error)
}

// An Interception is the record of a request to the gateway. It has nothing of
// the bodies. Ids may be of what is no longer there; "" is none.
type Interception struct {
	ID string
	At time.Time // when the request came

	TokenID, TokenName string
	OwnerID            string
	// OwnerName is the name of the owner now, "" if they are gone; it is read with
	// the record and not written.
	OwnerName string
	Client    string // product and version

	ProviderID, Provider string
	KeyID                string // of the last attempt
	Model, ActualModel   string // as asked for, and as the upstream says
	Endpoint, Path       string

	Status  int    // what the client got, 499 if it left, 0 if it is not known
	Reason  string // why the gateway itself answered, or cut the answer short
	Outcome Outcome

	Attempts            []Attempt
	FirstByte, Duration time.Duration

	RequestBytes, ResponseBytes int64
	Tokens                      TokenCounts
}

// An Outcome says whether the end of a request is known.
type Outcome string

// The outcomes of requests.
const (
	Complete Outcome = "complete"
	Unknown  Outcome = "unknown" // the process died in between
)

// An Attempt is one try at an upstream with one key.
type Attempt struct {
	// ProviderID and Provider are set where it was at another provider than the
	// one of the record.
	ProviderID string        `json:"provider_id,omitempty"`
	Provider   string        `json:"provider,omitempty"`
	KeyID      string        `json:"key_id"`
	Status     int           `json:"status"` // 0 if there was no answer
	Outcome    string        `json:"outcome"`
	Began      time.Time     `json:"began"`
	Duration   time.Duration `json:"duration"` // in nanoseconds
	// BilledTwice is set when the vendor may charge for it and for the next.
	BilledTwice bool `json:"billed_twice,omitempty"`
}

// TokenCounts are what a vendor counted, by that vendor's meaning. Known is
// whether it counted anything; zero is then a count.
type TokenCounts struct {
	Input, Output         int64
	CacheRead, CacheWrite int64
	Reasoning             int64
	Known                 bool
}

// An InterceptionQuery selects records. Zero fields select all.
type InterceptionQuery struct {
	// Scope is what the actor may see. dbauthz sets it, whatever was in it.
	Scope Scope
	// Owner is the id or name of a user, Token the id or name of a token, and
	// Provider the id or name of a provider.
	Owner, Token, Provider string
	// KeyID is of a key that was tried, first or last.
	KeyID string
	Model string // as asked for
	// Client is a product, with its version or without.
	Client string
	// StatusFrom and StatusTo select by status, both included; 0 is no limit.
	StatusFrom, StatusTo int
	Outcome              Outcome
	// Since and Until select by time: from Since on, and before Until.
	Since, Until time.Time
	// Before continues a list behind the record of that time and id.
	Before InterceptionMark
	// Limit is the most to return; 0 is no limit.
	Limit int
}

// An InterceptionMark is a place in the list of records. The zero mark is its
// beginning.
type InterceptionMark struct {
	At time.Time
	ID string
}

// Mark returns the place of the record.
func (i Interception) Mark() InterceptionMark { return InterceptionMark{i.At, i.ID} }

// A UsageGroup is what records are summed up by.
type UsageGroup string

// The groups.
const (
	ByHour     UsageGroup = "hour"
	ByDay      UsageGroup = "day" // of UTC
	ByProvider UsageGroup = "provider"
	ByModel    UsageGroup = "model"
	ByToken    UsageGroup = "token"
	ByOwner    UsageGroup = "owner"
	ByClient   UsageGroup = "client"
	InAll      UsageGroup = "" // all records in one group
)

// Usage is the sum of the records of one group.
type Usage struct {
	// Label is the name of the provider, model or client, or the id of the token
	// or owner; Name is that one's name, if it is known. Start is when the hour or
	// day begins.
	Label, Name string
	Start       time.Time

	Requests int64
	Errors   int64 // of them, with a status of 400 or more
	Unknown  int64 // of them, with an end that is not known
	Attempts int64
	Metered  int64 // requests of which the vendor said what was used
	Tokens   TokenCounts
	// Duration is that of all requests together. FirstByte is how long the
	// Answered ones waited for the first byte, together.
	Duration, FirstByte         time.Duration
	Answered                    int64
	RequestBytes, ResponseBytes int64
}

// Match reports whether q selects rec, by all but Before and Limit. The name of an
// owner selects those records alone that have it.
func (q InterceptionQuery) Match(rec Interception) bool {
	is := func(asked string, of ...string) bool { return asked == "" || slices.Contains(of, asked) }
	product, _, _ := strings.Cut(rec.Client, "/")
	tried := q.KeyID == "" || slices.ContainsFunc(rec.Attempts, func(a Attempt) bool { return a.KeyID == q.KeyID })
	return q.Scope.Has(rec.OwnerID) && tried &&
		is(q.Owner, rec.OwnerID, rec.OwnerName) && is(q.Token, rec.TokenID, rec.TokenName) &&
		is(q.Provider, rec.ProviderID, rec.Provider) && is(q.Model, rec.Model) && is(q.Client, rec.Client, product) &&
		(q.StatusFrom == 0 || rec.Status >= q.StatusFrom) && (q.StatusTo == 0 || rec.Status <= q.StatusTo) &&
		(q.Outcome == "" || rec.Outcome == q.Outcome) &&
		!rec.At.Before(q.Since) && (q.Until.IsZero() || rec.At.Before(q.Until))
}
