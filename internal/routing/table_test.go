package routing_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/awscredentials"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
	"github.com/gatehousehq/gatehouse/internal/token"
	"github.com/gatehousehq/gatehouse/internal/upstream/azure"
	"github.com/gatehousehq/gatehouse/internal/upstream/bedrock"
)

func newTable(t *testing.T, s *storetest.Store) *routing.Table {
	t.Helper()
	table := routing.NewTable(s.DB, authn.Compiler, slog.New(slog.DiscardHandler), nil)
	if err := table.Refresh(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	return table
}

func generation(t *testing.T, s *storetest.Store) (g int64) {
	t.Helper()
	if err := s.View(t.Context(), authn.Compiler, func(tx store.Tx) (err error) {
		g, err = tx.Changes.Generation(t.Context())
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return g
}

func refresh(t *testing.T, s *storetest.Store, table *routing.Table) *routing.Snapshot {
	t.Helper()
	g := generation(t, s)
	if err := table.Refresh(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	if got := table.Current().Generation; got != g {
		t.Fatalf("the snapshot is of generation %d, want %d", got, g)
	}
	return table.Current()
}

func TestSnapshotFollowsTheStore(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		ctx := t.Context()
		table := newTable(t, s)
		if !table.Current().Empty() {
			t.Error("not empty at first")
		}
		p := dbgen.Provider(t, s.DB, store.Provider{Name: "vendor", BaseURL: "https://h.example/v1"})
		one := dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: p.ID, APIKey: secret.New("sk-one"), Position: 2})
		two := dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: p.ID, APIKey: secret.New("sk-two"), Position: 1})
		owner := dbgen.User(t, s.DB, store.User{})
		_, tok := dbgen.APIKey(t, s.DB, owner, store.APIKey{Models: store.SetOf("m*")})
		before := table.Current()
		snap := refresh(t, s, table)
		if before.Provider("vendor") != nil {
			t.Error("the old snapshot changed")
		}
		got := snap.Provider("vendor")
		if got == nil || got.ID != p.ID || got.BaseURL.String() != "https://h.example/v1" || got.Dialect != routing.OpenAI || !got.Enabled || got.Fault != "" {
			t.Fatalf("provider = %+v", got)
		}
		if len(got.Keys) != 2 || got.Keys[0].ID != two.ID || got.Keys[0].Secret.Reveal() != "sk-two" || got.Keys[1].ID != one.ID {
			t.Errorf("keys = %+v", got.Keys)
		}
		tk := snap.Token(token.Sum(tok.Reveal()))
		if tk == nil || !tk.Use || tk.Passthrough || tk.Providers != nil || !reflect.DeepEqual(tk.Models, []string{"m*"}) {
			t.Errorf("token = %+v", tk)
		}

		if err := s.Update(ctx, dbgen.Owner, func(tx store.Tx) error {
			if _, err := tx.ProviderKeys.Delete(ctx, two.ID); err != nil {
				return err
			}
			_, err := tx.ProviderKeys.Update(ctx, one.ID, func(k *store.ProviderKey) error { k.Disabled = true; return nil })
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if got := refresh(t, s, table).Provider("vendor"); len(got.Keys) != 1 || !got.Keys[0].Disabled {
			t.Errorf("keys = %+v", got.Keys)
		}
		if len(snap.Provider("vendor").Keys) != 2 {
			t.Error("a reader's snapshot changed under it")
		}

		// Disabling a user takes their tokens out of force.
		if err := s.Update(ctx, dbgen.Owner, func(tx store.Tx) error {
			_, err := tx.Users.Update(ctx, owner.ID, func(u *store.User) error { u.Disabled = true; return nil })
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if tk := refresh(t, s, table).Token(token.Sum(tok.Reveal())); tk == nil || tk.Use {
			t.Errorf("the token of a disabled user: %+v", tk)
		}
	})
}

// Whatever happens in the store, applying changes gives what compiling whole
// would.
func TestApplyingEqualsCompilingWhole(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		ctx := t.Context()
		table := newTable(t, s)
		var providers []store.Provider
		var keys []store.ProviderKey
		var routes []store.Route
		var tokens []store.APIKey
		var hashes []token.Hash
		owner := dbgen.User(t, s.DB, store.User{})
		do := func(fn func(store.Tx) error) {
			if err := s.Update(ctx, dbgen.Owner, fn); err != nil {
				t.Fatal(err)
			}
		}
		names, aliases := map[string]bool{}, map[string]bool{}
		rapid.Check(t, func(rt *rapid.T) {
			for range rapid.IntRange(1, 5).Draw(rt, "steps") {
				switch op := rapid.IntRange(0, 9).Draw(rt, "op"); {
				case op == 0 || len(providers) == 0:
					p := dbgen.Provider(t, s.DB, store.Provider{})
					names[p.Name] = true
					providers = append(providers, p)
				case op == 1:
					p := providers[rapid.IntRange(0, len(providers)-1).Draw(rt, "provider")]
					keys = append(keys, dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: p.ID}))
				case op == 2 && len(keys) > 0:
					i := rapid.IntRange(0, len(keys)-1).Draw(rt, "key")
					do(func(tx store.Tx) error { _, err := tx.ProviderKeys.Delete(ctx, keys[i].ID); return err })
					keys = append(keys[:i], keys[i+1:]...)
				case op == 3:
					p := providers[rapid.IntRange(0, len(providers)-1).Draw(rt, "provider")]
					do(func(tx store.Tx) error {
						_, err := tx.Providers.Update(ctx, p.ID, func(p *store.Provider) error { p.Enabled = !p.Enabled; return nil })
						return err
					})
				case op == 4:
					k, tok := dbgen.APIKey(t, s.DB, owner, store.APIKey{})
					tokens, hashes = append(tokens, k), append(hashes, token.Sum(tok.Reveal()))
				case op == 5 && len(tokens) > 0:
					k := tokens[rapid.IntRange(0, len(tokens)-1).Draw(rt, "token")]
					_ = s.Update(ctx, dbgen.Owner, func(tx store.Tx) error { _, err := tx.APIKeys.Delete(ctx, k.ID); return err }) // it may be gone already
				case op == 7:
					p := providers[rapid.IntRange(0, len(providers)-1).Draw(rt, "provider")]
					r := dbgen.Route(t, s.DB, store.Route{Targets: store.TargetsOf(store.Target{ProviderID: p.ID, Provider: p.Name, Model: "m"})})
					aliases[r.Name] = true
					routes = append(routes, r)
				case op == 8 && len(routes) > 0:
					r := routes[rapid.IntRange(0, len(routes)-1).Draw(rt, "route")]
					do(func(tx store.Tx) error {
						_, err := tx.Routes.Update(ctx, r.ID, func(r *store.Route) error { r.Enabled = !r.Enabled; return nil })
						return err
					})
				case op == 9 && len(routes) > 0:
					i := rapid.IntRange(0, len(routes)-1).Draw(rt, "route")
					do(func(tx store.Tx) error { _, err := tx.Routes.Delete(ctx, routes[i].ID); return err })
					routes = append(routes[:i], routes[i+1:]...)
				case op == 6:
					i := rapid.IntRange(0, len(providers)-1).Draw(rt, "provider")
					gone := providers[i]
					var left []store.ProviderKey
					do(func(tx store.Tx) error {
						for _, k := range keys {
							if k.ProviderID != gone.ID {
								left = append(left, k)
							} else if _, err := tx.ProviderKeys.Delete(ctx, k.ID); err != nil {
								return err
							}
						}
						_, err := tx.Providers.Delete(ctx, gone.ID)
						return err
					})
					keys, providers = left, append(providers[:i], providers[i+1:]...)
				}
			}
			applied, whole := refresh(t, s, table), newTable(t, s).Current()
			for name := range names {
				if a, w := applied.Provider(name), whole.Provider(name); !reflect.DeepEqual(a, w) {
					rt.Fatalf("provider %s: applied %+v, whole %+v", name, a, w)
				}
			}
			for name := range aliases {
				if a, w := applied.Route(name), whole.Route(name); !reflect.DeepEqual(a, w) {
					rt.Fatalf("route %s: applied %+v, whole %+v", name, a, w)
				}
			}
			for _, h := range hashes {
				if a, w := applied.Token(h), whole.Token(h); !reflect.DeepEqual(a, w) {
					rt.Fatalf("token: applied %+v, whole %+v", a, w)
				}
			}
		})
	})
}

