package dbcrypt

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/secret"
)

var alteredCells = flag.Int("cells", 40, "how many cells to alter in every way")

// An alteration is what was done to a cell.
type alteration string

const (
	flipped  alteration = "one bit flipped"
	cut      alteration = "cut"
	extended alteration = "extended by a byte"
)

// alter calls try with the cell after every flip of one bit, every cut and every
// extension by one byte. What try is given is good until it returns.
func alter(cell []byte, try func(what alteration, b []byte)) {
	b := bytes.Clone(cell)
	for bit := range len(b) * 8 {
		b[bit/8] ^= 1 << (bit % 8)
		try(flipped, b)
		b[bit/8] ^= 1 << (bit % 8)
	}
	for n := range len(b) {
		try(cut, b[:n:n])
	}
	b = append(b, 0)
	for v := range 256 {
		b[len(b)-1] = byte(v)
		try(extended, b)
	}
}

// randomCell is a cell that was sealed under a key and at a place of its own.
type randomCell struct {
	key   DataKey
	place []string
	plain string
	cell  []byte
}

// newRandomCell makes cells in the lengths that there are: nearly all secrets fit
// into the first bucket, some need two, and a document now and then needs many.
func newRandomCell(r *rand.Rand) (c randomCell, err error) {
	text := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.IntN(256))
		}
		return string(b)
	}
	n := r.IntN(61)
	switch {
	case r.IntN(100) == 0:
		n = r.IntN(1001)
	case r.IntN(16) == 0:
		n = 61 + r.IntN(64)
	}
	c.plain = text(n)
	c.key = DataKey{Digest: hex.EncodeToString([]byte(text(sha256.Size))), Secret: secret.New(text(32))}
	for range 8 + r.IntN(2) {
		c.place = append(c.place, text(r.IntN(40)))
	}
	var random [saltSize + nonceSize]byte
	copy(random[:], text(len(random)))
	c.cell, err = sealWith(random, c.key, c.place, c.plain)
	return c, err
}

// alterAll alters n cells in every way and counts the cases, and those that open
// to anything. It uses every processor: the cells are independent.
func alterAll(t *testing.T, n int, seed uint64, open func(DataKey, []string, []byte) (string, error)) (cases uint64, accepted map[alteration]int) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	var total atomic.Uint64
	accepted = map[alteration]int{}
	for worker := range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := worker; i < n; i += runtime.GOMAXPROCS(0) {
				c, err := newRandomCell(rand.New(rand.NewPCG(seed, uint64(i))))
				if err != nil {
					t.Error(err)
					continue
				}
				if got, err := open(c.key, c.place, c.cell); err != nil || got != c.plain {
					t.Errorf("cell %d of seed %d as it was: %d bytes, %v", i, seed, len(got), err)
				}
				alter(c.cell, func(what alteration, b []byte) {
					total.Add(1)
					if _, err := open(c.key, c.place, b); err == nil {
						mu.Lock()
						accepted[what]++
						mu.Unlock()
					}
				})
			}
		})
	}
	wg.Wait()
	return total.Load(), accepted
}

func TestNoAlteredCellOpens(t *testing.T) {
	t.Parallel()
	seed, start := rand.Uint64(), time.Now()
	cases, accepted := alterAll(t, *alteredCells, seed, open)
	if len(accepted) > 0 {
		t.Errorf("by seed %d, accepted: %v", seed, accepted)
	}
	if cases < uint64(*alteredCells)*(minimum*9+256) {
		t.Errorf("only %d cases", cases)
	}
	sum := accepted[flipped] + accepted[cut] + accepted[extended]
	t.Logf("%d cells, %d altered cells, %d accepted, in %v", *alteredCells, cases, sum, time.Since(start).Round(time.Millisecond))
}

// TestCarelessOpensAreFound is the control: the same search over ways to open
// that leave out one check, each of which lets pass what that check is for.
func TestCarelessOpensAreFound(t *testing.T) {
	t.Parallel()
	const cells = 4
	for name, tt := range map[string]struct {
		open func(DataKey, []string, []byte) (string, error)
		what alteration
		want int // of each cell; 0 is some
	}{
		"the tag is not looked at": {func(key DataKey, place []string, cell []byte) (string, error) {
			return openLax(key, place, cell, func(_, _ []byte) bool { return true })
		}, flipped, 0},
		"of the tag is compared what there is": {func(key DataKey, place []string, cell []byte) (string, error) {
			return openLax(key, place, cell, bytes.HasPrefix)
		}, cut, tagSize},
		"version and key id are neither compared nor authenticated": {func(key DataKey, place []string, cell []byte) (string, error) {
			if len(cell) < minimum {
				return "", errCell
			}
			id, err := keyID(key.Digest)
			if err != nil {
				return "", err
			}
			return open(key, place, append(append([]byte{version}, id...), cell[1+keyIDSize:]...))
		}, flipped, 8 * (1 + keyIDSize)},
		"what follows the cell is not looked at": {func(key DataKey, place []string, cell []byte) (string, error) {
			got, err := open(key, place, cell)
			if err != nil && len(cell) > minimum {
				return open(key, place, cell[:len(cell)-1])
			}
			return got, err
		}, extended, 256},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64()
			cases, accepted := alterAll(t, cells, seed, tt.open)
			if got := accepted[tt.what]; got == 0 || tt.want != 0 && (got != cells*tt.want || len(accepted) != 1) {
				t.Errorf("by seed %d, of %d cases %v are accepted, want %d of each cell", seed, cases, accepted, tt.want)
			}
		})
	}
}

// openLax opens as open does, but decrypts first and then asks same whether the
// tag that there should be and the one that there is are the same.
func openLax(key DataKey, place []string, cell []byte, same func(want, have []byte) bool) (string, error) {
	id, err := keyID(key.Digest)
	if err != nil {
		return "", err
	}
	if len(cell) < headerSize+nonceSize+bucket || cell[0] != version || !bytes.Equal(cell[1:1+keyIDSize], id) {
		return "", errCell
	}
	body := cell[headerSize+nonceSize:]
	n := len(body) / bucket * bucket
	body, tag := body[:n], body[n:]
	k, err := hkdf.Key(sha256.New, []byte(key.Secret.Reveal()), cell[1+keyIDSize:headerSize], cellLabel, 32)
	if err != nil {
		return "", err
	}
	block, err := aes.NewCipher(k)
	if err != nil {
		return "", err
	}
	counter := append(bytes.Clone(cell[headerSize:headerSize+nonceSize]), 0, 0, 0, 2) // 1 is for the tag
	buf := make([]byte, n)
	cipher.NewCTR(block, counter).XORKeyStream(buf, body)
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return "", err
	}
	want := aead.Seal(nil, cell[headerSize:headerSize+nonceSize], buf, associated(cell[:headerSize], place))[n:]
	if len(tag) > tagSize || !same(want, tag) {
		return "", errCell
	}
	size := int(binary.BigEndian.Uint32(buf))
	if size > n-4 || padded(size) != n {
		return "", errCell
	}
	return string(buf[4 : 4+size]), nil
}
