package sqlstore

import (
	"context"
	"math"

	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore/internal/sqlcgen"
)

// auditLog implements [store.AuditLog]. Entries are numbered without gaps: the
// lock on the installation makes writers take turns.
type auditLog struct{ *tx }

func (t auditLog) Append(ctx context.Context, e store.AuditEntry) error {
	if err := t.lock(ctx); err != nil {
		return err
	}
	return t.mapErr(t.q.InsertAuditLog(ctx, sqlcgen.InsertAuditLogParams{
		At: timestamp(e.At), ActorKind: string(e.ActorKind), ActorID: e.ActorID, ActorName: e.ActorName,
		TokenID: e.TokenID, TokenName: e.TokenName, Action: string(e.Action), Resource: string(e.Resource),
		ResourceID: e.ID, Target: e.Target, RequestID: e.Origin.RequestID, Address: e.Origin.Address,
		UserAgent: e.Origin.UserAgent, Diff: e.Diff,
	}))
}

func (t auditLog) List(ctx context.Context, before int64, limit int) ([]store.AuditEntry, error) {
	if before <= 0 {
		before = math.MaxInt64
	}
	rows, err := t.q.GetAuditLogs(ctx, sqlcgen.GetAuditLogsParams{Before: before, MaxRows: rowLimit(limit)})
	return mapRows(rows, auditEntry), t.mapErr(err)
}

func auditEntry(r sqlcgen.AuditLog) store.AuditEntry {
	return store.AuditEntry{
		Index: r.EntryIndex, At: r.At.UTC(), ActorKind: store.ActorKind(r.ActorKind), ActorID: r.ActorID, ActorName: r.ActorName,
		TokenID: r.TokenID, TokenName: r.TokenName, Action: rbac.Action(r.Action), Resource: rbac.Resource(r.Resource),
		ID: r.ResourceID, Target: r.Target, Diff: r.Diff,
		Origin: store.Origin{RequestID: r.RequestID, Address: r.Address, UserAgent: r.UserAgent},
	}
}
