// Package catalog holds the rules of providers, their keys and routes to them:
// what each may be, and which changes belong together. It works on the tables of a
// transaction, so authorisation, audit and sealing are the store's.
package catalog

import (
	"cmp"
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/gatehousehq/gatehouse/internal/origin"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// Rules are what depends on the rest of the program. The zero Rules reserve no
// name and allow every host.
type Rules struct {
	// Reserved are the names that the gateway has other uses for.
	Reserved []string
	// CheckHost refuses the host of a base URL that must never be dialled.
	CheckHost func(host string) error
}

// A NewProvider describes a provider to add. Settings is nil for none.
type NewProvider struct {
	Type        string
	Name        string
	DisplayName string
	Enabled     bool
	BaseURL     string
	Strategy    string // "" is in order
	Settings    []byte
	APIKeys     []secret.Text // in failover order
}

// Create adds a provider and its keys. Everything that is wrong with n comes
// back at once, as joined [store.InvalidError]s.
func (r Rules) Create(ctx context.Context, tx store.Tx, n NewProvider) (store.Provider, error) {
	var bad invalid
	bad.check("type", checkType(n.Type))
	bad.check("name", r.checkName(n.Name))
	bad.check("display_name", checkText(n.DisplayName))
	base, err := r.NormalBaseURL(n.BaseURL)
	bad.check("base_url", err)
	strategy := cmp.Or(n.Strategy, string(store.InOrder))
	bad.check("strategy", checkStrategy(strategy))
	rec := store.Provider{
		Type: store.ProviderType(n.Type), Name: n.Name, DisplayName: n.DisplayName, Enabled: n.Enabled,
		BaseURL: base, Strategy: store.Strategy(strategy),
	}
	doc, _, err := r.setSettings(&rec, n.Settings, otherOrigin) // there is nothing to keep
	bad.join(err)
	bad.join(checkAPIKeys("api_keys", n.APIKeys))
	bad.join(checkSources(doc, "api_keys", len(n.APIKeys)))
	for i, k := range n.APIKeys {
		bad.join(checkForm(doc, element("api_keys", i), k))
	}
	if err := bad.err(); err != nil {
		return store.Provider{}, err
	}
	if rec.ID, err = newID(); err != nil {
		return store.Provider{}, err
	}
	if rec, err = tx.Providers.Insert(ctx, rec); err != nil {
		return store.Provider{}, err
	}
	for i, k := range n.APIKeys {
		if err := insertKey(ctx, tx, store.ProviderKey{ProviderID: rec.ID, APIKey: k, Position: int64(i + 1), Weight: 1}); err != nil {
			return store.Provider{}, within("api_keys", i, err)
		}
	}
	return tx.Providers.Get(ctx, rec.ID)
}

// A ProviderEdit describes a change of a provider. A nil field keeps what is
// there.
type ProviderEdit struct {
	DisplayName *string // "" clears
	Enabled     *bool
	BaseURL     *string
	Strategy    *string
	Settings    *[]byte // a nil slice clears
	APIKeys     *[]KeepOrAdd
}

// A KeepOrAdd is one key of the list that a provider is to have: one that it
// has, by ID, or else a new one.
type KeepOrAdd struct {
	ID     string
	APIKey secret.Text
}

// AnyRevision says that an edit is not conditional.
const AnyRevision int64 = 0

// Update changes a provider, by id or name, if it is of that revision; it
// returns [store.ErrStale] otherwise. A change of the origin of base_url, or of
// the proxy or the certificates in the settings, is refused unless all keys are
// given again: who may edit a provider may not read its keys, by having them sent
// elsewhere.
func (r Rules) Update(ctx context.Context, tx store.Tx, ref string, revision int64, e ProviderEdit) (store.Provider, error) {
	cur, err := lock(ctx, tx, ref, revision)
	if err != nil {
		return store.Provider{}, err
	}
	keys, err := tx.ProviderKeys.List(ctx, store.Query{ProviderID: cur.ID})
	if err != nil {
		return store.Provider{}, err
	}
	var bad invalid
	next := cur
	if e.DisplayName != nil {
		bad.check("display_name", checkText(*e.DisplayName))
		next.DisplayName = *e.DisplayName
	}
	if e.Enabled != nil {
		next.Enabled = *e.Enabled
	}
	if e.BaseURL != nil {
		base, err := r.NormalBaseURL(*e.BaseURL)
		bad.check("base_url", err)
		if err == nil {
			next.BaseURL = base
		}
	}
	if e.Strategy != nil {
		bad.check("strategy", checkStrategy(*e.Strategy))
		next.Strategy = store.Strategy(*e.Strategy)
	}
	var again string // why all secrets must be given again, if they must
	if origin.Of(next.BaseURL) != origin.Of(cur.BaseURL) {
		again = otherOrigin
	}
	had := SettingsOf(cur)
	doc, unset := had, error(nil)
	if e.Settings != nil {
		doc, again, unset = r.setSettings(&next, *e.Settings, again)
	} else if again != "" && cur.SettingsPublic != "" {
		unset = &store.InvalidError{Field: "settings", Reason: "must be given again " + again + ", or be null to have none"}
	}
	bad.join(unset)
	plan, err := planKeys(keys, e.APIKeys)
	bad.join(err)
	if unset == nil && (e.Settings != nil || e.APIKeys != nil) {
		bad.join(plan.fit(had, doc))
	}
	if again != "" && len(plan.kept) > 0 {
		bad.join(&store.InvalidError{Field: "api_keys", Reason: "must all be given again " + again + ": send every key as {\"api_key\":…}, or [] to have none"})
	}
	if err := bad.err(); err != nil {
		return store.Provider{}, err
	}

	for _, k := range plan.removed {
		if _, err := tx.ProviderKeys.Delete(ctx, k.ID); err != nil {
			return store.Provider{}, err
		}
	}
	if next != cur {
		if _, err := tx.Providers.Update(ctx, cur.ID, func(p *store.Provider) error {
			revision := p.Revision
			*p = next
			p.Revision = revision // raised by the keys that went
			return nil
		}); err != nil {
			return store.Provider{}, err
		}
	}
	for _, have := range keys {
		position, kept := plan.kept[have.ID]
		if !kept || position == have.Position {
			continue // nothing is asked of the store, so no permission is needed
		}
		if _, err := tx.ProviderKeys.Update(ctx, have.ID, func(k *store.ProviderKey) error {
			k.Position = position
			return nil
		}); err != nil {
			return store.Provider{}, err
		}
	}
	for _, a := range plan.added {
		if err := insertKey(ctx, tx, store.ProviderKey{ProviderID: cur.ID, APIKey: a.key, Position: a.position, Weight: 1}); err != nil {
			return store.Provider{}, within("api_keys", a.index, err)
		}
	}
	return tx.Providers.Get(ctx, cur.ID)
}

// Delete marks a provider as deleted and removes its keys, each with its own
// entry in the audit log.
func Delete(ctx context.Context, tx store.Tx, ref string, revision int64) error {
	cur, err := lock(ctx, tx, ref, revision)
	if err != nil {
		return err
	}
	keys, err := tx.ProviderKeys.List(ctx, store.Query{ProviderID: cur.ID})
	if err != nil {
		return err
	}
	for _, k := range keys {
		if _, err := tx.ProviderKeys.Delete(ctx, k.ID); err != nil {
			return err
		}
	}
	_, err = tx.Providers.Delete(ctx, cur.ID)
	return err
}

// Restore brings back a deleted provider, by id, disabled and without keys or
// settings. It returns a [store.ConflictError] for one that is not deleted, and
// for one whose name another has by now.
func Restore(ctx context.Context, tx store.Tx, id string, revision int64) (store.Provider, error) {
	cur, err := lockDeleted(ctx, tx, id, revision)
	if err != nil {
		return store.Provider{}, err
	}
	p, err := tx.Providers.Update(ctx, cur.ID, func(p *store.Provider) error {
		p.Deleted = false
		return nil
	})
	if taken, ok := errors.AsType[*store.ConflictError](err); ok && taken.Field == "name" {
		taken.Reason = "another provider has its name by now: delete that one first"
	}
	return p, err
}

// Purge removes the row of a deleted provider, by id, for good. It returns a
// [store.ConflictError] for one that is not deleted.
func Purge(ctx context.Context, tx store.Tx, id string, revision int64) error {
	cur, err := lockDeleted(ctx, tx, id, revision)
	if err != nil {
		return err
	}
	_, err = tx.Providers.Delete(ctx, cur.ID)
	return err
}

// Get returns the live provider with that id or name.
func Get(ctx context.Context, tx store.Tx, ref string) (store.Provider, error) {
	p, err := tx.Providers.Get(ctx, ref)
	if err == nil && p.Deleted {
		err = store.ErrNotFound
	}
	return p, err
}

// lock keeps other writers away and returns the live provider, if it is of that
// revision.
func lock(ctx context.Context, tx store.Tx, ref string, revision int64) (store.Provider, error) {
	if err := tx.Changes.Lock(ctx); err != nil {
		return store.Provider{}, err
	}
	p, err := Get(ctx, tx, ref)
	if err != nil {
		return store.Provider{}, err
	}
	return p, fresh(p, revision)
}

// lockDeleted is lock for a deleted provider, which only its id names.
func lockDeleted(ctx context.Context, tx store.Tx, id string, revision int64) (store.Provider, error) {
	if err := tx.Changes.Lock(ctx); err != nil {
		return store.Provider{}, err
	}
	p, err := tx.Providers.Get(ctx, id)
	switch {
	case err != nil:
		return store.Provider{}, err
	case p.ID != id:
		return store.Provider{}, store.ErrNotFound // a name, which only a live one has
	case !p.Deleted:
		return store.Provider{}, &store.ConflictError{Field: "deleted", Reason: "it is not deleted: only a deleted provider can be restored or purged"}
	}
	return p, fresh(p, revision)
}

// fresh returns [store.ErrStale] if an edit of that revision comes too late.
func fresh(p store.Provider, revision int64) error {
	if revision != AnyRevision && p.Revision != revision {
		return store.ErrStale
	}
	return nil
}

func newID() (string, error) {
	id, err := uuid.NewV7()
	return id.String(), err
}
