// Package scale_test holds what must stay true when there is much: what a list
// costs does not grow with the installation, nor what a change does. The times
// it prints are for people; they fail nothing.
//
// By default it is small. -providers=10000 is what make scale runs.
package scale_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/catalog"
	"github.com/gatehousehq/gatehouse/internal/httpapi"
	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbaudit"
	"github.com/gatehousehq/gatehouse/internal/store/dbauthz"
	"github.com/gatehousehq/gatehouse/internal/store/dbcrypt"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

var providerCount = flag.Int("providers", 60, "how many providers to make, with ten keys each")

const keysEach = 10

// An installation is a store with many providers, and what counts its work.
type installation struct {
	*storetest.Store
	statements atomic.Int64
	opened     atomic.Int64
	token      secret.Text
}

func install(t *testing.T, cfg sqlstore.Config) *installation {
	t.Helper()
	in := &installation{}
	cfg.Before = func(_ context.Context, statement string) error {
		if statement != "COMMIT" {
			in.statements.Add(1)
		}
		return nil
	}
	in.Store = storetest.Open(t, cfg)
	crypt := dbcrypt.Layer(in.Ring, in.Backend.Installation())
	in.DB = store.New(in.Backend, crypt, dbaudit.Layer(time.Now, func(store.AuditEntry) { in.opened.Add(1) }), dbauthz.Layer)
	owner := dbgen.User(t, in.DB, store.User{Name: "owner", Roles: store.SetOf("owner")})
	_, in.token = dbgen.APIKey(t, in.DB, owner, store.APIKey{Scopes: store.SetOf("all")})

	// Without its audit log the filling takes a third of the time.
	unaudited := store.New(in.Backend, crypt, func(_ store.Actor, tx store.Tx) store.Tx { return tx }, dbauthz.Layer)
	const batch = 100
	for from := 0; from < *providerCount; from += batch {
		err := unaudited.Update(t.Context(), dbgen.Owner, func(tx store.Tx) error {
			for i := from; i < min(from+batch, *providerCount); i++ {
				n := catalog.NewProvider{Type: "openai", Name: name(i), DisplayName: fmt.Sprintf("Provider %d", i), Enabled: true, BaseURL: "https://api.example.com/v1"}
				for range keysEach {
					n.APIKeys = append(n.APIKeys, secret.New("sk-"+dbgen.ID()))
				}
				if _, err := (catalog.Rules{}).Create(t.Context(), tx, n); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if in.Postgres {
		if _, err := in.Raw.ExecContext(t.Context(), "ANALYZE"); err != nil { // as autovacuum would, in a while
			t.Fatal(err)
		}
	}
	return in
}

func name(i int) string { return fmt.Sprintf("provider-%06d", i) }

// serve returns the API over the installation.
func (in *installation) serve(t *testing.T) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(httpapi.New(httpapi.Config{
		DB: in.DB, Auth: authn.New(in.DB, time.Now, nil), Sessions: authn.NewSessions(in.DB, nil, authn.Limits{}, time.Now, nil),
		KeyState: func(string, string) httpapi.KeyState { return httpapi.KeyState{State: client.KeyReady} },
		Fault:    func(string) string { return "" },
		Log:      slog.New(slog.DiscardHandler), Now: time.Now,
	}))
	t.Cleanup(srv.Close)
	return srv
}

func (in *installation) get(t *testing.T, srv *httptest.Server, path string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+in.token.Reveal())
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d, %v", path, resp.StatusCode, err)
	}
	return string(b)
}

// A figure is how long something took, again and again.
type figure []time.Duration

func (f figure) String() string {
	slices.Sort(f)
	at := func(p int) time.Duration { return f[min(len(f)-1, len(f)*p/100)].Round(10 * time.Microsecond) }
	return fmt.Sprintf("p50 %8v  p99 %8v", at(50), at(99))
}

var roundCount = flag.Int("rounds", 10, "how often to time each thing")

func TestListsCostThePageAndNotTheInstallation(t *testing.T) {
	t.Parallel()
	storetest.EachConfig(t, func(t *testing.T, cfg sqlstore.Config) {
		in := install(t, cfg)
		srv := in.serve(t)
		in.opened.Store(0)
		const list = "/api/v1/ai/providers"
		last := *providerCount - 1
		var cursor string
		for _, c := range []struct {
			what  string
			path  func(i int) string
			items int
		}{
			{"first page of 50", func(int) string { return list }, 50},
			{"page of 500", func(int) string { return list + "?limit=500" }, min(500, *providerCount)},
			{"page by page of 50", func(int) string { return list + "?cursor=" + cursor }, 50},
			{"search that finds one", func(i int) string { return list + "?search=" + name(i*37%(last+1)) }, 1},
			{"search by display name", func(int) string { return list + "?search=" + url.QueryEscape(fmt.Sprintf("provider %d", last)) }, 1},
			{"search that finds none", func(int) string { return list + "?search=nothing-like-it" }, 0},
			{"one provider", func(i int) string { return list + "/" + name(i*37%(last+1)) }, 1},
		} {
			var f figure
			var most int64
			cursor = ""
			for i := range *roundCount {
				path := c.path(i)
				before, start := in.statements.Load(), time.Now()
				body := in.get(t, srv, path)
				f = append(f, time.Since(start))
				most = max(most, in.statements.Load()-before)
				if got := strings.Count(body, `"base_url"`); got != c.items && cursor == "" {
					t.Errorf("%s: %d providers, want %d", c.what, got, c.items)
				}
				_, next, _ := strings.Cut(body, `"next_cursor":"`)
				cursor, _, _ = strings.Cut(next, `"`)
			}
			// One statement to know who asks, one for the providers and one for
			// their keys; what is more would be one for each.
			if most > 3 {
				t.Errorf("%s: %d statements", c.what, most)
			}
			t.Logf("%-24s %s", c.what, f)
		}
		if n := in.opened.Load(); n != 0 {
			t.Errorf("%d secrets were opened for it", n)
		}
	})
}

func TestChangeReachesTheSnapshotAtItsOwnCost(t *testing.T) {
	t.Parallel()
	storetest.EachConfig(t, func(t *testing.T, cfg sqlstore.Config) {
		in := install(t, cfg)
		table := routing.NewTable(in.DB, authn.Compiler, slog.New(slog.DiscardHandler), nil)
		before, start := in.statements.Load(), time.Now()
		if err := table.Refresh(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		whole := time.Since(start)
		if n := in.statements.Load() - before; n > 10 {
			t.Errorf("compiling everything takes %d statements", n)
		}
		if n := in.opened.Load(); n != int64(*providerCount*keysEach) {
			t.Errorf("%d secrets were opened", n)
		}
		t.Logf("%-24s %v", "compiling everything", whole.Round(time.Millisecond))

		var took figure
		var reached time.Duration
		in.OnCommit(func(ctx context.Context, generation int64) error {
			start := time.Now()
			defer func() { reached = time.Since(start) }()
			return table.Refresh(ctx, generation)
		})
		in.opened.Store(0)
		for i := range *roundCount {
			which, enabled := name(i*37%*providerCount), i%2 == 1
			err := in.Update(t.Context(), dbgen.Owner, func(tx store.Tx) error {
				_, err := catalog.Rules{}.Update(t.Context(), tx, which, catalog.AnyRevision, catalog.ProviderEdit{Enabled: &enabled, DisplayName: new(fmt.Sprint(i))})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			took = append(took, reached)
			if p := table.Current().Provider(which); p == nil || p.Enabled != enabled || len(p.Keys) != keysEach {
				t.Fatalf("round %d: the change is not in the snapshot", i)
			}
		}
		if n := in.opened.Load(); n > int64(*roundCount*keysEach) {
			t.Errorf("%d secrets were opened for %d changes of a provider with %d keys", n, *roundCount, keysEach)
		}
		t.Logf("%-24s %s", "edit to snapshot", took)
	})
}
