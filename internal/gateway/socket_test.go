package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"
	"github.com/tidwall/gjson"

	"github.com/gatehousehq/gatehouse/internal/gateway"
	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/token"
	"github.com/gatehousehq/gatehouse/internal/upstream/azure"
	"github.com/gatehousehq/gatehouse/internal/usage"
)

// A socketUpstream speaks WebSocket as OpenAI does: it answers each message with
// what it was sent, and what that used. Keys that are not in good are refused with
// their status.
type socketUpstream struct {
	refuse map[string]int // by key id
	open   atomic.Int64

	mu       sync.Mutex
	requests []*http.Request
	messages []string
	ended    []websocket.StatusCode
}

func (u *socketUpstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	u.requests = append(u.requests, r)
	u.mu.Unlock()
	for id, status := range u.refuse {
		if r.Header.Get("Authorization") == "Bearer "+key(id).Secret.Reveal() {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(status)
			fmt.Fprint(w, `{"error":{"message":"no","type":"x","code":null}}`)
			return
		}
	}
	w.Header().Set("X-Request-Id", "req_1")
	w.Header().Set("Set-Cookie", "a=b")
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"realtime"}, InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer c.CloseNow()
	u.open.Add(1)
	defer u.open.Add(-1)
	c.SetReadLimit(1 << 20)
	for {
		kind, b, err := c.Read(r.Context())
		if err != nil {
			u.mu.Lock()
			u.ended = append(u.ended, websocket.CloseStatus(err))
			u.mu.Unlock()
			return
		}
		u.mu.Lock()
		u.messages = append(u.messages, string(b))
		u.mu.Unlock()
		if kind == websocket.MessageBinary {
			_ = c.Write(r.Context(), kind, b)
			continue
		}
		model := gjson.GetBytes(b, "model").String()
		_ = c.Write(r.Context(), websocket.MessageText, fmt.Appendf(nil, `{"type":"response.created","response":{"model":%q,"usage":null}}`, model))
		_ = c.Write(r.Context(), websocket.MessageText, fmt.Appendf(nil, `{"type":"echo","usage_of":"none","said":%q}`, b))
		_ = c.Write(r.Context(), websocket.MessageText, fmt.Appendf(nil,
			`{"type":"response.completed","response":{"model":%q,"usage":{"input_tokens":10,"input_tokens_details":{"cached_tokens":4},"output_tokens":3,"output_tokens_details":{"reasoning_tokens":1}}}}`, model))
	}
}

func (u *socketUpstream) seen() (requests []*http.Request, messages []string, ended []websocket.StatusCode) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.requests), slices.Clone(u.messages), slices.Clone(u.ended)
}

// openAISocket adds a provider that speaks WebSocket.
func (h *house) openAISocket(refuse map[string]int, keys ...routing.Key) *socketUpstream {
	u := &socketUpstream{refuse: refuse}
	h.upstream(routing.OpenAI, u.ServeHTTP, keys...)
	return u
}

// dial opens a WebSocket through the gateway.
func (h *house) dial(path string, opts *websocket.DialOptions) (*websocket.Conn, *http.Response, error) {
	h.t.Helper()
	req := h.request("GET", path, "")
	if opts == nil {
		opts = &websocket.DialOptions{HTTPHeader: req.Header}
	}
	opts.HTTPClient = h.client
	c, res, err := websocket.Dial(h.t.Context(), req.URL.String(), opts)
	if c != nil {
		c.SetReadLimit(1 << 20)
		h.t.Cleanup(func() { _ = c.CloseNow() })
	}
	return c, res, err
}

func (h *house) opens(path string, opts *websocket.DialOptions) (*websocket.Conn, *http.Response) {
	h.t.Helper()
	c, res, err := h.dial(path, opts)
	if err != nil {
		h.t.Fatalf("%s: %v", path, err)
	}
	return c, res
}

// utters writes a message and reads three.
func utters(t *testing.T, c *websocket.Conn, message string) (last string) {
	t.Helper()
	if err := c.Write(t.Context(), websocket.MessageText, []byte(message)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		_, b, err := c.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		last = string(b)
	}
	return last
}

// closedWith reads until the connection ends, and returns the code it ends with.
func closedWith(t *testing.T, c *websocket.Conn) websocket.StatusCode {
	t.Helper()
	for {
		if _, _, err := c.Read(t.Context()); err != nil {
			return websocket.CloseStatus(err)
		}
	}
}

