package auditlog_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/auditlog"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
)

const logID = "0195c0de-0000-7000-8000-000000000001"

var noon = time.Date(2030, 1, 1, 12, 0, 0, 123456000, time.UTC)

// testSeed is that of the n-th test key.
func testSeed(n int) secret.Text {
	sum := sha256.Sum256(fmt.Appendf(nil, "test key %d", n))
	return secret.New(string(sum[:]))
}

func newSigner(t testing.TB, n int) *auditlog.Signer {
	t.Helper()
	s, err := auditlog.NewSigner(logID, testSeed(n))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// someEntry is some entry of an index.
func someEntry(index int64) store.AuditEntry {
	return store.AuditEntry{
		Index: index, At: noon.Add(time.Duration(index) * time.Millisecond), ActorKind: store.ActorUser,
		ActorID: "0195c0de-0000-7000-8000-0000000000aa", ActorName: "ada", TokenID: "0195c0de-0000-7000-8000-0000000000bb", TokenName: "laptop",
		Action: rbac.Update, Resource: rbac.AIProvider, ID: fmt.Sprintf("0195c0de-0000-7000-8000-%012d", index), Target: "openai",
		Origin: store.Origin{RequestID: fmt.Sprintf("req-%d", index), Address: "192.0.2.1", UserAgent: "gatehouse/1.0"},
		Count:  1, Diff: `{"display_name":{"old":"<OpenAI>","new":"OpenAI & co"}}`,
	}
}

// retention is the entry which says that those below first were removed.
func retention(index, first int64) store.AuditEntry {
	e := someEntry(index)
	e.ActorKind, e.ActorID, e.ActorName = store.ActorSystem, "", "archivist"
	e.Action, e.Resource, e.ID, e.Target = rbac.Delete, rbac.AuditLog, "", ""
	e.Diff = fmt.Sprintf(`{"before":{"new":%d}}`, first)
	return e
}

// A memory is a log as a database has it, for those who can write to it.
type memory struct {
	mu   sync.Mutex
	rows []store.AuditRow
	head store.AuditHead
	err  error // of all that is read
}

func newMemory(t testing.TB, size int64) *memory {
	t.Helper()
	m := &memory{}
	for i := range size {
		m.add(t, someEntry(i+1))
	}
	return m
}

func (m *memory) add(t testing.TB, e store.AuditEntry) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	leaf, err := auditlog.Leaf(e)
	if err != nil {
		t.Fatal(err)
	}
	head, err := auditlog.ParseHead(m.head.Size, m.head.Edge)
	if err != nil {
		t.Fatal(err)
	}
	next, completed := head.Append(leaf)
	m.rows = append(m.rows, store.AuditRow{Index: e.Index, Hashes: completed, Leaf: leaf, Entry: e})
	m.head = store.AuditHead{Size: next.Size, Edge: next.EdgeBytes()}
}

// fail makes all that is read an error, nil for none.
func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

// replace puts another log in the place of m.
func (m *memory) replace(by *memory) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows, m.head = by.rows, by.head
}

// clone returns a copy to tamper with.
func (m *memory) clone() *memory {
	rows := slices.Clone(m.rows)
	for i := range rows {
		rows[i].Leaf, rows[i].Hashes = slices.Clone(rows[i].Leaf), slices.Clone(rows[i].Hashes)
	}
	return &memory{rows: rows, head: m.head}
}

// restamp makes rows, tree and head fit together again, whatever the rows say.
// Removed ones keep their hashes.
func (m *memory) restamp(t testing.TB) {
	t.Helper()
	old := m.rows
	m.rows, m.head = nil, store.AuditHead{}
	for i, r := range old {
		r.Entry.Index = int64(i + 1)
		m.add(t, r.Entry)
	}
}

// prune removes the entries below first, as retention does, and says so.
func (m *memory) prune(t testing.TB, first int64) {
	t.Helper()
	m.remove(first)
	m.add(t, retention(m.head.Size+1, first))
}

// remove removes the entries below first, and says nothing.
func (m *memory) remove(first int64) {
	for i := range m.rows[:first-1] {
		m.rows[i].Leaf, m.rows[i].Entry = nil, store.AuditEntry{}
	}
}

func (m *memory) Head(context.Context) (store.AuditHead, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.head, m.err
}

// Rows returns the rows in the order of their index, as a database does, and those
// of one index together.
func (m *memory) Rows(_ context.Context, from int64, limit int) ([]store.AuditRow, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rows := m.rows
	byIndex := func(a, b store.AuditRow) int { return cmp.Compare(a.Index, b.Index) }
	if !slices.IsSortedFunc(rows, byIndex) {
		rows = slices.SortedStableFunc(slices.Values(rows), byIndex)
	}
	first, _ := slices.BinarySearchFunc(rows, store.AuditRow{Index: from}, byIndex)
	rows = rows[first:]
	n := min(len(rows), limit)
	for n < len(rows) && n > 0 && rows[n].Index == rows[n-1].Index {
		n++
	}
	return rows[:n], m.err
}

func (m *memory) Hashes(_ context.Context, entries []int64) (map[int64][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[int64][]byte{}
	for _, i := range entries {
		if i > int64(len(m.rows)) {
			return nil, store.ErrNotFound
		}
		out[i] = m.rows[i-1].Hashes
	}
	return out, m.err
}

// point is the checkpoint of the log when it had size entries.
func (m *memory) point(t testing.TB, size int64) auditlog.Checkpoint {
	t.Helper()
	head, err := auditlog.HeadAt(t.Context(), m, size)
	if err != nil {
		t.Fatal(err)
	}
	return auditlog.Checkpoint{Origin: auditlog.Origin(logID), Size: size, Root: head.Root()}
}

// at is what [memory.point] is, signed, and opened again.
func (m *memory) at(t testing.TB, key *auditlog.Signer, size int64) auditlog.Checkpoint {
	t.Helper()
	head, err := auditlog.HeadAt(t.Context(), m, size)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := key.Sign(head)
	if err != nil {
		t.Fatal(err)
	}
	c, err := auditlog.OpenCheckpoint(signed, key.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (m *memory) verify(t testing.TB, checkpoints ...auditlog.Checkpoint) auditlog.Report {
	t.Helper()
	return m.verifyWith(t, nil, checkpoints...)
}

// verifyWith is verify, with others to read the log.
func (m *memory) verifyWith(t testing.TB, others []auditlog.Rows, checkpoints ...auditlog.Checkpoint) auditlog.Report {
	t.Helper()
	r, err := auditlog.Verify(t.Context(), auditlog.Origin(logID), m, checkpoints, others...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// problems has one line for each finding.
func problems(r auditlog.Report) string {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%d: %s\n", f.Index, f.Problem)
	}
	return b.String()
}

// between returns a random number of low to high, both included.
func between(r *rand.Rand, low, high int64) int64 { return low + r.Int64N(high-low+1) }
