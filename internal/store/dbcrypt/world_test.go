package dbcrypt_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbaudit"
	"github.com/gatehousehq/gatehouse/internal/store/dbauthz"
	"github.com/gatehousehq/gatehouse/internal/store/dbcrypt"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

// A world is a database of some installation, at some time. In all of them the
// rows have the same ids and the data keys are the same, so that two worlds
// differ in what is said here and in nothing else.
type world struct {
	installation string
	baseURL      string // of every provider
	// turned is whether the keys of each provider stand at the next one, and the
	// settings show something else.
	turned bool
}

// A world has so many providers with settings, each with so many keys, each at
// so many revisions.
const (
	providersOfWorld = 3
	keysOfProvider   = 4
	revisions        = 3
	cellsOfWorld     = providersOfWorld * (1 + keysOfProvider) * revisions
)

// allWorlds returns every world; the second, third and fourth differ from the
// first in one thing each.
func allWorlds() (all []world) {
	installations := []string{"0190a5a0-0000-7000-8000-0000000000a1", "0190a5a0-0000-7000-8000-0000000000a2", "0190a5a0-0000-7000-8000-0000000000a3"}
	baseURLs := []string{"https://vendor.example/v1", "https://vendor.example:444/v1", "http://vendor.example:443/v1", "https://other.example/v1"}
	all = []world{
		{installations[0], baseURLs[0], false},
		{installations[1], baseURLs[0], false},
		{installations[0], baseURLs[1], false},
		{installations[0], baseURLs[0], true},
	}
	for i, installation := range installations {
		for j, baseURL := range baseURLs {
			for _, turned := range []bool{false, true} {
				if differ := min(i, 1) + min(j, 1); differ > 1 || i > 1 || j > 1 || turned && differ > 0 {
					all = append(all, world{installation, baseURL, turned})
				}
			}
		}
	}
	return all
}

func providerID(n int) string { return fmt.Sprintf("0190a5a0-0000-7000-8000-0000000001%02d", n) }

func keyID(provider, n int) string {
	return fmt.Sprintf("0190a5a0-0000-7000-8000-00000002%02d%02d", provider, n)
}

// turning is two data keys, of which one after the other is primary: a change of
// the data key without a rotation.
type turning struct {
	now   int
	epoch int64
}

func (k *turning) Current() dbcrypt.KeySet {
	set := dbcrypt.KeySet{Epoch: k.epoch, Primary: sharedKey(k.now), Fingerprinting: sharedKey(2), ByDigest: map[string]dbcrypt.DataKey{}}
	for n := range 2 {
		set.ByDigest[sharedKey(n).Digest] = sharedKey(n)
	}
	return set
}

func sharedKey(n int) dbcrypt.DataKey {
	return dbcrypt.DataKey{Digest: strings.Repeat(fmt.Sprintf("%02x", 0xa0+n), 32), Secret: secret.New(strings.Repeat(string(rune('k'+n)), 32))}
}

