package sqlstore

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehousehq/gatehouse/internal/auditlog"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore/internal/sqlcgen"
)

// auditLog implements [store.AuditLog]. Entries are written at the end of their
// transaction, under the lock that makes writers take turns: that gives them
// their numbers, without gaps.
type auditLog struct{ *tx }

func (t auditLog) Append(_ context.Context, e store.AuditEntry) error {
	t.entries = append(t.entries, e)
	return nil
}

func (t auditLog) Observe(_ context.Context, entries []store.AuditEntry) error {
	t.entries = append(t.entries, entries...)
	return nil
}

// writeEntries writes down what was appended.
func (t *tx) writeEntries(ctx context.Context) error {
	if len(t.entries) == 0 {
		return nil
	}
	if err := t.lock(ctx); err != nil {
		return err
	}
	row, err := t.q.GetAuditHead(ctx)
	if err != nil {
		return t.mapErr(err)
	}
	head, err := auditlog.ParseHead(row.Size, row.Edge)
	if err != nil {
		return err
	}
	for _, e := range t.entries {
		if head, err = t.writeEntry(ctx, head, e); err != nil {
			return err
		}
	}
	return t.mapErr(t.q.UpdateAuditHead(ctx, sqlcgen.UpdateAuditHeadParams{Size: head.Size, Edge: head.EdgeBytes()}))
}

func (t *tx) writeEntry(ctx context.Context, head auditlog.Head, e store.AuditEntry) (auditlog.Head, error) {
	e.Index, e.At = head.Size+1, timestamp(e.At)
	leaf, err := auditlog.Leaf(e)
	if err != nil {
		return head, err
	}
	next, completed := head.Append(leaf)
	return next, t.mapErr(t.q.InsertAuditLog(ctx, sqlcgen.InsertAuditLogParams{
		EntryIndex: e.Index, At: e.At, ActorKind: string(e.ActorKind), ActorID: e.ActorID, ActorName: e.ActorName,
		TokenID: e.TokenID, TokenName: e.TokenName, Action: string(e.Action), Resource: string(e.Resource),
		ResourceID: e.ID, Target: e.Target, RequestID: e.Origin.RequestID, Address: e.Origin.Address,
		UserAgent: e.Origin.UserAgent, Occurrences: e.Count, Diff: e.Diff, Leaf: leaf, Hashes: completed,
	}))
}

// clockSkew is how many entries may stand out of the order of their times, by
// clocks that differ or were set back.
const clockSkew = 1000

func (t auditLog) List(ctx context.Context, q store.AuditQuery) ([]store.AuditEntry, error) {
	if !isText(q.Text + q.Actor + q.Resource + q.Action) {
		return nil, nil
	}
	p := sqlcgen.GetAuditLogsParams{
		Before: q.Before, Since: timestamp(q.Since), Until: timestamp(q.Until),
		Resource: q.Resource, Action: q.Action, MaxRows: rowLimit(q.Limit),
	}
	if p.Before <= 0 {
		p.Before = math.MaxInt64
	}
	if isID(q.Actor) {
		p.ActorID = q.Actor
	} else {
		p.ActorName = q.Actor
	}
	if err := t.narrow(ctx, q, &p); err != nil {
		return nil, t.mapErr(err)
	}
	var rows []sqlcgen.AuditLog
	var err error
	switch {
	case q.Text != "":
		rows, err = t.q.GetAuditLogsByText(ctx, sqlcgen.GetAuditLogsByTextParams{
			Low: q.Text, High: q.Text + "\U0010ffff", After: p.After, Before: p.Before, Since: p.Since, Until: p.Until,
			Resource: p.Resource, Action: p.Action, ActorID: p.ActorID, ActorName: p.ActorName, MaxRows: p.MaxRows,
		})
	case p.ActorID != "":
		rows, err = t.q.GetAuditLogsByActorID(ctx, sqlcgen.GetAuditLogsByActorIDParams(p))
	case p.ActorName != "":
		rows, err = t.q.GetAuditLogsByActorName(ctx, sqlcgen.GetAuditLogsByActorNameParams(p))
	case p.Action != "":
		rows, err = t.q.GetAuditLogsByAction(ctx, sqlcgen.GetAuditLogsByActionParams(p))
	case p.Resource != "":
		rows, err = t.q.GetAuditLogsByResource(ctx, sqlcgen.GetAuditLogsByResourceParams(p))
	default:
		rows, err = t.q.GetAuditLogs(ctx, p)
	}
	return mapRows(rows, auditEntry), t.mapErr(err)
}

