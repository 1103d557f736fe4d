package dbaudit_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbauthz"
	"github.com/gatehousehq/gatehouse/internal/store/dbcrypt"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

func TestEveryChangeIsWrittenDown(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		ctx := t.Context()
		start := len(s.Audit(t))
		p := dbgen.Provider(t, s.DB, store.Provider{Name: "vendor"})
		k := dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: p.ID, APIKey: secret.New("sk-canary-0123456789-abcdef")})
		err := s.Update(ctx, dbgen.Owner, func(tx store.Tx) error {
			if _, err := tx.Providers.Update(ctx, p.ID, func(p *store.Provider) error { p.Enabled = false; return nil }); err != nil {
				return err
			}
			if _, err := tx.ProviderKeys.Update(ctx, k.ID, func(k *store.ProviderKey) error { k.APIKey = secret.New("sk-canary-9876543210-abcdef"); return nil }); err != nil {
				return err
			}
			if _, err := tx.ProviderKeys.Delete(ctx, k.ID); err != nil {
				return err
			}
			_, err := tx.Providers.Delete(ctx, p.ID)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		prints := map[string]string{} // random, as the key they are made with
		for _, e := range s.Audit(t)[start:] {
			diff := regexp.MustCompile(`"[0-9a-f]{64}"`).ReplaceAllStringFunc(e.Diff, func(f string) string {
				if prints[f] == "" {
					prints[f] = fmt.Sprintf(`"F%d"`, len(prints)+1)
				}
				return prints[f]
			})
			got = append(got, fmt.Sprintf("%s %s %s %s", e.Action, e.Resource, e.Target, diff))
			if e.ActorKind != store.ActorUser || e.ActorID != dbgen.Owner.ID || e.TokenName != "test token" || e.Origin != dbgen.Owner.Origin || time.Since(e.At) > time.Minute {
				t.Errorf("entry %d: %+v", e.Index, e)
			}
			if e.Resource == rbac.AIProvider && e.ID != p.ID || e.Resource == rbac.AIProviderKey && e.ID != k.ID {
				t.Errorf("entry %d is about %s", e.Index, e.ID)
			}
			if strings.Contains(e.Diff, "canary") || !json.Valid([]byte(e.Diff)) {
				t.Errorf("entry %d: the diff shows a secret or is not JSON", e.Index)
			}
		}
		want := []string{
			`create ai_provider vendor {"type":{"new":"openai"},"name":{"new":"vendor"},"display_name":{"new":"vendor"},"enabled":{"new":true},"base_url":{"new":"http://127.0.0.1:1/v1"},"strategy":{"new":"in_order"}}`,
			`create ai_provider_key ` + p.ID + ` {"provider_id":{"new":"` + p.ID + `"},"api_key":{"secret":true},"position":{"new":1},"weight":{"new":1},"hint":{"new":"sk-…cdef"},"fingerprint":{"new":"F1"},"secret_revision":{"new":1}}`,
			`update ai_provider vendor {"enabled":{"old":true,"new":false}}`,
			`update ai_provider_key ` + p.ID + ` {"api_key":{"secret":true},"fingerprint":{"old":"F1","new":"F2"},"secret_revision":{"old":1,"new":2}}`,
			`delete ai_provider_key ` + p.ID + ` {"provider_id":{"old":"` + p.ID + `"},"api_key":{"secret":true},"position":{"old":1},"weight":{"old":1},"hint":{"old":"sk-…cdef"},"fingerprint":{"old":"F2"},"secret_revision":{"old":2}}`,
			`delete ai_provider vendor {"type":{"old":"openai"},"name":{"old":"vendor"},"display_name":{"old":"vendor"},"base_url":{"old":"http://127.0.0.1:1/v1"},"strategy":{"old":"in_order"}}`,
		}
		if d := cmp.Diff(got, want); d != "" {
			t.Error(d)
		}
	})
}

