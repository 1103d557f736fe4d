package auditlog

import (
	"bytes"
	"encoding/json"
	"fmt"

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

// A Verifier is given a whole log, row by row, and says whether it is the one
// that the checkpoints are of.
type Verifier struct {
	checkpoints map[int64][]Checkpoint // by size, those not met yet
	head        Head
	broken      bool // rows are missing: there is no root any more
	retained    retention
	report      Report
	buf         []byte
}

// A retention is what the log itself says about entries that were removed.
type retention struct{ below, by int64 }

// NewVerifier returns a Verifier of the log of that origin, by checkpoints that
// were kept elsewhere. Without one it finds only what does not fit together
// within the database.
func NewVerifier(origin string, checkpoints []Checkpoint) (*Verifier, error) {
	v := &Verifier{checkpoints: map[int64][]Checkpoint{}}
	for _, c := range checkpoints {
		if c.Origin != origin {
			return nil, fmt.Errorf("the checkpoint is of %s, and the log is %s: it belongs to another installation", c.Origin, origin)
		}
		if c.Size > 0 {
			v.checkpoints[c.Size] = append(v.checkpoints[c.Size], c)
		}
	}
	return v, nil
}

func (v *Verifier) find(index int64, problem string, args ...any) {
	v.report.Found++
	if len(v.report.Findings) < maxFindings {
		v.report.Findings = append(v.report.Findings, Finding{index, fmt.Sprintf(problem, args...)})
	}
}

// Row takes the next row, in the order of the index.
func (v *Verifier) Row(r store.AuditRow) {
	switch next := v.head.Size + 1; {
	case r.Index < next:
		v.find(r.Index, "stands twice, or out of order")
		return
	case r.Index > next:
		v.find(next, "%d entries are missing, from this one on", r.Index-next)
		v.broken = true
		v.head = Head{Size: r.Index - 1}
	}
	hash := v.leafHash(r)
	if v.broken {
		v.head.Size++
		return
	}
	v.buf = v.head.grow(hash, v.buf[:0])
	if !bytes.Equal(v.buf, r.Hashes) {
		v.find(r.Index, "is not the one that its place in the tree was made of, or the tree was altered there")
	}
	v.meet()
}

// leafHash checks one row by itself, and returns the hash of what it has.
func (v *Verifier) leafHash(r store.AuditRow) (hash tlog.Hash) {
	if r.Leaf == nil {
		if v.report.Removed == r.Index-1 && len(r.Hashes) >= tlog.HashSize {
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
	if r.Entry.Resource == rbac.AuditLog && r.Entry.Action == rbac.Delete {
		v.noteRetention(r)
	}
	return tlog.RecordHash(r.Leaf)
}

func (v *Verifier) noteRetention(r store.AuditRow) {
	var diff struct {
		Before struct{ New int64 }
	}
	if json.Unmarshal([]byte(r.Entry.Diff), &diff) == nil && diff.Before.New > v.retained.below {
		v.retained = retention{diff.Before.New, r.Index}
	}
}

// meet compares the tree with the checkpoints of its size.
func (v *Verifier) meet() {
	met := v.checkpoints[v.head.Size]
	if met == nil {
		return
	}
	delete(v.checkpoints, v.head.Size)
	root := v.head.Root()
	for _, c := range met {
		if c.Root != root {
			v.find(0, "the first %d entries are not those of the checkpoint of that size: one of them was altered, added or removed", c.Size)
		} else {
			v.report.Covered = c.Size
		}
	}
}

// Finish takes the head that the log has in the database, and returns the
// report.
func (v *Verifier) Finish(head store.AuditHead) Report {
	if !v.broken && (head.Size != v.head.Size || !bytes.Equal(head.Edge, v.head.EdgeBytes())) {
		v.find(0, "the head of the log is of %d entries, and there are %d: entries were cut off or added, or the head was altered", head.Size, v.head.Size)
	}
	return v.finish()
}

func (v *Verifier) finish() Report {
	for size := range v.checkpoints {
		switch {
		case size > v.head.Size:
			v.find(0, "the log ends at entry %d, and there is a checkpoint of %d entries: the end was cut off", v.head.Size, size)
		case v.broken:
			v.find(0, "the checkpoint of %d entries cannot be compared, since entries are missing", size)
		}
	}
	if r := v.report.Removed; r > 0 {
		switch by := v.retained; {
		case by.below <= r:
			v.find(r, "and all before it were removed, and no entry about retention says so")
		case v.report.Covered > 0 && by.by > v.report.Covered:
			v.find(by.by, "says that retention removed entries, and no checkpoint covers it yet: verify again with a newer checkpoint")
		}
	}
	v.report.Size = v.head.Size
	if !v.broken {
		v.report.Root = v.head.Root()
	}
	return v.report
}
