package sqlstore

import (
	"context"
	"database/sql"

	"github.com/gatehousehq/gatehouse/internal/store/sqlstore/internal/sqlcgen"
)

// Prepared checks that every query can be prepared on the database of b.
func Prepared(ctx context.Context, b *Backend) error {
	q, err := sqlcgen.Prepare(ctx, b.write)
	if err != nil {
		return err
	}
	return q.Close()
}

// JoinedEntry takes apart the columns that GetAuditRows joins.
var JoinedEntry = joinedEntry

// StatementsKept returns how many statements are prepared for writers.
func StatementsKept(b *Backend) int {
	s := b.prepared[b.write]
	if s == nil {
		return 0
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.byText)
}

// Rotate calls the two statements that only rotation uses, and returns how many
// rows each changed.
func Rotate(ctx context.Context, b *Backend, provider sqlcgen.UpdateEncryptedAIProviderSettingsParams, key sqlcgen.UpdateEncryptedAIProviderKeyParams) (settings, keys int64, err error) {
	q := sqlcgen.New(b.write)
	if settings, err = q.UpdateEncryptedAIProviderSettings(ctx, provider); err != nil {
		return 0, 0, err
	}
	keys, err = q.UpdateEncryptedAIProviderKey(ctx, key)
	return settings, keys, err
}

// Versions returns the versions that there are migrations to.
func Versions(b *Backend) (versions []int64, err error) {
	p, err := b.migrator()
	if err != nil {
		return nil, err
	}
	for _, source := range p.ListSources() {
		versions = append(versions, source.Version)
	}
	return versions, nil
}

// MigrateTo brings the schema to a version, up or down.
func MigrateTo(ctx context.Context, b *Backend, version int64) error {
	p, err := b.migrator()
	if err != nil {
		return err
	}
	current, err := p.GetDBVersion(ctx)
	if err != nil {
		return err
	}
	if current > version {
		_, err = p.DownTo(ctx, version)
	} else {
		_, err = p.UpTo(ctx, version)
	}
	return err
}

// Up makes all migrations.
func Up(ctx context.Context, b *Backend) error { return b.migrate(ctx) }

// Parameters of the rotation statements, for the tests outside.
type (
	RotateSettings = sqlcgen.UpdateEncryptedAIProviderSettingsParams
	RotateKey      = sqlcgen.UpdateEncryptedAIProviderKeyParams
)

// NullString is a value that is not null.
func NullString(s string) sql.NullString { return nullString(s) }
