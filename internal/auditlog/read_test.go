package auditlog_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/auditlog"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// longLog is a log that takes several parts to read.
const longLog = 23_456

// TestOthersChangeNothing holds that a log is found to be what it is, however many
// read it.
func TestOthersChangeNothing(t *testing.T) {
	t.Parallel()
	m, key := newMemory(t, longLog), newSigner(t, 1)
	c := m.at(t, key, longLog)
	tests := map[string]func(m *memory){
		"nothing is wrong":                   func(*memory) {},
		"one is edited":                      func(m *memory) { m.rows[7_000].Entry.ActorName = "eve" },
		"the last of a part is edited":       func(m *memory) { m.rows[9_999].Entry.ActorName = "eve" },
		"a whole part is gone":               func(m *memory) { m.rows = append(m.rows[:4_990], m.rows[10_010:]...) },
		"one stands twice":                   func(m *memory) { m.rows = append(m.rows[:5_000], m.rows[4_999:]...) },
		"many stand many times":              func(m *memory) { m.rows = twice(twice(m.rows)) },
		"some stand before the first":        func(m *memory) { m.rows = append(moved(m.rows[:6_000], -6_000), m.rows...) },
		"some stand behind the last":         func(m *memory) { m.rows = append(m.rows, moved(m.rows[:6_000], longLog)...) },
		"the end is cut off":                 func(m *memory) { m.rows = m.rows[:12_345] },
		"the head says less":                 func(m *memory) { m.head.Size = 4_321 },
		"the beginning was removed":          func(m *memory) { m.remove(8_000) },
		"the beginning was removed, as said": func(m *memory) { m.prune(t, 8_000) },
		"there is nothing":                   func(m *memory) { m.rows, m.head = nil, store.AuditHead{} },
	}
	for name, do := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := m.clone()
			do(m)
			alone := m.verify(t, c)
			if name != "nothing is wrong" && name != "the beginning was removed, as said" && alone.Found == 0 {
				t.Error("it was not found")
			}
			for n := 1; n <= 3; n++ {
				others := make([]auditlog.Rows, n)
				for i := range others {
					others[i] = m
				}
				if diff := cmp.Diff(m.verifyWith(t, others, c), alone); diff != "" {
					t.Errorf("with %d others: %s", n, diff)
				}
			}
		})
	}
}

// twice has each row two times.
func twice(rows []store.AuditRow) (out []store.AuditRow) {
	for _, r := range rows {
		out = append(out, r, r)
	}
	return out
}

// moved has each row by places further on.
func moved(rows []store.AuditRow, by int64) (out []store.AuditRow) {
	for _, r := range rows {
		r.Index += by
		out = append(out, r)
	}
	return out
}

// TestOthersMayComeLater holds that what happens between the moments of those who
// read is no finding.
func TestOthersMayComeLater(t *testing.T) {
	t.Parallel()
	m, key := newMemory(t, longLog), newSigner(t, 1)
	c := m.at(t, key, longLog)
	for name, happens := range map[string]func(later *memory){
		"entries are written":        func(later *memory) { later.add(t, someEntry(longLog+1)) },
		"the beginning is removed":   func(later *memory) { later.prune(t, 9_000) },
		"all but the end is removed": func(later *memory) { later.prune(t, longLog) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			later := m.clone()
			happens(later)
			got := m.verifyWith(t, []auditlog.Rows{later}, c)
			if got.Found != 0 || got.Covered != longLog || got.Removed != 0 {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// What others would see outside of the log, where it has grown since, would have
// all of it read again.
func TestTheFirstAloneReadsOutsideOfTheLog(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{0, 3, 7_000, 12_000, 17_000} {
		m := newMemory(t, size)
		if got := m.verifyWith(t, []auditlog.Rows{within{m, size}}); got.Found != 0 || got.Size != size {
			t.Errorf("%d entries: %+v", size, got)
		}
	}
}

// within is a log that is read in its bounds alone.
type within struct {
	*memory
	size int64
}

func (w within) Rows(ctx context.Context, from int64, limit int) ([]store.AuditRow, error) {
	if from < 1 || from > w.size {
		return nil, fmt.Errorf("read from %d on", from)
	}
	return w.memory.Rows(ctx, from, limit)
}

func TestWhatCannotBeReadIsAnError(t *testing.T) {
	t.Parallel()
	m := newMemory(t, longLog)
	away := errors.New("the database is away")
	broken := m.clone()
	broken.fail(away)
	for name, logs := range map[string][2]*memory{"the first": {broken, m}, "another": {m, broken}} {
		if _, err := auditlog.Verify(t.Context(), auditlog.Origin(logID), logs[0], nil, logs[1]); !errors.Is(err, away) {
			t.Errorf("%s: got %v, want %v", name, err, away)
		}
	}
	// And after the head was read.
	if _, err := auditlog.Verify(t.Context(), auditlog.Origin(logID), m, nil, breaksOff{m, away}); !errors.Is(err, away) {
		t.Errorf("got %v, want %v", err, away)
	}
}

// breaksOff is a log that cannot be read beyond its head.
type breaksOff struct {
	*memory
	err error
}

func (b breaksOff) Rows(context.Context, int64, int) ([]store.AuditRow, error) { return nil, b.err }
