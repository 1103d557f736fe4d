package clients_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/mockupstream"
	"github.com/gatehousehq/gatehouse/test/clients/realserver"
)

// A talker is an upstream of WebSockets: it answers each response.create with what
// it was told, and counts. The first key is rate limited.
type talker struct {
	mu      sync.Mutex
	refused int
	counted map[string]mockupstream.Usage // by path
}

func (u *talker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+openaiGood {
		u.mu.Lock()
		u.refused++
		u.mu.Unlock()
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
		fmt.Fprint(w, `{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}`)
		return
	}
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"realtime"}})
	if err != nil {
		return
	}
	defer c.CloseNow()
	for {
		_, b, err := c.Read(r.Context())
		if err != nil {
			return
		}
		event, details, text := "response.completed", "input_tokens_details", gjson.GetBytes(b, "input").String()
		if strings.HasSuffix(r.URL.Path, "/realtime") {
			event, details, text = "response.done", "input_token_details", gjson.GetBytes(b, "response.instructions").String()
		}
		used := mockupstream.Usage{Input: 10 + len(text), Output: len(text), CacheRead: 2}
		u.mu.Lock()
		u.counted[r.URL.Path] = sum(u.counted[r.URL.Path], used)
		u.mu.Unlock()
		_ = c.Write(r.Context(), websocket.MessageText, fmt.Appendf(nil, `{"type":"response.created","response":{"model":"mock","usage":null}}`))
		_ = c.Write(r.Context(), websocket.MessageText, fmt.Appendf(nil,
			`{"type":%q,"response":{"model":"mock","output_text":%q,"usage":{"input_tokens":%d,%q:{"cached_tokens":%d},"output_tokens":%d}}}`,
			event, "you said "+text, used.Input, details, used.CacheRead, used.Output))
	}
}

// TestSockets has OpenAI's SDK, and a WebSocket as a browser's, talk through
// Gatehouse, with a failover when the first is opened. What is recorded is what the
// upstream counted.
func TestSockets(t *testing.T) {
	t.Parallel()
	needNode(t, "openai", "ws")
	up := &talker{counted: map[string]mockupstream.Usage{}}
	upstream := httptest.NewServer(up)
	t.Cleanup(upstream.Close)
	srv := startServer(t, "")
	provider(t, srv, "openai", upstream.URL, openaiLimited, openaiGood)
	out, err := runSDKs(t, srv.URL, newToken(t, srv, "sockets"), "node", "sockets.mjs")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var report struct {
		Said []string
		Used struct{ Input, Output int }
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("not a report: %v: %s", err, out)
	}
	if diff := cmp.Diff([]string{"you said first", "you said second", "you said third"}, report.Said); diff != "" {
		t.Errorf("what was said (-want +got):\n%s", diff)
	}
	up.mu.Lock()
	defer up.mu.Unlock()
	all := sum(up.counted["/v1/responses"], up.counted["/v1/realtime"])
	if all.Input != report.Used.Input || all.Output != report.Used.Output || up.refused != 1 {
		t.Errorf("the client counted %+v, the upstream %+v, and it refused %d", report.Used, all, up.refused)
	}
	for path, want := range up.counted {
		rec := recordedSocket(t, srv, strings.TrimPrefix(path, "/v1/"))
		got := mockupstream.Usage{Input: int(rec.Tokens.Input), Output: int(rec.Tokens.Output), CacheRead: int(rec.Tokens.CacheRead)}
		if got != want || rec.Status != http.StatusSwitchingProtocols || rec.Reason != "" {
			t.Errorf("%s: recorded as %+v, want %+v", path, rec, want)
		}
	}
}

// recordedSocket waits for the record of a WebSocket of that path.
func recordedSocket(t *testing.T, srv *realserver.Server, path string) client.Interception {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(recordedTimeout); ; <-tick.C {
		var page client.Page[client.Interception]
		if _, err := srv.Call(t.Context(), http.MethodGet, "/api/v1/interceptions?limit=500&provider=openai", nil, &page); err != nil {
			t.Fatal(err)
		}
		for _, rec := range page.Items {
			if rec.Path == path && rec.Tokens != nil {
				return rec
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("there is no record of %s: %+v", path, page.Items)
		}
	}
}
