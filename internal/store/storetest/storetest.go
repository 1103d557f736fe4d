// Package storetest opens databases for tests: always SQLite, and PostgreSQL
// where GATEHOUSE_TEST_POSTGRES names a server (scripts/with-postgres starts
// one).
package storetest

import (
	"context"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/keyring"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbaudit"
	"github.com/gatehousehq/gatehouse/internal/store/dbauthz"
	"github.com/gatehousehq/gatehouse/internal/store/dbcrypt"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
)

// PostgresVariable names the environment variable with the URL of a PostgreSQL
// server in which tests may make databases.
const PostgresVariable = "GATEHOUSE_TEST_POSTGRES"

// A Store is a store over a fresh database.
type Store struct {
	*store.DB
	Backend *sqlstore.Backend
	Config  sqlstore.Config // to open the same database again
	Ring    *keyring.Ring
	KEKs    []keyring.KEK // of the ring
	// Raw reaches the database behind the store's back, to look and to tamper.
	Raw *sql.DB
	// Postgres is whether it is PostgreSQL.
	Postgres bool
}

// Each runs fn once a database, with a store in which there are data keys and
// nothing else.
func Each(t *testing.T, fn func(t *testing.T, s *Store)) {
	t.Helper()
	EachConfig(t, func(t *testing.T, cfg sqlstore.Config) { fn(t, Open(t, cfg)) })
}

// EachConfig runs fn once a database, which is empty.
func EachConfig(t *testing.T, fn func(t *testing.T, cfg sqlstore.Config)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		fn(t, sqlstore.Config{Path: filepath.Join(t.TempDir(), "gatehouse.db")})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		fn(t, sqlstore.Config{URL: secret.New(NewPostgres(t))})
	})
}

// NewPostgres makes a database that lives as long as the test and returns its
// URL. Without a server the test is skipped, and says so.
func NewPostgres(t testing.TB) string {
	t.Helper()
	server := os.Getenv(PostgresVariable)
	if server == "" {
		t.Skip(PostgresVariable + " is not set: run through scripts/with-postgres, as make test does")
	}
	name := "t_" + strings.ReplaceAll(dbgen.ID(), "-", "")
	admin := func(statement string) error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // t's context is over when it is cleaned up
		defer cancel()
		conn, err := pgx.Connect(ctx, server)
		if err != nil {
			return err
		}
		_, err = conn.Exec(ctx, statement)
		_ = conn.Close(ctx) // the statement's own outcome is what counts
		return err
	}
	if err := admin("CREATE DATABASE " + name); err != nil {
		t.Fatalf("make a database: %v", err)
	}
	t.Cleanup(func() {
		if err := admin("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Errorf("drop the database: %v", err)
		}
	})
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

// Open returns a store over the database of cfg, with its data keys if it has
// none yet.
func Open(t testing.TB, cfg sqlstore.Config) *Store {
	t.Helper()
	b, err := sqlstore.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := &Store{Backend: b, Config: cfg, Postgres: cfg.Path == ""}
	now := cfg.Now
	if now == nil {
		now = time.Now
	}
	bare := store.New(b, dbcrypt.Layer(&keyring.Ring{}, b.Installation()), dbaudit.Layer(now, nil), dbauthz.Layer)
	kek, err := keyring.ParseLocal([]byte(testKEK))
	if err != nil {
		t.Fatal(err)
	}
	s.KEKs = []keyring.KEK{kek}
	s.Ring = keyring.NewRing(b.Installation(), s.KEKs)
	err = bare.Update(t.Context(), authn.Bootstrap, func(tx store.Tx) error {
		ctx := t.Context()
		if wrapped, err := tx.EncryptionKeys.List(ctx, store.Query{}); err != nil || len(wrapped) > 0 {
			return err
		}
		for _, purpose := range store.KeyPurposes() {
			k, err := s.Ring.Generate(ctx, purpose)
			if err != nil {
				return err
			}
			k.PromotedAt = now()
			if _, err := tx.EncryptionKeys.Insert(ctx, k); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s.DB = store.New(b, dbcrypt.Layer(s.Ring, b.Installation()), dbaudit.Layer(now, nil), dbauthz.Layer)
	load := func(ctx context.Context) error { return s.Ring.Reload(ctx, s.DB, authn.Keyholder) }
	if err := load(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.OnKeysChanged(load)
	if s.Postgres {
		// Without prepared statements, which do not outlive a migration.
		s.Raw, err = sql.Open("pgx", withParameter(t, cfg.URL.Reveal(), "default_query_exec_mode", "simple_protocol"))
	} else {
		s.Raw, err = sql.Open("sqlite", cfg.Path+"?_pragma=busy_timeout(5000)")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Raw.Close(); err != nil {
			t.Error(err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func withParameter(t testing.TB, address, name, value string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal("the URL of the database cannot be understood") // its error quotes it
	}
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}

// testKEK is a key of no value.
const testKEK = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

// Exec runs a statement behind the store's back and fails the test if it
// changes nothing.
func (s *Store) Exec(t testing.TB, statement string, args ...any) {
	t.Helper()
	r, err := s.Raw.ExecContext(t.Context(), statement, args...)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	if n, err := r.RowsAffected(); err == nil && n == 0 {
		t.Fatalf("%s changed nothing", statement)
	}
}

// Rotate makes a new data key the one to seal under, and leaves what is sealed
// as it is. It returns the digest of the key.
func (s *Store) Rotate(t testing.TB) string {
	t.Helper()
	k, err := s.Ring.Generate(t.Context(), store.ForSealing)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Update(t.Context(), authn.Rotator, func(tx store.Tx) error {
		keys, err := tx.EncryptionKeys.List(t.Context(), store.Query{})
		if err != nil {
			return err
		}
		last, _ := keyring.PrimaryOf(keys)
		k.PromotedAt = last.PromotedAt.Add(time.Second)
		_, err = tx.EncryptionKeys.Insert(t.Context(), k)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Ring.Reload(t.Context(), s.DB, authn.Keyholder); err != nil {
		t.Fatal(err)
	}
	return k.ActiveDigest
}

// Audit returns every audit entry, oldest first.
func (s *Store) Audit(t testing.TB) []store.AuditEntry {
	t.Helper()
	var out []store.AuditEntry
	err := s.View(t.Context(), dbgen.Owner, func(tx store.Tx) error {
		entries, err := tx.Audit.List(t.Context(), store.AuditQuery{})
		for _, e := range entries {
			out = append([]store.AuditEntry{e}, out...)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
