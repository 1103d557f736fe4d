package rotation_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gatehousehq/gatehouse/internal/auditlog"
	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/custody"
	"github.com/gatehousehq/gatehouse/internal/datadir"
	"github.com/gatehousehq/gatehouse/internal/keyring"
	"github.com/gatehousehq/gatehouse/internal/rotation"
	"github.com/gatehousehq/gatehouse/internal/settings"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbaudit"
	"github.com/gatehousehq/gatehouse/internal/store/dbauthz"
	"github.com/gatehousehq/gatehouse/internal/store/dbcrypt"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
)

// A look is what was found in a database besides what is wrong.
type look struct {
	State   rotation.State
	Retired int
	Cells   int64
	Entries int64
}

// inspect opens a database with the encryption key of a data directory, without
// a server, and holds it to the ledger and to the audit log.
func inspect(ctx context.Context, cfg sqlstore.Config, dataDir string, l *ledger, f *findings) (look, error) {
	b, err := sqlstore.Inspect(ctx, cfg)
	if err != nil {
		return look{}, err
	}
	s, err := inspectBackend(ctx, b, dataDir, l, f)
	return s, errors.Join(err, b.Close())
}

func inspectBackend(ctx context.Context, b *sqlstore.Backend, dataDir string, l *ledger, f *findings) (s look, err error) {
	text, err := os.ReadFile(filepath.Join(dataDir, datadir.EncryptionKey))
	if err != nil {
		return s, err
	}
	kek, err := keyring.ParseLocal(text)
	if err != nil {
		return s, err
	}
	ring := keyring.NewRing(b.Installation(), []keyring.KEK{kek})
	db := store.New(b, dbcrypt.Layer(ring, b.Installation()), dbaudit.Layer(time.Now, nil), dbauthz.Layer)
	load := func(ctx context.Context) error { return ring.Reload(ctx, db, authn.Keyholder) }
	db.OnKeysChanged(load)
	if err := load(ctx); err != nil {
		return s, err
	}
	if s, err = checkKeys(ctx, db, f); err != nil {
		return s, err
	}
	report, err := custody.Verify(ctx, db, dbgen.Owner)
	if err != nil {
		return s, err
	}
	for _, found := range report.Findings {
		f.add("%s %s is %s: %s", found.Ref.Resource, found.Ref.ID, found.Problem, found.Detail)
	}
	all, err := openAll(ctx, db, f)
	if err != nil {
		return s, err
	}
	l.compare(all, f)
	s.Entries, err = checkAudit(ctx, db, b.Installation(), dataDir, f)
	return s, err
}

// checkKeys makes sure that nothing is sealed under a data key that is retired,
// or was never there.
func checkKeys(ctx context.Context, db *store.DB, f *findings) (s look, err error) {
	err = db.View(ctx, dbgen.Owner, func(tx store.Tx) error {
		status, err := rotation.Read(ctx, tx)
		if err != nil {
			return err
		}
		s = look{State: status.State, Cells: status.Cells}
		keys := map[string]rotation.Key{}
		for _, k := range status.Keys {
			keys[k.Digest()] = k
			if !k.Active() {
				s.Retired++
			}
		}
		counts, err := tx.Cells.Count(ctx)
		for _, c := range counts {
			if k, ok := keys[c.KeyID]; !ok {
				f.add("%d rows of %s are under an unknown data key", c.Cells, c.Table)
			} else if !k.Active() {
				f.add("%d rows of %s are under data key %d, which is retired", c.Cells, c.Table, k.Number)
			}
		}
		return err
	})
	return s, err
}

// openAll returns what the rows of each provider open to.
func openAll(ctx context.Context, db *store.DB, f *findings) (all map[string]stored, err error) {
	err = db.View(ctx, authn.Compiler, func(tx store.Tx) error {
		all = map[string]stored{}
		providers, err := tx.Providers.List(ctx, store.Query{IncludeDisabled: true})
		if err != nil {
			return err
		}
		for _, p := range providers {
			var s stored
			doc, err := open(ctx, tx, &p, "settings", f)
			if err != nil {
				return err
			}
			if doc != "" {
				parsed, err := settings.Parse(string(p.Type), []byte(doc), "")
				if err != nil {
					return err
				}
				s.Organization = parsed.Fields.Headers()["Openai-Organization"]
			}
			keys, err := tx.ProviderKeys.List(ctx, store.Query{ProviderID: p.ID})
			if err != nil {
				return err
			}
			for _, k := range keys {
				value, err := open(ctx, tx, &k, "api_key", f)
				if err != nil {
					return err
				}
				s.Keys, s.ids = append(s.Keys, value), append(s.ids, k.ID)
			}
			all[p.Name] = s
		}
		return nil
	})
	return all, err
}

func open(ctx context.Context, tx store.Tx, rec store.Sealed, column string, f *findings) (string, error) {
	opened, err := tx.Secrets.Open(ctx, rec)
	if errors.Is(err, store.ErrUnreadable) {
		f.add("%v", err)
		return "", nil
	}
	return opened[column].Reveal(), err
}

// checkAudit verifies the audit log by the checkpoints that the server published.
func checkAudit(ctx context.Context, db *store.DB, installation, dataDir string, f *findings) (entries int64, err error) {
	content, err := os.ReadFile(filepath.Join(dataDir, datadir.AuditCheckpoints))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	kept, err := auditlog.ReadPublished(content, "")
	if err != nil {
		return 0, err
	}
	err = db.View(ctx, authn.Verifier, func(tx store.Tx) error {
		report, err := auditlog.Verify(ctx, auditlog.Origin(installation), tx.Audit, kept)
		if err != nil {
			return err
		}
		for _, found := range report.Findings {
			f.add("the audit log: entry %d: %s", found.Index, found.Problem)
		}
		entries = report.Size
		return nil
	})
	return entries, err
}
