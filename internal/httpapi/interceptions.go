package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/store"
)

const interceptionsPath = "/api/v1/interceptions"

func (a *api) registerInterceptions() {
	const seen = " Whoever may read their own records only sees the requests made with their own tokens."
	register(a, huma.Operation{
		OperationID: "list-interceptions", Method: http.MethodGet, Path: interceptionsPath, Tags: []string{"Usage"},
		Summary: "List requests to the gateway", Description: "Newest first, once they are over: a second or so later." + seen,
	}, a.listInterceptions)
	register(a, huma.Operation{
		OperationID: "get-interception", Method: http.MethodGet, Path: interceptionsPath + "/{id}", Tags: []string{"Usage"},
		Summary: "Get a request to the gateway", Description: strings.TrimSpace(seen), Errors: []int{http.StatusNotFound},
	}, a.getInterception)
	register(a, huma.Operation{
		OperationID: "get-usage", Method: http.MethodGet, Path: "/api/v1/usage", Tags: []string{"Usage"},
		Summary: "Sum up requests to the gateway", Description: "By hour, day, provider, model, token, owner or client." + seen,
	}, a.getUsage)
	register(a, huma.Operation{
		OperationID: "stream-events", Method: http.MethodGet, Path: eventsPath, Tags: []string{"Usage"},
		Summary: "Follow requests to the gateway",
		Description: "A stream of server-sent events: interception, with the record as get-interception has it, when a request is over; and gap, when some were missed at this place. " +
			"It shows the requests that the replica that answers has served." + seen +
			" It ends when the token is no longer good for it, and when the server stops: connect again with Last-Event-ID.",
		Responses: map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{
			eventStream: {Schema: &huma.Schema{Type: huma.TypeString}},
		}}},
	}, a.streamEvents)
}

// An InterceptionFilter selects records of requests.
type InterceptionFilter struct {
	Provider string `query:"provider" maxLength:"128" doc:"Requests to the provider of this name or id."`
	Key      string `query:"key" maxLength:"64" doc:"Requests that were tried with the provider key of this id."`
	Token    string `query:"token" maxLength:"128" doc:"Requests made with the token of this name or id."`
	Owner    string `query:"owner" maxLength:"128" doc:"Requests made with the tokens of the user of this name or id; in events, of this id."`
	Model    string `query:"model" maxLength:"256" doc:"Requests for this model."`
	Client   string `query:"client" maxLength:"256" doc:"Requests of this program, with its version or without."`
	Status   string `query:"status" pattern:"^([1-9][0-9][0-9]|[1-5]xx|error)$" doc:"Requests answered with this status, such as 429, class of status, such as 5xx, or error: 400 and more."`
	Outcome  string `query:"outcome" enum:"complete,unknown" doc:"Requests whose end is known, or is not."`
}

// A TimeRange selects records by time.
type TimeRange struct {
	Since time.Time `query:"since" doc:"Requests from this time on."`
	Until time.Time `query:"until" doc:"Requests from before this time."`
}

func (f InterceptionFilter) query(t TimeRange) store.InterceptionQuery {
	q := store.InterceptionQuery{
		Provider: f.Provider, KeyID: f.Key, Token: f.Token, Owner: f.Owner, Model: f.Model, Client: f.Client,
		Outcome: store.Outcome(f.Outcome), Since: t.Since, Until: t.Until,
	}
	class, isClass := strings.CutSuffix(f.Status, "xx")
	n, _ := strconv.Atoi(class) // 0 for none, and for error; the pattern lets nothing else through
	switch {
	case f.Status == "error":
		q.StatusFrom = http.StatusBadRequest
	case isClass:
		q.StatusFrom, q.StatusTo = n*100, n*100+99
	default:
		q.StatusFrom, q.StatusTo = n, n
	}
	return q
}

type listInterceptionsInput struct {
	PageInput
	InterceptionFilter
	TimeRange
}

type listInterceptionsOutput struct {
	Body client.Page[client.Interception]
}

