package crash_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/gatehousehq/gatehouse/internal/accounts"
	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/catalog"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
)

// some returns a provider for which that holds.
func (w *world) some(ctx context.Context, is func(p store.Provider, keys int) bool) (found store.Provider, ok bool, err error) {
	err = w.View(ctx, dbgen.Owner, func(tx store.Tx) error {
		providers, err := tx.Providers.List(ctx, store.Query{IncludeDisabled: true, IncludeDeleted: true})
		if err != nil {
			return err
		}
		var fit []store.Provider
		for _, p := range providers {
			keys, err := tx.ProviderKeys.List(ctx, store.Query{ProviderID: p.ID})
			if err != nil {
				return err
			}
			if is(p, len(keys)) {
				fit = append(fit, p)
			}
		}
		if ok = len(fit) > 0; ok {
			found = fit[w.rng.IntN(len(fit))]
		}
		return nil
	})
	return found, ok, err
}

func live(p store.Provider, _ int) bool { return !p.Deleted }

func deleted(p store.Provider, _ int) bool { return p.Deleted }

func hasKeys(_ store.Provider, keys int) bool { return keys > 0 }

// takesKeys is for providers whose settings have no credentials of their own.
func takesKeys(p store.Provider, _ int) bool { return !p.Deleted && p.Type == store.TypeOpenAI }

// change makes a change to a provider for which that holds, or else adds one.
func (w *world) change(ctx context.Context, is func(store.Provider, int) bool, fn func(tx store.Tx, p store.Provider) error) error {
	p, ok, err := w.some(ctx, is)
	if err != nil {
		return err
	}
	if !ok {
		return createProvider(ctx, w)
	}
	return w.update(ctx, func(tx store.Tx) error { return fn(tx, p) })
}

// hold remembers the settings of a provider, "" for none, and what its keys are
// now: kept ones stay as they are, those that are not known yet are added in
// their order.
func (w *world) hold(ctx context.Context, tx store.Tx, providerID, settings string, had []store.ProviderKey, added ...secret.Text) error {
	for _, k := range had {
		if _, err := tx.ProviderKeys.Get(ctx, k.ID); errors.Is(err, store.ErrNotFound) {
			delete(w.held, k.ID)
		}
	}
	keys, err := tx.ProviderKeys.List(ctx, store.Query{ProviderID: providerID})
	if err != nil {
		return err
	}
	for _, k := range keys {
		if w.held[k.ID] == "" && len(added) > 0 {
			w.held[k.ID] = added[0].Reveal()
			added = added[1:]
		}
	}
	if len(added) > 0 {
		return errors.New("a key was added and is not there")
	}
	delete(w.held, providerID)
	if settings != "" {
		w.held[providerID] = settings
	}
	return nil
}

func (w *world) edit(ctx context.Context, tx store.Tx, p store.Provider, e catalog.ProviderEdit, settings string, added ...secret.Text) error {
	had, err := tx.ProviderKeys.List(ctx, store.Query{ProviderID: p.ID})
	if err != nil {
		return err
	}
	if _, err := (catalog.Rules{}).Update(ctx, tx, p.ID, catalog.AnyRevision, e); err != nil {
		return err
	}
	return w.hold(ctx, tx, p.ID, settings, had, added...)
}

func (w *world) openAISettings() string {
	return fmt.Sprintf(`{"_type":"openai","_version":1,"organization":%q}`, w.name("org"))
}

func (w *world) bedrockSettings(accessKey, accessKeySecret string) string {
	return fmt.Sprintf(`{"_type":"bedrock","_version":1,"region":"eu-central-1","model":%q,"access_key":%q,"access_key_secret":%q}`,
		w.name("model"), accessKey, accessKeySecret)
}

func createProvider(ctx context.Context, w *world) error {
	n := catalog.NewProvider{Type: "openai", Name: w.name("openai"), DisplayName: w.name("Display"), Enabled: true, BaseURL: "https://api.example.com/v1"}
	settings := ""
	if w.rng.IntN(2) == 0 {
		settings = w.openAISettings()
		n.Settings = []byte(settings)
	}
	for range w.rng.IntN(5) {
		n.APIKeys = append(n.APIKeys, w.newSecret())
	}
	return w.update(ctx, func(tx store.Tx) error {
		p, err := catalog.Rules{}.Create(ctx, tx, n)
		if err != nil {
			return err
		}
		return w.hold(ctx, tx, p.ID, settings, nil, n.APIKeys...)
	})
}

// seedProviders makes many providers in one transaction, as the seeder does.
func seedProviders(ctx context.Context, w *world) error {
	return w.update(ctx, func(tx store.Tx) error {
		for range 6 {
			n := catalog.NewProvider{Type: "openai", Name: w.name("seeded"), Enabled: true, BaseURL: "https://api.example.com/v1"}
			for range 4 {
				n.APIKeys = append(n.APIKeys, w.newSecret())
			}
			p, err := catalog.Rules{}.Create(ctx, tx, n)
			if err != nil {
				return err
			}
			if err := w.hold(ctx, tx, p.ID, "", nil, n.APIKeys...); err != nil {
				return err
			}
		}
		return nil
	})
}

