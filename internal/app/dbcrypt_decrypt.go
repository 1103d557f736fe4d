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

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/cli"
	"github.com/gatehousehq/gatehouse/internal/config"
	"github.com/gatehousehq/gatehouse/internal/custody"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// DecryptCommand returns the command "gatehouse dbcrypt decrypt", which needs no
// server. No token of the API can do what it does: whoever is at the machine has
// the encryption key anyway.
func DecryptCommand() *cobra.Command {
	var cfg config.Config
	var x export
	cmd := &cobra.Command{
		Use: "decrypt FILE", Short: "Export every provider with its keys in the clear, to a file that age encrypts", Args: cobra.ExactArgs(1),
		Annotations: map[string]string{cli.Group: "dbcrypt"},
		Long: `Export every provider with its keys and settings in the clear, to move to another
system or to keep for the worst case. The file is encrypted by age
(https://age-encryption.org) to the recipients that you name, so nothing is on
disk in the clear: age --decrypt --identity KEY FILE shows it, a provider a line,
in JSON. The database stays as it is.

It needs the encryption key, and works on the database itself; run it as the user
that the server runs as. With SQLite stop the server first. Deleted providers are
left out, as is what does not open; the audit log says that it was done.`,
		Example: `  gatehouse dbcrypt decrypt --recipient age1… --installation 0190a5a0-… providers.age`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cfg.Load(cmd.Flags(), os.LookupEnv); err != nil {
				return err
			}
			x.file, x.now = args[0], time.Now
			return x.run(cmd.Context(), cfg, cmd.OutOrStdout())
		},
	}
	cfg.BindDatabase(cmd.Flags(), encryptionKeySource)
	cmd.Flags().StringSliceVar(&x.recipients, "recipient", nil, "`age1…`, who can decrypt the file; give the flag once for each")
	cmd.Flags().StringVar(&x.recipientsFile, "recipients-file", "", "`file` of recipients, one a line")
	cmd.Flags().StringVar(&x.installation, "installation", "", "`name` of the installation, to be sure; gatehouse dbcrypt status shows it")
	return cmd
}

// An export is one run of the command.
type export struct {
	file                         string
	recipients                   []string
	recipientsFile, installation string
	now                          func() time.Time
}

func (x export) run(ctx context.Context, cfg config.Config, out io.Writer) (err error) {
	to, err := x.parse()
	if err != nil {
		return err
	}
	if there, err := exists(x.file); err != nil || there {
		return errors.Join(err, fmt.Errorf("%s is there already: name a new file", x.file))
	}
	o, err := openOffline(ctx, cfg, x.now)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	if err := o.confirm(x.installation); err != nil {
		return err
	}
	o.readKEKs(ctx, cfg)
	if err := o.load(ctx); err != nil {
		return err
	}
	secrets, unreadable, err := x.write(ctx, o.db, to)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%d secrets are in %s, for %d recipients.\n", secrets, x.file, len(to))
	for _, ref := range unreadable {
		_, lineErr := fmt.Fprintf(out, "left out, since it does not open: %s %s (%s)\n", ref.Resource, ref.ID, ref.Target)
		err = errors.Join(err, lineErr)
	}
	return err
}

func (x export) parse() (to []age.Recipient, err error) {
	text := strings.Join(x.recipients, "\n")
	if x.recipientsFile != "" {
		b, err := os.ReadFile(x.recipientsFile)
		if err != nil {
			return nil, fmt.Errorf("read the recipients: %w", err)
		}
		text += "\n" + string(b)
	}
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("say who can decrypt the file, with --recipient or --recipients-file: age-keygen makes a pair")
	}
	if strings.Contains(strings.ToUpper(text), "AGE-SECRET-KEY-") {
		return nil, errors.New("that is the secret half of a pair: a recipient is the other, which begins with age1")
	}
	if to, err = age.ParseRecipients(strings.NewReader(text)); err != nil {
		return nil, fmt.Errorf("the recipients: %w", err)
	}
	return to, nil
}

// write makes the file: whole and written down in the audit log, or not at all.
func (x export) write(ctx context.Context, db *store.DB, to []age.Recipient) (secrets int, unreadable []store.Ref, err error) {
	f, err := os.CreateTemp(filepath.Dir(x.file), "."+filepath.Base(x.file)+"-*") // made with mode 0600
	if err != nil {
		return 0, nil, fmt.Errorf("make the file: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // best effort; it is encrypted
		}
	}()
	secrets, unreadable, err = x.encrypt(ctx, db, f, to)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return 0, nil, err
	}
	who := authn.Exporter
	err = db.Update(ctx, who, func(tx store.Tx) error {
		return tx.Audit.Observe(ctx, []store.AuditEntry{{
			At: x.now(), ActorKind: who.Kind, ActorID: who.ID, ActorName: who.Name, Action: rbac.Open, Resource: rbac.AIProviderKey,
			Target: "export", Count: max(int64(secrets), 1), Diff: fmt.Sprintf(`{"recipients":{"new":%d}}`, len(to)),
		}})
	})
	if err != nil {
		return 0, nil, fmt.Errorf("write the export down in the audit log: %w", err)
	}
	if err := os.Link(f.Name(), x.file); err != nil { // which replaces nothing
		return 0, nil, fmt.Errorf("put the file in its place: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return 0, nil, fmt.Errorf("remove the other name of the file: %w", err)
	}
	return secrets, unreadable, syncDir(filepath.Dir(x.file))
}

func (x export) encrypt(ctx context.Context, db *store.DB, w io.Writer, to []age.Recipient) (secrets int, unreadable []store.Ref, err error) {
	sealed, err := age.Encrypt(w, to...)
	if err != nil {
		return 0, nil, fmt.Errorf("encrypt: %w", err)
	}
	secrets, unreadable, err = custody.Export(ctx, db, authn.Exporter, sealed)
	return secrets, unreadable, errors.Join(err, sealed.Close())
}
