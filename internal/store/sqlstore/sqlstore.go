// Package sqlstore keeps the records of package store in SQLite or PostgreSQL,
// by the same SQL. It is the only package that knows a database.
//
// The queries are written in the part of PostgreSQL's dialect that both
// understand (docs/adr/0002), and each is prepared on both by a test. What the
// two do differently is in dialect.go, and what only files of SQLite need, to be
// backed up, in backup.go.
//
// Lock order, in every transaction: the row of installation, then records, then
// the row of audit_head.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore/internal/sqlcgen"
)

// A Backend implements [store.Backend]. It is safe for concurrent use.
type Backend struct {
	dialect      dialect
	write, read  *sql.DB // SQLite: one writer, many readers. PostgreSQL: one pool.
	prepared     map[*sql.DB]*statements
	installation string
	now          func() time.Time
	before       func(ctx context.Context, statement string) error
}

// Config says which database to open, and how. Exactly one of Path and URL is
// given.
type Config struct {
	// Path of a SQLite file. It is made if it is missing, readable by its owner
	// alone.
	Path string
	// URL of a PostgreSQL database, postgres://….
	URL secret.Text
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Before, if not nil, is called before each statement of a transaction, the
	// last being "COMMIT". An error is taken for that of the database: tests put
	// faults in here.
	Before func(ctx context.Context, statement string) error
	// Initialise, if not nil, is called when the schema is up to date and
	// before Open returns, while no other process can be in the same place. It
	// makes what a new installation needs.
	Initialise func(ctx context.Context, b *Backend) error
}