func createBedrock(ctx context.Context, w *world) error {
	settings := w.bedrockSettings(w.name("AKIA"), w.newSecret().Reveal())
	n := catalog.NewProvider{Type: "anthropic", Name: w.name("bedrock"), Enabled: true, BaseURL: "https://bedrock.example.com", Settings: []byte(settings)}
	return w.update(ctx, func(tx store.Tx) error {
		p, err := catalog.Rules{}.Create(ctx, tx, n)
		if err != nil {
			return err
		}
		return w.hold(ctx, tx, p.ID, settings, nil)
	})
}

func renameProvider(ctx context.Context, w *world) error {
	return w.change(ctx, live, func(tx store.Tx, p store.Provider) error {
		return w.edit(ctx, tx, p, catalog.ProviderEdit{DisplayName: new(w.name("Renamed")), Enabled: new(!p.Enabled)}, w.held[p.ID])
	})
}

func moveWithinOrigin(ctx context.Context, w *world) error {
	return w.change(ctx, live, func(tx store.Tx, p store.Provider) error {
		return w.edit(ctx, tx, p, catalog.ProviderEdit{BaseURL: new(p.BaseURL + "/" + w.name("path"))}, w.held[p.ID])
	})
}

// moveToOtherOrigin gives all secrets again: they are sealed to the origin.
func moveToOtherOrigin(ctx context.Context, w *world) error {
	return w.change(ctx, takesKeys, func(tx store.Tx, p store.Provider) error {
		settings, key := w.openAISettings(), w.newSecret()
		return w.edit(ctx, tx, p, catalog.ProviderEdit{
			BaseURL:  new("https://" + w.name("host") + ".example.com/v1"),
			Settings: new([]byte(settings)), APIKeys: &[]catalog.KeepOrAdd{{APIKey: key}},
		}, settings, key)
	})
}

// editSettings gives new secret fields, or none, which keeps those that there
// are.
func editSettings(ctx context.Context, w *world) error {
	bedrock := func(p store.Provider, _ int) bool {
		return !p.Deleted && p.Type == store.TypeAnthropic && p.SettingsPublic != ""
	}
	return w.change(ctx, bedrock, func(tx store.Tx, p store.Provider) error {
		if w.rng.IntN(2) == 0 {
			settings := w.bedrockSettings(w.name("AKIA"), w.newSecret().Reveal())
			return w.edit(ctx, tx, p, catalog.ProviderEdit{Settings: new([]byte(settings))}, settings)
		}
		had, err := members(w.held[p.ID])
		if err != nil {
			return err
		}
		shown := maps.Clone(had)
		had["small_fast_model"] = w.name("small")
		shown["small_fast_model"] = had["small_fast_model"]
		delete(shown, "access_key")
		delete(shown, "access_key_secret")
		return w.edit(ctx, tx, p, catalog.ProviderEdit{Settings: new([]byte(document(shown)))}, document(had))
	})
}

func clearSettings(ctx context.Context, w *world) error {
	return w.change(ctx, takesKeys, func(tx store.Tx, p store.Provider) error {
		return w.edit(ctx, tx, p, catalog.ProviderEdit{Settings: new([]byte(nil))}, "")
	})
}

func addKey(ctx context.Context, w *world) error {
	return w.change(ctx, takesKeys, func(tx store.Tx, p store.Provider) error {
		key := w.newSecret()
		k, err := catalog.AddKey(ctx, tx, p.ID, catalog.AnyRevision, catalog.NewKey{APIKey: key, Label: w.name("label")})
		w.held[k.ID] = key.Reveal()
		return err
	})
}

// replaceKeys keeps every other key and adds two.
func replaceKeys(ctx context.Context, w *world) error {
	return w.change(ctx, hasKeys, func(tx store.Tx, p store.Provider) error {
		keys, err := tx.ProviderKeys.List(ctx, store.Query{ProviderID: p.ID})
		if err != nil {
			return err
		}
		first, second := w.newSecret(), w.newSecret()
		list := []catalog.KeepOrAdd{{APIKey: first}}
		for i, k := range keys {
			if i%2 == 0 {
				list = append(list, catalog.KeepOrAdd{ID: k.ID})
			}
		}
		list = append(list, catalog.KeepOrAdd{APIKey: second})
		return w.edit(ctx, tx, p, catalog.ProviderEdit{APIKeys: &list}, w.held[p.ID], first, second)
	})
}

func reorderKeys(ctx context.Context, w *world) error {
	several := func(_ store.Provider, keys int) bool { return keys > 1 }
	return w.change(ctx, several, func(tx store.Tx, p store.Provider) error {
		keys, err := tx.ProviderKeys.List(ctx, store.Query{ProviderID: p.ID})
		if err != nil {
			return err
		}
		slices.Reverse(keys)
		var list []catalog.KeepOrAdd
		for _, k := range keys {
			list = append(list, catalog.KeepOrAdd{ID: k.ID})
		}
		return w.edit(ctx, tx, p, catalog.ProviderEdit{APIKeys: &list}, w.held[p.ID])
	})
}

