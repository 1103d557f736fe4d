package journal_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/journal"
	"github.com/gatehousehq/gatehouse/internal/usage"
)

// BenchmarkRequest is the begin and the end of a request, while what has ended is
// shipped: 0 allocs/op.
func BenchmarkRequest(b *testing.B) {
	for name, way := range ways {
		for _, parallel := range []string{"alone", "parallel"} {
			b.Run(name+" "+parallel, func(b *testing.B) {
				j := started(b, way)
				rec := record("0199c3a1-0000-7000-8000-000000000001")
				b.ReportAllocs()
				if parallel == "alone" {
					for b.Loop() {
						j.End(j.Begin(rec), rec)
					}
				} else {
					b.RunParallel(func(pb *testing.PB) {
						for pb.Next() {
							j.End(j.Begin(rec), rec)
						}
					})
				}
				b.StopTimer()
				b.ReportMetric(float64(j.Dropped()), "dropped")
			})
		}
	}
}

// BenchmarkPaced is a thousand requests in a second, and what the slowest of them
// waited for: the files are written to the disk meanwhile.
func BenchmarkPaced(b *testing.B) {
	for name, way := range ways {
		b.Run(name, func(b *testing.B) {
			j := started(b, way)
			rec := record("0199c3a1-0000-7000-8000-000000000001")
			var took []time.Duration
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for b.Loop() {
				<-tick.C
				began := time.Now()
				j.End(j.Begin(rec), rec)
				took = append(took, time.Since(began))
			}
			b.StopTimer()
			slices.Sort(took)
			for at, unit := range map[float64]string{0.5: "p50-ns", 0.99: "p99-ns", 0.999: "p99.9-ns", 1: "max-ns"} {
				b.ReportMetric(float64(took[int(at*float64(len(took)-1))]), unit)
			}
		})
	}
}

func started(b *testing.B, way func(string, journal.Config) (*journal.Journal, error)) *journal.Journal {
	b.Helper()
	j, err := way(b.TempDir(), small(journal.Config{SegmentBytes: 4 << 20}))
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- j.Ship(ctx, func(context.Context, []usage.Record) error { return nil }) }()
	b.Cleanup(func() {
		stop()
		<-done
		_ = j.Close(context.Background()) // it says what it was too fast for
	})
	return j
}
