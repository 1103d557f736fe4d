package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gatehousehq/gatehouse/internal/auditlog"
	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/config"
	"github.com/gatehousehq/gatehouse/internal/datadir"
	"github.com/gatehousehq/gatehouse/internal/keyring"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
)

// openWith opens a database as the next start of the server will: up to date, and
// with the encryption key that the server would use, which must fit. Only with
// withoutKey may there be none. A key that is there and does not fit is refused
// even then: it would keep the server from starting. keyless is if there is none.
func openWith(ctx context.Context, cfg config.Config, path string, withoutKey bool, now func() time.Time) (b *sqlstore.Backend, keyless bool, err error) {
	sc := sqlstore.Config{Path: path, Now: now}
	keks := readKEKs(ctx, cfg)
	_, none := errors.AsType[*keyring.NoFileError](keks.err)
	if keyless = withoutKey && none; !keyless {
		s := setup{dir: cfg.DataDir, log: slog.New(slog.DiscardHandler), now: now, keks: keks}
		sc.Initialise = s.initialise
	}
	b, err = sqlstore.Open(ctx, sc)
	return b, keyless, err
}

// amend checks what takes the store to check, and writes down that there was a
// restore, so that the entry comes into being with the restored database.
func (r *restoring) amend(ctx context.Context) (err error) {
	var b *sqlstore.Backend
	if b, r.keyless, err = openWith(ctx, r.cfg, r.temp, r.withoutKey, r.now); err != nil {
		return fmt.Errorf("the backup needs the encryption key with the id %s: %w", strings.Join(r.content.KEKs, ", "), err)
	}
	db := layered(b, &keyring.Ring{}, r.now, nil) // nothing here is sealed
	err = r.verify(ctx, b, db)
	if err == nil {
		r.done("opened")
		err = r.lookAtOld(ctx, db)
	}
	if err == nil {
		err = db.Update(ctx, authn.Recovery, func(tx store.Tx) error {
			if err := tx.Audit.Observe(ctx, []store.AuditEntry{r.entry()}); err != nil {
				return err
			}
			return endSessions(ctx, tx)
		})
	}
	if err = errors.Join(err, b.Close()); err != nil {
		return err
	}
	if err := sqlstore.Settle(ctx, r.temp); err != nil {
		return fmt.Errorf("close the copy: %w", err)
	}
	r.done("written down")
	return nil
}

// endSessions ends those that the backup has: which of them ended since is not in
// it, and to sign in again costs little.
func endSessions(ctx context.Context, tx store.Tx) error {
	all, err := tx.Sessions.List(ctx, store.Query{})
	if err != nil {
		return err
	}
	for _, s := range all {
		if _, err := tx.Sessions.Delete(ctx, s.ID); err != nil {
			return err
		}
	}
	return nil
}

// entry says how many entries the log had and has again. It is about the audit
// log: that is what each restore puts back, and where somebody looks who misses
// an entry.
func (r *restoring) entry() store.AuditEntry {
	diff := fmt.Sprintf(`{"entries":{"new":%d}}`, r.content.Entries)
	if r.plan.oldEntries > 0 {
		diff = fmt.Sprintf(`{"entries":{"old":%d,"new":%d}}`, r.plan.oldEntries, r.content.Entries)
	}
	who := authn.Recovery
	return store.AuditEntry{
		At: r.now(), ActorKind: who.Kind, ActorID: who.ID, ActorName: who.Name,
		Action: rbac.Restore, Resource: rbac.AuditLog, Count: 1, Diff: diff,
	}
}

// verify refuses a log that is not the one that the checkpoints in the data
// directory are of. Where there are none, nothing says what the log was, and what
// is wrong within it is told, no more: a backup may be all that is left.
func (r *restoring) verify(ctx context.Context, b *sqlstore.Backend, db *store.DB) error {
	last, err := r.lastCheckpoint()
	if err != nil {
		return err
	}
	// Without checkpoints: those of more entries would be findings, and retention
	// that none of the others covers yet would, too.
	if r.plan.log, err = verifyLog(ctx, b, nil); err != nil || last.Size == 0 {
		return err
	}
	head, err := auditlog.HeadAt(ctx, auditTree{db}, last.Size)
	if err == nil && head.Root() == last.Root && r.plan.log.Found == 0 {
		r.plan.agrees = last.Size
		return nil
	}
	refusal := fmt.Errorf("the audit log in the backup is not the one that the checkpoint of %d entries in %s is of: the backup was altered, or it is from before another restore. To restore it all the same, move that file away, and keep it", last.Size, r.checkpoints())
	for _, f := range r.plan.log.Findings {
		refusal = errors.Join(refusal, errors.New(wrong(f)))
	}
	return errors.Join(refusal, err)
}

