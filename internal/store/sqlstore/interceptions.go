package sqlstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore/internal/sqlcgen"
)

// interceptions implements [store.Interceptions]. It takes no lock but those of
// its own rows, and touches neither the generation nor the audit log: requests
// are recorded all the time, and changes of the configuration do not wait.
type interceptions struct{ *tx }

func (t interceptions) Record(ctx context.Context, batch []store.Interception) error {
	rows := make([]sqlcgen.InsertInterceptionParams, len(batch))
	for i, rec := range batch {
		var err error
		if rows[i], err = interceptionRow(rec); err != nil {
			return err
		}
	}
	return t.mapErr(insertRows(ctx, t.b.dialect, t.db, rows, (*sqlcgen.Queries).InsertInterception))
}

func (t interceptions) Get(ctx context.Context, id string) (store.Interception, error) {
	if !isID(id) {
		return store.Interception{}, store.ErrNotFound
	}
	r, err := t.q.GetInterceptionByID(ctx, id)
	if err != nil {
		return store.Interception{}, t.mapErr(err)
	}
	recs, err := t.named(ctx, []sqlcgen.Interception{r})
	if err != nil {
		return store.Interception{}, err
	}
	return recs[0], nil
}

func (t interceptions) List(ctx context.Context, q store.InterceptionQuery) ([]store.Interception, error) {
	p, ok, err := t.params(ctx, q)
	if err != nil || !ok {
		return nil, err
	}
	byToken := p.TokenID != ""
	if byToken && !t.b.dialect.indexesTokens() {
		if p.OwnerID, err = t.tokenOwner(ctx, p); err != nil {
			return nil, err
		}
		byToken = p.OwnerID == ""
	}
	var rows []sqlcgen.Interception
	switch {
	case byToken:
		rows, err = t.q.GetInterceptionsByToken(ctx, sqlcgen.GetInterceptionsByTokenParams(p))
	case p.OwnerID != "":
		rows, err = t.q.GetInterceptionsByOwner(ctx, sqlcgen.GetInterceptionsByOwnerParams(p))
	case p.Model != "":
		rows, err = t.q.GetInterceptionsByModel(ctx, sqlcgen.GetInterceptionsByModelParams(p))
	case p.Provider != "":
		rows, err = t.q.GetInterceptionsByProvider(ctx, sqlcgen.GetInterceptionsByProviderParams(p))
	default:
		rows, err = t.q.GetInterceptions(ctx, p)
	}
	if err != nil {
		return nil, t.mapErr(err)
	}
	return t.named(ctx, rows)
}

// Scope is decided above.
func (t interceptions) Scope(context.Context) (store.Scope, error) {
	return store.Scope{All: true}, nil
}

func (t interceptions) Prune(ctx context.Context, before time.Time, limit int) (int64, error) {
	n, err := t.q.DeleteInterceptionsBefore(ctx, sqlcgen.DeleteInterceptionsBeforeParams{Before: timestamp(before), MaxRows: rowLimit(limit)})
	return n, t.mapErr(err)
}

const (
	endOfTime = 9999 // a year
	// lastID sorts behind every id.
	lastID = "ffffffff-ffff-ffff-ffff-ffffffffffff"
)

// params turns a query into what the statements take. It returns false if
// nothing can be selected.
func (t interceptions) params(ctx context.Context, q store.InterceptionQuery) (p sqlcgen.GetInterceptionsParams, ok bool, err error) {
	if !isText(q.Owner+q.Token+q.Provider+q.KeyID+q.Model+q.Client) || q.KeyID != "" && !isID(q.KeyID) {
		return p, false, nil
	}
	p = sqlcgen.GetInterceptionsParams{
		Since: time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), Until: time.Date(endOfTime, 1, 1, 0, 0, 0, 0, time.UTC),
		BeforeAt: time.Date(endOfTime, 1, 1, 0, 0, 0, 0, time.UTC), BeforeID: lastID,
		Model: q.Model, KeyID: q.KeyID, Client: q.Client, Outcome: string(q.Outcome),
		StatusFrom: math.MinInt64, StatusTo: math.MaxInt64, MaxRows: rowLimit(q.Limit),
	}
	if !q.Since.IsZero() {
		p.Since = timestamp(q.Since)
	}
	if !q.Until.IsZero() {
		p.Until = timestamp(q.Until)
	}
	if q.StatusFrom != 0 {
		p.StatusFrom = int64(q.StatusFrom)
	}
	if q.StatusTo != 0 {
		p.StatusTo = int64(q.StatusTo)
	}
	if q.Before.ID != "" {
		p.BeforeAt, p.BeforeID = timestamp(q.Before.At), idOr(q.Before.ID)
	}
	// SQLite goes by one end of an index alone, and tests the rows for the other:
	// both are as early as they can be.
	if p.BeforeAt.After(p.Until) {
		p.BeforeAt, p.BeforeID = p.Until, lastID
	} else if end := p.BeforeAt.Add(time.Microsecond); end.Before(p.Until) {
		p.Until = end
	}
	p.TokenID, p.TokenName = idOrName(q.Token)
	p.ProviderID, p.Provider = idOrName(q.Provider)
	if p.OwnerID, ok, err = t.owner(ctx, q.Owner); err != nil || !ok {
		return p, false, err
	}
	switch {
	case q.Scope.All:
	case q.Scope.Owner == "", p.OwnerID != "" && p.OwnerID != q.Scope.Owner:
		return p, false, nil
	default:
		p.OwnerID = q.Scope.Owner
	}
	return p, true, nil
}

