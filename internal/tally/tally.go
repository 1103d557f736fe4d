// Package tally writes down what changes nothing and belongs in the audit log
// all the same: refusals, failed logins, the use of secrets.
//
// Events that differ only in when they happened are counted, and become one
// entry a minute with that count. So nobody can fill the log, or make others
// wait for it, by being refused; and a busy server does not write an entry for
// each key that it opens. What was counted and not written is lost when the
// process is killed.
package tally

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
)

const (
	// Every is how often the counts are written.
	Every = time.Minute
	// maxKinds is the most entries of one minute. Further events are counted
	// together, by action alone.
	maxKinds = 1000
	// flushTime is how long one flush may take.
	flushTime = 10 * time.Second
)

// A Tally counts events. It is safe for concurrent use.
type Tally struct {
	who store.Actor
	log *slog.Logger
	now func() time.Time

	mu     sync.Mutex
	counts map[store.AuditEntry]*store.AuditEntry // by what they have in common

	failing bool // owned by Flush
}

// New returns a Tally that writes as who.
func New(who store.Actor, log *slog.Logger, now func() time.Time) *Tally {
	return &Tally{who: who, log: log, now: now, counts: map[store.AuditEntry]*store.AuditEntry{}}
}

// Denied counts a refusal.
func (t *Tally) Denied(who store.Actor, err *store.DeniedError) {
	e := t.entry(who, rbac.Denied)
	e.Resource, e.Diff = err.Missing.Resource, "{}"
	if err.Missing != (rbac.Permission{}) {
		e.Diff = fmt.Sprintf(`{"permission":{"new":%q}}`, err.Missing)
	}
	t.Note(e)
}

// LoginFailed counts somebody who was not let in: with a token that was not
// accepted, or into a session. reason is a name, and not of anything that was sent.
func (t *Tally) LoginFailed(who store.Actor, what rbac.Resource, reason string) {
	e := t.entry(who, rbac.LoginFailed)
	e.Resource, e.ID, e.Target = what, who.TokenID, who.TokenName
	if what == rbac.Session {
		e.ID, e.Target = "", who.Name
	}
	e.Diff = fmt.Sprintf(`{"reason":{"new":%q}}`, reason)
	t.Note(e)
}

func (t *Tally) entry(who store.Actor, action rbac.Action) store.AuditEntry {
	return store.AuditEntry{
		At: t.now(), ActorKind: who.Kind, ActorID: who.ID, ActorName: who.Name, TokenID: who.TokenID, TokenName: who.TokenName,
		Action: action, Origin: who.Origin, Count: 1,
	}
}

// Note counts an event. Of those that become one entry, the first gives it its
// time and request; what they are about stands in it if it is one thing.
func (t *Tally) Note(e store.AuditEntry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.add(e)
}

func (t *Tally) add(e store.AuditEntry) {
	kind := e
	kind.At, kind.Count, kind.ID, kind.Target, kind.Origin = time.Time{}, 0, "", "", store.Origin{Address: e.Origin.Address}
	have := t.counts[kind]
	if have == nil && len(t.counts) >= maxKinds {
		e = store.AuditEntry{At: e.At, ActorKind: store.ActorAnonymous, ActorName: "others", Action: e.Action, Count: e.Count, Diff: "{}"}
		kind = store.AuditEntry{ActorKind: e.ActorKind, ActorName: e.ActorName, Action: e.Action, Diff: e.Diff}
		have = t.counts[kind]
	}
	if have == nil {
		t.counts[kind] = &e
		return
	}
	have.Count += e.Count
	if have.ID != e.ID || have.Target != e.Target {
		have.ID, have.Target = "", ""
	}
}

// Run writes to db every minute, and a last time when ctx is done.
func (t *Tally) Run(ctx context.Context, db *store.DB) {
	tick := time.NewTicker(Every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			t.Flush(ctx, db)
		case <-ctx.Done():
			t.Flush(context.WithoutCancel(ctx), db)
			return
		}
	}
}

// Flush writes what was counted since the last time. What cannot be written is
// kept for the next.
func (t *Tally) Flush(ctx context.Context, db *store.DB) {
	t.mu.Lock()
	counts := t.counts
	t.counts = map[store.AuditEntry]*store.AuditEntry{}
	t.mu.Unlock()
	if len(counts) == 0 {
		return
	}
	entries := make([]store.AuditEntry, 0, len(counts))
	for _, e := range counts {
		entries = append(entries, *e)
	}
	slices.SortFunc(entries, func(a, b store.AuditEntry) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Origin.RequestID, b.Origin.RequestID))
	})
	ctx, cancel := context.WithTimeout(ctx, flushTime)
	defer cancel()
	err := db.Update(ctx, t.who, func(tx store.Tx) error { return tx.Audit.Observe(ctx, entries) })
	if err != nil {
		t.mu.Lock()
		for _, e := range entries {
			t.add(e)
		}
		t.mu.Unlock()
		if !t.failing { // one line when it begins, not one a minute
			t.log.WarnContext(ctx, "refusals and failed logins could not be written to the audit log; they are kept, and tried again", "error", err)
		}
	}
	t.failing = err != nil
}
