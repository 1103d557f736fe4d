package app_test

import (
	"bufio"
	"context"
	"database/sql"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/mockupstream"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

var listAll = client.ListOptions{}

func TestChangesAreInForceForTheNextRequest(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, flags ...string) {
		ctx := t.Context()
		upstream, url := newUpstream(t, mockupstream.Config{})
		r := start(t, dataDir(t), flags...)
		tok := r.mint(t, "gateway:use")
		if status, body := r.ask(t, "vendor", tok.Secret); status != 404 {
			t.Fatalf("before there is a provider: %d %s", status, body)
		}
		for range 10 {
			p := r.add(t, "vendor", url+"/v1", goodKey)
			if status, body := r.ask(t, "vendor", tok.Secret); status != 200 {
				t.Fatalf("with a key: %d %s", status, body)
			}
			key := p.APIKeys[0].ID
			if _, err := r.owner.UpdateKey(ctx, "vendor", key, 0, client.UpdateKey{Disabled: new(true)}); err != nil {
				t.Fatal(err)
			}
			if status, body := r.ask(t, "vendor", tok.Secret); status == 200 {
				t.Fatalf("with the key disabled: %d %s", status, body)
			}
			if err := r.owner.DeleteKey(ctx, "vendor", key, 0); err != nil {
				t.Fatal(err)
			}
			if _, err := r.owner.CreateKey(ctx, "vendor", client.AddKey{APIKey: goodKey}); err != nil {
				t.Fatal(err)
			}
			if status, body := r.ask(t, "vendor", tok.Secret); status != 200 {
				t.Fatalf("with the key added again: %d %s", status, body)
			}
			if _, err := r.owner.UpdateProvider(ctx, "vendor", 0, client.UpdateProvider{Enabled: new(false)}); err != nil {
				t.Fatal(err)
			}
			if status, body := r.ask(t, "vendor", tok.Secret); status != 503 {
				t.Fatalf("with the provider disabled: %d %s", status, body)
			}
			if err := r.owner.DeleteProvider(ctx, "vendor", 0); err != nil {
				t.Fatal(err)
			}
			if status, body := r.ask(t, "vendor", tok.Secret); status != 404 {
				t.Fatalf("with the provider deleted: %d %s", status, body)
			}
		}
		r.add(t, "vendor", url+"/v1", goodKey)
		if err := r.owner.DeleteToken(ctx, tok.ID); err != nil {
			t.Fatal(err)
		}
		if status, _ := r.ask(t, "vendor", tok.Secret); status != 401 {
			t.Errorf("with the token revoked: %d", status)
		}
		for _, req := range upstream.Requests() {
			for name, values := range req.Credentials {
				for _, v := range values {
					if strings.Contains(v.Reveal(), "gate_") {
						t.Errorf("the upstream saw a Gatehouse token in %s", name)
					}
				}
			}
		}
		for _, s := range []string{goodKey[3:], spentKey[3:], tok.Secret[5:]} {
			if strings.Contains(r.log.String(), s[:10]) {
				t.Error("a secret is in the log")
			}
		}
	})
}

