package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/cli"
	"github.com/gatehousehq/gatehouse/internal/config"
	"github.com/gatehousehq/gatehouse/internal/custody"
	"github.com/gatehousehq/gatehouse/internal/datadir"
	"github.com/gatehousehq/gatehouse/internal/keyring"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// KeyRecoverCommand returns the command "gatehouse dbcrypt recover", which needs
// no server: without the encryption key there is none.
func KeyRecoverCommand() *cobra.Command {
	var cfg config.Config
	var r keyRecovery
	cmd := &cobra.Command{
		Use: "recover", Short: "Go on when the encryption key is lost: give up what only it opens", Args: cobra.NoArgs,
		Annotations: map[string]string{cli.Group: "dbcrypt"},
		Long: `Go on when the encryption key is lost for good. Look for a backup of it first:
what is given up here cannot be brought back.

It makes data keys under the encryption key that is here, or a new one, removes
every provider key and every settings document that cannot be opened, and retires
the data keys that sealed them. Providers, users, tokens and the audit log stay;
the log says what was removed. Then give the providers their keys again.

Without --installation it says what it would give up, and changes nothing.

It works on the database itself; run it as the user that the server runs as, and
stop every server first.`,
		Example: `  gatehouse dbcrypt recover --installation 0190a5a0-…`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cfg.Load(cmd.Flags(), os.LookupEnv); err != nil {
				return err
			}
			r.now = time.Now
			return r.run(cmd.Context(), cfg, cmd.OutOrStdout())
		},
	}
	cfg.BindDatabase(cmd.Flags(), encryptionKeySource)
	cmd.Flags().StringVar(&r.installation, "installation", "", "`name` of the installation, to be sure; left out, the command says it and what would be given up")
	return cmd
}

// encryptionKeySource is the setting that says where the KEKs are.
const encryptionKeySource = "encryption-key-source"

// A keyRecovery is one run of the command. Each step is a transaction, and a
// second run goes on where a first one ended.
type keyRecovery struct {
	installation string
	now          func() time.Time
}

func (r keyRecovery) run(ctx context.Context, cfg config.Config, out io.Writer) (err error) {
	o, err := openOffline(ctx, cfg, r.now)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	if err := r.nobodyElse(ctx, o); err != nil {
		return err
	}
	rows, err := listKeys(ctx, o.db)
	if err != nil {
		return err
	}
	o.readKEKs(ctx, cfg)
	lost, left, err := r.sort(ctx, o, rows)
	if err != nil {
		return err
	}
	if err := r.foretell(ctx, o, lost, out); err != nil {
		return err
	}
	if err := o.confirm(r.installation); err != nil {
		return err
	}
	if err := r.needKEK(o, rows, out); err != nil {
		return err
	}
	if err := r.replaceLost(ctx, o, lost, left); err != nil {
		return err
	}
	wiped, err := custody.Wipe(ctx, o.db, authn.Custodian)
	if err != nil {
		return err
	}
	// Before the last step: a second run does not know what was lost any more.
	if err := r.setCheckpointsAside(cfg, lost, out); err != nil {
		return err
	}
	if err := r.retire(ctx, o, lost); err != nil {
		return err
	}
	return r.tell(out, lost, wiped)
}

// nobodyElse refuses while a replica may be running that can still open what
// would be removed.
func (r keyRecovery) nobodyElse(ctx context.Context, o *offline) error {
	if !o.backend.Shared() {
		return nil // the data directory is claimed
	}
	return o.db.View(ctx, authn.Custodian, func(tx store.Tx) error {
		all, err := tx.Replicas.List(ctx)
		for _, rep := range all {
			if r.now().Sub(rep.SeenAt) < time.Minute {
				return fmt.Errorf("the server %s was seen at %s, and may have the encryption key: look there; or stop it, wait a minute, and run this again", rep.Name, rep.SeenAt.Format(time.TimeOnly))
			}
		}
		return err
	})
}

// needKEK makes an encryption key where there is none, and none is named.
func (r keyRecovery) needKEK(o *offline, rows []store.EncryptionKey, out io.Writer) error {
	missing, mayBeMade := errors.AsType[*keyring.NoFileError](o.keks.err)
	if o.keks.err != nil && !mayBeMade {
		return o.keks.err
	}
	if o.keks.err == nil {
		return nil
	}
	kek, encoded, err := keyring.NewLocal()
	if err != nil {
		return err
	}
	if err := writeSecret(missing.File, encoded); err != nil {
		return fmt.Errorf("make an encryption key: %w", err)
	}
	o.useKEKs([]keyring.KEK{kek})
	_, err = fmt.Fprintf(out, "Made a new encryption key in the place of %s: %s. Back it up, apart from the database.\n", strings.Join(kekIDs(rows), ", "), missing.File)
	return err
}

