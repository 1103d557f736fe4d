// Package chaos runs the real binary between upstreams and clients that
// misbehave at random, and looks at both sides at once.
//
// Whatever they do, no request fails that another key could serve; each byte of
// an answer is the upstream's, and the answer to this request; an answer that
// breaks off is never ended as if it were whole; an upstream sees each attempt
// once, and is told when the client leaves; a change of the configuration cuts
// no stream; when it is over, goroutines, open files and memory are back where
// they were; and each answer has its record, once, although the server was
// killed. Each of these has a control: the same with a binary that has a bug,
// which must be found.
//
// Chance is of the seed: with -seed the same requests meet the same faults, in
// an order that is the scheduler's. The numbers are for every change; make
// chaos-long has larger ones.
package chaos_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
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
	stormTime   = flag.Duration("storm", 8*time.Second, "for how long upstreams and clients misbehave")
	workerCount = flag.Int("workers", 48, "how many clients there are in the storm")
	changeCount = flag.Int("changes", 400, "how many changes are made under streams, 50 a second")
	streamCount = flag.Int("streams", 200, "how many streams there are then at a time")
	bodyCount   = flag.Int("bodies", 6, "how many bodies of 100 MiB are sent, 3 at a time")
	killCount   = flag.Int("kills", 5, "how often to kill the server under load, to look for its records")
	seedFlag    = flag.Uint64("seed", 0, "what chance begins with; 0 is by the clock")
)

// binaries are built once, for all tests.
var binaries struct {
	plain, race, faulty func() (string, error)
}

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "gatehouse-chaos-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }() // what is left is in the temporary directory
	build := func(name string, flags ...string) func() (string, error) {
		return sync.OnceValues(func() (string, error) {
			into := dir + "/" + name
			if err := os.Mkdir(into, 0o700); err != nil {
				return "", err
			}
			return realserver.Build(context.Background(), into, flags...)
		})
	}
	binaries.plain, binaries.race = build("plain"), build("race", "-race")
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

// seed returns what a test's chance comes from, and says how to have it again.
func seed(t *testing.T) uint64 {
	t.Helper()
	s := *seedFlag
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("again: -seed=%d", s)
	return s
}

// A kind is what a finding breaks.
type kind string

const (
	failed     kind = "a request failed that another key could serve"
	cleanEnd   kind = "an answer that broke off was ended as if it were whole"
	altered    kind = "bytes are not those that were sent"
	mixed      kind = "an answer is another request's"
	cut        kind = "an answer was cut that the upstream gave whole"
	twice      kind = "an upstream saw what was no attempt of its own"
	untold     kind = "an upstream was not told that nobody waits any more"
	goroutines kind = "goroutines are left"
	files      kind = "files are left open"
	memory     kind = "memory is left"
	unrecorded kind = "a request that was answered has not the one record it should have"
	house      kind = "the server or the rig itself failed"
)

// findings are what was seen that must not be. They may be added concurrently.
type findings struct {
	mu    sync.Mutex
	count map[kind]int
	list  []string
}

// add notes what is wrong. Of a flood the first are enough.
func (f *findings) add(k kind, format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count == nil {
		f.count = map[kind]int{}
	}
	f.count[k]++
	if f.count[k] <= 10 {
		f.list = append(f.list, string(k)+": "+fmt.Sprintf(format, args...))
	}
}

// has reports whether there is one of the kind, or any at all for "".
func (f *findings) has(k kind) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return k == "" && len(f.list) > 0 || f.count[k] > 0
}

func (f *findings) mustBeNone(t *testing.T) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, k := range slices.Sorted(maps.Keys(f.count)) {
		t.Errorf("%d times: %s", f.count[k], k)
	}
	if len(f.list) > 0 {
		t.Error(strings.Join(f.list, "\n"))
	}
}

// mustHave is for controls.
func (f *findings) mustHave(t *testing.T, want kind) {
	t.Helper()
	if !f.has(want) {
		t.Errorf("the bug was not found, which should have shown as: %s", want)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	t.Logf("found: %v, such as\n%s", f.count, strings.Join(f.list[:min(4, len(f.list))], "\n"))
}
