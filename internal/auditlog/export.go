package auditlog

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gatehousehq/gatehouse/internal/rbac"
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
	v, err := newVerifier(h.Origin, checkpoints)
	if err != nil {
		return Report{}, err
	}
	v.head, v.report.Removed = before, before.Size
	// Of the tree before its first entry an export has but the edge.
	given := len(v.checkpoints)
	v.checkpoints = slices.DeleteFunc(v.checkpoints, func(c Checkpoint) bool { return c.Size < before.Size })
	if given > 0 && len(v.checkpoints) == 0 {
		v.find(0, "no checkpoint can be compared: all are of fewer than %d entries, and the export begins at entry %d", before.Size, h.First)
	}
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
	if n := len(v.checkpoints); n > 0 && v.checkpoints[n-1].Size > v.head.Size {
		v.find(0, "the export ends at entry %d, and there is a checkpoint of %d entries: the end was cut off, or the export is older than the checkpoint; export again, or verify with the checkpoints up to then", v.head.Size, v.checkpoints[n-1].Size)
	}
	return v.finish(), nil
}

const leafStart = `{"v":1,"index":`

// retentionMark is in the record of each entry about retention.
var retentionMark = fmt.Appendf(nil, `"action":%q,"resource_type":%q`, rbac.Delete, rbac.AuditLog)

// line takes the next line of an export.
func (v *verifier) line(leaf []byte) {
	digits, _, _ := bytes.Cut(bytes.TrimPrefix(leaf, []byte(leafStart)), []byte(","))
	index, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil || !bytes.HasPrefix(leaf, []byte(leafStart)) {
		index = v.head.Size + 1
		v.find(index, "is not the record of an entry")
	}
	if !v.reach(index) {
		return
	}
	if bytes.Contains(leaf, retentionMark) {
		if e, err := ParseLeaf(leaf); err == nil {
			v.noteRetention(e)
		}
	}
	v.add(tlog.RecordHash(leaf))
}