// What was tampered with in the database is never served, and everything else
// still is.
func TestTamperingTakesOutOneKeyOnly(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		good := dbgen.Provider(t, s.DB, store.Provider{Name: "good", BaseURL: "https://good.example/v1"})
		goodKey := dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: good.ID, Position: 1})
		moved := dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: good.ID, Position: 2})
		planted := dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: good.ID, Position: 3})
		aimed := dbgen.Provider(t, s.DB, store.Provider{Name: "aimed", BaseURL: "https://vendor.example/v1"})
		dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: aimed.ID})
		doc := `{"_type":"openai","_version":1,"organization":"org-mine"}`
		billed := dbgen.Provider(t, s.DB, store.Provider{Name: "billed", Settings: secret.New(doc), SettingsPublic: doc})
		dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: billed.ID})
		bare := dbgen.Provider(t, s.DB, store.Provider{Name: "bare", Settings: secret.New(doc), SettingsPublic: doc})
		if h := newTable(t, s).Current().Provider("billed").Headers; h["Openai-Organization"] != "org-mine" {
			t.Errorf("headers %v", h)
		}

		s.Exec(t, "UPDATE ai_provider_keys SET provider_id = $1 WHERE id = $2", aimed.ID, moved.ID)
		s.Exec(t, "UPDATE ai_provider_keys SET api_key = $1 WHERE id = $2", []byte("sk-planted"), planted.ID)
		s.Exec(t, "UPDATE ai_providers SET base_url = 'https://thief.example/v1' WHERE id = $1", aimed.ID)
		s.Exec(t, "UPDATE ai_providers SET settings_public = $1 WHERE id = $2", strings.Replace(doc, "mine", "his", 1), billed.ID)
		s.Exec(t, "UPDATE ai_providers SET settings = NULL, settings_key_id = NULL WHERE id = $1", bare.ID)

		snap := newTable(t, s).Current()
		keys := snap.Provider("good").Keys
		if len(keys) != 2 || keys[0].ID != goodKey.ID || keys[0].Unreadable || !keys[1].Unreadable || !keys[1].Secret.IsZero() {
			t.Errorf("good: %+v", keys)
		}
		for _, k := range snap.Provider("aimed").Keys {
			if !k.Unreadable || !k.Secret.IsZero() {
				t.Errorf("aimed at a thief: %+v", k)
			}
		}
		if snap.Provider("billed").Fault == "" {
			t.Error("altered settings are served")
		}
		if snap.Provider("bare").Fault == "" {
			t.Error("a provider is served without the settings that were taken away")
		}
	})
}

