package canary_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gatehousehq/gatehouse/internal/app"
)

// tlsFiles writes a certificate and its key, and returns the flags.
func (h *house) tlsFiles() []string {
	h.t.Helper()
	if h.vault.first("private key of TLS") == "" {
		h.vault.one("private key of TLS")
	}
	der := []byte(h.vault.first("private key of TLS"))
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		h.t.Fatal(err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		h.t.Fatal("it is another kind of key")
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "canary"}, NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		h.t.Fatal(err)
	}
	dir := h.newDir("tls")
	h.write(filepath.Join(dir, "cert"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
	h.write(filepath.Join(dir, "key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	h.write(filepath.Join(dir, "other-key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte(h.otherThan("private key of TLS", string(der)))}))
	h.write(filepath.Join(dir, "broken-key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der[:100]}))
	return []string{"--tls-cert=" + filepath.Join(dir, "cert"), "--tls-key=" + filepath.Join(dir, "key")}
}

// otherThan returns another secret of a kind.
func (h *house) otherThan(kind, value string) string {
	for {
		if other := h.vault.one(kind); other != value {
			return other
		}
	}
}

func (h *house) write(file string, content []byte) {
	h.t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// A badStart is a start that must not succeed, in a directory of its own. It
// returns more flags.
type badStart struct {
	name string
	prep func(h *house, dir string) []string
	only string
}

// badStarts are the ways to start wrongly with a secret in hand.
var badStarts = []badStart{
	{"half of the encryption key", func(h *house, dir string) []string {
		h.copyTo(dir, func(kek []byte) []byte { return kek[:len(kek)/2] })
		return nil
	}, ""},
	{"the encryption key twice", func(h *house, dir string) []string {
		h.copyTo(dir, func(kek []byte) []byte { return append(bytes.Clone(kek), kek...) })
		return nil
	}, ""},
	{"the encryption key of somebody else first", func(h *house, dir string) []string {
		h.copyTo(dir, func([]byte) []byte {
			return []byte(h.vault.one("encryption key of somebody else") + "\n" + h.vault.one("encryption key of somebody else") + "\n")
		})
		return nil
	}, ""},
	{"the encryption key in quotes", func(h *house, dir string) []string {
		h.copyTo(dir, func(kek []byte) []byte { return fmt.Appendf(nil, "%q", kek) })
		return nil
	}, ""},
	{"the encryption key of somebody else", func(h *house, dir string) []string {
		h.copyTo(dir, func([]byte) []byte { return []byte(h.vault.one("encryption key of somebody else") + "\n") })
		return nil
	}, ""},
	{"no encryption key", func(h *house, dir string) []string {
		h.copyTo(dir, func([]byte) []byte { return nil })
		return nil
	}, ""},
	{"a token in the place of the encryption key", func(h *house, dir string) []string {
		h.copyTo(dir, func([]byte) []byte { return []byte(h.token) })
		return nil
	}, ""},
	{"a broken database", func(h *house, dir string) []string {
		h.copyTo(dir, func(kek []byte) []byte { return kek })
		file := filepath.Join(dir, "gatehouse.db")
		b, err := os.ReadFile(file)
		if err != nil {
			h.t.Fatal(err)
		}
		copy(b[4096:], bytes.Repeat([]byte("broken"), 4096)) // all but the first page
		h.write(file, b)
		return nil
	}, "sqlite"},
	{"a webhook of no scheme", func(h *house, _ string) []string {
		return []string{"--audit-checkpoints=ftp" + strings.TrimPrefix(h.hookURL(), "http")}
	}, ""},
	{"a webhook that is no URL", func(h *house, _ string) []string {
		return []string{"--audit-checkpoints=" + strings.Replace(h.hookURL(), "@", "@[", 1)}
	}, ""},
	{"the key of another certificate", func(h *house, _ string) []string {
		h.tlsFiles()
		return []string{"--tls-cert=" + filepath.Join(h.base, "tls/cert"), "--tls-key=" + filepath.Join(h.base, "tls/other-key")}
	}, ""},
	{"half of a private key", func(h *house, _ string) []string {
		h.tlsFiles()
		return []string{"--tls-cert=" + filepath.Join(h.base, "tls/cert"), "--tls-key=" + filepath.Join(h.base, "tls/broken-key")}
	}, ""},
	{"the private key for a certificate", func(h *house, _ string) []string {
		h.tlsFiles()
		return []string{"--tls-cert=" + filepath.Join(h.base, "tls/key"), "--tls-key=" + filepath.Join(h.base, "tls/cert")}
	}, ""},
	{"a database that is not there", func(h *house, _ string) []string {
		return h.databaseAt("postgres://ada:", "@127.0.0.1:1/x?connect_timeout=1", true)
	}, ""},
	{"a database URL with a bad port", func(h *house, _ string) []string { return h.databaseAt("postgres://ada:", "@127.0.0.1:port/x", true) }, ""},
	{"a database URL that is not escaped", func(h *house, _ string) []string { return h.databaseAt("postgres://ada:", "@127.0.0.1/x", false) }, ""},
	{"a database URL that is not escaped, and ends early", func(h *house, _ string) []string {
		return h.databaseAt("postgres://ada:x@127.0.0.1:1/", "@127.0.0.1/x", true)
	}, ""},
	{"a database URL with a parameter of no sense", func(h *house, _ string) []string {
		return h.databaseAt("postgres://ada@127.0.0.1:1/x?connect_timeout=1&sslmode=", "", true)
	}, ""},
	{"a database URL with the password in its query", func(h *house, _ string) []string {
		return h.databaseAt("postgres://ada@127.0.0.1:1/x?connect_timeout=1&password=", "", true)
	}, ""},
	{"a database of another kind", func(h *house, _ string) []string { return h.databaseAt("mysql://ada:", "@127.0.0.1/x", true) }, ""},
	{"a password that the database refuses", func(h *house, _ string) []string {
		return h.databaseAt("postgres://ada:", "@"+h.refusingDatabase()+"/x?sslmode=disable", true)
	}, ""},
	{"a password in the place of a time", func(h *house, _ string) []string {
		return h.settingsFile("audit-retention: " + h.word())
	}, ""},
	{"a password in the place of a number", func(h *house, _ string) []string { return h.settingsFile("replay-body: " + h.word()) }, ""},
	{"a password in the place of yes or no", func(h *house, _ string) []string { return h.settingsFile("seed-from-env: " + h.word()) }, ""},
	{"a password in the place of a mode", func(h *house, _ string) []string { return h.settingsFile("seed-mode: " + h.word()) }, ""},
	{"a password in the place of networks", func(h *house, _ string) []string { return h.settingsFile("upstream-deny: " + h.word()) }, ""},
	{"a password in the place of a level", func(h *house, _ string) []string { return h.settingsFile("log-level: " + h.word()) }, ""},
	{"a password in the place of a setting", func(h *house, _ string) []string { return h.settingsFile(h.word() + ": 1") }, ""},
	{"a file that is not YAML", func(h *house, _ string) []string {
		return h.settingsFile("database-url: [" + h.vault.one("password of the database"))
	}, ""},
	{"a file with a setting of no sense", func(h *house, _ string) []string {
		return h.settingsFile("database-url: postgres://ada:" + url.QueryEscape(h.vault.one("password of the database")) + "@127.0.0.1:1/x?connect_timeout=1\nlog-level: loud\n")
	}, "sqlite"},
	{"a file with a database URL of no scheme", func(h *house, _ string) []string {
		return h.settingsFile("database-url: 'ada:" + url.QueryEscape(h.vault.one("password of the database")) + "@127.0.0.1'\n")
	}, "sqlite"},
}

// word is a secret as a YAML string.
func (h *house) word() string {
	b, _ := json.Marshal(h.vault.one("password of the database")) // a string is never refused
	return string(b)
}

func (h *house) settingsFile(content string) []string {
	file := filepath.Join(h.base, "settings.yaml")
	h.write(file, []byte(content))
	return []string{"--config=" + file}
}

func (h *house) databaseAt(before, after string, escaped bool) []string {
	password := h.vault.one("password of the database")
	if escaped {
		password = url.QueryEscape(password)
	}
	return []string{"--database-url=" + before + password + after}
}

// copyTo makes a data directory of what is in the house's, with another
// encryption key.
func (h *house) copyTo(dir string, change func(kek []byte) []byte) {
	h.t.Helper()
	kek, err := os.ReadFile(filepath.Join(h.dir, "encryption-key"))
	if err != nil {
		h.t.Fatal(err)
	}
	if kek = change(kek); kek != nil {
		h.write(filepath.Join(dir, "encryption-key"), kek)
	}
	if h.pg != "" {
		return
	}
	for _, p := range h.backup() {
		_, content, _ := bytes.Cut(p.content, []byte("\n")) // behind the name
		h.write(filepath.Join(dir, "gatehouse.db"), content)
	}
}

// refusingDatabase is a PostgreSQL server as far as the password, which it shows.
func (h *house) refusingDatabase() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = l.Close() })
	go func() { // ends with the listener
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			message := func() []byte {
				size := make([]byte, 4)
				if _, err := c.Read(size); err != nil {
					return nil
				}
				rest := make([]byte, min(binary.BigEndian.Uint32(size), 1<<16))
				n, _ := c.Read(rest)
				return rest[:n]
			}
			_ = c.SetDeadline(time.Now().Add(5 * time.Second))
			message()
			_, _ = c.Write([]byte{'R', 0, 0, 0, 8, 0, 0, 0, 3}) // in the clear, please
			_, _ = c.Read(make([]byte, 1))
			message()
			fields := "SFATAL\x00C28P01\x00Mpassword authentication failed for user ada\x00\x00"
			_, _ = c.Write(append(binary.BigEndian.AppendUint32([]byte{'E'}, uint32(len(fields)+4)), fields...))
			_ = c.Close()
		}
	}()
	return l.Addr().String()
}

