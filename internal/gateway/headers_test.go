package gateway_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/gateway"
	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/transport"
)

// What the vendors' SDKs, Claude Code and Codex send, and what must not pass.
func TestRequestHeadersPassByList(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	got := make(chan http.Header, 1)
	p := h.upstream(routing.Anthropic, func(w http.ResponseWriter, r *http.Request) { got <- r.Header.Clone() }, key("k"))
	p.Headers = map[string]string{"x-extra": "from the provider", "Anthropic-Beta": "operator's"}

	pass := map[string]string{
		"Accept": "text/event-stream", "Accept-Encoding": "gzip, deflate", "Accept-Language": "*", "Content-Encoding": "identity",
		"Content-Type": "application/json; charset=utf-8", "Idempotency-Key": "stainless-node-retry-1", "User-Agent": "claude-cli/2.1.0 (external, cli)",
		"Anthropic-Version": "2023-06-01", "Anthropic-Dangerous-Direct-Browser-Access": "true", "Anthropic-Client-Platform": "claude_code_vscode",
		"X-App": "cli", "X-Claude-Code-Session-Id": "s", "X-Claude-Code-Agent-Id": "a", "X-Client-Request-Id": "c", "X-Client-App": "x",
		"X-Anthropic-Additional-Protection": "true",
		"X-Stainless-Arch":                  "x64", "X-Stainless-Retry-Count": "0", "X-Stainless-Timeout": "600", "X-Stainless-Helper-Method": "stream",
		"Openai-Beta": "responses=experimental", "Originator": "codex_cli_rs", "Session_id": "1", "Session-Id": "2", "Conversation_id": "3",
		"Thread-Id": "4", "Version": "0.150.1", "X-Codex-Turn-State": "t", "X-Codex-Beta-Features": "f", "X-Openai-Subagent": "review",
		"X-Oai-Attestation": "o", "X-Responsesapi-Include-Timing-Metrics": "true", "X-Openai-Internal-Codex-Responses-Lite": "true",
	}
	stop := map[string]string{
		"Cookie": "session=1", "Openai-Organization": "org-1", "Openai-Project": "proj_1", "Chatgpt-Account-Id": "1", "Anthropic-Workspace-Id": "w",
		"X-Organization-Uuid": "u", "Forwarded": "for=1.2.3.4", "X-Forwarded-For": "1.2.3.4", "X-Forwarded-Host": "h", "X-Forwarded-Proto": "https",
		"X-Real-Ip": "1.2.3.4", "Via": "1.1 x", "Origin": "http://h", "Referer": "http://h/", "Traceparent": "00-1", "Baggage": "b=1",
		"Proxy-Authorization": "Basic x", "Te": "trailers", "Keep-Alive": "timeout=5", "If-None-Match": "e", "X-Unknown": "1", "Api-Key": "k",
		"X-Amz-Security-Token": "s", "X-Stainless-Nominated": "1", "Host-Override": "evil",
	}
	req := h.request("POST", "/ai/anthropic/v1/messages?beta=true", `{"model":"m"}`)
	for k, v := range pass {
		req.Header.Set(k, v)
	}
	for k, v := range stop {
		req.Header.Set(k, v)
	}
	req.Header.Set("Anthropic-Beta", "client's")
	req.Header.Set("Connection", "keep-alive, X-Stainless-Nominated")
	req.Host = "client-chosen.example"
	if a := h.do(req); a.status != 200 {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	want := http.Header{"X-Api-Key": {key("k").Secret.Reveal()}, "X-Extra": {"from the provider"}, "Anthropic-Beta": {"operator's"}, "Content-Length": {"13"}}
	for k, v := range pass {
		want.Set(k, v)
	}
	if diff := cmp.Diff(want, <-got); diff != "" {
		t.Errorf("upstream headers (-want +got):\n%s", diff)
	}
}

// The transport adds nothing: a bare request is bare upstream. Read from the
// wire, since net/http would hide what it takes away.
func TestNothingIsAdded(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	lines := make(chan []string, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return // the test has failed already
		}
		defer c.Close()
		br := bufio.NewReader(c)
		var got []string
		for {
			line, err := br.ReadString('\n')
			if line = strings.TrimRight(line, "\r\n"); err != nil || line == "" {
				break
			}
			got = append(got, line)
		}
		lines <- got
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
	}()
	h.addProvider(&routing.Provider{Name: "bare", Dialect: routing.OpenAI, Enabled: true, BaseURL: mustURL(t, "http://"+ln.Addr().String()+"/base")})
	req := h.request("GET", "/ai/bare/v1/models/a:b?x=%20y&z", "")
	req.Header["User-Agent"] = nil
	res := h.do(req)
	if res.status != 200 || res.body != "ok" {
		t.Fatalf("got %d %s", res.status, res.body)
	}
	want := []string{"GET /base/models/a:b?x=%20y&z HTTP/1.1", "Host: " + ln.Addr().String()}
	if diff := cmp.Diff(want, <-lines); diff != "" {
		t.Errorf("what came on the wire (-want +got):\n%s", diff)
	}
	if ct, ok := res.header["Content-Type"]; ok {
		t.Errorf("a Content-Type was made up: %q", ct)
	}
}

