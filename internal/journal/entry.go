package journal

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"github.com/gatehousehq/gatehouse/internal/usage"
)

// An entry begins at a multiple of eight and is, in little-endian order,
//
//	length of the payload   4 bytes; zero until all the rest is written
//	checksum                4 bytes; CRC-32C of the payload and of the next two
//	mark of the segment     4 bytes
//	its own position        4 bytes
//	payload                 version, kind, and the record
//
// The mark is random. After a place that cannot be read it tells where entries
// go on, and nobody can write something into a record that would be taken for an
// entry.
const (
	align       = 8
	entryHeader = 16
	// maxEntry is the longest entry with its header. Records have a few hundred
	// bytes.
	maxEntry = 32 << 10
)

const (
	kindBegin = 1
	kindEnd   = 2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A buffer is an entry in the making.
type buffer struct {
	b   []byte
	sum uint32 // of the payload
}

// size returns how much room the entry takes.
func (b *buffer) size() int { return aligned(len(b.b)) }

func aligned(n int) int { return (n + align - 1) &^ (align - 1) }

// encode makes an entry as far as that is possible without its place.
func (j *Journal) encode(kind byte, rec *usage.Record) *buffer {
	b, _ := j.buffers.Get().(*buffer)
	if b == nil {
		b = &buffer{b: make([]byte, 0, 1<<10)}
	}
	b.b = append(b.b[:0], make([]byte, entryHeader)...)
	b.b = append(b.b, version, kind)
	b.b = appendRecord(b.b, rec)
	b.sum = crc32.Checksum(b.b[entryHeader:], castagnoli)
	return b
}

func (j *Journal) release(b *buffer) {
	if cap(b.b) <= maxEntry {
		j.buffers.Put(b)
	}
}

// place fills in the header, but for the length.
func (b *buffer) place(mark uint32, at int) {
	binary.LittleEndian.PutUint32(b.b[8:], mark)
	binary.LittleEndian.PutUint32(b.b[12:], uint32(at))
	binary.LittleEndian.PutUint32(b.b[4:], crc32.Update(b.sum, castagnoli, b.b[8:entryHeader]))
}

// An entry is one that has been read. Its payload is that of the bytes it was
// read from.
type entry struct {
	at, end int
	payload []byte
}

// A reading goes through bytes of a segment.
type reading struct {
	b    []byte
	base int // where in the segment b begins, a multiple of eight
	mark uint32
	// more is set if the segment goes on after b: then an entry that may not be
	// in b as a whole is left to the next reading.
	more bool

	at   int // in b
	torn int // places with something that is no entry
	hole bool
}

// next returns the next entry. What is none is skipped.
func (r *reading) next() (entry, bool) {
	for r.at+entryHeader <= len(r.b) && !(r.more && r.at+maxEntry > len(r.b)) {
		if payload, ok := r.entry(); ok {
			e := entry{at: r.base + r.at, payload: payload}
			r.at += aligned(entryHeader + len(payload))
			e.end = r.base + r.at
			r.hole = false
			return e, true
		}
		r.skip()
	}
	if !r.more {
		for r.at < len(r.b) {
			r.skip()
		}
	}
	return entry{}, false
}

// skip passes eight bytes that are not of an entry. They count once for each
// place, however long it is.
func (r *reading) skip() {
	end := min(r.at+align, len(r.b))
	if !r.hole && len(bytes.Trim(r.b[r.at:end], "\x00")) > 0 {
		r.torn++
		r.hole = true
	}
	r.at = end
}

// entry returns the payload of the entry that is here, if one is.
func (r *reading) entry() ([]byte, bool) {
	b := r.b[r.at:]
	n := binary.LittleEndian.Uint32(b)
	if binary.LittleEndian.Uint32(b[8:]) != r.mark || binary.LittleEndian.Uint32(b[12:]) != uint32(r.base+r.at) ||
		n < 2 || n > maxEntry-entryHeader || int(n) > len(b)-entryHeader {
		return nil, false
	}
	payload := b[entryHeader : entryHeader+n]
	sum := crc32.Update(crc32.Checksum(payload, castagnoli), castagnoli, b[8:entryHeader])
	return payload, sum == binary.LittleEndian.Uint32(b[4:])
}
