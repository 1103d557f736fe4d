package auditlog

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// maxFindings is how many findings a report lists.
const maxFindings = 100

// A Finding is something wrong with a log.
type Finding struct {
	Index   int64 // of the entry; 0 for the log as a whole
	Problem string
}

// A Report says what a verification found.
type Report struct {
	Size    int64 // entries
	Root    tlog.Hash
	Removed int64 // the first entries, that retention removed
	// Covered is the size of the largest checkpoint that the log agrees with:
	// what came later is as trustworthy as the database.
	Covered  int64
	Findings []Finding // the first ones
	Found    int       // how many there are
}

// Rows is where a log is read from: [store.AuditLog] is one. What it returns is
// of one moment.
type Rows interface {
	Head(ctx context.Context) (store.AuditHead, error)
	Rows(ctx context.Context, from int64, limit int) ([]store.AuditRow, error)
}

// Verify verifies the log of that origin, by checkpoints that were kept
// elsewhere. Without one it finds only what does not fit together within the
// database.
//
// Reading is what takes long. Others that read the same log, each as it was when
// log was first asked or later, share it.
func Verify(ctx context.Context, origin string, log Rows, checkpoints []Checkpoint, others ...Rows) (Report, error) {
	head, err := log.Head(ctx)
	if err != nil {
		return Report{}, err
	}
	same := true
	for _, other := range others {
		h, err := other.Head(ctx) // which is where its moment begins
		if err != nil {
			return Report{}, err
		}
		same = same && h.Size == head.Size
	}
	report, err := verify(ctx, origin, head, append([]Rows{log}, others...), checkpoints)
	if err != nil || report.Found == 0 || same {
		return report, err
	}
	// Retention may have removed entries between one's moment and the next's.
	return verify(ctx, origin, head, []Rows{log}, checkpoints)
}

func verify(ctx context.Context, origin string, head store.AuditHead, logs []Rows, checkpoints []Checkpoint) (Report, error) {
	v, err := newVerifier(origin, checkpoints)
	if err != nil {
		return Report{}, err
	}
	for rows, err := range readAll(ctx, logs, head.Size) {
		if err != nil {
			return Report{}, err
		}
		for _, r := range rows {
			v.row(r)
		}
	}
	return v.finishAt(head), nil
}

// A verifier is given a whole log, row by row, and says whether it is the one
// that the checkpoints are of.
type verifier struct {
	checkpoints []Checkpoint // by size, those not met yet
	head        Head
	broken      bool  // rows are missing: there is no root any more
	differs     bool  // from a checkpoint, and so from all later ones
	retained    int64 // the first entry that says that what is gone was removed, 0 if none does
	report      Report
	buf         []byte
}

func newVerifier(origin string, checkpoints []Checkpoint) (*verifier, error) {
	v := &verifier{}
	for _, c := range checkpoints {
		if c.Origin != origin {
			return nil, fmt.Errorf("the checkpoint is of %s, and the log is %s: it belongs to another installation", c.Origin, origin)
		}
		if c.Size > 0 {
			v.checkpoints = append(v.checkpoints, c)
		}
	}
	slices.SortFunc(v.checkpoints, func(a, b Checkpoint) int {
		return cmp.Or(cmp.Compare(a.Size, b.Size), bytes.Compare(a.Root[:], b.Root[:]))
	})
	v.checkpoints = slices.Compact(v.checkpoints)
	for i, c := range v.checkpoints {
		if i > 0 && v.checkpoints[i-1].Size == c.Size {
			v.find(0, "two checkpoints of %d entries contradict each other: the log was rewritten, or restored from a backup, between them", c.Size)
		}
	}
	return v, nil
}

func (v *verifier) find(index int64, problem string, args ...any) {
	v.report.Found++
	if len(v.report.Findings) < maxFindings {
		v.report.Findings = append(v.report.Findings, Finding{index, fmt.Sprintf(problem, args...)})
	}
}

// row takes the next row, in the order of the index.
func (v *verifier) row(r store.AuditRow) {
	if !v.reach(r.Index) {
		return
	}
	hash := v.leafHash(r)
	if completed := v.add(hash); v.broken && !bytes.HasPrefix(r.Hashes, hash[:]) || !v.broken && !bytes.Equal(completed, r.Hashes) {
		v.find(r.Index, "is not the one that its place in the tree was made of, or the tree was altered there")
	}
}

