package canary_test

import (
	"encoding/binary"
	"strings"
)

// A search finds any of many texts in a few passes over bytes that may be
// many megabytes. The texts are long: at least [part] bytes.
type search struct {
	// maybe has a bit set for the first bytes of each text, by a hash: what is
	// not in it, nearly everything, costs no more than a look.
	maybe []uint64
	texts map[uint64][]text
	known map[string]bool
	kinds map[string]int32 // the place of a kind in names
	names []string
}

// A text is a part of a secret in one form.
type text struct {
	bytes      string
	kind, form int32
}

const (
	prefix   = 8 // bytes that the texts are kept by
	maybeLog = 23
)

func newSearch() *search {
	return &search{maybe: make([]uint64, 1<<maybeLog/64), texts: map[uint64][]text{}, known: map[string]bool{}, kinds: map[string]int32{}}
}

// add has a secret of that kind searched for.
func (s *search) add(kind, secret string) {
	number, ok := s.kinds[kind]
	if !ok {
		number = int32(len(s.names))
		s.kinds[kind] = number
		s.names = append(s.names, kind)
	}
	for _, p := range parts(secret) {
		for f, form := range forms {
			for _, t := range form.write(p) {
				if len(t) < part || s.known[t] {
					continue
				}
				s.known[t] = true
				key := binary.LittleEndian.Uint64([]byte(t[:prefix]))
				s.texts[key] = append(s.texts[key], text{t, number, int32(f)})
				bit := slot(key)
				s.maybe[bit/64] |= 1 << (bit % 64)
			}
		}
	}
}

func slot(key uint64) uint64 { return key * 0x9e3779b97f4a7c15 >> (64 - maybeLog) }

// A hit is a part of a secret that was found.
type hit struct {
	kind, form string
	at         int
}

// in returns the first hit of each kind of secret in each form.
func (s *search) in(b []byte) []hit {
	var hits []hit
	found := map[[2]int32]bool{}
	for i := 0; i+part <= len(b); i++ {
		key := binary.LittleEndian.Uint64(b[i:])
		bit := slot(key)
		if s.maybe[bit/64]&(1<<(bit%64)) == 0 {
			continue
		}
		for _, t := range s.texts[key] {
			if len(b)-i < len(t.bytes) || string(b[i:i+len(t.bytes)]) != t.bytes || found[[2]int32{t.kind, t.form}] {
				continue
			}
			found[[2]int32{t.kind, t.form}] = true
			hits = append(hits, hit{s.names[t.kind], forms[t.form].name, i})
		}
	}
	return hits
}

// around shows what stands about a hit. Nothing in this test is worth a secret.
func around(b []byte, at int) string {
	return strings.ToValidUTF8(string(b[max(0, at-120):min(len(b), at+60)]), ".")
}