// How an upstream is reached is read from its sealed settings.
func TestSettingsSayHowAProviderIsReached(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		add := func(name string, kind store.ProviderType, doc string) {
			p := dbgen.Provider(t, s.DB, store.Provider{Type: kind, Name: name, Settings: secret.New(doc), SettingsPublic: doc})
			dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: p.ID})
		}
		add("bedrock", store.TypeAnthropic, `{"_type":"bedrock","_version":1,"region":"eu-central-1","model":"m","small_fast_model":"s","access_key":"A","access_key_secret":"B"}`)
		add("role", store.TypeAnthropic, `{"_type":"bedrock","_version":1,"region":"eu-central-1","ambient":true}`)
		add("azure", store.TypeOpenAI, `{"_type":"azure","_version":1,"api_version":"2024-10-21"}`)
		add("gemini", store.TypeGemini, `{"_type":"gemini","_version":1,"probe":false,"max_concurrency":3}`)
		snap := newTable(t, s).Current()
		if p := snap.Provider("gemini"); p.Dialect != routing.Gemini || !p.NoProbe || p.MaxConcurrency != 3 || p.Fault != "" {
			t.Errorf("gemini: %+v", p)
		}
		want := &bedrock.Access{Region: "eu-central-1", Model: "m", SmallFastModel: "s", Pair: secret.New("A:B")}
		if p := snap.Provider("bedrock"); p.Dialect != routing.Bedrock || !reflect.DeepEqual(p.Access, want) || p.Fault != "" || p.Keys[0].Unreadable {
			t.Errorf("bedrock: %+v, %+v", p, p.Access)
		}
		if p := snap.Provider("role"); p.Fault == "" { // where nobody gets them
			t.Errorf("credentials of the server: %+v", p)
		}
		if p := snap.Provider("azure"); p.Dialect != routing.Azure || !reflect.DeepEqual(p.Access, &azure.Access{APIVersion: "2024-10-21"}) || p.Fault != "" {
			t.Errorf("azure: %+v, %+v", p, p.Access)
		}
	})
}

