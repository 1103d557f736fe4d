package app_test

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/mockupstream"
)

// contents returns the files of a directory by a digest, but for the lock and the
// journal.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, e := range entries {
		if e.Name() == "lock" || e.IsDir() {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = fmt.Sprintf("%x", sha256.Sum256(b))
	}
	return out
}

// kept returns the one file whose name begins like that.
func kept(t *testing.T, dir, name string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, name+".before-restore-*Z"))
	if err != nil || len(found) != 1 {
		t.Fatalf("kept of %s: %v, %v", name, found, err)
	}
	return found[0]
}

// A site is a stopped installation with a backup from before its last changes:
// then there was a token, which was revoked since, and no provider "later".
type site struct {
	dir, backup, token string
	upstream           string
}

func newSite(t *testing.T) site {
	t.Helper()
	_, upstream := newUpstream(t, mockupstream.Config{})
	r := start(t, dataDir(t))
	r.add(t, "vendor", upstream+"/v1", goodKey)
	token := r.mint(t, "gateway:use")
	// So that there is a checkpoint of what the backup has.
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	s := site{dir: r.dir, backup: backupOf(t, r.dir), token: token.Secret, upstream: upstream}
	r = start(t, r.dir)
	r.add(t, "later", upstream+"/v1", goodKey)
	if err := r.owner.DeleteToken(t.Context(), token.ID); err != nil {
		t.Fatal(err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	return s
}

// isRestored starts a server on what was the site's backup.
func (s site) isRestored(t *testing.T, dir string) *running {
	t.Helper()
	r := start(t, dir)
	if status, body := r.ask(t, "vendor", s.token); status != 200 {
		t.Errorf("the gateway answers %d %s", status, body)
	}
	if status, _ := r.ask(t, "later", s.token); status != 404 {
		t.Errorf("what was added after the backup answers %d", status)
	}
	return r
}

func TestRestoreServesAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	entries := query(t, s.backup, "SELECT size FROM audit_head")
	if _, err := restore(t, s.dir, s.backup); err == nil || !strings.Contains(err.Error(), "--force") {
		t.Fatalf("without --force: %v", err)
	}
	said, err := restore(t, s.dir, s.backup, "--force")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"The encryption key here opens it.", "agrees with the checkpoint of " + entries + " entries", "has " + entries + " audit entries",
		`"owner": create ai_provider "later"`, `"owner": delete api_key "test"`, "--up-to " + entries, "They are kept",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
	if info, err := os.Stat(filepath.Join(s.dir, "gatehouse.db")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the database: %v, %v", info.Mode(), err)
	}
	// The log goes on from the backup, and is signed again.
	verifies(t, s.dir, "--up-to="+entries, "--checkpoints="+kept(t, s.dir, "audit-checkpoints"))
	r := s.isRestored(t, s.dir)
	audit, err := r.owner.ListAudit(t.Context(), client.AuditFilter{Action: "restore"}, client.ListOptions{})
	if err != nil || len(audit.Items) != 1 {
		t.Fatalf("entries of the restore: %+v, %v", audit.Items, err)
	}
	e := audit.Items[0]
	if fmt.Sprint(e.Index-1) != entries || e.ResourceType != "audit_log" || e.Actor.Kind != "system" || e.Actor.Name != "recovery" || !strings.Contains(string(e.Diff), "old") {
		t.Errorf("the entry of the restore is %+v", e)
	}
	if _, err := r.owner.AuditCheckpoint(t.Context()); err != nil {
		t.Errorf("a checkpoint: %v", err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	verifies(t, s.dir)
	verifies(t, s.dir, "--up-to="+entries, "--checkpoints="+kept(t, s.dir, "audit-checkpoints"))
	// What was there before is there, and can be had back. Its log is not what the
	// new checkpoints are of, so they have to go first.
	old := kept(t, s.dir, "gatehouse.db")
	if n := query(t, old, "SELECT COUNT(*) FROM ai_providers WHERE name = 'later'"); n != "1" {
		t.Errorf("the database that was kept has %s of what was added last", n)
	}
	if _, err := restore(t, s.dir, old, "--force"); err == nil || !strings.Contains(err.Error(), "from before another restore") {
		t.Errorf("what the checkpoints contradict: %v", err)
	}
	if err := os.Rename(kept(t, s.dir, "audit-checkpoints"), filepath.Join(s.dir, "audit-checkpoints")); err != nil {
		t.Fatal(err)
	}
	if _, err := restore(t, s.dir, old, "--force"); err != nil {
		t.Fatal(err)
	}
	r = start(t, s.dir)
	if _, err := r.owner.Provider(t.Context(), "later"); err != nil {
		t.Error(err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	verifies(t, s.dir) // by the checkpoints of before and of now
}

func TestRestoreFromStandardInput(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	dir := keyedDir(t, s.dir)
	content, err := os.ReadFile(s.backup)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := restoreFrom(t, dir, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	s.isRestored(t, dir)
}

func TestRestoreNeedsTheRightKey(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	key := filepath.Join(s.dir, "encryption-key")
	right, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	id := query(t, s.backup, "SELECT kek_id FROM dbcrypt_keys LIMIT 1")
	refuses := func(name string, want []string, args ...string) {
		t.Helper()
		before := contents(t, s.dir)
		_, err := restore(t, s.dir, append(args, s.backup, "--force")...)
		for _, w := range append(want, "needs the encryption key with the id "+id, "nothing was changed") {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%s: no word of %q: %v", name, w, err)
			}
		}
		if d := cmp.Diff(contents(t, s.dir), before); d != "" {
			t.Errorf("%s: the data directory changed: %s", name, d)
		}
	}
	if err := os.WriteFile(key, []byte("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refuses("another key", []string{"the encryption key here (", "is not the one", "copy encryption-key"})
	refuses("another key, --without-key", []string{"is not the one"}, "--without-key")
	if err := os.WriteFile(key, right[:20], 0o600); err != nil {
		t.Fatal(err)
	}
	refuses("half a key", []string{"32 bytes in base64"})
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	refuses("no key", []string{"there is no encryption key here", "copy encryption-key"})
	said, err := restore(t, s.dir, s.backup, "--force", "--without-key")
	if err != nil || !strings.Contains(said, "copy the encryption key with the id "+id) {
		t.Errorf("--without-key: %v\n%s", err, said)
	}
	if msg := refused(t, s.dir); !strings.Contains(msg, "copy encryption-key") {
		t.Errorf("the server: %s", msg)
	}
	if err := os.WriteFile(key, right, 0o600); err != nil {
		t.Fatal(err)
	}
	s.isRestored(t, s.dir)
}

func TestRestoreRefusesWhatIsNoBackup(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	whole, err := os.ReadFile(s.backup)
	if err != nil {
		t.Fatal(err)
	}
	garbled := bytes.Clone(whole)
	for i := 8 * 4096; i < 12*4096; i++ {
		garbled[i] ^= 0x55
	}
	for name, c := range map[string]struct {
		content   []byte
		statement string
		beside    string
		args      []string
		want      string
	}{
		"empty":          {content: []byte{}, want: "no SQLite database"},
		"text":           {content: bytes.Repeat([]byte("text\n"), 5000), want: "no SQLite database"},
		"half of it":     {content: whole[:len(whole)/2], want: "damaged"},
		"garbled":        {content: garbled, want: "damaged"},
		"foreign":        {statement: "CREATE TABLE users (id TEXT)", want: "no database of Gatehouse"},
		"newer":          {content: whole, statement: "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)", want: "at version 99"},
		"never started":  {content: whole, statement: "PRAGMA foreign_keys = 0; DELETE FROM ai_provider_keys; DELETE FROM dbcrypt_keys", want: "no data keys"},
		"a part":         {content: whole, beside: "-wal", want: "gatehouse backup"},
		"an altered log": {content: whole, statement: "UPDATE audit_logs SET hashes = zeroblob(length(hashes))", want: "was altered"},
		"another actor":  {content: whole, statement: "UPDATE audit_logs SET actor_name = 'nobody' WHERE entry_index = 2", want: "wrong: entry 2"},
		"a missing file": {want: "no such file"},
		"PostgreSQL":     {content: whole, args: []string{"--database-url=postgres://gate:hunter2@127.0.0.1:1/gate"}, want: "pg_restore"},
	} {
		file := filepath.Join(t.TempDir(), "x.db")
		if c.content != nil {
			if err := os.WriteFile(file, c.content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if c.statement != "" {
			execOn(t, file, c.statement)
		}
		if c.beside != "" {
			copyFile(t, s.backup, file+c.beside)
		}
		before := contents(t, s.dir)
		_, err := restore(t, s.dir, append(c.args, file, "--force")...)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if d := cmp.Diff(databaseAside(contents(t, s.dir)), databaseAside(before)); d != "" {
			t.Errorf("%s: the data directory changed: %s", name, d)
		}
	}
	for _, name := range []string{"", "gatehouse.db"} {
		if _, err := restore(t, s.dir, filepath.Join(s.dir, name), "--force"); err == nil {
			t.Errorf("%q in the data directory was restored", name)
		}
	}
	if _, err := restore(t, filepath.Join(t.TempDir(), "missing"), s.backup); err == nil || !strings.Contains(err.Error(), "open the data directory") {
		t.Errorf("without a data directory: %v", err)
	}
	start(t, s.dir)
}

// databaseAside is the same without the database, which may have been settled: it
// has other bytes then, and the same content.
func databaseAside(c map[string]string) map[string]string {
	if c["gatehouse.db"] != "" {
		c["gatehouse.db"] = "there"
	}
	return c
}

// Without checkpoints nothing says what the log was, and a backup may be all that
// is left.
func TestRestoreSaysWhatIsWrongWithTheLog(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	execOn(t, s.backup, "UPDATE audit_logs SET actor_name = 'nobody' WHERE entry_index = 2")
	dir := keyedDir(t, s.dir)
	said, err := restore(t, dir, s.backup)
	if err != nil || !strings.Contains(said, "wrong: entry 2") || !strings.Contains(said, "not what it should be") {
		t.Errorf("%v\n%s", err, said)
	}
	s.isRestored(t, dir)
}

func execOn(t *testing.T, file, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func TestRestoreKeepsOffWhatIsInUse(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := start(t, s.dir)
	if _, err := restore(t, s.dir, s.backup, "--force"); err == nil || !strings.Contains(err.Error(), "stop it, and run this again") {
		t.Errorf("beside a server: %v", err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	// A backup, say, that is under way.
	db, err := sql.Open("sqlite", filepath.Join(s.dir, "gatehouse.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(t.Context(), "BEGIN; SELECT COUNT(*) FROM users"); err != nil {
		t.Fatal(err)
	}
	if _, err := restore(t, s.dir, s.backup, "--force"); err == nil || !strings.Contains(err.Error(), "another process has the database open") {
		t.Errorf("beside a reader: %v", err)
	}
	if n := query(t, filepath.Join(s.dir, "gatehouse.db"), "SELECT COUNT(*) FROM ai_providers"); n != "2" {
		t.Errorf("%s providers are left", n)
	}
}

// died returns a data directory as a server leaves it that was killed: with
// changes that are in the -wal alone, those of the site after its backup.
func (s site) died(t *testing.T) string {
	t.Helper()
	dir := keyedDir(t, s.dir)
	copyFile(t, s.backup, filepath.Join(dir, "gatehouse.db"))
	r := start(t, dir)
	copyFile(t, filepath.Join(s.dir, "owner-token"), filepath.Join(dir, "owner-token"))
	r.owner = r.newOwner(t)
	r.add(t, "later", s.upstream+"/v1", goodKey)
	left := keyedDir(t, s.dir)
	for _, name := range []string{"gatehouse.db", "gatehouse.db-wal", "owner-token"} {
		copyFile(t, filepath.Join(dir, name), filepath.Join(left, name))
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	return left
}

// SQLite applies the -wal beside a database to whatever has the database's name.
func TestRestoreAppliesNothingOfTheOldDatabase(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	t.Run("control", func(t *testing.T) {
		t.Parallel()
		dir := s.died(t)
		copyFile(t, s.backup, filepath.Join(dir, "gatehouse.db")) // and the -wal stays
		if n := query(t, filepath.Join(dir, "gatehouse.db"), "SELECT COUNT(*) FROM ai_providers"); n != "2" {
			t.Errorf("%s providers: a -wal that stays does no harm here, and the tests beside this one show nothing", n)
		}
	})
	t.Run("of a server that died", func(t *testing.T) {
		t.Parallel()
		dir := s.died(t)
		said, err := restore(t, dir, s.backup, "--force")
		if err != nil || !strings.Contains(said, `create ai_provider "later"`) {
			t.Fatalf("%v\n%s", err, said)
		}
		if n := query(t, kept(t, dir, "gatehouse.db"), "SELECT COUNT(*) FROM ai_providers"); n != "2" {
			t.Errorf("the database that was kept has %s providers", n)
		}
		s.isRestored(t, dir)
	})
	t.Run("of a database that is gone", func(t *testing.T) {
		t.Parallel()
		dir := s.died(t)
		if err := os.Remove(filepath.Join(dir, "gatehouse.db")); err != nil {
			t.Fatal(err)
		}
		if _, err := restore(t, dir, s.backup); err != nil {
			t.Fatal(err)
		}
		s.isRestored(t, dir)
	})
	t.Run("of a damaged database", func(t *testing.T) {
		t.Parallel()
		dir := s.died(t)
		file := filepath.Join(dir, "gatehouse.db")
		if err := os.WriteFile(file, bytes.Repeat([]byte("damaged\n"), 10000), 0o600); err != nil {
			t.Fatal(err)
		}
		wal, err := os.ReadFile(file + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := restore(t, dir, s.backup, "--force"); err != nil {
			t.Fatal(err)
		}
		old := kept(t, dir, "gatehouse.db")
		if b, err := os.ReadFile(old); err != nil || !bytes.HasPrefix(b, []byte("damaged")) {
			t.Errorf("what was there was not kept as it was, %v", err)
		}
		if b, err := os.ReadFile(old + "-wal"); err != nil || !bytes.Equal(b, wal) {
			t.Errorf("its -wal was not kept, %v", err)
		}
		s.isRestored(t, dir)
	})
	t.Run("of one that is damaged inside", func(t *testing.T) {
		t.Parallel()
		dir := s.died(t)
		file := filepath.Join(dir, "gatehouse.db")
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i := 1 * 4096; i < len(content); i++ {
			content[i] ^= 0x55
		}
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		said, err := restore(t, dir, s.backup, "--force")
		if err != nil || !strings.Contains(said, "cannot be read from here") {
			t.Fatalf("%v\n%s", err, said)
		}
		kept(t, dir, "gatehouse.db")
		s.isRestored(t, dir)
	})
}
