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
	"github.com/gatehousehq/gatehouse/internal/store"
)

// Layer returns the [store.Layer] that audits by the given clock.
func Layer(now func() time.Time) store.Layer {
	return func(who store.Actor, tx store.Tx) store.Tx {
		l := log{now, who, tx.Audit}
		return store.Tx{
			Providers:      table[store.Provider]{tx.Providers, l},
			ProviderKeys:   table[store.ProviderKey]{tx.ProviderKeys, l},
			Users:          table[store.User]{tx.Users, l},
			APIKeys:        table[store.APIKey]{tx.APIKeys, l},
			EncryptionKeys: table[store.EncryptionKey]{tx.EncryptionKeys, l},
			Audit:          tx.Audit,
			Secrets:        tx.Secrets,
			Changes:        tx.Changes,
			LastUse:        tx.LastUse, // a use is no change of configuration; interceptions record it
			Credentials:    tx.Credentials,
		}
	}
}

// A log writes the entries of one actor.
type log struct {
	now  func() time.Time
	who  store.Actor
	next store.AuditLog
}

func (l log) write(ctx context.Context, action rbac.Action, ref store.Ref, before, after any) error {
	d, err := diff(before, after)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return l.next.Append(ctx, store.AuditEntry{
		At: l.now(), ActorKind: l.who.Kind, ActorID: l.who.ID, ActorName: l.who.Name,
		TokenID: l.who.TokenID, TokenName: l.who.TokenName,
		Action: action, Resource: ref.Resource, ID: ref.ID, Target: ref.Target,
		Origin: l.who.Origin, Diff: d,
	})
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
	rec, err := t.next.Insert(ctx, rec)
	if err != nil {
		return rec, err
	}
	return rec, t.log.write(ctx, rbac.Create, rec.Ref(), nil, rec)
}

func (t table[T]) Update(ctx context.Context, id string, edit func(*T) error) (T, error) {
	var before T
	after, err := t.next.Update(ctx, id, func(rec *T) error {
		before = *rec
		return edit(rec)
	})
	if err != nil || after == before {
		return after, err
	}
	return after, t.log.write(ctx, rbac.Update, after.Ref(), before, after)
}

func (t table[T]) Delete(ctx context.Context, id string) (T, error) {
	rec, err := t.next.Delete(ctx, id)
	if err != nil {
		return rec, err
	}
	return rec, t.log.write(ctx, rbac.Delete, rec.Ref(), rec, nil)
}
