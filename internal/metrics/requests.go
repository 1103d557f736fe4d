package metrics

import (
	"maps"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehousehq/gatehouse/internal/usage"
)

const (
	// maxProviders is how many names of providers are labels; what is above is
	// counted as other. maxNames bounds, for each, its endpoints and the outcomes of
	// attempts, which the program knows all of.
	maxProviders = 100
	maxNames     = 32

	other = "other"
	none  = "none" // what is not known: no provider, no endpoint
)

// Requests counts the requests to the gateway. It is safe for concurrent use, and
// observing takes neither a lock nor memory once all labels have been seen.
type Requests struct {
	requests, tokens, failovers *prometheus.CounterVec
	duration, firstByte         *prometheus.HistogramVec

	providers names[*providerCounts]
}

// NewRequests returns a Requests that has counted nothing.
func NewRequests() *Requests {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: name, Help: help, Buckets: []float64{0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600},
		}, []string{"provider"})
	}
	r := &Requests{
		requests:  counter("gatehouse_requests_total", "Requests to the gateway by the class of the status that the client got; 4xx has those of clients that left.", "provider", "endpoint", "status"),
		tokens:    counter("gatehouse_tokens_total", "Tokens by what the provider says of them: input, output, cache_read, cache_write or reasoning. Whether one kind includes another is up to its API.", "provider", "kind"),
		failovers: counter("gatehouse_failovers_total", "Attempts beyond the first of a request, by how they ended.", "provider", "outcome"),
		duration:  histogram("gatehouse_request_duration_seconds", "How long requests to the gateway took in all, those for WebSockets left out."),
		firstByte: histogram("gatehouse_first_byte_seconds", "How long clients waited for the first byte of a provider's answer."),
	}
	r.providers.most, r.providers.make = maxProviders, r.newProvider
	return r
}

// Observe counts a request that is over.
func (r *Requests) Observe(rec usage.Record) {
	p := r.providers.get(rec.Provider)
	p.endpoints.get(rec.Endpoint).of(rec.Status).Inc()
	if rec.Status != http.StatusSwitchingProtocols { // how long a WebSocket is open says nothing of the provider
		p.duration.Observe(rec.Duration.Seconds())
		if rec.FirstByte > 0 {
			p.firstByte.Observe(rec.FirstByte.Seconds())
		}
	}
	if t := &rec.Tokens; t.Known {
		for i, n := range [...]int64{t.Input, t.Output, t.CacheRead, t.CacheWrite, t.Reasoning} {
			if n > 0 { // a counter cannot take less
				p.tokens[i].Add(float64(n))
			}
		}
	}
	for i := 1; i < len(rec.Attempts); i++ {
		at := p
		if a := &rec.Attempts[i]; a.Provider != "" {
			at = r.providers.get(a.Provider)
		}
		at.outcomes.get(rec.Attempts[i].Outcome).Inc()
	}
}

// Describe implements [prometheus.Collector].
func (r *Requests) Describe(out chan<- *prometheus.Desc) {
	for _, c := range r.collectors() {
		c.Describe(out)
	}
}

// Collect implements [prometheus.Collector].
func (r *Requests) Collect(out chan<- prometheus.Metric) {
	for _, c := range r.collectors() {
		c.Collect(out)
	}
}

func (r *Requests) collectors() []prometheus.Collector {
	return []prometheus.Collector{r.requests, r.tokens, r.failovers, r.duration, r.firstByte}
}

var tokenKinds = [...]string{"input", "output", "cache_read", "cache_write", "reasoning"}

// providerCounts are the series of one provider.
type providerCounts struct {
	endpoints           names[*classes]
	outcomes            names[prometheus.Counter]
	tokens              [len(tokenKinds)]prometheus.Counter
	duration, firstByte prometheus.Observer
}

func (r *Requests) newProvider(name string) *providerCounts {
	p := &providerCounts{duration: r.duration.WithLabelValues(name), firstByte: r.firstByte.WithLabelValues(name)}
	for i, kind := range tokenKinds {
		p.tokens[i] = r.tokens.WithLabelValues(name, kind)
	}
	p.endpoints.most, p.endpoints.make = maxNames, func(endpoint string) *classes {
		return &classes{make: func(class string) prometheus.Counter { return r.requests.WithLabelValues(name, endpoint, class) }}
	}
	p.outcomes.most, p.outcomes.make = maxNames, func(outcome string) prometheus.Counter {
		return r.failovers.WithLabelValues(name, outcome)
	}
	return p
}

// classes are the counters of an endpoint by class of status, made when they are
// first needed.
type classes struct {
	counters [6]atomic.Pointer[prometheus.Counter]
	make     func(class string) prometheus.Counter
}

func (c *classes) of(status int) prometheus.Counter {
	class := status / 100
	if class < 1 || class > 5 {
		class = 0
	}
	if known := c.counters[class].Load(); known != nil {
		return *known
	}
	label := none
	if class > 0 {
		label = strconv.Itoa(class) + "xx"
	}
	made := c.make(label) // the same one, whoever makes it
	c.counters[class].Store(&made)
	return made
}

// names holds a value for each of a bounded number of names, made when it is first
// asked for. What is above shares that of "other".
type names[T any] struct {
	most  int
	make  func(name string) T
	known atomic.Pointer[map[string]T] // never changed once it is here
	mu    sync.Mutex                   // held to put a larger one in its place
}

func (n *names[T]) get(name string) T {
	if name == "" {
		name = none
	}
	if known := n.known.Load(); known != nil {
		if v, ok := n.among(*known, name); ok {
			return v
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	larger := map[string]T{}
	if known := n.known.Load(); known != nil {
		if v, ok := n.among(*known, name); ok {
			return v
		}
		larger = maps.Clone(*known)
	}
	if len(larger) >= n.most {
		name = other
	}
	larger[name] = n.make(name)
	n.known.Store(&larger)
	return larger[name]
}

// among returns the value that a name has, or shares.
func (n *names[T]) among(known map[string]T, name string) (v T, ok bool) {
	if v, ok = known[name]; !ok && len(known) >= n.most {
		v, ok = known[other]
	}
	return v, ok
}

// Records is where the records of requests are on their way to the database.
type Records struct {
	Depth   func() int64 // how many wait
	Dropped func() int64 // how many were lost
}

var (
	depthDesc   = prometheus.NewDesc("gatehouse_journal_depth", "Records of requests that wait to be written to the database.", nil, nil)
	droppedDesc = prometheus.NewDesc("gatehouse_journal_dropped_total", "Records of requests that were lost: there was no room for them while the database was away.", nil, nil)
)

// Describe implements [prometheus.Collector].
func (Records) Describe(out chan<- *prometheus.Desc) { out <- depthDesc; out <- droppedDesc }

// Collect implements [prometheus.Collector].
func (r Records) Collect(out chan<- prometheus.Metric) {
	out <- prometheus.MustNewConstMetric(depthDesc, prometheus.GaugeValue, float64(r.Depth()))
	out <- prometheus.MustNewConstMetric(droppedDesc, prometheus.CounterValue, float64(r.Dropped()))
}