// lastCheckpoint returns the largest checkpoint in the data directory of what is
// in the backup, and finds out whether the server could go on beside them all.
func (r *restoring) lastCheckpoint() (last auditlog.Checkpoint, err error) {
	content, err := os.ReadFile(r.checkpoints())
	if errors.Is(err, os.ErrNotExist) {
		return last, nil
	}
	if err != nil {
		return last, fmt.Errorf("read the checkpoints: %w", err)
	}
	all, err := auditlog.ReadPublished(content, "")
	if err != nil {
		return last, fmt.Errorf("%s: %w", r.checkpoints(), err)
	}
	for _, c := range all {
		switch {
		case c.Origin != auditlog.Origin(r.content.Installation) || c.Size > r.content.Entries:
			r.plan.movesCheckpoints = true // what they say the log that is restored never was, or is no more
		case c.Size > last.Size:
			last = c
		}
	}
	return last, nil
}

func (r *restoring) checkpoints() string {
	return filepath.Join(r.cfg.DataDir, datadir.AuditCheckpoints)
}

// maxUndone is how many changes are listed.
const maxUndone = 100

// lookAtOld finds out what the database that is there has and the backup has not.
// What cannot be read, as is likely if there is a need for a backup, is no error.
func (r *restoring) lookAtOld(ctx context.Context, db *store.DB) (err error) {
	if r.plan.replaces, err = exists(r.database()); err != nil || !r.plan.replaces {
		return err
	}
	if r.plan.strange = !isSQLite(r.database()); r.plan.strange {
		return nil
	}
	old, err := sqlstore.Describe(ctx, r.database())
	if err != nil || old.Installation != r.content.Installation {
		return ctx.Err()
	}
	r.plan.oldEntries = old.Entries
	b, err := sqlstore.Inspect(ctx, sqlstore.Config{Path: r.database(), Now: r.now})
	if err != nil {
		return ctx.Err()
	}
	oldDB := layered(b, &keyring.Ring{}, r.now, nil) // nothing here is sealed
	if r.continues(ctx, oldDB, db) {
		r.plan.undone, err = changesAfter(ctx, oldDB, r.content.Entries)
		r.plan.lists = err == nil
	}
	_ = b.Close() // settle, below, finds what is wrong with it
	return ctx.Err()
}

// isSQLite reports whether a file begins as a database does. SQLite is not to be
// asked about one that does not: it removes the files beside it.
func isSQLite(name string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // it was only read
	head := make([]byte, len(magic))
	_, err = io.ReadFull(f, head)
	return err == nil && string(head) == magic
}

// continues reports whether one log is the other, gone on.
func (r *restoring) continues(ctx context.Context, long, short *store.DB) bool {
	a, errA := auditlog.HeadAt(ctx, auditTree{long}, r.content.Entries)
	b, errB := auditlog.HeadAt(ctx, auditTree{short}, r.content.Entries)
	return errA == nil && errB == nil && a.Root() == b.Root()
}

// readAtOnce is how many entries are in memory.
const readAtOnce = 5000

// changesAfter returns the entries of changes after the first size ones.
func changesAfter(ctx context.Context, db *store.DB, size int64) (changes []store.AuditEntry, err error) {
	err = db.View(ctx, authn.Verifier, func(tx store.Tx) error {
		for from := size + 1; ; {
			rows, err := tx.Audit.Rows(ctx, from, readAtOnce)
			if err != nil || len(rows) == 0 {
				return err
			}
			for _, row := range rows {
				switch row.Entry.Action {
				case "", rbac.Open, rbac.Denied, rbac.LoginFailed: // nothing was changed
				default:
					changes = append(changes, row.Entry)
				}
			}
			from = rows[len(rows)-1].Index + 1
		}
	})
	return changes, err
}
