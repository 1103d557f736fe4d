package vault_test

import (
	"bytes"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/keyring"
	"github.com/gatehousehq/gatehouse/internal/keyring/kektest"
	"github.com/gatehousehq/gatehouse/internal/keyring/vault"
	"github.com/gatehousehq/gatehouse/internal/store"
)

const token = "hvs.canary-0123456789-abcdefghij"

// newVault returns a fake with the key transit/gatehouse, and the environment to
// reach it.
func newVault(t *testing.T) (*kektest.Vault, keyring.Environ) {
	t.Helper()
	v := kektest.NewVault(t, false)
	v.CreateKey("transit/gatehouse", "aes256-gcm96", false)
	v.Tokens[token] = []string{"keys", "encrypt", "decrypt"}
	return v, keyring.Environ{"VAULT_ADDR=" + v.URL, "VAULT_TOKEN=" + token}
}

func open(t *testing.T, env keyring.Environ) keyring.KEK {
	t.Helper()
	keks, err := vault.Open(t.Context(), "transit/gatehouse", env)
	if err != nil {
		t.Fatal(err)
	}
	return keks[0]
}

func TestTransitWraps(t *testing.T) {
	t.Parallel()
	v, env := newVault(t)
	k := open(t, env)
	if k.ID() != "vault:transit/gatehouse" {
		t.Errorf("id %s", k.ID())
	}
	dataKey, bound := bytes.Repeat([]byte{7}, 32), []byte("a\x00b")
	wrapped, err := k.Wrap(t.Context(), dataKey, bound)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(wrapped, []byte("vault:v1:")) || bytes.Contains(wrapped, dataKey) {
		t.Errorf("wrapped as %.12s…", wrapped)
	}
	if got, err := k.Unwrap(t.Context(), wrapped, bound); err != nil || !bytes.Equal(got, dataKey) {
		t.Errorf("unwrapped: %v", err)
	}
	// A second process has the same key.
	if got, err := open(t, env).Unwrap(t.Context(), wrapped, bound); err != nil || !bytes.Equal(got, dataKey) {
		t.Errorf("unwrapped elsewhere: %v", err)
	}
	flipped := bytes.Clone(wrapped)
	flipped[len(flipped)-3] ^= 1
	v.CreateKey("transit/other", "aes256-gcm96", false)
	other, err := vault.Open(t.Context(), "transit/other", env)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := other[0].Wrap(t.Context(), dataKey, bound)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ wrapped, bound []byte }{
		"bound to something else": {wrapped, []byte("a\x00c")},
		"bound to nothing":        {wrapped, nil},
		"altered":                 {flipped, bound},
		"cut":                     {wrapped[:20], bound},
		"empty":                   {nil, bound},
		"not of Vault":            {[]byte("something"), bound},
		"of another key":          {foreign, bound},
	} {
		if _, err := k.Unwrap(t.Context(), tt.wrapped, tt.bound); !errors.Is(err, keyring.ErrAltered) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVersionsOfAKey(t *testing.T) {
	t.Parallel()
	v, env := newVault(t)
	k := open(t, env)
	ring := keyring.NewRing("here", []keyring.KEK{k})
	row, err := ring.Generate(t.Context(), store.ForSealing)
	if err != nil {
		t.Fatal(err)
	}
	v.Rotate("transit/gatehouse", 1)
	again, err := ring.Rewrap(t.Context(), row) // to the newest version
	if err != nil || !strings.HasPrefix(again.WrappedKey, "vault:v2:") || again.KEKID != k.ID() {
		t.Fatalf("wrapped again as %.12s…, %v", again.WrappedKey, err)
	}
	v.Rotate("transit/gatehouse", 2)
	_, err = ring.Rewrap(t.Context(), row)
	if err == nil || errors.Is(err, keyring.ErrAltered) || !strings.Contains(err.Error(), "min_decryption_version") {
		t.Errorf("a version that is put out of use: %v", err)
	}
	if _, err := ring.Rewrap(t.Context(), again); err != nil {
		t.Errorf("a version that is in use: %v", err)
	}
	_, err = k.Unwrap(t.Context(), []byte("vault:v9:"+strings.TrimPrefix(row.WrappedKey, "vault:v1:")), nil)
	if err == nil || errors.Is(err, keyring.ErrAltered) || !strings.Contains(err.Error(), "old backup") {
		t.Errorf("a version that is not there: %v", err)
	}
}

// TestRefusals wants each cause told from the others, where it was tried, what to
// do, and never the token.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(v *kektest.Vault, env keyring.Environ) keyring.Environ
		want   []string
	}{
		"wrong token": {func(v *kektest.Vault, _ keyring.Environ) keyring.Environ {
			v.Tokens = nil
			return nil
		}, []string{"403", "read on transit/keys/gatehouse", "update on transit/encrypt/gatehouse and transit/decrypt/gatehouse", "permission denied"}},
		"token that may not look": {func(v *kektest.Vault, _ keyring.Environ) keyring.Environ {
			v.Tokens[token] = []string{"encrypt", "decrypt"}
			return nil
		}, []string{"403", "transit/keys/gatehouse"}},
		"token that may not decrypt": {func(v *kektest.Vault, _ keyring.Environ) keyring.Environ {
			v.Tokens[token] = []string{"keys", "encrypt"}
			return nil
		}, []string{"403", "transit/decrypt/gatehouse"}},
		"no such key": {func(v *kektest.Vault, _ keyring.Environ) keyring.Environ {
			v.DeleteKey("transit/gatehouse")
			return nil
		}, []string{"no such key", "vault write -f transit/keys/gatehouse"}},
		"no such key, and a token that may make it": {func(v *kektest.Vault, _ keyring.Environ) keyring.Environ {
			v.DeleteKey("transit/gatehouse")
			v.Tokens[token] = append(v.Tokens[token], "create")
			return nil
		}, []string{"no such key"}},
		"another namespace": {func(v *kektest.Vault, _ keyring.Environ) keyring.Environ {
			v.Namespace = "team"
			return nil
		}, []string{"403"}},
		"sealed": {func(v *kektest.Vault, _ keyring.Environ) keyring.Environ {
			v.Sealed = true
			return nil
		}, []string{"sealed (503)", "unseal"}},
		"broken": {func(v *kektest.Vault, _ keyring.Environ) keyring.Environ {
			v.Fail, v.Status = 100, 500
			return nil
		}, []string{"status 500", "internal error"}},
		"a key of RSA": {func(v *kektest.Vault, _ keyring.Environ) keyring.Environ {
			v.CreateKey("transit/gatehouse", "rsa-4096", false)
			return nil
		}, []string{"type rsa-4096 does not serve", "aes256-gcm96"}},
		"a derived key": {func(v *kektest.Vault, _ keyring.Environ) keyring.Environ {
			v.CreateKey("transit/gatehouse", "aes256-gcm96", true)
			return nil
		}, []string{"does not serve", "without a context"}},
		"Vault before 1.13": {func(v *kektest.Vault, _ keyring.Environ) keyring.Environ {
			v.Forgetful = true
			return nil
		}, []string{"Vault 1.13"}},
		"one who repeats the token": {func(v *kektest.Vault, _ keyring.Environ) keyring.Environ {
			v.Echo, v.Sealed = true, true
			return nil
		}, []string{"your token was [redacted]"}},
		"nobody there": {func(v *kektest.Vault, _ keyring.Environ) keyring.Environ {
			v.Close()
			return nil
		}, []string{"cannot be reached", "connection refused"}},
		// One that the guard refuses, and that harms nobody if it should not.
		"an address that is guarded": {func(_ *kektest.Vault, _ keyring.Environ) keyring.Environ {
			return keyring.Environ{"VAULT_ADDR=https://0.0.0.0:1", "VAULT_TOKEN=" + token}
		}, []string{"https://0.0.0.0:1", "address refused"}},
		"no address": {func(*kektest.Vault, keyring.Environ) keyring.Environ {
			return keyring.Environ{"VAULT_TOKEN=" + token}
		}, []string{"VAULT_ADDR is not set"}},
		"an address with a password": {func(*kektest.Vault, keyring.Environ) keyring.Environ {
			return keyring.Environ{"VAULT_ADDR=https://u:" + token + "@vault.invalid", "VAULT_TOKEN=" + token}
		}, []string{"VAULT_ADDR must be"}},
		"in the clear": {func(*kektest.Vault, keyring.Environ) keyring.Environ {
			return keyring.Environ{"VAULT_ADDR=http://vault.invalid:8200", "VAULT_TOKEN=" + token}
		}, []string{"in the clear", "https"}},
		"no token": {func(v *kektest.Vault, _ keyring.Environ) keyring.Environ {
			return keyring.Environ{"VAULT_ADDR=" + v.URL}
		}, []string{"VAULT_TOKEN"}},
		"no token in the file": {func(v *kektest.Vault, _ keyring.Environ) keyring.Environ {
			return keyring.Environ{"VAULT_ADDR=" + v.URL, "VAULT_TOKEN_FILE=" + os.DevNull}
		}, []string{"VAULT_TOKEN_FILE", "no token in it"}},
		"a token of two lines": {func(v *kektest.Vault, _ keyring.Environ) keyring.Environ {
			return keyring.Environ{"VAULT_ADDR=" + v.URL, "VAULT_TOKEN=" + token + "\n" + token}
		}, []string{"not a token"}},
		"a file of no certificates": {func(v *kektest.Vault, env keyring.Environ) keyring.Environ {
			return append(env, "VAULT_CACERT="+os.DevNull)
		}, []string{"VAULT_CACERT"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, env := newVault(t)
			changed := tt.change(v, env)
			if changed == nil {
				changed = env
				tt.want = append(tt.want, v.URL)
			}
			_, err := vault.Open(t.Context(), "transit/gatehouse", changed)
			if err == nil {
				t.Fatal("it opened")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q", err, want)
				}
			}
			if strings.Contains(err.Error(), token[:12]) {
				t.Error("the error has the token in it")
			}
			if slices.Contains(v.Keys(), "transit/gatehouse") == strings.HasPrefix(name, "no such key") {
				t.Error("it made a key, or lost one")
			}
		})
	}
	v, env := newVault(t)
	if _, err := vault.Open(t.Context(), "elsewhere/gatehouse", env); err == nil || !strings.Contains(err.Error(), "no Transit engine at elsewhere") {
		t.Errorf("no engine: %v", err)
	}
	k := open(t, env)
	wrapped, err := k.Wrap(t.Context(), []byte("data key"), nil)
	if err != nil {
		t.Fatal(err)
	}
	v.Echo, v.Sealed = true, true
	_, err = k.Wrap(t.Context(), []byte("the data key of a test"), nil)
	if err == nil || !strings.Contains(err.Error(), "your secret [redacted]") || strings.Contains(err.Error(), "dGhlIGRhdGE") {
		t.Errorf("one who repeats the data key: %v", err)
	}
	v.Echo, v.Sealed = false, false
	v.DeleteKey("transit/gatehouse")
	if _, err := k.Unwrap(t.Context(), wrapped, nil); err == nil || errors.Is(err, keyring.ErrAltered) || !strings.Contains(err.Error(), "no such key") {
		t.Errorf("a key that was deleted: %v", err)
	}
}