// sort returns the data keys in use that no encryption key here unwraps, and the
// purposes for which one is left.
func (r keyRecovery) sort(ctx context.Context, o *offline, rows []store.EncryptionKey) (lost []store.EncryptionKey, left map[store.KeyPurpose]bool, err error) {
	left = map[store.KeyPurpose]bool{}
	for _, row := range rows {
		if !row.Active() {
			continue
		}
		switch ok, err := o.ring.Opens(ctx, row); {
		case err != nil:
			return nil, nil, err
		case !ok:
			lost = append(lost, row)
		case row.Purpose != store.ForSealing || !row.PromotedAt.IsZero():
			left[row.Purpose] = true
		}
	}
	return lost, left, nil
}

// foretell says what would be given up: an encryption key may not be lost, but
// merely not named.
func (r keyRecovery) foretell(ctx context.Context, o *offline, lost []store.EncryptionKey, out io.Writer) error {
	if len(lost) == 0 {
		return nil
	}
	var counts []store.CellCount
	err := o.db.View(ctx, authn.Custodian, func(tx store.Tx) (err error) {
		counts, err = tx.Cells.Count(ctx)
		return err
	})
	if err != nil {
		return err
	}
	sealed := int64(0)
	for _, c := range counts {
		if slices.ContainsFunc(lost, func(k store.EncryptionKey) bool { return k.ActiveDigest == c.KeyID }) {
			sealed += c.Cells
		}
	}
	_, err = fmt.Fprintf(out, "%d data keys and the %d secrets under them need the encryption key %s, which is not here. If it still exists, say with %s where it is.\n",
		len(lost), sealed, strings.Join(kekIDs(lost), ", "), keyring.SourceSetting)
	return err
}

// replaceLost makes a data key for each purpose of which none is left, and loads
// all but the lost ones.
func (r keyRecovery) replaceLost(ctx context.Context, o *offline, lost []store.EncryptionKey, left map[store.KeyPurpose]bool) error {
	if !left[store.ForFingerprinting] && left[store.ForSealing] {
		return errors.New("the secrets can be opened: it is the data key for fingerprints alone that cannot. Restore its row of dbcrypt_keys from a backup")
	}
	var fresh []store.EncryptionKey
	for _, purpose := range store.KeyPurposes() {
		if left[purpose] {
			continue
		}
		k, err := o.ring.Generate(ctx, purpose)
		if err != nil {
			return err
		}
		k.PromotedAt = r.now()
		fresh = append(fresh, k)
	}
	err := o.db.Update(ctx, authn.Custodian, func(tx store.Tx) error {
		for _, k := range fresh {
			if _, err := tx.EncryptionKeys.Insert(ctx, k); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return o.ring.ReloadWithout(ctx, o.db, authn.Keyholder, lost)
}

// retire ends the use of the lost data keys. No row is sealed under them any
// more: the database would refuse it otherwise.
func (r keyRecovery) retire(ctx context.Context, o *offline, lost []store.EncryptionKey) error {
	if len(lost) == 0 {
		return nil
	}
	return o.db.Update(ctx, authn.Custodian, func(tx store.Tx) error {
		for _, row := range lost {
			_, err := tx.EncryptionKeys.Update(ctx, row.ActiveDigest, func(k *store.EncryptionKey) error {
				k.Retire(r.now())
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// setCheckpointsAside keeps the checkpoints that the lost key for signing has
// signed: a server continues none that another key made.
func (r keyRecovery) setCheckpointsAside(cfg config.Config, lost []store.EncryptionKey, out io.Writer) error {
	for _, row := range lost {
		if row.Purpose != store.ForSigning {
			continue
		}
		from := filepath.Join(cfg.DataDir, datadir.AuditCheckpoints)
		to := from + ".before-recovery-" + r.now().UTC().Format("20060102T150405Z")
		err := os.Rename(from, to)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("keep the checkpoints of before: %w", err)
		}
		_, err = fmt.Fprintf(out, "Checkpoints have a new key from now on. Those of before are kept, and verify the log up to now: %s\n", to)
		return err
	}
	return nil
}

func (r keyRecovery) tell(out io.Writer, lost []store.EncryptionKey, wiped []store.Ref) error {
	var b strings.Builder
	for _, ref := range wiped {
		fmt.Fprintf(&b, "removed: %s %s (%s)\n", ref.Resource, ref.ID, ref.Target)
	}
	fmt.Fprintf(&b, "%d data keys could not be opened and are retired; %d secrets are removed.\n", len(lost), len(wiped))
	if len(wiped) > 0 {
		b.WriteString("Start the server, and give the providers their keys again: gatehouse provider list, gatehouse key add.\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}
