package custody_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/custody"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

// lines decodes an export.
func lines(t *testing.T, b []byte) (out []map[string]any) {
	t.Helper()
	for line := range bytes.Lines(b) {
		var v map[string]any
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatalf("a line is no JSON: %v", err)
		}
		out = append(out, v)
	}
	return out
}

func TestExportHasEverySecretInTheClear(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		// What JSON, HTML or a shell has a meaning for comes through as it is.
		const odd = `sk-<a>&"\` + "\u2028\u00e9\U0001f511" + `'$x`
		const settings = `{"_type":"bedrock","access_key_secret":"<&>\"\u00e9"}`
		ends := time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)
		p := dbgen.Provider(t, s.DB, store.Provider{Name: "a", DisplayName: "A <&>", Settings: secret.New(settings), SettingsPublic: `{"_type":"bedrock"}`})
		k1 := dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: p.ID, APIKey: secret.New(odd), Label: "l", ExpiresAt: ends, Disabled: true})
		k2 := dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: p.ID, APIKey: secret.New("sk-plain"), Position: 2})
		bare := dbgen.Provider(t, s.DB, store.Provider{Name: "b"})
		gone := dbgen.Provider(t, s.DB, store.Provider{Name: "c"})
		w := newWorld(t, s, 1)
		w.editProvider(t, bare.ID, func(p *store.Provider) { p.Enabled = false })
		w.remove(t, gone.ID)

		var out bytes.Buffer
		n, unreadable, err := custody.Export(t.Context(), s.DB, authn.Exporter, &out)
		if err != nil || n != 3 || len(unreadable) > 0 {
			t.Fatalf("%d secrets, %v do not open, %v", n, unreadable, err)
		}
		var doc any
		if err := json.Unmarshal([]byte(settings), &doc); err != nil {
			t.Fatal(err)
		}
		want := []map[string]any{
			{
				"id": p.ID, "type": "openai", "name": "a", "display_name": "A <&>", "enabled": true, "base_url": p.BaseURL, "settings": doc,
				"api_keys": []any{
					map[string]any{"id": k1.ID, "label": "l", "disabled": true, "expires_at": "2031-02-03T04:05:06Z", "api_key": odd},
					map[string]any{"id": k2.ID, "api_key": "sk-plain"},
				},
			},
			{"id": bare.ID, "type": "openai", "name": "b", "display_name": "b", "enabled": false, "base_url": bare.BaseURL, "api_keys": []any{}},
		}
		if diff := cmp.Diff(want, lines(t, out.Bytes())); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if strings.Contains(out.String(), `\u003c`) {
			t.Error("signs are escaped that need not be, which grep would not find")
		}
	})
}

func TestExportLeavesOutWhatDoesNotOpen(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		w := newWorld(t, s, 1)
		p := w.aProvider(t)
		lost, kept := w.addKey(t, p), w.addKey(t, p)
		w.spoil(t, keysTable, "api_key", lost.ID)
		w.spoil(t, providersTable, "settings", p.ID)
		var out bytes.Buffer
		n, unreadable, err := custody.Export(t.Context(), s.DB, authn.Exporter, &out)
		if err != nil || n != 1 || !slices.Equal(unreadable, []store.Ref{p.Ref(), lost.Ref()}) {
			t.Fatalf("%d secrets, %v do not open, %v", n, unreadable, err)
		}
		got := lines(t, out.Bytes())
		if len(got) != 1 || got[0]["settings"] != nil || strings.Contains(out.String(), lost.ID) || !strings.Contains(out.String(), kept.ID) {
			t.Errorf("the export has %d lines, or what does not open", len(got))
		}
	})
}

// TestExportIsWrittenOnceWhileKeysChange has the data keys change in the middle
// of it: what was opened until then is not there twice.
func TestExportIsWrittenOnceWhileKeysChange(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		w := newWorld(t, s, 1)
		w.addKey(t, w.aProvider(t))
		w.addKey(t, w.aProvider(t))
		var want, got bytes.Buffer
		if _, _, err := custody.Export(t.Context(), s.DB, authn.Exporter, &want); err != nil {
			t.Fatal(err)
		}
		opened := 0
		db := layeredBy(s, func(tx store.Tx) store.Tx {
			tx.Secrets = beforeOpen{tx.Secrets, func() error {
				if opened++; opened == 3 {
					return store.ErrKeysChanged
				}
				return nil
			}}
			return tx
		})
		loaded := false
		db.OnKeysChanged(func(context.Context) error { loaded = true; return nil })
		n, _, err := custody.Export(t.Context(), db, authn.Exporter, &got)
		if err != nil || n != 4 || !loaded {
			t.Fatalf("%d secrets, keys loaded %v, %v", n, loaded, err)
		}
		if diff := cmp.Diff(lines(t, want.Bytes()), lines(t, got.Bytes())); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestExportIsForWhoMayOpen has others try: nothing is written.
func TestExportIsForWhoMayOpen(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		newWorld(t, s, 1).aKey(t)
		for _, who := range []store.Actor{dbgen.Owner, authn.Rotator, authn.Verifier, authn.Keyholder, {}} {
			var out bytes.Buffer
			n, _, err := custody.Export(t.Context(), s.DB, who, &out)
			if !errors.Is(err, store.ErrDenied) || n != 0 || strings.Contains(out.String(), "canary") {
				t.Errorf("%s: %d secrets, %v", who.Name, n, err)
			}
		}
	})
}

// full is a disk that has no room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no room") }

// TestErrorsOfExportShowNothing lets the export fail.
func TestErrorsOfExportShowNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		newWorld(t, s, 1).aKey(t)
		_, _, err := custody.Export(t.Context(), s.DB, authn.Exporter, full{})
		if err == nil || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "write the export") {
			t.Errorf("got %v", err)
		}
	})
}
