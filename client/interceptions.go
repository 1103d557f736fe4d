package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// An Interception is the record of a request to the gateway. It has nothing of
// what was asked and answered.
type Interception struct {
	ID            string      `json:"id" format:"uuid" doc:"The id that the client was given in X-Gatehouse-Request-Id."`
	Time          time.Time   `json:"time" doc:"When the request came."`
	TokenID       string      `json:"token_id" doc:"The id of the token it was made with."`
	Token         string      `json:"token" doc:"The name of that token."`
	OwnerID       string      `json:"owner_id" doc:"The id of the user whose token it is."`
	Owner         string      `json:"owner" doc:"The name of that user; empty if they are gone, and in events."`
	Client        string      `json:"client" doc:"The program that asked, and its version; may be empty."`
	ProviderID    string      `json:"provider_id" doc:"The id of the provider; may be empty."`
	Provider      string      `json:"provider" doc:"The name of the provider; empty if there is none of the name, or not for this token."`
	KeyID         string      `json:"key_id" doc:"The id of the provider key of the last attempt; may be empty."`
	Model         string      `json:"model" doc:"The model that was asked for; empty if it is not known."`
	ActualModel   string      `json:"actual_model" doc:"The model that the provider says answered; may be empty."`
	Endpoint      string      `json:"endpoint" doc:"The endpoint of inference, passthrough for another path; may be empty."`
	Path          string      `json:"path" doc:"The path after /v1/, for endpoints of inference."`
	Status        int         `json:"status" doc:"The status that the client got; 499 if it left before the end, 0 if it is not known."`
	Reason        string      `json:"reason" doc:"Why Gatehouse itself answered, or cut the answer short; empty if the provider's answer was relayed whole."`
	Outcome       string      `json:"outcome" enum:"complete,unknown" doc:"unknown: the server died before the request was over."`
	Attempts      []Attempt   `json:"attempts" nullable:"false" doc:"The attempts at the provider, in order."`
	FirstByteMS   *float64    `json:"first_byte_ms" doc:"How long the client waited for the first byte of the provider's answer, in milliseconds; null: there was none."`
	DurationMS    float64     `json:"duration_ms" doc:"How long it took in all, in milliseconds."`
	RequestBytes  int64       `json:"request_bytes" doc:"The length of what was asked, as far as it came."`
	ResponseBytes int64       `json:"response_bytes" doc:"The length of what was answered, as far as it was sent."`
	Tokens        *TokenUsage `json:"tokens" doc:"What the provider says was used; null if it said nothing."`
}

// An Attempt is one try at a provider with one key.
type Attempt struct {
	ProviderID  string    `json:"provider_id" doc:"The id of the provider."`
	Provider    string    `json:"provider" doc:"The name of the provider."`
	KeyID       string    `json:"key_id" doc:"The id of the provider key; empty for a provider without keys."`
	Status      int       `json:"status" doc:"What the provider answered; 0: nothing."`
	Outcome     string    `json:"outcome" doc:"How it ended, such as ok, rate_limited or timeout."`
	Time        time.Time `json:"time" doc:"When it was sent."`
	DurationMS  float64   `json:"duration_ms" doc:"How long it took, in milliseconds."`
	BilledTwice bool      `json:"possibly_billed_twice" doc:"Whether the provider may charge for it although it was sent again."`
}

// TokenUsage is what a provider counted, as it means it: with OpenAI, input
// includes what came from the cache and output includes reasoning; with Anthropic,
// input is what neither came from the cache nor went into it; with Gemini, input
// includes the cache and what tools took, and output does not include reasoning.
type TokenUsage struct {
	Input      int64 `json:"input" doc:"Tokens of input."`
	Output     int64 `json:"output" doc:"Tokens of output."`
	CacheRead  int64 `json:"cache_read" doc:"Tokens that came from a cache."`
	CacheWrite int64 `json:"cache_write" doc:"Tokens that went into a cache."`
	Reasoning  int64 `json:"reasoning" doc:"Tokens of reasoning."`
}

