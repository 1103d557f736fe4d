package crash_test

import "fmt"

// An op is one thing that was done to a file, or the acknowledgement of a
// change.
type op struct {
	kind   opKind
	file   string
	offset int64  // of a write; the new size of a truncation
	data   []byte // of a write
}

type opKind string

const (
	opCreate   opKind = "create"
	opWrite    opKind = "write"
	opTruncate opKind = "truncate"
	opSync     opKind = "sync"
	opRemove   opKind = "remove"
	opAck      opKind = "acknowledge"
)

func (o op) String() string {
	switch o.kind {
	case opWrite:
		return fmt.Sprintf("write %d bytes at %d of %s", len(o.data), o.offset, o.file)
	case opTruncate:
		return fmt.Sprintf("truncate %s to %d", o.file, o.offset)
	}
	return fmt.Sprintf("%s %s", o.kind, o.file)
}

// A disk is what files hold, and what was done to them since each was last
// synced.
type disk struct {
	synced  map[string][]byte
	pending []op // writes and truncations, of all files, in order
}

func newDisk() *disk { return &disk{synced: map[string][]byte{}} }

// do makes o happen.
func (d *disk) do(o op) {
	switch o.kind {
	case opCreate:
		d.synced[o.file] = nil
	case opWrite, opTruncate:
		d.pending = append(d.pending, o)
	case opSync, opRemove:
		content := d.synced[o.file]
		var kept []op
		for _, p := range d.pending {
			if p.file == o.file {
				content = p.apply(content, nil)
			} else {
				kept = append(kept, p)
			}
		}
		d.pending = kept
		d.synced[o.file] = content
		if o.kind == opRemove {
			delete(d.synced, o.file)
		}
	}
}

// sector is what a disk writes whole or not at all.
const sector = 512

// apply does o to content, which it may change, and returns the result. reached
// says of each sector of a write whether it reached the disk; nil is all.
func (o op) apply(content []byte, reached func(i int) bool) []byte {
	if o.kind == opTruncate {
		return resize(content, int(o.offset))
	}
	for i, done := 0, 0; done < len(o.data); i++ {
		from := int(o.offset) + done
		n := min(sector-from%sector, len(o.data)-done)
		if reached == nil || reached(i) {
			if from+n > len(content) {
				content = resize(content, from+n)
			}
			copy(content[from:], o.data[done:done+n])
		}
		done += n
	}
	return content
}

// sectors returns how many sectors a write touches.
func (o op) sectors() int {
	first, last := int(o.offset)/sector, (int(o.offset)+len(o.data)-1)/sector
	return last - first + 1
}

// resize cuts content or fills it up with zeros.
func resize(content []byte, size int) []byte {
	if size <= len(content) {
		return content[:size]
	}
	if size > cap(content) {
		grown := make([]byte, len(content), size+size/4)
		copy(grown, content)
		content = grown
	}
	old := len(content)
	content = content[:size]
	clear(content[old:])
	return content
}
