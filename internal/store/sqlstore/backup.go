package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"

	"modernc.org/sqlite"
)

// What a backup is made of and read by. It works on files of SQLite, of this
// version or an older one: its statements stand here and not among the queries,
// which are of the newest schema.

// Errors of files that are no whole database of Gatehouse, or cannot be had now.
var (
	ErrDamaged = errors.New("it is no SQLite database, or a damaged one")
	ErrForeign = errors.New("it is no database of Gatehouse")
	ErrBusy    = errors.New("another process has the database open")
)

// A Content is what a database holds, as far as whoever keeps a backup must know.
type Content struct {
	Installation string
	Version      int64 // of the schema
	Generation   int64
	Entries      int64 // of the audit log, what retention removed included
	// KEKs are the ids of the key-encrypting keys that its data keys are wrapped
	// by: nothing sealed opens without them. They are not in the database.
	KEKs []string
}

// Copy writes the SQLite database at path to the file to, which is empty. Others
// may use and change the database meanwhile: the copy is of one moment, and has
// all that was committed before Copy was called. It is not safely on disk before
// it is synced.
func Copy(ctx context.Context, path, to string) error {
	return withFile(ctx, path, func(db *sql.DB) error {
		if _, err := db.ExecContext(ctx, "VACUUM INTO ?", to); err != nil {
			return fmt.Errorf("copy the database: %w", err)
		}
		return nil
	})
}

// Examine reads the whole of a SQLite database that nobody changes, and says what
// it holds. It refuses one that is damaged ([ErrDamaged]), no database of
// Gatehouse ([ErrForeign]), or newer than this program. An older one is well.
func Examine(ctx context.Context, path string) (c Content, err error) {
	err = withFile(ctx, path, func(db *sql.DB) error {
		if err := checkIntegrity(ctx, db); err != nil {
			return err
		}
		c, err = describe(ctx, db)
		return err
	})
	return c, err
}

// Describe is [Examine] without the reading of the whole.
func Describe(ctx context.Context, path string) (c Content, err error) {
	err = withFile(ctx, path, func(db *sql.DB) error {
		c, err = describe(ctx, db)
		return err
	})
	return c, err
}

// Settle makes a single file of the SQLite database at path: what stands in the
// files beside it, of this process or of one that died, is moved into it. It
// returns [ErrBusy] if another process has it open.
func Settle(ctx context.Context, path string) error {
	return withFile(ctx, path, func(db *sql.DB) error {
		var mode string
		if err := db.QueryRowContext(ctx, "PRAGMA journal_mode = DELETE").Scan(&mode); err != nil {
			return err
		}
		if mode != "delete" {
			return ErrBusy
		}
		return nil
	})
}

// withFile calls fn with the file, opened as it is and not made if it is
// missing, on one connection.
func withFile(ctx context.Context, path string, fn func(*sql.DB) error) error {
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?mode=rw&_pragma=busy_timeout(5000)")
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	db.SetMaxOpenConns(1)
	return told(ctx, errors.Join(fn(db), db.Close()))
}

// Result codes of SQLite, beside those in dialect.go.
const (
	sqliteCorrupt = 11
	sqliteNotADB  = 26
)

// told gives an error of the driver the meaning that callers look for.
func told(ctx context.Context, err error) error {
	var e *sqlite.Error
	switch {
	case ctx.Err() != nil && err != nil:
		return context.Cause(ctx) // the driver says "interrupted"
	case !errors.As(err, &e):
		return err
	}
	switch e.Code() & 0xff {
	case sqliteCorrupt, sqliteNotADB:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	case sqliteBusy, sqliteLocked:
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return err
}

// checkIntegrity reads every page.
func checkIntegrity(ctx context.Context, db *sql.DB) error {
	var found string
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&found); err != nil {
		return err
	}
	if found != "ok" {
		return fmt.Errorf("%w: %s", ErrDamaged, found)
	}
	var table string
	switch err := db.QueryRowContext(ctx, `SELECT "table" FROM pragma_foreign_key_check LIMIT 1`).Scan(&table); {
	case err == nil:
		return fmt.Errorf("%w: a row of %s refers to one that is not there", ErrDamaged, table)
	case !errors.Is(err, sql.ErrNoRows):
		return err
	}
	return nil
}

func describe(ctx context.Context, db *sql.DB) (c Content, err error) {
	var tables int
	err = db.QueryRowContext(ctx, "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name IN ('goose_db_version', 'installation', 'dbcrypt_keys', 'audit_logs')").Scan(&tables)
	if err != nil {
		return c, err
	}
	if tables != 4 {
		return c, ErrForeign
	}
	// First: of a newer version nothing else is known.
	if err := db.QueryRowContext(ctx, "SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version").Scan(&c.Version); err != nil {
		return c, err
	}
	p, err := (&Backend{dialect: sqliteDialect{}, write: db}).migrator()
	if err != nil {
		return c, err
	}
	sources := p.ListSources()
	if newest := sources[len(sources)-1].Version; c.Version > newest {
		return c, newerError(c.Version, newest)
	}
	// A log that lost all its entries to retention has the one that says so.
	err = db.QueryRowContext(ctx, "SELECT id, generation, (SELECT COALESCE(MAX(entry_index), 0) FROM audit_logs) FROM installation").
		Scan(&c.Installation, &c.Generation, &c.Entries)
	if errors.Is(err, sql.ErrNoRows) {
		return c, ErrForeign
	}
	if err != nil {
		return c, err
	}
	c.KEKs, err = listKEKs(ctx, db)
	return c, err
}

func listKEKs(ctx context.Context, db *sql.DB) (ids []string, err error) {
	rows, err := db.QueryContext(ctx, "SELECT DISTINCT kek_id FROM dbcrypt_keys WHERE active_key_digest IS NOT NULL ORDER BY kek_id")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}
