package journal

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/usage"
)

var quiet = Config{SegmentBytes: 64 << 10, Logger: slog.New(slog.DiscardHandler)}

// left returns a segment's file with the end entries of some ids, and where the
// entries begin.
func left(t testing.TB, ids ...string) (file []byte, at []int) {
	t.Helper()
	j := new(Journal)
	mark := uint32(0xA1B2C3D4)
	file = header(mark)
	for _, id := range ids {
		at = append(at, len(file))
		file = append(file, entryOf(j, mark, len(file), version, id)...)
	}
	return file, at
}

// entryOf returns an entry as it stands in a file.
func entryOf(j *Journal, mark uint32, at int, version byte, id string) []byte {
	b := j.encode(kindEnd, &usage.Record{ID: id, Model: "m"})
	b.b[entryHeader] = version
	b.sum = crc32.Checksum(b.b[entryHeader:], castagnoli)
	b.place(mark, at)
	binary.LittleEndian.PutUint32(b.b, uint32(len(b.b)-entryHeader))
	return append(b.b, make([]byte, b.size()-len(b.b))...)
}

// readBack writes files into a directory, and returns the ids that a journal
// ships from it.
func readBack(t testing.TB, files ...[]byte) ([]string, Found) {
	t.Helper()
	dir := t.TempDir()
	for i, b := range files {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%016x%s", i+1, suffix)), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return shipAll(t, dir)
}

func shipAll(t testing.TB, dir string) ([]string, Found) {
	t.Helper()
	j, err := Open(dir, quiet)
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{}
	sh := shipper{j: j, buf: make([]byte, window)}
	for more := true; more; {
		more, err = sh.step(t.Context(), func(_ context.Context, batch []usage.Record) error {
			for _, r := range batch {
				if r.Model != "m" {
					t.Errorf("misread: %+v", r)
				}
				ids = append(ids, r.ID)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(t.Context()); err != nil {
		t.Error(err)
	}
	return ids, j.Found()
}

// A segment that stops anywhere, in a file that does or with zeros after it, is
// read up to there, and the next one is read whole.
func TestTornEntries(t *testing.T) {
	t.Parallel()
	file, at := left(t, "a", "b", "c")
	next, _ := left(t, "d")
	for cut := range len(file) {
		for name, b := range map[string][]byte{
			"cut":   file[:cut],
			"zeros": append(slices.Clone(file[:cut]), make([]byte, len(file)-cut+4096)...),
		} {
			want, torn := []string{}, 0
			for i, id := range []string{"a", "b", "c"} {
				end := at[i] + entryHeader + int(binary.LittleEndian.Uint32(file[at[i]:]))
				if name == "zeros" { // it may be that nothing else was there
					end -= padding(file[:end])
				}
				switch {
				case cut >= end:
					want = append(want, id)
				case cut > at[i] && cut > segmentHeader:
					torn = 1
				}
			}
			ids, found := readBack(t, b, next)
			if !slices.Equal(ids, append(want, "d")) {
				t.Errorf("%s at %d: %q, want %q and the next", name, cut, ids, want)
			}
			if cut >= 16 && found.Torn != torn { // before, the file is none of ours
				t.Errorf("%s at %d: %d are torn, want %d", name, cut, found.Torn, torn)
			}
		}
	}
}

// padding returns how many zeros are at the end.
func padding(b []byte) int { return len(b) - len(bytes.TrimRight(b, "\x00")) }

// Whatever bits flip in an entry, it is left out, and no other is.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	file, at := left(t, "a", "b", "c")
	next, _ := left(t, "d")
	end := at[2] - padding(file[:at[2]])
	for i := at[1]; i < end; i++ {
		for bit := range 8 {
			b := slices.Clone(file)
			b[i] ^= 1 << bit
			ids, found := readBack(t, b, next)
			if !slices.Equal(ids, []string{"a", "c", "d"}) || found.Torn != 1 {
				t.Errorf("bit %d of byte %d: %q, %+v", bit, i-at[1], ids, found)
			}
		}
	}
	// The control: a change that the checksum agrees with is read.
	b := slices.Clone(file)
	i := at[1] + bytes.IndexByte(b[at[1]:at[2]], 'b')
	b[i] = 'x'
	payload := b[at[1]+entryHeader:][:binary.LittleEndian.Uint32(b[at[1]:])]
	sum := crc32.Update(crc32.Checksum(payload, castagnoli), castagnoli, b[at[1]+8:at[1]+entryHeader])
	binary.LittleEndian.PutUint32(b[at[1]+4:], sum)
	if ids, _ := readBack(t, b); !slices.Equal(ids, []string{"a", "x", "c"}) {
		t.Errorf("%q", ids)
	}
}

// An entry is one at its own place only.
func TestEntryAtAnotherPlace(t *testing.T) {
	t.Parallel()
	file, at := left(t, "a", "b")
	file = append(file, file[at[0]:at[1]]...)
	if ids, found := readBack(t, file); !slices.Equal(ids, []string{"a", "b"}) || found.Torn != 1 {
		t.Errorf("%q, %+v", ids, found)
	}
}

// In the rest of an entry that is torn there may be what a client sent. Without
// the mark of the segment, which nobody knows, it is no entry.
func TestEntryWithinATornEntry(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		flip uint32 // in the mark
		want []string
	}{
		{"with another mark", 1, []string{"a", "c"}},
		{"with the mark, the control", 0, []string{"a", "forged", "c"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			j := new(Journal)
			file, _ := left(t, "a")
			mark := binary.LittleEndian.Uint32(file[8:])
			outer := len(file)
			inner := entryOf(j, mark^tc.flip, outer+32, version, "forged")
			torn := entryOf(j, mark, outer, version, string(append(make([]byte, 32-entryHeader-3), inner...)))
			if !bytes.Equal(torn[32:][:len(inner)], inner) {
				t.Fatal("the inner entry is not where it says it is")
			}
			torn[4] ^= 1
			file = append(file, torn...)
			file = append(file, entryOf(j, mark, len(file), version, "c")...)
			if ids, _ := readBack(t, file); !slices.Equal(ids, tc.want) {
				t.Errorf("%q, want %q", ids, tc.want)
			}
		})
	}
}

// What a later version wrote stays for it, and all else comes once.
func TestFormsThatAreNotKnown(t *testing.T) {
	t.Parallel()
	j := new(Journal)
	file, _ := left(t, "a")
	mark := binary.LittleEndian.Uint32(file[8:])
	strange := entryOf(j, mark, len(file), 9, "later")
	file = append(file, strange...)
	file = append(file, entryOf(j, mark, len(file), version, "b")...)
	other, _ := left(t, "c")
	later := slices.Clone(other)
	later[7] = 2 // the version of segments
	unmarked := slices.Clone(other)
	unmarked[12] ^= 1

	dir := t.TempDir()
	names := map[string][]byte{"1": file, "2": other, "3": later, "4": unmarked, "5": make([]byte, 100), "not-ours": {1}}
	for name, b := range names {
		if err := os.WriteFile(filepath.Join(dir, name+suffix), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for round, want := range [][]string{{"a", "b", "c"}, {}, {}} {
		ids, found := shipAll(t, dir)
		if !slices.Equal(ids, want) || found.Strange != 3 {
			t.Errorf("%d: %q, %+v", round, ids, found)
		}
		if n, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(n) != 4 {
			t.Errorf("%d: %q are left, %v", round, n, err)
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "1"+suffix))
	if err != nil || !bytes.Contains(b, strange) {
		t.Errorf("the strange entry is gone: %v", err)
	}
}

// A file that turns out to be shorter than its memory, as on a disk that is full
// in spite of what it promised, costs no process its life. Without the guard in
// segment.put this test dies.
func TestMemoryThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j, err := Open(dir, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if j.active.data == nil {
		t.Skip("entries are not written to memory here")
	}
	j.End(Ticket{}, &usage.Record{ID: "a", Model: "m"})
	if err := j.active.file.Truncate(int64(j.active.used)); err != nil {
		t.Fatal(err)
	}
	j.active.used = aligned(max(j.active.used, os.Getpagesize())) // a page that is not there
	if !j.End(Ticket{}, &usage.Record{ID: "b", Model: "m"}) || j.active.data != nil {
		t.Error("the record was not written otherwise")
	}
	if err := j.Close(t.Context()); err == nil {
		t.Error("nothing waits")
	}
	ids, _ := shipAll(t, dir)
	if !slices.Equal(ids, []string{"a", "b"}) {
		t.Errorf("%q", ids)
	}
	// And when nothing else can be done, the record is dropped.
	dir = t.TempDir()
	if j, err = Open(dir, quiet); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(j.active.unmap(), j.active.file.Close()); err != nil {
		t.Fatal(err)
	}
	if j.End(Ticket{}, &usage.Record{ID: "c"}) || j.Dropped() != 1 {
		t.Error("a record was written to nowhere")
	}
	_ = j.Close(t.Context()) // its file is closed already
}

// A journal that the version before left behind is shipped.
func TestRecordsOfVersionOneAreRead(t *testing.T) {
	t.Parallel()
	want := usage.Record{ID: "a", Status: 200, Attempts: []usage.Attempt{{KeyID: "k", Status: 200, BilledTwice: true}}}
	b := appendRecord(nil, &want)
	old := b[:len(b)-2] // the lengths of the two texts that were added
	got, err := decodeRecord(1, old)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("(-want +got):\n%s%v", diff, err)
	}
	if _, err := decodeRecord(version, old); err == nil {
		t.Error("it is taken for one of this version")
	}
	e := entry{payload: append([]byte{1, kindEnd}, old...)}
	if _, _, err := e.record(); err != nil {
		t.Error(err)
	}
	e.payload[0] = version + 1
	if _, _, err := e.record(); !errors.Is(err, errStrange) {
		t.Errorf("one of a later version: %v", err)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add(appendRecord(nil, &usage.Record{}))
	f.Add(appendRecord(nil, &usage.Record{ID: "a", Attempts: []usage.Attempt{{KeyID: "k", ProviderID: "p", Provider: "n"}, {BilledTwice: true}}, Tokens: usage.Tokens{Input: 1 << 40, Known: true}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = decodeRecord(1, b)
		r, err := decodeRecord(version, b)
		if err != nil {
			return
		}
		again, err := decodeRecord(version, appendRecord(nil, &r))
		if err != nil {
			t.Fatal(err)
		}
		if a, b := fmt.Sprintf("%#v", cut(r)), fmt.Sprintf("%#v", again); a != b {
			t.Errorf("read %s, written and read again %s", a, b)
		}
	})
}

// cut cuts the texts of a record as appendString does.
func cut(r usage.Record) usage.Record {
	for _, s := range []*string{
		&r.ID, &r.TokenID, &r.Token, &r.OwnerID, &r.Client, &r.ProviderID, &r.Provider,
		&r.Model, &r.ActualModel, &r.Endpoint, &r.Path, &r.Reason,
	} {
		d := decoder{b: appendString(nil, *s)}
		d.s = string(d.b)
		*s = d.text()
	}
	r.Attempts = slices.Clone(r.Attempts)
	for i := range r.Attempts {
		for _, s := range []*string{&r.Attempts[i].KeyID, &r.Attempts[i].Outcome, &r.Attempts[i].ProviderID, &r.Attempts[i].Provider} {
			d := decoder{b: appendString(nil, *s)}
			d.s = string(d.b)
			*s = d.text()
		}
	}
	return r
}

// FuzzSegment opens a journal on a file of any bytes.
func FuzzSegment(f *testing.F) {
	file, at := left(f, "a", "b")
	f.Add(file)
	f.Add(file[:at[1]+5])
	f.Add(append(slices.Clone(file), file[at[0]:]...))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := segment{}
		if !s.readHeader(b) {
			return
		}
		r := reading{b: b[segmentHeader:], base: segmentHeader, mark: s.mark}
		for last := segmentHeader; ; {
			e, ok := r.next()
			if !ok {
				break
			}
			if e.at < last || e.end <= e.at || e.end > aligned(len(b)) {
				t.Fatalf("the entry from %d to %d follows %d in %d bytes", e.at, e.end, last, len(b))
			}
			last = e.end
			_, _, _ = e.record() // must not panic
		}
	})
}
