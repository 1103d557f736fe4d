package routing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehousehq/gatehouse/internal/awscredentials"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// A Table keeps the current snapshot, and brings it up to the store. Its
// methods may be called concurrently.
type Table struct {
	db  *store.DB
	who store.Actor // the one that may open secrets
	log *slog.Logger
	aws *awscredentials.Keeper

	current atomic.Pointer[Snapshot]

	mu sync.Mutex // held while compiling
}

// NewTable returns a Table with nothing in it: call Refresh before serving. Without
// a Keeper, providers that need one are not served.
func NewTable(db *store.DB, who store.Actor, log *slog.Logger, aws *awscredentials.Keeper) *Table {
	return &Table{db: db, who: who, log: log, aws: aws}
}

// Current returns the snapshot in force, nil before the first Refresh.
func (t *Table) Current() *Snapshot { return t.current.Load() }

// Refresh makes sure that the snapshot in force is of that generation at
// least. It applies what changed since the one it has, and compiles whole when
// it has none or is too far behind.
func (t *Table) Refresh(ctx context.Context, generation int64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	base := t.current.Load()
	if base != nil && base.Generation >= generation {
		return nil
	}
	var next *Snapshot
	err := t.db.View(ctx, t.who, func(tx store.Tx) (err error) {
		next, err = t.compile(ctx, tx, base)
		return err
	})
	if err != nil {
		return fmt.Errorf("compile the configuration: %w", err)
	}
	t.current.Store(next)
	return nil
}

// Follow polls for changes that other processes make, until ctx is done.
func (t *Table) Follow(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := t.poll(ctx)
		if ctx.Err() != nil {
			return
		}
		// One line when it begins and one when it ends, not one a tick.
		if err != nil && !failing {
			t.log.WarnContext(ctx, "serving on the last known configuration", "error", err)
		} else if err == nil && failing {
			t.log.InfoContext(ctx, "configuration up to date again")
		}
		failing = err != nil
	}
}

func (t *Table) poll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var generation int64
	err := t.db.View(ctx, t.who, func(tx store.Tx) (err error) {
		generation, err = tx.Changes.Generation(ctx)
		return err
	})
	if err != nil {
		return err
	}
	return t.Refresh(ctx, generation)
}

// compile returns the snapshot of what tx sees, made from base where it can.
func (t *Table) compile(ctx context.Context, tx store.Tx, base *Snapshot) (*Snapshot, error) {
	generation, err := tx.Changes.Generation(ctx)
	if err != nil {
		return nil, err
	}
	c := compiler{ctx: ctx, tx: tx, log: t.log, aws: t.aws, base: base}
	if base != nil {
		changes, complete, err := tx.Changes.Since(ctx, base.Generation)
		if err != nil {
			return nil, err
		}
		if complete {
			return c.apply(base, generation, changes)
		}
	}
	return c.whole(generation)
}

// apply returns base with changes made to it.
func (c compiler) apply(base *Snapshot, generation int64, changes []store.Change) (*Snapshot, error) {
	providers, names := base.providers.edit(), base.providerNames.edit()
	routes, routeNames := base.routes.edit(), base.routeNames.edit()
	tokens, hashes := base.tokens.edit(), base.tokenHashes.edit()
	type record struct {
		resource rbac.Resource
		id       string
	}
	done := map[record]bool{}
	setToken := func(id string) error {
		if hash, ok := hashes.get(id); ok {
			tokens.remove(hash)
			hashes.remove(id)
		}
		hash, tok, err := c.tokenByID(id)
		if err == nil && tok != nil {
			tokens.set(hash, tok)
			hashes.set(tok.ID, hash)
		}
		return err
	}
	for _, ch := range changes {
		rec := record{ch.Resource, ch.ID}
		if done[rec] {
			continue
		}
		done[rec] = true
		switch ch.Resource {
		case rbac.AIProvider:
			if name, ok := names.get(ch.ID); ok {
				providers.remove(name)
				names.remove(ch.ID)
			}
			p, err := c.providerByID(ch.ID)
			if err != nil {
				return nil, err
			}
			if p != nil {
				providers.set(p.Name, p)
				names.set(p.ID, p.Name)
			}
		case rbac.AIRoute:
			if name, ok := routeNames.get(ch.ID); ok {
				routes.remove(name)
				routeNames.remove(ch.ID)
			}
			r, err := c.routeByID(ch.ID)
			if err != nil {
				return nil, err
			}
			if r != nil {
				routes.set(r.Name, r)
				routeNames.set(r.ID, r.Name)
			}
		case rbac.APIKey:
			if err := setToken(ch.ID); err != nil {
				return nil, err
			}
		case rbac.User: // whose tokens may do more now, or less
			keys, err := c.tx.APIKeys.List(c.ctx, store.Query{OwnerID: ch.ID})
			if err != nil {
				return nil, err
			}
			for _, k := range keys {
				if err := setToken(k.ID); err != nil {
					return nil, err
				}
			}
		case rbac.CustomRole: // which any number of users may have
			all, err := c.tokens()
			if err != nil {
				return nil, err
			}
			tokens, hashes = tokenShards(all)
		default:
			return nil, errors.New("a change of an unknown resource")
		}
	}
	return &Snapshot{
		Generation: generation, providers: providers.done(), providerNames: names.done(),
		routes: routes.done(), routeNames: routeNames.done(),
		tokens: tokens.done(), tokenHashes: hashes.done(),
	}, nil
}
