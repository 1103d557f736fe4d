package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"

	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore/internal/sqlcgen"
)

// A dialect is what the two databases do differently.
type dialect interface {
	// name of the folder of migrations.
	name() goose.Dialect
	// shared reports whether other processes can change the database.
	shared() bool
	// viewIsolation is the level at which a transaction reads one moment.
	viewIsolation() sql.IsolationLevel
	// lockSetup waits until no other process sets up the database.
	lockSetup(ctx context.Context, db *sql.DB) (unlock func(), err error)
	// rowsAtOnce is how many rows one statement adds at most, a power of two.
	rowsAtOnce() int
	// insert adds that many rows by a statement for one; values are those of the
	// first, then those of the second, and so on.
	insert(ctx context.Context, db sqlcgen.DBTX, statement string, rows int, values []any) error
	// indexesTokens reports whether the records of requests have an index by token.
	indexesTokens() bool
	// classify tells a driver's error apart: the name of a unique constraint
	// that was violated, or whether the database could not do its work.
	classify(err error) (unique string, unavailable bool)
}

func connect(ctx context.Context, cfg Config) (*Backend, error) {
	b := &Backend{now: cfg.Now, before: cfg.Before}
	var err error
	if cfg.Path != "" {
		d := sqliteDialect{&given{}}
		b.dialect = d
		b.write, b.read, err = connectSQLite(ctx, cfg.Path, d.given)
	} else {
		b.dialect = postgresDialect{}
		b.write, err = connectPostgres(ctx, cfg.URL.Reveal())
		b.read = b.write
	}
	if err != nil {
		return nil, err
	}
	if !b.dialect.shared() {
		b.prepared = map[*sql.DB]*statements{b.write: newStatements(b.write), b.read: newStatements(b.read)}
	}
	return b, nil
}

type sqliteDialect struct{ given *given }

func connectSQLite(ctx context.Context, path string, g *given) (write, read *sql.DB, err error) {
	// SQLite would make the file by the process's umask.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("open the database: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, nil, fmt.Errorf("open the database: %w", err)
	}
	// WAL with synchronous=FULL: NORMAL loses acknowledged commits when the
	// power goes. BEGIN IMMEDIATE: a writer that began as a reader could not
	// wait for its turn.
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() +
		"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)" +
		"&_time_format=sqlite&_timezone=UTC"
	// The cache of the one that writes has the pages that the indexes of records grow
	// at: with SQLite's 2 MB they were read again for each batch.
	writer, err := g.connector(dsn + "&_txlock=immediate&_pragma=cache_size(-4000)")
	if err != nil {
		return nil, nil, fmt.Errorf("open the database: %w", err)
	}
	write = sql.OpenDB(writer)
	write.SetMaxOpenConns(1)
	if err := write.PingContext(ctx); err != nil {
		return nil, nil, fmt.Errorf("open the database %s: %w", path, errors.Join(err, write.Close()))
	}
	if read, err = sql.Open("sqlite", dsn+"&_pragma=query_only(1)"); err != nil {
		return nil, nil, fmt.Errorf("open the database: %w", errors.Join(err, write.Close()))
	}
	read.SetMaxOpenConns(8)
	read.SetMaxIdleConns(8)
	return write, read, nil
}

func (sqliteDialect) name() goose.Dialect { return goose.DialectSQLite3 }

func (sqliteDialect) shared() bool { return false }

func (sqliteDialect) viewIsolation() sql.IsolationLevel { return sql.LevelDefault }

// rowsAtOnce is small, since the processor has nothing else to do until they are
// in: about half a millisecond.
func (sqliteDialect) rowsAtOnce() int { return 32 }

// sqliteRest is how long a transaction of many rows rests in between: long enough
// for the scheduler to look at the network, where requests wait for their turn. On
// a single processor they would wait for all of the transaction.
const sqliteRest = 50 * time.Microsecond

func (d sqliteDialect) insert(ctx context.Context, db sqlcgen.DBTX, statement string, rows int, values []any) error {
	number, takeBack := d.given.lend(givenRows{len(values) / rows, values})
	defer takeBack()
	if _, err := db.ExecContext(ctx, fromGiven(statement), number); err != nil {
		return err
	}
	if rows == d.rowsAtOnce() {
		time.Sleep(sqliteRest)
	}
	return nil
}

// indexesTokens: see docs/adr/0019.
func (sqliteDialect) indexesTokens() bool { return false }

// lockSetup has nothing to do: the lock on the data directory keeps a second
// process away.
func (sqliteDialect) lockSetup(context.Context, *sql.DB) (func(), error) { return func() {}, nil }

// Result codes of SQLite, https://www.sqlite.org/rescode.html.
const (
	sqliteBusy     = 5
	sqliteLocked   = 6
	sqliteReadOnly = 8
	sqliteIOErr    = 10
	sqliteFull     = 13
	sqliteCantOpen = 14

	sqliteConstraintPrimaryKey = 1555
	sqliteConstraintUnique     = 2067
)

func (sqliteDialect) classify(err error) (string, bool) {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return "", false
	}
	switch e.Code() {
	case sqliteConstraintUnique, sqliteConstraintPrimaryKey:
		return e.Error(), false
	}
	switch e.Code() & 0xff {
	case sqliteBusy, sqliteLocked, sqliteReadOnly, sqliteIOErr, sqliteFull, sqliteCantOpen:
		return "", true
	}
	return "", false
}

