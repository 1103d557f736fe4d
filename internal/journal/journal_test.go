package journal_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/journal"
	"github.com/gatehousehq/gatehouse/internal/usage"
)

func TestRecordsComeOutAsTheyWentIn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, open func(string, journal.Config) *journal.Journal) {
		var filled usage.Record // a field that is forgotten is not as it was
		n := 0
		fill(reflect.ValueOf(&filled).Elem(), &n)
		filled.Unfinished = false
		long := record("long")
		long.Path = strings.Repeat("x", 1022) + "äöü"
		odd := record("odd")
		odd.Began, odd.Attempts, odd.Status, odd.RequestBytes = time.Time{}, nil, -1, 1<<62
		odd.Attempts = []usage.Attempt{{}}
		in := []*usage.Record{&filled, {}, record("a"), long, odd}

		dir := t.TempDir()
		j, k := open(dir, journal.Config{}), new(taker)
		end := ship(t, j, k)
		for _, r := range in {
			j.End(j.Begin(r), r)
		}
		end()
		long.Path = strings.Repeat("x", 1022) + "ä" // long texts are cut between characters
		for i, r := range in {
			if diff := cmp.Diff(k.recs[i], *r); diff != "" {
				t.Errorf("%d, -got +want:\n%s", i, diff)
			}
		}
		if left := files(t, dir); len(left) > 0 {
			t.Errorf("%q are left", left)
		}
	})
}

func TestWhatWasNotShippedIsThereAfterACrash(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, open func(string, journal.Config) *journal.Journal) {
		dir := t.TempDir()
		j := open(dir, journal.Config{})
		want := numbered("r", 1000) // many segments
		for i, id := range want {
			ticket := j.Begin(record(id))
			if i%100 == 99 {
				want[i] += "?"
				continue
			}
			j.End(ticket, record(id))
		}
		refused := record("refused") // by the gateway: it never began
		j.End(journal.Ticket{}, refused)
		want = append(want, "refused")

		k, found := drain(t, crashed(t, dir), journal.Config{})
		same(t, k.ids(), want)
		if (found != journal.Found{Records: 991, Unfinished: 10}) {
			t.Errorf("found %+v", found)
		}
		if got, want := k.recs[99], record("r00099"); !got.Unfinished || got.Client != want.Client || !got.Began.Equal(want.Began) {
			t.Errorf("the begin is %+v", got)
		}
		// Without a crash it is the same: what has not ended by now never will.
		if err := j.Close(t.Context()); err == nil || !strings.Contains(err.Error(), "991 records") {
			t.Errorf("closed with %v", err)
		}
		k, _ = drain(t, dir, journal.Config{})
		same(t, k.ids(), want)
		if left := files(t, dir); len(left) > 0 {
			t.Errorf("%q are left", left)
		}
	})
}

// A crash while what an earlier process has left is being shipped: the rest
// comes, and nothing twice.
func TestCrashesWhileShipping(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, open func(string, journal.Config) *journal.Journal) {
		dir := t.TempDir()
		j := open(dir, journal.Config{})
		want := numbered("r", 600)
		for i, id := range want {
			ticket := j.Begin(record(id))
			if i%7 == 6 {
				want[i] += "?"
				continue
			}
			j.End(ticket, record(id))
		}
		// Some of it is shipped while the process that wrote it lives.
		var got []string
		dir = shipSome(t, j, dir, 250, &got)
		for len(got) < len(want) {
			j := open(dir, journal.Config{BatchSize: 10})
			before := len(got)
			dir = shipSome(t, j, dir, 35, &got)
			if len(got) == before {
				break
			}
		}
		slices.Sort(got)
		same(t, got, want)
	})
}

