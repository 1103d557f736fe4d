package chaos_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"
)

// recordsTime is how long records may take from the journal to the API.
const recordsTime = 20 * time.Second

// An interception is a record of a request, as far as it matters here.
type interception struct {
	ID, Outcome string
	Status      int
	Attempts    []struct{}
}

// An answer is what a client knows of a request that was answered.
type answer struct {
	nonce    string
	status   int
	attempts int  // that upstreams saw
	over     bool // the server had done with it before it was killed
	left     bool // the client did not wait for the end
}

// answers are those that clients got, by the id that each came with.
type answers struct {
	mu   sync.Mutex
	byID map[string]*answer
}

// TestKilledServersLoseNoRecord kills the server again and again under load, as
// kill -9 does. Each request that was answered, if only in part, has its record.
func TestKilledServersLoseNoRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{
		seed: seed(t), binary: binary(t, binaries.plain), keys: manyKeys,
		faults: only(faults, whole, broken, moves, loses), framed: only(framedFaults, whole, broken, moves, loses),
	})
	got := w.kill(*killCount)
	over := w.mustBeRecorded(got)
	w.end()
	w.wrong.mustBeNone(t)
	t.Logf("%d kills; %d answered, %d of them over before; %d attempts", *killCount, len(got.byID), over, w.ledger.sightings())
}

// TestLostRecordsAreFound is the control. Its server begins with an empty journal.
func TestLostRecordsAreFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{
		seed: seed(t), binary: binary(t, binaries.faulty), env: []string{"GATEHOUSE_BUG=forgets"}, keys: manyKeys, faults: only(faults, whole),
	})
	w.mustBeRecorded(w.kill(3))
	w.wrong.mustHave(t, unrecorded)
}

// kill has a storm, kills the server in the middle of it and starts another, n
// times.
func (w *world) kill(n int) *answers {
	w.t.Helper()
	rng := rand.New(rand.NewPCG(w.planner.seed, 0))
	got := &answers{byID: map[string]*answer{}}
	for range n {
		ctx, cancel := context.WithCancel(w.t.Context())
		var work sync.WaitGroup
		for range 24 {
			work.Go(func() { w.collect(ctx, got) })
		}
		<-time.After(time.Duration(200+rng.IntN(800)) * time.Millisecond) // the moment is by chance
		w.server.Kill()
		cancel()
		work.Wait()
		w.start()
	}
	return got
}

// collect makes requests and keeps the answers. What else becomes of them is not
// judged: the server is killed.
func (w *world) collect(ctx context.Context, got *answers) {
	c := &caller{w: w}
	defer c.close()
	var last *answer
	for ctx.Err() == nil {
		p := w.planner.plan(w.next.Add(1))
		o := c.do(p)
		seen := w.ledger.attempts(p.n) // an upstream may read more from a connection whose server is gone
		got.mu.Lock()
		if last != nil && c.uses > 1 && o.status != 0 {
			last.over = true // a connection takes one request at a time
		}
		last = nil
		switch {
		case o.id == "" && o.status != 0:
			w.wrong.add(unrecorded, "%s was answered without an id", p.nonce)
		case o.id != "" && got.byID[o.id] != nil:
			w.wrong.add(unrecorded, "%s and %s have one id, %s", p.nonce, got.byID[o.id].nonce, o.id)
		case o.id != "":
			last = &answer{nonce: p.nonce, status: o.status, attempts: seen, left: o.left}
			got.byID[o.id] = last
		}
		got.mu.Unlock()
	}
}

// mustBeRecorded waits until each answer has its record, and holds the one
// against the other.
func (w *world) mustBeRecorded(got *answers) (over int) {
	w.t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	end := time.Now().Add(recordsTime)
	records := w.records()
	for missing(got, records) > 0 && time.Now().Before(end) {
		<-tick.C
		records = w.records()
	}
	for id, a := range got.byID {
		if a.over {
			over++
		}
		if problem := a.against(records[id]); problem != "" {
			w.wrong.add(unrecorded, "%s (%s): %s", a.nonce, id, problem)
		}
	}
	return over
}

func missing(got *answers, records map[string][]interception) (n int) {
	for id := range got.byID {
		if len(records[id]) == 0 {
			n++
		}
	}
	return n
}

// against says what is wrong with the records of an answer.
func (a *answer) against(records []interception) string {
	switch {
	case len(records) == 0:
		return "there is no record"
	case len(records) > 1:
		return fmt.Sprintf("there are %d records", len(records))
	}
	r := records[0]
	switch {
	case r.Outcome == "unknown" && !a.over:
		return "" // it was killed before it was written down that it had ended
	case r.Outcome != "complete":
		return fmt.Sprintf("it was over, and its outcome is %q", r.Outcome)
	case r.Status != a.status && !(a.left && r.Status == 499):
		return fmt.Sprintf("it was answered with %d, and %d is recorded", a.status, r.Status)
	case len(r.Attempts) < a.attempts:
		return fmt.Sprintf("upstreams saw %d attempts, and %d are recorded", a.attempts, len(r.Attempts))
	}
	return ""
}

// records reads all that there are, by id.
func (w *world) records() map[string][]interception {
	w.t.Helper()
	all := map[string][]interception{}
	for cursor := ""; ; {
		var page struct {
			Items []interception
			Next  *string `json:"next_cursor"`
		}
		if _, err := w.server.Call(w.t.Context(), http.MethodGet, "/api/v1/interceptions?limit=500"+cursor, nil, &page); err != nil {
			w.t.Fatal(err)
		}
		for _, r := range page.Items {
			all[r.ID] = append(all[r.ID], r)
		}
		if page.Next == nil {
			return all
		}
		cursor = "&cursor=" + *page.Next
	}
}

// TestRecordsAreHeldAgainstAnswers is the control of the comparison.
func TestRecordsAreHeldAgainstAnswers(t *testing.T) {
	t.Parallel()
	two := make([]struct{}, 2)
	well := interception{Outcome: "complete", Status: 200, Attempts: two}
	for _, c := range []struct {
		name    string
		answer  answer
		records []interception
		well    bool
	}{
		{"a complete record", answer{status: 200, attempts: 2, over: true}, []interception{well}, true},
		{"a client that left", answer{status: 200, left: true}, []interception{{Outcome: "complete", Status: 499}}, true},
		{"killed before the end", answer{status: 200}, []interception{{Outcome: "unknown"}}, true},
		{"no record", answer{status: 200}, nil, false},
		{"two records", answer{status: 200}, []interception{well, well}, false},
		{"over, and not known", answer{status: 200, over: true}, []interception{{Outcome: "unknown"}}, false},
		{"another status", answer{status: 429}, []interception{well}, false},
		{"an attempt too few", answer{status: 200, attempts: 3}, []interception{well}, false},
	} {
		if problem := c.answer.against(c.records); (problem == "") != c.well {
			t.Errorf("%s: %q", c.name, problem)
		}
	}
}
