package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehousehq/gatehouse/internal/auditlog"
	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/cli"
	"github.com/gatehousehq/gatehouse/internal/config"
	"github.com/gatehousehq/gatehouse/internal/datadir"
	"github.com/gatehousehq/gatehouse/internal/keyring"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
)

// AuditVerifyCommand returns the command "gatehouse audit verify", which needs
// no server.
func AuditVerifyCommand() *cobra.Command {
	var cfg config.Config
	var checkpoints, export, key string
	var upTo int64
	cmd := &cobra.Command{
		Use: "verify", Short: "Verify the audit log against checkpoints kept elsewhere", Args: cobra.NoArgs,
		Annotations: map[string]string{cli.Group: "audit"},
		Long: `Verify the audit log of a data directory, of a PostgreSQL database, or of an
export. It works without a server, and beside a running one.

What it proves depends on the checkpoints: those that a server published are in
the file audit-checkpoints of its data directory, unless --audit-checkpoints sent
them elsewhere. Whoever can write to that file and to the database can change
both, so use a copy that was kept where nobody can. Entries after the newest
checkpoint are not covered.

After a restore from a backup, checkpoints of more entries than the backup had are
of a log that is no more: --up-to leaves them out.

Exit codes: 0 all is well, 1 something is wrong, or could not be read.`,
		Example: `  gatehouse audit verify --checkpoints /mnt/elsewhere/audit-checkpoints
  gatehouse audit verify --export audit.jsonl --checkpoints audit-checkpoints`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cfg.Load(cmd.Flags(), os.LookupEnv); err != nil {
				return err
			}
			if checkpoints == "" && export == "" {
				checkpoints = filepath.Join(cfg.DataDir, datadir.AuditCheckpoints)
			}
			kept, err := readCheckpoints(checkpoints, key)
			if err != nil {
				return err
			}
			if upTo > 0 {
				if kept = upToSize(kept, upTo); len(kept) == 0 {
					return fmt.Errorf("none of the checkpoints is of %d entries or fewer", upTo)
				}
			}
			var report auditlog.Report
			if export != "" {
				report, err = verifyExport(export, kept)
			} else {
				report, err = verifyDatabase(cmd.Context(), cfg, kept)
			}
			if err != nil {
				return err
			}
			return tellReport(cmd.OutOrStdout(), report)
		},
	}
	cfg.BindDatabase(cmd.Flags())
	cmd.Flags().StringVar(&checkpoints, "checkpoints", "", "`file` of checkpoints that was kept elsewhere, as servers publish them or gatehouse audit checkpoint prints them (default that of the data directory)")
	cmd.Flags().StringVar(&export, "export", "", "`file` that gatehouse audit export wrote, to verify instead of a database; - is standard input")
	cmd.Flags().Int64Var(&upTo, "up-to", 0, "leave out checkpoints of more than so many `entries`, those of the backup that was restored")
	cmd.Flags().StringVar(&key, "key", "", "the `key` that all checkpoints must be signed by; left out: that which stands beside each")
	return cmd
}

func readCheckpoints(file, key string) ([]auditlog.Checkpoint, error) {
	if file == "" {
		return nil, errors.New("--checkpoints is needed to verify an export: without it, nothing says what the log was")
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the checkpoints: %w", err)
	}
	kept, err := auditlog.ReadPublished(content, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(kept) == 0 {
		return nil, fmt.Errorf("%s has no checkpoint in it", file)
	}
	return kept, nil
}

// upToSize returns the checkpoints of at most size entries.
func upToSize(all []auditlog.Checkpoint, size int64) (kept []auditlog.Checkpoint) {
	for _, c := range all {
		if c.Size <= size {
			kept = append(kept, c)
		}
	}
	return kept
}

func verifyExport(file string, kept []auditlog.Checkpoint) (auditlog.Report, error) {
	in := os.Stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return auditlog.Report{}, fmt.Errorf("open the export: %w", err)
		}
		defer func() { _ = f.Close() }() // it was only read
		in = f
	}
	return auditlog.VerifyExport(in, kept)
}

func verifyDatabase(ctx context.Context, cfg config.Config, kept []auditlog.Checkpoint) (report auditlog.Report, err error) {
	sc := sqlstore.Config{URL: cfg.DatabaseURL}
	if cfg.DatabaseURL.IsZero() {
		sc.Path = filepath.Join(cfg.DataDir, datadir.Database)
	}
	backend, err := sqlstore.Inspect(ctx, sc)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, backend.Close()) }()
	return verifyLog(ctx, backend, kept)
}

// verifyLog verifies the whole log in a database.
func verifyLog(ctx context.Context, backend *sqlstore.Backend, kept []auditlog.Checkpoint) (report auditlog.Report, err error) {
	db := layered(backend, &keyring.Ring{}, time.Now, nil) // nothing here is sealed
	err = db.View(ctx, authn.Verifier, func(tx store.Tx) error {
		return db.View(ctx, authn.Verifier, func(other store.Tx) (err error) {
			report, err = auditlog.Verify(ctx, auditlog.Origin(backend.Installation()), tx.Audit, kept, other.Audit)
			return err
		})
	})
	return report, err
}

// errNotWell is for a log that something is wrong with, once that was said.
var errNotWell = errors.New("the audit log is not what it should be")

func tellReport(w io.Writer, r auditlog.Report) error {
	say := func(format string, args ...any) {
		_, _ = fmt.Fprintf(w, format+"\n", args...) // nobody may be reading
	}
	for _, f := range r.Findings {
		say("%s", wrong(f))
	}
	if more := r.Found - len(r.Findings); more > 0 {
		say("… and %d more", more)
	}
	if r.Removed > 0 {
		say("Entries 1 to %d were removed by retention.", r.Removed)
	}
	if r.Found > 0 {
		return errNotWell
	}
	say("The log has %d entries, and all is well. Root: %s", r.Size, r.Root)
	say("The checkpoints cover entries 1 to %d; the last %d are as trustworthy as the database.", r.Covered, r.Size-r.Covered)
	return nil
}

func wrong(f auditlog.Finding) string {
	if f.Index == 0 {
		return "wrong: " + f.Problem
	}
	return fmt.Sprintf("wrong: entry %d: %s", f.Index, f.Problem)
}
