//go:build !race

// The race detector makes sync.Pool forget at random.

package journal_test

import (
	"testing"

	"github.com/gatehousehq/gatehouse/internal/journal"
)

func TestHotPathDoesNotAllocate(t *testing.T) { // not in parallel: others' allocations would count
	j, err := journal.Open(t.TempDir(), small(journal.Config{SegmentBytes: 4 << 20}))
	if err != nil {
		t.Fatal(err)
	}
	rec := record("0199c3a1-0000-7000-8000-000000000001")
	if n := testing.AllocsPerRun(1000, func() { j.End(j.Begin(rec), rec) }); n >= 1 {
		t.Errorf("%v allocations", n)
	}
	_ = j.Close(t.Context()) // it says that 1001 records wait
}
