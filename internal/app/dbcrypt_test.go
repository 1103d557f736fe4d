package app_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/app"
	"github.com/gatehousehq/gatehouse/internal/mockupstream"
)

// command runs a command of the machine and returns what it printed.
func command(t *testing.T, cmd *cobra.Command, dir string, flags []string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(io.Discard)
	cmd.SilenceUsage = true
	cmd.SetArgs(append(append([]string{"--data-dir=" + dir}, flags...), args...))
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

var installationName = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

func TestDecryptExportsToAge(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, flags ...string) {
		dir := dataDir(t)
		r := start(t, dir, flags...)
		r.add(t, "one", "http://127.0.0.1:1/v1", goodKey, spentKey)
		settings := `{"_type":"bedrock","_version":1,"region":"eu-central-1","access_key":"AKIACANARY0123456789","access_key_secret":"canary/secret+0123456789<&>"}`
		if _, err := r.owner.CreateProvider(t.Context(), client.CreateProvider{
			Type: client.Anthropic, Name: "two", BaseURL: "https://bedrock-runtime.eu-central-1.amazonaws.com", Settings: json.RawMessage(settings),
		}); err != nil {
			t.Fatal(err)
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		who, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		to := "--recipient=" + who.Recipient().String()
		file := filepath.Join(t.TempDir(), "providers.age")
		_, err = command(t, app.DecryptCommand(), dir, flags, to, file)
		if err == nil {
			t.Fatal("exported without the installation's name")
		}
		name := "--installation=" + installationName.FindString(err.Error())
		for why, args := range map[string][]string{
			"nobody named":         {name, file},
			"another installation": {to, "--installation=0190a5a0-0000-7000-8000-000000000001", file},
			"the secret half":      {name, "--recipient=" + who.String(), file},
			"a file that is there": {to, name, filepath.Join(dir, "owner-token")},
			"no such directory":    {to, name, filepath.Join(dir, "none", "x")},
		} {
			if out, err := command(t, app.DecryptCommand(), dir, flags, args...); err == nil || strings.Contains(err.Error(), who.String()) {
				t.Errorf("%s: %q, %v", why, out, err)
			}
		}
		out, err := command(t, app.DecryptCommand(), dir, flags, to, name, file)
		if err != nil || !strings.Contains(out, "3 secrets are in") {
			t.Fatalf("%q, %v", out, err)
		}
		sealed, err := os.ReadFile(file)
		info, statErr := os.Stat(file)
		if err != nil || statErr != nil || info.Mode().Perm() != 0o600 || bytes.Contains(sealed, []byte("canary")) {
			t.Errorf("the file: %v, %v, %v", err, statErr, info.Mode())
		}
		plain, err := age.Decrypt(bytes.NewReader(sealed), who)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(plain)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for line := range strings.Lines(string(text)) {
			var p struct {
				Settings struct {
					AccessKey string `json:"access_key"`
					Secret    string `json:"access_key_secret"`
				}
				Keys []struct {
					APIKey string `json:"api_key"`
				} `json:"api_keys"`
			}
			if err := json.Unmarshal([]byte(line), &p); err != nil {
				t.Fatal(err)
			}
			for _, k := range p.Keys {
				got = append(got, k.APIKey)
			}
			if p.Settings.AccessKey != "" {
				got = append(got, p.Settings.AccessKey, p.Settings.Secret)
			}
		}
		if want := []string{goodKey, spentKey, "AKIACANARY0123456789", "canary/secret+0123456789<&>"}; !slices.Equal(got, want) {
			t.Errorf("the export has %q", got)
		}
		if n := strings.Count(string(text), "\n"); n != 2 {
			t.Errorf("%d lines", n)
		}
		if left, err := filepath.Glob(filepath.Join(filepath.Dir(file), ".*")); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
		entries, err := start(t, dir, flags...).owner.ListAudit(t.Context(), client.AuditFilter{Actor: "exporter"}, client.ListOptions{})
		if err != nil || len(entries.Items) != 1 || entries.Items[0].Action != "open" || entries.Items[0].Count != 3 {
			t.Errorf("the entries: %+v, %v", entries.Items, err)
		}
	})
}

