package app_test

import (
	"database/sql"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/keyring"
	"github.com/gatehousehq/gatehouse/internal/keyring/kektest"
	"github.com/gatehousehq/gatehouse/internal/mockupstream"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// newKEK returns a key as it is kept, and the beginning of its id, which is
// shown.
func newKEK(t *testing.T) (encoded, id string) {
	t.Helper()
	k, text, err := keyring.NewLocal()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text)), keyring.Short(k.ID())
}

func writeKeys(t *testing.T, file string, keys ...string) string {
	t.Helper()
	if err := os.WriteFile(file, []byte(strings.Join(keys, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// servesWith starts a server for the first time, gives it a key of a provider,
// and starts it once more: what it sealed must open.
func servesWith(t *testing.T, dir string, between func(), flags ...string) (first, second *running) {
	t.Helper()
	_, upstream := newUpstream(t, mockupstream.Config{})
	first = start(t, dir, flags...)
	first.add(t, "openai", upstream+"/v1", goodKey)
	token := first.mint(t, "gateway:use").Secret
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	between()
	second = start(t, dir, flags...)
	if status, body := second.ask(t, "openai", token); status != 200 {
		t.Errorf("the gateway answers %d: %s", status, body)
	}
	for _, log := range []string{first.log.String(), second.log.String()} {
		if strings.Contains(log, "older encryption key") || strings.Contains(log, "can be removed") {
			t.Error("the log has something to say about the encryption key")
		}
	}
	return first, second
}

// TestEverySourceOfEncryptionKeys starts a server with each, and looks for the
// secrets of it in what the server says. Vault and AWS KMS are fakes. It sets
// variables, so it runs alone.
func TestEverySourceOfEncryptionKeys(t *testing.T) {
	key, id := newKEK(t)
	nothing := func() {}
	quiet := func(t *testing.T, secrets []string, runs ...*running) {
		t.Helper()
		for _, r := range runs {
			for _, s := range secrets {
				if strings.Contains(r.log.String(), s) {
					t.Error("the log has a secret in it")
				}
			}
		}
	}
	t.Run("file", func(t *testing.T) {
		file := writeKeys(t, filepath.Join(t.TempDir(), "key"), "# ours", key)
		dir := dataDir(t)
		a, b := servesWith(t, dir, nothing, "--encryption-key-source=file:"+file)
		quiet(t, []string{key}, a, b)
		madeNoKey(t, dir)
	})
	t.Run("environment", func(t *testing.T) {
		dir := dataDir(t)
		t.Setenv("GATEHOUSE_ENCRYPTION_KEYS", key)
		a, b := servesWith(t, dir, func() {
			if v, ok := os.LookupEnv("GATEHOUSE_ENCRYPTION_KEYS"); ok {
				t.Errorf("the variable stays in the environment, with %d bytes", len(v))
			}
			t.Setenv("GATEHOUSE_ENCRYPTION_KEYS", key)
		})
		quiet(t, []string{key}, a, b)
		madeNoKey(t, dir)
	})
	t.Run("credential", func(t *testing.T) {
		dir, credentials := dataDir(t), t.TempDir()
		writeKeys(t, filepath.Join(credentials, "encryption-key"), key)
		t.Setenv("CREDENTIALS_DIRECTORY", credentials)
		a, b := servesWith(t, dir, nothing, "--encryption-key-source=credential")
		quiet(t, []string{key}, a, b)
		madeNoKey(t, dir)
	})
	t.Run("command", func(t *testing.T) {
		dir := dataDir(t)
		file := writeKeys(t, filepath.Join(t.TempDir(), "key"), key)
		a, b := servesWith(t, dir, nothing, "--encryption-key-source=exec:/bin/cat "+file)
		quiet(t, []string{key}, a, b)
		madeNoKey(t, dir)
	})
	t.Run("Vault", func(t *testing.T) {
		const token = "hvs.canary-0123456789"
		v := kektest.NewVault(t, false)
		v.CreateKey("transit/gatehouse", "aes256-gcm96", false)
		v.Tokens[token] = []string{"keys", "encrypt", "decrypt"}
		t.Setenv("VAULT_ADDR", v.URL)
		t.Setenv("VAULT_TOKEN", token)
		dir := dataDir(t)
		a, b := servesWith(t, dir, func() { v.Rotate("transit/gatehouse", 1) }, "--encryption-key-source=vault:transit/gatehouse")
		quiet(t, []string{token}, a, b)
		madeNoKey(t, dir)
		if err := b.stop(); err != nil {
			t.Fatal(err)
		}
		v.Sealed = true
		msg := refused(t, dir, "--encryption-key-source=vault:transit/gatehouse")
		if !strings.Contains(msg, "sealed") || !strings.Contains(msg, v.URL) || !strings.Contains(msg, "encrypted with the encryption key vault:transit/gatehouse") || strings.Contains(msg, token) {
			t.Errorf("with Vault sealed: %s", msg)
		}
	})
	t.Run("AWS KMS", func(t *testing.T) {
		const accessKey, secretKey = "AKIACANARY0000000000", "canary/0123456789/abcdefghijklmnopqrstuv"
		f := kektest.NewKMS(t)
		f.Accounts[accessKey] = secretKey
		f.Use(t, accessKey)
		arn := f.CreateKey("alias/gatehouse")
		dir := dataDir(t)
		a, b := servesWith(t, dir, nothing, "--encryption-key-source=awskms:alias/gatehouse")
		quiet(t, []string{secretKey}, a, b)
		madeNoKey(t, dir)
		if err := b.stop(); err != nil {
			t.Fatal(err)
		}
		other := f.CreateKey("alias/gatehouse")
		if msg := refused(t, dir, "--encryption-key-source=awskms:alias/gatehouse"); !strings.Contains(msg, arn) || !strings.Contains(msg, other) || !strings.Contains(msg, "--encryption-key-source") {
			t.Errorf("with the alias moved: %s", msg)
		}
		f.Close()
		if msg := refused(t, dir, "--encryption-key-source=awskms:alias/gatehouse"); !strings.Contains(msg, f.URL) || !strings.Contains(msg, arn) || strings.Contains(msg, secretKey) {
			t.Errorf("with KMS away: %s", msg)
		}
	})
	t.Run("only the file is made", func(t *testing.T) {
		for _, source := range []string{"env", "credential", "exec:/bin/true", "exec:/bin/false", "file:" + filepath.Join(t.TempDir(), "none"), "vault:transit/gatehouse", "file,env"} {
			dir := dataDir(t)
			t.Setenv("VAULT_ADDR", "")
			t.Setenv("CREDENTIALS_DIRECTORY", "")
			if msg := refused(t, dir, "--encryption-key-source="+source); !strings.Contains(msg, "encryption key from ") {
				t.Errorf("%s: %s", source, msg)
			}
			madeNoKey(t, dir)
		}
	})
	t.Run("the variable holds another key", func(t *testing.T) {
		dir := dataDir(t)
		file := writeKeys(t, filepath.Join(dir, "encryption-key"), key)
		if err := start(t, dir).stop(); err != nil {
			t.Fatal(err)
		}
		other, otherID := newKEK(t)
		t.Setenv("GATEHOUSE_ENCRYPTION_KEYS", other)
		msg := refused(t, dir)
		if !strings.Contains(msg, id) || !strings.Contains(msg, otherID) || !strings.Contains(msg, "--encryption-key-source (now env)") || strings.Contains(msg, other) {
			t.Errorf("got %s", msg)
		}
		// In use beside the file it opens.
		t.Setenv("GATEHOUSE_ENCRYPTION_KEYS", other)
		r := start(t, dir, "--encryption-key-source=env,file:"+file)
		if !strings.Contains(r.log.String(), "older encryption key") {
			t.Error("nothing says that the keys are still wrapped by the older one")
		}
	})
}

// madeNoKey fails if a server has made a key where one comes from elsewhere.
func madeNoKey(t *testing.T, dir string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(dir, "encryption-key")); err == nil {
		t.Error("it made an encryption key")
	}
}

func TestAnEncryptionKeyIsChanged(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, flags ...string) {
		dir := dataDir(t)
		r := start(t, dir, flags...)
		_, upstream := newUpstream(t, mockupstream.Config{})
		r.add(t, "openai", upstream+"/v1", goodKey)
		token := r.mint(t, "gateway:use").Secret
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "encryption-key")
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		older := strings.TrimSpace(string(b))
		k, err := keyring.ParseLocal(b)
		if err != nil {
			t.Fatal(err)
		}
		olderID := keyring.Short(k.ID())
		newer, newerID := newKEK(t)

		// The newer first: what the older wrapped opens.
		writeKeys(t, file, newer, older)
		r = start(t, dir, flags...)
		if status, body := r.ask(t, "openai", token); status != 200 {
			t.Errorf("the gateway answers %d: %s", status, body)
		}
		if log := r.log.String(); !strings.Contains(log, "gatehouse dbcrypt rotate --rewrap") || !strings.Contains(log, newerID) {
			t.Error("nothing says that the data keys are still wrapped by the older key")
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}

		// The newer last: it is in no use.
		writeKeys(t, file, older, newer)
		r = start(t, dir, flags...)
		if log := r.log.String(); strings.Contains(log, "rotate --rewrap") || !strings.Contains(log, "name a new one first") {
			t.Error("nothing says that a key in the wrong place is of no use")
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}

		// The newer alone does not open.
		writeKeys(t, file, newer)
		if msg := refused(t, dir, flags...); !strings.Contains(msg, olderID) || !strings.Contains(msg, newerID) {
			t.Errorf("with the newer alone: %s", msg)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if msg := refused(t, dir, flags...); !strings.Contains(msg, olderID) || !strings.Contains(msg, file) || !strings.Contains(msg, "--encryption-key-source") {
			t.Errorf("with none: %s", msg)
		}
		for _, encoded := range []string{older, newer} {
			raw, err := base64.StdEncoding.DecodeString(encoded)
			if err != nil {
				t.Fatal(err)
			}
			if log := r.log.String(); strings.Contains(log, encoded) || strings.Contains(log, string(raw)) {
				t.Error("the log has a key in it")
			}
		}
	})
}

// rewrap wraps all data keys of a database by another KEK, as a rotation does.
func rewrap(t *testing.T, dir string, flags []string, newer, older keyring.KEK) {
	t.Helper()
	driver, dsn := "sqlite", filepath.Join(dir, "gatehouse.db")
	if len(flags) > 0 {
		driver, dsn = "pgx", strings.TrimPrefix(flags[0], "--database-url=")
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var installation string
	if err := db.QueryRowContext(t.Context(), "SELECT id FROM installation").Scan(&installation); err != nil {
		t.Fatal(err)
	}
	rows, err := db.QueryContext(t.Context(), "SELECT number, active_key_digest, purpose, wrapped_key, kek_id, check_value FROM dbcrypt_keys")
	if err != nil {
		t.Fatal(err)
	}
	var keys []store.EncryptionKey
	for rows.Next() {
		var k store.EncryptionKey
		var wrapped, check []byte
		if err := rows.Scan(&k.Number, &k.ActiveDigest, &k.Purpose, &wrapped, &k.KEKID, &check); err != nil {
			t.Fatal(err)
		}
		k.WrappedKey, k.CheckValue = string(wrapped), string(check)
		keys = append(keys, k)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil || len(keys) < 3 {
		t.Fatalf("%d data keys, %v", len(keys), err)
	}
	ring := keyring.NewRing(installation, []keyring.KEK{newer, older})
	for _, k := range keys {
		k, err := ring.Rewrap(t.Context(), k)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.ExecContext(t.Context(), "UPDATE dbcrypt_keys SET wrapped_key = $1, kek_id = $2, former_kek_ids = $3 WHERE number = $4",
			[]byte(k.WrappedKey), k.KEKID, k.FormerKEKs.String(), k.Number); err != nil {
			t.Fatal(err)
		}
	}
}

func TestARetiredEncryptionKeyIsNotFirst(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, flags ...string) {
		dir := dataDir(t)
		if err := start(t, dir, flags...).stop(); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "encryption-key")
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		older, err := keyring.ParseLocal(b)
		if err != nil {
			t.Fatal(err)
		}
		newer, text, err := keyring.NewLocal()
		if err != nil {
			t.Fatal(err)
		}
		rewrap(t, dir, flags, newer, older)
		olderText, newerText := strings.TrimSpace(string(b)), strings.TrimSpace(string(text))
		for name, keys := range map[string][]string{"first": {olderText, newerText}, "alone": {olderText}} {
			writeKeys(t, file, keys...)
			msg := refused(t, dir, flags...)
			for _, want := range []string{"was retired", "remove " + keyring.Short(older.ID()) + " from " + file, keyring.Short(newer.ID()) + " is first"} {
				if !strings.Contains(msg, want) {
					t.Errorf("%s: got %s, want %q", name, msg, want)
				}
			}
		}
		for name, tt := range map[string]struct {
			keys []string
			says bool
		}{"later": {[]string{newerText, olderText}, true}, "gone": {[]string{newerText}, false}} {
			writeKeys(t, file, tt.keys...)
			r := start(t, dir, flags...)
			log := r.log.String()
			if got := strings.Contains(log, "was retired can be removed") && strings.Contains(log, keyring.Short(older.ID())); got != tt.says {
				t.Errorf("%s: the log says that it can be removed: %v", name, got)
			}
			if strings.Contains(log, "rotate --rewrap") {
				t.Errorf("%s: the log asks for what was done", name)
			}
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
