// Package catalog holds the rules of providers and their keys: what each may
// be, and which changes belong together. It works on the tables of a
// transaction, so authorisation, audit and sealing are the store's.
package catalog

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/gatehousehq/gatehouse/internal/origin"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/settings"
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
	base, err := r.normalBaseURL(n.BaseURL)
	bad.check("base_url", err)
	rec := store.Provider{
		Type: store.ProviderType(n.Type), Name: n.Name, DisplayName: n.DisplayName, Enabled: n.Enabled,
		BaseURL: base, Strategy: store.InOrder,
	}
	bad.join(setSettings(&rec, n.Settings, true))
	bad.join(checkAPIKeys("api_keys", n.APIKeys))
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
		if err := insertKey(ctx, tx, store.ProviderKey{ProviderID: rec.ID, APIKey: k, Position: int64(i + 1)}); err != nil {
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
// returns [store.ErrStale] otherwise. A change of the origin of base_url is
// refused unless all keys are given again: a key is sealed to the origin that
// it may be sent to.
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
		base, err := r.normalBaseURL(*e.BaseURL)
		bad.check("base_url", err)
		if err == nil {
			next.BaseURL = base
		}
	}
	moved := origin.Of(next.BaseURL) != origin.Of(cur.BaseURL)
	if e.Settings != nil {
		bad.join(setSettings(&next, *e.Settings, moved))
	} else if moved && cur.SettingsPublic != "" {
		bad.join(&store.InvalidError{Field: "settings", Reason: "must be given again when the scheme, host or port of base_url changes, or be null to have none"})
	}
	plan, err := planKeys(keys, e.APIKeys)
	bad.join(err)
	if moved && len(plan.kept) > 0 {
		bad.join(&store.InvalidError{Field: "api_keys", Reason: "must all be given again when the scheme, host or port of base_url changes: send every key as {\"api_key\":…}, or [] to have none"})
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
		if err := insertKey(ctx, tx, store.ProviderKey{ProviderID: cur.ID, APIKey: a.key, Position: a.position}); err != nil {
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
	if err == nil && revision != AnyRevision && p.Revision != revision {
		err = store.ErrStale
	}
	if err != nil {
		return store.Provider{}, err
	}
	return p, nil
}

// setSettings writes a settings document, or none, into p, with its public part
// beside it. The document that p has already stays as it is sealed, unless it
// must be sealed again.
func setSettings(p *store.Provider, document []byte, again bool) error {
	if document == nil {
		p.Settings, p.SettingsPublic = secret.Text{}, ""
		return nil
	}
	doc, err := settings.Parse(string(p.Type), document)
	if err != nil {
		var f *settings.FieldError
		if errors.As(err, &f) {
			return &store.InvalidError{Field: strings.TrimSuffix("settings."+f.Field, "."), Reason: f.Message}
		}
		return err
	}
	if public := doc.Encode(); again || public != p.SettingsPublic {
		p.SettingsPublic = public // no field of it is secret
		p.Settings = secret.New(public)
	}
	return nil
}

func newID() (string, error) {
	id, err := uuid.NewV7()
	return id.String(), err
}

// keyPlan is how a provider's keys come to be those declared.
type keyPlan struct {
	removed []store.ProviderKey
	kept    map[string]int64 // new position by id
	added   []addedKey
}

type addedKey struct {
	index    int // in the declared list
	position int64
	key      secret.Text
}

// planKeys compares the keys that are there with those declared; nil declares
// them as they are.
func planKeys(have []store.ProviderKey, want *[]KeepOrAdd) (keyPlan, error) {
	plan := keyPlan{kept: map[string]int64{}}
	if want == nil {
		for _, k := range have {
			plan.kept[k.ID] = k.Position
		}
		return plan, nil
	}
	var bad invalid
	var added []secret.Text
	for i, w := range *want {
		field := element("api_keys", i)
		position := int64(i + 1)
		_, twice := plan.kept[w.ID]
		switch {
		case (w.ID == "") == w.APIKey.IsZero():
			bad.join(&store.InvalidError{Field: field, Reason: `must have either "id", to keep a key, or "api_key", to add one`})
		case w.ID == "":
			plan.added = append(plan.added, addedKey{i, position, w.APIKey})
			added = append(added, w.APIKey)
			bad.join(checkAPIKey(field+".api_key", w.APIKey))
		case twice:
			bad.join(&store.InvalidError{Field: field + ".id", Reason: "is listed twice"})
		case !slices.ContainsFunc(have, func(k store.ProviderKey) bool { return k.ID == w.ID }):
			bad.join(&store.InvalidError{Field: field + ".id", Reason: "is not a key of this provider"})
		default:
			plan.kept[w.ID] = position
		}
	}
	if hasDuplicate(added) {
		bad.join(&store.InvalidError{Field: "api_keys", Reason: "has the same key twice"})
	}
	for _, k := range have {
		if _, ok := plan.kept[k.ID]; !ok {
			plan.removed = append(plan.removed, k)
		}
	}
	return plan, bad.err()
}
