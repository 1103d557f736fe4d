package sqlstore

import (
	"context"
	"errors"
	"strings"

	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore/internal/sqlcgen"
)

// providers keeps [store.Provider]. In place of an id it takes the name of a
// live provider, which can not be mistaken for one.
type providers struct{ *tx }

func (t providers) Get(ctx context.Context, id string) (store.Provider, error) {
	if isID(id) {
		r, err := t.q.GetAIProviderByID(ctx, id)
		return provider(r), t.mapErr(err)
	}
	if !isText(id) {
		return store.Provider{}, store.ErrNotFound
	}
	r, err := t.q.GetAIProviderByName(ctx, id)
	return provider(r), t.mapErr(err)
}

func (t providers) List(ctx context.Context, q store.Query) ([]store.Provider, error) {
	if !q.Scope.All {
		return nil, nil // providers have no owner
	}
	if !isText(q.Search) {
		return nil, nil
	}
	rows, err := t.q.GetAIProviders(ctx, selectProviders(q))
	return mapRows(rows, provider), t.mapErr(err)
}

func selectProviders(q store.Query) sqlcgen.GetAIProvidersParams {
	name, id, _ := strings.Cut(q.After, " ")
	return sqlcgen.GetAIProvidersParams{
		IncludeDeleted: q.IncludeDeleted, IncludeDisabled: q.IncludeDisabled,
		AfterName: name, AfterID: idOr(id), Pattern: pattern(q.Search), MaxRows: rowLimit(q.Limit),
	}
}

// pattern returns what LIKE finds text by that has s in it, "" for any.
func pattern(s string) string {
	if s == "" {
		return ""
	}
	return "%" + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(strings.ToLower(s)) + "%"
}

func (t providers) Insert(ctx context.Context, p store.Provider) (store.Provider, error) {
	settings, keyID, err := storable(p.Settings, p.SettingsKeyID)
	if err != nil {
		return store.Provider{}, err
	}
	if err := t.lock(ctx); err != nil {
		return store.Provider{}, err
	}
	now := t.now()
	r, err := t.q.InsertAIProvider(ctx, sqlcgen.InsertAIProviderParams{
		ID: p.ID, Type: sqlcgen.AIProviderType(p.Type), Name: p.Name, DisplayName: nullString(p.DisplayName),
		Enabled: p.Enabled, BaseURL: p.BaseURL, Settings: settings, SettingsKeyID: keyID, SettingsPublic: p.SettingsPublic,
		Strategy: string(p.Strategy), SecretRevision: p.SecretRevision, CreatedAt: now, UpdatedAt: now,
	})
	if err != nil {
		return store.Provider{}, t.mapErr(err)
	}
	return provider(r), t.changed(ctx, rbac.AIProvider, r.ID)
}

// Update restores a provider by an edit that makes a deleted one live. Any other
// edit of a deleted one finds nothing, and no edit deletes.
func (t providers) Update(ctx context.Context, id string, edit func(*store.Provider) error) (store.Provider, error) {
	toLive := func(p *store.Provider) error {
		if err := edit(p); err != nil {
			return err
		}
		if p.Deleted {
			return store.ErrNotFound
		}
		return nil
	}
	return update(ctx, t.tx, id, t.Get, toLive, func(p store.Provider) (store.Provider, error) {
		settings, keyID, err := storable(p.Settings, p.SettingsKeyID)
		if err != nil {
			return store.Provider{}, err
		}
		r, err := t.q.UpdateAIProvider(ctx, sqlcgen.UpdateAIProviderParams{
			ID: p.ID, DisplayName: nullString(p.DisplayName), Enabled: p.Enabled, BaseURL: p.BaseURL,
			Settings: settings, SettingsKeyID: keyID, SettingsPublic: p.SettingsPublic, Strategy: string(p.Strategy),
			SecretRevision: p.SecretRevision, UpdatedAt: t.now(),
		})
		if err != nil {
			return store.Provider{}, t.mapErr(err)
		}
		return provider(r), t.changed(ctx, rbac.AIProvider, r.ID)
	})
}

// Delete marks the provider as deleted and drops its settings. Its keys must be
// gone already, each with its own entry in the audit log. Of a provider that is
// deleted it removes the row, which changes nothing for the gateway.
func (t providers) Delete(ctx context.Context, id string) (store.Provider, error) {
	if err := t.lock(ctx); err != nil {
		return store.Provider{}, err
	}
	p, err := t.Get(ctx, id)
	if err != nil {
		return store.Provider{}, err
	}
	if p.Deleted {
		return p, t.mapErr(t.q.PurgeAIProviderByID(ctx, p.ID))
	}
	n, err := t.q.CountAIProviderKeys(ctx, p.ID)
	if err != nil {
		return store.Provider{}, t.mapErr(err)
	}
	if n > 0 {
		return store.Provider{}, errors.New("sqlstore: refusing to delete a provider that still has keys")
	}
	if err := t.q.DeleteAIProviderByID(ctx, sqlcgen.DeleteAIProviderByIDParams{ID: p.ID, UpdatedAt: t.now()}); err != nil {
		return store.Provider{}, t.mapErr(err)
	}
	return p, t.changed(ctx, rbac.AIProvider, p.ID)
}

func provider(r sqlcgen.AIProvider) store.Provider {
	return store.Provider{
		ID: r.ID, Type: store.ProviderType(r.Type), Name: r.Name, DisplayName: r.DisplayName.String,
		Enabled: r.Enabled, Deleted: r.Deleted, BaseURL: r.BaseURL,
		Settings: secret.FromSealed(r.Settings), SettingsKeyID: r.SettingsKeyID.String, SettingsPublic: r.SettingsPublic,
		Strategy: store.Strategy(r.Strategy), Revision: r.Revision, SecretRevision: r.SecretRevision,
		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
}