// shipSome ships about n records, and returns the directory as it is then.
func shipSome(t *testing.T, j *journal.Journal, dir string, n int, into *[]string) string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	after := ""
	first := len(*into)
	err := j.Ship(ctx, func(ctx context.Context, batch []usage.Record) error {
		if len(*into) >= first+n || len(batch) == 0 {
			stop()
			after = crashed(t, dir) // before this batch has been taken
			return ctx.Err()
		}
		k := taker{recs: batch}
		*into = append(*into, k.ids()...)
		if j.Depth() == int64(len(batch)) { // the last
			stop()
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if after == "" {
		after = crashed(t, dir)
	}
	_ = j.Close(t.Context()) // it says that there is more
	return after
}

func TestDeliveryThatFailsLosesNothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, open func(string, journal.Config) *journal.Journal) {
		var log text
		dir := t.TempDir()
		j := open(dir, journal.Config{BatchSize: 50, Logger: log.logger()})
		k := &taker{refuse: errAway}
		end := ship(t, j, k)
		want := numbered("r", 400)
		for _, id := range want {
			j.End(j.Begin(record(id)), record(id))
		}
		time.Sleep(90 * time.Second) // of the bubble
		if n := k.times(); n < 15 || n > 40 {
			t.Errorf("asked %d times in 90 s", n)
		}
		if j.Depth() != 400 || j.Dropped() != 0 {
			t.Errorf("%d wait, %d are dropped", j.Depth(), j.Dropped())
		}
		k.set(nil)
		time.Sleep(6 * time.Second)
		same(t, k.ids(), want)
		if j.Depth() != 0 {
			t.Errorf("%d wait", j.Depth())
		}
		end()
		if n := strings.Count(log.String(), "cannot be shipped"); n != 2 {
			t.Errorf("complained %d times in 90 s:\n%s", n, log.String())
		}
	})
}

func TestJournalThatIsFull(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, open func(string, journal.Config) *journal.Journal) {
		var log text
		dir := t.TempDir()
		j := open(dir, journal.Config{MaxBytes: 6 * segmentBytes, Logger: log.logger()})
		var began []string
		tickets := map[string]journal.Ticket{}
		for _, id := range numbered("r", 3000) {
			ticket := j.Begin(record(id))
			if ticket == (journal.Ticket{}) {
				break
			}
			began, tickets[id] = append(began, id), ticket
		}
		if len(began) < 500 || len(began) == 3000 {
			t.Fatalf("%d could begin", len(began))
		}
		// There is no room for more, but for the ends of what has begun.
		if j.End(journal.Ticket{}, record("refused")) {
			t.Error("there was room for a record that never began")
		}
		lost := []string{}
		for _, id := range began[:100] {
			if !j.End(tickets[id], record(id)) {
				lost = append(lost, id)
			}
		}
		same(t, lost, []string{})
		if n := len(files(t, dir)); n > 6 || j.Bytes() > 6*segmentBytes {
			t.Errorf("there are %d segments, of %d bytes", n, j.Bytes())
		}
		// All the others: some are lost, and counted.
		for _, id := range began[100:] {
			if !j.End(tickets[id], record(id)) {
				lost = append(lost, id)
			}
		}
		if len(lost) == 0 || j.Dropped() != int64(len(lost)+1) || j.Depth() != int64(len(began)-len(lost)) || j.InFlight() != 0 {
			t.Errorf("%d of %d are lost: dropped %d, waiting %d, open %d", len(lost), len(began), j.Dropped(), j.Depth(), j.InFlight())
		}
		time.Sleep(150 * time.Second)
		j.End(journal.Ticket{}, record("refused"))
		time.Sleep(150 * time.Second)
		if n := strings.Count(log.String(), "were dropped"); n != 2 {
			t.Errorf("complained %d times:\n%s", n, log.String())
		}

		// It works again when there is room.
		k := new(taker)
		end := ship(t, j, k)
		synctest.Wait() // for no more than what has to be done
		ticket := j.Begin(record("again"))
		if ticket == (journal.Ticket{}) || !j.End(ticket, record("again")) {
			t.Error("there is no room after all was shipped")
		}
		end()
		kept := slices.DeleteFunc(began, func(id string) bool { return slices.Contains(lost, id) })
		same(t, k.ids(), append(kept, "again"))
	})
}

func TestDiskThatIsFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log text
		var mu sync.Mutex
		room := 0 // segments
		ask := func() error {
			mu.Lock()
			defer mu.Unlock()
			if room == 0 {
				return syscall.ENOSPC
			}
			room--
			return nil
		}
		allow := func(n int) {
			mu.Lock()
			defer mu.Unlock()
			room = n
		}
		dir := t.TempDir()
		j, err := journal.OpenOn(dir, small(journal.Config{Logger: log.logger()}), ask)
		if err != nil {
			t.Fatalf("without room on the disk: %v", err)
		}
		if j.Begin(record("x")) != (journal.Ticket{}) || j.End(journal.Ticket{}, record("x")) || j.Dropped() != 1 {
			t.Error("something was written without room")
		}
		allow(2)
		time.Sleep(2 * time.Second)
		var want []string
		for _, id := range numbered("r", 1000) {
			if j.End(j.Begin(record(id)), record(id)) {
				want = append(want, id)
			}
		}
		if n := len(want); n == 0 || n == 1000 || j.Dropped() != int64(1001-n) {
			t.Errorf("%d were written, %d dropped", n, j.Dropped())
		}
		if n := len(files(t, dir)); n != 2 {
			t.Errorf("there are %d files", n) // a file that could not be made whole is removed
		}
		k := new(taker)
		end := ship(t, j, k)
		allow(100)
		time.Sleep(2 * time.Second)
		for _, id := range numbered("s", 1000) {
			if !j.End(j.Begin(record(id)), record(id)) {
				t.Fatal("there is room, and it is not used")
			}
			want = append(want, id)
		}
		end()
		same(t, k.ids(), want)
		if !strings.Contains(log.String(), "no space left on device") {
			t.Errorf("nobody is told:\n%s", log.String())
		}
	})
}

func TestOpenFailsWithoutADirectory(t *testing.T) {
	t.Parallel()
	if _, err := journal.Open("/dev/null/journal", journal.Config{}); err == nil {
		t.Error("opened")
	}
	broken := errors.New("broken")
	if _, err := journal.OpenOn(t.TempDir(), journal.Config{}, func() error { return broken }); !errors.Is(err, broken) {
		t.Errorf("opened with %v", err)
	}
}

// One long stream must not keep all that is written after its begin.
func TestLongStreamsDoNotKeepSegments(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, open func(string, journal.Config) *journal.Journal) {
		dir := t.TempDir()
		j, k := open(dir, journal.Config{}), new(taker)
		end := ship(t, j, k)
		long := numbered("long", 20)
		tickets := map[string]journal.Ticket{}
		most := 0
		var want []string
		for round := range 20 {
			tickets[long[round]] = j.Begin(record(long[round]))
			for _, id := range numbered(fmt.Sprint("r", round, "-"), 200) { // two segments
				j.End(j.Begin(record(id)), record(id))
				want = append(want, id)
			}
			time.Sleep(2 * time.Second)
			most = max(most, j.Segments())
		}
		if most > 6 {
			t.Errorf("there were %d segments", most)
		}
		if j.InFlight() != 20 {
			t.Errorf("%d are open", j.InFlight())
		}

		left, found := drain(t, crashed(t, dir), journal.Config{})
		var unfinished []string
		for _, id := range long {
			unfinished = append(unfinished, id+"?")
		}
		ids := left.ids()
		slices.Sort(ids)
		if (found != journal.Found{Unfinished: 20}) {
			t.Errorf("found %+v", found)
		}
		same(t, ids, unfinished)

		for _, id := range long {
			if !j.End(tickets[id], record(id)) {
				t.Errorf("%s has no end", id)
			}
		}
		end()
		same(t, k.ids(), append(want, long...))
		if left := files(t, dir); len(left) > 0 {
			t.Errorf("%q are left", left)
		}
	})
}

// Open requests that fill many segments are carried on only if that is worth the
// while.
func TestManyOpenRequests(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, open func(string, journal.Config) *journal.Journal) {
		dir := t.TempDir()
		j, k := open(dir, journal.Config{}), new(taker)
		end := ship(t, j, k)
		long := numbered("long", 1000) // six segments
		var tickets []journal.Ticket
		for _, id := range long {
			tickets = append(tickets, j.Begin(record(id)))
		}
		time.Sleep(time.Second)
		before := files(t, dir)
		time.Sleep(time.Minute)
		same(t, files(t, dir), before) // while nothing happens nothing is carried
		for _, id := range numbered("r", 3000) {
			j.End(j.Begin(record(id)), record(id))
			if id[len(id)-1] == '0' {
				time.Sleep(time.Second)
			}
		}
		if n := j.Segments(); n > 20 {
			t.Errorf("there are %d segments", n)
		}
		left, _ := drain(t, crashed(t, dir), journal.Config{})
		if n := len(left.ids()); n < 1000 || n > 1010 { // 1000, and what waits for the next look
			t.Errorf("%d come after a crash", n)
		}
		for i, id := range long {
			j.End(tickets[i], record(id))
		}
		end()
		if n := len(k.ids()); n != 4000 {
			t.Errorf("%d came", n)
		}
	})
}

