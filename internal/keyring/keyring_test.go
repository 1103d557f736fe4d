package keyring_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/keyring"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbcrypt"
)

var epochStart = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newKEK(t *testing.T) (*keyring.Local, []byte) {
	t.Helper()
	k, encoded, err := keyring.NewLocal()
	if err != nil {
		t.Fatal(err)
	}
	return k, encoded
}

// newRow returns a fresh data key that is in use, and was promoted so many minutes
// after the first.
func newRow(t *testing.T, k keyring.KEK, installation string, purpose store.KeyPurpose, number int64, minutes int) store.EncryptionKey {
	t.Helper()
	row, err := keyring.NewDataKey(t.Context(), k, installation, purpose)
	if err != nil {
		t.Fatal(err)
	}
	row.Number, row.PromotedAt = number, epochStart.Add(time.Duration(minutes)*time.Minute)
	return row
}

// generate returns a data key of each purpose: for sealing, for fingerprinting and
// for signing.
func generate(t *testing.T, k keyring.KEK, installation string) []store.EncryptionKey {
	t.Helper()
	return []store.EncryptionKey{
		newRow(t, k, installation, store.ForSealing, 1, 0), newRow(t, k, installation, store.ForFingerprinting, 2, 0), newRow(t, k, installation, store.ForSigning, 3, 0),
	}
}

// load returns a ring of the installation "here" with rows in it.
func load(t *testing.T, rows []store.EncryptionKey, keks ...keyring.KEK) (*keyring.Ring, error) {
	t.Helper()
	r := keyring.NewRing("here", keks)
	return r, r.Load(t.Context(), rows, 1)
}

func TestKeysOpenWithTheKEKThatWasKept(t *testing.T) {
	t.Parallel()
	k, encoded := newKEK(t)
	rows := generate(t, k, "here")
	again, err := keyring.ParseLocal(encoded)
	if err != nil {
		t.Fatal(err)
	}
	if again.ID() != k.ID() || len(k.ID()) != 32 {
		t.Errorf("ids %s and %s", k.ID(), again.ID())
	}
	var sets [2]dbcrypt.KeySet
	var signing [2]dbcrypt.DataKey
	for i, k := range []keyring.KEK{k, again} {
		r, err := load(t, rows, k)
		if err != nil {
			t.Fatal(err)
		}
		sets[i], signing[i] = r.Current(), r.Signing()
	}
	a, b := sets[0], sets[1]
	if a.Primary != b.Primary || a.Fingerprinting != b.Fingerprinting || signing[0] != signing[1] {
		t.Error("the same rows gave different keys")
	}
	if a.Primary.Secret == a.Fingerprinting.Secret || a.Primary.Secret == signing[0].Secret || a.Fingerprinting.Secret == signing[0].Secret {
		t.Error("two purposes have the same key")
	}
	if a.Primary.Digest != rows[0].ActiveDigest || a.Fingerprinting.Digest != rows[1].ActiveDigest || signing[0].Digest != rows[2].ActiveDigest {
		t.Error("the digests are not those of the rows")
	}
	if got, ok := a.ByDigest[rows[0].ActiveDigest]; !ok || got != a.Primary {
		t.Error("the primary is not found by its digest")
	}
	for _, digest := range []string{"", rows[1].ActiveDigest, rows[2].ActiveDigest, "other"} { // nothing is sealed under these
		if _, ok := a.ByDigest[digest]; ok {
			t.Errorf("there is a key of digest %q to open with", digest)
		}
	}
}

