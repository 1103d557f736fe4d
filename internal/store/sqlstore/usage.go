package sqlstore

import (
	"context"
	"time"

	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore/internal/sqlcgen"
)

func (t interceptions) Usage(ctx context.Context, by store.UsageGroup, q store.InterceptionQuery) ([]store.Usage, error) {
	q.Before = store.InterceptionMark{}
	p, ok, err := t.params(ctx, q)
	if err != nil || !ok {
		return nil, err
	}
	switch by {
	case store.ByHour:
		return t.usageByTime(ctx, p, 1)
	case store.ByDay:
		return t.usageByTime(ctx, p, 24)
	}
	rows, err := t.usage(ctx, by, p)
	if err != nil {
		return nil, t.mapErr(err)
	}
	var names map[string]string
	if by == store.ByOwner {
		ids := mapRows(rows, func(r sqlcgen.GetUsageRow) string { return r.Label })
		if names, err = t.userNames(ctx, ids); err != nil {
			return nil, err
		}
	}
	return mapRows(rows, func(r sqlcgen.GetUsageRow) store.Usage {
		u := usage(r)
		switch by {
		case store.ByOwner:
			u.Name = names[r.Label]
		case store.ByToken:
			u.Name = r.TokenName
		}
		return u
	}), nil
}

func (t interceptions) usage(ctx context.Context, by store.UsageGroup, p sqlcgen.GetInterceptionsParams) ([]sqlcgen.GetUsageRow, error) {
	params := sqlcgen.GetUsageParams{
		Grouping: string(by), Since: p.Since, Until: p.Until, OwnerID: p.OwnerID, TokenID: p.TokenID, TokenName: p.TokenName,
		Provider: p.Provider, ProviderID: p.ProviderID, Model: p.Model, StatusFrom: p.StatusFrom, StatusTo: p.StatusTo,
		Outcome: p.Outcome, KeyID: p.KeyID, Client: p.Client, MaxRows: p.MaxRows,
	}
	if p.OwnerID == "" {
		return t.q.GetUsage(ctx, params)
	}
	rows, err := t.q.GetUsageOfOwner(ctx, sqlcgen.GetUsageOfOwnerParams(params))
	return mapRows(rows, func(r sqlcgen.GetUsageOfOwnerRow) sqlcgen.GetUsageRow { return sqlcgen.GetUsageRow(r) }), err
}

func (t interceptions) usageByTime(ctx context.Context, p sqlcgen.GetInterceptionsParams, hours int64) ([]store.Usage, error) {
	params := sqlcgen.GetUsageByTimeParams{
		Hours: hours, Since: p.Since, Until: p.Until, OwnerID: p.OwnerID, TokenID: p.TokenID, TokenName: p.TokenName,
		Provider: p.Provider, ProviderID: p.ProviderID, Model: p.Model, StatusFrom: p.StatusFrom, StatusTo: p.StatusTo,
		Outcome: p.Outcome, KeyID: p.KeyID, Client: p.Client, MaxRows: p.MaxRows,
	}
	var rows []sqlcgen.GetUsageByTimeRow
	var err error
	if p.OwnerID == "" {
		rows, err = t.q.GetUsageByTime(ctx, params)
	} else {
		var own []sqlcgen.GetUsageByTimeOfOwnerRow
		own, err = t.q.GetUsageByTimeOfOwner(ctx, sqlcgen.GetUsageByTimeOfOwnerParams(params))
		rows = mapRows(own, func(r sqlcgen.GetUsageByTimeOfOwnerRow) sqlcgen.GetUsageByTimeRow {
			return sqlcgen.GetUsageByTimeRow(r)
		})
	}
	return mapRows(rows, func(r sqlcgen.GetUsageByTimeRow) store.Usage {
		u := usage(sqlcgen.GetUsageRow{
			Requests: r.Requests, Errors: r.Errors, Unknown: r.Unknown, Attempts: r.Attempts, Metered: r.Metered,
			InputTokens: r.InputTokens, OutputTokens: r.OutputTokens, CacheReadTokens: r.CacheReadTokens,
			CacheWriteTokens: r.CacheWriteTokens, ReasoningTokens: r.ReasoningTokens, DurationUs: r.DurationUs,
			FirstByteUs: r.FirstByteUs, Answered: r.Answered, RequestBytes: r.RequestBytes, ResponseBytes: r.ResponseBytes,
		})
		u.Start = time.Unix(r.Bucket*hours*int64(time.Hour/time.Second), 0).UTC()
		return u
	}), t.mapErr(err)
}

func usage(r sqlcgen.GetUsageRow) store.Usage {
	return store.Usage{
		Label: r.Label, Requests: r.Requests, Errors: r.Errors, Unknown: r.Unknown, Attempts: r.Attempts, Metered: r.Metered,
		Tokens: store.TokenCounts{
			Input: r.InputTokens, Output: r.OutputTokens, CacheRead: r.CacheReadTokens, CacheWrite: r.CacheWriteTokens,
			Reasoning: r.ReasoningTokens, Known: r.Metered > 0,
		},
		Duration: microseconds(r.DurationUs), FirstByte: microseconds(r.FirstByteUs), Answered: r.Answered,
		RequestBytes: r.RequestBytes, ResponseBytes: r.ResponseBytes,
	}
}