type postgresDialect struct{}

// Limits on what a connection may wait for, so that a stuck one lets go.
const (
	postgresLockTimeout = 5 * time.Second
	postgresIdleInTx    = 10 * time.Second
	postgresConnections = 16
)

func connectPostgres(ctx context.Context, dsn string) (*sql.DB, error) {
	if misread(dsn) {
		return nil, errors.New("the database URL has an @ where there can be none: in a password @ is written %40, / is %2F, ? is %3F, # is %23 and % is %25")
	}
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		// pgx's error quotes the URL, with most of it in the clear.
		return nil, errors.New("the database URL cannot be understood; it has the form postgres://user:password@host:5432/database?sslmode=verify-full")
	}
	set := func(name string, d time.Duration) { cfg.RuntimeParams[name] = fmt.Sprint(d.Milliseconds()) }
	set("lock_timeout", postgresLockTimeout)
	set("idle_in_transaction_session_timeout", postgresIdleInTx)
	cfg.RuntimeParams["timezone"] = "UTC"
	cfg.RuntimeParams["datestyle"] = "ISO" // of times that are read as text
	cfg.RuntimeParams["application_name"] = "gatehouse"
	db := stdlib.OpenDB(*cfg)
	db.SetMaxOpenConns(postgresConnections)
	db.SetMaxIdleConns(postgresConnections)
	db.SetConnMaxIdleTime(5 * time.Minute)
	if err := db.PingContext(ctx); err != nil {
		return nil, fmt.Errorf("connect to PostgreSQL at %s, database %q, user %q: %w", cfg.Host, cfg.Database, cfg.User, errors.Join(pgReason(err), db.Close()))
	}
	return db, nil
}

// misread reports whether the URL has a password with characters that end it too
// early: what is behind them would be taken for host and database, looked up, and
// shown in errors.
func misread(dsn string) bool {
	_, rest, _ := strings.Cut(dsn, "://")
	end := strings.IndexAny(rest, "/?#")
	return strings.Count(rest, "@") > 1 || end >= 0 && strings.Contains(rest[end:], "@")
}

// pgReason returns what the server said, without pgx's description of the
// connection.
func pgReason(err error) error {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return errors.New(e.Message)
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op
	}
	return err
}

func (postgresDialect) name() goose.Dialect { return goose.DialectPostgres }

func (postgresDialect) shared() bool { return true }

func (postgresDialect) viewIsolation() sql.IsolationLevel { return sql.LevelRepeatableRead }

// rowsAtOnce: the protocol has room for 65,535 parameters.
func (postgresDialect) rowsAtOnce() int { return 256 }

func (postgresDialect) insert(ctx context.Context, db sqlcgen.DBTX, statement string, rows int, values []any) error {
	_, err := db.ExecContext(ctx, repeatValues(statement, rows), values...)
	return err
}

func (postgresDialect) indexesTokens() bool { return true }

// setupLock is the key of the advisory lock of Gatehouse's set-up: "gate" in
// ASCII.
const setupLock = 0x67617465

func (postgresDialect) lockSetup(ctx context.Context, db *sql.DB) (func(), error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	// Another server may take its time over a migration: wait as long as ctx.
	if _, err = conn.ExecContext(ctx, "SET lock_timeout = 0"); err == nil {
		_, err = conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(setupLock))
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return func() {
		// Closing the session, not returning it to the pool, ends the lock and
		// its lock_timeout whatever state it is in.
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		_ = conn.Close()
	}, nil
}

func (postgresDialect) classify(err error) (string, bool) {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		var connect *pgconn.ConnectError
		return "", errors.As(err, &connect) || pgconn.SafeToRetry(err) // "conn closed" is of no type of its own
	}
	if e.Code == "23505" { // unique_violation
		return e.ConstraintName, false
	}
	// Class 08 connection exception, 53 insufficient resources, 57 operator
	// intervention, 25006 read-only transaction, 55P03 lock not available,
	// 40P01 deadlock, 25P03 idle in transaction for too long, 0A000 a statement
	// prepared before another replica migrated the schema:
	// https://www.postgresql.org/docs/current/errcodes-appendix.html.
	switch e.Code {
	case "25006", "55P03", "40P01", "25P03", "0A000":
		return "", true
	}
	return "", strings.HasPrefix(e.Code, "08") || strings.HasPrefix(e.Code, "53") || strings.HasPrefix(e.Code, "57")
}

// mapErr gives an error of the driver the meaning that callers look for.
func (b *Backend) mapErr(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return store.ErrNotFound
	case errors.Is(err, context.Canceled):
		return err
	}
	unique, unavailable := b.dialect.classify(err)
	if unique != "" {
		return &store.ConflictError{Field: conflictField(unique)}
	}
	var netErr net.Error
	if unavailable || errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, sql.ErrTxDone) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &netErr) {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return err
}

// conflictField returns the column that a violated constraint is about, by the
// constraint's name (PostgreSQL) or the message (SQLite: "UNIQUE constraint
// failed: ai_providers.name").
func conflictField(constraint string) string {
	switch {
	case strings.Contains(constraint, "fingerprint"):
		return "api_key"
	case strings.Contains(constraint, "subject"):
		return "subject"
	case strings.Contains(constraint, "name"):
		return "name"
	}
	return "id"
}
