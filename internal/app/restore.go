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

	"github.com/spf13/cobra"

	"github.com/gatehousehq/gatehouse/internal/config"
	"github.com/gatehousehq/gatehouse/internal/datadir"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
)

// RestoreCommand returns the command "gatehouse restore", which works without a
// server alone.
func RestoreCommand() *cobra.Command {
	var r restoring
	cmd := &cobra.Command{
		Use: "restore FILE", Short: "Put a backup of the SQLite database in place", Args: cobra.ExactArgs(1),
		Long: `Put a file that gatehouse backup wrote in place as the database of a data
directory; - is standard input. Stop the server first, and run it as the user that
the server runs as. The encryption key of the backup must be in the directory.

Everything is checked before anything is replaced: that the file is a whole
database of Gatehouse and not newer than this program, that the encryption key
opens it, and that its audit log is what the checkpoints here say. A database that
is there already is replaced with --force alone, and kept under another name.

What was changed after the backup is undone: tokens that were revoked since work
again, and keys that were removed are back. The command lists these changes if it
can. That there was a restore is in the audit log.

For PostgreSQL use pg_restore: docs/operations.md has the commands.`,
		Example: `  gatehouse restore --data-dir /var/lib/gatehouse /backup/gatehouse.db`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := r.cfg.Load(cmd.Flags(), os.LookupEnv); err != nil {
				return err
			}
			ctx, stop := untilSignal(cmd.Context())
			defer stop()
			r.file, r.in, r.out, r.now = args[0], cmd.InOrStdin(), cmd.OutOrStdout(), time.Now
			return r.run(ctx)
		},
	}
	r.cfg.BindDatabase(cmd.Flags(), "encryption-key-source")
	cmd.Flags().BoolVar(&r.force, "force", false, "replace the database that is there; it is kept under another name")
	cmd.Flags().BoolVar(&r.withoutKey, "without-key", false, "restore although there is no encryption key in the directory yet; the server does not start before it is there")
	return cmd
}

// A restoring puts one backup in place.
type restoring struct {
	cfg               config.Config
	file              string // "-" is in
	in                io.Reader
	out               io.Writer
	force, withoutKey bool
	now               func() time.Time
	step              func(name string) // nil: nobody is told of each step that is done

	temp    string           // our copy, which becomes the database
	content sqlstore.Content // of the backup
	keyless bool             // there is no encryption key yet
	plan    plan
}

func (r *restoring) run(ctx context.Context) (err error) {
	if !r.cfg.DatabaseURL.IsZero() {
		return errors.New("the database is PostgreSQL, and this restores SQLite: use pg_restore, as docs/operations.md says")
	}
	if err := checkOwnDirectory(r.cfg.DataDir); err != nil {
		return err
	}
	release, err := claim(r.cfg.DataDir)
	if inUse, ok := errors.AsType[*inUseError](err); ok {
		return fmt.Errorf("a gatehouse server (process %s) uses the data directory %s: stop it, and run this again", inUse.holder, inUse.dir)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	if there, err := exists(r.database()); err != nil {
		return err
	} else if there && !r.force {
		return errors.New("there is a database in the data directory: replace it with --force; it is kept under another name")
	}
	r.removeLeft()
	defer r.removeLeft()
	if err := r.prepare(ctx); err != nil {
		return fmt.Errorf("%w\nnothing was changed", err)
	}
	r.tellPlan()
	if err := r.place(); err != nil {
		return err
	}
	r.tellDone()
	return nil
}

// prepare makes the temporary file what the database shall be, and finds out
// what putting it in place takes.
func (r *restoring) prepare(ctx context.Context) error {
	if err := r.takeCopy(); err != nil {
		return err
	}
	r.done("copied")
	var err error
	if r.content, err = sqlstore.Examine(ctx, r.temp); err != nil {
		return fmt.Errorf("%s cannot be restored: %w", r.file, err)
	}
	if len(r.content.KEKs) == 0 {
		return fmt.Errorf("%s cannot be restored: it has no data keys, so no server was ever started on it", r.file)
	}
	r.done("examined")
	if err := r.amend(ctx); err != nil {
		return err
	}
	if _, err := syncFile(r.temp); err != nil {
		return fmt.Errorf("keep the copy: %w", err)
	}
	r.done("synced")
	return r.settle(ctx)
}

// sidecars are what SQLite calls the files beside a database, which it would
// apply to whatever has the database's name.
var sidecars = []string{"-wal", "-shm", "-journal"}

// magic begins every SQLite database, https://www.sqlite.org/fileformat.html.
const magic = "SQLite format 3\x00"

// takeCopy copies the file to the data directory, so that what is checked is
// what is put in place, and the backup stays as it is.
func (r *restoring) takeCopy() (err error) {
	in := r.in
	if r.file != "-" {
		f, err := os.Open(r.file)
		if err != nil {
			return fmt.Errorf("open the backup: %w", err)
		}
		defer func() { _ = f.Close() }() // it was only read
		if err := r.checkFile(f); err != nil {
			return err
		}
		in = f
	}
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(in, head); err != nil || string(head) != magic { // not after gigabytes of something else
		return fmt.Errorf("%s cannot be restored: %w", r.file, sqlstore.ErrDamaged)
	}
	out, err := os.CreateTemp(r.cfg.DataDir, restorePrefix+"*") // made with mode 0600
	if err != nil {
		return fmt.Errorf("copy the backup: %w", err)
	}
	r.temp = out.Name()
	_, err = out.Write(head)
	if err == nil {
		_, err = io.Copy(out, in)
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("copy the backup: %w", err)
	}
	return nil
}

// checkFile refuses a file that is not all of its database.
func (r *restoring) checkFile(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("open the backup: %w", err)
	}
	if info.IsDir() {
		return fmt.Errorf("%s is a directory: name the file in it", r.file)
	}
	if here, err := os.Stat(r.database()); err == nil && os.SameFile(info, here) {
		return fmt.Errorf("%s is the database that is here", r.file)
	}
	for _, suffix := range []string{"-wal", "-journal"} {
		if beside, err := os.Stat(r.file + suffix); err == nil && beside.Size() > 0 {
			return fmt.Errorf("%s is a part of a database, and %s%s beside it is another: make a backup of both with gatehouse backup", r.file, filepath.Base(r.file), suffix)
		}
	}
	return nil
}

// restorePrefix begins the names of our files until they are in place.
const restorePrefix = "." + datadir.Database + "-restore-"

// removeLeft removes our temporary files, those of a restore that died among
// them: this directory is ours alone.
func (r *restoring) removeLeft() {
	files, _ := os.ReadDir(r.cfg.DataDir) // those that it read
	for _, f := range files {
		if strings.HasPrefix(f.Name(), restorePrefix) {
			_ = os.Remove(filepath.Join(r.cfg.DataDir, f.Name())) // best effort; the name says what it is
		}
	}
}

func (r *restoring) database() string { return filepath.Join(r.cfg.DataDir, datadir.Database) }

func (r *restoring) done(step string) {
	if r.step != nil {
		r.step(step)
	}
}

func (r *restoring) say(format string, args ...any) {
	_, _ = fmt.Fprintf(r.out, format+"\n", args...) // nobody may be reading
}

func exists(name string) (bool, error) {
	_, err := os.Lstat(name)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