func TestPassingFaultsAreTriedAgain(t *testing.T) {
	t.Parallel()
	v, env := newVault(t)
	k := open(t, env)
	v.Fail, v.Status, v.Requests = 2, http.StatusBadGateway, 0
	if _, err := k.Wrap(t.Context(), []byte("data key"), nil); err != nil || v.Requests != 3 {
		t.Errorf("two faults: %v after %d requests", err, v.Requests)
	}
	v.Fail, v.Requests = 3, 0
	if _, err := k.Wrap(t.Context(), []byte("data key"), nil); err == nil || v.Requests != 3 {
		t.Errorf("three faults: %v after %d requests", err, v.Requests)
	}
	v.Fail, v.Tokens, v.Requests = 0, nil, 0
	if _, err := k.Wrap(t.Context(), []byte("data key"), nil); err == nil || v.Requests != 1 {
		t.Errorf("a refusal: %v after %d requests", err, v.Requests)
	}
}

func TestRenewedTokenCounts(t *testing.T) {
	t.Parallel()
	v, _ := newVault(t)
	file := filepath.Join(t.TempDir(), "token")
	write := func(s string) {
		if err := os.WriteFile(file, []byte(s+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(token)
	k := open(t, keyring.Environ{"VAULT_ADDR=" + v.URL, "VAULT_TOKEN_FILE=" + file, "VAULT_TOKEN=old"})
	const renewed = "hvs.renewed"
	v.Tokens[renewed] = v.Tokens[token]
	delete(v.Tokens, token)
	if _, err := k.Wrap(t.Context(), []byte("data key"), nil); err == nil {
		t.Error("a token that is no longer good was taken")
	}
	write(renewed)
	if _, err := k.Wrap(t.Context(), []byte("data key"), nil); err != nil {
		t.Errorf("the renewed token: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Wrap(t.Context(), []byte("data key"), nil); err == nil || !strings.Contains(err.Error(), "VAULT_TOKEN_FILE") {
		t.Errorf("without the file: %v", err)
	}
}

func TestNamespaceAndCertificates(t *testing.T) {
	t.Parallel()
	v := kektest.NewVault(t, true)
	v.Namespace = "team/a"
	v.CreateKey("kv/transit/gate", "chacha20-poly1305", false)
	v.Tokens[token] = []string{"keys", "encrypt", "decrypt"}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: v.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	env := keyring.Environ{"VAULT_ADDR=" + v.URL + "/", "VAULT_TOKEN=" + token, "VAULT_NAMESPACE=team/a"}
	if _, err := vault.Open(t.Context(), "kv/transit/gate", env); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate that nobody vouches for: %v", err)
	}
	keks, err := vault.Open(t.Context(), "kv/transit/gate", append(env, "VAULT_CACERT="+ca))
	if err != nil {
		t.Fatal(err)
	}
	if keks[0].ID() != "vault:kv/transit/gate" {
		t.Errorf("id %s", keks[0].ID())
	}
}

func TestTokenIsNotTakenElsewhere(t *testing.T) {
	t.Parallel()
	v, _ := newVault(t)
	for name, handler := range map[string]http.HandlerFunc{
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, v.URL+r.URL.Path, http.StatusTemporaryRedirect)
		},
		"a page":        func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>" + token)) },
		"an empty JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) },
	} {
		front := httptest.NewServer(handler)
		_, err := vault.Open(t.Context(), "transit/gatehouse", keyring.Environ{"VAULT_ADDR=" + front.URL, "VAULT_TOKEN=" + token})
		front.Close()
		if err == nil || strings.Contains(err.Error(), token) || v.Requests > 0 {
			t.Errorf("%s: %v, and %d requests got through", name, err, v.Requests)
		}
	}
}
