// Package metrics shows the state of a server to Prometheus, and what it did. It
// asks the gateway and never the database, so a scrape works while that is away.
// The labels are bounded: of what people choose only the names of providers are
// among them, and of those only so many. A Requests may be told by any number of
// goroutines at once.
package metrics

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/gatehousehq/gatehouse/internal/awscredentials"
	"github.com/gatehousehq/gatehouse/internal/routing"
)

// A Source is what there is to show.
type Source struct {
	Version string
	// Snapshot is the configuration in force.
	Snapshot func() *routing.Snapshot
	// KeyStates are those that a key can be in, and KeyState says in which one is.
	KeyStates []string
	KeyState  func(routing.Key) string
	// Breakers returns how many circuits are open, and how many of those let a trial
	// through.
	Breakers func() (open, halfOpen int)
	// KeyEpoch is which change of the data keys is loaded, and DataKeys how many
	// may be sealed under.
	KeyEpoch func() int64
	DataKeys func() int
	// Requests and Records, if they are not zero, are shown too.
	Requests *Requests
	Records  Records
}

// The states of providers. One that cannot be served counts as that, whether it
// is enabled or not.
const (
	enabled    = "enabled"
	disabled   = "disabled"
	unreadable = "unreadable" // its settings do not open
	faulty     = "faulty"     // it cannot be served for another reason
)

// Handler returns the page that Prometheus reads.
func Handler(s Source) http.Handler {
	r := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "gatehouse_build_info", Help: "Always 1; the label has the version.", ConstLabels: prometheus.Labels{"version": s.Version},
	})
	build.Set(1)
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), build, collector{s})
	if s.Requests != nil {
		r.MustRegister(s.Requests)
	}
	if s.Records.Depth != nil {
		r.MustRegister(s.Records)
	}
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

var (
	providersDesc = prometheus.NewDesc("gatehouse_providers", "Providers by their state: enabled, disabled, unreadable (the settings do not open) or faulty.", []string{"state"}, nil)
	keysDesc      = prometheus.NewDesc("gatehouse_provider_keys", "Provider keys by their state at this replica.", []string{"state"}, nil)
	breakersDesc  = prometheus.NewDesc("gatehouse_breakers_open", "Endpoints of providers that no request is sent to because they do not answer, at this replica: open, or half_open when one is let through.", []string{"state"}, nil)
	awsDesc       = prometheus.NewDesc("gatehouse_aws_credentials", "Enabled providers that sign with AWS credentials which are got when they are needed, by how those fare at this replica: ready, failing (good for now, and not to be renewed) or missing.", []string{"state"}, nil)
	snapshotDesc  = prometheus.NewDesc("gatehouse_snapshot_generation", "The generation of the configuration in force.", nil, nil)
	epochDesc     = prometheus.NewDesc("gatehouse_data_key_epoch", "Which change of the data keys is loaded: the same at every replica.", nil, nil)
	dataKeysDesc  = prometheus.NewDesc("gatehouse_data_keys", "Data keys that secrets can be sealed under: more than 1 while a rotation is under way.", nil, nil)
)

// A collector counts at each scrape.
type collector struct{ Source }

// Describe implements [prometheus.Collector].
func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{providersDesc, keysDesc, breakersDesc, awsDesc, snapshotDesc, epochDesc, dataKeysDesc} {
		out <- d
	}
}

// Collect implements [prometheus.Collector].
func (c collector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	snapshot := c.Snapshot()
	providers := map[string]int{enabled: 0, disabled: 0, unreadable: 0, faulty: 0}
	keys := map[string]int{}
	for _, s := range c.KeyStates {
		keys[s] = 0
	}
	for p := range snapshot.Providers() {
		providers[stateOf(p)]++
		for _, k := range p.Keys {
			keys[c.KeyState(k)]++
		}
	}
	for state, n := range providers {
		gauge(providersDesc, float64(n), state)
	}
	for state, n := range keys {
		gauge(keysDesc, float64(n), state)
	}
	aws := map[string]int{awscredentials.Ready: 0, awscredentials.Failing: 0, awscredentials.Missing: 0}
	for source := range snapshot.Credentials() {
		state, _ := source.Condition()
		aws[state]++
	}
	for state, n := range aws {
		gauge(awsDesc, float64(n), state)
	}
	open, half := c.Breakers()
	gauge(breakersDesc, float64(open), "open")
	gauge(breakersDesc, float64(half), "half_open")
	if snapshot != nil {
		gauge(snapshotDesc, float64(snapshot.Generation))
	}
	gauge(epochDesc, float64(c.KeyEpoch()))
	gauge(dataKeysDesc, float64(c.DataKeys()))
}

func stateOf(p *routing.Provider) string {
	switch {
	case p.Unreadable:
		return unreadable
	case p.Fault != "":
		return faulty
	case p.Enabled:
		return enabled
	}
	return disabled
}
