package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/config"
	"github.com/gatehousehq/gatehouse/internal/datadir"
	"github.com/gatehousehq/gatehouse/internal/keyring"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbaudit"
	"github.com/gatehousehq/gatehouse/internal/store/dbauthz"
	"github.com/gatehousehq/gatehouse/internal/store/dbcrypt"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
	"github.com/gatehousehq/gatehouse/internal/tally"
)

// ownerName is the name of the first user.
const ownerName = "owner"

// An openStore is a store that is ready to serve.
type openStore struct {
	db      *store.DB
	backend *sqlstore.Backend
	ring    *keyring.Ring
	keks    kekSet
}

// openDatabase opens the store of a server. Where there is none yet it makes
// the data keys, the owner and their token, and an encryption key if the settings
// name no other; else it needs the encryption key that the database was made with.
// What is denied, and each secret that is opened, is told to events.
func openDatabase(ctx context.Context, cfg config.Config, o Options, events *tally.Tally) (*openStore, error) {
	s := setup{dir: cfg.DataDir, log: o.Log, now: o.Now, keks: readKEKs(ctx, cfg)}
	sc := sqlstore.Config{URL: cfg.DatabaseURL, Now: o.Now, Before: o.Before, Initialise: s.initialise}
	if cfg.DatabaseURL.IsZero() {
		sc.Path = filepath.Join(cfg.DataDir, datadir.Database)
	}
	backend, err := sqlstore.Open(ctx, sc)
	if err != nil {
		return nil, err
	}
	db := layered(backend, s.ring, o.Now, events.Note)
	db.OnDenied(events.Denied)
	db.OnKeysChanged(func(ctx context.Context) error { return s.ring.Reload(ctx, db, authn.Keyholder) })
	return &openStore{db, backend, s.ring, s.keks}, nil
}

// layered is the one place where the layers are put on a backend.
func layered(b *sqlstore.Backend, keys dbcrypt.Keys, now func() time.Time, note func(store.AuditEntry)) *store.DB {
	return store.New(b, dbcrypt.Layer(keys, b.Installation()), dbaudit.Layer(now, note), dbauthz.Layer)
}

// A setup makes or finds the keys of an installation.
type setup struct {
	dir  string
	log  *slog.Logger
	now  func() time.Time
	keks kekSet
	ring *keyring.Ring // the result
}

// initialise runs while no other server can be in the same place.
func (s *setup) initialise(ctx context.Context, b *sqlstore.Backend) error {
	db := layered(b, &keyring.Ring{}, s.now, nil) // nothing here needs sealing
	wrapped, err := listKeys(ctx, db)
	if err != nil {
		return err
	}
	if err := s.needKEKs(ctx, wrapped); err != nil {
		return err
	}
	s.ring = keyring.NewRing(b.Installation(), s.keks.keks)
	if len(wrapped) == 0 {
		if err := s.firstStart(ctx, db); err != nil {
			return err
		}
	}
	err = s.ring.Reload(ctx, db, authn.Keyholder)
	if missing, ok := errors.AsType[*keyring.MissingKeyError](err); ok && missing.Purpose == store.ForSigning {
		// A version that made no checkpoints was here. The other keys were there from
		// the beginning: one that is gone is a loss.
		if err := s.addKey(ctx, db, store.ForSigning); err != nil {
			return err
		}
		err = s.ring.Reload(ctx, db, authn.Keyholder)
	}
	if err != nil {
		return s.keks.explain(err)
	}
	s.noteKEKs(ctx, wrapped)
	return nil
}

func listKeys(ctx context.Context, db *store.DB) (keys []store.EncryptionKey, err error) {
	err = db.View(ctx, authn.Bootstrap, func(tx store.Tx) error {
		keys, err = tx.EncryptionKeys.List(ctx, store.Query{})
		return err
	})
	return keys, err
}

// firstStart makes the data keys, the owner and the owner's token.
func (s *setup) firstStart(ctx context.Context, db *store.DB) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	var keys []store.EncryptionKey
	for _, purpose := range store.KeyPurposes() {
		k, err := s.newKey(ctx, purpose)
		if err != nil {
			return err
		}
		keys = append(keys, k)
	}
	err = db.Update(ctx, authn.Bootstrap, func(tx store.Tx) error {
		for _, k := range keys {
			if _, err := tx.EncryptionKeys.Insert(ctx, k); err != nil {
				return err
			}
		}
		owner, err := tx.Users.Insert(ctx, store.User{ID: id.String(), Name: ownerName, Roles: store.SetOf(string(rbac.Owner))})
		if err != nil {
			return err
		}
		_, token, err := authn.Mint(ctx, tx, owner.ID, s.now(), authn.NewToken{
			Name: datadir.OwnerToken, Scopes: []string{string(rbac.ScopeAll)},
		})
		if err != nil {
			return err
		}
		// Before the commit: if the server dies in between, the next start begins
		// again with an empty database and a new token.
		return writeSecret(filepath.Join(s.dir, datadir.OwnerToken), []byte(token.Reveal()+"\n"))
	})
	if err != nil {
		return fmt.Errorf("first start: %w", err)
	}
	return nil
}

// newKey returns a data key that is used at once: there is no other server yet.
func (s *setup) newKey(ctx context.Context, purpose store.KeyPurpose) (store.EncryptionKey, error) {
	k, err := s.ring.Generate(ctx, purpose)
	k.PromotedAt = s.now()
	return k, err
}

func (s *setup) addKey(ctx context.Context, db *store.DB, purpose store.KeyPurpose) error {
	k, err := s.newKey(ctx, purpose)
	if err != nil {
		return err
	}
	return db.Update(ctx, authn.Bootstrap, func(tx store.Tx) error {
		_, err := tx.EncryptionKeys.Insert(ctx, k)
		return err
	})
}

// writeSecret writes a file that only its owner can read, and makes sure that
// it is on disk: whole, or not at all.
func writeSecret(file string, content []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*") // made with mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // best effort; the name says what it is
		}
	}()
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), file); err != nil {
		return err
	}
	return syncDir(filepath.Dir(file))
}

// ownerToken returns the token in the data directory, if there is one.
func ownerToken(dir string) (secret.Text, error) {
	b, err := os.ReadFile(filepath.Join(dir, datadir.OwnerToken))
	if errors.Is(err, fs.ErrNotExist) {
		return secret.Text{}, nil
	}
	if err != nil {
		return secret.Text{}, fmt.Errorf("read the owner's token: %w", err)
	}
	return secret.New(strings.TrimSpace(string(b))), nil
}
