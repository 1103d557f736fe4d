package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/pressly/goose/v3"

	"github.com/gatehousehq/gatehouse/internal/auditlog"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// growTree is the migration after 00003_audit_tree: it makes leaves of the
// entries that were written before there was a tree. It runs once; what is put
// into audit_logs by hand later is no leaf, and is found out.
//
// Its statements stand here and not among the queries, which are of the newest
// schema.
func growTree() *goose.Migration {
	return goose.NewGoMigration(4, &goose.GoFunc{RunTx: growTreeUp}, &goose.GoFunc{RunTx: growTreeDown})
}

// grownAtOnce is how many entries are in memory.
const grownAtOnce = 1000

func growTreeUp(ctx context.Context, tx *sql.Tx) error {
	var head auditlog.Head
	for {
		entries, err := entriesAfter(ctx, tx, head.Size)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Index != head.Size+1 {
				return fmt.Errorf("audit entry %d is missing: restore it from a backup", head.Size+1)
			}
			leaf, err := auditlog.Leaf(e)
			if err != nil {
				return err
			}
			var completed []byte
			head, completed = head.Append(leaf)
			if _, err := tx.ExecContext(ctx, "UPDATE audit_logs SET leaf = $1, hashes = $2 WHERE entry_index = $3", leaf, completed, e.Index); err != nil {
				return err
			}
		}
		if len(entries) < grownAtOnce {
			_, err := tx.ExecContext(ctx, "UPDATE audit_head SET size = $1, edge = $2", head.Size, head.EdgeBytes())
			return err
		}
	}
}

func entriesAfter(ctx context.Context, tx *sql.Tx, index int64) (entries []store.AuditEntry, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT entry_index, at, actor_kind, actor_id, actor_name, token_id, token_name, action, resource, resource_id,
		target, request_id, address, user_agent, occurrences, diff FROM audit_logs WHERE entry_index > $1 ORDER BY entry_index LIMIT $2`, index, grownAtOnce)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var e store.AuditEntry
		var kind, action, resource string
		if err := rows.Scan(&e.Index, &e.At, &kind, &e.ActorID, &e.ActorName, &e.TokenID, &e.TokenName, &action, &resource, &e.ID,
			&e.Target, &e.Origin.RequestID, &e.Origin.Address, &e.Origin.UserAgent, &e.Count, &e.Diff); err != nil {
			return nil, err
		}
		e.ActorKind, e.Action, e.Resource = store.ActorKind(kind), rbac.Action(action), rbac.Resource(resource)
		entries = append(entries, e)
	}
	return entries, rows.Err()
}

func growTreeDown(ctx context.Context, tx *sql.Tx) error {
	for _, statement := range []string{"UPDATE audit_logs SET leaf = $1, hashes = $1", "UPDATE audit_head SET size = 0, edge = $1"} {
		if _, err := tx.ExecContext(ctx, statement, []byte{}); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, "DELETE FROM audit_tree")
	return err
}