func TestResponseHeadersPassByList(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pass := map[string]string{
		"Content-Type": "application/json; x=y", "Cache-Control": "no-cache", "Content-Disposition": "attachment", "Content-Language": "en",
		"Retry-After": "3", "Retry-After-Ms": "2500", "X-Should-Retry": "true", "Request-Id": "req_1", "X-Request-Id": "req_2",
		"Anthropic-Ratelimit-Requests-Remaining": "9", "Anthropic-Ratelimit-Unified-Status": "allowed", "Anthropic-Priority-Input-Tokens-Limit": "1",
		"X-Ratelimit-Remaining-Tokens": "8", "Openai-Processing-Ms": "12", "Openai-Version": "2020-10-01", "Openai-Model": "m",
		"X-Codex-Primary-Used-Percent": "5", "X-Codex-Turn-State": "t", "Openai-Poll-After-Ms": "1",
	}
	stop := map[string]string{
		"Set-Cookie": "a=b", "Openai-Organization": "org", "Openai-Project": "p", "Anthropic-Organization-Id": "o", "Anthropic-Workspace-Id": "w",
		"X-Codex-Plan-Type": "pro", "X-Codex-Credits-Balance": "1", "Location": "http://h/", "Server": "cloudflare", "Via": "1.1 x", "Cf-Ray": "1",
		"Strict-Transport-Security": "max-age=1", "Access-Control-Allow-Origin": "*", "Alt-Svc": "h3", "X-Powered-By": "x", "Www-Authenticate": "Basic",
		"Refresh": "0;url=http://h/", "Link": "<x>", "X-Ratelimit-Nominated": "1", "Proxy-Authenticate": "Basic",
	}
	h.upstream(routing.OpenAI, func(w http.ResponseWriter, _ *http.Request) {
		for k, v := range pass {
			w.Header().Set(k, v)
		}
		for k, v := range stop {
			w.Header().Set(k, v)
		}
		w.Header().Set("Content-Security-Policy", "default-src *")
		w.Header().Set("X-Content-Type-Options", "sniff")
		w.Header().Set("X-Gatehouse-Request-Id", "forged")
		w.Header().Set("Connection", "X-Ratelimit-Nominated")
		w.Header().Set("Trailer", "X-Request-Late")
		io.WriteString(w, "{}")
		w.Header().Set("X-Request-Late", "1")
	})
	a := h.chat()
	a.guarded(t)
	for k, v := range pass {
		if a.header.Get(k) != v {
			t.Errorf("%s is %q, want %q", k, a.header.Get(k), v)
		}
	}
	ours := []string{"X-Gatehouse-Request-Id", "X-Content-Type-Options", "Content-Security-Policy", "Date", "Content-Length"}
	for k := range a.header {
		if _, ok := pass[k]; !ok && !slices.Contains(ours, k) {
			t.Errorf("%s came back", k)
		}
	}
}