// startBadly has a start fail, and searches what it leaves behind.
func (h *house) startBadly(b badStart) {
	h.t.Helper()
	if b.only == "sqlite" && h.pg != "" {
		return
	}
	dir, err := os.MkdirTemp(h.base, "start-")
	if err != nil {
		h.t.Fatal(err)
	}
	h.start(b.name, dir, b.prep(h, dir)...)
}

// start starts a server that does not get far: it fails, or is closed again.
func (h *house) start(name, dir string, flags ...string) {
	h.t.Helper()
	first := strings.HasPrefix(name, "first start")
	cfg, err := h.config(dir, flags...)
	if err == nil {
		var s *app.Server
		if s, err = app.NewServer(h.t.Context(), cfg, h.options()); err == nil {
			err = s.Close()
			if !first {
				h.t.Errorf("%s: the server started", name)
			}
		}
	}
	if err != nil {
		h.tape.write("errors/at the start", []byte(name+": "+err.Error()))
		h.log.Error("it did not start", "name", name, "error", err) // as the program says it
	}
	if first {
		h.learnFiles(dir)
	}
	for _, p := range h.filesBelow("files", dir) {
		if strings.HasSuffix(p.where, "encryption-key") {
			continue // as it was put there
		}
		h.look(sinks[0], []piece{p})
	}
}
