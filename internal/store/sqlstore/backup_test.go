package sqlstore_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

// exec runs statements on a file of SQLite.
func exec(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func copied(t *testing.T, path string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "a copy? #1%20.db")
	if err := sqlstore.Copy(t.Context(), path, to); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestACopyHoldsWhatTheDatabaseDoes(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, sqlstore.Config{Path: filepath.Join(t.TempDir(), "gatehouse.db")})
	dbgen.Provider(t, s.DB, store.Provider{Name: "vendor"})
	to := copied(t, s.Config.Path)
	for _, beside := range []string{"-wal", "-shm", "-journal"} {
		if _, err := os.Stat(to + beside); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the copy has a %s beside it, %v", beside, err)
		}
	}
	c, err := sqlstore.Examine(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	audit := s.Audit(t)
	if c.Installation != s.Backend.Installation() || c.Entries != int64(len(audit)) || c.Generation == 0 || len(c.KEKs) != 1 || len(c.KEKs[0]) != 32 {
		t.Errorf("it holds %+v, and the log has %d entries", c, len(audit))
	}
	if d, err := sqlstore.Describe(t.Context(), s.Config.Path); err != nil || fmt.Sprint(d) != fmt.Sprint(c) {
		t.Errorf("the database itself holds %+v, %v", d, err)
	}
	again := storetest.Open(t, sqlstore.Config{Path: to})
	if got := again.Audit(t); len(got) != len(audit) || got[len(got)-1] != audit[len(audit)-1] {
		t.Error("the copy has another audit log")
	}
}

// Before an upgrade, the new program backs up what the old one left.
func TestAnOlderDatabaseIsCopiedAsItIs(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	b, err := sqlstore.Open(t.Context(), sqlstore.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	versions, err := sqlstore.Versions(b)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(versions) - 1; i >= 0; i-- {
		if err := sqlstore.MigrateTo(t.Context(), b, versions[i]); err != nil {
			t.Fatal(err)
		}
		if c, err := sqlstore.Examine(t.Context(), copied(t, path)); err != nil || c.Version != versions[i] || c.Installation != b.Installation() {
			t.Errorf("version %d: %+v, %v", versions[i], c, err)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsNoDatabaseOfOursIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	s := storetest.Open(t, sqlstore.Config{Path: path})
	for i := range 200 {
		dbgen.Provider(t, s.DB, store.Provider{Name: fmt.Sprintf("vendor-%d", i)})
	}
	whole, err := os.ReadFile(copied(t, path))
	if err != nil {
		t.Fatal(err)
	}
	garbled := bytes.Clone(whole)
	for i := 8 * 4096; i < 12*4096; i++ {
		garbled[i] ^= 0x55
	}
	for name, c := range map[string]struct {
		content    []byte
		statements []string
		want       error
	}{
		"empty":             {[]byte{}, nil, sqlstore.ErrForeign},
		"text":              {[]byte(strings.Repeat("no database\n", 1000)), nil, sqlstore.ErrDamaged},
		"half":              {whole[:len(whole)/2], nil, sqlstore.ErrDamaged},
		"without its end":   {whole[:len(whole)-1], nil, sqlstore.ErrDamaged},
		"only a header":     {whole[:100], nil, sqlstore.ErrDamaged},
		"garbled":           {garbled, nil, sqlstore.ErrDamaged},
		"of somebody else":  {nil, []string{"CREATE TABLE installation (id TEXT)"}, sqlstore.ErrForeign},
		"never started":     {whole, []string{"DELETE FROM installation"}, sqlstore.ErrForeign},
		"with a loose end":  {whole, []string{"PRAGMA foreign_keys = 0", "INSERT INTO api_keys (id, name, owner_id, token_hash, scopes, created_at) VALUES ('x', 'x', 'nobody', x'00', '', 'now')"}, sqlstore.ErrDamaged},
		"newer":             {whole, []string{"INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)", "DROP TABLE users"}, nil},
		"whole, as control": {whole, nil, nil},
	} {
		file := filepath.Join(t.TempDir(), "x.db")
		if c.content != nil {
			if err := os.WriteFile(file, c.content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if len(c.statements) > 0 {
			exec(t, file, c.statements...)
		}
		_, err := sqlstore.Examine(t.Context(), file)
		switch {
		case name == "newer":
			if err == nil || !strings.Contains(err.Error(), "at version 99") {
				t.Errorf("%s: %v", name, err)
			}
		case !errors.Is(err, c.want):
			t.Errorf("%s: %v", name, err)
		}
	}
	missing := filepath.Join(t.TempDir(), "missing.db")
	if _, err := sqlstore.Examine(t.Context(), missing); err == nil {
		t.Error("a missing file is well")
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("it made the file that was missing")
	}
}

func TestSettlingMakesOneFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	s := storetest.Open(t, sqlstore.Config{Path: path})
	dbgen.Provider(t, s.DB, store.Provider{Name: "vendor"})
	if err := sqlstore.Settle(t.Context(), path); !errors.Is(err, sqlstore.ErrBusy) {
		t.Fatalf("while it is open: %v", err)
	}
	// As a process that died leaves it.
	left := filepath.Join(t.TempDir(), "left.db")
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(path + suffix)
		if err != nil || suffix == "-wal" && len(content) == 0 {
			t.Fatalf("%d bytes, %v", len(content), err)
		}
		if err := os.WriteFile(left+suffix, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := sqlstore.Settle(t.Context(), left); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left + "-wal"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the -wal stayed, %v", err)
	}
	if c, err := sqlstore.Examine(t.Context(), left); err != nil || c.Entries != int64(len(s.Audit(t))) {
		t.Errorf("it holds %+v, %v", c, err)
	}
}
