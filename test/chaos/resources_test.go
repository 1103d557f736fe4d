package chaos_test

import (
	"bufio"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gatehousehq/gatehouse/client"
)

// Resources are what a server has taken of the machine.
type resources struct{ goroutines, files, memory int64 }

func (r resources) String() string {
	return fmt.Sprintf("%d goroutines, %d files, %d KiB", r.goroutines, r.files, r.memory>>10)
}

// The bounds of what may be left after a storm, beyond what was there before it.
// Memory that the garbage collector has not returned yet is no leak; how much
// that is grows with what there was.
const (
	moreGoroutines = 8
	moreFiles      = 8
	moreMemory     = 24 << 20
)

// beyond returns what is more than the bounds allow.
func (r resources) beyond(before resources) (over []kind) {
	if r.goroutines > before.goroutines+moreGoroutines {
		over = append(over, goroutines)
	}
	if r.files > before.files+moreFiles {
		over = append(over, files)
	}
	if r.memory > before.memory+before.memory/4+moreMemory {
		over = append(over, memory)
	}
	return over
}

// measure asks the server, as Prometheus does.
func (w *world) measure() (r resources) {
	w.t.Helper()
	if w.scraper == "" {
		made, err := w.api.CreateToken(w.t.Context(), client.CreateToken{Name: "scraper", Scopes: []string{"metrics:read"}})
		if err != nil {
			w.t.Fatal(err)
		}
		w.scraper = made.Secret
	}
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.server.URL+"/metrics", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.scraper)
	res, err := w.calls.RoundTrip(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }() // it was read
	into := map[string]*int64{"go_goroutines": &r.goroutines, "process_open_fds": &r.files, "process_resident_memory_bytes": &r.memory}
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if n, err := strconv.ParseFloat(value, 64); err == nil && into[name] != nil {
			*into[name] = int64(n)
			delete(into, name)
		}
	}
	if len(into) > 0 {
		w.t.Fatalf("the metrics are without %v: %s", into, res.Status)
	}
	return r
}

// settle waits until the upstreams have no more to do, has idle connections
// closed, and returns what the server has then. With before it waits until that
// is within the bounds, and finds what is not after a while.
func (w *world) settle(before *resources, while time.Duration) (now resources) {
	w.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	w.idle(tick)
	// A closed connection may be noticed only when it is to be used: then one
	// request to each upstream has all of them noticed.
	c := &caller{w: w}
	for range w.upstreams {
		w.request(c, w.planner.quiet(w.next.Add(1)))
	}
	c.close()
	w.idle(tick)
	w.calls.CloseIdleConnections()
	end := time.Now().Add(while)
	for same := 0; ; {
		was := now
		now = w.measure()
		switch {
		case before == nil && now.goroutines == was.goroutines && now.files == was.files:
			same++
		case before == nil:
			same = 0
		case len(now.beyond(*before)) == 0:
			return now
		}
		if same == 5 {
			return now
		}
		if time.Now().After(end) {
			break
		}
		<-tick.C
	}
	if before != nil {
		for _, k := range now.beyond(*before) {
			w.wrong.add(k, "there were %v, and are %v", *before, now)
		}
	}
	return now
}

// idle waits until no upstream has anything to do, and closes its connections.
func (w *world) idle(tick *time.Ticker) {
	for _, u := range w.upstreams {
		for end := time.Now().Add(givenUp + 5*time.Second); u.busy.Load() > 0 && time.Now().Before(end); {
			<-tick.C
		}
		if n := u.busy.Load(); n > 0 {
			w.wrong.add(untold, "%s has %d requests under way that nobody waits for", u.name, n)
		}
		u.hangUp()
	}
}
