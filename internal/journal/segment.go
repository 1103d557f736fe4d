package journal

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime/debug"
)

// A segment is a file that begins with
//
//	"GATEJRN" and the version of segments   8 bytes
//	mark                                    4 bytes, random
//	checksum of the two                     4 bytes, CRC-32C
//	how far it was shipped                  8 bytes, by the process that wrote it
//	how far it was shipped                  8 bytes, by one that came after
//
// and has entries after that. How far is a position and its checksum.
const (
	segmentMagic  = "GATEJRN\x01"
	segmentHeader = 32
	shippedLive   = 16
	shippedAfter  = 24
	suffix        = ".journal"
)

type segment struct {
	name string
	file *os.File
	mark uint32
	// data is the file in memory; nil where that is not possible, or has turned
	// out not to be.
	data   []byte
	mapped []byte // to be unmapped
	used   int    // bytes that are taken
	open   int    // begin entries without an end
	synced int    // what used was when the file was last written to the disk

	// The rest is the shipper's.

	shipped int  // up to where
	left    bool // by another process
	end     int  // of the entries, if it was left
	// ended is how far the process that wrote it had shipped.
	ended int
	// orphans are the positions of begin entries that never get an end.
	orphans map[int]bool
	strange bool // there is something in it that must not be deleted
}

// A maker makes segments.
type maker struct {
	// allocate gives a new file its size and room on the disk for all of it. It
	// returns errors.ErrUnsupported if it cannot promise that, and the error of
	// the disk if there is no room.
	allocate func(f *os.File, size int) error
	// mmap returns errors.ErrUnsupported if it cannot.
	mmap func(f *os.File, size int) ([]byte, error)
}

// system is how the operating system does it.
var system = maker{allocate: allocate, mmap: mmap}

// create makes an empty segment. Only with room on the disk for all of it may it
// be written to as memory: a write for which there is none would be a signal.
func (mk maker) create(dir string, seq uint64, size int) (*segment, error) {
	s := &segment{name: filepath.Join(dir, fmt.Sprintf("%016x%s", seq, suffix)), used: segmentHeader, shipped: segmentHeader}
	var mark [4]byte
	_, _ = rand.Read(mark[:]) // never fails
	s.mark = binary.LittleEndian.Uint32(mark[:])
	f, err := os.OpenFile(s.name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	s.file = f
	err = mk.allocate(f, size)
	if err == nil {
		s.mapped, err = mk.mmap(f, size)
		s.data = s.mapped
	}
	if errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	if err == nil {
		_, err = f.WriteAt(header(s.mark), 0)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return nil, errors.Join(err, s.unmap(), s.remove())
	}
	return s, nil
}

func header(mark uint32) []byte {
	b := make([]byte, segmentHeader)
	copy(b, segmentMagic)
	binary.LittleEndian.PutUint32(b[8:], mark)
	binary.LittleEndian.PutUint32(b[12:], crc32.Checksum(b[:12], castagnoli))
	return b
}

// append writes an entry and returns where.
func (s *segment) append(b *buffer) (at int, err error) {
	at = s.used
	b.place(s.mark, at)
	if s.data != nil && !s.put(b, at) {
		// The disk is not as it was promised: what else can be done is to ask it.
		s.data = nil
	}
	if s.data == nil {
		binary.LittleEndian.PutUint32(b.b, uint32(len(b.b)-entryHeader))
		if _, err := s.file.WriteAt(b.b, int64(at)); err != nil {
			return 0, err
		}
	}
	s.used += b.size()
	return at, nil
}

// put copies an entry into memory, and its length last: a process that dies on
// the way leaves a length of zero. It reports false for memory that cannot be
// written to, because the disk fails or is full after all.
func (s *segment) put(b *buffer, at int) (ok bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			if _, fault := p.(interface{ Addr() uintptr }); !fault {
				panic(p)
			}
			ok = false
		}
	}()
	copy(s.data[at+4:], b.b[4:])
	binary.LittleEndian.PutUint32(s.data[at:], uint32(len(b.b)-entryHeader))
	return true
}

// length returns where the entries end.
func (s *segment) length() int {
	if s.left {
		return s.end
	}
	return s.used
}

// setShipped notes how far the segment was shipped. Without the note, more is
// shipped again than need be.
func (s *segment) setShipped(at int) error {
	s.shipped = at
	field := int64(shippedLive)
	if s.left {
		field = shippedAfter
	}
	var b [8]byte
	binary.LittleEndian.PutUint32(b[:], uint32(at))
	binary.LittleEndian.PutUint32(b[4:], s.sumOf(b[:4]))
	_, err := s.file.WriteAt(b[:], field)
	return err
}

func (s *segment) sumOf(position []byte) uint32 {
	return crc32.Update(s.mark, castagnoli, position)
}

// shippedAt returns what setShipped noted, or where entries begin.
func (s *segment) shippedAt(field []byte, size int) int {
	at := int(binary.LittleEndian.Uint32(field))
	if s.sumOf(field[:4]) != binary.LittleEndian.Uint32(field[4:]) || at < segmentHeader || at > aligned(size) || at%align != 0 {
		return segmentHeader
	}
	return at
}

func (s *segment) unmap() error {
	if s.mapped == nil {
		return nil
	}
	b := s.mapped
	s.data, s.mapped = nil, nil
	return munmap(b)
}

func (s *segment) remove() error {
	return errors.Join(s.file.Close(), os.Remove(s.name))
}

// syncDir makes a new file's name last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return errors.Join(err, d.Close())
	}
	return d.Close()
}