// reach goes to where an entry stands, and reports whether it stands behind all
// that came before.
func (v *verifier) reach(index int64) bool {
	next := v.head.Size + 1
	if index < next {
		v.find(index, "stands twice, or out of order")
		return false
	}
	if index > next {
		v.find(next, "%d entries are missing, from this one on", index-next)
		v.broken = true
		v.head = Head{Size: index - 1}
	}
	return true
}

// add adds the entry of that hash, and returns the hashes which that completed,
// nil if rows are missing. They are good until the next call.
func (v *verifier) add(hash tlog.Hash) []byte {
	if v.broken {
		v.head.Size++
		return nil
	}
	v.buf = v.head.grow(hash, v.buf[:0])
	v.meet()
	return v.buf
}

// leafHash checks one row by itself, and returns the hash of what it has.
func (v *verifier) leafHash(r store.AuditRow) (hash tlog.Hash) {
	// A row whose record was emptied is not one that was removed.
	if r.Leaf == nil && r.Entry == (store.AuditEntry{}) {
		if v.report.Removed == r.Index-1 {
			v.report.Removed = r.Index // a beginning that is gone may be retention's work
		} else {
			v.find(r.Index, "was removed")
		}
		copy(hash[:], r.Hashes)
		return hash
	}
	v.buf = appendLeaf(v.buf[:0], r.Entry)
	if !bytes.Equal(v.buf, r.Leaf) {
		v.find(r.Index, "says something else in its columns than in its record")
	}
	v.noteRetention(r.Entry)
	return tlog.RecordHash(r.Leaf)
}

// noteRetention remembers e if it accounts for what is gone. The first to do so
// is the one that a checkpoint covers if any does.
func (v *verifier) noteRetention(e store.AuditEntry) {
	if e.Resource != rbac.AuditLog || e.Action != rbac.Delete || v.retained != 0 {
		return
	}
	var diff struct {
		Before struct{ New int64 }
	}
	if json.Unmarshal([]byte(e.Diff), &diff) == nil && diff.Before.New > v.report.Removed {
		v.retained = e.Index
	}
}

// meet compares the tree with the checkpoints of its size.
func (v *verifier) meet() {
	for len(v.checkpoints) > 0 && v.checkpoints[0].Size == v.head.Size {
		c := v.checkpoints[0]
		v.checkpoints = v.checkpoints[1:]
		switch {
		case c.Root == v.head.Root():
			v.report.Covered = c.Size
		case !v.differs:
			v.differs = true
			v.find(0, "of the entries %d to %d, one was altered, added or removed: the checkpoint of %d entries says so", min(v.report.Covered, c.Size-1)+1, c.Size, c.Size)
		}
	}
}

// finishAt takes the head that the log has in the database, and returns the
// report.
func (v *verifier) finishAt(head store.AuditHead) Report {
	if !v.broken && (head.Size != v.head.Size || !bytes.Equal(head.Edge, v.head.EdgeBytes())) {
		v.find(0, "the head of the log is of %d entries, and there are %d: entries were cut off or added, or the head was altered", head.Size, v.head.Size)
	}
	if n := len(v.checkpoints); n > 0 && v.checkpoints[n-1].Size > v.head.Size {
		v.find(0, "the log ends at entry %d, and there is a checkpoint of %d entries: the end was cut off", v.head.Size, v.checkpoints[n-1].Size)
	}
	return v.finish()
}

func (v *verifier) finish() Report {
	if v.broken && len(v.checkpoints) > 0 {
		v.find(0, "from the checkpoint of %d entries on none can be compared, since entries are missing", v.checkpoints[0].Size)
	}
	if r := v.report.Removed; r > 0 {
		switch by := v.retained; {
		case by == 0:
			v.find(r, "and all before it were removed, and no entry about retention says so")
		case v.report.Covered > 0 && by > v.report.Covered:
			v.find(by, "says that retention removed entries, and no checkpoint covers it yet: verify again with a newer checkpoint")
		}
	}
	v.report.Size = v.head.Size
	if !v.broken {
		v.report.Root = v.head.Root()
	}
	return v.report
}
