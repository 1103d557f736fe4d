package dbcrypt_test

import (
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

func TestADocumentKeepsMembersOfTheOneBeforeIt(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		ctx := t.Context()
		const stored = `{"shown":1,"token":"canary <&> \u0000\"","other":[1, 2]}`
		p := dbgen.Provider(t, s.DB, store.Provider{BaseURL: "https://vendor.example/v1", Settings: secret.New(stored), SettingsPublic: `{"shown":1}`})
		edit := func(fn func(*store.Provider)) (out store.Provider, err error) {
			err = s.Update(ctx, dbgen.Owner, func(tx store.Tx) (err error) {
				out, err = tx.Providers.Update(ctx, p.ID, func(p *store.Provider) error { fn(p); return nil })
				return err
			})
			return out, err
		}
		replace := func(p *store.Provider) {
			p.Settings, p.SettingsPublic, p.SettingsKept = secret.New(`{"shown":2}`), `{"shown":2}`, store.SetOf("token")
		}
		opened := func() string {
			var doc secret.Text
			err := s.View(ctx, authn.Compiler, func(tx store.Tx) error {
				p, err := tx.Providers.Get(ctx, p.ID)
				if err != nil {
					return err
				}
				all, err := tx.Secrets.Open(ctx, &p)
				doc = all["settings"]
				return err
			})
			if err != nil {
				t.Error(err)
			}
			return doc.Reveal()
		}
		for name, refused := range map[string]func(*store.Provider){
			"a member that is not there":      func(p *store.Provider) { replace(p); p.SettingsKept = store.SetOf("token", "nothing") },
			"into what is no document":        func(p *store.Provider) { replace(p); p.Settings = secret.New("canary") },
			"into null":                       func(p *store.Provider) { replace(p); p.Settings = secret.New("null") },
			"at another origin":               func(p *store.Provider) { replace(p); p.BaseURL = "https://thief.example/v1" },
			"at another port":                 func(p *store.Provider) { replace(p); p.BaseURL = "https://vendor.example:444/v1" },
			"what is shown without the cell":  func(p *store.Provider) { p.SettingsPublic = `{"shown":2}` },
			"what is shown, and a kept field": func(p *store.Provider) { p.SettingsPublic = `{"shown":2}`; p.SettingsKept = store.SetOf("token") },
		} {
			if _, err := edit(refused); !invalid(err, "settings") || strings.Contains(err.Error(), "canary") {
				t.Errorf("%s: %v", name, err)
			}
			if opened() != stored {
				t.Errorf("%s: the document changed", name)
			}
		}

		got, err := edit(func(p *store.Provider) { replace(p); p.BaseURL = "https://vendor.example/v2" }) // the same origin
		if err != nil || !got.SettingsKept.IsEmpty() || got.SecretRevision != 2 {
			t.Errorf("%+v, %v", got, err)
		}
		if doc := opened(); doc != `{"shown":2,"token":"canary \u003c\u0026\u003e \u0000\""}` {
			t.Errorf("it became %s", doc)
		}
		// Nothing is kept in the place of nothing, and what is not written keeps
		// nothing.
		if again, err := edit(func(p *store.Provider) { p.SettingsKept = store.SetOf("token") }); err != nil || again != got {
			t.Errorf("%+v, %v", again, err)
		}
		if _, err := edit(func(p *store.Provider) { p.Settings, p.SettingsPublic = secret.Text{}, "" }); err != nil {
			t.Fatal(err)
		}
		if _, err := edit(replace); !invalid(err, "settings") {
			t.Errorf("kept of nothing: %v", err)
		}
	})
}
