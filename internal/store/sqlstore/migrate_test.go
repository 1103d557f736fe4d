package sqlstore_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

func TestEveryQueryIsPortable(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		if err := sqlstore.Prepared(t.Context(), s.Backend); err != nil {
			t.Error(err)
		}
	})
}

func TestMigrationsGoDownAndUpAgain(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		p := dbgen.Provider(t, s.DB, store.Provider{})
		dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: p.ID})
		if err := sqlstore.MigrateTo(t.Context(), s.Backend, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Raw.ExecContext(t.Context(), "SELECT 1 FROM ai_providers"); err == nil {
			t.Error("the tables are still there")
		}
		if err := sqlstore.Up(t.Context(), s.Backend); err != nil {
			t.Fatal(err)
		}
		again := storetest.Open(t, s.Config)
		dbgen.Provider(t, again.DB, store.Provider{Name: p.Name})
	})
}

func TestNewerDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		applied := "TRUE"
		if !s.Postgres {
			applied = "1"
		}
		s.Exec(t, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, "+applied+")")
		_, err := sqlstore.Open(t.Context(), s.Config)
		if err == nil || !strings.Contains(err.Error(), "run the newer gatehouse") {
			t.Errorf("err = %v", err)
		}
	})
}

func TestManyServersSetUpOnce(t *testing.T) {
	t.Parallel()
	storetest.EachConfig(t, func(t *testing.T, cfg sqlstore.Config) {
		if cfg.Path != "" {
			t.Skip("one process at a time has a SQLite file: the lock on the data directory sees to it")
		}
		var inside, most, calls int
		var mu sync.Mutex
		cfg.Initialise = func(context.Context, *sqlstore.Backend) error {
			mu.Lock()
			inside++
			calls++
			most = max(most, inside)
			mu.Unlock()
			mu.Lock()
			inside--
			mu.Unlock()
			return nil
		}
		ids := make([]string, 6)
		var wg sync.WaitGroup
		for i := range ids {
			wg.Go(func() {
				b, err := sqlstore.Open(t.Context(), cfg)
				if err != nil {
					t.Error(err)
					return
				}
				ids[i] = b.Installation()
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, id := range ids {
			if id != ids[0] || id == "" {
				t.Errorf("installations %q", ids)
			}
		}
		if most != 1 || calls != 6 {
			t.Errorf("%d initialised at once, %d in all", most, calls)
		}
	})
}
