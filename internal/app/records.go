package app

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/datadir"
	"github.com/gatehousehq/gatehouse/internal/journal"
	"github.com/gatehousehq/gatehouse/internal/metrics"
	"github.com/gatehousehq/gatehouse/internal/recorder"
	"github.com/gatehousehq/gatehouse/internal/usage"
)

const (
	// writeTime is how long the database may take for a batch of records, and
	// lastRecords how long what is left may take when the server stops.
	writeTime   = 10 * time.Second
	lastRecords = 5 * time.Second
)

// recordRequests makes what the records of requests go through: the journal, and
// from there the database.
func (s *Server) recordRequests(o Options) (err error) {
	s.requests, s.feed = metrics.NewRequests(), recorder.NewFeed()
	s.recorder = recorder.New(recorder.Config{
		DB: s.store.db, Writer: authn.Recorder, Archivist: authn.Archivist, Retention: s.cfg.InterceptionRetention, Log: o.Log, Now: o.Now,
	})
	s.journal, err = journal.Open(filepath.Join(s.cfg.DataDir, datadir.Journal), journal.Config{MaxBytes: s.cfg.JournalSize, Logger: o.Log})
	if err != nil {
		return fmt.Errorf("open the journal of requests: %w", err)
	}
	return nil
}

// shipRecords writes what is in the journal to the database, until the journal is
// closed and empty.
func (s *Server) shipRecords(ctx context.Context, j *journal.Journal) error {
	return j.Ship(ctx, func(ctx context.Context, batch []usage.Record) error {
		ctx, cancel := context.WithTimeout(ctx, writeTime)
		defer cancel()
		return s.recorder.Write(ctx, batch)
	})
}

// closeJournal waits a little for what is left to be written. The rest is for the
// next start.
func (s *Server) closeJournal(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lastRecords)
	defer cancel()
	if err := s.journal.Close(ctx); err != nil {
		s.log.WarnContext(ctx, "the journal of requests is left for the next start", "error", err)
	}
	s.journal = nil
}

// observe returns what the gateway tells of each request: it is counted and
// shown, and then handed on.
func (s *Server) observe(next func(usage.Record)) func(usage.Record) {
	return func(rec usage.Record) {
		s.requests.Observe(rec)
		s.feed.Publish(rec)
		if next != nil {
			next(rec)
		}
	}
}