func TestFailoverAndKeyStates(t *testing.T) {
	t.Parallel()
	upstream, url := newUpstream(t, mockupstream.Config{RetryAfter: time.Hour})
	r := start(t, dataDir(t))
	tok := r.mint(t, "gateway:use")
	r.add(t, "vendor", url+"/v1", spentKey, goodKey)
	for range 3 {
		if status, body := r.ask(t, "vendor", tok.Secret); status != 200 {
			t.Fatalf("%d %s", status, body)
		}
	}
	var seen []string
	for _, req := range upstream.Requests() {
		seen = append(seen, req.Key)
	}
	if got := strings.Join(seen, " "); got != "spent good good good" {
		t.Errorf("the upstream saw %s", got)
	}
	p, err := r.owner.Provider(t.Context(), "vendor")
	limited := func(k client.ProviderKey) bool {
		return k.State == client.KeyReady && len(k.LimitedModels) == 1 && k.LimitedModels[0].Model == "mock-gpt" && time.Until(k.LimitedModels[0].Until) > 50*time.Minute
	}
	if err != nil || !limited(p.APIKeys[0]) || p.APIKeys[0].LastError.Model != "mock-gpt" || p.APIKeys[1].State != client.KeyReady || len(p.APIKeys[1].LimitedModels) != 0 {
		t.Errorf("states %+v, %v", p.APIKeys, err)
	}
	// An edit of something else leaves the state of the keys alone.
	if _, err := r.owner.UpdateProvider(t.Context(), "vendor", 0, client.UpdateProvider{DisplayName: client.Set("The vendor")}); err != nil {
		t.Fatal(err)
	}
	if p, err := r.owner.Provider(t.Context(), "vendor"); err != nil || !limited(p.APIKeys[0]) {
		t.Errorf("after an edit: %+v, %v", p.APIKeys, err)
	}
	// The last uses are written when the server stops, if not before.
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	again := start(t, r.dir)
	p, err = again.owner.Provider(t.Context(), "vendor")
	if err != nil || p.APIKeys[0].LastUsedAt == nil || p.APIKeys[1].LastUsedAt == nil {
		t.Errorf("last uses %+v, %v", p.APIKeys, err)
	}
}

// A key that was re-aimed in the database is sent nowhere, and everything else
// works on.
func TestTamperedDatabaseSendsNoKey(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, flags ...string) {
		_, url := newUpstream(t, mockupstream.Config{})
		thief, thiefURL := newUpstream(t, mockupstream.Config{})
		dir := dataDir(t)
		r := start(t, dir, flags...)
		tok := r.mint(t, "gateway:use")
		r.add(t, "vendor", url+"/v1", goodKey)
		r.add(t, "aimed", url+"/v1", goodKey)
		moved := r.add(t, "moved", thiefURL+"/v1")
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}

		driver, dsn := "sqlite", filepath.Join(dir, "gatehouse.db")
		if len(flags) > 0 {
			driver, dsn = "pgx", strings.TrimPrefix(flags[0], "--database-url=")
		}
		db, err := sql.Open(driver, dsn)
		if err != nil {
			t.Fatal(err)
		}
		for _, statement := range []string{
			"UPDATE ai_providers SET base_url = '" + thiefURL + "/v1' WHERE name = 'aimed'",
			// The vendor's row of a key, copied to the thief's provider.
			"INSERT INTO ai_provider_keys SELECT '0190a5a0-0000-7000-8000-000000000001', '" + moved.ID + "', api_key, api_key_key_id, position, label, hint, fingerprint, disabled, expires_at, last_used_at, secret_revision, created_at, updated_at, weight" +
				" FROM ai_provider_keys WHERE provider_id = (SELECT id FROM ai_providers WHERE name = 'vendor')",
		} {
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}

		again := start(t, dir, flags...)
		for _, name := range []string{"aimed", "moved"} {
			if status, body := again.ask(t, name, tok.Secret); status != 502 && status != 503 {
				t.Errorf("%s: %d %s", name, status, body)
			}
			p, err := again.owner.Provider(t.Context(), name)
			if err != nil || p.APIKeys[0].State != client.KeyUnreadable {
				t.Errorf("%s: %+v, %v", name, p.APIKeys, err)
			}
		}
		if status, body := again.ask(t, "vendor", tok.Secret); status != 200 {
			t.Errorf("the vendor: %d %s", status, body)
		}
		if reqs := thief.Requests(); len(reqs) > 0 {
			t.Errorf("the thief was sent %d requests", len(reqs))
		}
		// It can be mended: the key is given again.
		if _, err := again.owner.UpdateProvider(t.Context(), "aimed", 0, client.UpdateProvider{
			BaseURL: new(url + "/v1"), APIKeys: []client.KeepOrAdd{{APIKey: goodKey}},
		}); err != nil {
			t.Fatal(err)
		}
		if status, body := again.ask(t, "aimed", tok.Secret); status != 200 {
			t.Errorf("after mending: %d %s", status, body)
		}
	})
}