// AWS credentials that are got when they are needed stay through changes that are
// not about them, and are those of enabled providers only.
func TestAWSCredentialsOutliveChanges(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		log := slog.New(slog.DiscardHandler)
		table := routing.NewTable(s.DB, authn.Compiler, log, awscredentials.New(awscredentials.Config{Log: log, Now: time.Now}))
		s.OnCommit(table.Refresh)
		const role = `"role_arn":"arn:aws:iam::123456789012:role/r"`
		doc := func(members string) string {
			return `{"_type":"bedrock","_version":1,"region":"eu-central-1",` + members + `}`
		}
		p := dbgen.Provider(t, s.DB, store.Provider{Type: store.TypeAnthropic, Name: "role", Settings: secret.New(doc(`"ambient":true,` + role)), SettingsPublic: doc(`"ambient":true,` + role)})
		edit := func(fn func(*store.Provider)) *awscredentials.Source {
			t.Helper()
			err := s.Update(t.Context(), dbgen.Owner, func(tx store.Tx) error {
				_, err := tx.Providers.Update(t.Context(), p.ID, func(p *store.Provider) error { fn(p); return nil })
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			got := table.Current().Provider("role")
			if got.Fault != "" {
				t.Fatalf("not served: %s", got.Fault)
			}
			return got.Credentials()
		}
		settings := func(members string) func(*store.Provider) {
			return func(p *store.Provider) { p.Settings, p.SettingsPublic = secret.New(doc(members)), doc(members) }
		}
		first := edit(func(p *store.Provider) { p.DisplayName = "The role" })
		if first == nil || edit(settings(`"ambient":true,"idle_timeout":"7s",`+role)) != first {
			t.Error("a change of something else is one of the credentials")
		}
		other := edit(settings(`"ambient":true`))
		if other == first || other == nil {
			t.Error("without the role it has the same credentials")
		}
		if got := slices.Collect(table.Current().Credentials()); len(got) != 1 || got[0] != other {
			t.Errorf("in use are %v", got)
		}
		pair := edit(settings(`"access_key":"A","access_key_secret":"B",` + role))
		if pair == nil || !table.Current().Provider("role").Access.(*bedrock.Access).Pair.IsZero() {
			t.Error("what a role is assumed with signs requests")
		}
		edit(func(p *store.Provider) { p.Enabled = false })
		if got := slices.Collect(table.Current().Credentials()); len(got) != 0 {
			t.Errorf("disabled, and in use are %v", got)
		}
	})
}

