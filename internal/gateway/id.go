package gateway

import (
	"encoding/hex"
	"math/rand/v2"
	"time"
)

// newID returns a UUID of version 7 for a request: the time in milliseconds, and
// 74 random bits. It need be unique, and is no secret: the generator of the
// runtime does, which no request waits for.
func newID(now time.Time) string {
	var u [16]byte
	ms := uint64(now.UnixMilli())
	for i := range 6 {
		u[i] = byte(ms >> (40 - 8*i))
	}
	a, b := rand.Uint64(), rand.Uint64()
	for i := range 8 {
		u[8+i] = byte(b >> (8 * i))
	}
	u[6] = 0x70 | byte(a)&0x0f
	u[7] = byte(a >> 8)
	u[8] = 0x80 | u[8]&0x3f

	var text [36]byte
	hex.Encode(text[:8], u[:4])
	hex.Encode(text[9:13], u[4:6])
	hex.Encode(text[14:18], u[6:8])
	hex.Encode(text[19:23], u[8:10])
	hex.Encode(text[24:], u[10:])
	for _, i := range []int{8, 13, 18, 23} {
		text[i] = '-'
	}
	return string(text[:])
}