// narrow turns bounds of time into bounds of index, which every statement has
// an index for, and widens them by [clockSkew].
func (t auditLog) narrow(ctx context.Context, q store.AuditQuery, p *sqlcgen.GetAuditLogsParams) error {
	if q.Until.IsZero() {
		p.Until = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	} else {
		last, err := t.q.GetAuditIndexBefore(ctx, p.Until)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		p.Before = min(p.Before, last+clockSkew)
	}
	if q.Since.IsZero() {
		p.Since = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
		return nil
	}
	first, err := t.q.GetAuditIndexSince(ctx, p.Since)
	if errors.Is(err, sql.ErrNoRows) {
		p.Before = 0 // nothing is as new as that
		return nil
	}
	p.After = first - clockSkew
	return err
}

// Rows looks at both tables to their ends: what is in them and should not be must
// come to light.
func (t auditLog) Rows(ctx context.Context, from int64, limit int) ([]store.AuditRow, error) {
	most := rowLimit(limit)
	removed, err := t.q.GetAuditTree(ctx, sqlcgen.GetAuditTreeParams{FromIndex: from, MaxRows: most})
	if err != nil {
		return nil, t.mapErr(err)
	}
	// A byte that is in no ordinary text is found fast; 80 random bits behind it
	// make that it cannot be put there.
	separator := "\x1f" + rand.Text()[:16]
	logs, err := t.q.GetAuditRows(ctx, sqlcgen.GetAuditRowsParams{Separator: separator, FromIndex: from, MaxRows: most})
	if err != nil {
		return nil, t.mapErr(err)
	}
	kept, err := joinedRows(logs, separator)
	if err != nil || len(removed) == 0 {
		return kept, err
	}
	rows := make([]store.AuditRow, 0, len(kept)+len(removed))
	for _, r := range removed {
		rows = append(rows, store.AuditRow{Index: r.EntryIndex, Hashes: r.Hashes})
	}
	rows = append(rows, kept...)
	slices.SortStableFunc(rows, func(a, b store.AuditRow) int { return cmp.Compare(a.Index, b.Index) })
	// An index that stands in both tables must not be cut in two by the limit.
	n := min(len(rows), int(most))
	for n < len(rows) && rows[n].Index == rows[n-1].Index {
		n++
	}
	return rows[:n], nil
}

// joinedRows takes the rows apart.
func joinedRows(logs []sqlcgen.GetAuditRowsRow, separator string) ([]store.AuditRow, error) {
	rows := make([]store.AuditRow, len(logs))
	for i, log := range logs {
		e, err := joinedEntry(log.Joined, separator)
		if err != nil {
			return nil, err
		}
		rows[i] = store.AuditRow{Index: e.Index, Hashes: log.Hashes, Leaf: log.Leaf, Entry: e}
	}
	return rows, nil
}