// Open connects, brings the schema up to date and initialises. It refuses a
// database that is newer than this program.
func Open(ctx context.Context, cfg Config) (*Backend, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	b, err := connect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := b.prepare(ctx, cfg.Initialise); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// Inspect opens a database as it is, for what works without a server: it makes
// nothing, and refuses one that is not of this program's version.
func Inspect(ctx context.Context, cfg Config) (*Backend, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Path != "" {
		if _, err := os.Stat(cfg.Path); err != nil { // connecting would make it
			return nil, fmt.Errorf("open the database: %w", err)
		}
	}
	b, err := connect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := b.checkVersion(ctx); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	row, err := sqlcgen.New(b.read).GetInstallation(ctx)
	if err != nil {
		return nil, errors.Join(b.mapErr(err), b.Close())
	}
	b.installation = row.ID
	return b, nil
}

func (b *Backend) prepare(ctx context.Context, initialise func(context.Context, *Backend) error) error {
	unlock, err := b.dialect.lockSetup(ctx, b.write)
	if err != nil {
		return fmt.Errorf("wait for other servers to finish setting up the database: %w", b.mapErr(err))
	}
	defer unlock()
	if err := b.migrate(ctx); err != nil {
		return err
	}
	q := sqlcgen.New(b.write)
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	if err := q.InsertInstallation(ctx, sqlcgen.InsertInstallationParams{ID: id.String(), CreatedAt: timestamp(b.now())}); err != nil {
		return b.mapErr(err)
	}
	row, err := q.GetInstallation(ctx)
	if err != nil {
		return b.mapErr(err)
	}
	b.installation = row.ID
	if initialise == nil {
		return nil
	}
	return initialise(ctx, b)
}

// Close closes every connection.
func (b *Backend) Close() error {
	if b.read == b.write {
		return b.write.Close()
	}
	return errors.Join(b.read.Close(), b.write.Close())
}

// Installation returns the id of this installation: a UUID made once, which
// sealed secrets are bound to.
func (b *Backend) Installation() string { return b.installation }

// Shared reports whether other processes can change the same database.
func (b *Backend) Shared() bool { return b.dialect.shared() }

// Ping reports whether the database answers.
func (b *Backend) Ping(ctx context.Context) error { return b.mapErr(b.read.PingContext(ctx)) }

// View implements [store.Backend].
func (b *Backend) View(ctx context.Context, fn func(store.Tx) error) error {
	_, err := b.run(ctx, b.read, &sql.TxOptions{ReadOnly: true, Isolation: b.dialect.viewIsolation()}, fn)
	return err
}

// Update implements [store.Backend].
func (b *Backend) Update(ctx context.Context, fn func(store.Tx) error) (int64, error) {
	return b.run(ctx, b.write, nil, fn)
}

func (b *Backend) run(ctx context.Context, db *sql.DB, opts *sql.TxOptions, fn func(store.Tx) error) (generation int64, err error) {
	l := &lazyTx{db: db, opts: opts, before: b.before, prepared: b.prepared[db]}
	defer l.rollback()
	t := &tx{b: b, db: l, q: sqlcgen.New(l), writes: opts == nil}
	if err := fn(t.tables()); err != nil {
		return 0, err
	}
	if err := t.writeEntries(ctx); err != nil {
		return 0, err
	}
	if err := l.commit(ctx); err != nil {
		err = b.mapErr(err)
		if opts == nil && b.dialect.shared() && errors.Is(err, store.ErrUnavailable) {
			// The connection went with the answer: the server may have committed.
			return 0, fmt.Errorf("%w: %v", store.ErrUncertain, err)
		}
		return 0, err
	}
	return t.generation, nil
}

// A tx is one transaction.
type tx struct {
	b          *Backend
	db         sqlcgen.DBTX // what q runs on
	q          *sqlcgen.Queries
	writes     bool // whether it is a transaction that may write
	locked     bool
	generation int64 // 0: not raised
	entries    []store.AuditEntry
}

func (t *tx) tables() store.Tx {
	return store.Tx{
		Providers:      providers{t},
		ProviderKeys:   providerKeys{t},
		Routes:         routes{t},
		Users:          users{t},
		Roles:          roles{t},
		APIKeys:        apiKeys{t},
		Passwords:      passwords{t},
		Sessions:       sessions{t},
		EncryptionKeys: encryptionKeys{t},
		Audit:          auditLog{t},
		Secrets:        sealedSecrets{},
		Changes:        changes{t},
		LastUse:        lastUse{t},
		Credentials:    credentials{t},
		Cells:          cells{t},
		Replicas:       replicas{t},
		KeyStates:      keyStates{t},
		Interceptions:  interceptions{t},
	}
}

func (t *tx) mapErr(err error) error { return t.b.mapErr(err) }

// now returns the time as both databases keep it.
func (t *tx) now() time.Time { return timestamp(t.b.now()) }

// lock makes writers take turns, so that what a transaction reads from here on
// is what it writes to.
func (t *tx) lock(ctx context.Context) error {
	if t.locked {
		return nil
	}
	if err := t.q.LockInstallation(ctx); err != nil {
		return t.mapErr(err)
	}
	t.locked = true
	return nil
}

// changed raises the generation once a transaction, and notes what changed.
func (t *tx) changed(ctx context.Context, resource rbac.Resource, id string) error {
	if t.generation == 0 {
		g, err := t.q.RaiseGeneration(ctx)
		if err != nil {
			return t.mapErr(err)
		}
		t.generation = g
		if g%pruneEvery == 0 {
			if err := t.q.DeleteChangesBefore(ctx, g-changesKept); err != nil {
				return t.mapErr(err)
			}
		}
	}
	return t.mapErr(t.q.InsertChange(ctx, sqlcgen.InsertChangeParams{
		Generation: t.generation, Resource: string(resource), ResourceID: id,
	}))
}

// sealedSecrets opens nothing: dbcrypt, above it, does.
type sealedSecrets struct{}

func (sealedSecrets) Check(context.Context, store.Sealed) error { return errOpens }

var errOpens = errors.New("sqlstore: secrets are the business of dbcrypt alone")

func (sealedSecrets) Fingerprint(context.Context, secret.Text) (string, error) { return "", errOpens }

func (sealedSecrets) Open(context.Context, store.Sealed) (map[string]secret.Text, error) {
	return nil, errOpens
}

// storable returns the sealed form of s and its key, nil for no secret, and
// refuses a secret in the clear.
func storable(s secret.Text, keyID string) ([]byte, sql.NullString, error) {
	if s.IsZero() {
		return nil, sql.NullString{}, nil
	}
	if !s.IsSealed() || keyID == "" {
		return nil, sql.NullString{}, errors.New("sqlstore: refusing to store a secret that is not sealed")
	}
	return s.Sealed(), sql.NullString{String: keyID, Valid: true}, nil
}

// timestamp returns t as both databases keep it: UTC, to the microsecond.
func timestamp(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

func nullTime(t time.Time) sql.NullTime {
	return sql.NullTime{Time: timestamp(t), Valid: !t.IsZero()}
}

func timeOf(t sql.NullTime) time.Time {
	if !t.Valid {
		return time.Time{}
	}
	return t.Time.UTC()
}

func nullString(s string) sql.NullString { return sql.NullString{String: s, Valid: s != ""} }

// noID sorts before every id.
const noID = "00000000-0000-0000-0000-000000000000"

// isID reports whether s is an id in the one form that we write. Others that a
// UUID can have are not the same to SQLite, and some are an error to PostgreSQL.
func isID(s string) bool {
	id, err := uuid.Parse(s)
	return err == nil && id.String() == s
}

// isText reports whether s is text to PostgreSQL, too: nothing that is not can
// be the name of anything.
func isText(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

func idOr(s string) string {
	if !isID(s) {
		return noID
	}
	return s
}

// rowLimit turns the limit of a query into one that SQL understands.
func rowLimit(n int) int32 {
	if n <= 0 || n > 1<<30 {
		return 1 << 30
	}
	return int32(n)
}
