package canary_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/keyring"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbaudit"
	"github.com/gatehousehq/gatehouse/internal/store/dbauthz"
	"github.com/gatehousehq/gatehouse/internal/store/dbcrypt"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
)

func (h *house) databasePath() string { return filepath.Join(h.dir, "gatehouse.db") }

// learnDataKeys opens the data keys as a server does. Those that a rotation
// retired are known from before.
func (h *house) learnDataKeys() {
	h.t.Helper()
	kek, err := os.ReadFile(filepath.Join(h.dir, "encryption-key"))
	if err != nil {
		h.t.Fatal(err)
	}
	local, err := keyring.ParseLocal(kek)
	if err != nil {
		h.t.Fatal(err)
	}
	cfg := sqlstore.Config{Path: h.databasePath()}
	if h.pg != "" {
		cfg = sqlstore.Config{URL: secret.New(h.pg)}
	}
	b, err := sqlstore.Inspect(h.t.Context(), cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = b.Close() }() // it was only read
	db := store.New(b, dbcrypt.Layer(&keyring.Ring{}, b.Installation()), dbaudit.Layer(time.Now, nil), dbauthz.Layer)
	ring := keyring.NewRing(b.Installation(), []keyring.KEK{local})
	if err := ring.Reload(h.t.Context(), db, authn.Keyholder); err != nil {
		h.t.Fatal(err)
	}
	now := ring.Current()
	for _, k := range now.ByDigest {
		h.vault.learn("data key for sealing", k.Secret.Reveal())
	}
	h.vault.learn("data key for fingerprints", now.Fingerprinting.Secret.Reveal())
	h.vault.learn("data key for signing", ring.Signing().Secret.Reveal())
}

// backup returns a copy that SQLite makes of the database.
func (h *house) backup() []piece {
	db, err := sql.Open("sqlite", h.databasePath()+"?_pragma=busy_timeout(5000)")
	if err != nil {
		h.t.Error(err)
		return nil
	}
	defer func() { _ = db.Close() }() // it was only read
	file := filepath.Join(h.newDir("backup"), "copy.db")
	defer func() { _ = os.Remove(file) }() // with the house, else
	if _, err := db.ExecContext(h.t.Context(), "VACUUM INTO ?", file); err != nil {
		h.t.Errorf("backup: %v", err)
		return nil
	}
	return h.filesBelow("backup", filepath.Dir(file))
}

// withPostgres runs fn with a connection to the database.
func (h *house) withPostgres(fn func(ctx context.Context, c *pgx.Conn) error) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := pgx.Connect(ctx, h.pg)
	if err == nil {
		err = fn(ctx, c)
		_ = c.Close(ctx) // it was only read
	}
	if err != nil {
		h.t.Errorf("read the database: %v", err)
	}
}

// column returns a result of one column.
func column(ctx context.Context, c *pgx.Conn, query string, args ...any) ([]string, error) {
	rows, err := c.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// rows returns every row of every table, as PostgreSQL writes them for backups
// and for programs.
func (h *house) rows() (out []piece) {
	h.withPostgres(func(ctx context.Context, c *pgx.Conn) error {
		tables, err := column(ctx, c, `SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1`)
		if err != nil {
			return err
		}
		for _, table := range tables {
			for _, format := range []string{"text", "csv", "binary"} {
				var b bytes.Buffer
				if _, err := c.PgConn().CopyTo(ctx, &b, fmt.Sprintf(`COPY %q TO STDOUT (FORMAT %s)`, table, format)); err != nil {
					return err
				}
				out = append(out, piece{"rows/" + table + " as " + format, b.Bytes()})
			}
		}
		return nil
	})
	return out
}

// databaseFiles returns the files of every table and index, which have the rows
// that were deleted, too.
func (h *house) databaseFiles() (out []piece) {
	h.withPostgres(func(ctx context.Context, c *pgx.Conn) error {
		if _, err := c.Exec(ctx, "CHECKPOINT"); err != nil {
			return err
		}
		rows, err := c.Query(ctx, `SELECT relname::text, pg_read_binary_file(pg_relation_filepath(oid), 0, 1 << 28, true) FROM pg_class
			WHERE relkind IN ('r', 'i', 't') AND (relnamespace = 'public'::regnamespace OR relkind = 't') AND pg_relation_filepath(oid) IS NOT NULL`)
		if err != nil {
			return err
		}
		for rows.Next() {
			var name string
			var content []byte
			if err := rows.Scan(&name, &content); err != nil {
				return err
			}
			out = append(out, piece{"database files/" + name, content})
		}
		return rows.Err()
	})
	return out
}

func (h *house) walPosition() (file string) {
	h.withPostgres(func(ctx context.Context, c *pgx.Conn) error {
		return c.QueryRow(ctx, "SELECT pg_walfile_name(pg_current_wal_insert_lsn())").Scan(&file)
	})
	return file
}

// databaseLog returns PostgreSQL's write-ahead log since the house was built, of
// this database and its neighbours.
func (h *house) databaseLog() (out []piece) {
	now := h.walPosition()
	h.withPostgres(func(ctx context.Context, c *pgx.Conn) error {
		files, err := column(ctx, c, `SELECT name::text FROM pg_ls_waldir() WHERE name BETWEEN $1 AND $2 AND length(name) = 24`, h.wal, now)
		if err != nil {
			return err
		}
		for _, file := range files {
			var content []byte
			if err := c.QueryRow(ctx, "SELECT pg_read_binary_file('pg_wal/' || $1)", file).Scan(&content); err != nil {
				return err
			}
			out = append(out, piece{"database log/" + file, content})
		}
		return nil
	})
	return out
}
