package console_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/catalog"
	"github.com/gatehousehq/gatehouse/internal/datadir"
	"github.com/gatehousehq/gatehouse/internal/keyring"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbaudit"
	"github.com/gatehousehq/gatehouse/internal/store/dbauthz"
	"github.com/gatehousehq/gatehouse/internal/store/dbcrypt"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
	"github.com/gatehousehq/gatehouse/test/clients/realserver"
)

// Amounts are how much of each thing there is in an installation with many.
type amounts struct{ Providers, KeysEach, Entries, Requests, Others int }

var (
	some = amounts{Providers: 500, KeysEach: 2, Entries: 10_000, Requests: 10_000, Others: 500}
	many = amounts{Providers: 10_000, KeysEach: 10, Entries: 1_000_000, Requests: 10_000, Others: 10_000}
)

// driveMany runs the script of an installation that has much.
func driveMany(t *testing.T, w *world, n amounts) {
	// The server makes its keys and its owner, and is away while it is filled.
	w.dir = t.TempDir()
	srv, err := realserver.Start(t.Context(), realserver.Config{Binary: w.bin, Dir: w.dir, DatabaseURL: w.databaseURL})
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Stop(); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	fill(t, w, n)
	t.Logf("filled with %+v in %v", n, time.Since(begun).Round(time.Millisecond))
	start(t, w).run(t, "many", map[string]any{"amounts": n})
}

// fill puts much into the database of a server that is away.
func fill(t *testing.T, w *world, n amounts) {
	t.Helper()
	ctx, data := t.Context(), filepath.Join(w.dir, "data")
	cfg := sqlstore.Config{URL: secret.New(w.databaseURL)}
	if w.databaseURL == "" {
		cfg = sqlstore.Config{Path: filepath.Join(data, datadir.Database)}
	}
	b, err := sqlstore.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	encoded, err := os.ReadFile(filepath.Join(data, datadir.EncryptionKey))
	if err != nil {
		t.Fatal(err)
	}
	kek, err := keyring.ParseLocal(encoded)
	if err != nil {
		t.Fatal(err)
	}
	ring := keyring.NewRing(b.Installation(), []keyring.KEK{kek})
	audited := store.New(b, dbcrypt.Layer(ring, b.Installation()), dbaudit.Layer(time.Now, nil), dbauthz.Layer)
	if err := ring.Reload(ctx, audited, authn.Keyholder); err != nil {
		t.Fatal(err)
	}
	// Without its audit log the filling takes a third of the time: it is filled by itself.
	db := store.New(b, dbcrypt.Layer(ring, b.Installation()), func(_ store.Actor, tx store.Tx) store.Tx { return tx }, dbauthz.Layer)
	batches := func(who store.Actor, count, size int, batch func(tx store.Tx, from, to int) error) {
		t.Helper()
		for from := 0; from < count; from += size {
			if err := db.Update(ctx, who, func(tx store.Tx) error { return batch(tx, from, min(from+size, count)) }); err != nil {
				t.Fatal(err)
			}
		}
	}
	each := func(insert func(ctx context.Context, tx store.Tx, i int) error) func(store.Tx, int, int) error {
		return func(tx store.Tx, from, to int) error {
			for i := from; i < to; i++ {
				if err := insert(ctx, tx, i); err != nil {
					return err
				}
			}
			return nil
		}
	}
	batches(dbgen.Owner, n.Providers, 500, each(func(ctx context.Context, tx store.Tx, i int) error {
		p := catalog.NewProvider{Type: "openai", Name: named("provider", i), Enabled: true, BaseURL: "http://127.0.0.1:1/v1"}
		for k := range n.KeysEach {
			p.APIKeys = append(p.APIKeys, secret.New(fmt.Sprintf("sk-many-%s-%d", dbgen.ID(), k)))
		}
		_, err := (catalog.Rules{}).Create(ctx, tx, p)
		return err
	}))
	var owner store.User
	batches(dbgen.Owner, n.Others, 1000, each(func(ctx context.Context, tx store.Tx, i int) (err error) {
		u := store.User{ID: dbgen.ID(), Name: named("user", i), Roles: store.SetOf(string(rbac.Member))}
		if u, err = tx.Users.Insert(ctx, u); err != nil {
			return err
		}
		if i == 0 {
			owner = u
		}
		_, _, err = authn.Mint(ctx, tx, u.ID, time.Now(), authn.NewToken{Name: named("token", i), Scopes: []string{"gateway:use"}})
		return err
	}))
	hour := time.Now().Add(-time.Hour)
	batches(authn.Recorder, n.Requests, 1000, func(tx store.Tx, from, to int) error {
		var all []store.Interception
		for i := from; i < to; i++ {
			all = append(all, store.Interception{
				ID: dbgen.ID(), At: hour.Add(time.Duration(i) * time.Millisecond * 100), TokenID: dbgen.ID(), TokenName: named("token", i%100), OwnerID: owner.ID,
				Provider: named("provider", i%n.Providers), Model: named("model", i%1000), Endpoint: "chat_completions", Path: "/chat/completions", Status: 200 + i%2*229, Outcome: store.Complete,
				FirstByte: 120 * time.Millisecond, Duration: time.Second,
			})
		}
		return tx.Interceptions.Record(ctx, all)
	})
	batches(authn.Recorder, n.Entries, 5000, func(tx store.Tx, from, to int) error {
		var all []store.AuditEntry
		for i := from; i < to; i++ {
			e := store.AuditEntry{
				At: hour.Add(time.Duration(i) * time.Millisecond), ActorKind: store.ActorUser, ActorID: named("user", i%50), ActorName: named("user", i%50), TokenName: "laptop",
				Action: rbac.Update, Resource: rbac.AIProvider, ID: dbgen.ID(), Target: named("provider", i%n.Providers), Count: 1,
				Origin: store.Origin{RequestID: dbgen.ID(), Address: "192.0.2.1"}, Diff: `{"enabled":{"old":true,"new":false}}`,
			}
			if i == n.Entries/3 {
				e.ActorName, e.Action = "rare-person", rbac.Delete
			}
			all = append(all, e)
		}
		return tx.Audit.Observe(ctx, all)
	})
}

// named is the name of the i-th of a kind, in the order of numbers.
func named(kind string, i int) string { return fmt.Sprintf("%s-%06d", kind, i) }
