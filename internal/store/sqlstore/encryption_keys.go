package sqlstore

import (
	"context"
	"errors"

	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore/internal/sqlcgen"
)

// encryptionKeys keeps [store.EncryptionKey]. Each change of one raises the
// epoch. A data key that a row is sealed under cannot be retired: the foreign
// keys of the rows are to its active digest.
type encryptionKeys struct{ *tx }

func (t encryptionKeys) Get(ctx context.Context, digest string) (store.EncryptionKey, error) {
	r, err := t.q.GetDBCryptKey(ctx, digest)
	return encryptionKey(r), t.mapErr(err)
}

func (t encryptionKeys) List(ctx context.Context, q store.Query) ([]store.EncryptionKey, error) {
	if !q.Scope.All {
		return nil, nil // data keys have no owner
	}
	rows, err := t.q.GetDBCryptKeys(ctx)
	return mapRows(rows, encryptionKey), t.mapErr(err)
}

func (t encryptionKeys) Insert(ctx context.Context, k store.EncryptionKey) (store.EncryptionKey, error) {
	if err := t.lock(ctx); err != nil {
		return store.EncryptionKey{}, err
	}
	r, err := t.q.InsertDBCryptKey(ctx, sqlcgen.InsertDBCryptKeyParams{
		ActiveKeyDigest: nullString(k.ActiveDigest), Purpose: string(k.Purpose), WrappedKey: []byte(k.WrappedKey),
		KEKID: k.KEKID, CheckValue: []byte(k.CheckValue), PromotedAt: nullTime(k.PromotedAt), CreatedAt: t.now(),
	})
	if err != nil {
		return store.EncryptionKey{}, t.mapErr(err)
	}
	return encryptionKey(r), t.mapErr(t.q.RaiseKeyEpoch(ctx))
}

// Update changes how a key is wrapped and used. What it is stays.
func (t encryptionKeys) Update(ctx context.Context, digest string, edit func(*store.EncryptionKey) error) (store.EncryptionKey, error) {
	return update(ctx, t.tx, digest, t.Get, edit, func(k store.EncryptionKey) (store.EncryptionKey, error) {
		r, err := t.q.UpdateDBCryptKey(ctx, sqlcgen.UpdateDBCryptKeyParams{
			Number: k.Number, ActiveKeyDigest: nullString(k.ActiveDigest), RevokedKeyDigest: nullString(k.RevokedDigest),
			WrappedKey: []byte(k.WrappedKey), KEKID: k.KEKID, FormerKEKIDs: k.FormerKEKs.String(),
			PromotedAt: nullTime(k.PromotedAt), Rotation: string(k.Rotation), RevokedAt: nullTime(k.RevokedAt),
		})
		if err != nil {
			return store.EncryptionKey{}, t.mapErr(err)
		}
		return encryptionKey(r), t.mapErr(t.q.RaiseKeyEpoch(ctx))
	})
}

var errKept = errors.New("sqlstore: data keys are retired, not removed")

func (encryptionKeys) Delete(context.Context, string) (store.EncryptionKey, error) {
	return store.EncryptionKey{}, errKept
}

func encryptionKey(r sqlcgen.DBCryptKey) store.EncryptionKey {
	return store.EncryptionKey{
		Number: r.Number, ActiveDigest: r.ActiveKeyDigest.String, RevokedDigest: r.RevokedKeyDigest.String,
		Purpose: store.KeyPurpose(r.Purpose), WrappedKey: string(r.WrappedKey), KEKID: r.KEKID, FormerKEKs: store.ParseSet(r.FormerKEKIDs),
		CheckValue: string(r.CheckValue), PromotedAt: timeOf(r.PromotedAt), Rotation: store.Rotation(r.Rotation),
		CreatedAt: r.CreatedAt.UTC(), RevokedAt: timeOf(r.RevokedAt),
	}
}
