package chaos_test

import (
	"testing"
	"time"
)

// enough is how long a bug may hide.
const enough = 30 * time.Second

// TestBugsAreFound is the control of TestStorm. Each server has a bug, which must
// be found.
func TestBugsAreFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, bug string
		found     kind
	}{
		{"it does not go on to the next key", "stays", failed},
		{"it ends what broke off as if it were whole", "ends", cleanEnd},
		{"it changes a byte", "alters", altered},
		{"it loses a byte", "drops", altered},
		{"it gives one the answer of another", "mixes", mixed},
		{"it sends twice", "twice", twice},
		{"it goes on when the client has left", "untold", untold},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{
				seed: seed(t), binary: binary(t, binaries.faulty), env: []string{"GATEHOUSE_BUG=" + c.bug}, faults: only(faults, whole, broken, moves), keys: manyKeys,
			})
			w.blow(enough, 8, c.found)
			w.wrong.mustHave(t, c.found)
		})
	}
}

// TestLeaksAreFound is the control of the measuring.
func TestLeaksAreFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{
		seed: seed(t), binary: binary(t, binaries.faulty), env: []string{"GATEHOUSE_BUG=leaks"}, faults: only(faults, whole), keys: manyKeys,
	})
	before := w.settle(nil, settleTime)
	w.blow(3*time.Second, 16, "")
	w.settle(&before, time.Second)
	for _, k := range []kind{goroutines, files, memory} {
		w.wrong.mustHave(t, k)
	}
}

// TestCutStreamsAreFound is the control of TestChangesCutNoStream.
func TestCutStreamsAreFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{
		seed: seed(t), binary: binary(t, binaries.faulty), env: []string{"GATEHOUSE_BUG=cuts"}, steady: paced, keys: []string{good},
	})
	w.change(10, 5)
	w.wrong.mustHave(t, cut)
}
