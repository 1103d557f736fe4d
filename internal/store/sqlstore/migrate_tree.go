package sqlstore

import (
	"context"
	"database/sql"

	"github.com/pressly/goose/v3"

	"github.com/gatehousehq/gatehouse/internal/auditlog"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore/internal/sqlcgen"
)

// growTree is the migration after 00003_audit_tree: it makes leaves of the
// entries that were written before there was a tree. It runs once; what is put
// into audit_logs by hand later is no leaf, and is found out.
func growTree() *goose.Migration {
	return goose.NewGoMigration(4, &goose.GoFunc{RunTx: growTreeUp}, &goose.GoFunc{RunTx: growTreeDown})
}

func growTreeDown(ctx context.Context, sqlTx *sql.Tx) error {
	q := sqlcgen.New(sqlTx)
	if err := q.DeleteAuditTree(ctx); err != nil {
		return err
	}
	if err := q.ClearAuditLeaves(ctx, []byte{}); err != nil {
		return err
	}
	return q.UpdateAuditHead(ctx, sqlcgen.UpdateAuditHeadParams{Edge: []byte{}})
}

func growTreeUp(ctx context.Context, sqlTx *sql.Tx) error {
	q := sqlcgen.New(sqlTx)
	var head auditlog.Head
	for {
		rows, err := q.GetAuditLogsFrom(ctx, sqlcgen.GetAuditLogsFromParams{FromIndex: head.Size + 1, ToIndex: head.Size + 1001})
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return q.UpdateAuditHead(ctx, sqlcgen.UpdateAuditHeadParams{Size: head.Size, Edge: head.EdgeBytes()})
		}
		for _, r := range rows {
			leaf, err := auditlog.Leaf(auditEntry(r))
			if err != nil {
				return err
			}
			var completed []byte
			head, completed = head.Append(leaf)
			if err := q.SetAuditLeaf(ctx, sqlcgen.SetAuditLeafParams{Leaf: leaf, EntryIndex: r.EntryIndex}); err != nil {
				return err
			}
			if err := q.InsertAuditTree(ctx, sqlcgen.InsertAuditTreeParams{EntryIndex: r.EntryIndex, Hashes: completed}); err != nil {
				return err
			}
		}
	}
}
