package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gatehousehq/gatehouse/internal/config"
	"github.com/gatehousehq/gatehouse/internal/datadir"
	"github.com/gatehousehq/gatehouse/internal/keyring"
	"github.com/gatehousehq/gatehouse/internal/keyring/awskms"
	"github.com/gatehousehq/gatehouse/internal/keyring/command"
	"github.com/gatehousehq/gatehouse/internal/keyring/vault"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// openKEKs opens the key-encrypting keys that the settings name, the one that
// wraps first. The error is a [keyring.NoFileError] if what is missing is the file
// that may be made for an empty database. Keys in the environment are taken out of
// it, so they are there for the first call only.
func openKEKs(ctx context.Context, cfg config.Config) ([]keyring.KEK, error) {
	sources, place, err := kekSources(cfg)
	if err != nil {
		return nil, err
	}
	return keyring.Open(ctx, sources, place)
}

func kekSources(cfg config.Config) ([]keyring.Source, keyring.Place, error) {
	place := keyring.Place{
		File: filepath.Join(cfg.DataDir, datadir.EncryptionKey), Environ: os.Environ(), Unset: os.Unsetenv,
		Openers: map[keyring.Kind]keyring.Opener{
			keyring.FromCommand: command.Open, keyring.FromVault: vault.Open, keyring.FromAWSKMS: awskms.Open,
		},
	}
	sources, err := keyring.ParseSources(cfg.EncryptionKeySources)
	if len(sources) == 0 {
		sources = place.Default()
	}
	return sources, place, err
}

// A kekSet is the KEKs of a start, or why there are none. They are asked for before
// the database is open, since that may take its time, and judged when it shows
// which are needed.
type kekSet struct {
	keks    []keyring.KEK
	err     error
	sources []keyring.Source
	file    string // what the source "file" means
}

func readKEKs(ctx context.Context, cfg config.Config) kekSet {
	sources, place, err := kekSources(cfg) // before what they say is gone
	k := kekSet{err: err, sources: sources, file: place.File}
	if err == nil {
		k.keks, k.err = openKEKs(ctx, cfg)
	}
	return k
}

// inDataDir reports whether the key is the file in the data directory, and nowhere
// else.
func (k kekSet) inDataDir() bool {
	return len(k.sources) == 1 && k.sources[0] == keyring.Source{Kind: keyring.FromFile}
}

// place says for people where the keys are.
func (k kekSet) place() string {
	if k.inDataDir() {
		return k.file
	}
	var names []string
	for _, s := range k.sources {
		names = append(names, s.String())
	}
	return strings.Join(names, ", ")
}

// explain says what to do about KEKs that do not fit the database.
func (k kekSet) explain(err error) error {
	if _, ok := errors.AsType[*keyring.NoKEKError](err); ok && k.inDataDir() {
		return fmt.Errorf("%w: copy encryption-key from the data directory of the server that made the database, or from your backup, to %s; or name the place of the right key with %s", err, k.file, keyring.SourceSetting)
	} else if ok {
		return fmt.Errorf("%w: add the right one, or its place, to %s (now %s)", err, keyring.SourceSetting, k.place())
	}
	if retired, ok := errors.AsType[*keyring.RetiredKEKError](err); ok {
		return fmt.Errorf("%w: remove %s from %s, so that %s is first", err, keyring.Short(retired.Retired), k.place(), keyring.Short(retired.Current))
	}
	return err
}

// needKEKs makes sure that there are KEKs. For an empty database it makes the one
// in the data directory, if the settings name no other.
func (s *setup) needKEKs(ctx context.Context, rows []store.EncryptionKey) error {
	missing, mayBeMade := errors.AsType[*keyring.NoFileError](s.keks.err)
	needed := strings.Join(kekIDs(rows), ", ")
	switch {
	case s.keks.err == nil:
		return nil
	case mayBeMade && len(rows) > 0:
		return fmt.Errorf("the database is encrypted with the encryption key %s, and there is no encryption key here: copy encryption-key from the data directory of the server that made it, or from your backup, to %s; or say with %s where it is",
			needed, missing.File, keyring.SourceSetting)
	case len(rows) > 0:
		return fmt.Errorf("%w (the database is encrypted with the encryption key %s)", s.keks.err, needed)
	case !mayBeMade:
		return s.keks.err
	}
	kek, encoded, err := keyring.NewLocal()
	if err != nil {
		return err
	}
	if err := writeSecret(missing.File, encoded); err != nil {
		return fmt.Errorf("make an encryption key: %w", err)
	}
	s.keks.keks, s.keks.err = []keyring.KEK{kek}, nil
	s.log.WarnContext(ctx, "made a new encryption key: back it up, apart from the database. Without it the stored provider keys are lost", "file", missing.File, "id", kek.ID())
	return nil
}

// kekIDs returns what the data keys that are in use are wrapped by, for people.
func kekIDs(rows []store.EncryptionKey) []string {
	var ids []string
	for _, r := range rows {
		if id := keyring.Short(r.KEKID); r.Active() && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// noteKEKs says what is left to do about KEKs that open the database.
func (s *setup) noteKEKs(ctx context.Context, rows []store.EncryptionKey) {
	wraps, former := map[string]bool{}, map[string]bool{}
	for _, r := range rows {
		if r.Active() {
			wraps[r.KEKID] = true
		} else {
			former[r.KEKID] = true
		}
		for id := range r.FormerKEKs.All() {
			former[id] = true
		}
	}
	older := false
	for i, k := range s.keks.keks {
		id := k.ID()
		switch {
		case len(rows) == 0:
		case i == 0:
			older = !wraps[id] || len(wraps) > 1
		case wraps[id]:
		case former[id]:
			s.log.InfoContext(ctx, "an encryption key that was retired can be removed", "id", keyring.Short(id))
		default:
			s.log.InfoContext(ctx, "an encryption key that is not the first is not in use: the first wraps, so name a new one first", "id", keyring.Short(id))
		}
	}
	if older {
		s.log.WarnContext(ctx, "data keys are wrapped by an older encryption key: when every server has the new one, run gatehouse dbcrypt rotate --rewrap", "newest", keyring.Short(s.keks.keks[0].ID()))
	}
}
