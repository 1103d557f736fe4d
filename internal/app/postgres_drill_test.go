package app_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/app"
	"github.com/gatehousehq/gatehouse/internal/datadir"
	"github.com/gatehousehq/gatehouse/internal/mockupstream"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

// postgresProgram finds a program of PostgreSQL as scripts/with-postgres does: on
// the PATH beside initdb, else Debian's newest.
func postgresProgram(t *testing.T, name string) string {
	t.Helper()
	if initdb, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(initdb); err == nil {
			if p := filepath.Join(filepath.Dir(real), name); isFile(p) {
				return p
			}
		}
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if err != nil || len(found) == 0 {
		t.Skipf("%s is not beside initdb on the PATH, nor in /usr/lib/postgresql: scripts/setup postgres installs it", name)
	}
	// By the number of the version: 9 is before 17.
	return slices.MaxFunc(found, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// runProgram runs it as docs/operations.md says.
func runProgram(t *testing.T, program string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(program), err, out)
	}
}

// TestPostgresBackupIsDrilled does what docs/operations.md says about PostgreSQL:
// it dumps while a server runs, restores into a new database, and opens that with
// the right key, with another, and with none.
func TestPostgresBackupIsDrilled(t *testing.T) {
	t.Parallel()
	before := storetest.NewPostgres(t)
	dump, load := postgresProgram(t, "pg_dump"), postgresProgram(t, "pg_restore")
	_, upstream := newUpstream(t, mockupstream.Config{})
	r := start(t, dataDir(t), "--database-url="+before)
	r.add(t, "vendor", upstream+"/v1", goodKey)
	token := r.mint(t, "gateway:use")
	if err := r.stop(); err != nil { // so that there is a checkpoint of what the dump has
		t.Fatal(err)
	}
	r = start(t, r.dir, "--database-url="+before)

	file := filepath.Join(t.TempDir(), "gatehouse.dump")
	runProgram(t, dump, "--format=custom", "--no-owner", "--file="+file, before)
	if err := r.owner.DeleteToken(t.Context(), token.ID); err != nil {
		t.Fatal(err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(filepath.Join(r.dir, datadir.AuditCheckpoints))
	if err != nil {
		t.Fatal(err)
	}

	after := storetest.NewPostgres(t)
	runProgram(t, load, "--single-transaction", "--no-owner", "--dbname="+after, file)
	flag := "--database-url=" + after

	// Without the key and with another one nothing starts.
	dir := dataDir(t)
	if msg := refused(t, dir, flag); !strings.Contains(msg, "there is no encryption key here") {
		t.Errorf("without the key: %s", msg)
	}
	key := filepath.Join(dir, datadir.EncryptionKey)
	if err := os.WriteFile(key, []byte("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if msg := refused(t, dir, flag); !strings.Contains(msg, "not the one that the database was encrypted with") {
		t.Errorf("with another key: %s", msg)
	}

	// With it, keys open, the log is whole up to the dump, and revocations are back.
	copyFile(t, filepath.Join(r.dir, datadir.EncryptionKey), key)
	published := filepath.Join(dir, "audit-checkpoints-before")
	if err := os.WriteFile(published, old, 0o600); err != nil {
		t.Fatal(err)
	}
	size := entriesOf(t, after)
	verifies(t, dir, flag, "--checkpoints="+published, fmt.Sprintf("--up-to=%d", size))
	if _, err := offline(t, app.AuditVerifyCommand(), dir, flag, "--checkpoints="+published); err == nil {
		t.Error("checkpoints of more than the dump has are no finding: --up-to is needless")
	}
	copyFile(t, filepath.Join(r.dir, datadir.OwnerToken), filepath.Join(dir, datadir.OwnerToken))
	again := start(t, dir, flag)
	if status, body := again.ask(t, "vendor", token.Secret); status != 200 {
		t.Errorf("the gateway answers %d %s", status, body)
	}
	if _, err := again.owner.AuditCheckpoint(t.Context()); err != nil {
		t.Errorf("a checkpoint: %v", err)
	}
	if err := again.stop(); err != nil {
		t.Fatal(err)
	}
	verifies(t, dir, flag)

	// The checkpoints from before must have been moved away: beside them nothing is
	// signed.
	left := keyedDir(t, r.dir)
	if err := os.WriteFile(filepath.Join(left, datadir.AuditCheckpoints), old, 0o600); err != nil {
		t.Fatal(err)
	}
	copyFile(t, filepath.Join(r.dir, datadir.OwnerToken), filepath.Join(left, datadir.OwnerToken))
	unsigned := start(t, left, flag)
	if _, err := unsigned.owner.AuditCheckpoint(t.Context()); err == nil {
		t.Error("a log was signed that contradicts the checkpoints")
	} else if _, ok := errors.AsType[*client.Error](err); !ok {
		t.Error(err)
	}
}

// entriesOf returns the size of the audit log in a database of PostgreSQL.
func entriesOf(t *testing.T, url string) (size int64) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), "SELECT size FROM audit_head").Scan(&size); err != nil {
		t.Fatal(err)
	}
	return size
}
