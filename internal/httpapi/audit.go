package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/store"
)

func (a *api) registerAudit() {
	register(a, huma.Operation{
		OperationID: "list-audit", Method: http.MethodGet, Path: "/api/v1/audit", Tags: []string{"Audit"},
		Summary: "List the audit log", Description: "Newest first.",
	}, a.listAudit)
}

type listAuditOutput struct {
	Body client.Page[client.AuditEntry]
}

func (a *api) listAudit(ctx context.Context, who store.Actor, in *PageInput) (*listAuditOutput, error) {
	after, err := in.after(isIndex)
	if err != nil {
		return nil, err
	}
	var before int64
	if after != "" {
		if before, err = strconv.ParseInt(after, 10, 64); err != nil {
			return nil, err
		}
	}
	var entries []store.AuditEntry
	err = a.DB.View(ctx, who, func(tx store.Tx) (err error) {
		entries, err = tx.Audit.List(ctx, store.AuditQuery{Before: before, Limit: in.Limit + 1})
		return err
	})
	if err != nil {
		return nil, err
	}
	return &listAuditOutput{page(entries, in.Limit, auditEntry, func(e store.AuditEntry) string { return strconv.FormatInt(e.Index, 10) })}, nil
}

// auditEntry is the wire form of an audit entry.
func auditEntry(e store.AuditEntry) client.AuditEntry {
	return client.AuditEntry{
		Index: e.Index, Time: e.At, Action: string(e.Action), ResourceType: string(e.Resource), ResourceID: e.ID, Target: e.Target,
		Actor: client.AuditActor{
			Kind: string(e.ActorKind), ID: e.ActorID, Name: e.ActorName, TokenID: e.TokenID, TokenName: e.TokenName,
		},
		RequestID: e.Origin.RequestID, Address: e.Origin.Address, Diff: json.RawMessage(e.Diff),
	}
}

func (a *api) registerVersion() {
	type output struct{ Body client.Version }
	register(a, huma.Operation{
		OperationID: "get-version", Method: http.MethodGet, Path: "/api/v1/version", Tags: []string{"Server"},
		Summary: "Get the version of the server",
	}, func(context.Context, store.Actor, *struct{}) (*output, error) { return &output{a.Version}, nil })
}
