package sqlstore

import (
	"context"
	"errors"

	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore/internal/sqlcgen"
)

// encryptionKeys keeps [store.EncryptionKey]. A data key is made once; nothing
// retires one yet.
type encryptionKeys struct{ *tx }

var errKept = errors.New("sqlstore: data keys are neither edited nor removed")

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
		KEKID: k.KEKID, CheckValue: []byte(k.CheckValue), CreatedAt: t.now(),
	})
	return encryptionKey(r), t.mapErr(err)
}

func (encryptionKeys) Update(context.Context, string, func(*store.EncryptionKey) error) (store.EncryptionKey, error) {
	return store.EncryptionKey{}, errKept
}

func (encryptionKeys) Delete(context.Context, string) (store.EncryptionKey, error) {
	return store.EncryptionKey{}, errKept
}

func encryptionKey(r sqlcgen.DBCryptKey) store.EncryptionKey {
	return store.EncryptionKey{
		Number: r.Number, ActiveDigest: r.ActiveKeyDigest.String, RevokedDigest: r.RevokedKeyDigest.String,
		Purpose: store.KeyPurpose(r.Purpose), WrappedKey: string(r.WrappedKey), KEKID: r.KEKID,
		CheckValue: string(r.CheckValue), CreatedAt: r.CreatedAt.UTC(), RevokedAt: timeOf(r.RevokedAt),
	}
}
