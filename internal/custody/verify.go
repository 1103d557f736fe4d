// Package custody looks over what is sealed: whether each secret opens, whether
// it is the one that was written last, and what becomes of those that are lost.
//
// It learns of no secret but in [Export]. What it holds the database to is the
// audit log, whose own proof is another matter (package auditlog).
package custody

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// A Finding is what is wrong with a record.
type Finding struct {
	Ref     store.Ref
	Problem Problem
	// Detail says more, for people.
	Detail string
}

// A Problem is a kind of finding.
type Problem string

// The problems.
const (
	// Unreadable is for a secret that does not open, or not to what its
	// fingerprint was made of.
	Unreadable Problem = "unreadable"
	// RolledBack is for a secret that is not the one that was written last.
	RolledBack Problem = "rolled_back"
	// Missing is for a record or secret that nobody removed.
	Missing Problem = "missing"
	// Planted is for a record or secret that nobody wrote.
	Planted Problem = "planted"
)

// A Report is what verifying found.
type Report struct {
	Cells    int64 // that were opened, or could not be
	Findings []Finding
	// Unproved are records whose entries retention has removed from the log: that
	// they open is all that is known of them.
	Unproved int64
}

// page is how many records or entries are read at once.
const page = 5000

// Verify opens every secret, and compares the records with what the audit log
// says was done to them, all at one moment.
func Verify(ctx context.Context, db *store.DB, who store.Actor) (Report, error) {
	var r Report
	err := db.View(ctx, who, func(tx store.Tx) error {
		r = Report{}
		if err := r.open(ctx, tx); err != nil {
			return err
		}
		h, err := readHistory(ctx, tx)
		if err != nil {
			return err
		}
		return r.compare(ctx, tx, h)
	})
	return r, err
}

func (r *Report) add(ref store.Ref, p Problem, detail string) {
	r.Findings = append(r.Findings, Finding{ref, p, detail})
}

// open tries every secret.
func (r *Report) open(ctx context.Context, tx store.Tx) error {
	return eachCell(ctx, tx, func(rec store.Sealed) error {
		r.Cells++
		err := tx.Secrets.Check(ctx, rec)
		if errors.Is(err, store.ErrUnreadable) {
			r.add(rec.Ref(), Unreadable, err.Error())
			return nil
		}
		return err
	})
}

func eachCell(ctx context.Context, tx store.Tx, fn func(store.Sealed) error) error {
	var after store.Ref
	for {
		recs, err := tx.Cells.List(ctx, store.CellQuery{After: after, Limit: page})
		if err != nil || len(recs) == 0 {
			return err
		}
		for _, rec := range recs {
			if err := fn(rec); err != nil {
				return err
			}
		}
		after = recs[len(recs)-1].Ref()
	}
}

// A thing is a record, by kind and id.
type thing struct {
	resource rbac.Resource
	id       string
}

// A past is what the audit log says of a record.
type past struct {
	ref      store.Ref
	known    bool  // whether it says anything of its secret
	gone     bool  // the record was removed
	revision int64 // of its secret
	secret   bool  // whether it has one
	mute     bool  // the entry is of a version that did not write revisions
}

// A history is the past of every record that the audit log tells of.
type history struct {
	of    map[thing]past
	whole bool // no beginning was removed from the log
}

// readHistory reads the entries of sealed records, newest first: what is found
// first of a record is how it should be.
func readHistory(ctx context.Context, tx store.Tx) (history, error) {
	h := history{of: map[thing]past{}}
	for _, kind := range store.SealedKinds() {
		resource := kind.Ref().Resource
		for before := int64(0); ; {
			entries, err := tx.Audit.List(ctx, store.AuditQuery{Resource: string(resource), Before: before, Limit: page})
			if err != nil {
				return h, err
			}
			if len(entries) == 0 {
				break
			}
			for _, e := range entries {
				if err := h.learn(e); err != nil {
					return h, err
				}
			}
			before = entries[len(entries)-1].Index
		}
	}
	first, err := tx.Audit.List(ctx, store.AuditQuery{Before: 2, Limit: 1})
	h.whole = len(first) == 1
	return h, err
}

