package sqlstore

import (
	"context"
	"fmt"

	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore/internal/sqlcgen"
)

// cells implements [store.Cells]. A test compares what it knows with the records
// and with the foreign keys of the schema.
type cells struct{ *tx }

// A cellTable is the cells of one kind of record.
type cellTable struct {
	resource rbac.Resource
	count    func(ctx context.Context) ([]store.CellCount, error)
	// list returns records by id, behind one.
	list func(ctx context.Context, notUnder, after string, limit int32) ([]store.Sealed, error)
	// reseal writes the cells of is if they still are those of was.
	reseal func(ctx context.Context, was, is store.Sealed) (rows int64, err error)
}

// tables are in the order of [cells.List].
func (t cells) tables() []cellTable {
	return []cellTable{
		{rbac.AIProvider, t.countSettings, t.listProviders, t.resealProvider},
		{rbac.AIProviderKey, t.countKeys, t.listKeys, t.resealKey},
	}
}

func (t cells) Count(ctx context.Context) (out []store.CellCount, err error) {
	for _, table := range t.tables() {
		counts, err := table.count(ctx)
		if err != nil {
			return nil, t.mapErr(err)
		}
		out = append(out, counts...)
	}
	return out, nil
}

func (t cells) List(ctx context.Context, q store.CellQuery) (out []store.Sealed, err error) {
	limit := int(rowLimit(q.Limit))
	begun := q.After.Resource == ""
	for _, table := range t.tables() {
		after := noID
		if table.resource == q.After.Resource {
			begun, after = true, idOr(q.After.ID)
		}
		if !begun || len(out) == limit {
			continue
		}
		recs, err := table.list(ctx, q.NotUnder, after, rowLimit(limit-len(out)))
		if err != nil {
			return nil, t.mapErr(err)
		}
		out = append(out, recs...)
	}
	return out, nil
}

func (t cells) Reseal(ctx context.Context, recs []store.Resealing) (done store.Resealed, err error) {
	if err := t.lock(ctx); err != nil {
		return done, err
	}
	for _, r := range recs {
		if r.New == nil {
			continue
		}
		n, err := t.resealOne(ctx, r)
		if err != nil {
			return done, t.mapErr(err)
		}
		if n > 0 {
			done.Written = append(done.Written, r.New.Ref())
		}
	}
	return done, nil
}

func (t cells) resealOne(ctx context.Context, r store.Resealing) (int64, error) {
	ref := r.New.Ref()
	for _, table := range t.tables() {
		if table.resource == ref.Resource {
			return table.reseal(ctx, r.Old, r.New)
		}
	}
	return 0, fmt.Errorf("sqlstore: a record of kind %s has no cells", ref.Resource)
}

func (t cells) countSettings(ctx context.Context) ([]store.CellCount, error) {
	rows, err := t.q.CountAIProviderSettings(ctx)
	return mapRows(rows, func(r sqlcgen.CountAIProviderSettingsRow) store.CellCount {
		return store.CellCount{Table: "ai_providers", Column: "settings", KeyID: r.SettingsKeyID.String, Cells: r.Cells}
	}), err
}

func (t cells) listProviders(ctx context.Context, notUnder, after string, limit int32) ([]store.Sealed, error) {
	rows, err := t.q.GetSealedAIProviders(ctx, sqlcgen.GetSealedAIProvidersParams{NotUnder: notUnder, After: after, MaxRows: limit})
	return mapRows(rows, func(r sqlcgen.AIProvider) store.Sealed { return new(provider(r)) }), err
}

func (t cells) resealProvider(ctx context.Context, was, is store.Sealed) (int64, error) {
	w, p := was.(*store.Provider), is.(*store.Provider)
	cell, keyID, err := storable(p.Settings, p.SettingsKeyID)
	if err != nil {
		return 0, err
	}
	return t.q.UpdateEncryptedAIProviderSettings(ctx, sqlcgen.UpdateEncryptedAIProviderSettingsParams{
		ID: p.ID, Settings: cell, SettingsKeyID: keyID, SecretRevision: w.SecretRevision, OldKeyID: nullString(w.SettingsKeyID),
	})
}

func (t cells) countKeys(ctx context.Context) ([]store.CellCount, error) {
	rows, err := t.q.CountAIProviderAPIKeys(ctx)
	return mapRows(rows, func(r sqlcgen.CountAIProviderAPIKeysRow) store.CellCount {
		return store.CellCount{Table: "ai_provider_keys", Column: "api_key", KeyID: r.APIKeyKeyID, Cells: r.Cells}
	}), err
}

func (t cells) listKeys(ctx context.Context, notUnder, after string, limit int32) ([]store.Sealed, error) {
	rows, err := t.q.GetSealedAIProviderKeys(ctx, sqlcgen.GetSealedAIProviderKeysParams{NotUnder: notUnder, After: after, MaxRows: limit})
	return mapRows(rows, func(r sqlcgen.GetSealedAIProviderKeysRow) store.Sealed {
		return new(joinedKey(sqlcgen.GetAIProviderKeyByIDRow(r)))
	}), err
}

func (t cells) resealKey(ctx context.Context, was, is store.Sealed) (int64, error) {
	w, k := was.(*store.ProviderKey), is.(*store.ProviderKey)
	cell, keyID, err := storable(k.APIKey, k.KeyID)
	if err != nil {
		return 0, err
	}
	return t.q.UpdateEncryptedAIProviderKey(ctx, sqlcgen.UpdateEncryptedAIProviderKeyParams{
		ID: k.ID, APIKey: cell, APIKeyKeyID: keyID.String, SecretRevision: w.SecretRevision, OldKeyID: w.KeyID,
	})
}
