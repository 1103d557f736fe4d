package canary_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/app"
	"github.com/gatehousehq/gatehouse/internal/config"
	"github.com/gatehousehq/gatehouse/internal/oidc/oidctest"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

// A house is an installation with all that is around it: providers, a webhook,
// clients. What comes out of any of them is on the tape, or is collected by the
// table of sinks.
type house struct {
	t     *testing.T
	vault *vault
	tape  *tape
	log   *slog.Logger
	base  string // what is below it is this house's
	dir   string // the data directory
	pg    string // the URL of its PostgreSQL database; "" is SQLite
	wal   string // where PostgreSQL's log was when the house was built

	openai, anthropic *vendor
	hook, proxy       *httptest.Server
	idp               *oidctest.Server
	clientSecret      string // at the identity provider
	byProvider        bool   // whether somebody was signed in by it
	faults            *faults
	http              *http.Client

	url   string
	stop  func() error
	owner string // token
	token string // for the gateway
	// openaiKey is the key of the provider "openai", which is always there.
	openaiKey string

	found *findings
	mu    sync.Mutex
	// statuses counts the answers of the API and of the gateway.
	statuses map[string]int
	names    int // of providers that were made
	turn     int // the mode of its vendors that was last
}

// newHouse builds a house in which nothing runs yet.
func newHouse(t *testing.T, postgres bool) *house {
	t.Helper()
	h := &house{t: t, vault: newVault(), tape: newTape(), found: newFindings(), statuses: map[string]int{}}
	h.faults = &faults{secret: func() string { return h.vault.one("key in the wrong place") }}
	h.log = slog.New(slog.NewMultiHandler(
		slog.NewTextHandler(h.tape.to("logs/text"), &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}),
		slog.NewJSONHandler(h.tape.to("logs/json"), &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}),
	))
	h.base = homeDir(t)
	h.dir = h.newDir("data")
	if postgres {
		u, err := url.Parse(storetest.NewPostgres(t))
		if err != nil {
			t.Fatal("the URL of the database cannot be understood") // its error quotes it
		}
		if password, ok := u.User.Password(); ok {
			h.vault.learn("password of the database", password)
		} else { // it is not asked for
			u.User = url.UserPassword(u.User.Username(), h.vault.one("password of the database"))
		}
		h.pg = u.String()
		h.wal = h.walPosition()
	}
	h.openai = newVendor(t, "openai", h.tape, func() string { return h.vault.one("answer") })
	h.anthropic = newVendor(t, "anthropic", h.tape, func() string { return h.vault.one("answer") })
	h.proxy = newProxy(t, h.tape, func() (key, token string) {
		return h.vault.one("secret key of an AWS session"), h.vault.one("token of an AWS session")
	})
	h.hook = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head, _ := httputil.DumpRequest(r, false) // without its body it cannot fail
		body, _ := io.ReadAll(r.Body)             // what there is of it will do
		h.tape.write("webhook head", head)
		h.tape.write("webhook bodies", body)
		if len(body)%3 == 0 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(h.hook.Close)
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	h.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return h
}

// newDir makes a directory that only its owner can read.
func (h *house) newDir(name string) string {
	h.t.Helper()
	dir := filepath.Join(h.base, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		h.t.Fatal(err)
	}
	return dir
}

// hookURL is where checkpoints are sent, with two secrets in it.
func (h *house) hookURL() string {
	return strings.Replace(h.hook.URL, "http://", "http://ada:"+h.vault.one("password of a webhook")+"@", 1) +
		"/hook?key=" + h.vault.one("secret in the URL of a webhook")
}

// config returns the settings of a server in a directory.
func (h *house) config(dir string, flags ...string) (config.Config, error) {
	var cfg config.Config
	fs := pflag.NewFlagSet("server", pflag.ContinueOnError)
	fs.SetOutput(h.tape.to("program output/flags"))
	cfg.Bind(fs)
	all := []string{"--data-dir=" + dir, "--http-address=127.0.0.1:0", "--shutdown-timeout=2s"}
	if h.pg != "" {
		all = append(all, "--database-url="+h.pg)
	}
	if err := fs.Parse(append(all, flags...)); err != nil {
		return cfg, err
	}
	return cfg, cfg.Load(fs, h.lookup)
}

func (h *house) options() app.Options {
	return app.Options{
		Version: client.Version{Version: "canary"}, Log: h.log, Stdout: h.tape.to("program output/checkpoints"), Before: h.faults.before,
	}
}

