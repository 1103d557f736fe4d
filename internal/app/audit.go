package app

import (
	"context"
	"io"
	"path/filepath"
	"time"

	"github.com/gatehousehq/gatehouse/internal/auditlog"
	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/config"
	"github.com/gatehousehq/gatehouse/internal/datadir"
	"github.com/gatehousehq/gatehouse/internal/store"
)

const (
	// pruneEvery is how often entries that are past their retention are looked
	// for, and pruneBatch how many are removed in one transaction.
	pruneEvery = time.Hour
	pruneBatch = 10_000
)

// An auditTree reads the tree of the audit log, each time in a transaction of
// its own: what a size of it looks like never changes.
type auditTree struct{ db *store.DB }

func (t auditTree) Head(ctx context.Context) (head store.AuditHead, err error) {
	err = t.db.View(ctx, authn.Verifier, func(tx store.Tx) error {
		head, err = tx.Audit.Head(ctx)
		return err
	})
	return head, err
}

func (t auditTree) Hashes(ctx context.Context, entries []int64) (hashes map[int64][]byte, err error) {
	err = t.db.View(ctx, authn.Verifier, func(tx store.Tx) error {
		hashes, err = tx.Audit.Hashes(ctx, entries)
		return err
	})
	return hashes, err
}

// newCheckpointer returns what publishes checkpoints of the audit log to where
// the settings say.
func (s *Server) newCheckpointer(ctx context.Context, o Options) (*auditlog.Checkpointer, error) {
	sinks, err := checkpointSinks(s.cfg, o.Stdout)
	if err != nil {
		return nil, err
	}
	signer, err := auditlog.NewSigner(s.store.backend.Installation(), s.store.ring.Signing().Secret)
	if err != nil {
		return nil, err
	}
	return auditlog.NewCheckpointer(ctx, auditTree{s.store.db}, signer, sinks, o.Log, o.Now)
}

func checkpointSinks(cfg config.Config, stdout io.Writer) ([]auditlog.Sink, error) {
	specs := cfg.AuditCheckpoints
	if len(specs) == 0 {
		specs = []string{"file:" + filepath.Join(cfg.DataDir, datadir.AuditCheckpoints)}
	}
	var sinks []auditlog.Sink
	for _, spec := range specs {
		sink, err := auditlog.ParseSink(spec, stdout)
		if err != nil {
			return nil, &settingError{"audit-checkpoints", err}
		}
		sinks = append(sinks, sink)
	}
	return sinks, nil
}

// A settingError is for a setting that is found to be wrong at the start.
type settingError struct {
	name string
	err  error
}

func (e *settingError) Error() string { return e.name + ": " + e.err.Error() }

func (e *settingError) Unwrap() error { return e.err }

// retain removes audit entries that are past their retention, until ctx is done.
func (s *Server) retain(ctx context.Context, now func() time.Time) {
	if s.cfg.AuditRetention == 0 {
		return
	}
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		if err := pruneAudit(ctx, s.store.db, now().Add(-s.cfg.AuditRetention)); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "audit entries past their retention could not be removed; it is tried again in an hour", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// pruneAudit removes the entries from before a time, some at a time, so that
// others have their turn in between.
func pruneAudit(ctx context.Context, db *store.DB, before time.Time) error {
	for {
		var removed int64
		err := db.Update(ctx, authn.Archivist, func(tx store.Tx) (err error) {
			removed, _, err = tx.Audit.Prune(ctx, before, pruneBatch)
			return err
		})
		if err != nil || removed < pruneBatch {
			return err
		}
	}
}
