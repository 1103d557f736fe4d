package keyring_test

import (
	"context"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/keyring"
)

func TestParseSources(t *testing.T) {
	t.Parallel()
	got, err := keyring.ParseSources([]string{
		"file", " file:/etc/gatehouse/key", "env", "credential", "credential:kek", "exec:/usr/bin/op read op://vault/gatehouse",
		"vault:transit/gatehouse", "vault:teams/a/transit/gate-house.1", "awskms:alias/gatehouse", "awskms:arn:aws:kms:eu-central-1:111122223333:key/1",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []keyring.Source{
		{Kind: keyring.FromFile}, {Kind: keyring.FromFile, Name: "/etc/gatehouse/key"}, {Kind: keyring.FromEnvironment},
		{Kind: keyring.FromCredential}, {Kind: keyring.FromCredential, Name: "kek"},
		{Kind: keyring.FromCommand, Name: "/usr/bin/op read op://vault/gatehouse"},
		{Kind: keyring.FromVault, Name: "transit/gatehouse"}, {Kind: keyring.FromVault, Name: "teams/a/transit/gate-house.1"},
		{Kind: keyring.FromAWSKMS, Name: "alias/gatehouse"}, {Kind: keyring.FromAWSKMS, Name: "arn:aws:kms:eu-central-1:111122223333:key/1"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
	if s := got[5].String(); s != "exec:/usr/bin/op" {
		t.Errorf("a command shows its arguments: %s", s)
	}
	const key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	for _, bad := range []string{
		"", "File", key, "file:", "env:" + key, "credential:", "credential:a/" + key, "exec:", "exec:op read", "exec:./op", "vault:", "vault:gatehouse",
		"vault:/gatehouse", "vault:transit/", "vault:transit/../sys/" + key, "vault:transit/a?b", "vault:transit/a b", "awskms:", "awskms",
		"gcpkms:" + key,
	} {
		if _, err := keyring.ParseSources([]string{"env", bad}); err == nil || !strings.HasPrefix(err.Error(), "source 2: ") || strings.Contains(err.Error(), key[:10]) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := keyring.ParseSources([]string{"env", "file:/a", "file: /a"}); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("a source that is named twice: %v", err)
	}
}

// A corner is a machine as far as sources know of it.
type corner struct {
	dir   string
	place keyring.Place
	unset []string
}

func newCorner(t *testing.T, environ ...string) *corner {
	t.Helper()
	c := &corner{dir: t.TempDir()}
	c.place = keyring.Place{
		File: filepath.Join(c.dir, "encryption-key"), Environ: environ,
		Unset: func(name string) error { c.unset = append(c.unset, name); return nil },
	}
	return c
}

func (c *corner) write(t *testing.T, name, content string, mode os.FileMode) string {
	t.Helper()
	file := filepath.Join(c.dir, name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
	return file
}

// open returns the ids of the keys of those sources, the default if there are
// none.
func (c *corner) open(t *testing.T, sources ...string) ([]string, error) {
	t.Helper()
	parsed, err := keyring.ParseSources(sources)
	if err != nil {
		t.Fatal(err)
	}
	if len(parsed) == 0 {
		parsed = c.place.Default()
	}
	keks, err := keyring.Open(t.Context(), parsed, c.place)
	var ids []string
	for _, k := range keks {
		ids = append(ids, k.ID())
	}
	return ids, err
}

// newKeys returns keys as they are kept, and their ids.
func newKeys(t *testing.T, n int) (encoded, ids []string) {
	t.Helper()
	for range n {
		k, text := newKEK(t)
		encoded, ids = append(encoded, strings.TrimSpace(string(text))), append(ids, k.ID())
	}
	return encoded, ids
}

func TestKeyFiles(t *testing.T) {
	t.Parallel()
	keys, ids := newKeys(t, 3)
	c := newCorner(t)
	c.write(t, "encryption-key", keys[0]+"\n", 0o600)
	list := c.write(t, "list", "# the newest\n"+keys[1]+"  # of May\r\n\n\t"+keys[2]+"\n# "+keys[0]+"\n", 0o400)
	// As Kubernetes has it: the name leads to a directory that is a link itself.
	for _, link := range [][2]string{{"..2026_05_01", "..data"}, {"..data/key", "key"}} {
		if err := os.MkdirAll(filepath.Join(c.dir, "..2026_05_01"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(link[0], filepath.Join(c.dir, link[1])); err != nil {
			t.Fatal(err)
		}
	}
	c.write(t, "..2026_05_01/key", keys[1], 0o400)
	for name, tt := range map[string]struct{ sources, want []string }{
		"default":           {nil, ids[:1]},
		"named":             {[]string{"file:" + list}, ids[1:]},
		"in their order":    {[]string{"file:" + list, "file"}, []string{ids[1], ids[2], ids[0]}},
		"through two links": {[]string{"file:" + filepath.Join(c.dir, "key")}, ids[1:2]},
	} {
		if got, err := c.open(t, tt.sources...); err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}

func TestKeyFilesThatAreRefused(t *testing.T) {
	t.Parallel()
	keys, _ := newKeys(t, 2)
	c := newCorner(t)
	fifo := filepath.Join(c.dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	open := c.write(t, "open", keys[0], 0o644)
	link := filepath.Join(c.dir, "link")
	if err := os.Symlink(open, link); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		sources []string
		want    string
	}{
		"others may read it":          {[]string{"file:" + open}, "mode 0644): chmod 600 "},
		"its group may read it":       {[]string{"file:" + c.write(t, "group", keys[0], 0o640)}, "chmod 600 "},
		"others may write it":         {[]string{"file:" + c.write(t, "writable", keys[0], 0o602)}, "chmod 600 "},
		"it leads to one that may be": {[]string{"file:" + link}, "chmod 600 "},
		"a directory":                 {[]string{"file:" + c.dir}, "is not a file"},
		"a pipe":                      {[]string{"file:" + fifo}, "is not a file"},
		"nothing there":               {[]string{"file:" + filepath.Join(c.dir, "no-such")}, "no such file"},
		"empty":                       {[]string{"file:" + c.write(t, "empty", "", 0o600)}, "openssl rand -base64 32"},
		"comments alone":              {[]string{"file:" + c.write(t, "comments", "# "+keys[0]+"\n\n", 0o600)}, "there is no key in it"},
		"half a key":                  {[]string{"file:" + c.write(t, "half", keys[0]+"\n"+keys[1][:20], 0o600)}, "line 2: it is not an encryption key"},
		"two on a line":               {[]string{"file:" + c.write(t, "two", keys[0]+" "+keys[1], 0o600)}, "line 1: it is not an encryption key"},
		"one key twice":               {[]string{"file:" + c.write(t, "same", keys[0]+"\n"+keys[0], 0o600)}, "is there twice"},
		"one key in two files":        {[]string{"file:" + c.write(t, "a", keys[0], 0o600), "file:" + c.write(t, "b", keys[0], 0o600)}, "is there twice"},
		"far too large":               {[]string{"file:" + c.write(t, "large", strings.Repeat("#\n", 40<<10), 0o600)}, "too large"},
	} {
		_, err := c.open(t, tt.sources...)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
		shows(t, name, err, keys...)
	}
	// Only the file of the data directory may be made, and only if there is nothing
	// else.
	if _, err := c.open(t); !isNoFile(err) {
		t.Errorf("no file in the data directory: %v", err)
	}
	if _, err := c.open(t, "file", "file:"+c.write(t, "good", keys[0], 0o600)); err == nil || isNoFile(err) || !strings.Contains(err.Error(), c.place.File) {
		t.Errorf("no file in the data directory, and another source: %v", err)
	}
	if _, err := c.open(t, "file:"+c.place.File); err == nil || isNoFile(err) {
		t.Errorf("no file where one is named: %v", err)
	}
}

func isNoFile(err error) bool {
	_, ok := errors.AsType[*keyring.NoFileError](err)
	return ok
}

// shows fails if an error has any ten characters of a key in it.
func shows(t *testing.T, name string, err error, keys ...string) {
	t.Helper()
	for _, key := range keys {
		raw, decodeErr := base64.StdEncoding.DecodeString(key)
		if decodeErr != nil {
			t.Fatal(decodeErr)
		}
		if err != nil && strings.Contains(err.Error(), string(raw)) {
			t.Errorf("%s: the error has a key in it", name)
		}
		for i := 0; err != nil && i+10 <= len(key); i++ {
			if strings.Contains(err.Error(), key[i:i+10]) {
				t.Errorf("%s: the error has part of a key in it", name)
				break
			}
		}
	}
}

func TestKeysInTheEnvironment(t *testing.T) {
	t.Parallel()
	keys, ids := newKeys(t, 3)
	for _, value := range []string{keys[0] + "," + keys[1] + "," + keys[2], " " + keys[0] + "\n" + keys[1] + "\t" + keys[2] + ", \n"} {
		for _, sources := range [][]string{nil, {"env"}} { // set is as good as named
			c := newCorner(t, "HOME=/", "GATEHOUSE_ENCRYPTION_KEYS="+value)
			got, err := c.open(t, sources...)
			if err != nil || !slices.Equal(got, ids) {
				t.Errorf("got %v, %v", got, err)
			}
			if !slices.Equal(c.unset, []string{"GATEHOUSE_ENCRYPTION_KEYS"}) {
				t.Errorf("the variable stays in the environment: %v", c.unset)
			}
		}
	}
	for name, tt := range map[string]struct {
		value   string
		sources []string
		want    string
	}{
		"not set":        {"", []string{"env"}, "GATEHOUSE_ENCRYPTION_KEYS is not set"},
		"not a key":      {keys[0] + "," + keys[1][:30], []string{"env"}, "GATEHOUSE_ENCRYPTION_KEYS: line 2"},
		"nothing in it":  {", ,", []string{"env"}, "there is no key"},
		"the same twice": {keys[0] + "," + keys[0], []string{"env"}, "is there twice, from env and from env"},
		"not named":      {keys[0], []string{"file"}, "does not name env"},
	} {
		c := newCorner(t, "GATEHOUSE_ENCRYPTION_KEYS="+tt.value)
		_, err := c.open(t, tt.sources...)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
		shows(t, name, err, keys...)
		if tt.value != "" && len(c.unset) != 1 {
			t.Errorf("%s: the variable stays in the environment", name)
		}
	}
}

func TestCredentialsOfSystemd(t *testing.T) {
	t.Parallel()
	keys, ids := newKeys(t, 2)
	c := newCorner(t)
	// Where access is given by a list, the mode shows the group's.
	c.write(t, "encryption-key", keys[0], 0o440)
	c.write(t, "kek", keys[1], 0o400)
	c.write(t, "bad", keys[1][:30], 0o400)
	c.place.Environ = keyring.Environ{"CREDENTIALS_DIRECTORY=" + c.dir}
	got, err := c.open(t, "credential:kek", "credential")
	if want := []string{ids[1], ids[0]}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	for source, want := range map[string]string{"credential:no-such": "LoadCredential=no-such:PATH", "credential:bad": "not an encryption key"} {
		_, err := c.open(t, source)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", source, err)
		}
		shows(t, source, err, keys...)
	}
	if _, err := newCorner(t).open(t, "credential"); err == nil || !strings.Contains(err.Error(), "CREDENTIALS_DIRECTORY is not set") {
		t.Errorf("not under systemd: %v", err)
	}
}

func TestOtherKindsAreOpenedByThoseWhoCan(t *testing.T) {
	t.Parallel()
	keys, ids := newKeys(t, 2)
	k, err := keyring.ParseLocal([]byte(keys[1]))
	if err != nil {
		t.Fatal(err)
	}
	c := newCorner(t, "A=1")
	c.write(t, "encryption-key", keys[0], 0o600)
	errDown := errors.New("it is down")
	c.place.Openers = map[keyring.Kind]keyring.Opener{
		keyring.FromVault: func(_ context.Context, name string, env keyring.Environ) ([]keyring.KEK, error) {
			if name != "transit/gatehouse" || env.Get("A") != "1" || env.Get("B") != "" {
				t.Errorf("asked for %q with %v", name, env)
			}
			return []keyring.KEK{k}, nil
		},
		keyring.FromAWSKMS:  func(context.Context, string, keyring.Environ) ([]keyring.KEK, error) { return nil, errDown },
		keyring.FromCommand: func(context.Context, string, keyring.Environ) ([]keyring.KEK, error) { return nil, nil },
	}
	got, err := c.open(t, "vault:transit/gatehouse", "file")
	if want := []string{ids[1], ids[0]}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := c.open(t, "file", "awskms:alias/a"); !errors.Is(err, errDown) || !strings.Contains(err.Error(), "awskms:alias/a") {
		t.Errorf("a source that is down: %v", err)
	}
	if _, err := c.open(t, "exec:/bin/true --secret", "file"); err == nil || strings.Contains(err.Error(), "--secret") || !strings.Contains(err.Error(), "no key in it") {
		t.Errorf("a source with nothing: %v", err)
	}
	delete(c.place.Openers, keyring.FromVault)
	if _, err := c.open(t, "vault:transit/gatehouse"); err == nil || !strings.Contains(err.Error(), "no support") {
		t.Errorf("a kind that is not built in: %v", err)
	}
}

// FuzzParseSources wants what is taken to be taken again, as it was understood.
func FuzzParseSources(f *testing.F) {
	for _, seed := range []string{"file", "file:/a//b", "env", "credential:kek", "exec:/bin/op read  x", "vault:a/b/c", "awskms:alias/a", "vault:transit/../a", ":", "file:"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := keyring.ParseSources([]string{text})
		if err != nil {
			return
		}
		s := got[0]
		again := string(s.Kind)
		if s.Name != "" {
			again += ":" + s.Name
		}
		if second, err := keyring.ParseSources([]string{again}); err != nil || second[0] != s {
			t.Errorf("%q is %+v, and then %+v, %v", text, s, second, err)
		}
		if s.Kind == keyring.FromVault && (strings.Contains(s.Name, "..") && slices.Contains(strings.Split(s.Name, "/"), "..") || strings.ContainsAny(s.Name, "?#%\\ \n")) {
			t.Errorf("%q would be another path in Vault", s.Name)
		}
	})
}