func TestRestoredProviderIsServedOnceItIsEnabled(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		ctx := t.Context()
		table := newTable(t, s)
		s.OnCommit(table.Refresh)
		p := dbgen.Provider(t, s.DB, store.Provider{Name: "p"})
		change := func(fn func(tx store.Tx) error) *routing.Provider {
			t.Helper()
			if err := s.Update(ctx, dbgen.Owner, fn); err != nil {
				t.Fatal(err)
			}
			return table.Current().Provider("p")
		}
		edit := func(fn func(*store.Provider)) func(tx store.Tx) error {
			return func(tx store.Tx) error {
				_, err := tx.Providers.Update(ctx, p.ID, func(p *store.Provider) error { fn(p); return nil })
				return err
			}
		}
		remove := func(tx store.Tx) error { _, err := tx.Providers.Delete(ctx, p.ID); return err }
		if got := change(remove); got != nil {
			t.Errorf("deleted: %+v", got)
		}
		if got := change(edit(func(p *store.Provider) { p.Deleted = false })); got == nil || got.Enabled {
			t.Errorf("restored: %+v", got)
		}
		if got := change(edit(func(p *store.Provider) { p.Enabled = true })); got == nil || !got.Enabled {
			t.Errorf("enabled: %+v", got)
		}
		change(remove)
		if got := change(remove); got != nil {
			t.Errorf("purged: %+v", got)
		}
	})
}

func TestFollowSeesWhatAnotherProcessDid(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		other := storetest.Open(t, s.Config)
		table := newTable(t, s)
		done := make(chan struct{})
		go func() { defer close(done); table.Follow(t.Context(), 10*time.Millisecond) }()
		t.Cleanup(func() { <-done })
		dbgen.Provider(t, other.DB, store.Provider{Name: "elsewhere"})
		deadline := time.Now().Add(10 * time.Second)
		for table.Current().Provider("elsewhere") == nil {
			if time.Now().After(deadline) {
				t.Fatal("the change never arrived")
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
}

func TestOwnerDecidesWhatATokenMayDo(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		owner := dbgen.User(t, s.DB, store.User{Roles: store.SetOf(string(rbac.Member))})
		for scopes, want := range map[string][2]bool{
			"gateway:use": {true, false}, "gateway:*": {true, true}, "all": {true, true}, "audit_log:read": {false, false}, "gateway:passthrough": {false, true},
		} {
			_, tok := dbgen.APIKey(t, s.DB, owner, store.APIKey{Scopes: store.SetOf(scopes)})
			got := newTable(t, s).Current().Token(token.Sum(tok.Reveal()))
			if got == nil || [2]bool{got.Use, got.Passthrough} != want {
				t.Errorf("%s: %+v", scopes, got)
			}
		}
	})
}

func BenchmarkSnapshotLookup(b *testing.B) {
	var providers []*routing.Provider
	tokens := map[token.Hash]*routing.Token{}
	for i := range 10_000 {
		providers = append(providers, &routing.Provider{ID: fmt.Sprint(i), Name: fmt.Sprintf("p-%d", i)})
	}
	for i := range 100_000 {
		tokens[token.Sum(fmt.Sprint(i))] = &routing.Token{ID: fmt.Sprint(i)}
	}
	snap := routing.NewSnapshot(1, providers, tokens)
	h := token.Sum("77")
	b.ReportAllocs()
	for b.Loop() {
		if snap.Provider("p-77") == nil || snap.Token(h) == nil {
			b.Fatal("missing")
		}
	}
}

func TestRoutesLeadToProvidersByTheirIDs(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		ctx := t.Context()
		p := dbgen.Provider(t, s.DB, store.Provider{Name: "one"})
		target := store.Target{ProviderID: p.ID, Provider: "one", Model: "m/1", Weight: 3}
		r := dbgen.Route(t, s.DB, store.Route{Name: "fast", Strategy: store.RouteWeighted, Targets: store.TargetsOf(target)})
		table := newTable(t, s)
		snap := table.Current()
		got := snap.Route("fast")
		if got == nil || got.ID != r.ID || !got.Weighted || !got.Enabled || len(got.Targets) != 1 || got.Targets[0] != (routing.Target{ProviderID: p.ID, Model: "m/1", Weight: 3}) {
			t.Fatalf("route %+v", got)
		}
		if found := snap.ProviderByID(p.ID); found == nil || found.Name != "one" {
			t.Errorf("provider %+v", found)
		}
		if err := s.Update(ctx, dbgen.Owner, func(tx store.Tx) error { _, err := tx.Providers.Delete(ctx, p.ID); return err }); err != nil {
			t.Fatal(err)
		}
		dbgen.Provider(t, s.DB, store.Provider{Name: "one"}) // another of the name is not the one that was meant
		after := refresh(t, s, table)
		if after.ProviderByID(p.ID) != nil || after.Route("fast") == nil {
			t.Errorf("after its provider was deleted: %+v, %+v", after.ProviderByID(p.ID), after.Route("fast"))
		}
		if snap.ProviderByID(p.ID) == nil {
			t.Error("a reader's snapshot changed under it")
		}
	})
}

