package app

import (
	"context"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/metrics"
	"github.com/gatehousehq/gatehouse/internal/recorder"
	"github.com/gatehousehq/gatehouse/internal/usage"
)

// A journal holds the records of requests until they are written.
type journal interface {
	// Add adds a record, and waits for nothing.
	Add(rec usage.Record)
	// Ship hands the records to write in batches until ctx is done, each at least
	// once.
	Ship(ctx context.Context, write func(context.Context, []usage.Record) error)
	Depth() int
	Dropped() int64
}

// recordRequests makes what the records of requests go through.
func (s *Server) recordRequests(o Options) {
	s.requests, s.feed = metrics.NewRequests(), recorder.NewFeed()
	s.journal = recorder.NewQueue(o.Log)
	s.recorder = recorder.New(recorder.Config{
		DB: s.store.db, Writer: authn.Recorder, Archivist: authn.Archivist, Retention: s.cfg.InterceptionRetention, Log: o.Log, Now: o.Now,
	})
}

// observe returns what the gateway tells of each request: it is counted, shown and
// kept, and then handed on.
func (s *Server) observe(next func(usage.Record)) func(usage.Record) {
	return func(rec usage.Record) {
		s.requests.Observe(rec)
		s.feed.Publish(rec)
		s.journal.Add(rec)
		if next != nil {
			next(rec)
		}
	}
}
