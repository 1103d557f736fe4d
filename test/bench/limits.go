//go:build linux

package main

import (
	"fmt"
	"io"
	"time"
)

// A reading is what a limit is set to: a figure of a target in a scenario. It is
// false where there is none.
type reading func(all results, scenario, target string) (float64, bool)

// A limit is what a figure of ours should not exceed, or at least be.
type limit struct {
	scenario string
	figure   string
	unit     string // "×" is of the bare ReverseProxy
	of       reading
	most     float64 // unless it is zero
	least    float64 // else
	bare     bool    // what the bare ReverseProxy has is the most
}

func limits() []limit {
	var list []limit
	for _, upstream := range []string{"", overTLS} {
		list = append(list,
			limit{scenario: oneKiB64 + upstream, figure: "CPU", unit: "×", of: cpuRatio, most: 0.6},
			limit{scenario: oneKiB64 + upstream, figure: "requests a second", unit: "×", of: rateRatio, least: 1.6},
			limit{scenario: streams32 + upstream, figure: "CPU", unit: "×", of: cpuRatio, most: 1.0},
			limit{scenario: oneMiB8 + upstream, figure: "CPU", unit: "×", of: cpuRatio, most: 1.1},
			limit{scenario: steady + upstream, figure: "p99 over direct", unit: "ms", of: added(p99), most: 0.3},
			limit{scenario: paced8 + upstream, figure: "p50 over direct", unit: "ms", of: added(p50), bare: true},
			limit{scenario: paced8 + upstream, figure: "p99 over direct", unit: "ms", of: added(p99), bare: true},
		)
	}
	return append(list,
		limit{scenario: oneMiBListed, figure: "CPU", unit: "×", of: cpuRatio, most: 1.5},
		limit{scenario: oneKiB64, figure: "resident memory", unit: "MiB", of: memory, most: 40},
		limit{scenario: open2000, figure: "resident memory", unit: "MiB", of: memory, most: 100},
	)
}

func p50(r result) time.Duration { return r.p50 }
func p99(r result) time.Duration { return r.p99 }

func cpuRatio(all results, scenario, target string) (float64, bool) {
	if !all.has(scenario, target) || !all.has(scenario, bare) || target == direct {
		return 0, false
	}
	return microseconds(all[[2]string{scenario, target}]) / max(microseconds(all[[2]string{scenario, bare}]), 1e-9), true
}

func rateRatio(all results, scenario, target string) (float64, bool) {
	if !all.has(scenario, target) || !all.has(scenario, bare) {
		return 0, false
	}
	rate := func(r result) float64 { return r.rate }
	return median(all[[2]string{scenario, target}], rate) / max(median(all[[2]string{scenario, bare}], rate), 1e-9), true
}

// added is how much longer something takes than without a proxy.
func added(figure func(result) time.Duration) reading {
	return func(all results, scenario, target string) (float64, bool) {
		if !all.has(scenario, target) || !all.has(scenario, direct) || target == direct {
			return 0, false
		}
		d := median(all[[2]string{scenario, target}], figure) - median(all[[2]string{scenario, direct}], figure)
		return float64(d) / float64(time.Millisecond), true
	}
}

func memory(all results, scenario, target string) (float64, bool) {
	if !all.has(scenario, target) || target == direct {
		return 0, false
	}
	return mebibytes(all[[2]string{scenario, target}]), true
}

// compare prints what we want to be beside what we are. It decides nothing:
// a machine that is busy, or shared, shows nothing of us.
func compare(out io.Writer, all results) error {
	row, flush := markdown(out)
	row("what", "figure", ours, bare, nginx, "wanted", "")
	row("---", "---", "---:", "---:", "---:", "---:", "---")
	for _, l := range limits() {
		cell := func(target string) string {
			v, ok := l.of(all, l.scenario, target)
			if !ok {
				return "–"
			}
			return fmt.Sprintf("%.2f %s", v, l.unit)
		}
		got, ok := l.of(all, l.scenario, ours)
		if !ok {
			continue
		}
		wanted, met := fmt.Sprintf("≤ %g %s", l.most, l.unit), got <= l.most
		switch {
		case l.bare:
			most, ok := l.of(all, l.scenario, bare)
			if !ok {
				continue
			}
			wanted, met = "≤ bare", got <= most
		case l.least > 0:
			wanted, met = fmt.Sprintf("≥ %g %s", l.least, l.unit), got >= l.least
		}
		verdict := "met"
		if !met {
			verdict = "**missed**"
		}
		row(l.scenario, l.figure, cell(ours), cell(bare), cell(nginx), wanted, verdict)
	}
	return flush()
}