// make makes the world, through all layers, and returns its cells.
func (w world) make(t *testing.T) (spots []spot) {
	t.Helper()
	ctx := t.Context()
	s := storetest.Open(t, sqlstore.Config{Path: filepath.Join(t.TempDir(), "gatehouse.db")})
	keys := &turning{}
	db := store.New(s.Backend, dbcrypt.Layer(keys, w.installation), dbaudit.Layer(time.Now, nil), dbauthz.Layer)
	do := func(who store.Actor, fn func(tx store.Tx) error) {
		t.Helper()
		if err := db.Update(ctx, who, fn); err != nil {
			t.Fatal(err)
		}
	}
	do(authn.Bootstrap, func(tx store.Tx) error {
		for n := range 2 {
			// The cells name them; nobody unwraps them here.
			k := store.EncryptionKey{ActiveDigest: sharedKey(n).Digest, Purpose: store.ForSealing, KEKID: "none", WrappedKey: "none", CheckValue: "none"}
			if _, err := tx.EncryptionKeys.Insert(ctx, k); err != nil {
				return err
			}
		}
		var err error
		keys.epoch, err = tx.Changes.KeyEpoch(ctx)
		return err
	})
	plain := map[string]string{} // by row
	for revision := range revisions {
		keys.now = revision % 2
		do(dbgen.Owner, func(tx store.Tx) error { return w.write(ctx, tx, revision, plain) })
		err := db.View(ctx, authn.Compiler, func(tx store.Tx) error {
			return w.read(ctx, tx, func(what string, rec store.Sealed) error {
				binding, err := rec.Binding(ctx, tx)
				spots = append(spots, spot{
					what: fmt.Sprintf("%s, revision %d, of %+v", what, revision+1, w), installation: w.installation, keys: keys,
					sealing: rec.Sealings()[0], rowID: rec.Ref().ID, binding: binding, plain: plain[rec.Ref().ID],
				})
				return err
			})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return spots
}

// write gives every row a secret: it makes the row at revision 0.
func (w world) write(ctx context.Context, tx store.Tx, revision int, plain map[string]string) error {
	for n := range providersOfWorld {
		id := providerID(n)
		plain[id] = fmt.Sprintf(`{"shown":%v,"hidden":%q}`, w.turned, rand.Text())
		public, err := json.Marshal(map[string]bool{"shown": w.turned})
		if err != nil {
			return err
		}
		settings := func(p *store.Provider) error {
			p.Settings, p.SettingsPublic = secret.New(plain[id]), string(public)
			return nil
		}
		if revision > 0 {
			if _, err := tx.Providers.Update(ctx, id, settings); err != nil {
				return err
			}
			continue
		}
		p := store.Provider{ID: id, Type: store.TypeOpenAI, Name: fmt.Sprintf("p-%d", n), BaseURL: w.baseURL, Strategy: store.InOrder, Enabled: true}
		if err := settings(&p); err != nil {
			return err
		}
		if _, err := tx.Providers.Insert(ctx, p); err != nil {
			return err
		}
	}
	for n := range providersOfWorld {
		at := n
		if w.turned {
			at = (n + 1) % providersOfWorld
		}
		for i := range keysOfProvider {
			id := keyID(n, i)
			plain[id] = "sk-" + rand.Text()
			var err error
			if revision == 0 {
				_, err = tx.ProviderKeys.Insert(ctx, store.ProviderKey{ID: id, ProviderID: providerID(at), APIKey: secret.New(plain[id]), Position: int64(i + 1)})
			} else {
				_, err = tx.ProviderKeys.Update(ctx, id, func(k *store.ProviderKey) error { k.APIKey = secret.New(plain[id]); return nil })
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// read calls fn with a copy of every record.
func (w world) read(ctx context.Context, tx store.Tx, fn func(what string, rec store.Sealed) error) error {
	for n := range providersOfWorld {
		p, err := tx.Providers.Get(ctx, providerID(n))
		if err != nil {
			return err
		}
		if err := fn(fmt.Sprintf("settings %d", n), &p); err != nil {
			return err
		}
		for i := range keysOfProvider {
			k, err := tx.ProviderKeys.Get(ctx, keyID(n, i))
			if err != nil {
				return err
			}
			if err := fn(fmt.Sprintf("key %d of %d", i, n), &k); err != nil {
				return err
			}
		}
	}
	return nil
}

// beyond returns spots that no record has, each like one of spots but for one
// component: today's two columns have different names, so that without the
// table's the column's would do; and no data key has two names.
func beyond(t *testing.T, spots []spot) []spot {
	t.Helper()
	var key, settings spot
	for _, s := range spots {
		switch s.rowID {
		case keyID(0, 0):
			key = s
		case providerID(0):
			settings = s
		}
	}
	if key.keys == nil || settings.keys == nil {
		t.Fatal("there is no key or no settings")
	}
	table, column, alias, bare := key, key, key, settings
	table.what, table.sealing.Table = "another table", "ai_providers"
	column.what, column.sealing.Column = "another column", "settings"
	bare.what, bare.sealing.Public = "settings of which nothing is shown", nil
	// The header of a cell has half the digest. This is another one with the same
	// half, and the same key.
	named := key.keys.Current().ByDigest[*key.sealing.KeyID]
	named.Digest = named.Digest[:32] + strings.Repeat("0", 32)
	alias.what, alias.keys, alias.sealing.KeyID = "the same key by another name", oneKey{named}, &named.Digest
	return []spot{table, column, alias, bare}
}

// oneKey is a key ring with one key in it.
type oneKey struct{ dbcrypt.DataKey }

func (k oneKey) Current() dbcrypt.KeySet {
	return dbcrypt.KeySet{Primary: k.DataKey, Fingerprinting: k.DataKey, ByDigest: map[string]dbcrypt.DataKey{k.Digest: k.DataKey}}
}
