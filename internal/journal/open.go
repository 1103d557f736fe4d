package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/gatehousehq/gatehouse/internal/usage"
)

// Found says what an earlier process had left behind.
type Found struct {
	// Records are those that had ended and not been shipped.
	Records int
	// Unfinished are requests that had begun and not ended.
	Unfinished int
	// Torn are places that could not be read: the process or the machine stopped
	// there, or the disk has changed them.
	Torn int
	// Strange are entries and files in a form that this program does not know.
	// They stay where they are.
	Strange int
}

// Open opens the journal in a directory, and makes that if it is missing. It
// reads what has been left there, to be shipped.
func Open(dir string, cfg Config) (*Journal, error) { return open(dir, cfg, system) }

func open(dir string, cfg Config, mk maker) (*Journal, error) {
	cfg.setDefaults()
	j := &Journal{
		dir: dir, cfg: cfg, maker: mk, most: int(max(cfg.MaxBytes/int64(cfg.SegmentBytes), minSegments)),
		wake: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{}),
		closing: make(chan struct{}), drained: make(chan struct{}),
		slots: make([]slot, 1), nextSeq: 1,
	}
	j.changed.L = &j.mu
	j.cfg.Logger = cfg.Logger.With("component", "journal")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the journal: %w", err)
	}
	if err := j.readLeft(); err != nil {
		return nil, errors.Join(fmt.Errorf("open the journal: %w", err), j.closeFiles())
	}
	// Even a journal that is full opens: then it has the room of two segments
	// more for what happens until some of it has been shipped. Without room on the
	// disk it begins as it would go on.
	var err error
	if j.active, err = j.create(); err == nil {
		j.segments = append(j.segments, j.active)
		j.spare, err = j.create()
	}
	if j.spareErr = err; err != nil && !noRoom(err) {
		return nil, errors.Join(fmt.Errorf("open the journal: %w", err), j.closeFiles())
	}
	j.depth.Store(int64(j.found.Records + j.found.Unfinished))
	if f := j.found; f != (Found{}) {
		j.cfg.Logger.Info("the journal has records of an earlier process",
			"records", f.Records, "unfinished", f.Unfinished, "torn", f.Torn, "strange", f.Strange)
	}
	go j.keep()
	return j, nil
}

func noRoom(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// create makes the next segment. Only Open and the keeper call it.
func (j *Journal) create() (*segment, error) {
	s, err := j.maker.create(j.dir, j.nextSeq, j.cfg.SegmentBytes)
	j.nextSeq++
	return s, err
}

// closeFiles closes the segments and leaves them.
func (j *Journal) closeFiles() error {
	var errs []error
	for _, s := range append(slices.Clone(j.segments), j.spare) {
		if s != nil {
			errs = append(errs, s.unmap(), s.file.Close())
		}
	}
	return errors.Join(errs...)
}

// A beginning is where a begin entry is.
type beginning struct {
	s  *segment
	at int
}

// readLeft reads the segments that are there, oldest first, so that an end comes
// after its begin.
func (j *Journal) readLeft() error {
	names, err := filepath.Glob(filepath.Join(j.dir, "*"+suffix))
	if err != nil {
		return err
	}
	slices.Sort(names)
	begun := map[string]beginning{}
	var buf []byte
	for _, name := range names {
		seq, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(name), suffix), 16, 64)
		if err != nil {
			continue // not ours
		}
		j.nextSeq = max(j.nextSeq, seq+1)
		if buf, err = j.readSegment(name, buf, begun); err != nil {
			return err
		}
	}
	for _, b := range begun {
		if b.at >= b.s.shipped {
			b.s.orphans[b.at] = true
			j.found.Unfinished++
		}
	}
	return nil
}

// readSegment reads one segment. It comes to j.segments, unless it is empty and
// goes, or is none that can be read and stays.
func (j *Journal) readSegment(name string, buf []byte, begun map[string]beginning) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return buf, err
	}
	buf, err = readAll(f, buf)
	if err != nil {
		return buf, errors.Join(fmt.Errorf("read %s: %w", name, err), f.Close())
	}
	s := &segment{name: name, file: f, left: true, orphans: map[int]bool{}}
	switch {
	case len(buf) <= maxSegmentBytes && isZero(buf): // as it was made
		return buf, s.remove()
	case len(buf) > maxSegmentBytes, !s.readHeader(buf):
		j.found.Strange++
		j.kept++
		return buf, f.Close()
	}
	j.segments = append(j.segments, s)
	j.readEntries(s, buf, begun)
	return buf, nil
}

// readAll reads the file, or so much of it that it shows to be too long.
func readAll(f *os.File, buf []byte) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return buf, err
	}
	buf = slices.Grow(buf[:0], int(min(info.Size(), maxSegmentBytes+1)))
	buf = buf[:cap(buf)][:min(info.Size(), maxSegmentBytes+1)]
	n, err := io.ReadFull(f, buf)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return buf[:n], err
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// readHeader reports whether the segment is of a form that is known.
func (s *segment) readHeader(b []byte) bool {
	if len(b) < segmentHeader {
		return false
	}
	s.mark = uint32(b[8]) | uint32(b[9])<<8 | uint32(b[10])<<16 | uint32(b[11])<<24
	if string(b[:16]) != string(header(s.mark)[:16]) {
		return false
	}
	s.ended = s.shippedAt(b[shippedLive:shippedLive+8], len(b))
	s.shipped = s.shippedAt(b[shippedAfter:shippedAfter+8], len(b))
	return true
}

// readEntries finds out what of a segment is still to be shipped.
func (j *Journal) readEntries(s *segment, b []byte, begun map[string]beginning) {
	r := reading{b: b[segmentHeader:], base: segmentHeader, mark: s.mark}
	s.end = segmentHeader
	for {
		e, ok := r.next()
		if !ok {
			break
		}
		s.end = e.end
		kind, rec, err := e.record()
		switch {
		case err != nil:
			s.strange = true
			j.found.Strange++
		case kind == kindBegin:
			begun[rec.ID] = beginning{s, e.at} // the last one: see carry
		default:
			delete(begun, rec.ID)
			if s.wants(e.at) {
				j.found.Records++
			}
		}
	}
	j.found.Torn += r.torn
}

// wants reports whether an end entry of a segment that was left is still to be
// shipped.
func (s *segment) wants(at int) bool { return at >= s.ended && at >= s.shipped }

var errStrange = errors.New("the entry is of a form that is not known")

// record returns the record in an entry.
func (e entry) record() (kind byte, rec usage.Record, err error) {
	kind = e.payload[1]
	if v := e.payload[0]; v < 1 || v > version || kind != kindBegin && kind != kindEnd {
		return 0, usage.Record{}, errStrange
	}
	rec, err = decodeRecord(e.payload[0], e.payload[2:])
	rec.Unfinished = kind == kindBegin
	return kind, rec, err
}