func TestRecoverWithoutTheEncryptionKey(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, flags ...string) {
		up, url := newUpstream(t, mockupstream.Config{})
		dir := dataDir(t)
		r := start(t, dir, flags...)
		tok := r.mint(t, "gateway:use")
		r.add(t, "one", url+"/v1", goodKey)
		r.add(t, "none", url+"/v1")
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		key := filepath.Join(dir, "encryption-key")
		if err := os.Rename(key, key+".lost"); err != nil {
			t.Fatal(err)
		}
		if s, err := app.NewServer(t.Context(), configure(t, dir, flags...), options(io.Discard)); err == nil {
			t.Errorf("it starts without its encryption key: %v", s.Close())
		}
		said, err := command(t, app.KeyRecoverCommand(), dir, flags)
		if err == nil || !strings.Contains(err.Error(), "--installation") || !strings.Contains(said, "3 data keys and the 1 secrets under them need the encryption key ") {
			t.Fatalf("without the installation's name: %s, %v", said, err)
		}
		if _, err := os.Stat(key); err == nil {
			t.Error("a key was made before it was sure")
		}
		name := "--installation=" + installationName.FindString(err.Error())
		out, err := command(t, app.KeyRecoverCommand(), dir, flags, name)
		if err != nil || !strings.Contains(out, "3 data keys could not be opened and are retired; 1 secrets are removed") {
			t.Fatalf("%s, %v", out, err)
		}
		if out, err := command(t, app.KeyRecoverCommand(), dir, flags, name); err != nil || !strings.Contains(out, "0 data keys could not be opened and are retired; 0 secrets") {
			t.Errorf("a second time: %s, %v", out, err)
		}

		again := start(t, dir, flags...)
		p, err := again.owner.Provider(t.Context(), "one")
		if err != nil || len(p.APIKeys) != 0 {
			t.Errorf("the provider: %+v, %v", p, err)
		}
		if _, err := again.owner.CreateKey(t.Context(), "one", client.AddKey{APIKey: goodKey}); err != nil {
			t.Error(err)
		}
		before := len(up.Requests())
		if status, body := again.ask(t, "one", tok.Secret); status != 200 || len(up.Requests()) != before+1 {
			t.Errorf("served again: %d %s", status, body)
		}
		report, err := again.owner.VerifyEncryption(t.Context())
		if err != nil || len(report.Findings) != 0 || report.Secrets != 1 {
			t.Errorf("verified: %+v, %v", report, err)
		}
		entries, err := again.owner.ListAudit(t.Context(), client.AuditFilter{Actor: "custodian"}, client.ListOptions{})
		if err != nil || len(entries.Items) != 7 { // three keys made, three retired, a provider key removed
			t.Errorf("%d entries, %v", len(entries.Items), err)
		}
		if err := again.stop(); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(again.log.String(), "was rewritten") {
			t.Error("the server does not sign the log")
		}
	})
}

// What an encryption key that is here opens stays, whatever else is lost.
func TestRecoverRemovesNothingThatOpens(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	r := start(t, dir)
	r.add(t, "one", "http://127.0.0.1:1/v1", goodKey)
	_, err := command(t, app.KeyRecoverCommand(), dir, nil, "--installation=x")
	if err == nil || !strings.Contains(err.Error(), "stop it") {
		t.Errorf("beside a server: %v", err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	_, err = command(t, app.KeyRecoverCommand(), dir, nil)
	name := "--installation=" + installationName.FindString(err.Error())
	if out, err := command(t, app.KeyRecoverCommand(), dir, nil, name); err != nil || !strings.Contains(out, "0 data keys could not be opened and are retired; 0 secrets") {
		t.Errorf("%s, %v", out, err)
	}
	p, err := start(t, dir).owner.Provider(t.Context(), "one")
	if err != nil || len(p.APIKeys) != 1 || p.APIKeys[0].State != client.KeyReady {
		t.Errorf("%+v, %v", p, err)
	}
}
