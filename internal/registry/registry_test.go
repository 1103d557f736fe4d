package registry_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/registry"
)

func TestEverybodyGetsTheSame(t *testing.T) {
	t.Parallel()
	r := registry.New[atomic.Int64]()
	if r.Find("k0") != nil || r.Len() != 0 {
		t.Error("it is not empty at first")
	}
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			for i := range 500 {
				r.Get(fmt.Sprint("k", i)).Add(1)
			}
		})
	}
	work.Wait()
	for i := range 500 {
		if n := r.Find(fmt.Sprint("k", i)).Load(); n != 8 {
			t.Errorf("k%d was counted to %d, want 8", i, n)
		}
	}
	n := 0
	for range r.All() {
		n++
	}
	if n != 500 || r.Len() != 500 {
		t.Errorf("%d values, length %d", n, r.Len())
	}
}

func TestFindingDoesNotAllocate(t *testing.T) {
	r := registry.New[int]()
	r.Get("k")
	if n := testing.AllocsPerRun(100, func() { r.Get("k"); r.Find("none") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
