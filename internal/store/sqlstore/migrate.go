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
	p, err := b.migrator()
	if err != nil {
		return err
	}
	sources := p.ListSources()
	newest := sources[len(sources)-1].Version
	current, err := p.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("read the version of the database: %w", b.mapErr(err))
	}
	if current > newest {
		return fmt.Errorf("the database is at version %d and this gatehouse knows versions up to %d: run the newer gatehouse that was used before, or restore a backup from then", current, newest)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate the database: %w", b.mapErr(err))
	}
	return nil
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