func TestRestoreAndPurgeAreSaidToBe(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		ctx := t.Context()
		p := dbgen.Provider(t, s.DB, store.Provider{Name: "vendor"})
		start := len(s.Audit(t))
		remove := func(tx store.Tx) error { _, err := tx.Providers.Delete(ctx, p.ID); return err }
		restore := func(tx store.Tx) error {
			_, err := tx.Providers.Update(ctx, p.ID, func(p *store.Provider) error { p.Deleted = false; return nil })
			return err
		}
		for _, step := range []func(store.Tx) error{remove, restore, remove, remove} {
			if err := s.Update(ctx, dbgen.Owner, step); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		for _, e := range s.Audit(t)[start:] {
			got = append(got, string(e.Action))
			if shown := strings.Contains(e.Diff, `"deleted":{"old":true`); shown != (e.Action == rbac.Restore || e.Action == rbac.Purge) {
				t.Errorf("%s has the diff %s", e.Action, e.Diff)
			}
		}
		if d := cmp.Diff(got, []string{"delete", "restore", "delete", "purge"}); d != "" {
			t.Error(d)
		}
	})
}

// What is shown of a document cannot be told from what is not, if it is not one:
// that is an error, and the change is not made.
func TestADocumentThatCannotBeShownIsAnError(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		for public, right := range map[string]bool{`{"a":1}`: true, `["canary"]`: false, `canary`: false, `{"_secrets":"canary"}`: false} {
			err := s.Update(t.Context(), dbgen.Owner, func(tx store.Tx) error {
				_, err := tx.Providers.Insert(t.Context(), store.Provider{
					ID: dbgen.ID(), Type: store.TypeOpenAI, Name: "x", BaseURL: "http://h", Settings: secret.New("canary"), SettingsPublic: public, Strategy: store.InOrder,
				})
				return err
			})
			if (err == nil) != right || err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("%s: %v", public, err)
			}
		}
	})
}

// TestAnAlteredDocumentCanBeClearedAndReplaced covers a database that somebody
// wrote to: what is shown of a document is none, or another's. It can be put right,
// and the entry says that the document was cleared, whatever was shown of it.
func TestAnAlteredDocumentCanBeClearedAndReplaced(t *testing.T) {
	t.Parallel()
	const shown = `{"_type":"openai","model":"m"}`
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		for public, want := range map[string]struct{ cleared, replaced, deleted string }{
			shown: {
				`{"settings":{"cleared":true},"settings._type":{"old":"openai"},"settings.model":{"old":"m"},"secret_revision":{"old":1,"new":2}}`,
				`{"secret_revision":{"old":1,"new":2}}`,
				`"settings._type":{"old":"openai"}`,
			},
			`{}`: {
				`{"settings":{"cleared":true},"secret_revision":{"old":1,"new":2}}`,
				`{"settings._type":{"new":"openai"},"settings.model":{"new":"m"},"secret_revision":{"old":1,"new":2}}`,
				`"secret_revision":{"old":1}`,
			},
			`canary`: {
				`{"settings":{"cleared":true,"unreadable":true},"secret_revision":{"old":1,"new":2}}`,
				`{"settings":{"unreadable":true},"settings._type":{"new":"openai"},"settings.model":{"new":"m"},"secret_revision":{"old":1,"new":2}}`,
				`"settings":{"unreadable":true}`,
			},
			`["canary"]`: {
				`{"settings":{"cleared":true,"unreadable":true},"secret_revision":{"old":1,"new":2}}`,
				`{"settings":{"unreadable":true},"settings._type":{"new":"openai"},"settings.model":{"new":"m"},"secret_revision":{"old":1,"new":2}}`,
				`"settings":{"unreadable":true}`,
			},
		} {
			// entry returns the diff of what is done to a provider like that.
			entry := func(do func(tx store.Tx, id string) error) string {
				p := dbgen.Provider(t, s.DB, store.Provider{Settings: secret.New("canary-1"), SettingsPublic: shown})
				s.Exec(t, "UPDATE ai_providers SET settings_public = $1 WHERE id = $2", public, p.ID)
				if err := s.Update(t.Context(), dbgen.Owner, func(tx store.Tx) error { return do(tx, p.ID) }); err != nil {
					t.Fatalf("%s: %v", public, err)
				}
				all := s.Audit(t)
				return all[len(all)-1].Diff
			}
			edit := func(settings secret.Text, public string) func(store.Tx, string) error {
				return func(tx store.Tx, id string) error {
					_, err := tx.Providers.Update(t.Context(), id, func(p *store.Provider) error {
						p.Settings, p.SettingsPublic = settings, public
						return nil
					})
					return err
				}
			}
			if got := entry(edit(secret.Text{}, "")); got != want.cleared {
				t.Errorf("%s cleared: %s, want %s", public, got, want.cleared)
			}
			if got := entry(edit(secret.New("canary-2"), shown)); got != want.replaced {
				t.Errorf("%s replaced: %s, want %s", public, got, want.replaced)
			}
			got := entry(func(tx store.Tx, id string) error { _, err := tx.Providers.Delete(t.Context(), id); return err })
			if !strings.Contains(got, want.deleted) || strings.Contains(got, "canary") {
				t.Errorf("%s deleted: %s", public, got)
			}
		}
	})
}

