package usage_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/usage"
)

// FuzzMeter holds the meter to itself, whatever way a body is cut, and to the
// reference where the body is what it is said to be.
func FuzzMeter(f *testing.F) {
	for _, s := range samples {
		f.Add(s.body(f), uint8(s.kind), s.stream(), uint64(1))
		for _, body := range s.variants(f) {
			f.Add(body, uint8(s.kind), s.stream(), uint64(len(body)))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, kind uint8, stream bool, seed uint64) {
		k := usage.Kind(kind % 5)
		contentType := "application/json"
		if stream {
			contentType = "text/event-stream"
		}
		whole := meter(k, contentType, "", body)
		rnd := rand.New(rand.NewPCG(seed, seed))
		if got := meter(k, contentType, "", pieces(body, func() int { return 1 + rnd.IntN(40) })...); got != whole {
			t.Errorf("in pieces %+v, whole %+v", got, whole)
		}
		if got := meter(k, contentType, "", pieces(body, func() int { return 1 })...); got != whole {
			t.Errorf("byte by byte %+v, whole %+v", got, whole)
		}
		// Names are found without escapes, and what is too long is not read.
		if k == usage.NotMetered || len(body) > 4096 || bytes.Contains(body, []byte(`\u00`)) {
			return
		}
		if tokens, model, ok := byReference(k, stream, body); ok && whole != (counted{tokens, model}) {
			t.Errorf("the meter has %+v, the reference %+v", whole, counted{tokens, model})
		}
	})
}

func FuzzCompressed(f *testing.F) {
	f.Add([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0}, uint64(1))
	f.Add([]byte{0x78, 0x9c, 1, 0, 0, 0xff, 0xff}, uint64(2))
	f.Fuzz(func(t *testing.T, body []byte, seed uint64) {
		rnd := rand.New(rand.NewPCG(seed, seed))
		chunks := pieces(body, func() int { return 1 + rnd.IntN(40) })
		for _, encoding := range []string{"gzip", "deflate"} {
			whole := meter(usage.Completions, "", encoding, body)
			if got := meter(usage.Completions, "", encoding, chunks...); got != whole {
				t.Errorf("%s in pieces %+v, whole %+v", encoding, got, whole)
			}
		}
	})
}
