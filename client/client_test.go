package client_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/client/clienttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// canary stands for a secret that must not be seen.
const canary = "sk-canary-0123456789-abcdef"

func start(t *testing.T) (*clienttest.Server, *client.Client) {
	t.Helper()
	s := clienttest.NewServer()
	c := connect(t, s.URL, s.Token)
	t.Cleanup(s.Close)
	return s, c
}

// connect returns a client whose connections end with the test.
func connect(t *testing.T, url, token string) *client.Client {
	t.Helper()
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	c, err := client.New(url, token, client.WithHTTPClient(&http.Client{Transport: tr}))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func addProvider(t *testing.T, c *client.Client, name string, keys ...string) client.Provider {
	t.Helper()
	p, err := c.CreateProvider(t.Context(), client.CreateProvider{
		Type: client.OpenAI, Name: name, BaseURL: "https://api.example.com/v1", APIKeys: keys,
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// refusal returns err as an Error with that status.
func refusal(t *testing.T, err error, status int) *client.Error {
	t.Helper()
	e, ok := errors.AsType[*client.Error](err)
	if !ok {
		t.Fatalf("got error %v, want a *client.Error", err)
	}
	if e.Status != status {
		t.Fatalf("got status %d (%v), want %d", e.Status, err, status)
	}
	return e
}

func TestProviderFromCreationToRemoval(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	made := addProvider(t, c, "openai", canary)
	if made.Revision != 1 || !made.Enabled || len(made.APIKeys) != 1 || made.APIKeys[0].State != client.KeyReady {
		t.Errorf("created %+v, want it enabled, at revision 1, with one ready key", made)
	}
	for _, ref := range []string{"openai", made.ID} {
		got, err := c.Provider(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(made, got); diff != "" {
			t.Errorf("read by %s differs from created (-want +got):\n%s", ref, diff)
		}
	}
	got, err := c.UpdateProvider(t.Context(), "openai", made.Revision, client.UpdateProvider{DisplayName: client.Set("Main")})
	if err != nil {
		t.Fatal(err)
	}
	want := made
	want.DisplayName, want.Revision = new("Main"), 2
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(client.Provider{}, "UpdatedAt")); diff != "" {
		t.Errorf("after the update (-want +got):\n%s", diff)
	}
	if err := c.DeleteProvider(t.Context(), "openai", got.Revision); err != nil {
		t.Fatal(err)
	}
	_, err = c.Provider(t.Context(), "openai")
	refusal(t, err, http.StatusNotFound)
}

func TestKeyFromCreationToRemoval(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	addProvider(t, c, "openai")
	if _, err := c.CreateKey(t.Context(), "openai", client.AddKey{APIKey: "first-key", Position: new(int64(2))}); err != nil {
		t.Fatal(err)
	}
	expires := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	k, err := c.CreateKey(t.Context(), "openai", client.AddKey{APIKey: canary, Label: "spare", Position: new(int64(1)), ExpiresAt: &expires})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{canary, "first-key"}, s.KeysOf("openai")); diff != "" {
		t.Errorf("position 1 does not come before 2 (-want +got):\n%s", diff)
	}
	got, err := c.UpdateKey(t.Context(), "openai", k.ID, 3, client.UpdateKey{Disabled: new(true), ExpiresAt: client.Null[time.Time]()})
	if err != nil {
		t.Fatal(err)
	}
	if got.ExpiresAt != nil || got.State != client.KeyDisabled || got.Label != "spare" {
		t.Errorf("got %+v, want no expiry, disabled, and the label kept", got)
	}
	read, err := c.Key(t.Context(), "openai", k.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, read); diff != "" {
		t.Errorf("read differs from updated (-want +got):\n%s", diff)
	}
	refusal(t, c.DeleteKey(t.Context(), "openai", k.ID, 3), http.StatusPreconditionFailed)
	if err := c.DeleteKey(t.Context(), "openai", k.ID, 4); err != nil {
		t.Fatal(err)
	}
	refusal(t, c.DeleteKey(t.Context(), "openai", k.ID, 0), http.StatusNotFound)
}

func TestTokenFromCreationToRevocation(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	made, err := c.CreateToken(t.Context(), client.CreateToken{Name: "ci", Scopes: []string{"api_key:read"}, Providers: []string{"openai"}})
	if err != nil {
		t.Fatal(err)
	}
	ci := connect(t, s.URL, made.Secret)
	got, err := ci.Token(t.Context(), made.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(made.Token, got); diff != "" {
		t.Errorf("read differs from created (-want +got):\n%s", diff)
	}
	if got.Models != nil {
		t.Errorf("got models %v, want nil for any", got.Models)
	}
	_, err = ci.CreateToken(t.Context(), client.CreateToken{Name: "more", Scopes: []string{"all"}})
	refusal(t, err, http.StatusForbidden)
	if err := c.DeleteToken(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	_, err = ci.Token(t.Context(), made.ID)
	refusal(t, err, http.StatusUnauthorized)
}

func TestIteratorsReadEveryPageOnce(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	var want []string
	for i := range 120 {
		want = append(want, fmt.Sprintf("p-%03d", i))
		addProvider(t, c, want[i])
	}
	var got []string
	for p, err := range c.Providers(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, p.Name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("providers (-want +got):\n%s", diff)
	}
	n := 0
	for e, err := range c.Audit(t.Context(), client.AuditFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if want := int64(120 - n); e.Index != want {
			t.Fatalf("entry %d has index %d, want %d: newest first", n, e.Index, want)
		}
		n++
	}
	if n != 120 {
		t.Errorf("the audit log has %d entries, want 120", n)
	}

	before := len(s.Requests())
	for range c.Providers(t.Context()) {
		break
	}
	if asked := len(s.Requests()) - before; asked != 1 {
		t.Errorf("stopping at the first item took %d requests, want 1", asked)
	}
	page, err := c.ListProviders(t.Context(), client.ListOptions{Limit: 7, Cursor: "3"})
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Items) != 7 || page.Items[0].Name != "p-003" || page.NextCursor == nil {
		t.Errorf("got %d items from %s, want 7 from p-003 and a cursor", len(page.Items), page.Items[0].Name)
	}
}

func TestIteratorEndsWithItsError(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	c := connect(t, s.URL, "gate_wrong")
	n := 0
	for _, err := range c.Tokens(t.Context()) {
		refusal(t, err, http.StatusUnauthorized)
		n++
	}
	for _, err := range c.Keys(t.Context(), "openai") {
		refusal(t, err, http.StatusUnauthorized)
		n++
	}
	if n != 2 {
		t.Errorf("yielded %d times, want once each", n)
	}
}

func TestIteratorRefusesACursorThatGoesNowhere(t *testing.T) {
	t.Parallel()
	c := connect(t, serve(t, http.StatusOK, "application/json", `{"items":[],"next_cursor":"same"}`), "gate_x")
	var last error
	for _, err := range c.Tokens(t.Context()) {
		last = err
	}
	if last == nil || !strings.Contains(last.Error(), "cursor") {
		t.Errorf("got %v, want an error about the cursor", last)
	}
}

func TestRevisionIsSentAsIfMatch(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	p := addProvider(t, c, "openai")
	s.EditBehind("openai")
	_, err := c.UpdateProvider(t.Context(), p.ID, p.Revision, client.UpdateProvider{Enabled: new(false)})
	refusal(t, err, http.StatusPreconditionFailed)
	got, err := c.UpdateProvider(t.Context(), p.ID, 0, client.UpdateProvider{Enabled: new(false)})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteProvider(t.Context(), p.ID, got.Revision); err != nil {
		t.Fatal(err)
	}
	var sent []string
	for _, r := range s.Requests()[1:] {
		sent = append(sent, r.Method+" "+r.Header.Get("If-Match"))
	}
	if diff := cmp.Diff([]string{`PATCH "1"`, "PATCH ", `DELETE "3"`}, sent); diff != "" {
		t.Errorf("If-Match (-want +got):\n%s", diff)
	}
}

func TestDeletedProviderIsRestoredOrPurged(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	p, other := addProvider(t, c, "openai"), addProvider(t, c, "other")
	if err := c.DeleteProvider(t.Context(), p.ID, p.Revision); err != nil {
		t.Fatal(err)
	}
	_, err := c.Provider(t.Context(), p.ID)
	refusal(t, err, http.StatusNotFound)
	gone, err := c.Provider(t.Context(), p.ID, client.IncludeDeleted())
	if err != nil || !gone.Deleted {
		t.Fatalf("got %+v, %v", gone, err)
	}
	names := func(opts ...client.ProviderOption) (out []string) {
		for p, err := range c.Providers(t.Context(), opts...) {
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, p.Name)
		}
		return out
	}
	if diff := cmp.Diff([][]string{names(), names(client.IncludeDeleted())}, [][]string{{"other"}, {"openai", "other"}}); diff != "" {
		t.Errorf("providers (-got +want):\n%s", diff)
	}
	page, err := c.ListProviders(t.Context(), client.ListOptions{Limit: 1}, client.IncludeDeleted())
	if err != nil || len(page.Items) != 1 || page.NextCursor == nil {
		t.Errorf("got %+v, %v, want one and a cursor", page, err)
	}

	_, err = c.RestoreProvider(t.Context(), other.ID, 0)
	refusal(t, err, http.StatusConflict)
	refusal(t, c.PurgeProvider(t.Context(), other.ID, 0), http.StatusConflict)
	refusal(t, c.PurgeProvider(t.Context(), p.ID, p.Revision), http.StatusPreconditionFailed)
	back, err := c.RestoreProvider(t.Context(), p.ID, gone.Revision)
	if err != nil || back.Deleted || back.Enabled {
		t.Errorf("got %+v, %v", back, err)
	}
	if err := c.DeleteProvider(t.Context(), p.ID, back.Revision); err != nil {
		t.Fatal(err)
	}
	if err := c.PurgeProvider(t.Context(), p.ID, 0); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(names(client.IncludeDeleted()), []string{"other"}); diff != "" {
		t.Errorf("purged (-got +want):\n%s", diff)
	}
	sent := s.Requests()[len(s.Requests())-2]
	if got, want := sent.Method+" "+sent.Path+" "+sent.Body, "POST /api/v1/ai/providers/"+p.ID+"/purge "; got != want {
		t.Errorf("sent %q, want %q", got, want)
	}
}

func TestChangesSayWhatToKeepClearAndSet(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		req  any
		want string
	}{
		"zero keeps everything":    {client.UpdateProvider{}, `{}`},
		"null clears":              {client.UpdateProvider{DisplayName: client.Null[string](), Settings: client.Null[json.RawMessage]()}, `{"display_name":null,"settings":null}`},
		"a value sets":             {client.UpdateProvider{DisplayName: client.Set(""), Enabled: new(false), BaseURL: new("http://h")}, `{"display_name":"","enabled":false,"base_url":"http://h"}`},
		"settings are passed on":   {client.UpdateProvider{Settings: client.Set(json.RawMessage(`{"_type":"bedrock"}`))}, `{"settings":{"_type":"bedrock"}}`},
		"an empty list removes":    {client.UpdateProvider{APIKeys: []client.KeepOrAdd{}}, `{"api_keys":[]}`},
		"keys are kept or added":   {client.UpdateProvider{APIKeys: []client.KeepOrAdd{{ID: "k1"}, {APIKey: "new"}}}, `{"api_keys":[{"id":"k1"},{"api_key":"new"}]}`},
		"zero keeps a key":         {client.UpdateKey{}, `{}`},
		"null clears an expiry":    {client.UpdateKey{ExpiresAt: client.Null[time.Time]()}, `{"expires_at":null}`},
		"empty and zero are set":   {client.UpdateKey{Label: new(""), Position: new(int64(0)), Disabled: new(false)}, `{"label":"","position":0,"disabled":false}`},
		"creation leaves out nil":  {client.CreateProvider{Type: client.OpenAI, Name: "a", BaseURL: "http://h"}, `{"type":"openai","name":"a","base_url":"http://h"}`},
		"a token for any provider": {client.CreateToken{Name: "a", Scopes: []string{"all"}}, `{"name":"a","scopes":["all"]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := json.Marshal(tt.req)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestModels(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status int
		body   string
		want   []string
		err    string
	}{
		"a list":            {200, `{"object":"list","data":[{"id":"a"},{"id":"b"}]}`, []string{"a", "b"}, ""},
		"a bare array":      {200, `[{"id":"a"}]`, []string{"a"}, ""},
		"no models":         {200, `{"data":null}`, []string{}, ""},
		"refused":           {502, `{"error":{"message":"no key works","type":"server_error"}}`, nil, "no key works (502)"},
		"Anthropic refuses": {502, `{"type":"error","error":{"type":"api_error","message":"no key works"}}`, nil, "no key works (502)"},
		"not JSON":          {200, `hello`, nil, "does not answer with a list of models"},
		"an error page":     {404, `404 page not found`, nil, "does not answer with a list of models"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := start(t)
			s.SetModels("openai", tt.status, tt.body)
			got, err := c.Models(t.Context(), "openai")
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("got error %v, want %q", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("models (-want +got):\n%s", diff)
			}
		})
	}
}

func TestServerVersionAndUserAgent(t *testing.T) {
	t.Parallel()
	s := clienttest.NewServer()
	t.Cleanup(s.Close)
	c, err := client.New(s.URL+"/", s.Token, client.WithUserAgent("test/1"), client.WithHTTPClient(s.Client()))
	if err != nil {
		t.Fatal(err)
	}
	v, err := c.ServerVersion(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if v.Version != "0.0.0-test" {
		t.Errorf("got version %q, want 0.0.0-test", v.Version)
	}
	if got := s.Requests()[0].Header.Get("User-Agent"); got != "test/1" {
		t.Errorf("got User-Agent %q, want test/1", got)
	}
	if c.URL() != s.URL {
		t.Errorf("got URL %q, want %q", c.URL(), s.URL)
	}
}
