package keyring_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/keyring"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbcrypt"
)

func newKEK(t *testing.T) (*keyring.KEK, []byte) {
	t.Helper()
	k, encoded, err := keyring.NewKEK()
	if err != nil {
		t.Fatal(err)
	}
	return k, encoded
}

// generate returns a data key of each purpose.
func generate(k *keyring.KEK, installation string) []store.EncryptionKey {
	seal, fingerprint := k.Generate(installation, store.ForSealing), k.Generate(installation, store.ForFingerprinting)
	sign := k.Generate(installation, store.ForSigning)
	seal.Number, fingerprint.Number, sign.Number = 1, 2, 3
	return []store.EncryptionKey{seal, fingerprint, sign}
}

func TestKeysOpenWithTheKEKThatWasKept(t *testing.T) {
	t.Parallel()
	k, encoded := newKEK(t)
	rows := generate(k, "here")
	again, err := keyring.ParseKEK(encoded)
	if err != nil {
		t.Fatal(err)
	}
	if again.ID() != k.ID() || len(k.ID()) != 32 {
		t.Errorf("ids %s and %s", k.ID(), again.ID())
	}
	var rings [2]*keyring.Ring
	for i, k := range []*keyring.KEK{k, again} {
		if rings[i], err = k.Unwrap("here", rows); err != nil {
			t.Fatal(err)
		}
	}
	a, b := rings[0], rings[1]
	if a.Primary() != b.Primary() || a.Fingerprinting() != b.Fingerprinting() || a.Primary().Secret == a.Fingerprinting().Secret {
		t.Error("the same rows gave different keys, or two purposes the same")
	}
	if a.Primary().Digest != rows[0].ActiveDigest || a.Fingerprinting().Digest != rows[1].ActiveDigest {
		t.Error("the digests are not those of the rows")
	}
	if got, ok := a.ByDigest(rows[0].ActiveDigest); !ok || got != a.Primary() {
		t.Error("the primary is not found by its digest")
	}
	for _, digest := range []string{"", rows[1].ActiveDigest, "other"} { // nothing is sealed under the second
		if _, ok := a.ByDigest(digest); ok {
			t.Errorf("there is a key of digest %q to open with", digest)
		}
	}
}

func TestNewestSealsAndAllOpen(t *testing.T) {
	t.Parallel()
	k, _ := newKEK(t)
	rows := generate(k, "here")
	newer := k.Generate("here", store.ForSealing)
	retired := k.Generate("here", store.ForSealing)
	retired.RevokedDigest, retired.ActiveDigest = retired.ActiveDigest, ""
	r, err := k.Unwrap("here", append(rows, newer, retired))
	if err != nil {
		t.Fatal(err)
	}
	if r.Primary().Digest != newer.ActiveDigest {
		t.Error("the newest key is not the primary")
	}
	if _, ok := r.ByDigest(rows[0].ActiveDigest); !ok {
		t.Error("the older key does not open any more")
	}
	if _, ok := r.ByDigest(retired.RevokedDigest); ok {
		t.Error("a retired key still opens")
	}
}

