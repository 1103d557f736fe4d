package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// An AuditFilter selects audit entries. Zero fields select all.
type AuditFilter struct {
	Resource string // a kind of resource, such as ai_provider
	Action   string
	Actor    string    // id or name of a user, or the name of a part of the system
	Since    time.Time // from this on
	Until    time.Time // before this
	// Text begins the actor's name, the target, the resource id or the request
	// id.
	Text string
}

func (f AuditFilter) values() url.Values {
	return filterValues(map[string]string{"resource": f.Resource, "action": f.Action, "actor": f.Actor, "q": f.Text}, f.Since, f.Until)
}

// filterValues are the parameters of a filter; what is empty or zero selects
// nothing.
func filterValues(texts map[string]string, since, until time.Time) url.Values {
	q := url.Values{}
	for name, v := range texts {
		if v != "" {
			q.Set(name, v)
		}
	}
	for name, t := range map[string]time.Time{"since": since, "until": until} {
		if !t.IsZero() {
			q.Set(name, t.UTC().Format(time.RFC3339Nano))
		}
	}
	return q
}

const auditPath = "/api/v1/audit"

// ListAudit returns one page of the audit entries that f selects, newest first.
func (c *Client) ListAudit(ctx context.Context, f AuditFilter, o ListOptions) (Page[AuditEntry], error) {
	q := f.values()
	o.add(q)
	return call[Page[AuditEntry]](ctx, c, http.MethodGet, auditPath+query(q, nil), 0, nil)
}

// Audit returns every audit entry that f selects, newest first.
func (c *Client) Audit(ctx context.Context, f AuditFilter) iter.Seq2[AuditEntry, error] {
	return pages(ctx, func(ctx context.Context, o ListOptions) (Page[AuditEntry], error) { return c.ListAudit(ctx, f, o) })
}

// AuditCheckpoint returns a signed checkpoint of the audit log as it is now.
func (c *Client) AuditCheckpoint(ctx context.Context) (AuditCheckpoint, error) {
	return call[AuditCheckpoint](ctx, c, http.MethodGet, auditPath+"/checkpoint", 0, nil)
}

// AuditProof returns the proof that an entry is in the audit log.
func (c *Client) AuditProof(ctx context.Context, index int64) (AuditProof, error) {
	return call[AuditProof](ctx, c, http.MethodGet, auditPath+"/proof/"+strconv.FormatInt(index, 10), 0, nil)
}

// ExportAudit writes the entries that f selects to w, oldest first, as "jsonl"
// or "csv". It takes as long as it takes: bound it by ctx.
func (c *Client) ExportAudit(ctx context.Context, f AuditFilter, format string, w io.Writer) error {
	q := f.values()
	q.Set("format", format)
	req, err := c.request(ctx, http.MethodGet, auditPath+"/export"+query(q, nil), nil)
	if err != nil {
		return err
	}
	unbounded := *c.http
	unbounded.Timeout = 0
	resp, err := unbounded.Do(req)
	if err != nil {
		return fmt.Errorf("reach %s: %w", c.base, reason(err))
	}
	defer func() { _ = resp.Body.Close() }() // it was read to its end, or the read failed
	if resp.StatusCode != http.StatusOK {
		_, err := c.read(resp)
		return err
	}
	if _, err := io.Copy(w, resp.Body); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("the server cut it off")
		}
		return fmt.Errorf("read the export: %w", err)
	}
	return nil
}
