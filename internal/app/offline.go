package app

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/config"
	"github.com/gatehousehq/gatehouse/internal/datadir"
	"github.com/gatehousehq/gatehouse/internal/keyring"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
)

// An offline is a store that a command works on by itself. It has no keys until
// it is told to read those that the server would have.
type offline struct {
	db      *store.DB
	backend *sqlstore.Backend
	keks    kekSet
	ring    *keyring.Ring
	now     func() time.Time
	release func() error // nil: the directory was not claimed
}

// openOffline claims the data directory and opens the database in it. With SQLite
// no server may run; with PostgreSQL one may.
func openOffline(ctx context.Context, cfg config.Config, now func() time.Time) (o *offline, err error) {
	if err := checkOwnDirectory(cfg.DataDir); err != nil {
		return nil, err
	}
	o = &offline{now: now}
	defer func() {
		if err != nil {
			err = errors.Join(err, o.close())
		}
	}()
	o.release, err = claim(cfg.DataDir)
	inUse, isInUse := errors.AsType[*inUseError](err)
	switch {
	case isInUse && cfg.DatabaseURL.IsZero():
		return o, fmt.Errorf("a gatehouse server (process %s) uses the data directory %s: stop it, and run this again", inUse.holder, inUse.dir)
	case err != nil && !isInUse:
		return o, err
	}
	sc := sqlstore.Config{URL: cfg.DatabaseURL, Now: now}
	if cfg.DatabaseURL.IsZero() {
		sc.Path = filepath.Join(cfg.DataDir, datadir.Database)
	}
	if o.backend, err = sqlstore.Inspect(ctx, sc); err != nil {
		return o, err
	}
	o.useKEKs(nil)
	return o, nil
}

// readKEKs reads the KEKs that the settings name. Whether that worked is seen when
// they are needed.
func (o *offline) readKEKs(ctx context.Context, cfg config.Config) {
	o.keks = readKEKs(ctx, cfg)
	o.useKEKs(o.keks.keks)
}

func (o *offline) useKEKs(keks []keyring.KEK) {
	o.ring = keyring.NewRing(o.backend.Installation(), keks)
	o.db = layered(o.backend, o.ring, o.now, nil)
}

// confirm refuses unless somebody named the installation.
func (o *offline) confirm(installation string) error {
	own := o.backend.Installation()
	switch installation {
	case own:
		return nil
	case "":
		return fmt.Errorf("to be sure, name the installation: --installation %s", own)
	}
	return fmt.Errorf("this is another installation, whose name is %s", own)
}

// load loads every data key that is in use.
func (o *offline) load(ctx context.Context) error {
	if o.keks.err != nil {
		return o.keks.err
	}
	return o.keks.explain(o.ring.Reload(ctx, o.db, authn.Keyholder))
}

func (o *offline) close() error {
	var errs []error
	if o.backend != nil {
		errs = append(errs, o.backend.Close())
	}
	if o.release != nil {
		errs = append(errs, o.release())
	}
	return errors.Join(errs...)
}
