package gateway_test

import (
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/awscredentials"
	"github.com/gatehousehq/gatehouse/internal/gateway"
	"github.com/gatehousehq/gatehouse/internal/mockupstream"
	"github.com/gatehousehq/gatehouse/internal/mockupstream/mockbedrock"
	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/transport"
	"github.com/gatehousehq/gatehouse/internal/upstream/azure"
	"github.com/gatehousehq/gatehouse/internal/upstream/bedrock"
)

var (
	pairLimited = routing.Key{ID: "limited", Secret: secret.New("AKIDLIMITED:secret-of-the-limited")}
	pairWrong   = routing.Key{ID: "wrong", Secret: secret.New("AKIDGOOD0001:not-the-secret-of-it")}
	pairGood    = routing.Key{ID: "good", Secret: secret.New("AKIDGOOD0001:the+secret/of/the/good")}
	bearerGood  = routing.Key{ID: "bearer", Secret: secret.New("ABSKQmVkcm9ja0FQSUtleS1nb29k")}
)

// amazon adds a provider on a mock of Bedrock.
func (h *house) amazon(path string, keys ...routing.Key) *routing.Provider {
	h.t.Helper()
	behind := mockupstream.New(mockupstream.Config{
		Keys: map[secret.Text]mockupstream.Key{
			pairLimited.Secret: {Label: "limited", Behaviour: mockupstream.RateLimited}, pairGood.Secret: {Label: "good"}, bearerGood.Secret: {Label: "bearer"},
		},
		RetryAfter: time.Hour,
	})
	p := h.upstream(routing.Bedrock, (&mockbedrock.Bedrock{
		Behind: behind, Region: "eu-central-1", Keys: []secret.Text{pairLimited.Secret, pairGood.Secret, bearerGood.Secret}, Now: h.clock,
	}).ServeHTTP, keys...)
	p.Access = &bedrock.Access{Region: "eu-central-1", Model: "eu.anthropic.big-v1:0"}
	p.BaseURL.Path += path
	return p
}

// Requests to Bedrock fail over, stream, and are metered as those to Anthropic.
func TestBedrock(t *testing.T) {
	t.Parallel()
	for _, native := range []string{"", "/anthropic"} {
		for _, stream := range []bool{false, true} {
			for _, last := range []routing.Key{pairGood, bearerGood} {
				t.Run(fmt.Sprintf("native%s stream=%v %s", native, stream, last.ID), func(t *testing.T) {
					t.Parallel()
					h := newHouse(t)
					h.amazon(native, pairLimited, pairWrong, last)
					req := h.request("POST", "/ai/bedrock/v1/messages", fmt.Sprintf(`{"model":"claude-x","stream":%v,"max_tokens":9,"messages":[{"role":"user","content":"hello there"}]}`, stream))
					req.Header.Set("Anthropic-Version", "2023-06-01")
					req.Header.Set("Anthropic-Beta", "oauth-2025-04-20")
					a := h.do(req)
					if a.status != 200 || !strings.Contains(a.body, "hello") || stream != strings.Contains(a.body, "event: message_stop") {
						t.Fatalf("got %d %s", a.status, a.body)
					}
					rec := h.record()
					if len(rec.Attempts) != 3 || rec.Attempts[2].KeyID != last.ID || !rec.Tokens.Known || rec.Tokens.Output == 0 {
						t.Errorf("recorded as %+v", rec)
					}
					for id, want := range map[string]string{"limited": "ready but for claude-x", "wrong": "failed", last.ID: "ready"} {
						if got := h.state(id); got != want {
							t.Errorf("the key %s is %s, want %s", id, got, want)
						}
					}
					if rec.ActualModel != "eu.anthropic.big-v1:0" {
						t.Errorf("the model that answered is %q", rec.ActualModel)
					}
				})
			}
		}
	}
}

func TestBedrockErrorsAreAnthropics(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *gateway.Config) { c.MaxReplayBody = 1000 })
	h.amazon("", pairGood)
	for _, tc := range []struct {
		name, method, path, body string
		status                   int
	}{
		{"no list of models", "GET", "models", "", 404},
		{"no model", "POST", "messages", `{}`, 400},
		{"a body that is not held", "POST", "messages", `{"model":"m","x":"` + strings.Repeat("x", 1000) + `"}`, 413},
		{"a path that is none", "POST", "files", `{}`, 404},
	} {
		req := h.request(tc.method, "/ai/bedrock/v1/"+tc.path, tc.body)
		a := h.do(req)
		if rec := h.record(); a.status != tc.status || !strings.Contains(a.body, `{"type":"error","error":{"type":`) || rec.Reason == "" {
			t.Errorf("%s: got %d %s, recorded as %+v", tc.name, a.status, a.body, rec)
		}
	}
}