// open starts a server and serves until the test is over or h.stop is called.
func (h *house) open(flags ...string) {
	h.t.Helper()
	cfg, err := h.config(h.dir, append([]string{
		"--oidc-providers=" + h.identityProvider(),
		"--audit-checkpoints=stdout,file:" + filepath.Join(h.dir, "audit-checkpoints") + "," + h.hookURL(),
	}, flags...)...)
	if err != nil {
		h.t.Fatal(err)
	}
	s, err := app.NewServer(h.t.Context(), cfg, h.options())
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background()) // outlives the test's context, which ends before the clean-up
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }() // ends with stop
	h.stop = sync.OnceValue(func() error { cancel(); return <-served })
	stop := h.stop
	h.t.Cleanup(func() {
		if err := stop(); err != nil {
			h.t.Errorf("serve: %v", err)
		}
	})
	h.url = s.URL()
	h.learn()
}

// close stops the server.
func (h *house) close() {
	h.t.Helper()
	if err := h.stop(); err != nil {
		h.t.Errorf("serve: %v", err)
	}
}

// learn has what the product made searched for.
func (h *house) learn() {
	h.t.Helper()
	h.learnFiles(h.dir)
	b, err := os.ReadFile(filepath.Join(h.dir, "owner-token"))
	if err != nil {
		h.t.Fatal(err)
	}
	h.owner = strings.TrimSpace(string(b))
	h.learnDataKeys()
}

// learnFiles has the secrets searched for that are in a data directory, which
// may be half made.
func (h *house) learnFiles(dir string) {
	if b, err := os.ReadFile(filepath.Join(dir, "encryption-key")); err == nil {
		h.vault.learn("encryption key", strings.TrimSpace(string(b)))
	}
	if b, err := os.ReadFile(filepath.Join(dir, "owner-token")); err == nil {
		h.vault.learn("owner's token", strings.TrimSpace(string(b)))
	}
}

// An answer is what came back, the zero answer if nothing did.
type answer struct {
	status int
	body   []byte
}

// field returns a member of a JSON answer.
func (a answer) field(name string) string {
	var doc map[string]any
	if json.Unmarshal(a.body, &doc) != nil {
		return ""
	}
	s, _ := doc[name].(string)
	return s
}

// api sends a request to the API; body is JSON, or is encoded as it.
func (h *house) api(method, path string, body any) answer {
	return h.apiAs(h.owner, method, path, body)
}

func (h *house) apiAs(token, method, path string, body any) answer {
	text, ok := body.(string)
	if !ok && body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			h.t.Error(err)
		}
		text = string(b)
	}
	req, err := http.NewRequestWithContext(h.faults.client(h.t.Context()), method, h.url+path, strings.NewReader(text))
	if err != nil {
		h.tape.write("errors/of clients", []byte(method+": a path that cannot be sent")) // its error quotes it
		return answer{}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	where := "API answers/all"
	if method == http.MethodPost && path == "/api/v1/tokens" {
		where = "API answers/new token"
	}
	a := h.send(where, req)
	if token := a.field("token"); token != "" && where == "API answers/new token" {
		h.vault.learn("token", token)
	}
	return a
}

// send sends a request and writes what comes back to the tape.
func (h *house) send(where string, req *http.Request) answer {
	res, err := h.http.Do(req)
	if err != nil {
		return answer{} // a client's error is not Gatehouse's; it quotes the URL
	}
	defer res.Body.Close()
	head, _ := httputil.DumpResponse(res, false) // without its body it cannot fail
	body, _ := io.ReadAll(res.Body)              // what there is of one that is cut off will do
	h.tape.write(where, append(head, body...))
	h.mu.Lock()
	h.statuses[fmt.Sprint(strings.Fields(where)[0], " ", res.StatusCode)]++
	h.mu.Unlock()
	return answer{res.StatusCode, body}
}

// ask sends a request to the gateway, with a prompt.
func (h *house) ask(provider, path, token string, stream bool, change func(*http.Request)) answer {
	prompt, err := json.Marshal(h.vault.one("prompt"))
	if err != nil {
		h.t.Error(err)
	}
	body := fmt.Sprintf(`{"model":"m","stream":%v,"messages":[{"role":"user","content":%s}]}`, stream, prompt)
	url := h.url + "/ai/" + provider + path + "?trace=" + h.vault.one("query of a gateway request")
	req, err := http.NewRequestWithContext(h.faults.client(h.t.Context()), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		h.t.Error("a path that cannot be sent")
		return answer{}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Anthropic-Version", "2023-06-01")
	if change != nil {
		change(req)
	}
	return h.send("gateway answers", req)
}

// name returns one for a provider that there is none of.
func (h *house) name() string {
	h.names++
	return fmt.Sprintf("p-%d", h.names)
}

// eventually waits for what another goroutine brings about.
func (h *house) eventually(what string, ok func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Errorf("it never came to pass: %s", what)
			return
		}
	}
}