// A WebSocket goes on to the next key as long as no upstream has agreed; then
// messages pass as they are, and what they used is added up.
func TestSocketsFailOverAndAreMetered(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	u := h.openAISocket(map[string]int{"limited": 429, "wrong": 401, "broken": 500}, key("limited"), key("wrong"), key("broken"), key("good"))
	c, res := h.opens("/ai/openai/v1/responses", nil)
	if res.Header.Get("X-Gatehouse-Request-Id") == "" || res.Header.Get("X-Request-Id") != "req_1" || res.Header.Get("Set-Cookie") != "" {
		t.Errorf("the answer has the headers %v", res.Header)
	}
	long := strings.Repeat("x", 100_000)
	first := `{"type":"response.create","model":"gpt-x","input":"` + long + `"}`
	utters(t, c, first)
	utters(t, c, `{"type":"response.create","model":"gpt-y","input":[]}`)
	if err := c.Close(websocket.StatusNormalClosure, "bye"); err != nil {
		t.Errorf("closing: %v", err)
	}
	rec := h.record()
	want := usage.Tokens{Input: 20, Output: 6, CacheRead: 8, Reasoning: 2, Known: true}
	if rec.Status != 101 || rec.Reason != "" || rec.Tokens != want || rec.Model != "gpt-x" || rec.ActualModel != "gpt-x" || rec.Endpoint != "responses/socket" || len(rec.Attempts) != 4 {
		t.Errorf("recorded as %+v", rec)
	}
	if rec.RequestBytes < int64(len(long)) || rec.ResponseBytes < int64(len(long)) || rec.FirstByte < 0 || rec.Attempts[3].Outcome != usage.OK {
		t.Errorf("recorded as %+v", rec)
	}
	for id, want := range map[string]string{"limited": "cooling", "wrong": "failed", "broken": "ready", "good": "ready"} {
		if got := h.pool.State(routing.Key{ID: id}).Name; got != want {
			t.Errorf("the key %s is %s, want %s", id, got, want)
		}
	}
	waitFor(t, "the upstream has its end", func() bool { _, _, ended := u.seen(); return len(ended) == 1 })
	requests, messages, ended := u.seen()
	up := requests[3]
	if up.Header.Get("Authorization") != "Bearer "+key("good").Secret.Reveal() || strings.Contains(fmt.Sprint(up.Header), token.Prefix) {
		t.Error("the upstream got another credential")
	}
	if len(messages) != 2 || messages[0] != first || !slices.Equal(ended, []websocket.StatusCode{websocket.StatusNormalClosure}) {
		t.Errorf("the upstream got %d messages and the end %v", len(messages), ended)
	}
}

// What a browser gives in subprotocols is taken there and does not go up.
func TestSocketCredentialsInSubprotocols(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	u := h.openAISocket(nil, key("k"))
	tok := h.token.Reveal()
	protocols := func(tok string) *websocket.DialOptions {
		return &websocket.DialOptions{Subprotocols: []string{"realtime", "openai-insecure-api-key." + tok, "openai-organization.org-x", "openai-project.p", "openai-beta.realtime-v1", "odd"}}
	}
	c, res := h.opens("/ai/openai/v1/realtime?model=gpt-realtime", protocols(tok))
	if c.Subprotocol() != "realtime" || strings.Contains(fmt.Sprint(res.Header), tok) {
		t.Errorf("the subprotocol is %q", c.Subprotocol())
	}
	_ = c.Close(websocket.StatusNormalClosure, "")
	if rec := h.record(); rec.Model != "gpt-realtime" || rec.Status != 101 || rec.Endpoint != "realtime" {
		t.Errorf("recorded as %+v", rec)
	}
	requests, _, _ := u.seen()
	if got := requests[0].Header.Get("Sec-Websocket-Protocol"); got != "realtime, openai-beta.realtime-v1" {
		t.Errorf("the upstream was offered %q", got)
	}
	if requests[0].Header.Get("Sec-Websocket-Extensions") != "" || requests[0].Header.Get("Origin") != "" {
		t.Error("extensions or the origin go up")
	}
	if _, res, err := h.dial("/ai/openai/v1/realtime", protocols(token.New().Reveal())); err == nil || res.StatusCode != 401 {
		t.Errorf("an unknown token: %v", err)
	}
	// Only with an upgrade is it a credential.
	req := h.request("GET", "/ai/openai/v1/models", "")
	req.Header.Del("Authorization")
	req.Header.Set("Sec-Websocket-Protocol", "openai-insecure-api-key."+tok)
	if a := h.do(req); a.status != 401 {
		t.Errorf("without an upgrade: %d", a.status)
	}
}

