package sqlstore

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

//go:embed migrations
var migrations embed.FS

// migrate brings the schema up to date. The two folders hold the same
// versions, in the types of each database.
func (b *Backend) migrate(ctx context.Context) error {
	p, current, newest, err := b.versions(ctx)
	if err != nil {
		return err
	}
	if current > newest {
		return newerError(current, newest)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate the database: %w", b.mapErr(err))
	}
	return nil
}

// checkVersion refuses a database of another version, and leaves it as it is.
func (b *Backend) checkVersion(ctx context.Context) error {
	_, current, newest, err := b.versions(ctx)
	switch {
	case err != nil:
		return err
	case current > newest:
		return newerError(current, newest)
	case current < newest:
		return fmt.Errorf("the database is at version %d and this gatehouse works on version %d: start its server once, which brings the database up to date", current, newest)
	}
	return nil
}

func newerError(current, newest int64) error {
	return fmt.Errorf("the database is at version %d and this gatehouse knows versions up to %d: run the newer gatehouse that was used before, or restore a backup from then", current, newest)
}

// versions returns the version of the database, and the newest that there is.
func (b *Backend) versions(ctx context.Context) (p *goose.Provider, current, newest int64, err error) {
	if p, err = b.migrator(); err != nil {
		return nil, 0, 0, err
	}
	sources := p.ListSources()
	newest = sources[len(sources)-1].Version
	if current, err = p.GetDBVersion(ctx); err != nil {
		return nil, 0, 0, fmt.Errorf("read the version of the database: %w", b.mapErr(err))
	}
	return p, current, newest, nil
}

func (b *Backend) migrator() (*goose.Provider, error) {
	folder := map[goose.Dialect]string{goose.DialectSQLite3: "sqlite", goose.DialectPostgres: "postgres"}[b.dialect.name()]
	files, err := fs.Sub(migrations, "migrations/"+folder)
	if err != nil {
		return nil, err
	}
	p, err := goose.NewProvider(b.dialect.name(), b.write, files, goose.WithDisableGlobalRegistry(true), goose.WithGoMigrations(growTree()))
	if err != nil {
		return nil, fmt.Errorf("load migrations: %w", err)
	}
	return p, nil
}
