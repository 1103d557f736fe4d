package metrics_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/metrics"
	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/usage"
)

// shown returns the lines of the page that begin with gatehouse_ and hold what was
// observed.
func shown(r *metrics.Requests) string {
	h := metrics.Handler(metrics.Source{
		Snapshot: func() *routing.Snapshot { return nil }, KeyState: func(routing.Key) string { return "" },
		KeyEpoch: func() int64 { return 0 }, DataKeys: func() int { return 0 },
		Breakers: func() (int, int) { return 0, 0 },
		Requests: r, Records: metrics.Records{Depth: func() int64 { return 3 }, Dropped: func() int64 { return 4 }},
	})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return "\n" + w.Body.String()
}

func TestRequestsAreCounted(t *testing.T) {
	t.Parallel()
	r := metrics.NewRequests()
	for _, rec := range []usage.Record{
		{Provider: "vendor", Endpoint: "messages", Status: 200, Duration: 2 * time.Second, FirstByte: 300 * time.Millisecond, Tokens: usage.Tokens{Input: 10, Output: 20, CacheRead: 1, CacheWrite: 2, Reasoning: 3, Known: true}},
		{Provider: "vendor", Endpoint: "messages", Status: 201, Duration: 20 * time.Second, Tokens: usage.Tokens{Input: 5, Known: true}, Attempts: []usage.Attempt{{Outcome: "rate_limited"}, {Outcome: "timeout"}, {Outcome: "ok"}}},
		{Provider: "vendor", Endpoint: "messages", Status: 499},
		{Provider: "vendor", Endpoint: "passthrough", Status: 502, Attempts: []usage.Attempt{{Outcome: "timeout"}}, Tokens: usage.Tokens{Input: 1000}},
		{Provider: "vendor", Endpoint: "realtime", Status: 101, Duration: time.Hour, FirstByte: time.Minute},
		{Provider: "spare", Endpoint: "messages", Status: 200, Attempts: []usage.Attempt{{Provider: "vendor", Outcome: "timeout"}, {Provider: "vendor", Outcome: "unavailable"}, {Outcome: "ok"}}},
		{Status: 401},
		{Provider: "vendor", Endpoint: "messages", Status: 0},
		{Provider: "vendor", Endpoint: "messages", Status: 9999, Tokens: usage.Tokens{Input: -1, Known: true}},
	} {
		r.Observe(rec)
	}
	got := shown(r)
	for _, line := range []string{
		`gatehouse_requests_total{endpoint="messages",provider="vendor",status="2xx"} 2`,
		`gatehouse_requests_total{endpoint="messages",provider="vendor",status="4xx"} 1`,
		`gatehouse_requests_total{endpoint="messages",provider="vendor",status="none"} 2`,
		`gatehouse_requests_total{endpoint="passthrough",provider="vendor",status="5xx"} 1`,
		`gatehouse_requests_total{endpoint="realtime",provider="vendor",status="1xx"} 1`,
		`gatehouse_requests_total{endpoint="none",provider="none",status="4xx"} 1`,
		`gatehouse_tokens_total{kind="input",provider="vendor"} 15`,
		`gatehouse_tokens_total{kind="output",provider="vendor"} 20`,
		`gatehouse_tokens_total{kind="cache_read",provider="vendor"} 1`,
		`gatehouse_tokens_total{kind="cache_write",provider="vendor"} 2`,
		`gatehouse_tokens_total{kind="reasoning",provider="vendor"} 3`,
		`gatehouse_failovers_total{outcome="timeout",provider="vendor"} 1`,
		`gatehouse_failovers_total{outcome="ok",provider="vendor"} 1`,
		`gatehouse_failovers_total{outcome="unavailable",provider="vendor"} 1`,
		`gatehouse_failovers_total{outcome="ok",provider="spare"} 1`,
		`gatehouse_request_duration_seconds_count{provider="vendor"} 6`,
		`gatehouse_request_duration_seconds_bucket{provider="vendor",le="2.5"} 5`,
		`gatehouse_request_duration_seconds_sum{provider="vendor"} 22`,
		`gatehouse_first_byte_seconds_count{provider="vendor"} 1`,
		`gatehouse_first_byte_seconds_bucket{provider="vendor",le="0.5"} 1`,
		`gatehouse_journal_depth 3`, `gatehouse_journal_dropped_total 4`,
	} {
		if !strings.Contains(got, "\n"+line+"\n") {
			t.Errorf("the page lacks %s", line)
		}
	}
	if strings.Contains(got, `outcome="rate_limited"`) {
		t.Error("the first attempt is counted as a failover")
	}
}

// However many names there are, there are so many series and no more.
func TestLabelsAreBounded(t *testing.T) {
	t.Parallel()
	r := metrics.NewRequests()
	for round := range 2 {
		for i := range 500 {
			r.Observe(usage.Record{Provider: fmt.Sprint("p", i), Endpoint: "chat", Status: 200})
			r.Observe(usage.Record{Provider: "p0", Endpoint: fmt.Sprint("e", i), Status: 200, Attempts: []usage.Attempt{{}, {Outcome: fmt.Sprint("o", i)}}})
		}
		got := shown(r)
		for name, most := range map[string]int{"gatehouse_request_duration_seconds_count": 101, "gatehouse_requests_total": 101 + 33, "gatehouse_failovers_total": 33} {
			if n := strings.Count(got, "\n"+name+"{"); n > most || n < most-2 {
				t.Errorf("%s has %d series, want %d at most", name, n, most)
			}
		}
		if want := fmt.Sprintf(`gatehouse_request_duration_seconds_count{provider="other"} %d`, 400*(round+1)); !strings.Contains(got, want) {
			t.Errorf("the page lacks %s", want)
		}
		if want := fmt.Sprintf(`gatehouse_requests_total{endpoint="chat",provider="p7",status="2xx"} %d`, round+1); !strings.Contains(got, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}

// No count is lost while labels are made.
func TestManyCountAtOnce(t *testing.T) {
	t.Parallel()
	r := metrics.NewRequests()
	var done sync.WaitGroup
	for range 8 {
		done.Go(func() {
			for i := range 400 {
				r.Observe(usage.Record{Provider: fmt.Sprint("p", i%4), Endpoint: fmt.Sprint("e", i%3), Status: 200})
			}
		})
	}
	done.Wait()
	got := shown(r)
	for i := range 4 {
		if want := fmt.Sprintf(`gatehouse_request_duration_seconds_count{provider="p%d"} 800`, i); !strings.Contains(got, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}

func observing() func() {
	r := metrics.NewRequests()
	rec := usage.Record{
		Provider: "vendor", Endpoint: "messages", Status: 200, Duration: time.Second, FirstByte: time.Millisecond,
		Tokens: usage.Tokens{Input: 1, Output: 1, Known: true}, Attempts: []usage.Attempt{{Outcome: "timeout"}, {Outcome: "ok"}},
	}
	return func() { r.Observe(rec) }
}

func TestCountingTakesNoMemory(t *testing.T) {
	observe := observing()
	if n := testing.AllocsPerRun(100, observe); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	observe := observing()
	b.ReportAllocs()
	for b.Loop() {
		observe()
	}
}
