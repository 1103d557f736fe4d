package auditlog_test

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/auditlog"
)

// export is what the server writes for a log in that state.
func (m *memory) export(t testing.TB) io.Reader {
	t.Helper()
	first := m.head.Size + 1
	for _, r := range m.rows {
		if r.Leaf != nil {
			first = r.Index
			break
		}
	}
	before, err := auditlog.HeadAt(t.Context(), m, first-1)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	header, err := json.Marshal(auditlog.NewExportHeader(auditlog.Origin(logID), m.head.Size, before, false))
	if err != nil {
		t.Fatal(err)
	}
	b.Write(append(header, '\n'))
	for _, r := range m.rows {
		if r.Leaf != nil {
			b.Write(r.Leaf)
			b.WriteByte('\n')
		}
	}
	return &b
}

// TestFindingsSayWhere holds that who reads them at night gets one sentence for
// one thing that is wrong, and learns where.
func TestFindingsSayWhere(t *testing.T) {
	t.Parallel()
	key := newSigner(t, 1)
	tests := map[string]struct {
		do   func(m *memory)
		want string
	}{
		"nothing is wrong": {func(*memory) {}, ""},
		"one is edited, and all restamped": {func(m *memory) {
			m.rows[24].Entry.ActorName = "eve"
			m.restamp(t)
		}, "0: of the entries 21 to 30, one was altered, added or removed: the checkpoint of 30 entries says so\n"},
		"the end is cut off": {func(m *memory) {
			m.rows = m.rows[:45]
			m.restamp(t)
		}, "0: the log ends at entry 45, and there is a checkpoint of 100 entries: the end was cut off\n"},
		"rows and places are gone, and one is edited behind them": {func(m *memory) {
			m.rows[60].Entry.ActorName = "eve"
			m.rows[61].Leaf = append(m.rows[61].Leaf, ' ')
			m.rows = append(m.rows[:40], m.rows[43:]...)
		}, "41: 3 entries are missing, from this one on\n" +
			"61: says something else in its columns than in its record\n" +
			"62: says something else in its columns than in its record\n" +
			"62: is not the one that its place in the tree was made of, or the tree was altered there\n" +
			"0: from the checkpoint of 50 entries on none can be compared, since entries are missing\n"},
		"one stands twice": {func(m *memory) {
			m.rows = append(m.rows[:50], m.rows[49:]...)
		}, "50: stands twice, or out of order\n"},
		"the head is of another size": {func(m *memory) { m.head.Size = 99 },
			"0: the head of the log is of 99 entries, and there are 100: entries were cut off or added, or the head was altered\n"},
		"the head has another edge": {func(m *memory) { m.head.Edge = bytes.Clone(m.head.Edge); m.head.Edge[0] ^= 1 },
			"0: the head of the log is of 100 entries, and there are 100: entries were cut off or added, or the head was altered\n"},
		"a larger subtree is altered": {func(m *memory) { m.rows[63].Hashes[200] ^= 1 },
			"64: is not the one that its place in the tree was made of, or the tree was altered there\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMemory(t, 100)
			var kept []auditlog.Checkpoint
			for size := int64(10); size <= 100; size += 10 {
				kept = append(kept, m.at(t, key, size))
			}
			m = m.clone()
			tt.do(m)
			if diff := cmp.Diff(problems(m.verify(t, kept...)), tt.want); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatIsCovered(t *testing.T) {
	t.Parallel()
	m, key := newMemory(t, 100), newSigner(t, 1)
	for _, covered := range []int64{1, 64, 99, 100} {
		got := m.verify(t, m.at(t, key, min(covered, 7)), m.at(t, key, covered), m.at(t, key, covered))
		if got.Found != 0 || got.Covered != covered || got.Size != 100 {
			t.Errorf("got %+v, want %d of 100 covered", got, covered)
		}
	}
}

func TestCheckpointsThatContradictEachOther(t *testing.T) {
	t.Parallel()
	m, key := newMemory(t, 20), newSigner(t, 1)
	rewritten := m.clone()
	rewritten.rows[4].Entry.ActorName = "eve"
	rewritten.restamp(t)
	got := problems(m.verify(t, m.at(t, key, 10), rewritten.at(t, key, 10)))
	if want := "two checkpoints of 10 entries contradict each other"; !strings.Contains(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestACheckpointOfAnotherLogIsRefused(t *testing.T) {
	t.Parallel()
	m := newMemory(t, 3)
	c := m.at(t, newSigner(t, 1), 3)
	if _, err := auditlog.Verify(t.Context(), auditlog.Origin("another"), m, []auditlog.Checkpoint{c}); err == nil {
		t.Error("got no error")
	}
}

func TestFindingsAreCapped(t *testing.T) {
	t.Parallel()
	m := newMemory(t, 300)
	for i := range m.rows {
		m.rows[i].Entry.ActorName = "eve"
	}
	if got := m.verify(t); got.Found != 300 || len(got.Findings) != 100 {
		t.Errorf("got %d findings of %d, want 100 of 300", len(got.Findings), got.Found)
	}
}

func TestExports(t *testing.T) {
	t.Parallel()
	key := newSigner(t, 1)
	m := newMemory(t, 40)
	early := m.at(t, key, 20)
	m.prune(t, 31)
	kept := []auditlog.Checkpoint{early, m.at(t, key, 41)}
	b, err := io.ReadAll(m.export(t))
	if err != nil {
		t.Fatal(err)
	}
	whole := string(b)
	lines := strings.SplitAfter(whole, "\n") // header, 31 to 41, ""
	join := func(parts ...[]string) string {
		var b strings.Builder
		for _, p := range parts {
			b.WriteString(strings.Join(p, ""))
		}
		return b.String()
	}
	// shorter is an export from entry 33 on, as somebody makes it who wants to
	// hide more than retention removed.
	before, err := auditlog.HeadAt(t.Context(), m, 32)
	if err != nil {
		t.Fatal(err)
	}
	header, err := json.Marshal(auditlog.NewExportHeader(auditlog.Origin(logID), 41, before, false))
	if err != nil {
		t.Fatal(err)
	}
	shorter := string(header) + "\n" + join(lines[3:])
	tests := map[string]struct {
		export string
		kept   []auditlog.Checkpoint
		want   string // in the error, or in the findings; "" is neither
	}{
		"whole":                            {whole, kept, ""},
		"without the last line's end":      {strings.TrimSuffix(whole, "\n"), kept, ""},
		"no checkpoint covers its start":   {whole, kept[:1], "0: no checkpoint can be compared: all are of fewer than 30 entries, and the export begins at entry 31"},
		"retention is not covered":         {whole, []auditlog.Checkpoint{m.at(t, key, 40)}, "41: says that retention removed entries"},
		"from a later entry on":            {shorter, kept, "32: and all before it were removed, and no entry about retention says so"},
		"a line is changed":                {strings.Replace(whole, `"ada"`, `"eve"`, 1), kept, "of the entries 1 to 41, one was altered"},
		"a line is missing":                {join(lines[:4], lines[5:]), kept, "34: 1 entries are missing"},
		"the last line is missing":         {join(lines[:11]), kept, "0: the export ends at entry 40, and its header says 41: it was cut"},
		"the last line is cut":             {whole[:len(whole)-10], kept, "of the entries 1 to 41, one was altered"},
		"a line stands twice":              {join(lines[:4], lines[3:]), kept, "33: stands twice, or out of order"},
		"two lines changed places":         {join(lines[:4], lines[5:6], lines[4:5], lines[6:]), kept, "34: 1 entries are missing"},
		"something else between the lines": {join(lines[:4], []string{"hello\n"}, lines[4:]), kept, "34: is not the record of an entry"},
		"a number between the lines":       {join(lines[:4], []string{"34,hello\n"}, lines[4:]), kept, "34: is not the record of an entry"},
		"older than the checkpoint":        {strings.Replace(join(lines[:5]), `"size":41`, `"size":34`, 1), kept, "the end was cut off, or the export is older than the checkpoint"},
		"another edge":                     {strings.Replace(whole, `"edge":"`, `"edge":"AAAA`, 1), kept, "the header of the export was altered, or cut"},
		"another start":                    {strings.Replace(whole, `"first":31`, `"first":1`, 1), kept, "the header of the export was altered, or cut"},
		"filtered":                         {strings.Replace(whole, `"filtered":false`, `"filtered":true`, 1), kept, "Export without filters"},
		"a later version":                  {strings.Replace(whole, `"v":1`, `"v":2`, 1), kept, "version 2"},
		"of another log":                   {strings.Replace(whole, logID, "another", 1), kept, "it belongs to another installation"},
		"CSV":                              {"index,time\n1,2030\n", kept, "this is not an export"},
		"nothing":                          {"", kept, "this is not an export"},
		"an endless line":                  {lines[0] + strings.Repeat("x", 5<<20), kept, "longer than"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := auditlog.VerifyExport(strings.NewReader(tt.export), tt.kept)
			got := problems(r)
			if err != nil {
				got = err.Error()
			}
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