func TestTicketsAreForOneEnd(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, open func(string, journal.Config) *journal.Journal) {
		dir := t.TempDir()
		j := open(dir, journal.Config{})
		first := j.Begin(record("a"))
		j.End(first, record("a"))
		second := j.Begin(record("b")) // where the first one was
		j.End(first, record("a"))      // a mistake: it must not end the second
		if first == second || j.InFlight() != 1 {
			t.Errorf("%v and %v, %d open", first, second, j.InFlight())
		}
		_ = j.Close(t.Context())
		k, _ := drain(t, dir, journal.Config{})
		same(t, k.ids(), []string{"a", "b?", "a"})
	})
}

func TestConcurrentRequests(t *testing.T) {
	t.Parallel()
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			j, err := way(dir, small(journal.Config{ShipEvery: time.Millisecond, SyncEvery: 3 * time.Millisecond}))
			if err != nil {
				t.Fatal(err)
			}
			k := new(taker)
			end := ship(t, j, k)
			var wg sync.WaitGroup
			var want []string
			for n := range 8 {
				ids := numbered(fmt.Sprint("g", n, "-"), 1000)
				want = append(want, ids...)
				wg.Go(func() {
					// Each has up to 20 requests open, some of them for long.
					open := map[string]journal.Ticket{}
					finish := func(id string, ticket journal.Ticket) {
						if !j.End(ticket, record(id)) {
							t.Errorf("%s is lost", id)
						}
						delete(open, id)
					}
					for _, id := range ids {
						open[id] = j.Begin(record(id))
						for id, ticket := range open { // any
							if len(open) > 20 {
								finish(id, ticket)
							}
							break
						}
					}
					for id, ticket := range open {
						finish(id, ticket)
					}
				})
			}
			wg.Wait()
			if n := j.InFlight(); n != 0 {
				t.Errorf("%d are open", n)
			}
			end()
			got := k.ids()
			slices.Sort(got)
			same(t, got, want)
			if left := files(t, dir); len(left) > 0 {
				t.Errorf("%q are left", left)
			}
		})
	}
}

// What ends while the last batch is on its way is shipped before Close is done.
func TestRecordsDuringTheLastBatch(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, open func(string, journal.Config) *journal.Journal) {
		j, k := open(t.TempDir(), journal.Config{}), new(taker)
		j.End(journal.Ticket{}, record("a"))
		closed := make(chan error)
		err := j.Ship(t.Context(), func(ctx context.Context, batch []usage.Record) error {
			if len(k.ids()) == 0 {
				j.End(journal.Ticket{}, record("b"))
				go func() { closed <- j.Close(t.Context()) }()
				time.Sleep(time.Second) // until Close waits
			}
			return k.take(ctx, batch)
		})
		if err := errors.Join(err, <-closed); err != nil {
			t.Error(err)
		}
		same(t, k.ids(), []string{"a", "b"})
	})
}

// Where a segment stays at the end, those after it do, too: they have the ends of
// what began in it.
func TestEndsAreNotDeletedBeforeTheirBegins(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, open func(string, journal.Config) *journal.Journal) {
		dir := t.TempDir()
		j, k := open(dir, journal.Config{}), new(taker)
		end := ship(t, j, k)
		j.Begin(record("long"))
		short := j.Begin(record("short"))
		want := numbered("r", 100) // more than a segment
		for _, id := range want {
			j.End(j.Begin(record(id)), record(id))
		}
		j.End(short, record("short"))
		end()
		same(t, k.ids(), append(want, "short"))
		k, _ = drain(t, dir, journal.Config{})
		same(t, k.ids(), []string{"long?"})
	})
}

// That no goroutine is left the bubble sees to.
func TestCloseEndsEverything(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, open func(string, journal.Config) *journal.Journal) {
		j, k := open(t.TempDir(), journal.Config{}), &taker{refuse: errAway}
		done := make(chan error)
		go func() { done <- j.Ship(t.Context(), k.take) }()
		synctest.Wait()
		j.End(journal.Ticket{}, record("a"))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		if err := j.Close(ctx); err == nil || time.Since(began) != 10*time.Second {
			t.Errorf("closed with %v after %s", err, time.Since(began))
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if j.Begin(record("b")) != (journal.Ticket{}) || j.End(journal.Ticket{}, record("b")) || j.Dropped() != 1 {
			t.Error("something was written after the end")
		}
		err := j.Ship(t.Context(), func(context.Context, []usage.Record) error {
			t.Error("it was shipped after the end")
			return nil
		})
		if err != nil { // who stops before it began to ship has made no mistake
			t.Error(err)
		}
	})
}
