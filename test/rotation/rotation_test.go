// Package rotation rotates the encryption keys of the real binary while it
// serves, and kills, stops and freezes what takes part, at random.
//
// Whatever happens, what was acknowledged is there: each secret opens to the
// value that was given, none is sealed under a data key that is retired, the
// audit log proves, and the gateway sends each provider a key that is its own.
// Each test has a control: the same with a binary that has a bug, which it must
// find. The numbers are for every change; make rotations has larger ones.
package rotation_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	// What the binary is made of: with these a change of it is a change of this
	// test, which go test then does not answer from its cache.
	_ "github.com/gatehousehq/gatehouse/internal/app"
	_ "github.com/gatehousehq/gatehouse/internal/cli"
	"github.com/gatehousehq/gatehouse/test/clients/realserver"
)

var (
	killCount   = flag.Int("kills", 100, "how often to kill a server on SQLite")
	outageCount = flag.Int("outages", 20, "how often to cut connections to PostgreSQL, or to stop it")
	freezeCount = flag.Int("freezes", 5, "how often to freeze a replica through a rotation")
	secretCount = flag.Int("secrets", 300, "how many secrets to rotate under load")
	loadTime    = flag.Duration("load", time.Second, "for how long to measure before the rotation under load, and after")
	seedFlag    = flag.Uint64("seed", 0, "what chance begins with; 0 is by the clock")
)

// binaries are built once, for all tests.
var binaries struct {
	dir            string
	honest, faulty func() (string, error)
}

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "gatehouse-rotation-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }() // what is left is in the temporary directory
	binaries.dir = dir
	binaries.honest = sync.OnceValues(func() (string, error) { return realserver.Build(context.Background(), dir) })
	binaries.faulty = sync.OnceValues(func() (string, error) { return buildFaulty(context.Background(), dir) })
	return m.Run()
}

func binary(t *testing.T, build func() (string, error)) string {
	t.Helper()
	bin, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// chance returns what a test's random numbers come from, and says how to have
// them again.
func chance(t *testing.T) *rand.Rand {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("again: -seed=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// between returns a time of that range.
func between(rng *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(rng.Int64N(int64(to-from)))
}

// findings are what was seen that must not be. They may be added concurrently.
type findings struct {
	mu   sync.Mutex
	list []string
}

// add notes what is wrong. Of a flood the first are enough.
func (f *findings) add(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.list) < 1000 {
		f.list = append(f.list, fmt.Sprintf(format, args...))
	}
}

func (f *findings) all() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.list...)
}