func TestBedrockKeysCanBeTried(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.amazon("", pairGood)
	// A model of the settings is asked for in the place of the one that there is not.
	for _, model := range []string{"", "eu.anthropic.big-v1:0"} {
		p.Access = &bedrock.Access{Region: "eu-central-1", Model: model}
		for key, want := range map[*routing.Key]bool{&pairGood: true, &pairWrong: false, &bearerGood: true} {
			if c := h.gw.Check(context.Background(), p, key); c.OK != want {
				t.Errorf("model %q, %s: %+v", model, key.ID, c)
			}
		}
	}
}

// amazonRole adds a provider on a mock of Bedrock that signs as a role, and returns
// what gives out the role's sessions.
func (h *house) amazonRole(more ...http.HandlerFunc) *mockbedrock.STS {
	h.t.Helper()
	const role = "arn:aws:iam::123456789012:role/claude"
	sts := &mockbedrock.STS{Region: "eu-central-1", Keys: []secret.Text{pairGood.Secret}, Roles: []string{role}}
	service := &mockbedrock.Bedrock{
		Behind: mockupstream.New(mockupstream.Config{Keys: map[secret.Text]mockupstream.Key{bearerGood.Secret: {Label: "role"}}}),
		Region: "eu-central-1", Sessions: sts, SessionKey: bearerGood.Secret, Now: h.clock,
	}
	handler := service.ServeHTTP
	if len(more) > 0 {
		handler = more[0]
	}
	p := h.upstream(routing.Bedrock, handler)
	keeper := awscredentials.New(awscredentials.Config{
		InUse: func() iter.Seq[*awscredentials.Source] { return h.snapshot.Load().Credentials() },
		RoundTrip: func(r *http.Request, _ *transport.Egress) (*http.Response, error) {
			r.Host, r.URL.Path = r.URL.Host, "/"
			w := httptest.NewRecorder()
			sts.ServeHTTP(w, r)
			return w.Result(), nil
		},
		Log: slog.New(slog.DiscardHandler), Now: h.clock,
	})
	source := keeper.Source(awscredentials.Spec{ProviderID: p.ID, Provider: p.Name, Region: "eu-central-1", RoleARN: role, Pair: pairGood.Secret}, nil)
	p.Access = &bedrock.Access{Region: "eu-central-1", Source: source}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); keeper.Run(ctx) }()
	h.t.Cleanup(func() { cancel(); <-done })
	return sts
}

// waiting has no credentials, however long one waits for them.
type waiting struct{ asked chan struct{} }

func (n waiting) Credentials(ctx context.Context) (pair, session secret.Text, err error) {
	close(n.asked)
	<-ctx.Done()
	return pair, session, ctx.Err()
}

func (waiting) Refused() {}

const toClaude = `{"model":"claude-x","max_tokens":9,"messages":[{"role":"user","content":"hello there"}]}`

