package auditlog

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"
)

// An ExportHeader is the first line of an export in JSON lines. Each line after
// it is the record of an entry, as [Leaf] wrote it, in order.
type ExportHeader struct {
	Export   string `json:"export"` // "gatehouse-audit"
	Version  int    `json:"v"`      // 1
	Origin   string `json:"origin"`
	First    int64  `json:"first"` // index of the first entry
	Size     int64  `json:"size"`  // index of the last one
	Edge     []byte `json:"edge"`  // of the tree of the entries before the first
	Filtered bool   `json:"filtered"`
}

// NewExportHeader describes an export of the entries from first to size, before
// which the tree had the head before.
func NewExportHeader(origin string, size int64, before Head, filtered bool) ExportHeader {
	return ExportHeader{"gatehouse-audit", 1, origin, before.Size + 1, size, before.EdgeBytes(), filtered}
}

// maxLine is the longest line of an export that is read, in bytes.
const maxLine = 4 << 20

// VerifyExport verifies an export, which is all that it needs besides the
// checkpoints. An error says that it is no such export.
func VerifyExport(r io.Reader, checkpoints []Checkpoint) (Report, error) {
	lines := bufio.NewReaderSize(r, maxLine)
	first, err := lines.ReadSlice('\n')
	var h ExportHeader
	if err != nil || json.Unmarshal(first, &h) != nil || h.Export != "gatehouse-audit" {
		return Report{}, errors.New("this is not an export of the audit log in JSON lines: its first line is not the header of one")
	}
	if h.Version != 1 {
		return Report{}, fmt.Errorf("the export is of version %d, and this program knows version 1", h.Version)
	}
	if h.Filtered {
		return Report{}, errors.New("the export was filtered: what is left out cannot be told from what was removed. Export without filters to verify")
	}
	before, err := ParseHead(h.First-1, h.Edge)
	if err != nil {
		return Report{}, errors.New("the header of the export was altered, or cut")
	}
	v, err := NewVerifier(h.Origin, checkpoints)
	if err != nil {
		return Report{}, err
	}
	for size := range v.checkpoints {
		if size < before.Size {
			v.find(0, "the checkpoint of %d entries cannot be compared: the export begins at entry %d", size, h.First)
			delete(v.checkpoints, size)
		}
	}
	v.head, v.report.Removed = before, before.Size
	v.retained = retention{before.Size + 1, 0} // the root will tell
	v.meet()
	for {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return Report{}, fmt.Errorf("a line of the export is longer than %d bytes", maxLine)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return Report{}, fmt.Errorf("read the export: %w", err)
		}
		if line = bytes.TrimSuffix(line, []byte("\n")); len(line) > 0 {
			v.line(line)
		}
		if err != nil {
			break
		}
	}
	if v.head.Size != h.Size {
		v.find(0, "the export ends at entry %d, and its header says %d: it was cut", v.head.Size, h.Size)
	}
	return v.finish(), nil
}

func (v *Verifier) line(leaf []byte) {
	index := v.head.Size + 1
	v.buf = strconv.AppendInt(append(v.buf[:0], `{"v":1,"index":`...), index, 10)
	if !bytes.HasPrefix(leaf, append(v.buf, ',')) {
		v.find(index, "is not where it should be in the export: lines are missing, were added, or changed places")
	}
	v.buf = v.head.grow(tlog.RecordHash(leaf), v.buf[:0])
	v.meet()
}
