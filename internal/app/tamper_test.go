package app_test

import (
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/mockupstream"
)

// Two keys, or the settings of two providers, that were swapped in the database
// are sent to neither of the two, and shown as what they are.
func TestSwappedSecretsAreNotSent(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, flags ...string) {
		one, oneURL := newUpstream(t, mockupstream.Config{})
		two, twoURL := newUpstream(t, mockupstream.Config{})
		bystander, bystanderURL := newUpstream(t, mockupstream.Config{})
		dir := dataDir(t)
		r := start(t, dir, flags...)
		tok := r.mint(t, "gateway:use")
		r.add(t, "one", oneURL+"/v1", goodKey)
		r.add(t, "two", twoURL+"/v1", goodKey)
		for name, url := range map[string]string{"billed": oneURL, "unbilled": twoURL} {
			if _, err := r.owner.CreateProvider(t.Context(), client.CreateProvider{
				Type: client.OpenAI, Name: name, BaseURL: url + "/v1", APIKeys: []string{goodKey},
				Settings: json.RawMessage(`{"_type":"openai","_version":1,"organization":"org-` + name + `"}`),
			}); err != nil {
				t.Fatal(err)
			}
		}
		r.add(t, "bystander", bystanderURL+"/v1", goodKey)
		names := []string{"one", "two", "billed", "unbilled"}
		for _, name := range names {
			if status, body := r.ask(t, name, tok.Secret); status != 200 {
				t.Fatalf("%s before: %d %s", name, status, body)
			}
		}
		before := len(one.Requests()) + len(two.Requests())
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
		db.SetMaxOpenConns(1) // a temporary table belongs to one
		const ones, twos = "(SELECT id FROM ai_providers WHERE name = 'one')", "(SELECT id FROM ai_providers WHERE name = 'two')"
		other := func(column string) string {
			return column + " = (SELECT o." + column + " FROM was o WHERE o.name <> ai_providers.name)"
		}
		for _, statement := range []string{
			"DROP INDEX ai_provider_keys_fingerprint_unique", // half way the two, of one value, are at one provider
			"UPDATE ai_provider_keys SET provider_id = CASE WHEN provider_id = " + ones + " THEN " + twos + " ELSE " + ones + " END" +
				" WHERE provider_id IN (" + ones + ", " + twos + ")",
			"CREATE TEMPORARY TABLE was AS SELECT * FROM ai_providers WHERE name IN ('billed', 'unbilled')",
			"UPDATE ai_providers SET " + other("settings") + ", " + other("settings_public") + ", " + other("secret_revision") + " WHERE name IN ('billed', 'unbilled')",
		} {
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}

		again := start(t, dir, flags...)
		for _, name := range names {
			if status, body := again.ask(t, name, tok.Secret); status != 502 && status != 503 {
				t.Errorf("%s: %d %s", name, status, body)
			}
		}
		for _, name := range names[:2] {
			p, err := again.owner.Provider(t.Context(), name)
			if err != nil || len(p.APIKeys) != 1 || p.APIKeys[0].State != client.KeyUnreadable {
				t.Errorf("%s: %+v, %v", name, p.APIKeys, err)
			}
		}
		if n := strings.Count(again.log.String(), "provider settings unreadable"); n < 2 {
			t.Errorf("the log says %d times that settings are unreadable", n)
		}
		if after := len(one.Requests()) + len(two.Requests()); after != before {
			t.Errorf("%d requests were sent on", after-before)
		}
		if status, body := again.ask(t, "bystander", tok.Secret); status != 200 || len(bystander.Requests()) != 1 {
			t.Errorf("the bystander: %d %s", status, body)
		}
		for _, name := range names[2:] {
			p, err := again.owner.Provider(t.Context(), name)
			if err != nil || !strings.Contains(p.Fault, "settings cannot be read") || p.APIKeys[0].State != client.KeyReady {
				t.Errorf("%s: %q, %+v, %v", name, p.Fault, p.APIKeys, err)
			}
		}
		again.shows(t, `gatehouse_providers{state="unreadable"} 2`, `gatehouse_provider_keys{state="unreadable"} 2`, `gatehouse_provider_keys{state="ready"} 3`)

		// Each can be replaced, and is served again.
		for _, name := range names[:2] {
			key, err := again.owner.CreateKey(t.Context(), name, client.AddKey{APIKey: goodKey + "-again"})
			if err != nil || key.State != client.KeyReady {
				t.Errorf("%s: %+v, %v", name, key, err)
			}
		}
		for _, name := range names[2:] {
			p, err := again.owner.UpdateProvider(t.Context(), name, 0, client.UpdateProvider{
				Settings: client.Set(json.RawMessage(`{"_type":"openai","_version":1,"organization":"again"}`)),
			})
			if err != nil || p.Fault != "" {
				t.Errorf("%s: %q, %v", name, p.Fault, err)
			}
		}
		again.shows(t, `gatehouse_providers{state="unreadable"} 0`, `gatehouse_provider_keys{state="ready"} 5`)
	})
}

// shows fails unless the page for Prometheus has these lines.
func (r *running) shows(t *testing.T, lines ...string) {
	t.Helper()
	status, page := r.get(t, "/metrics", r.ownerToken(t))
	if status != 200 {
		t.Fatalf("the metrics: %d %s", status, page)
	}
	for _, line := range lines {
		if !strings.Contains(page, "\n"+line+"\n") {
			t.Errorf("the metrics lack %s:\n%s", line, page)
		}
	}
}

func (r *running) ownerToken(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, "owner-token"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func (r *running) get(t *testing.T, path, token string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestMetricsTakeTheirScope(t *testing.T) {
	t.Parallel()
	r := start(t, dataDir(t))
	for token, want := range map[string]int{r.mint(t, "metrics:read").Secret: 200, r.mint(t, "gateway:use").Secret: 403, "": 401} {
		if status, body := r.get(t, "/metrics", token); status != want || status != 200 && !strings.Contains(body, `"status":`) {
			t.Errorf("got %d %s, want %d", status, body, want)
		}
	}
}