// learn takes from an entry what no later one has said.
func (h history) learn(e store.AuditEntry) error {
	key := thing{e.Resource, e.ID}
	p := h.of[key]
	if e.ID == "" || p.known {
		return nil
	}
	p.ref = store.Ref{Resource: e.Resource, ID: e.ID, Target: e.Target}
	switch e.Action {
	case rbac.Purge:
		p.known, p.gone = true, true
	case rbac.Delete: // of a provider, it is kept without its secret
		p.known, p.gone = true, e.Resource != rbac.AIProvider
		if rev, err := revisionIn(e.Diff); err != nil {
			return err
		} else if rev.Old != nil {
			p.revision = *rev.Old
		}
	case rbac.Create, rbac.Update, rbac.Restore:
		rev, err := revisionIn(e.Diff)
		if err != nil {
			return err
		}
		switch {
		case rev.New != nil:
			p.known, p.revision, p.secret = true, *rev.New, !rev.cleared
		case rev.mute:
			p.known, p.mute = true, true
		case e.Action == rbac.Create:
			p.known = true
		}
	default:
		return nil
	}
	h.of[key] = p
	return nil
}

// A revision is what an entry says of the revision of a secret.
type revision struct {
	Old, New *int64
	cleared  bool
	mute     bool // a secret was written, and no revision
}

func revisionIn(diff string) (r revision, err error) {
	var d struct {
		Revision revision `json:"secret_revision"`
		Type     struct {
			Old, New json.RawMessage
		} `json:"settings._type"`
		Settings struct {
			Cleared bool
		} `json:"settings"`
		APIKey json.RawMessage `json:"api_key"`
	}
	if err := json.Unmarshal([]byte(diff), &d); err != nil {
		return r, fmt.Errorf("read an audit entry: %w", err)
	}
	d.Revision.mute = d.APIKey != nil || d.Type.New != nil
	// Earlier versions wrote the type alone.
	d.Revision.cleared = d.Settings.Cleared || d.Type.Old != nil && d.Type.New == nil
	return d.Revision, nil
}

// compare holds the records to their history.
func (r *Report) compare(ctx context.Context, tx store.Tx, h history) error {
	providers, err := tx.Providers.List(ctx, store.Query{IncludeDeleted: true, IncludeDisabled: true})
	if err != nil {
		return err
	}
	keys, err := tx.ProviderKeys.List(ctx, store.Query{})
	if err != nil {
		return err
	}
	there := map[thing]bool{}
	for _, p := range providers {
		r.compareOne(h, there, &p)
	}
	for _, k := range keys {
		r.compareOne(h, there, &k)
	}
	for key, p := range h.of {
		if p.known && !p.gone && !there[key] {
			r.add(p.ref, Missing, "it is not in the database, and the audit log has nobody who removed it")
		}
	}
	return nil
}

func (r *Report) compareOne(h history, there map[thing]bool, rec store.Sealed) {
	ref := rec.Ref()
	key := thing{ref.Resource, ref.ID}
	there[key] = true
	was, s := h.of[key], rec.Sealings()[0]
	switch {
	case was.mute, !was.known && !h.whole:
		r.Unproved++
	case !was.known:
		r.add(ref, Planted, "the audit log has nobody who made it")
	case was.gone:
		r.add(ref, Planted, "the audit log says that it was removed")
	case was.secret && s.Value.IsZero():
		r.add(ref, Missing, "its secret was taken away, and the audit log has nobody who did")
	case !was.secret && !s.Value.IsZero():
		r.add(ref, Planted, "it has a secret, and the audit log says that it has none")
	case was.secret && was.revision != *s.Revision:
		r.add(ref, RolledBack, fmt.Sprintf("its secret is number %d, and the audit log has number %d as the last", *s.Revision, was.revision))
	}
}
