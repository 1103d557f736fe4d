// Package dbaudit writes an audit entry for every change of a record, in the
// transaction that makes the change: no entry, no change.
//
// What an entry shows of each field is said on the record, by its audit tag.
// Secrets never stand in one. An edit that changed nothing leaves no entry.
package dbaudit

import (
	"context"
	"fmt"
	"time"

	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// Layer returns the [store.Layer] that audits by the given clock. Each use of a
// secret is told to note, if it is not nil: reading changes nothing, so its
// entry is written later, by whoever note belongs to. note must not wait.
func Layer(now func() time.Time, note func(store.AuditEntry)) store.Layer {
	return func(who store.Actor, tx store.Tx) store.Tx {
		l := log{now, note, who, tx.Audit}
		return store.Tx{
			Providers:      table[store.Provider]{tx.Providers, l},
			ProviderKeys:   table[store.ProviderKey]{tx.ProviderKeys, l},
			Routes:         table[store.Route]{tx.Routes, l},
			Users:          table[store.User]{tx.Users, l},
			Roles:          table[store.Role]{tx.Roles, l},
			APIKeys:        table[store.APIKey]{tx.APIKeys, l},
			Passwords:      table[store.Password]{tx.Passwords, l},
			Sessions:       table[store.Session]{tx.Sessions, l},
			EncryptionKeys: table[store.EncryptionKey]{tx.EncryptionKeys, l},
			Audit:          auditLog{tx.Audit, l},
			Secrets:        secretUse{tx.Secrets, l},
			Changes:        tx.Changes,
			LastUse:        tx.LastUse, // a use is no change of configuration; interceptions record it
			Credentials:    tx.Credentials,
			Cells:          cells{tx.Cells, l},
			Replicas:       tx.Replicas,      // what replicas say of themselves is no change of configuration
			KeyStates:      tx.KeyStates,     // nor is what upstreams make of keys
			Interceptions:  tx.Interceptions, // they are a log of their own, with an end that a setting says
		}
	}
}

// A log writes the entries of one actor.
type log struct {
	now  func() time.Time
	note func(store.AuditEntry)
	who  store.Actor
	next store.AuditLog
}

// write adds the entry of a change. edited is the record as it was handed down;
// before and after are nil where there is none.
func (l log) write(ctx context.Context, action rbac.Action, ref store.Ref, before, after, edited any) error {
	d, err := diff(before, after, edited)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return l.next.Append(ctx, l.entry(action, ref, d))
}

func (l log) entry(action rbac.Action, ref store.Ref, diff string) store.AuditEntry {
	return store.AuditEntry{
		At: l.now(), ActorKind: l.who.Kind, ActorID: l.who.ID, ActorName: l.who.Name,
		TokenID: l.who.TokenID, TokenName: l.who.TokenName,
		Action: action, Resource: ref.Resource, ID: ref.ID, Target: ref.Target,
		Origin: l.who.Origin, Count: 1, Diff: diff,
	}
}

// A table passes reads through and writes down changes. It does not embed the
// table under it: a method that is added must be thought about here.
type table[T store.Record] struct {
	next store.Table[T]
	log  log
}

func (t table[T]) Get(ctx context.Context, id string) (T, error) { return t.next.Get(ctx, id) }

func (t table[T]) List(ctx context.Context, q store.Query) ([]T, error) { return t.next.List(ctx, q) }

func (t table[T]) Insert(ctx context.Context, rec T) (T, error) {
	edited := rec
	rec, err := t.next.Insert(ctx, rec)
	if err != nil {
		return rec, err
	}
	return rec, t.log.write(ctx, store.InsertAction(rec), rec.Ref(), nil, rec, edited)
}

func (t table[T]) Update(ctx context.Context, id string, edit func(*T) error) (T, error) {
	var before, edited T
	after, err := t.next.Update(ctx, id, func(rec *T) error {
		before = *rec
		err := edit(rec)
		edited = *rec // dbcrypt, beneath, takes away what it is done with
		return err
	})
	if err != nil || after == before {
		return after, err
	}
	action := store.EditAction(after)
	if softDeleted(before) && !softDeleted(after) {
		action = rbac.Restore
	}
	return after, t.log.write(ctx, action, after.Ref(), before, after, edited)
}

func (t table[T]) Delete(ctx context.Context, id string) (T, error) {
	rec, err := t.next.Delete(ctx, id)
	if err != nil {
		return rec, err
	}
	action := rbac.Delete
	if softDeleted(rec) {
		action = rbac.Purge
	}
	return rec, t.log.write(ctx, action, rec.Ref(), rec, nil, nil)
}

// softDeleted reports whether a record is of a kind that is marked as deleted
// first, and is so marked.
func softDeleted(rec any) bool {
	r, ok := rec.(interface{ SoftDeleted() bool })
	return ok && r.SoftDeleted()
}

// An auditLog is audited itself: what retention removes is written down.
type auditLog struct {
	next store.AuditLog
	log  log
}

func (l auditLog) Append(ctx context.Context, e store.AuditEntry) error { return l.next.Append(ctx, e) }

func (l auditLog) Observe(ctx context.Context, entries []store.AuditEntry) error {
	return l.next.Observe(ctx, entries)
}

func (l auditLog) List(ctx context.Context, q store.AuditQuery) ([]store.AuditEntry, error) {
	return l.next.List(ctx, q)
}

func (l auditLog) Rows(ctx context.Context, from int64, limit int) ([]store.AuditRow, error) {
	return l.next.Rows(ctx, from, limit)
}

func (l auditLog) Head(ctx context.Context) (store.AuditHead, error) { return l.next.Head(ctx) }

func (l auditLog) Hashes(ctx context.Context, entries []int64) (map[int64][]byte, error) {
	return l.next.Hashes(ctx, entries)
}

func (l auditLog) Prune(ctx context.Context, before time.Time, limit int) (removed, first int64, err error) {
	if removed, first, err = l.next.Prune(ctx, before, limit); err != nil || removed == 0 {
		return removed, first, err
	}
	d := fmt.Sprintf(`{"before":{"new":%d}}`, first)
	return removed, first, l.log.next.Append(ctx, l.log.entry(rbac.Delete, store.Ref{Resource: rbac.AuditLog}, d))
}

// A secretUse notes each use of a secret, whether it opened or not.
type secretUse struct {
	next store.Secrets
	log  log
}

func (s secretUse) Open(ctx context.Context, rec store.Sealed) (map[string]secret.Text, error) {
	opened, err := s.next.Open(ctx, rec)
	if s.log.note != nil && (err != nil || !allZero(opened)) {
		s.log.note(s.log.entry(rbac.Open, rec.Ref(), "{}"))
	}
	return opened, err
}

// Check is no use: nobody learns the secret.
func (s secretUse) Check(ctx context.Context, rec store.Sealed) error { return s.next.Check(ctx, rec) }

func (s secretUse) Fingerprint(ctx context.Context, value secret.Text) (string, error) {
	return s.next.Fingerprint(ctx, value)
}

func allZero(opened map[string]secret.Text) bool {
	for _, v := range opened {
		if !v.IsZero() {
			return false
		}
	}
	return true
}

// cells writes down what was sealed again: an entry for each kind of record and
// call, which counts them. What they hold has not changed.
type cells struct {
	next store.Cells
	log  log
}

func (c cells) Count(ctx context.Context) ([]store.CellCount, error) { return c.next.Count(ctx) }

func (c cells) List(ctx context.Context, q store.CellQuery) ([]store.Sealed, error) {
	return c.next.List(ctx, q)
}

func (c cells) Reseal(ctx context.Context, recs []store.Resealing) (store.Resealed, error) {
	done, err := c.next.Reseal(ctx, recs)
	if err != nil {
		return done, err
	}
	for _, kind := range store.SealedKinds() {
		e := c.log.entry(rbac.Rotate, store.Ref{Resource: kind.Ref().Resource}, "{}")
		e.Count = 0
		for _, ref := range done.Written {
			if ref.Resource == e.Resource {
				e.Count++
			}
		}
		if e.Count == 0 {
			continue
		}
		if err := c.log.next.Append(ctx, e); err != nil {
			return done, err
		}
	}
	return done, nil
}
