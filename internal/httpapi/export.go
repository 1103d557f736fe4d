package httpapi

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/gatehousehq/gatehouse/internal/auditlog"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// The media types of exports.
const (
	exportJSON = "application/jsonl"
	exportCSV  = "text/csv"
)

const (
	// exportBatch is how many entries are read at once, and exportWrite how long
	// a client may take to read some of them.
	exportBatch = 1000
	exportWrite = time.Minute
)

type exportAuditInput struct {
	AuditFilter
	Format string `query:"format" enum:"jsonl,csv" default:"jsonl" doc:"jsonl: the records themselves, behind a header. csv: a table for people."`
}

// exportAudit streams the log as one transaction sees it. What rbac refuses it
// refuses before the first byte; an error later cuts the answer off, and an
// export says in its first line how long it is.
func (a *api) exportAudit(ctx context.Context, who store.Actor, in *exportAuditInput) (*huma.StreamResponse, error) {
	if err := a.DB.View(ctx, who, func(tx store.Tx) error {
		_, err := tx.Audit.Head(ctx)
		return err
	}); err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		mediaType := exportJSON
		if in.Format == "csv" {
			mediaType = exportCSV + "; charset=utf-8; header=present"
		}
		hc.SetHeader("Content-Type", mediaType)
		hc.SetHeader("Content-Disposition", `attachment; filename="gatehouse-audit.`+in.Format+`"`)
		err := a.DB.View(ctx, who, func(tx store.Tx) error {
			return exportAudit(ctx, tx.Audit, in, a.Installation, hc.BodyWriter())
		})
		if err != nil {
			a.Log.ErrorContext(ctx, "the export of the audit log was cut off", "id", info(ctx).id, "error", err)
			panic(http.ErrAbortHandler) // so that nobody takes it for whole
		}
	}}, nil
}

func exportAudit(ctx context.Context, log store.AuditLog, in *exportAuditInput, installation string, w io.Writer) error {
	head, err := log.Head(ctx)
	if err != nil {
		return err
	}
	q := in.query()
	filtered := q != store.AuditQuery{}
	var write func(store.AuditRow) error
	var done func() error
	if in.Format == "csv" {
		write, done = csvExport(w)
	} else if write, done, err = jsonExport(ctx, log, head.Size, auditlog.Origin(installation), filtered, w); err != nil {
		return err
	}
	for from := int64(1); from <= head.Size; {
		rows, err := log.Rows(ctx, from, exportBatch)
		if err != nil || len(rows) == 0 {
			return err
		}
		if rw, ok := w.(http.ResponseWriter); ok {
			_ = http.NewResponseController(rw).SetWriteDeadline(time.Now().Add(exportWrite)) // not every writer has one
		}
		for _, r := range rows {
			if r.Leaf == nil || filtered && !q.Match(r.Entry) {
				continue // removed by retention, or not asked for
			}
			if err := write(r); err != nil {
				return err
			}
		}
		from = rows[len(rows)-1].Index + 1
	}
	return done()
}

// jsonExport writes the header, and returns what writes a record.
func jsonExport(ctx context.Context, log store.AuditLog, size int64, origin string, filtered bool, w io.Writer) (func(store.AuditRow) error, func() error, error) {
	first, err := firstKept(ctx, log, size)
	if err != nil {
		return nil, nil, err
	}
	before, err := auditlog.HeadAt(ctx, log, first-1)
	if err != nil {
		return nil, nil, err
	}
	header, err := json.Marshal(auditlog.NewExportHeader(origin, size, before, filtered))
	if err != nil {
		return nil, nil, err
	}
	if _, err := w.Write(append(header, '\n')); err != nil {
		return nil, nil, err
	}
	return func(r store.AuditRow) error {
		_, err := w.Write(append(r.Leaf, '\n'))
		return err
	}, func() error { return nil }, nil
}

// firstKept returns the index of the first entry that retention left, size+1 if
// it left none.
func firstKept(ctx context.Context, log store.AuditLog, size int64) (int64, error) {
	for from := int64(1); from <= size; {
		rows, err := log.Rows(ctx, from, exportBatch)
		if err != nil || len(rows) == 0 {
			return size + 1, err
		}
		for _, r := range rows {
			if r.Leaf != nil {
				return r.Index, nil
			}
		}
		from = rows[len(rows)-1].Index + 1
	}
	return size + 1, nil
}

var csvColumns = []string{
	"index", "time", "actor_kind", "actor_id", "actor_name", "token_id", "token_name", "action", "resource_type", "resource_id",
	"target", "request_id", "address", "user_agent", "count", "diff",
}

func csvExport(w io.Writer) (write func(store.AuditRow) error, done func() error) {
	out := csv.NewWriter(w)
	headed := false
	head := func() error {
		if headed {
			return nil
		}
		headed = true
		return out.Write(csvColumns)
	}
	write = func(r store.AuditRow) error {
		if err := head(); err != nil {
			return err
		}
		e := r.Entry
		cells := []string{
			strconv.FormatInt(e.Index, 10), e.At.Format(time.RFC3339Nano), string(e.ActorKind), e.ActorID, e.ActorName, e.TokenID, e.TokenName,
			string(e.Action), string(e.Resource), e.ID, e.Target, e.Origin.RequestID, e.Origin.Address, e.Origin.UserAgent,
			strconv.FormatInt(e.Count, 10), e.Diff,
		}
		for i, c := range cells {
			cells[i] = tame(c)
		}
		return out.Write(cells)
	}
	return write, func() error {
		if err := head(); err != nil {
			return err
		}
		out.Flush()
		return out.Error()
	}
}

// tame keeps a spreadsheet from taking text for a formula, which somebody may
// have chosen as a name for that.
func tame(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
