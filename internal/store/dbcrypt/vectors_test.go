package dbcrypt

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// A vector is a cell whose bytes are known. Those in testdata are part of the
// format: they were made by the second implementation (test/clients/cells.mjs)
// and never change.
type vector struct {
	Name    string   `json:"name"`
	DataKey hexBytes `json:"data_key"`
	Digest  string   `json:"digest"`
	At      struct {
		Installation string  `json:"installation"`
		Table        string  `json:"table"`
		Column       string  `json:"column"`
		Row          string  `json:"row"`
		Revision     int64   `json:"revision,string"`
		Provider     string  `json:"provider"`
		Origin       string  `json:"origin"`
		Public       *string `json:"public"`
	} `json:"place"`
	Salt      hexBytes `json:"salt"`
	Nonce     hexBytes `json:"nonce"`
	Plaintext string   `json:"plaintext"`
	Cell      hexBytes `json:"cell"`
}

type hexBytes []byte

func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

// place is that of the vector, by the code that seals.
func (v vector) place() []string {
	return crypt{installation: v.At.Installation}.place(store.Sealing{
		Table: v.At.Table, Column: v.At.Column, KeyID: &v.Digest, Revision: &v.At.Revision, Public: v.At.Public,
	}, v.At.Row, []string{v.At.Provider, v.At.Origin})
}

func (v vector) key() DataKey { return DataKey{v.Digest, secret.New(string(v.DataKey))} }

func TestKnownCells(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/cells.json")
	if err != nil {
		t.Fatal(err)
	}
	var known struct{ Cells, Refused []vector }
	if err := json.Unmarshal(b, &known); err != nil {
		t.Fatal(err)
	}
	if len(known.Cells) < 24 || len(known.Refused) < 24 {
		t.Fatalf("there are %d cells, and %d that are refused", len(known.Cells), len(known.Refused))
	}
	for _, v := range known.Cells {
		if got, err := open(v.key(), v.place(), v.Cell); err != nil || got != v.Plaintext {
			t.Errorf("%s: opens to %d bytes, %v", v.Name, len(got), err)
		}
		var random [saltSize + nonceSize]byte
		if n := copy(random[:], append(v.Salt, v.Nonce...)); n != len(random) {
			t.Errorf("%s: salt and nonce have %d bytes", v.Name, n)
		}
		if cell, err := sealWith(random, v.key(), v.place(), v.Plaintext); err != nil || string(cell) != string(v.Cell) {
			t.Errorf("%s: is sealed to %x, %v", v.Name, cell, err)
		}
	}
	for _, v := range known.Refused {
		if got, err := open(v.key(), v.place(), v.Cell); err == nil {
			t.Errorf("%s: opens to %d bytes", v.Name, len(got))
		}
	}
	t.Logf("%d cells, %d refused", len(known.Cells), len(known.Refused))
}