func idOrName(s string) (id, name string) {
	if isID(s) {
		return s, ""
	}
	return "", s
}

// owner returns the id of the user with that id or name, and false if there is
// none of the name.
func (t interceptions) owner(ctx context.Context, s string) (string, bool, error) {
	if s == "" || isID(s) {
		return s, true, nil
	}
	u, err := t.q.GetUserByName(ctx, s)
	if err := t.mapErr(err); err != nil {
		return "", false, unlessMissing(err)
	}
	return u.ID, true, nil
}

// tokenOwner returns the owner of the records that p selects by their token, and
// "" if the token is gone. A token never changes hands.
func (t interceptions) tokenOwner(ctx context.Context, p sqlcgen.GetInterceptionsParams) (string, error) {
	if p.OwnerID != "" {
		return p.OwnerID, nil
	}
	r, err := t.q.GetAPIKeyByID(ctx, p.TokenID)
	if err := t.mapErr(err); err != nil {
		return "", unlessMissing(err)
	}
	return r.APIKey.OwnerID, nil
}

// unlessMissing returns err, or nil for something that is not there.
func unlessMissing(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// named reads rows, with the names of the owners.
func (t interceptions) named(ctx context.Context, rows []sqlcgen.Interception) ([]store.Interception, error) {
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.OwnerID
	}
	names, err := t.userNames(ctx, ids)
	if err != nil {
		return nil, err
	}
	out := make([]store.Interception, len(rows))
	for i, r := range rows {
		if out[i], err = interception(r); err != nil {
			return nil, err
		}
		out[i].OwnerName = names[r.OwnerID]
	}
	return out, nil
}

// fewUsers is up to how many names are asked for one by one.
const fewUsers = 16

// userNames returns the names of those users that are there.
func (t interceptions) userNames(ctx context.Context, ids []string) (map[string]string, error) {
	names := map[string]string{}
	for _, id := range ids {
		if isID(id) {
			names[id] = ""
		}
	}
	if len(names) > fewUsers {
		users, err := t.q.GetUsers(ctx, sqlcgen.GetUsersParams{SeeAll: true, OwnerID: noID, AfterID: noID, MaxRows: rowLimit(0)})
		if err != nil {
			return nil, t.mapErr(err)
		}
		for _, u := range users {
			names[u.ID] = u.Name
		}
		return names, nil
	}
	for id := range names {
		u, err := t.q.GetUserByID(ctx, id)
		if err := unlessMissing(t.mapErr(err)); err != nil {
			return nil, err
		}
		names[id] = u.Name
	}
	return names, nil
}

func interceptionRow(rec store.Interception) (p sqlcgen.InsertInterceptionParams, err error) {
	attempts := []byte("[]")
	if len(rec.Attempts) > 0 {
		if attempts, err = json.Marshal(rec.Attempts); err != nil {
			return p, fmt.Errorf("encode the attempts of %s: %w", rec.ID, err)
		}
	}
	return sqlcgen.InsertInterceptionParams{
		ID: rec.ID, At: timestamp(rec.At), Hour: rec.At.Unix() / int64(time.Hour/time.Second),
		TokenID: rec.TokenID, TokenName: rec.TokenName, OwnerID: rec.OwnerID, Client: rec.Client,
		ProviderID: rec.ProviderID, Provider: rec.Provider, KeyID: rec.KeyID, Model: rec.Model, ActualModel: rec.ActualModel,
		Endpoint: rec.Endpoint, Path: rec.Path, Status: int64(rec.Status), Reason: rec.Reason, Outcome: string(rec.Outcome),
		Attempts: string(attempts), AttemptCount: int64(len(rec.Attempts)),
		FirstByteUs: rec.FirstByte.Microseconds(), DurationUs: rec.Duration.Microseconds(),
		RequestBytes: rec.RequestBytes, ResponseBytes: rec.ResponseBytes, TokensKnown: rec.Tokens.Known,
		InputTokens: rec.Tokens.Input, OutputTokens: rec.Tokens.Output, CacheReadTokens: rec.Tokens.CacheRead,
		CacheWriteTokens: rec.Tokens.CacheWrite, ReasoningTokens: rec.Tokens.Reasoning,
	}, nil
}

func interception(r sqlcgen.Interception) (store.Interception, error) {
	rec := store.Interception{
		ID: r.ID, At: r.At.UTC(), TokenID: r.TokenID, TokenName: r.TokenName, OwnerID: r.OwnerID, Client: r.Client,
		ProviderID: r.ProviderID, Provider: r.Provider, KeyID: r.KeyID, Model: r.Model, ActualModel: r.ActualModel,
		Endpoint: r.Endpoint, Path: r.Path, Status: int(r.Status), Reason: r.Reason, Outcome: store.Outcome(r.Outcome),
		FirstByte: microseconds(r.FirstByteUs), Duration: microseconds(r.DurationUs),
		RequestBytes: r.RequestBytes, ResponseBytes: r.ResponseBytes,
		Tokens: store.TokenCounts{
			Input: r.InputTokens, Output: r.OutputTokens, CacheRead: r.CacheReadTokens, CacheWrite: r.CacheWriteTokens,
			Reasoning: r.ReasoningTokens, Known: r.TokensKnown,
		},
	}
	if err := json.Unmarshal([]byte(r.Attempts), &rec.Attempts); err != nil {
		return rec, fmt.Errorf("read the attempts of interception %s: %w", r.ID, err)
	}
	return rec, nil
}

func microseconds(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
