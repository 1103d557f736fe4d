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

// table prints the medians of the rounds as Markdown, and reports whether
// anything failed.
func table(out io.Writer, scenarios []scenario, targets []target, results map[string][]result) error {
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)
	row := func(cells ...string) { fmt.Fprintln(w, "|\t"+strings.Join(cells, "\t|\t")+"\t|") }
	row("what", "target", "per second", "p50", "p99", "CPU µs each", "errors")
	row("---", "---", "---:", "---:", "---:", "---:", "---:")
	var errs []error
	for _, s := range scenarios {
		for _, t := range targets {
			rounds := results[s.name+t.name]
			cpu := "–"
			if t.pid != 0 {
				cpu = fmt.Sprint(median(rounds, func(r result) time.Duration { return r.cpu }).Microseconds())
			}
			var failed int64
			for _, r := range rounds {
				failed += r.errors
				if r.errors > 0 {
					errs = append(errs, fmt.Errorf("%s, %s: %d errors, the first: %w", t.name, s.name, r.errors, r.first))
				}
			}
			row(s.name, t.name,
				fmt.Sprintf("%.0f", median(rounds, func(r result) float64 { return r.rate })),
				short(median(rounds, func(r result) time.Duration { return r.p50 })),
				short(median(rounds, func(r result) time.Duration { return r.p99 })),
				cpu, fmt.Sprint(failed))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out, "\np50 and p99 are of a whole answer; of a paced stream, from the sending of a chunk to its arrival.")
	return errors.Join(errs...)
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
