package crash_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/gatehousehq/gatehouse/internal/auditlog"
	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/datadir"
	"github.com/gatehousehq/gatehouse/internal/keyring"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbaudit"
	"github.com/gatehousehq/gatehouse/internal/store/dbauthz"
	"github.com/gatehousehq/gatehouse/internal/store/dbcrypt"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
)

// A house is an open store, put together as package app does.
type house struct {
	*store.DB
	backend *sqlstore.Backend
	ring    *keyring.Ring
	fresh   bool // it was set up just now
}

// openHouse opens the store below dir, and sets it up if nobody has yet.
// committed, if not nil, is called when a change is committed and before whoever
// made it hears of that.
func openHouse(ctx context.Context, dir string, kek keyring.KEK, now func() time.Time, committed func(*sqlstore.Backend) error) (*house, error) {
	b, err := sqlstore.Open(ctx, sqlstore.Config{Path: filepath.Join(dir, datadir.Database), Now: now})
	if err != nil {
		return nil, err
	}
	h := &house{backend: b}
	backend := store.Backend(b)
	if committed != nil {
		backend = notifying{b, committed}
	}
	layered := func(keys dbcrypt.Keys) *store.DB {
		return store.New(backend, dbcrypt.Layer(keys, b.Installation()), dbaudit.Layer(now, nil), dbauthz.Layer)
	}
	h.ring = keyring.NewRing(b.Installation(), []keyring.KEK{kek})
	h.DB = layered(h.ring)
	if err = h.setUp(ctx, layered(&keyring.Ring{}), now); err == nil {
		err = h.ring.Reload(ctx, h.DB, authn.Keyholder)
	}
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	h.OnKeysChanged(func(ctx context.Context) error { return h.ring.Reload(ctx, h.DB, authn.Keyholder) })
	return h, nil
}

// setUp makes the data keys and the owner of a store that has none.
func (h *house) setUp(ctx context.Context, bare *store.DB, now func() time.Time) error {
	var rows []store.EncryptionKey
	err := bare.View(ctx, authn.Bootstrap, func(tx store.Tx) (err error) {
		rows, err = tx.EncryptionKeys.List(ctx, store.Query{})
		return err
	})
	if err != nil || len(rows) > 0 {
		return err
	}
	h.fresh = true
	var keys []store.EncryptionKey
	for _, purpose := range store.KeyPurposes() {
		k, err := h.ring.Generate(ctx, purpose)
		if err != nil {
			return err
		}
		k.PromotedAt = now()
		keys = append(keys, k)
	}
	return bare.Update(ctx, authn.Bootstrap, func(tx store.Tx) error {
		for _, k := range keys {
			if _, err := tx.EncryptionKeys.Insert(ctx, k); err != nil {
				return err
			}
		}
		_, err := tx.Users.Insert(ctx, store.User{ID: dbgen.Owner.ID, Name: dbgen.Owner.Name, Roles: store.SetOf("owner")})
		return err
	})
}

// notifying is a backend that tells of each commit.
type notifying struct {
	next      *sqlstore.Backend
	committed func(*sqlstore.Backend) error
}

func (n notifying) View(ctx context.Context, fn func(store.Tx) error) error {
	return n.next.View(ctx, fn)
}

func (n notifying) Update(ctx context.Context, fn func(store.Tx) error) (int64, error) {
	generation, err := n.next.Update(ctx, fn)
	if err == nil {
		err = n.committed(n.next)
	}
	return generation, err
}

// An image is what the store holds after a change.
type image struct {
	rows string
	log  auditlog.Checkpoint // of the whole audit log
	// held are the secrets that it must be possible to open, by the id of their
	// record. They are what the workload wrote, not what was read back.
	held map[string]string
}

// imageOf returns what the store holds, as far as it can be read without keys:
// every row of every table but the audit log, with sealed secrets as they are
// sealed, and what the audit log is.
func imageOf(ctx context.Context, b *sqlstore.Backend) (img image, err error) {
	err = b.View(ctx, func(tx store.Tx) error {
		var out strings.Builder
		q := store.Query{Scope: store.Scope{All: true}, IncludeDisabled: true, IncludeDeleted: true}
		// By reflection, so that no table is left out that comes later.
		tables := reflect.ValueOf(tx)
		for i := range tables.NumField() {
			if _, isTable := tables.Field(i).Type().MethodByName("Insert"); !isTable {
				continue
			}
			result := tables.Field(i).MethodByName("List").Call([]reflect.Value{reflect.ValueOf(ctx), reflect.ValueOf(q)})
			if err, failed := result[1].Interface().(error); failed {
				return err
			}
			for i := range result[0].Len() {
				rec := result[0].Index(i)
				fmt.Fprintf(&out, "%T%+v", rec.Interface(), rec.Interface())
				if sealed, ok := rec.Addr().Interface().(store.Sealed); ok {
					for _, s := range sealed.Sealings() {
						fmt.Fprintf(&out, " %s %x", s.Column, sha256.Sum256(s.Value.Sealed()))
					}
				}
				out.WriteByte('\n')
			}
		}
		generation, err := tx.Changes.Generation(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintf(&out, "generation %d\n", generation)
		img.rows = out.String()
		row, err := tx.Audit.Head(ctx)
		if err != nil {
			return err
		}
		head, err := auditlog.ParseHead(row.Size, row.Edge)
		img.log = auditlog.Checkpoint{Origin: auditlog.Origin(b.Installation()), Size: head.Size, Root: head.Root()}
		return err
	})
	return img, err
}

// A world is a house that things happen in, and what must be true of it.
type world struct {
	*house
	dir string
	kek keyring.KEK
	rng *rand.Rand
	rec *recorder
	at  time.Time
	// held is what the workload knows to be stored: see [image]. A step changes
	// it within the transaction that changes the store.
	held   map[string]string
	images []image // by what was acknowledged
	serial int     // of names
}

// now is a clock that moves with each look at it.
func (w *world) now() time.Time {
	w.at = w.at.Add(time.Second)
	return w.at
}

func (w *world) open(ctx context.Context) (err error) {
	w.house, err = openHouse(ctx, w.dir, w.kek, w.now, func(b *sqlstore.Backend) error {
		w.rec.note(op{kind: opAck})
		img, err := imageOf(ctx, b)
		if err != nil {
			return err
		}
		if n := len(w.images); n > 0 && img.rows != w.images[n-1].rows && img.log.Size == w.images[n-1].log.Size {
			return errors.New("a change without an audit entry")
		}
		img.held = maps.Clone(w.held)
		w.images = append(w.images, img)
		return nil
	})
	return err
}

// close closes the house, if it is open.
func (w *world) close() error {
	if w.house == nil {
		return nil
	}
	defer func() { w.house = nil }()
	return w.backend.Close()
}

// update makes a change as the owner.
func (w *world) update(ctx context.Context, fn func(store.Tx) error) error {
	return w.Update(ctx, dbgen.Owner, fn)
}

// name returns a name that was not used yet.
func (w *world) name(of string) string {
	w.serial++
	return fmt.Sprintf("%s-%d", of, w.serial)
}

// newSecret returns a key of a random length, so that rows differ in size.
func (w *world) newSecret() secret.Text {
	w.serial++
	return secret.New(fmt.Sprintf("sk-%d-%s", w.serial, strings.Repeat("x", w.rng.IntN(200))))
}

// raw runs a statement on a connection of its own, behind the store's back.
func (w *world) raw(ctx context.Context, statement string) (err error) {
	db, err := sql.Open("sqlite", filepath.Join(w.dir, datadir.Database)+"?_pragma=synchronous(FULL)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(ctx, statement)
	return err
}