// UsageSums are the sums of records.
type UsageSums struct {
	Requests      int64      `json:"requests" doc:"How many requests there were."`
	Errors        int64      `json:"errors" doc:"How many of them had a status of 400 or more."`
	Unknown       int64      `json:"unknown" doc:"How many of them had an end that is not known."`
	Attempts      int64      `json:"attempts" doc:"How many attempts at providers they took."`
	Metered       int64      `json:"metered" doc:"Of how many the provider said what was used."`
	Tokens        TokenUsage `json:"tokens" doc:"What was used, as the providers mean it."`
	DurationMS    float64    `json:"duration_ms" doc:"How long the requests took together, in milliseconds."`
	FirstByteMS   float64    `json:"first_byte_ms" doc:"How long the answered ones waited for their first byte together, in milliseconds."`
	Answered      int64      `json:"answered" doc:"How many had a first byte."`
	RequestBytes  int64      `json:"request_bytes" doc:"The lengths of what was asked."`
	ResponseBytes int64      `json:"response_bytes" doc:"The lengths of what was answered."`
}

// A UsageGroup is what the requests of one provider, model and so on come to.
type UsageGroup struct {
	Group string     `json:"group" doc:"The name of the provider, model or client, or the id of the token or owner; empty: not known, and for hours and days."`
	Name  string     `json:"name" doc:"The name of the token or owner, if it is known."`
	Start *time.Time `json:"start" doc:"When the hour or day begins; null for others."`
	UsageSums
}

// Usage is what requests come to, group by group.
type Usage struct {
	GroupBy   string       `json:"group_by" doc:"What the groups are."`
	Since     time.Time    `json:"since" doc:"The requests are from this time on."`
	Until     *time.Time   `json:"until" doc:"They are from before this time; null: until now."`
	Total     UsageSums    `json:"total" doc:"All groups together, those that were left out included."`
	Items     []UsageGroup `json:"items" nullable:"false" doc:"The groups: those with the most requests first, hours and days from the latest back."`
	Truncated bool         `json:"truncated" doc:"Whether there are more groups than were asked for."`
}

// An InterceptionFilter selects records. Zero fields select all.
type InterceptionFilter struct {
	Provider string // name or id
	Key      string // id of a provider key that was tried
	Token    string // name or id
	Owner    string // name or id
	Model    string // as asked for
	Client   string // a program, with its version or without
	Status   string // such as 429, 5xx, or error for 400 and more
	Outcome  string // complete or unknown
	Since    time.Time
	Until    time.Time
}

func (f InterceptionFilter) values() url.Values {
	return filterValues(map[string]string{
		"provider": f.Provider, "key": f.Key, "token": f.Token, "owner": f.Owner, "model": f.Model, "client": f.Client, "status": f.Status, "outcome": f.Outcome,
	}, f.Since, f.Until)
}

const interceptionsPath = "/api/v1/interceptions"

// ListInterceptions returns one page of the records that f selects, newest first.
func (c *Client) ListInterceptions(ctx context.Context, f InterceptionFilter, o ListOptions) (Page[Interception], error) {
	q := f.values()
	o.add(q)
	return call[Page[Interception]](ctx, c, http.MethodGet, interceptionsPath+query(q, nil), 0, nil)
}

// Interceptions returns every record that f selects, newest first.
func (c *Client) Interceptions(ctx context.Context, f InterceptionFilter) iter.Seq2[Interception, error] {
	return pages(ctx, func(ctx context.Context, o ListOptions) (Page[Interception], error) {
		return c.ListInterceptions(ctx, f, o)
	})
}

// Interception returns the record with that id.
func (c *Client) Interception(ctx context.Context, id string) (Interception, error) {
	return call[Interception](ctx, c, http.MethodGet, interceptionsPath+"/"+url.PathEscape(id), 0, nil)
}

// Usage sums up the records that f selects by hour, day, provider, model, token,
// owner or client. A limit of 0 leaves the number of groups to the server.
func (c *Client) Usage(ctx context.Context, groupBy string, f InterceptionFilter, limit int) (Usage, error) {
	q := f.values()
	q.Set("group_by", groupBy)
	if limit != 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	return call[Usage](ctx, c, http.MethodGet, "/api/v1/usage"+query(q, nil), 0, nil)
}