func (a *api) listInterceptions(ctx context.Context, who store.Actor, in *listInterceptionsInput) (*listInterceptionsOutput, error) {
	after, err := in.after(isTimeAndID)
	if err != nil {
		return nil, err
	}
	q := in.query(in.TimeRange)
	q.Limit, q.Before = in.Limit+1, markOf(after)
	var recs []store.Interception
	err = a.DB.View(ctx, who, func(tx store.Tx) (err error) {
		recs, err = tx.Interceptions.List(ctx, q)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &listInterceptionsOutput{page(recs, in.Limit, interception, func(r store.Interception) string {
		return r.At.Format(cursorTime) + " " + r.ID
	})}, nil
}

// markOf returns the place that a cursor stands for, the zero mark for none.
func markOf(cursor string) store.InterceptionMark {
	text, id, _ := strings.Cut(cursor, " ")
	at, _ := time.Parse(cursorTime, text) // isTimeAndID has looked at it
	return store.InterceptionMark{At: at, ID: id}
}

type getInterceptionInput struct {
	ID string `path:"id" doc:"The id of the request."`
}

type interceptionOutput struct{ Body client.Interception }

func (a *api) getInterception(ctx context.Context, who store.Actor, in *getInterceptionInput) (*interceptionOutput, error) {
	var out interceptionOutput
	err := a.DB.View(ctx, who, func(tx store.Tx) error {
		rec, err := tx.Interceptions.Get(ctx, in.ID)
		out.Body = interception(rec)
		return err
	})
	return &out, err
}

// interception is the wire form of a record.
func interception(r store.Interception) client.Interception {
	out := client.Interception{
		ID: r.ID, Time: r.At, TokenID: r.TokenID, Token: r.TokenName, OwnerID: r.OwnerID, Owner: r.OwnerName, Client: r.Client,
		ProviderID: r.ProviderID, Provider: r.Provider, KeyID: r.KeyID, Model: r.Model, ActualModel: r.ActualModel,
		Endpoint: r.Endpoint, Path: r.Path, Status: r.Status, Reason: r.Reason, Outcome: string(r.Outcome),
		Attempts: make([]client.Attempt, 0, len(r.Attempts)), DurationMS: milliseconds(r.Duration),
		RequestBytes: r.RequestBytes, ResponseBytes: r.ResponseBytes,
	}
	if r.FirstByte > 0 {
		out.FirstByteMS = new(milliseconds(r.FirstByte))
	}
	if r.Tokens.Known {
		out.Tokens = new(tokenUsage(r.Tokens))
	}
	for _, t := range r.Attempts {
		if t.ProviderID == "" {
			t.ProviderID, t.Provider = r.ProviderID, r.Provider
		}
		out.Attempts = append(out.Attempts, client.Attempt{
			ProviderID: t.ProviderID, Provider: t.Provider,
			KeyID: t.KeyID, Status: t.Status, Outcome: t.Outcome, Time: t.Began, DurationMS: milliseconds(t.Duration), BilledTwice: t.BilledTwice,
		})
	}
	return out
}

// milliseconds returns d to the microsecond.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func tokenUsage(t store.TokenCounts) client.TokenUsage {
	return client.TokenUsage{Input: t.Input, Output: t.Output, CacheRead: t.CacheRead, CacheWrite: t.CacheWrite, Reasoning: t.Reasoning}
}

// usageSpan is how far back sums go if nobody says.
const usageSpan = 30 * 24 * time.Hour

type usageInput struct {
	InterceptionFilter
	TimeRange
	GroupBy string `query:"group_by" enum:"hour,day,provider,model,token,owner,client" default:"provider" doc:"What to sum up by. Days are those of UTC; those without requests are left out."`
	Limit   int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"The most groups to return."`
}

type usageOutput struct{ Body client.Usage }

func (a *api) getUsage(ctx context.Context, who store.Actor, in *usageInput) (*usageOutput, error) {
	if in.Since.IsZero() {
		in.Since = a.Now().Add(-usageSpan)
	}
	q := in.query(in.TimeRange)
	var total, groups []store.Usage
	err := a.DB.View(ctx, who, func(tx store.Tx) (err error) {
		if total, err = tx.Interceptions.Usage(ctx, store.InAll, q); err != nil {
			return err
		}
		q.Limit = in.Limit + 1
		groups, err = tx.Interceptions.Usage(ctx, store.UsageGroup(in.GroupBy), q)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := client.Usage{GroupBy: in.GroupBy, Since: in.Since.UTC(), Until: orNil(in.Until.UTC()), Items: []client.UsageGroup{}}
	if len(total) > 0 {
		out.Total = usageSums(total[0])
	}
	if out.Truncated = len(groups) > in.Limit; out.Truncated {
		groups = groups[:in.Limit]
	}
	for _, g := range groups {
		out.Items = append(out.Items, client.UsageGroup{Group: g.Label, Name: g.Name, Start: orNil(g.Start), UsageSums: usageSums(g)})
	}
	return &usageOutput{out}, nil
}

func usageSums(u store.Usage) client.UsageSums {
	return client.UsageSums{
		Requests: u.Requests, Errors: u.Errors, Unknown: u.Unknown, Attempts: u.Attempts, Metered: u.Metered, Tokens: tokenUsage(u.Tokens),
		DurationMS: milliseconds(u.Duration), FirstByteMS: milliseconds(u.FirstByte), Answered: u.Answered,
		RequestBytes: u.RequestBytes, ResponseBytes: u.ResponseBytes,
	}
}
