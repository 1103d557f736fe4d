package journal_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/journal"
	"github.com/gatehousehq/gatehouse/internal/usage"
)

// Variables that make this test program a gateway that is going to be killed: the
// directory of its journal, and what its ids begin with.
const (
	killDir    = "TEST_JOURNAL_DIR"
	killPrefix = "TEST_JOURNAL_PREFIX"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(killDir); dir != "" {
		if err := serveUntilKilled(dir, os.Getenv(killPrefix)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// serveUntilKilled begins and ends requests, and says so after the fact: a line
// for each that has begun, ended, and been delivered. A line is one write.
func serveUntilKilled(dir, prefix string) error {
	cfg := journal.Config{
		SegmentBytes: segmentBytes, BatchSize: 20, ShipEvery: 2 * time.Millisecond, SyncEvery: 5 * time.Millisecond,
		Logger: slog.New(slog.DiscardHandler),
	}
	open := journal.Open
	if strings.HasPrefix(prefix, "plain") {
		open = journal.OpenPlain
	}
	j, err := open(dir, cfg)
	if err != nil {
		return err
	}
	var away atomic.Bool // the database, now and then
	for n := range 4 {
		go func() {
			open := map[string]journal.Ticket{}
			for i := 0; ; i++ {
				id := fmt.Sprintf("%s-%d-%d", prefix, n, i)
				open[id] = j.Begin(record(id))
				fmt.Println("began", id)
				for id, ticket := range open { // any
					if len(open) > 10 {
						if !j.End(ticket, record(id)) {
							fmt.Println("dropped", id)
						}
						fmt.Println("ended", id)
						delete(open, id)
					}
					break
				}
				away.Store(i/100%3 == 1)
			}
		}()
	}
	return j.Ship(context.Background(), func(_ context.Context, batch []usage.Record) error {
		if away.Load() {
			return errAway
		}
		var b strings.Builder
		for _, r := range batch {
			if r.Unfinished {
				r.ID += "?"
			}
			fmt.Fprintln(&b, "delivered", r.ID)
		}
		_, err := os.Stdout.WriteString(b.String())
		return err
	})
}

// kill runs the gateway for a while, kills it, and returns what it had said.
func kill(t *testing.T, dir, prefix string, after int) map[string][]string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), killDir+"="+dir, killPrefix+"="+prefix)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := map[string][]string{}
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		if n == after {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		verb, id, found := strings.Cut(lines.Text(), " ")
		if !found {
			continue // the last words were cut off
		}
		said[verb] = append(said[verb], id)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("it was not killed: %v", err)
	}
	return said
}

// Killed at any instant, again and again with the same directory: whatever a
// process said has its record, which is delivered once by this or by a later one.
func TestKilledUnderLoad(t *testing.T) {
	t.Parallel()
	for name := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "journal")
			rnd := rand.New(rand.NewPCG(rand.Uint64(), 0))
			var began, ended, dropped []string
			delivered := map[string]int{}
			for round := range 12 {
				said := kill(t, dir, fmt.Sprintf("%s%d", name, round), 200+rnd.IntN(6000))
				began, ended, dropped = append(began, said["began"]...), append(ended, said["ended"]...), append(dropped, said["dropped"]...)
				for _, id := range said["delivered"] {
					delivered[id]++
				}
			}
			if len(dropped) > 0 {
				t.Fatalf("%d were dropped", len(dropped))
			}
			k, found := drain(t, dir, journal.Config{})
			t.Logf("%d began, %d ended, %d were delivered before the last kill, which left %+v", len(began), len(ended), len(delivered), found)
			for _, r := range k.recs {
				want := record(r.ID)
				want.Unfinished = r.Unfinished
				if diff := cmp.Diff(r, *want); diff != "" {
					t.Fatalf("-got +want:\n%s", diff)
				}
			}
			for _, id := range k.ids() {
				delivered[id]++
			}
			// A kill between a delivery and the note of it brings one batch again;
			// there were 12.
			again := 0
			for id, n := range delivered {
				if n > 2 {
					t.Errorf("%s came %d times", id, n)
				}
				again += n - 1
				if whole, unfinished := strings.CutSuffix(id, "?"); unfinished && delivered[whole] > 0 {
					t.Errorf("%s came with an end and without", whole)
				}
			}
			if again > 12*20 {
				t.Errorf("%d came again", again)
			}
			isEnded := map[string]bool{}
			for _, id := range ended {
				isEnded[id] = true
				if delivered[id] == 0 {
					t.Errorf("%s had ended, and is lost", id)
				}
			}
			for _, id := range began {
				if !isEnded[id] && delivered[id] == 0 && delivered[id+"?"] == 0 {
					t.Errorf("%s had begun, and is lost", id)
				}
			}
			if left := files(t, dir); len(left) > 0 {
				t.Errorf("%q are left", left)
			}
		})
	}
}