func TestAnotherKEKIsToldFromAnAlteredRow(t *testing.T) {
	t.Parallel()
	k, _ := newKEK(t)
	other, _ := newKEK(t)
	_, err := other.Unwrap("here", generate(k, "here"))
	var wrong *keyring.WrongKEKError
	if !errors.As(err, &wrong) || wrong.Have != other.ID() || wrong.Need != k.ID() {
		t.Errorf("another KEK: %v", err)
	}

	flip := func(s string, i int) string {
		b := []byte(s)
		b[(i+len(b))%len(b)] ^= 1
		return string(b)
	}
	foreign := generate(k, "there")
	for name, alter := range map[string]func(rows []store.EncryptionKey){
		"nonce":                   func(r []store.EncryptionKey) { r[0].WrappedKey = flip(r[0].WrappedKey, 0) },
		"ciphertext":              func(r []store.EncryptionKey) { r[0].WrappedKey = flip(r[0].WrappedKey, 20) },
		"tag":                     func(r []store.EncryptionKey) { r[0].WrappedKey = flip(r[0].WrappedKey, -1) },
		"cut":                     func(r []store.EncryptionKey) { r[0].WrappedKey = r[0].WrappedKey[:10] },
		"empty":                   func(r []store.EncryptionKey) { r[0].WrappedKey = "" },
		"check value":             func(r []store.EncryptionKey) { r[0].CheckValue = flip(r[0].CheckValue, 0) },
		"no check value":          func(r []store.EncryptionKey) { r[0].CheckValue = "" },
		"digest":                  func(r []store.EncryptionKey) { r[0].ActiveDigest = r[1].ActiveDigest },
		"purpose":                 func(r []store.EncryptionKey) { r[0].Purpose, r[1].Purpose = r[1].Purpose, r[0].Purpose },
		"of another installation": func(r []store.EncryptionKey) { r[0] = foreign[0] },
		"swapped":                 func(r []store.EncryptionKey) { r[0].WrappedKey, r[1].WrappedKey = r[1].WrappedKey, r[0].WrappedKey },
	} {
		rows := generate(k, "here")
		alter(rows)
		ring, err := k.Unwrap("here", rows)
		if ring != nil || err == nil || errors.As(err, &wrong) || !strings.Contains(err.Error(), "was altered") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEveryPurposeIsNeeded(t *testing.T) {
	t.Parallel()
	k, _ := newKEK(t)
	rows := generate(k, "here")
	for name, some := range map[string][]store.EncryptionKey{"none": nil, "no fingerprinting": rows[:1], "no sealing": rows[1:]} {
		if _, err := k.Unwrap("here", some); err == nil || !strings.Contains(err.Error(), "no active data key") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseKEK(t *testing.T) {
	t.Parallel()
	_, encoded := newKEK(t)
	text := strings.TrimSpace(string(encoded))
	if !bytes.HasSuffix(encoded, []byte("\n")) {
		t.Error("the file does not end its line")
	}
	for _, same := range []string{text, "  " + text + "\r\n"} {
		if _, err := keyring.ParseKEK([]byte(same)); err != nil {
			t.Errorf("with space around it: %v", err)
		}
	}
	for _, bad := range []string{"", "\n", text[:len(text)-4], text + "AAAA", "!" + text[1:], text + "\n" + text, "AAAA", strings.Repeat("A", 44)[:43]} {
		_, err := keyring.ParseKEK([]byte(bad))
		if err == nil || strings.Contains(err.Error(), text[5:15]) {
			t.Errorf("%d characters: %v", len(bad), err)
		}
	}
}

func TestNothingPrintsAKey(t *testing.T) {
	t.Parallel()
	k, encoded := newKEK(t)
	rows := generate(k, "here")
	r, err := k.Unwrap("here", rows)
	if err != nil {
		t.Fatal(err)
	}
	raw := r.Primary().Secret.Reveal()
	if len(raw) != 32 {
		t.Fatalf("a data key has %d bytes", len(raw))
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		for _, v := range []any{r, r.Primary(), []dbcrypt.DataKey{r.Primary()}, secret.New(raw)} {
			out := fmt.Sprintf(verb, v)
			if strings.Contains(out, raw) || strings.Contains(out, fmt.Sprintf("%x", raw)) || strings.Contains(out, fmt.Sprint([]byte(raw))) {
				t.Errorf("%s of %T shows the key", verb, v)
			}
		}
	}
	for _, row := range rows {
		if strings.Contains(row.WrappedKey, raw) || strings.Contains(string(encoded), raw) {
			t.Error("a row has a key in the clear")
		}
	}
	if a, b := k.Generate("here", store.ForSealing), k.Generate("here", store.ForSealing); a.ActiveDigest == b.ActiveDigest || a.WrappedKey == b.WrappedKey {
		t.Error("two keys are one")
	}
}
