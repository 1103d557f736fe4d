package dbcrypt

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
)

// The format of a sealed cell (docs/reference/cell-format.md has all of it, and
// testdata known answers):
//
//	version  1 byte, 1
//	key id   16 bytes, the first half of the digest of the data key
//	salt     32 bytes, random
//	nonce    12 bytes, random
//	sealed   AES-256-GCM ciphertext and 16-byte tag
//
// The key of the cell is HKDF-SHA-256(data key, salt, "gatehouse cell v1"), so
// that no two cells share one and a data key does not wear out. What is sealed
// is the length of the secret (4 bytes, big endian), the secret, and zeros up
// to a multiple of 64 bytes, so that the length shows only roughly.
//
// The associated data are the first 49 bytes of the cell and then, each behind
// its own length of 4 bytes, where the cell stands and what it is bound to: see
// place.
const (
	version    = 1
	keyIDSize  = 16
	saltSize   = 32
	nonceSize  = 12
	tagSize    = 16
	bucket     = 64
	headerSize = 1 + keyIDSize + saltSize
	minimum    = headerSize + nonceSize + bucket + tagSize

	cellLabel = "gatehouse cell v1"
)

// errCell is the one error of opening a cell. It does not say which check
// failed, and carries nothing of the cell.
var errCell = errors.New("the sealed value does not open")

// seal returns a cell that holds plain, under the data key with that digest.
func seal(key DataKey, place []string, plain string) ([]byte, error) {
	var random [saltSize + nonceSize]byte
	rand.Read(random[:]) // never fails
	return sealWith(random, key, place, plain)
}

// sealWith returns the cell with that salt and nonce. No two cells may share
// them: all but the tests that know the answer want seal.
func sealWith(random [saltSize + nonceSize]byte, key DataKey, place []string, plain string) ([]byte, error) {
	id, err := keyID(key.Digest)
	if err != nil {
		return nil, err
	}
	cell := make([]byte, headerSize+nonceSize, headerSize+nonceSize+padded(len(plain))+tagSize)
	cell[0] = version
	copy(cell[1:], id)
	copy(cell[1+keyIDSize:], random[:])
	aead, err := cellAEAD(key, cell[1+keyIDSize:headerSize])
	if err != nil {
		return nil, err
	}
	buf := make([]byte, padded(len(plain)))
	binary.BigEndian.PutUint32(buf, uint32(len(plain)))
	copy(buf[4:], plain)
	return aead.Seal(cell, cell[headerSize:], buf, associated(cell[:headerSize], place)), nil
}

// open returns what a cell holds. digest is the data key that the column beside
// it names; the cell must name the same.
func open(key DataKey, place []string, cell []byte) (string, error) {
	id, err := keyID(key.Digest)
	if err != nil {
		return "", err
	}
	if len(cell) < minimum || cell[0] != version || !slices.Equal(cell[1:1+keyIDSize], id) {
		return "", errCell
	}
	aead, err := cellAEAD(key, cell[1+keyIDSize:headerSize])
	if err != nil {
		return "", err
	}
	buf, err := aead.Open(nil, cell[headerSize:headerSize+nonceSize], cell[headerSize+nonceSize:], associated(cell[:headerSize], place))
	if err != nil {
		return "", errCell
	}
	size := binary.BigEndian.Uint32(buf)
	if uint64(size) > uint64(len(buf)-4) || padded(int(size)) != len(buf) { // an int may have 32 bits
		return "", errCell
	}
	n := int(size)
	return string(buf[4 : 4+n]), nil
}

func padded(n int) int { return (4 + n + bucket - 1) / bucket * bucket }

func keyID(digest string) ([]byte, error) {
	b, err := hex.DecodeString(digest)
	if err != nil || len(b) != sha256.Size {
		return nil, errors.New("the digest of a data key is not one")
	}
	return b[:keyIDSize], nil
}

func cellAEAD(key DataKey, salt []byte) (cipher.AEAD, error) {
	k, err := hkdf.Key(sha256.New, []byte(key.Secret.Reveal()), salt, cellLabel, 32)
	if err != nil {
		return nil, err
	}
	b, err := aes.NewCipher(k)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(b)
}

// associated packs the header and the place so that no two differ in meaning
// and agree in bytes.
func associated(header []byte, place []string) []byte {
	out := slices.Clone(header)
	for _, s := range place {
		out = binary.BigEndian.AppendUint32(out, uint32(len(s)))
		out = append(out, s...)
	}
	return out
}
