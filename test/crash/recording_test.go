package crash_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/keyring"
)

// asked says to leave PRAGMA synchronous as the store asks for it.
const asked = 0

// A recording is what one run of a workload did to the disk, and what must be
// true after each of its changes.
type recording struct {
	kek    keyring.KEK
	trace  []op
	images []image
}

// record has a new store do some steps.
func record(t *testing.T, seed uint64, synchronous byte, steps func(w *world) []step) *recording {
	t.Helper()
	kek, _, err := keyring.NewLocal()
	if err != nil {
		t.Fatal(err)
	}
	dir := scratch(t)
	rec, err := startRecording(dir, synchronous)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		dir: dir, kek: kek, rec: rec, held: map[string]string{},
		rng: rand.New(rand.NewPCG(seed, 0)), at: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	if err = w.open(t.Context()); err == nil {
		err = w.play(t.Context(), steps(w))
	}
	err = errors.Join(err, w.close())
	if err := errors.Join(err, rec.stop()); err != nil {
		t.Fatal(err)
	}
	return &recording{kek, rec.trace, w.images}
}

func (r *recording) count(kind opKind) (n int) {
	for _, o := range r.trace {
		if o.kind == kind {
			n++
		}
	}
	return n
}

// memoryDir is where Linux has a file system in memory. Nothing that is made here
// need survive.
const memoryDir = "/dev/shm"

// scratch returns a directory that lives as long as the test.
func scratch(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(memoryDir, "gatehouse-crash-")
	if err != nil {
		return t.TempDir() // there is none, or it is not ours to write to
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
