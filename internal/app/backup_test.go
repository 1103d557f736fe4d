package app_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/spf13/cobra"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/app"
	"github.com/gatehousehq/gatehouse/internal/mockupstream"
)

// offline runs a command that needs no server and returns what it says, of which
// nothing may be a secret.
func offline(t *testing.T, cmd *cobra.Command, dir string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(append([]string{"--data-dir=" + dir}, args...))
	err := cmd.ExecuteContext(t.Context())
	said := out.String() + fmt.Sprint(err)
	hidden := []string{"gate_", "sk-canary", "hunter2"}
	if key, err := os.ReadFile(filepath.Join(dir, "encryption-key")); err == nil && len(key) > 20 {
		hidden = append(hidden, string(key[:20]))
	}
	for _, secret := range hidden {
		if strings.Contains(said, secret) {
			t.Error("it shows a secret")
		}
	}
	return out.String(), err
}

func backUp(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	return offline(t, app.BackupCommand(), dir, args...)
}

func restore(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	return offline(t, app.RestoreCommand(), dir, args...)
}

// restoreFrom restores what standard input has.
func restoreFrom(t *testing.T, dir string, in io.Reader, args ...string) (string, error) {
	t.Helper()
	cmd := app.RestoreCommand()
	cmd.SetIn(in)
	return offline(t, cmd, dir, append(args, "-")...)
}

// backupOf returns a fresh backup of a data directory.
func backupOf(t *testing.T, dir string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "backup.db")
	if _, err := backUp(t, dir, file); err != nil {
		t.Fatal(err)
	}
	return file
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// keyedDir returns a data directory with the encryption key of another.
func keyedDir(t *testing.T, of string) string {
	t.Helper()
	dir := dataDir(t)
	copyFile(t, filepath.Join(of, "encryption-key"), filepath.Join(dir, "encryption-key"))
	return dir
}

// A counter is a provider whose display name counts up while a test goes on.
type counter struct {
	name            string
	asked, answered atomic.Int64
}

func (c *counter) run(ctx context.Context, owner *client.Client) error {
	for ctx.Err() == nil {
		n := c.asked.Add(1)
		if _, err := owner.UpdateProvider(context.WithoutCancel(ctx), c.name, 0, client.UpdateProvider{DisplayName: client.Set(strconv.FormatInt(n, 10))}); err != nil {
			return err
		}
		c.answered.Store(n)
	}
	return nil
}

func TestBackupBesideWriters(t *testing.T) {
	t.Parallel()
	_, upstream := newUpstream(t, mockupstream.Config{})
	r := start(t, dataDir(t))
	token := r.mint(t, "gateway:use").Secret
	r.add(t, "vendor", upstream+"/v1", goodKey)
	counters := make([]counter, 4)
	for i := range counters {
		counters[i].name = fmt.Sprintf("counter-%d", i)
		r.add(t, counters[i].name, "http://127.0.0.1:1/v1", goodKey+strconv.Itoa(i))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for i := range counters {
		writers.Go(func() {
			if err := counters[i].run(ctx, r.owner); err != nil {
				t.Error(err)
			}
		})
	}
	defer writers.Wait()
	defer cancel()
	for range 3 {
		at := make([]int64, len(counters))
		for i := range counters {
			at[i] = counters[i].answered.Load()
		}
		for i := range counters {
			eventually(t, "everybody writes", func() bool { return counters[i].answered.Load() > at[i]+2 })
		}
		for i := range counters {
			at[i] = counters[i].answered.Load()
		}
		file := backupOf(t, r.dir)
		dir := keyedDir(t, r.dir)
		if _, err := restore(t, dir, file); err != nil {
			t.Fatal(err)
		}
		copyFile(t, filepath.Join(r.dir, "owner-token"), filepath.Join(dir, "owner-token"))
		again := start(t, dir)
		for i := range counters {
			p, err := again.owner.Provider(t.Context(), counters[i].name)
			if err != nil || p.DisplayName == nil {
				t.Fatalf("%s: %+v, %v", counters[i].name, p, err)
			}
			if n, err := strconv.ParseInt(*p.DisplayName, 10, 64); err != nil || n < at[i] || n > counters[i].asked.Load() {
				t.Errorf("%s is at %q in a backup that began when %d was answered", p.Name, *p.DisplayName, at[i])
			}
		}
		if status, body := again.ask(t, "vendor", token); status != 200 {
			t.Errorf("the gateway answers %d %s", status, body)
		}
		if err := again.stop(); err != nil {
			t.Fatal(err)
		}
		verifies(t, dir)
	}
}

// verifies checks the audit log of a data directory by the checkpoints in it.
func verifies(t *testing.T, dir string, args ...string) {
	t.Helper()
	if said, err := offline(t, app.AuditVerifyCommand(), dir, args...); err != nil {
		t.Errorf("the audit log does not verify: %v\n%s", err, said)
	}
}

// names returns what is in a directory.
func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return strings.Join(out, " ")
}

func TestBackupIsThereWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	r := start(t, dataDir(t))
	elsewhere := t.TempDir()
	file := filepath.Join(elsewhere, "backup.db")
	said, err := backUp(t, r.dir, file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"generation ", " audit entries", "encryption key with the id ", "is not in the backup"} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q: %s", want, said)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	damaged := dataDir(t)
	content := bytes.Clone(before)
	for i := 8 * 4096; i < 12*4096; i++ {
		content[i] ^= 0x55
	}
	if err := os.WriteFile(filepath.Join(damaged, "gatehouse.db"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	loose := dataDir(t) // SQLite copies it without a word
	copyFile(t, file, filepath.Join(loose, "gatehouse.db"))
	execOn(t, filepath.Join(loose, "gatehouse.db"), "PRAGMA foreign_keys = 0; INSERT INTO api_keys (id, name, owner_id, token_hash, scopes, created_at) VALUES ('x', 'x', 'nobody', x'00', '', 'now')")
	if err := os.Mkdir(filepath.Join(elsewhere, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/null", filepath.Join(elsewhere, "null")); err != nil {
		t.Fatal(err)
	}
	there := names(t, elsewhere)
	for name, c := range map[string]struct {
		dir, file string
		args      []string
		want      string
	}{
		"the file exists":             {r.dir, "backup.db", nil, "--force"},
		"no directory":                {r.dir, "missing/backup.db", nil, "no such file or directory"},
		"a directory":                 {r.dir, "folder", []string{"--force"}, "is not a file"},
		"a device":                    {r.dir, "null", []string{"--force"}, "is not a file"},
		"the database is PostgreSQL":  {r.dir, "new.db", []string{"--database-url=postgres://gate:hunter2@127.0.0.1:1/gate"}, "pg_dump"},
		"there is no database":        {t.TempDir(), "new.db", nil, "open the database"},
		"the database is damaged":     {damaged, "new.db", nil, "damaged"},
		"a row refers to nothing":     {loose, "new.db", nil, "a row of api_keys"},
		"the database is, with force": {damaged, "backup.db", []string{"--force"}, "damaged"},
	} {
		_, err := backUp(t, c.dir, append(c.args, filepath.Join(elsewhere, c.file))...)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if now := names(t, elsewhere); now != there {
			t.Errorf("%s: it left %s, and there was %s", name, now, there)
		}
	}
	for _, name := range []string{"gatehouse.db", "new.db"} {
		if _, err := backUp(t, r.dir, filepath.Join(r.dir, name), "--force"); err == nil || !strings.Contains(err.Error(), "data directory") {
			t.Errorf("%s in the data directory: %v", name, err)
		}
	}
	if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, before) {
		t.Errorf("a refused backup changed the one that was there, %v", err)
	}
	r.mint(t, "gateway:use")
	if _, err := backUp(t, r.dir, file, "--force"); err != nil {
		t.Error(err)
	}
	if now, err := os.ReadFile(file); err != nil || bytes.Equal(now, before) {
		t.Errorf("with --force the file is as before, %v", err)
	}
}

// query returns the first column of the first row, from a file of SQLite.
func query(t *testing.T, file, statement string) (value string) {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRowContext(t.Context(), statement).Scan(&value); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return value
}
