package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehousehq/gatehouse/internal/config"
	"github.com/gatehousehq/gatehouse/internal/datadir"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
)

// BackupCommand returns the command "gatehouse backup", which needs no server,
// and works beside a running one.
func BackupCommand() *cobra.Command {
	var cfg config.Config
	var force bool
	cmd := &cobra.Command{
		Use: "backup FILE", Short: "Copy the SQLite database, while the server runs or not", Args: cobra.ExactArgs(1),
		Long: `Copy the SQLite database of a data directory to a file. The server may be
running: the copy is of one moment, and has every change that was answered before
the command began. It is checked before it gets its name, so the file is there
whole, or not at all.

The encryption key is not in it: keep a copy of that apart, once. Whoever has both
has the provider keys; whoever has only one has nothing.

For PostgreSQL use pg_dump: docs/operations.md has the commands.`,
		Example: `  gatehouse backup --data-dir /var/lib/gatehouse /backup/gatehouse-$(date +%F).db`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cfg.Load(cmd.Flags(), os.LookupEnv); err != nil {
				return err
			}
			ctx, stop := untilSignal(cmd.Context())
			defer stop()
			size, c, err := backUp(ctx, cfg, args[0], force)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), `Backed up to %s, and checked: %d bytes, generation %d, %d audit entries.
It takes the encryption key with the id %s to open what is sealed in it.
That key is not in the backup: keep a copy of it elsewhere.
`, args[0], size, c.Generation, c.Entries, strings.Join(c.KEKs, ", "))
			return err
		},
	}
	cfg.BindDatabase(cmd.Flags())
	cmd.Flags().BoolVar(&force, "force", false, "replace the file if it exists")
	return cmd
}

// backUp copies the database to file, and returns how large the copy is and what
// it holds.
func backUp(ctx context.Context, cfg config.Config, file string, force bool) (size int64, c sqlstore.Content, err error) {
	if !cfg.DatabaseURL.IsZero() {
		return 0, c, errors.New("the database is PostgreSQL, and this copies SQLite: use pg_dump, as docs/operations.md says")
	}
	database := filepath.Join(cfg.DataDir, datadir.Database)
	if _, err := os.Stat(database); err != nil {
		return 0, c, fmt.Errorf("open the database: %w", err)
	}
	if file, err = filepath.Abs(file); err != nil { // SQLite takes some names for something else
		return 0, c, err
	}
	if err := mayWrite(file, cfg.DataDir, force); err != nil {
		return 0, c, err
	}
	temp, err := emptyFile(file)
	if err != nil {
		return 0, c, fmt.Errorf("write the backup: %w", err)
	}
	defer func() {
		if err == nil {
			return
		}
		for _, suffix := range append([]string{""}, sidecars...) { // SQLite leaves its journal when the disk is full
			_ = os.Remove(temp + suffix) // best effort; the name says what it is
		}
	}()
	if err := sqlstore.Copy(ctx, database, temp); err != nil {
		return 0, c, fmt.Errorf("write the backup: %w", err)
	}
	if c, err = sqlstore.Examine(ctx, temp); err != nil {
		return 0, c, fmt.Errorf("the copy was checked, and thrown away: %w", err)
	}
	if size, err = syncFile(temp); err != nil {
		return 0, c, fmt.Errorf("write the backup: %w", err)
	}
	// Again, for another backup to the same file may have come first. One that
	// comes in between is as whole as this one.
	if err := mayWrite(file, cfg.DataDir, force); err != nil {
		return 0, c, err
	}
	if err := os.Rename(temp, file); err != nil {
		return 0, c, fmt.Errorf("write the backup: %w", err)
	}
	return size, c, syncDir(filepath.Dir(file))
}

// mayWrite refuses to write to what exists, unless force says so and it is a
// file, and to the data directory, which a backup would be lost with.
func mayWrite(file, dataDir string, force bool) error {
	info, err := os.Lstat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("write the backup: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a file: name one that the backup may become", file)
	case !force:
		return fmt.Errorf("%s exists: name another file, or replace it with --force", file)
	}
	dir, err := os.Stat(filepath.Dir(file))
	if err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	if data, err := os.Stat(dataDir); err == nil && os.SameFile(dir, data) {
		return errors.New("a backup in the data directory would be lost with it: name a file elsewhere, on another disk if you can")
	}
	return nil
}

// emptyFile makes a file beside the one of that name, for what will become it.
// Only its owner can read it.
func emptyFile(file string) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*") // made with mode 0600
	if err != nil {
		return "", err
	}
	return f.Name(), f.Close()
}

// syncFile makes sure that a file is on disk, and returns its size.
func syncFile(name string) (int64, error) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// syncDir makes sure that the names in a directory are on disk.
func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
