package app_test

import (
	"bufio"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/mockupstream/mockproxy"
)

// pemOf returns a certificate in PEM.
func pemOf(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

// reach returns settings of type openai with those members.
func reach(t *testing.T, members map[string]any) json.RawMessage {
	t.Helper()
	doc := map[string]any{"_type": "openai", "_version": 1}
	for k, v := range members {
		doc[k] = v
	}
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Settings of a provider are in force at the next request, and no stream that is
// under way notices.
func TestHowAProviderIsReachedIsChangedWhileItServes(t *testing.T) {
	t.Parallel()
	next := make(chan string)
	up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Tenant") != "canary-tenant" {
			w.WriteHeader(400)
			return
		}
		if r.Method == http.MethodGet {
			io.WriteString(w, `{"data":[]}`)
			return
		}
		if body, _ := io.ReadAll(r.Body); !strings.Contains(string(body), `"stream":true`) {
			io.WriteString(w, `{"choices":[]}`)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		http.NewResponseController(w).Flush()
		for event := range next {
			io.WriteString(w, "data: "+event+"\n\n")
			http.NewResponseController(w).Flush()
		}
	}))
	up.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of who does not trust it
	up.StartTLS()
	t.Cleanup(up.Close)
	over := sync.OnceFunc(func() { close(next) })
	t.Cleanup(over) // or it would not close
	proxy := mockproxy.New(t, mockproxy.Config{Target: up.Listener.Addr().String(), Credentials: "ada:canary-right"})

	r := start(t, dataDir(t))
	add := client.CreateProvider{
		Type: client.OpenAI, Name: "inner", BaseURL: up.URL + "/v1", APIKeys: []string{goodKey},
		Settings: reach(t, map[string]any{"ca": pemOf(up.Certificate()), "headers": map[string]string{"X-Tenant": "canary-tenant"}, "allowed_models": []string{"mock-*"}}),
	}
	if _, err := r.owner.CreateProvider(t.Context(), add); err != nil {
		t.Fatal(err)
	}
	token := r.mint(t, "gateway:use").Secret
	tested := func(class string) {
		t.Helper()
		test, err := r.owner.TestProvider(t.Context(), "inner")
		if err != nil || len(test.Keys) != 1 || test.Keys[0].Class != class {
			t.Errorf("a test says %+v, %v; want %s", test, err, class)
		}
	}
	asked := func(status int, says string) {
		t.Helper()
		if got, body := r.ask(t, "inner", token); got != status || !strings.Contains(body, says) {
			t.Errorf("got %d %s, want %d with %q", got, body, status, says)
		}
	}
	edited := func(settings json.RawMessage, keys ...client.KeepOrAdd) error {
		req := client.UpdateProvider{Settings: client.Set(settings), APIKeys: keys}
		_, err := r.owner.UpdateProvider(t.Context(), "inner", 0, req)
		return err
	}
	tested("ok")
	asked(200, "choices")

	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL()+"/ai/inner/v1/chat/completions", strings.NewReader(`{"model":"mock-gpt","stream":true}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	stream, err := newTransport(t).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	events, n := bufio.NewReader(stream.Body), 0
	streams := func() {
		t.Helper()
		n++
		next <- fmt.Sprint(n)
		if line, err := events.ReadString('\n'); line != fmt.Sprintf("data: %d\n", n) || err != nil {
			t.Fatalf("event %d of the stream: %q, %v", n, line, err)
		}
		events.ReadString('\n')
	}
	streams()

	// Without its certificate nothing of the old connections is used.
	if err := edited(reach(t, nil)); err != nil {
		t.Fatal(err)
	}
	asked(502, "no trusted TLS connection")
	tested("tls")
	streams()

	// Another one demands the key again, and is not the upstream's.
	other := writeCertificate(t, filepath.Join(t.TempDir(), "cert"), filepath.Join(t.TempDir(), "key"), 1)
	for _, settings := range []json.RawMessage{reach(t, map[string]any{"ca": pemOf(other)}), reach(t, map[string]any{"proxy": proxy.URL})} {
		if err := edited(settings); err == nil || !strings.Contains(err.Error(), "given again") {
			t.Errorf("another way for a key that is there: %v", err)
		}
	}
	if err := edited(reach(t, map[string]any{"ca": pemOf(other), "headers": nil}), client.KeepOrAdd{APIKey: goodKey}); err != nil {
		t.Fatal(err)
	}
	asked(502, "no trusted TLS connection")
	streams()

	// Through a proxy, with its own and with a wrong password.
	for password, class := range map[string]string{"ada:canary-wrong": "proxy_denied", "ada:canary-right": "ok"} {
		before := proxy.Tunnels.Load()
		settings := reach(t, map[string]any{
			"ca": pemOf(up.Certificate()), "proxy": proxy.URL, "proxy_credentials": password, "headers": map[string]string{"x-tenant": "canary-tenant"},
		})
		if err := edited(settings, client.KeepOrAdd{APIKey: goodKey}); err != nil {
			t.Fatal(err)
		}
		tested(class)
		if class == "ok" {
			asked(200, "choices")
		} else {
			asked(502, "refuses the credentials")
		}
		// One for the request, and one for the test, which does not read all that comes.
		if got := proxy.Tunnels.Load() - before; got != map[string]int64{"ok": 2}[class] {
			t.Errorf("with %s: %d tunnels", class, got)
		}
	}
	streams()
	over()

	p, err := r.owner.Provider(t.Context(), "inner")
	if err != nil {
		t.Fatal(err)
	}
	if seen := string(p.Settings) + r.log.String(); strings.Contains(seen, "canary-") || !strings.Contains(string(p.Settings), `"_secrets":["headers","proxy_credentials"]`) {
		t.Errorf("settings or log show a secret: %s", p.Settings)
	}
}
