package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gatehousehq/gatehouse/internal/auditlog"
	"github.com/gatehousehq/gatehouse/internal/datadir"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
)

// A plan is what putting a backup in place takes, and undoes.
type plan struct {
	aside            string             // what is behind the name of a file that is kept
	replaces         bool               // there is a database
	strange          bool               // it is none of SQLite
	oldEntries       int64              // that its log has; 0 if it is not known
	lists            bool               // undone is all there is
	undone           []store.AuditEntry // changes that the backup has not
	log              auditlog.Report    // on the backup's
	agrees           int64              // entries of the backup's log that a checkpoint here is of
	movesCheckpoints bool
}

// settle makes one file of the database that is there, and makes sure that nobody
// else has it open: what is put in its place under the same name must not meet
// with the files beside it. One that is damaged has no state to lose: it is kept
// with all its files.
func (r *restoring) settle(ctx context.Context) error {
	if r.plan.replaces && !r.plan.strange {
		err := sqlstore.Settle(ctx, r.database())
		if errors.Is(err, sqlstore.ErrBusy) {
			return fmt.Errorf("%w: end it, a backup perhaps, and run this again", err)
		}
		if err != nil && !errors.Is(err, sqlstore.ErrDamaged) {
			return fmt.Errorf("close the database that is here: %w", err)
		}
	}
	r.done("settled")
	at := ".before-restore-" + r.now().UTC().Format("20060102T150405Z")
	for n := 1; ; n++ {
		r.plan.aside = at
		if n > 1 {
			r.plan.aside = fmt.Sprintf("%s-%d", at, n)
		}
		taken := false
		for _, name := range []string{datadir.Database, datadir.Database + sidecars[0], datadir.AuditCheckpoints} {
			there, err := exists(r.aside(name))
			if err != nil {
				return err
			}
			taken = taken || there
		}
		if !taken {
			return nil
		}
	}
}

// aside returns where a file of the data directory is kept. SQLite finds the
// sidecars of a database by its name, of one that is kept, too.
func (r *restoring) aside(name string) string {
	for _, suffix := range sidecars {
		if name == datadir.Database+suffix {
			return r.aside(datadir.Database) + suffix
		}
	}
	return filepath.Join(r.cfg.DataDir, name+r.plan.aside)
}

// place puts the new database in place. The order is such that whenever the
// process dies, a database is there whole, the old one or the new one, and never
// none: a server would begin with an empty one. The checkpoints come last: before
// that, the worst is a server that does not sign the log, and says why.
func (r *restoring) place() error {
	if r.plan.replaces {
		if err := keep(r.database(), r.aside(datadir.Database)); err != nil {
			return fmt.Errorf("keep the database that is here: %w", err)
		}
		r.done("kept")
	}
	for _, suffix := range sidecars { // none, unless the database is damaged or gone
		if err := os.Rename(r.database()+suffix, r.aside(datadir.Database+suffix)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("keep the files of the database that is here: %w", err)
		}
	}
	// On disk before the next step is: a file that is still there after the power
	// went would be applied to the new database.
	if err := syncDir(r.cfg.DataDir); err != nil {
		return err
	}
	r.done("cleared")
	if err := errors.Join(os.Rename(r.temp, r.database()), syncDir(r.cfg.DataDir)); err != nil {
		return fmt.Errorf("put the backup in place: %w", err)
	}
	r.done("placed")
	if r.plan.movesCheckpoints {
		err := os.Rename(r.checkpoints(), r.aside(datadir.AuditCheckpoints))
		if err = errors.Join(err, syncDir(r.cfg.DataDir)); err != nil {
			return fmt.Errorf("the database is restored; move %s away, and keep it: %w", datadir.AuditCheckpoints, err)
		}
		r.done("moved checkpoints")
	}
	return nil
}

// keep gives a file a second name, or where file systems do not have that, makes a
// copy.
func keep(file, as string) error {
	if os.Link(file, as) == nil {
		return nil
	}
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // it was only read
	out, err := os.OpenFile(as, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		_ = os.Remove(as) // the file itself is still there
	}
	return err
}

// tellPlan says what is about to be done.
func (r *restoring) tellPlan() {
	r.say("The backup is of generation %d and has %d audit entries.", r.content.Generation, r.content.Entries)
	if !r.keyless {
		r.say("The encryption key here opens it.")
	}
	if r.plan.agrees > 0 {
		r.say("Its audit log agrees with the checkpoint of %d entries in %s.", r.plan.agrees, datadir.AuditCheckpoints)
	}
	for _, f := range r.plan.log.Findings {
		r.say("%s", wrong(f))
	}
	if r.plan.log.Found > 0 {
		r.say("Its audit log is not what it should be; it is restored as it is.")
	}
	if r.plan.replaces {
		r.say("The database that was here is kept: %s", r.aside(datadir.Database))
	}
	if r.plan.movesCheckpoints {
		r.say("The checkpoints here are of more entries than that, or of another log. They are kept, so that the\nserver can sign this one: %s", r.aside(datadir.AuditCheckpoints))
	}
	switch {
	case r.plan.lists && len(r.plan.undone) == 0:
		r.say("Nothing was changed after the backup.")
	case r.plan.lists:
		r.say("What was changed after the backup is undone; tokens that were revoked work again:")
		for i, e := range r.plan.undone {
			if i == maxUndone {
				r.say("  … and %d more", len(r.plan.undone)-i)
				break
			}
			// Quoted: what stands in a database may be anything.
			r.say("  %s  %q: %s %s %q %s", e.At.Format(time.RFC3339), e.ActorName, e.Action, e.Resource, e.Target, e.ID)
		}
	default:
		r.say("What was changed after the backup is undone: tokens that were revoked work again, keys that were\nremoved are back. What that is cannot be read from here.")
	}
}

// tellDone says what there is to do now.
func (r *restoring) tellDone() {
	r.say("Restored; entry %d of the audit log says so.", r.content.Entries+1)
	if r.keyless {
		r.say("Before you start the server, copy the encryption key with the id %s to %s.", strings.Join(r.content.KEKs, ", "), filepath.Join(r.cfg.DataDir, datadir.EncryptionKey))
	}
	checkpoints := "FILE" // that was kept elsewhere
	if r.plan.agrees > 0 && r.plan.movesCheckpoints {
		checkpoints = r.aside(datadir.AuditCheckpoints)
	} else if r.plan.agrees > 0 {
		checkpoints = r.checkpoints()
	}
	r.say("To verify what was restored by checkpoints from before:\n  gatehouse audit verify --data-dir %s --up-to %d --checkpoints %s", r.cfg.DataDir, r.content.Entries, checkpoints)
	r.say("If the server publishes checkpoints to another file, move that away, too, before you start it.")
}
