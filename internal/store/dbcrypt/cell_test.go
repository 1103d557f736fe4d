package dbcrypt

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/secret"
)

func testKey(n byte) DataKey {
	return DataKey{Digest: strings.Repeat(fmt.Sprintf("%02x", n), 32), Secret: secret.New(strings.Repeat(string(rune('a'+n)), 32))}
}

func mustSeal(t *testing.T, key DataKey, place []string, plain string) []byte {
	t.Helper()
	cell, err := seal(key, place, plain)
	if err != nil {
		t.Fatal(err)
	}
	return cell
}

func TestCellOpensInItsPlace(t *testing.T) {
	t.Parallel()
	key, place := testKey(1), []string{"installation", "table", "column", "row", "1", "key"}
	for _, n := range []int{0, 1, 59, 60, 61, 124, 4096, 100_000} {
		plain := strings.Repeat("s", n)
		cell := mustSeal(t, key, place, plain)
		got, err := open(key, place, cell)
		if err != nil || got != plain {
			t.Errorf("%d bytes: got %d bytes, %v", n, len(got), err)
		}
		if n > 8 && bytes.Contains(cell, []byte(plain[:8])) {
			t.Errorf("%d bytes: the cell shows the secret", n)
		}
		if again := mustSeal(t, key, place, plain); bytes.Equal(again, cell) {
			t.Errorf("%d bytes: two cells of one secret are equal", n)
		}
		if want := headerSize + nonceSize + padded(n) + tagSize; len(cell) != want || padded(n)%bucket != 0 {
			t.Errorf("%d bytes: the cell has %d, want %d", n, len(cell), want)
		}
	}
}

func TestAlteredCellsDoNotOpen(t *testing.T) {
	t.Parallel()
	key, place := testKey(1), []string{"installation", "table", "column", "row", "1", "key"}
	cell := mustSeal(t, key, place, "sk-0123456789")
	cases := 0
	refused := func(what string, b []byte) {
		cases++
		if _, err := open(key, place, b); err == nil {
			t.Errorf("%s: opens", what)
		} else if strings.Contains(err.Error(), "sk-") {
			t.Errorf("%s: the error shows the secret", what)
		}
	}
	for bit := range len(cell) * 8 {
		b := bytes.Clone(cell)
		b[bit/8] ^= 1 << (bit % 8)
		refused(fmt.Sprintf("bit %d flipped", bit), b)
	}
	for n := range len(cell) {
		refused(fmt.Sprintf("cut to %d bytes", n), cell[:n])
	}
	for v := range 256 {
		refused(fmt.Sprintf("extended by %d", v), append(bytes.Clone(cell), byte(v)))
	}
	refused("plaintext", []byte("sk-planted-in-the-database-by-someone-else"))
	refused("a long plaintext", []byte(strings.Repeat("sk-planted", 100)))
	if _, err := open(key, place, cell); err != nil {
		t.Errorf("the cell as it was: %v", err)
	}
	t.Logf("%d cases", cases)
}

func TestMovedCellsDoNotOpen(t *testing.T) {
	t.Parallel()
	var places [][]string
	for _, installation := range []string{"i1", "i2"} {
		for _, column := range []string{"ai_providers/settings", "ai_provider_keys/api_key"} {
			table, column, _ := strings.Cut(column, "/")
			for _, row := range []string{"r1", "r2"} {
				for _, revision := range []string{"1", "2", "12"} {
					for _, binding := range [][]string{{"p1", "https://a:443"}, {"p2", "https://a:443"}, {"p1", "https://b:443"}} {
						places = append(places, append([]string{installation, table, column, row, revision}, binding...))
					}
				}
			}
		}
	}
	// Places that are the same when they are only written one after the other.
	places = append(places, []string{"ab", "c"}, []string{"a", "bc"}, []string{"abc"}, []string{"abc", ""})
	keys := []DataKey{testKey(1), testKey(2)}
	for i, from := range places {
		for _, key := range keys {
			cell := mustSeal(t, key, from, "secret")
			for j, to := range places {
				for _, other := range keys {
					_, err := open(other, to, cell)
					if same := i == j && key == other; (err == nil) != same {
						t.Errorf("from %q to %q, key %.2s to %.2s: %v", from, to, key.Digest, other.Digest, err)
					}
				}
			}
		}
	}
}

func FuzzOpen(f *testing.F) {
	key, place := testKey(1), []string{"installation"}
	cell, err := seal(key, place, "secret")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(cell)
	f.Add([]byte("sk-plain"))
	f.Fuzz(func(t *testing.T, b []byte) {
		// Each process that fuzzes has a cell of its own, with the one secret.
		if got, err := open(key, place, b); err == nil && got != "secret" {
			t.Errorf("opened to %d bytes", len(got))
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	key, place := testKey(1), []string{"installation", "table", "column", "row", "1", "key"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := seal(key, place, "sk-0123456789012345678901234567890123456789"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	key, place := testKey(1), []string{"installation", "table", "column", "row", "1", "key"}
	cell, err := seal(key, place, "sk-0123456789012345678901234567890123456789")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := open(key, place, cell); err != nil {
			b.Fatal(err)
		}
	}
}
