package keyring_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/keyring"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbcrypt"
)

// A knownKey is a row of dbcrypt_keys whose bytes are known.
type knownKey struct {
	Name    string           `json:"name"`
	Purpose store.KeyPurpose `json:"purpose"`
	DataKey hexText          `json:"data_key"`
	Digest  string           `json:"digest"`
	Check   hexText          `json:"check_value"`
	KEKID   string           `json:"kek_id"`
	Wrapped hexText          `json:"wrapped_key"`
}

// hexText is bytes that are hexadecimal in the file.
type hexText string

func (h *hexText) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	*h = hexText(b)
	return err
}

func (k knownKey) row() store.EncryptionKey {
	return store.EncryptionKey{
		ActiveDigest: k.Digest, Purpose: k.Purpose, KEKID: k.KEKID, WrappedKey: string(k.Wrapped), CheckValue: string(k.Check),
		PromotedAt: time.Unix(1, 0),
	}
}

// rowsOf returns the rows of keys, with others in the place of those of their
// purpose.
func rowsOf(keys []knownKey, others ...knownKey) (rows []store.EncryptionKey) {
	for _, k := range keys {
		if i := slices.IndexFunc(others, func(o knownKey) bool { return o.Purpose == k.Purpose }); i >= 0 {
			k = others[i]
		}
		rows = append(rows, k.row())
	}
	return rows
}

// TestKnownKeys opens what another implementation of
// docs/reference/cell-format.md wrapped. That the same bytes would be made here
// is not looked at apart: for one key, nonce and context, one wrapping alone opens
// to one data key.
func TestKnownKeys(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/keys.json")
	if err != nil {
		t.Fatal(err)
	}
	var known struct {
		Rings []struct {
			File         string `json:"kek_file"`
			ID           string `json:"kek_id"`
			Installation string
			Keys         []knownKey
		}
		Refused      []knownKey
		Fingerprints []struct {
			Name        string
			DataKey     hexText `json:"data_key"`
			Secret      string
			Fingerprint string
		}
	}
	if err := json.Unmarshal(b, &known); err != nil {
		t.Fatal(err)
	}
	if len(known.Rings) < 2 || len(known.Refused) < 12 || len(known.Fingerprints) < 4 {
		t.Fatalf("there are %d rings, %d keys that are refused, %d fingerprints", len(known.Rings), len(known.Refused), len(known.Fingerprints))
	}
	for i, r := range known.Rings {
		kek, err := keyring.ParseLocal([]byte(r.File))
		if err != nil {
			t.Fatal(err)
		}
		if kek.ID() != r.ID {
			t.Errorf("the id of KEK %d is %s, want %s", i, kek.ID(), r.ID)
		}
		ring := keyring.NewRing(r.Installation, []keyring.KEK{kek})
		if err := ring.Load(t.Context(), rowsOf(r.Keys), 1); err != nil {
			t.Fatal(err)
		}
		for j, got := range []dbcrypt.DataKey{ring.Current().Primary, ring.Current().Fingerprinting, ring.Signing()} {
			if want := r.Keys[j]; got.Digest != want.Digest || got.Secret != secret.New(string(want.DataKey)) {
				t.Errorf("the %s key of ring %d differs", want.Purpose, i)
			}
		}
		if made, err := ring.Generate(t.Context(), store.ForSealing); err != nil || len(made.WrappedKey) != len(r.Keys[0].Wrapped) || len(made.CheckValue) != len(r.Keys[0].Check) {
			t.Errorf("a new key is wrapped in %d bytes, and checked by %d", len(made.WrappedKey), len(made.CheckValue))
		}
	}

	one := known.Rings[0]
	kek, err := keyring.ParseLocal([]byte(one.File))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range known.Refused {
		if err := keyring.NewRing(one.Installation, []keyring.KEK{kek}).Load(t.Context(), rowsOf(one.Keys, k), 1); err == nil {
			t.Errorf("%s: opens", k.Name)
		}
	}

	for _, f := range known.Fingerprints {
		key := dbcrypt.DataKey{Secret: secret.New(string(f.DataKey))}
		tx := dbcrypt.Layer(fingerprinting{key}, one.Installation)(store.Actor{}, store.Tx{})
		if got, err := tx.Secrets.Fingerprint(t.Context(), secret.New(f.Secret)); err != nil || got != f.Fingerprint {
			t.Errorf("%s: the fingerprint is %s, %v", f.Name, got, err)
		}
	}
}

// fingerprinting is a key that makes fingerprints, and no other.
type fingerprinting struct{ key dbcrypt.DataKey }

func (f fingerprinting) Current() dbcrypt.KeySet { return dbcrypt.KeySet{Fingerprinting: f.key} }
