package sqlstore_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/auditlog"
	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/keyring"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbaudit"
	"github.com/gatehousehq/gatehouse/internal/store/dbauthz"
	"github.com/gatehousehq/gatehouse/internal/store/dbcrypt"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

// fixture returns the rows of a version: a file that is named after its
// migration.
func fixture(t *testing.T, version int64) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "fixtures", fmt.Sprintf("%05d_*.sql", version)))
	if err != nil || len(files) != 1 {
		t.Fatalf("version %d has the fixtures %q, want one", version, files)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestMigrationsKeepWhatIsThere starts at each version in turn, with rows as it
// had them, goes up to the newest, back down, and up again.
func TestMigrationsKeepWhatIsThere(t *testing.T) {
	t.Parallel()
	storetest.EachConfig(t, func(t *testing.T, cfg sqlstore.Config) {
		s := storetest.Open(t, cfg)
		ctx := t.Context()
		versions, err := sqlstore.Versions(s.Backend)
		if err != nil {
			t.Fatal(err)
		}
		newest := versions[len(versions)-1]
		for _, v := range versions {
			if err := sqlstore.MigrateTo(ctx, s.Backend, 0); err != nil {
				t.Fatal(err)
			}
			if err := sqlstore.MigrateTo(ctx, s.Backend, v); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Raw.ExecContext(ctx, fixture(t, v)); err != nil {
				t.Fatalf("fixture of version %d: %v", v, err)
			}
			at := existing(t, s)
			before := dump(t, s, at)
			for range 2 {
				if err := sqlstore.MigrateTo(ctx, s.Backend, newest); err != nil {
					t.Fatalf("from version %d: %v", v, err)
				}
				readsAsItWas(t, s)
				if err := sqlstore.MigrateTo(ctx, s.Backend, v); err != nil {
					t.Fatalf("back to version %d: %v", v, err)
				}
				if after := dump(t, s, at); after != before {
					t.Errorf("up from version %d and down again (-want +got):\n%s", v, cmp.Diff(before, after))
				}
			}
		}
		if err := sqlstore.MigrateTo(ctx, s.Backend, 0); err != nil {
			t.Fatal(err)
		}
		if left := existing(t, s); len(left) != 0 {
			t.Errorf("all the way down leaves %q", left)
		}
		if err := sqlstore.MigrateTo(ctx, s.Backend, newest); err != nil {
			t.Fatal(err)
		}
	})
}

// existing returns the tables that there are.
func existing(t *testing.T, s *storetest.Store) (names []string) {
	t.Helper()
	for _, name := range append(append([]string{}, tables...), audited...) {
		rows, err := s.Raw.QueryContext(t.Context(), "SELECT * FROM "+name)
		if err == nil {
			names = append(names, name)
			_ = rows.Close() // only whether there is one
		}
	}
	return names
}

// readsAsItWas looks through the store at the rows that every fixture has.
func readsAsItWas(t *testing.T, s *storetest.Store) {
	t.Helper()
	ctx := t.Context()
	// Opened anew: what a connection has prepared does not outlive a migration.
	backend, err := sqlstore.Inspect(ctx, s.Config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := backend.Close(); err != nil {
			t.Error(err)
		}
	}()
	// The data keys are made up, and nothing is opened.
	db := store.New(backend, dbcrypt.Layer(&keyring.Ring{}, backend.Installation()), dbaudit.Layer(s.Config.Now, nil), dbauthz.Layer)
	var got []string
	note := func(format string, args ...any) { got = append(got, fmt.Sprintf(format, args...)) }
	err = db.View(ctx, dbgen.Owner, func(tx store.Tx) error {
		providers, err := tx.Providers.List(ctx, store.Query{IncludeDeleted: true, IncludeDisabled: true})
		if err != nil {
			return err
		}
		for _, p := range providers {
			keys, err := tx.ProviderKeys.List(ctx, store.Query{ProviderID: p.ID})
			if err != nil {
				return err
			}
			note("%s %s %q enabled %t deleted %t sealed %t, %d keys, revision %d, %s", p.Type, p.Name, p.DisplayName, p.Enabled, p.Deleted, p.Settings.IsSealed(), len(keys), p.Revision, p.CreatedAt.Format("0102"))
			for _, k := range keys {
				note("  %d %q %q disabled %t expires %t used %t", k.Position, k.Label, k.Hint, k.Disabled, !k.ExpiresAt.IsZero(), !k.LastUsedAt.IsZero())
			}
		}
		users, err := tx.Users.List(ctx, store.Query{})
		if err != nil {
			return err
		}
		for _, u := range users {
			note("%s %t first role %s", u.Name, u.Disabled, u.Roles.Slice()[0])
		}
		tokens, err := tx.APIKeys.List(ctx, store.Query{})
		for _, k := range tokens {
			note("%s of %s scopes %s providers %s ceiling set %t", k.Name, k.OwnerName, k.Scopes.Slice(), k.Providers.Slice(), !k.Ceiling.IsEmpty())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`anthropic claude "" enabled false deleted true sealed false, 0 keys, revision 4, 0104`,
		`anthropic claude "Claude" enabled true deleted false sealed true, 0 keys, revision 1, 0106`,
		`openai many "" enabled false deleted false sealed true, 2 keys, revision 9, 0104`,
		`  1 "" "sk-…wxyz" disabled false expires false used false`,
		`  2 "spare" "" disabled true expires true used true`,
		`openai vendor "The Vendor" enabled true deleted false sealed false, 1 keys, revision 2, 0103`,
		`  1 "" "sk-…cdef" disabled false expires false used false`,
		`owner false first role owner`, `Zoë true first role member`,
		`owner-token of owner scopes [all] providers [] ceiling set true`, `laptop of Zoë scopes [gateway:use] providers [vendor] ceiling set true`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what the store reads (-want +got):\n%s", diff)
	}
	verified(t, db)
}

// verified fails unless the log proves itself.
func verified(t *testing.T, db *store.DB) {
	t.Helper()
	err := db.View(t.Context(), authn.Verifier, func(tx store.Tx) error {
		r, err := auditlog.Verify(t.Context(), auditlog.Origin("any"), tx.Audit, nil)
		if err != nil {
			return err
		}
		head, err := tx.Audit.Head(t.Context())
		if r.Found != 0 || r.Size != head.Size {
			t.Errorf("the log: %+v", r)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestEveryFixtureHasAMigration(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, sqlstore.Config{Path: filepath.Join(t.TempDir(), "gatehouse.db")})
	versions, err := sqlstore.Versions(s.Backend)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join("testdata", "fixtures", "*"))
	if err != nil || len(files) != len(versions) {
		t.Errorf("%d fixtures for %d migrations, %v", len(files), len(versions), err)
	}
	for _, f := range files {
		name := filepath.Base(f)
		if _, err := os.Stat(filepath.Join("migrations", "sqlite", name)); err != nil && !strings.HasPrefix(name, "00004_grow_tree") {
			t.Errorf("%s is not named after a migration", name)
		}
	}
}