func TestSocketsThatAreNotOpened(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	u := h.openAISocket(map[string]int{"none": 404, "old": 426, "bad": 400}, key("good"))
	for name, status := range map[string]int{"none": 426, "old": 426, "bad": 400} {
		h.upstream(routing.OpenAI, u.ServeHTTP, key(name))
		if _, res, err := h.dial("/ai/openai/v1/responses", nil); err == nil || res.StatusCode != status {
			t.Errorf("an upstream that says %s: %v %v", name, res, err)
		}
	}
	h.upstream(routing.OpenAI, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }, key("k"))
	if _, res, err := h.dial("/ai/openai/v1/responses", nil); err == nil || res.StatusCode != 426 {
		t.Errorf("an upstream that answers as to any request: %v", err)
	}
	h.upstream(routing.Azure, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("Azure is asked for %s", r.URL) }, key("k")).Access = &azure.Access{}
	if _, res, err := h.dial("/ai/azure/v1/responses", nil); err == nil || res.StatusCode != 426 {
		t.Errorf("a provider of Azure: %v %v", res, err)
	}
	h.upstream(routing.OpenAI, u.ServeHTTP, key("good"))
	header := func(kv ...string) http.Header {
		out := http.Header{"Authorization": {"Bearer " + h.token.Reveal()}}
		for i := 0; i < len(kv); i += 2 {
			out.Set(kv[i], kv[i+1])
		}
		return out
	}
	host := strings.TrimPrefix(h.server.URL, "http://")
	for _, tc := range []struct {
		name   string
		header http.Header
		status int
	}{
		{"a page of another origin", header("Origin", "https://evil.example"), 403},
		{"a page of no origin", header("Origin", "null"), 403},
		{"a page of a name that begins alike", header("Origin", "http://"+host+".evil.example"), 403},
		{"a page of its own", header("Origin", "http://"+host), 101},
	} {
		_, res, err := h.dial("/ai/openai/v1/responses", &websocket.DialOptions{HTTPHeader: tc.header})
		if res == nil || res.StatusCode != tc.status {
			t.Errorf("%s: %v, %v", tc.name, res, err)
		}
	}
}