// Two servers on one PostgreSQL: each has what the other changed within a
// second or so, and the second needs the first one's encryption key.
func TestReplicas(t *testing.T) {
	t.Parallel()
	flag := "--database-url=" + storetest.NewPostgres(t)
	_, url := newUpstream(t, mockupstream.Config{})
	one := start(t, dataDir(t), flag)
	dir := dataDir(t)
	if msg := refused(t, dir, flag); !strings.Contains(msg, "copy encryption-key from") {
		t.Errorf("without the key: %s", msg)
	}
	key, err := os.ReadFile(filepath.Join(one.dir, "encryption-key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "encryption-key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	two := start(t, dir, flag)
	one.add(t, "vendor", url+"/v1", goodKey)
	tok := one.mint(t, "gateway:use")
	eventually(t, "the second server serves", func() bool { status, _ := two.ask(t, "vendor", tok.Secret); return status == 200 })
	if err := one.owner.DeleteToken(t.Context(), tok.ID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the second server refuses", func() bool { status, _ := two.ask(t, "vendor", tok.Secret); return status == 401 })
}

// A stream that runs when the server is told to stop runs to its end; new
// requests are not taken.
func TestStoppingLetsStreamsFinish(t *testing.T) {
	t.Parallel()
	_, url := newUpstream(t, mockupstream.Config{Pace: 50 * time.Millisecond})
	r := start(t, dataDir(t))
	tok := r.mint(t, "gateway:use")
	r.add(t, "vendor", url+"/v1", goodKey)
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, r.URL()+"/ai/vendor/v1/chat/completions",
		strings.NewReader(`{"model":"mock-gpt","stream":true,"messages":[{"role":"user","content":"one two three four five six"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+tok.Secret)
	res, err := newTransport(t).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	if !lines.Scan() {
		t.Fatal("no first line")
	}
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	last := ""
	for lines.Scan() {
		if lines.Text() != "" {
			last = lines.Text()
		}
	}
	if err := lines.Err(); err != nil || last != "data: [DONE]" {
		t.Errorf("the stream ended with %q, %v", last, err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestStoppingCutsWhatTakesTooLong(t *testing.T) {
	t.Parallel()
	upstream, url := newUpstream(t, mockupstream.Config{})
	upstream.SetKey(secret.New(goodKey), mockupstream.Key{Label: "good", Behaviour: mockupstream.Stall})
	r := start(t, dataDir(t), "--shutdown-timeout=50ms")
	tok := r.mint(t, "gateway:use")
	r.add(t, "vendor", url+"/v1", goodKey)
	cut := make(chan error, 1)
	go func() {
		req, err := http.NewRequest(http.MethodPost, r.URL()+"/ai/vendor/v1/chat/completions", strings.NewReader(chat))
		if err == nil {
			req.Header.Set("Authorization", "Bearer "+tok.Secret)
			var res *http.Response
			if res, err = newTransport(t).RoundTrip(req); err == nil {
				err = res.Body.Close()
			}
		}
		cut <- err
	}()
	eventually(t, "the upstream has the request", func() bool { return len(upstream.Requests()) == 1 })
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	<-cut
	if !strings.Contains(r.log.String(), "have been cut") {
		t.Error("nothing says that a request was cut")
	}
}

func TestEveryPathAnswers(t *testing.T) {
	t.Parallel()
	r := start(t, dataDir(t))
	for path, want := range map[string]string{
		"/": "200 text/html; charset=utf-8", "/providers": "200 text/html; charset=utf-8", "/theme.js": "200 text/javascript; charset=utf-8", "/nope.txt": "404 text/plain; charset=utf-8",
		"/api": "404 application/problem+json", "/api/v1/nope": "404 application/problem+json", "/healthz": "200 application/json",
		"/readyz": "200 application/json", "/ai": "401 application/json", "/ai/": "401 application/json", "/ai/v1/models": "401 application/json",
		"/api/v1/openapi.json": "200 application/json", "/api/v1/../../healthz": "404 application/problem+json",
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.URL.Opaque = path // as it stands, uncleaned
		res, err := newTransport(t).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(strings.TrimPrefix(res.Status, " ")[:3] + " " + res.Header.Get("Content-Type")); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
		if res.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: no nosniff", path)
		}
	}
}
