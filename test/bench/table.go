//go:build linux

package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// results are the rounds of each scenario and target, by their names.
type results map[[2]string][]result

// has reports whether a target was measured.
func (r results) has(scenario, target string) bool { return len(r[[2]string{scenario, target}]) > 0 }

// figures prints the medians of the rounds as Markdown, and reports whether
// anything failed.
func figures(out io.Writer, scenarios []scenario, targets []target, all results) error {
	row, flush := markdown(out)
	row("what", "target", "per second", "p50", "p99", "CPU µs each", "resident MiB", "errors")
	row("---", "---", "---:", "---:", "---:", "---:", "---:", "---:")
	var errs []error
	for _, s := range scenarios {
		for _, t := range targets {
			rounds := all[[2]string{s.name, t.name}]
			if len(rounds) == 0 {
				continue
			}
			rate, p50, p99, cpu, memory := "–", "–", "–", "–", "–"
			if !s.open {
				rate = fmt.Sprintf("%.0f", median(rounds, func(r result) float64 { return r.rate }))
				p50 = short(median(rounds, func(r result) time.Duration { return r.p50 }))
				p99 = short(median(rounds, func(r result) time.Duration { return r.p99 }))
			}
			if t.pid != 0 {
				memory = fmt.Sprintf("%.1f", mebibytes(rounds))
				if !s.open {
					cpu = fmt.Sprintf("%.0f", microseconds(rounds))
				}
			}
			var failed int64
			for _, r := range rounds {
				failed += r.errors
				if r.errors > 0 {
					errs = append(errs, fmt.Errorf("%s, %s: %d errors, the first: %w", t.name, s.name, r.errors, r.first))
				}
			}
			row(s.name, t.name, rate, p50, p99, cpu, memory, fmt.Sprint(failed))
		}
	}
	return errors.Join(flush(), errors.Join(errs...))
}

// markdown returns what prints a row of a table, and what ends the table.
func markdown(out io.Writer) (row func(cells ...string), flush func() error) {
	w := tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)
	return func(cells ...string) { fmt.Fprintln(w, "|\t"+strings.Join(cells, "\t|\t")+"\t|") }, w.Flush
}

func microseconds(rounds []result) float64 {
	return float64(median(rounds, func(r result) time.Duration { return r.cpu })) / float64(time.Microsecond)
}

func mebibytes(rounds []result) float64 {
	return float64(median(rounds, func(r result) int64 { return r.resident })) / (1 << 20)
}

// median returns the middle of one figure of the rounds.
func median[T cmp.Ordered](rounds []result, figure func(result) T) T {
	var all []T
	for _, r := range rounds {
		all = append(all, figure(r))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// short formats d with three digits.
func short(d time.Duration) string {
	switch {
	case d < 10*time.Microsecond:
		return fmt.Sprintf("%.1f µs", float64(d)/float64(time.Microsecond))
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
	default:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	}
}