// joinedEntry takes apart the columns that GetAuditRows joins, since both
// drivers take long for each column. CONCAT_WS leaves NULL out. Nobody can have
// put the separator into a column, since nobody knew it: so there are as many
// parts as columns only if none is NULL, and each part is what its column says.
func joinedEntry(joined, separator string) (store.AuditEntry, error) {
	var c [16]string
	rest, parts := joined, 0
	for more := true; more && parts < len(c); parts++ {
		c[parts], rest, more = strings.Cut(rest, separator)
	}
	if parts < len(c) {
		return store.AuditEntry{}, fmt.Errorf("audit: entry %s was altered: a column of it is NULL", c[0])
	}
	index, err := strconv.ParseInt(c[0], 10, 64)
	if err != nil {
		return store.AuditEntry{}, fmt.Errorf("audit: an entry was altered: its index is not one")
	}
	count, err := strconv.ParseInt(c[1], 10, 64)
	if err != nil {
		return store.AuditEntry{}, fmt.Errorf("audit: entry %d was altered: its count is not one", index)
	}
	at, err := parseTime(c[2])
	if err != nil {
		return store.AuditEntry{}, fmt.Errorf("audit: entry %d was altered: its time is not one", index)
	}
	return store.AuditEntry{
		Index: index, Count: count, At: at, ActorKind: store.ActorKind(c[3]), ActorID: c[4], ActorName: c[5],
		TokenID: c[6], TokenName: c[7], Action: rbac.Action(c[8]), Resource: rbac.Resource(c[9]), ID: c[10], Target: c[11],
		Origin: store.Origin{RequestID: c[12], Address: c[13], UserAgent: c[14]}, Diff: c[15],
	}, nil
}

// parseTime reads a time as a database writes it in UTC: with the offset +00
// (PostgreSQL) or +00:00 (SQLite).
func parseTime(s string) (time.Time, error) {
	return time.Parse("2006-01-02 15:04:05+00", strings.TrimSuffix(s, ":00"))
}

func (t auditLog) Head(ctx context.Context) (store.AuditHead, error) {
	r, err := t.q.GetAuditHead(ctx)
	return store.AuditHead{Size: r.Size, Edge: r.Edge}, t.mapErr(err)
}

func (t auditLog) Hashes(ctx context.Context, entries []int64) (map[int64][]byte, error) {
	out := make(map[int64][]byte, len(entries))
	for _, i := range entries { // a proof takes about as many as the log's size has binary digits
		h, err := t.q.GetAuditHashes(ctx, i)
		if err != nil {
			return nil, t.mapErr(err)
		}
		out[i] = h
	}
	return out, nil
}

func (t auditLog) Prune(ctx context.Context, before time.Time, limit int) (removed, first int64, err error) {
	if err := t.lock(ctx); err != nil {
		return 0, 0, err
	}
	oldest, err := t.q.GetOldestAuditIndex(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, t.mapErr(err)
	}
	first, err = t.q.GetOldestAuditIndexSince(ctx, timestamp(before))
	if errors.Is(err, sql.ErrNoRows) {
		var head sqlcgen.GetAuditHeadRow
		head, err = t.q.GetAuditHead(ctx)
		first = head.Size + 1
	}
	if err != nil {
		return 0, 0, t.mapErr(err)
	}
	first = min(first, oldest+int64(limit))
	if err := t.q.KeepAuditHashesBelow(ctx, first); err != nil {
		return 0, 0, t.mapErr(err)
	}
	removed, err = t.q.DeleteAuditLogsBelow(ctx, first)
	return removed, first, t.mapErr(err)
}

func auditEntry(r sqlcgen.AuditLog) store.AuditEntry {
	return store.AuditEntry{
		Index: r.EntryIndex, At: r.At.UTC(), ActorKind: store.ActorKind(r.ActorKind), ActorID: r.ActorID, ActorName: r.ActorName,
		TokenID: r.TokenID, TokenName: r.TokenName, Action: rbac.Action(r.Action), Resource: rbac.Resource(r.Resource),
		ID: r.ResourceID, Target: r.Target, Count: r.Occurrences, Diff: r.Diff,
		Origin: store.Origin{RequestID: r.RequestID, Address: r.Address, UserAgent: r.UserAgent},
	}
}