// A token that is limited to models says each message's model to nobody else.
func TestSocketsAndLimitsOnModels(t *testing.T) {
	t.Parallel()
	const good = `{"type":"response.create","model":"gpt-5","input":"x"}`
	for _, tc := range []struct{ name, path, first, then string }{
		{"another model", "responses", good, `{"type":"response.create","model":"gpt-6"}`},
		{"no model", "responses", good, `{"type":"response.create","previous_response_id":"r"}`},
		{"an event that is not known", "responses", good, `{"type":"response.other"}`},
		{"two models", "responses", good, `{"type":"response.create","model":"gpt-5","model":"gpt-6"}`},
		{"a model in another case", "responses", good, `{"type":"response.create","model":"gpt-5","Model":"gpt-6"}`},
		{"what is not JSON", "responses", good, `gpt-5`},
		{"two types", "responses", good, `{"type":"response.cancel","type":"response.create"}`},
		{"at once", "responses", "", `{"type":"response.create","model":"gpt-6"}`},
		{"a model of a session", "realtime?model=gpt-5", `{"type":"session.update"}`, `{"type":"session.update","session":{"audio":{"input":{"transcription":{"model":"whisper"}}}}}`},
		{"a model with escapes", "realtime?model=gpt-5", `{"type":"session.update"}`, `{"type":"x","session":{"m\u006fdel":"other"}}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			u := h.openAISocket(nil, key("k"))
			limited := h.addToken(&routing.Token{ID: "m", Use: true, Models: []string{"gpt-5"}}).Reveal()
			c, _ := h.opens("/ai/openai/v1/"+tc.path, &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + limited}}})
			if tc.first != "" {
				utters(t, c, tc.first)
			}
			if err := c.Write(t.Context(), websocket.MessageText, []byte(tc.then)); err != nil {
				t.Fatal(err)
			}
			if got := closedWith(t, c); got != websocket.StatusPolicyViolation {
				t.Errorf("closed with %v", got)
			}
			if rec := h.record(); rec.Reason != "model_denied" || rec.Status != 101 {
				t.Errorf("recorded as %+v", rec)
			}
			if _, messages, _ := u.seen(); slices.Contains(messages, tc.then) {
				t.Error("the message went up")
			}
		})
	}
	t.Run("a list of the provider", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		h.openAISocket(nil, key("k"))
		limited := *h.snapshot.Load().Provider("openai")
		limited.Models = []string{"gpt-5"}
		h.addProvider(&limited)
		if _, res, err := h.dial("/ai/openai/v1/realtime?model=gpt-6", nil); err == nil || res.StatusCode != 403 {
			t.Errorf("by the query: %v", err)
		}
		h.record()
		c, _ := h.opens("/ai/openai/v1/responses", nil)
		utters(t, c, good)
		_ = c.Write(t.Context(), websocket.MessageText, []byte(`{"model":"gpt-6"}`))
		if got := closedWith(t, c); got != websocket.StatusPolicyViolation {
			t.Errorf("closed with %v", got)
		}
		if rec := h.record(); rec.Reason != "model_denied" {
			t.Errorf("recorded as %+v", rec)
		}
	})
	h := newHouse(t)
	h.openAISocket(nil, key("k"))
	limited := h.addToken(&routing.Token{ID: "m", Use: true, Models: []string{"gpt-5"}}).Reveal()
	for _, query := range []string{"", "?model=gpt-6", "?model=gpt-5&model=gpt-6", "?call_id=c", "?model=gpt-5&intent=transcription", "?model=gpt-5;x"} {
		if _, res, err := h.dial("/ai/openai/v1/realtime"+query, &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + limited}}}); err == nil || res.StatusCode != 403 {
			t.Errorf("%q: %v", query, err)
		}
	}
}

// A message of a limited token that is in pieces, with a ping between, is put
// together to be looked at, and goes up as it came; one that is too long does not.
func TestSocketMessagesAreLookedAtWhole(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *gateway.Config) { c.MaxReplayBody = 100_000 })
	u := h.openAISocket(nil, key("k"))
	limited := h.addToken(&routing.Token{ID: "m", Use: true, Models: []string{"gpt-5"}}).Reveal()
	c, _ := h.opens("/ai/openai/v1/responses", &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + limited}}})
	w, err := c.Writer(t.Context(), websocket.MessageText)
	if err != nil {
		t.Fatal(err)
	}
	whole := `{"type":"response.create","input":"` + strings.Repeat("y", 60_000) + `","model":"gpt-5"}`
	for piece := range slices.Chunk([]byte(whole), 9000) {
		if _, err := w.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, _, err := c.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, messages, _ := u.seen(); len(messages) != 1 || messages[0] != whole {
		t.Errorf("%d messages went up, or not as they came", len(messages))
	}
	_ = c.Write(t.Context(), websocket.MessageText, []byte(`{"model":"gpt-5","x":"`+strings.Repeat("z", 300_000)+`"}`)) // it may be cut off
	if got := closedWith(t, c); got != websocket.StatusMessageTooBig && got != -1 {
		t.Errorf("closed with %v", got)
	}
	if rec := h.record(); rec.Reason != "model_too_large" {
		t.Errorf("recorded as %+v", rec)
	}
}

func TestSocketRequestsCountByTheMinute(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.openAISocket(nil, key("k"))
	limited := h.addToken(&routing.Token{ID: "m", Use: true, RPM: 2}).Reveal()
	c, _ := h.opens("/ai/openai/v1/responses", &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + limited}}})
	const create = `{"type":"response.create","model":"m"}`
	utters(t, c, create) // the one that the WebSocket itself was counted for
	utters(t, c, create)
	utters(t, c, `{"type":"other"}`)
	_ = c.Write(t.Context(), websocket.MessageText, []byte(create))
	if got := closedWith(t, c); got != websocket.StatusPolicyViolation {
		t.Errorf("closed with %v", got)
	}
	if rec := h.record(); rec.Reason != "token_rate" {
		t.Errorf("recorded as %+v", rec)
	}
}