func TestAnotherKEKIsToldFromAnAlteredRow(t *testing.T) {
	t.Parallel()
	k, _ := newKEK(t)
	other, _ := newKEK(t)
	_, err := load(t, generate(t, k, "here"), other)
	var wrong *keyring.NoKEKError
	if !errors.As(err, &wrong) || len(wrong.Have) != 1 || wrong.Have[0] != other.ID() || wrong.Need != k.ID() {
		t.Errorf("another KEK: %v", err)
	}
	for _, id := range []string{k.ID(), other.ID()} {
		if !strings.Contains(err.Error(), keyring.Short(id)) {
			t.Errorf("the error does not name %s: %v", keyring.Short(id), err)
		}
	}
	_, err = load(t, generate(t, k, "here"))
	if !errors.As(err, &wrong) || wrong.Need != k.ID() || len(wrong.Have) != 0 || !strings.Contains(err.Error(), "no encryption key here") {
		t.Errorf("no KEK: %v", err)
	}

	flip := func(s string, i int) string {
		b := []byte(s)
		b[(i+len(b))%len(b)] ^= 1
		return string(b)
	}
	foreign := generate(t, k, "there")
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
		rows := generate(t, k, "here")
		alter(rows)
		ring, err := load(t, rows, k)
		if !errors.Is(err, keyring.ErrAltered) || errors.As(err, &wrong) || !strings.Contains(err.Error(), "was altered") {
			t.Errorf("%s: %v", name, err)
		}
		if got := ring.Current(); len(got.ByDigest) > 0 || !got.Primary.Secret.IsZero() {
			t.Errorf("%s: the ring has keys", name)
		}
	}
}

func TestEveryPurposeIsNeeded(t *testing.T) {
	t.Parallel()
	k, _ := newKEK(t)
	rows := generate(t, k, "here")
	for name, some := range map[string]struct {
		rows []store.EncryptionKey
		want store.KeyPurpose
	}{
		"none": {nil, ""}, "no sealing": {rows[1:], store.ForSealing}, "no signing": {rows[:2], store.ForSigning},
		"no fingerprinting": {[]store.EncryptionKey{rows[0], rows[2]}, store.ForFingerprinting},
	} {
		_, err := load(t, some.rows, k)
		missing, ok := errors.AsType[*keyring.MissingKeyError](err)
		if !ok || some.want != "" && missing.Purpose != some.want || !strings.Contains(err.Error(), "no active data key") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseLocal(t *testing.T) {
	t.Parallel()
	_, encoded := newKEK(t)
	text := strings.TrimSpace(string(encoded))
	if !bytes.HasSuffix(encoded, []byte("\n")) {
		t.Error("the file does not end its line")
	}
	for _, same := range []string{text, "  " + text + "\r\n"} {
		if _, err := keyring.ParseLocal([]byte(same)); err != nil {
			t.Errorf("with space around it: %v", err)
		}
	}
	for _, bad := range []string{"", "\n", text[:len(text)-4], text + "AAAA", "!" + text[1:], text + "\n" + text, "AAAA", strings.Repeat("A", 44)[:43]} {
		_, err := keyring.ParseLocal([]byte(bad))
		if err == nil || strings.Contains(err.Error(), text[5:15]) {
			t.Errorf("%d characters: %v", len(bad), err)
		}
	}
}

func TestNothingPrintsAKey(t *testing.T) {
	t.Parallel()
	k, encoded := newKEK(t)
	rows := generate(t, k, "here")
	r, err := load(t, rows, k)
	if err != nil {
		t.Fatal(err)
	}
	primary := r.Current().Primary
	raw := primary.Secret.Reveal()
	if len(raw) != 32 {
		t.Fatalf("a data key has %d bytes", len(raw))
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		for _, v := range []any{r, r.Current(), primary, []dbcrypt.DataKey{primary}, secret.New(raw)} {
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
	if a, b := newRow(t, k, "here", store.ForSealing, 1, 0), newRow(t, k, "here", store.ForSealing, 1, 0); a.ActiveDigest == b.ActiveDigest || a.WrappedKey == b.WrappedKey {
		t.Error("two keys are one")
	}
}

// FuzzParseKeys wants a text to be taken as a whole or not at all.
func FuzzParseKeys(f *testing.F) {
	const key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	for _, seed := range []string{key, "# a\n\n" + key + "\r\n" + key + " # b", key[:20], "", key + " " + key, "\x00", key + "\n="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		keks, err := keyring.ParseKeys(secret.New(text))
		lines := 0
		for line := range strings.SplitSeq(text, "\n") {
			line, _, _ = strings.Cut(line, "#")
			if strings.TrimSpace(line) != "" {
				lines++
			}
		}
		if err == nil && (len(keks) != lines || lines == 0) || err != nil && len(keks) > 0 {
			t.Errorf("%d keys of %d lines, %v", len(keks), lines, err)
		}
	})
}