func TestHeaderListsAreWellFormed(t *testing.T) {
	t.Parallel()
	for _, list := range [][]string{gateway.RequestHeaders(), gateway.ResponseHeaders()} {
		if !slices.IsSorted(list) || len(list) != len(toSet(list)) {
			t.Errorf("not sorted, or with doubles: %q", list)
		}
		for _, name := range list {
			bare := strings.TrimSuffix(name, "*")
			if bare != http.CanonicalHeaderKey(strings.TrimSuffix(bare, "-"))+strings.Repeat("-", len(bare)-len(strings.TrimSuffix(bare, "-"))) {
				t.Errorf("%s is not canonical and would never match", name)
			}
			if strings.HasSuffix(name, "*") && len(bare) < 6 {
				t.Errorf("%s is too wide", name)
			}
		}
		for _, never := range []string{"Cookie", "Set-Cookie", "Authorization", "X-Api-Key", "X-Goog-Api-Key", "Openai-Organization", "Openai-Project",
			"Anthropic-Organization-Id", "Location", "Connection", "Transfer-Encoding", "Forwarded", "X-Forwarded-For"} {
			for _, name := range list {
				if prefix, wild := strings.CutSuffix(name, "*"); name == never || wild && strings.HasPrefix(never, prefix) {
					t.Errorf("%s lets %s pass", name, never)
				}
			}
		}
	}
	list := gateway.RequestHeaders()
	list[0] = "changed"
	if gateway.RequestHeaders()[0] == "changed" {
		t.Error("a caller changed the list")
	}
}

func toSet(list []string) map[string]bool {
	s := map[string]bool{}
	for _, v := range list {
		s[v] = true
	}
	return s
}

// Over HTTP/2 too, nothing is added and nothing is lost.
func TestHTTP2Upstream(t *testing.T) {
	t.Parallel()
	got := make(chan *http.Request, 1)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = io.NopCloser(bytes.NewReader(must(io.ReadAll(r.Body))))
		got <- r
		io.WriteString(w, "data: 1\n\n")
		http.NewResponseController(w).Flush()
		io.WriteString(w, "data: 2\n\n")
	}))
	srv.EnableHTTP2 = true
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	srv.TLS.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		cfg := srv.TLS.Clone()
		cfg.GetConfigForClient, cfg.NextProtos = nil, []string{"h2"}
		if !slices.Contains(hello.SupportedProtos, "h2") {
			cfg.NextProtos = []string{"none of theirs"} // the library would let in who knows nothing of h2
		}
		return cfg, nil
	}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	dials := transport.New(transport.Config{TLS: srv.Client().Transport.(*http.Transport).TLSClientConfig.Clone()})
	t.Cleanup(dials.CloseIdleConnections)
	h := newHouse(t, func(c *gateway.Config) { c.Transport = dials })
	h.addProvider(&routing.Provider{Name: "openai", Dialect: routing.OpenAI, Enabled: true, BaseURL: mustURL(t, srv.URL+"/v1"), Keys: []routing.Key{key("k")}})
	req := h.request("POST", "/ai/openai/v1/responses", `{"model":"m"}`)
	req.Header["User-Agent"] = nil
	a := h.do(req)
	if a.status != 200 || a.body != "data: 1\n\ndata: 2\n\n" {
		t.Fatalf("got %d %q", a.status, a.body)
	}
	r := <-got
	want := http.Header{"Authorization": {"Bearer " + key("k").Secret.Reveal()}, "Content-Type": {"application/json"}, "Content-Length": {"13"}}
	if diff := cmp.Diff(want, r.Header); r.ProtoMajor != 2 || diff != "" {
		t.Errorf("HTTP/%d, headers (-want +got):\n%s", r.ProtoMajor, diff)
	}
	if body := must(io.ReadAll(r.Body)); string(body) != `{"model":"m"}` {
		t.Errorf("the body is %q", body)
	}
}

// A certificate that nobody vouches for is not accepted, and is called by its
// name.
func TestUntrustedCertificate(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the upstream was reached") }))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	h := newHouse(t)
	h.addProvider(&routing.Provider{Name: "openai", Dialect: routing.OpenAI, Enabled: true, BaseURL: mustURL(t, srv.URL), Keys: []routing.Key{key("k")}})
	if a := h.chat(); a.status != 502 || !strings.Contains(a.message(t, routing.OpenAI), "certificate") {
		t.Errorf("got %d %s", a.status, a.body)
	}
}

// A handshake that the upstream breaks off is a matter of TLS, too.
func TestARefusedHandshake(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the upstream was reached") }))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, io.ErrNoProgress }}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	h := newHouse(t)
	h.addProvider(&routing.Provider{Name: "openai", Dialect: routing.OpenAI, Enabled: true, BaseURL: mustURL(t, srv.URL), Keys: []routing.Key{key("k")}})
	if a := h.chat(); a.status != 502 || !strings.Contains(a.message(t, routing.OpenAI), "no trusted TLS connection") {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if rec := h.record(); rec.Attempts[0].Outcome != "tls" {
		t.Errorf("recorded as %+v", rec)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
