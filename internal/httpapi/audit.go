package httpapi

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/auditlog"
	"github.com/gatehousehq/gatehouse/internal/store"
)

const auditPath = "/api/v1/audit"

func (a *api) registerAudit() {
	register(a, huma.Operation{
		OperationID: "list-audit", Method: http.MethodGet, Path: auditPath, Tags: []string{"Audit"},
		Summary: "List the audit log", Description: "Newest first.",
	}, a.listAudit)
	register(a, huma.Operation{
		OperationID: "export-audit", Method: http.MethodGet, Path: auditPath + "/export", Tags: []string{"Audit"},
		Summary:     "Export the audit log",
		Description: "Oldest first, all in one answer. An export in JSON lines without filters can be verified by itself: its lines are the records that the log's hashes are of.",
		Responses: map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{
			exportJSON: {Schema: &huma.Schema{Type: huma.TypeString}}, exportCSV: {Schema: &huma.Schema{Type: huma.TypeString}},
		}}},
	}, a.exportAudit)
	register(a, huma.Operation{
		OperationID: "get-audit-checkpoint", Method: http.MethodGet, Path: auditPath + "/checkpoint", Tags: []string{"Audit"},
		Summary:     "Get a signed checkpoint of the audit log",
		Description: "It says what the log is now, for comparison later: keep it where nobody who can write to the database can.",
		Errors:      []int{http.StatusConflict},
	}, a.getCheckpoint)
	register(a, huma.Operation{
		OperationID: "get-audit-proof", Method: http.MethodGet, Path: auditPath + "/proof/{index}", Tags: []string{"Audit"},
		Summary:     "Prove an audit entry",
		Description: "The hashes that lead from the entry to the root in the checkpoint (RFC 6962; entry i is leaf i-1).",
		Errors:      []int{http.StatusNotFound, http.StatusConflict},
	}, a.getProof)
}

// An AuditFilter selects audit entries.
type AuditFilter struct {
	Resource string    `query:"resource" maxLength:"64" doc:"Entries about this kind of resource, such as ai_provider."`
	Action   string    `query:"action" maxLength:"64" doc:"Entries of this action, such as delete or denied."`
	Actor    string    `query:"actor" maxLength:"128" doc:"Entries of the user with this id or name, or of this part of the system."`
	Since    time.Time `query:"since" doc:"Entries from this time on."`
	Until    time.Time `query:"until" doc:"Entries from before this time."`
	Text     string    `query:"q" maxLength:"128" doc:"Entries whose actor, target, resource id or request id begins with this."`
}

func (f AuditFilter) query() store.AuditQuery {
	return store.AuditQuery{
		Resource: f.Resource, Action: f.Action, Actor: f.Actor, Since: f.Since, Until: f.Until, Text: f.Text,
	}
}

type listAuditInput struct {
	PageInput
	AuditFilter
}

type listAuditOutput struct {
	Body client.Page[client.AuditEntry]
}

func (a *api) listAudit(ctx context.Context, who store.Actor, in *listAuditInput) (*listAuditOutput, error) {
	after, err := in.after(isIndex)
	if err != nil {
		return nil, err
	}
	q := in.query()
	q.Limit = in.Limit + 1
	if after != "" {
		if q.Before, err = strconv.ParseInt(after, 10, 64); err != nil {
			return nil, err
		}
	}
	var entries []store.AuditEntry
	err = a.DB.View(ctx, who, func(tx store.Tx) (err error) {
		entries, err = tx.Audit.List(ctx, q)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &listAuditOutput{page(entries, in.Limit, auditEntry, func(e store.AuditEntry) string { return strconv.FormatInt(e.Index, 10) })}, nil
}

type checkpointOutput struct{ Body client.AuditCheckpoint }

func (a *api) getCheckpoint(ctx context.Context, who store.Actor, _ *struct{}) (*checkpointOutput, error) {
	var out checkpointOutput
	err := a.DB.View(ctx, who, func(tx store.Tx) error {
		p, head, err := a.Checkpoints.Sign(ctx, tx.Audit)
		out.Body = checkpoint(p, head)
		return err
	})
	return &out, err
}

// checkpoint is the wire form of a checkpoint.
func checkpoint(p auditlog.Published, h auditlog.Head) client.AuditCheckpoint {
	return client.AuditCheckpoint{Time: p.Time, Size: h.Size, Checkpoint: p.Checkpoint, Key: p.Key}
}

type proofInput struct {
	Index int64 `path:"index" minimum:"1" doc:"The index of the entry."`
}

type proofOutput struct{ Body client.AuditProof }

func (a *api) getProof(ctx context.Context, who store.Actor, in *proofInput) (*proofOutput, error) {
	var out proofOutput
	err := a.DB.View(ctx, who, func(tx store.Tx) error {
		p, head, err := a.Checkpoints.Sign(ctx, tx.Audit)
		if err != nil {
			return err
		}
		proof, err := auditlog.ProveEntry(ctx, tx.Audit, head.Size, in.Index)
		if errors.Is(err, auditlog.ErrNoEntry) {
			return store.ErrNotFound
		}
		if err != nil {
			return err
		}
		rows, err := tx.Audit.Rows(ctx, in.Index, 1)
		if err != nil {
			return err
		}
		if len(rows) == 0 || rows[0].Index != in.Index {
			return store.ErrNotFound
		}
		at := auditlog.Checkpoint{Origin: auditlog.Origin(a.Installation), Size: head.Size, Root: head.Root()}
		if leaf := rows[0].Leaf; len(leaf) > 0 && auditlog.CheckEntry(at, in.Index, leaf, proof) != nil {
			return auditlog.ErrRewritten // nobody is handed a proof that does not hold
		}
		out.Body = client.AuditProof{Index: in.Index, Hashes: make([]string, 0, len(proof)), Checkpoint: checkpoint(p, head)}
		if leaf := string(rows[0].Leaf); leaf != "" {
			out.Body.Record = &leaf
		}
		for _, h := range proof {
			out.Body.Hashes = append(out.Body.Hashes, base64.StdEncoding.EncodeToString(h[:]))
		}
		return nil
	})
	return &out, err
}

// auditEntry is the wire form of an audit entry.
func auditEntry(e store.AuditEntry) client.AuditEntry {
	return client.AuditEntry{
		Index: e.Index, Time: e.At, Action: string(e.Action), ResourceType: string(e.Resource), ResourceID: e.ID, Target: e.Target,
		Actor: client.AuditActor{
			Kind: string(e.ActorKind), ID: e.ActorID, Name: e.ActorName, TokenID: e.TokenID, TokenName: e.TokenName,
		},
		RequestID: e.Origin.RequestID, Address: e.Origin.Address, UserAgent: e.Origin.UserAgent, Count: e.Count, Diff: json.RawMessage(e.Diff),
	}
}

func (a *api) registerVersion() {
	type output struct{ Body client.Version }
	register(a, huma.Operation{
		OperationID: "get-version", Method: http.MethodGet, Path: "/api/v1/version", Tags: []string{"Server"},
		Summary: "Get the version of the server",
	}, func(context.Context, store.Actor, *struct{}) (*output, error) { return &output{a.Version}, nil })
}