// writeAProvider makes one change and reports whether it is there afterwards.
func writeAProvider(t *testing.T, s *storetest.Store, db *store.DB) (changed bool, err error) {
	t.Helper()
	id := dbgen.ID()
	err = db.Update(t.Context(), dbgen.Owner, func(tx store.Tx) error {
		_, err := tx.Providers.Insert(t.Context(), store.Provider{ID: id, Type: store.TypeOpenAI, Name: "x", BaseURL: "http://h", Strategy: store.InOrder})
		return err
	})
	var n int
	if scanErr := s.Raw.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM ai_providers WHERE id = $1", id).Scan(&n); scanErr != nil {
		t.Fatal(scanErr)
	}
	return n == 1, err
}

func TestNoEntryNoChange(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		s.Exec(t, "UPDATE audit_head SET size = size - 1, edge = ''")
		changed, err := writeAProvider(t, s, s.DB) // the next index is taken
		if changed || err == nil {
			t.Errorf("changed %v, err = %v", changed, err)
		}
		// The control: with the layer left out, the change is made.
		none := func(_ store.Actor, tx store.Tx) store.Tx { return tx }
		unaudited := store.New(s.Backend, dbcrypt.Layer(s.Ring, s.Backend.Installation()), none, dbauthz.Layer)
		if changed, err := writeAProvider(t, s, unaudited); !changed || err != nil {
			t.Errorf("without the layer: changed %v, err = %v", changed, err)
		}
	})
}

func TestEveryFieldHasAClass(t *testing.T) {
	t.Parallel()
	for _, rec := range store.Records() {
		typ := reflect.TypeOf(rec)
		names := map[string]bool{}
		for i := range typ.NumField() {
			f := typ.Field(i)
			name, class, _ := strings.Cut(f.Tag.Get("audit"), ",")
			isSecret := f.Type == reflect.TypeFor[secret.Text]()
			if class == "public" || class == "kept" { // of the document of that name
				name = f.Tag.Get("audit")
			}
			switch {
			case name == "" || names[name] || !slices.Contains([]string{"track", "secret", "ignore", "document", "public", "kept"}, class):
				t.Errorf("%s.%s has the audit tag %q", typ, f.Name, f.Tag.Get("audit"))
			case isSecret != (class == "secret" || class == "document"):
				t.Errorf("%s.%s is of class %s", typ, f.Name, class)
			}
			names[name] = true
		}
	}
}

// Records share nothing with their copies: a diff taken of an aliased slice
// would be empty.
func TestRecordsHoldNoReferences(t *testing.T) {
	t.Parallel()
	for _, rec := range store.Records() {
		typ := reflect.TypeOf(rec)
		for i := range typ.NumField() {
			switch f := typ.Field(i); f.Type.Kind() {
			case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface, reflect.Func, reflect.Chan:
				t.Errorf("%s.%s is a %s", typ, f.Name, f.Type.Kind())
			}
		}
	}
}