// withKey makes a change to the first key of some provider.
func (w *world) withKey(ctx context.Context, fn func(tx store.Tx, k store.ProviderKey) error) error {
	return w.change(ctx, hasKeys, func(tx store.Tx, p store.Provider) error {
		keys, err := tx.ProviderKeys.List(ctx, store.Query{ProviderID: p.ID})
		if err != nil {
			return err
		}
		return fn(tx, keys[0])
	})
}

func editKey(ctx context.Context, w *world) error {
	return w.withKey(ctx, func(tx store.Tx, k store.ProviderKey) error {
		_, err := catalog.UpdateKey(ctx, tx, k.ProviderID, k.ID, catalog.AnyRevision, catalog.KeyEdit{Label: new(w.name("label")), Disabled: new(!k.Disabled)})
		return err
	})
}

func removeKey(ctx context.Context, w *world) error {
	return w.withKey(ctx, func(tx store.Tx, k store.ProviderKey) error {
		delete(w.held, k.ID)
		return catalog.DeleteKey(ctx, tx, k.ProviderID, k.ID, catalog.AnyRevision)
	})
}

func deleteProvider(ctx context.Context, w *world) error {
	return w.change(ctx, live, func(tx store.Tx, p store.Provider) error {
		keys, err := tx.ProviderKeys.List(ctx, store.Query{ProviderID: p.ID})
		if err != nil {
			return err
		}
		if err := catalog.Delete(ctx, tx, p.ID, catalog.AnyRevision); err != nil {
			return err
		}
		return w.hold(ctx, tx, p.ID, "", keys)
	})
}

func restoreProvider(ctx context.Context, w *world) error {
	return w.change(ctx, deleted, func(tx store.Tx, p store.Provider) error {
		_, err := catalog.Restore(ctx, tx, p.ID, catalog.AnyRevision)
		return err
	})
}

func purgeProvider(ctx context.Context, w *world) error {
	return w.change(ctx, deleted, func(tx store.Tx, p store.Provider) error {
		return catalog.Purge(ctx, tx, p.ID, catalog.AnyRevision)
	})
}

func mintToken(ctx context.Context, w *world) error {
	return w.update(ctx, func(tx store.Tx) error {
		_, _, err := authn.Mint(ctx, tx, dbgen.Owner.ID, w.now(), authn.NewToken{Name: w.name("token"), Scopes: []string{string(rbac.ScopeAll)}})
		return err
	})
}

func revokeToken(ctx context.Context, w *world) error {
	var tokens []store.APIKey
	err := w.View(ctx, dbgen.Owner, func(tx store.Tx) (err error) {
		tokens, err = tx.APIKeys.List(ctx, store.Query{})
		return err
	})
	if err != nil || len(tokens) == 0 {
		return errors.Join(err, mintToken(ctx, w))
	}
	return w.update(ctx, func(tx store.Tx) error {
		_, err := tx.APIKeys.Delete(ctx, tokens[0].ID)
		return err
	})
}

func createUser(ctx context.Context, w *world) error {
	return w.update(ctx, func(tx store.Tx) error {
		_, err := accounts.CreateUser(ctx, tx, w.name("user"), []string{string(rbac.Member)})
		return err
	})
}

func editUser(ctx context.Context, w *world) error {
	return w.update(ctx, func(tx store.Tx) error {
		_, err := accounts.UpdateUser(ctx, tx, dbgen.Owner.ID, accounts.UserEdit{Name: new(w.name("ada"))})
		return err
	})
}

func createRole(ctx context.Context, w *world) error {
	return w.update(ctx, func(tx store.Tx) error {
		_, err := accounts.CreateRole(ctx, tx, w.name("role"), "reads providers", []string{"ai_provider:read"})
		return err
	})
}

// observe adds audit entries of what is no change.
func observe(ctx context.Context, w *world) error {
	var entries []store.AuditEntry
	for range 1 + w.rng.IntN(8) {
		entries = append(entries, store.AuditEntry{
			At: w.now(), ActorKind: store.ActorAnonymous, Action: rbac.Read, Resource: rbac.AIProvider, Target: w.name("target"), Count: 1, Diff: "{}",
		})
	}
	return w.Update(ctx, authn.Recorder, func(tx store.Tx) error { return tx.Audit.Observe(ctx, entries) })
}

// pruneAudit removes a few of the oldest audit entries, as retention does.
func pruneAudit(ctx context.Context, w *world) error {
	return w.Update(ctx, authn.Archivist, func(tx store.Tx) error {
		_, _, err := tx.Audit.Prune(ctx, w.at, 3)
		return err
	})
}

// checkpoint copies the WAL into the database, as SQLite does by itself once the
// WAL is of 1,000 pages.
func checkpoint(mode string) step {
	return func(ctx context.Context, w *world) error { return w.raw(ctx, "PRAGMA wal_checkpoint("+mode+")") }
}

// restart closes the store, which removes the WAL, and opens it again.
func restart(ctx context.Context, w *world) error {
	if err := w.close(); err != nil {
		return err
	}
	return w.open(ctx)
}
