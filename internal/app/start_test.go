package app_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/app"
)

func TestFirstStartMakesWhatIsNeeded(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, flags ...string) {
		dir := filepath.Join(t.TempDir(), "not", "there", "yet")
		r := start(t, dir, flags...)
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("data directory: %v, %v", info.Mode(), err)
		}
		files := []string{"encryption-key", "owner-token", "lock"}
		if len(flags) == 0 {
			files = append(files, "gatehouse.db")
		}
		for _, name := range files {
			if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v", name, err)
			}
		}
		if !strings.Contains(r.log.String(), "back it up") {
			t.Error("nothing says that the encryption key must be backed up")
		}
		// The owner's token is an ordinary token of scope all.
		page, err := r.owner.ListTokens(t.Context(), listAll)
		if err != nil || len(page.Items) != 1 || page.Items[0].Scopes[0] != "all" || page.Items[0].Owner != "owner" {
			t.Errorf("tokens %+v, %v", page.Items, err)
		}
		token, err := os.ReadFile(filepath.Join(dir, "owner-token"))
		if err != nil {
			t.Fatal(err)
		}
		// It is good after a restart, and nothing is made anew.
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		again := start(t, dir, flags...)
		after, err := os.ReadFile(filepath.Join(dir, "owner-token"))
		if err != nil || string(after) != string(token) {
			t.Errorf("the owner's token changed, %v", err)
		}
		if page, err := again.owner.ListTokens(t.Context(), listAll); err != nil || len(page.Items) != 1 {
			t.Errorf("after a restart: %+v, %v", page.Items, err)
		}
	})
}

func TestRevokedOwnerTokenLeavesNoFile(t *testing.T) {
	t.Parallel()
	r := start(t, dataDir(t))
	page, err := r.owner.ListTokens(t.Context(), listAll)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.owner.DeleteToken(t.Context(), page.Items[0].ID); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(r.dir, "owner-token")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file: %v", err)
	}
	if _, err := r.owner.ListTokens(t.Context(), listAll); err == nil {
		t.Error("the token still works")
	}
}

// refused starts a server that must not start, and returns why.
func refused(t *testing.T, dir string, flags ...string) string {
	t.Helper()
	s, err := app.NewServer(t.Context(), configure(t, dir, flags...), options(&logBuffer{}))
	if err == nil {
		_ = s.Close()
		t.Fatal("the server started")
	}
	return err.Error()
}

func TestRefusalsToStartSayWhatToDo(t *testing.T) {
	t.Parallel()
	t.Run("the directory is in use", func(t *testing.T) {
		t.Parallel()
		r := start(t, dataDir(t))
		if msg := refused(t, r.dir); !strings.Contains(msg, "another gatehouse server (process ") || !strings.Contains(msg, "--data-dir") {
			t.Error(msg)
		}
		if _, err := r.owner.ListTokens(t.Context(), listAll); err != nil {
			t.Errorf("the first server: %v", err)
		}
	})
	t.Run("the address is in use", func(t *testing.T) {
		t.Parallel()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		dir := dataDir(t)
		if msg := refused(t, dir, "--http-address="+l.Addr().String()); !strings.Contains(msg, "is in use") || !strings.Contains(msg, "--http-address") {
			t.Error(msg)
		}
		if _, err := os.Stat(filepath.Join(dir, "encryption-key")); err == nil {
			t.Error("it left an encryption key behind")
		}
	})
	t.Run("others can read the directory", func(t *testing.T) {
		t.Parallel()
		dir := dataDir(t)
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if msg := refused(t, dir); !strings.Contains(msg, "chmod 700") {
			t.Error(msg)
		}
	})
	t.Run("PostgreSQL is away", func(t *testing.T) {
		t.Parallel()
		msg := refused(t, dataDir(t), "--database-url=postgres://gate:hunter2hunter2@127.0.0.1:1/gate?connect_timeout=2")
		if !strings.Contains(msg, "connect to PostgreSQL at 127.0.0.1") || strings.Contains(msg, "hunter2") {
			t.Error("the message does not say where, or shows the password")
		}
	})
}

func TestTheEncryptionKeyMustFitTheDatabase(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, flags ...string) {
		dir := dataDir(t)
		if err := start(t, dir, flags...).stop(); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "encryption-key")
		right, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		write := func(content string) {
			if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if msg := refused(t, dir, flags...); !strings.Contains(msg, "copy encryption-key from") {
			t.Errorf("without a key: %s", msg)
		}
		if _, err := os.Stat(file); err == nil {
			t.Error("it made a new key for a database that is encrypted")
		}
		write("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n")
		if msg := refused(t, dir, flags...); !strings.Contains(msg, "not the one that the database was encrypted with") || !strings.Contains(msg, "copy encryption-key") {
			t.Errorf("with another key: %s", msg)
		}
		write(string(right[:20]))
		if msg := refused(t, dir, flags...); !strings.Contains(msg, "32 bytes in base64") || strings.Contains(msg, string(right[:10])) {
			t.Errorf("with half a key: %d bytes of message", len(msg))
		}
		write(string(right))
		start(t, dir, flags...)
	})
}