func TestSettingsSteerFailover(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		const doc = `{"_type":"openai","_version":1,"failover_on":["insufficient_quota","unreachable"],"replay_after_send":false,"probe":false,"breaker":false,"max_concurrency":9}`
		dbgen.Provider(t, s.DB, store.Provider{Name: "set", Settings: secret.New(doc), SettingsPublic: doc})
		dbgen.Provider(t, s.DB, store.Provider{Name: "plain"})
		snap := newTable(t, s).Current()
		const final = routing.CauseRateLimited | routing.CauseRefused | routing.CauseNotPermitted | routing.CauseUnavailable | routing.CauseTimeout
		if p := snap.Provider("set"); p.Final != final || !p.NoReplay || !p.NoProbe || !p.NoBreaker || p.MaxConcurrency != 9 || p.Fault != "" {
			t.Errorf("with settings: %+v", p)
		}
		if p := snap.Provider("plain"); p.Final != 0 || p.NoReplay || p.NoProbe || p.NoBreaker || p.MaxConcurrency != 0 {
			t.Errorf("without settings: %+v", p)
		}
	})
}

// All types of documents say alike how a provider is reached, and what of it.
func TestSettingsSayWhatEveryProviderHas(t *testing.T) {
	t.Parallel()
	srv := httptest.NewTLSServer(nil)
	srv.Close()
	ca, err := json.Marshal(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})))
	if err != nil {
		t.Fatal(err)
	}
	reach := `"first_byte_timeout":"1m30s","idle_timeout":"2s","headers":{"X-Tenant":"t"},"allowed_paths":["messages"],"allowed_models":["m*"]`
	way := `"connect_timeout":"3s","ca":` + string(ca) + `,"proxy":"http://p:1","proxy_credentials":"a:b"`
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		for name, head := range map[string]string{
			"openai": `"_type":"openai","_version":1`, "anthropic": `"_type":"anthropic","_version":1`, "azure": `"_type":"azure","_version":1`,
			"bedrock": `"_type":"bedrock","_version":1,"region":"eu-central-1"`,
		} {
			kind := store.TypeOpenAI
			if name == "anthropic" || name == "bedrock" {
				kind = store.TypeAnthropic
			}
			doc := "{" + head + "," + reach + "," + way + "}"
			dbgen.Provider(t, s.DB, store.Provider{Type: kind, Name: name, Settings: secret.New(doc), SettingsPublic: doc})
			p := newTable(t, s).Current().Provider(name)
			if p.Fault != "" || p.FirstByteTimeout != 90*time.Second || p.IdleTimeout != 2*time.Second || p.Added["X-Tenant"].Reveal() != "t" ||
				!slices.Equal(p.Paths, []string{"messages"}) || !slices.Equal(p.Models, []string{"m*"}) || p.Egress == nil {
				t.Errorf("%s: %+v", name, p)
			}
		}
		doc := `{"_type":"openai","_version":1,` + reach + `}`
		dbgen.Provider(t, s.DB, store.Provider{Name: "common", Settings: secret.New(doc), SettingsPublic: doc})
		dbgen.Provider(t, s.DB, store.Provider{Name: "plain"})
		for _, name := range []string{"common", "plain"} {
			if p := newTable(t, s).Current().Provider(name); p.Egress != nil || (p.Paths == nil) != (name == "plain") {
				t.Errorf("%s: %+v", name, p)
			}
		}
	})
}