func TestBedrockByARole(t *testing.T) {
	t.Parallel()
	ask := func(h *house, path string) answer {
		req := h.request("POST", path, toClaude)
		req.Header.Set("Anthropic-Version", "2023-06-01")
		req.Header.Set("X-Amz-Security-Token", "of the client") // goes nowhere
		return h.do(req)
	}
	t.Run("a request is signed by its session", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		sts := h.amazonRole()
		for range 3 {
			a := ask(h, "/ai/bedrock/v1/messages")
			if rec := h.record(); a.status != 200 || !strings.Contains(a.body, "hello") || len(rec.Attempts) != 1 || !rec.Tokens.Known {
				t.Fatalf("got %d %s, recorded as %+v", a.status, a.body, rec)
			}
		}
		if names := sts.Names(); len(names) != 1 || names[0] != "gatehouse-bedrock" {
			t.Errorf("sessions %v", names)
		}
		if c := h.gw.Check(t.Context(), h.snapshot.Load().Provider("bedrock"), nil); !c.OK {
			t.Errorf("the check: %+v", c)
		}
	})
	t.Run("a session that was revoked is refused", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		sts := h.amazonRole()
		ask(h, "/ai/bedrock/v1/messages")
		h.record()
		sts.Revoke()
		a := ask(h, "/ai/bedrock/v1/messages")
		if rec := h.record(); a.status != 502 || rec.Reason != "credentials_refused" || !strings.Contains(a.body, `"type":"error"`) {
			t.Errorf("got %d %s, recorded as %+v", a.status, a.body, rec)
		}
		// Another is asked for then, but not at once.
		h.advance(time.Minute)
		for range 1000 {
			if a = ask(h, "/ai/bedrock/v1/messages"); a.status == 200 {
				break
			}
		}
		if a.status != 200 || len(sts.Names()) != 2 {
			t.Errorf("got %d, with the sessions %v", a.status, sts.Names())
		}
	})
	t.Run("without credentials it is another's turn", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		h.amazonRole().Deny(true)
		a := ask(h, "/ai/bedrock/v1/messages")
		if rec := h.record(); a.status != 503 || rec.Reason != "no_credentials" || a.header.Get("X-Should-Retry") != "false" || len(rec.Attempts) != 1 || rec.Attempts[0].Outcome != "no_credentials" {
			t.Errorf("got %d %s, recorded as %+v", a.status, a.body, rec)
		}
		if c := h.gw.Check(t.Context(), h.snapshot.Load().Provider("bedrock"), nil); c.OK || c.Outcome != "no_credentials" || !strings.Contains(c.Message(), "AWS credentials") {
			t.Errorf("the check: %+v", c)
		}
		h.named("anthropic", routing.Anthropic, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"type":"message"}`)
		}, key("k1"))
		h.addRoute("claude", []string{"bedrock/claude-x", "anthropic/claude-x"})
		req := h.request("POST", "/ai/v1/messages", strings.Replace(toClaude, "claude-x", "claude", 1))
		if a := h.do(req); a.status != 200 || a.body != `{"type":"message"}` {
			t.Errorf("by the route: %d %s", a.status, a.body)
		}
	})
	t.Run("who leaves while they are waited for is gone", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		p := h.upstream(routing.Bedrock, func(http.ResponseWriter, *http.Request) { t.Error("it was sent") })
		source := waiting{make(chan struct{})}
		p.Access = &bedrock.Access{Region: "eu-central-1", Source: source}
		ctx, leave := context.WithCancel(t.Context())
		go func() {
			<-source.asked
			leave()
		}()
		if res, err := h.client.Do(h.request("POST", "/ai/bedrock/v1/messages", toClaude).WithContext(ctx)); err == nil {
			res.Body.Close()
			t.Errorf("got %d", res.StatusCode)
		}
		if rec := h.record(); rec.Status != 499 || rec.Reason != "client_gone" || len(rec.Attempts) != 1 || rec.Attempts[0].Outcome != "client_gone" {
			t.Errorf("recorded as %+v", rec)
		}
	})
	t.Run("an error that shows the session is withheld", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		h.amazonRole(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(400)
			fmt.Fprintf(w, `{"message":"it was %s"}`, r.Header.Get("X-Amz-Security-Token"))
		})
		a := ask(h, "/ai/bedrock/v1/messages")
		if rec := h.record(); a.status != 502 || rec.Reason != "key_in_response" || strings.Contains(a.body, "FwoG") {
			t.Errorf("got %d %s, recorded as %+v", a.status, a.body, rec)
		}
	})
}

// Azure has the deployment in the path, and the key in a header of its own.
func TestAzure(t *testing.T) {
	t.Parallel()
	for version, path := range map[string]string{"": "/openai/v1/chat/completions", "2024-10-21": "/openai/deployments/gpt-x/chat/completions?api-version=2024-10-21"} {
		t.Run("version "+version, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			const body = `{ "model" : "gpt-x", "messages": [] }`
			p := h.upstream(routing.Azure, func(w http.ResponseWriter, r *http.Request) {
				got, _ := io.ReadAll(r.Body)
				if r.URL.RequestURI() != path || string(got) != body || r.Header.Get("Authorization") != "" {
					t.Errorf("%s %s %v", r.URL.RequestURI(), got, r.Header)
				}
				w.Header().Set("Content-Type", "application/json")
				if r.Header.Get("Api-Key") != key("k2").Secret.Reveal() {
					w.WriteHeader(401)
					_, _ = io.WriteString(w, `{"error":{"code":"401","message":"Access denied due to invalid subscription key or wrong API endpoint."}}`)
					return
				}
				_, _ = io.WriteString(w, wholeAnswer)
			}, key("k1"), key("k2"))
			p.Access = &azure.Access{APIVersion: version}
			p.BaseURL.Path = strings.TrimSuffix(strings.Split(path, "/chat")[0], "/deployments/gpt-x")
			a := h.do(h.request("POST", "/ai/azure/v1/chat/completions", body))
			if rec := h.record(); a.status != 200 || a.body != wholeAnswer || len(rec.Attempts) != 2 || rec.Tokens.Input != 12 {
				t.Errorf("got %d %s, recorded as %+v", a.status, a.body, rec)
			}
		})
	}
}
