package gateway_test

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/gatehousehq/gatehouse/internal/gateway"
	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/usage"
)

// An open WebSocket ends when its token or provider may no more, and by no other
// change.
func TestSocketsEndWithTheRightToThem(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(h *house, rec *routing.Token, p *routing.Provider){
		"a token that is revoked": func(h *house, _ *routing.Token, _ *routing.Provider) {
			h.mu.Lock()
			clear(h.tokens)
			h.mu.Unlock()
		},
		"a token that expires": func(h *house, _ *routing.Token, _ *routing.Provider) { h.advance(time.Hour) },
		"a token that loses the right": func(h *house, rec *routing.Token, _ *routing.Provider) {
			h.replace(rec, func(t *routing.Token) { t.Use = false })
		},
		"a token that loses the provider": func(h *house, rec *routing.Token, _ *routing.Provider) {
			h.replace(rec, func(t *routing.Token) { t.Providers = []string{"other"} })
		},
		"a token that is limited to models": func(h *house, rec *routing.Token, _ *routing.Provider) {
			h.replace(rec, func(t *routing.Token) { t.Models = []string{"m"} })
		},
		"a provider that is disabled": func(h *house, _ *routing.Token, p *routing.Provider) {
			off := *p
			off.Enabled = false
			h.addProvider(&off)
		},
		"": func(h *house, rec *routing.Token, p *routing.Provider) {
			other := *p
			other.Keys = []routing.Key{key("another")}
			h.addProvider(&other)
			h.replace(rec, func(t *routing.Token) { t.Name = "renamed" })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			u := h.openAISocket(nil, key("k"))
			rec := &routing.Token{ID: "t", Use: true, ExpiresAt: h.clock().Add(time.Minute)}
			tok := h.addToken(rec).Reveal()
			c, _ := h.opens("/ai/openai/v1/responses", &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + tok}}})
			utters(t, c, `{"model":"m"}`)
			began := time.Now()
			change(h, rec, h.snapshot.Load().Provider("openai"))
			h.publish()
			if name == "" {
				time.AfterFunc(600*time.Millisecond, func() { _ = c.Write(t.Context(), websocket.MessageText, []byte(`{"model":"m"}`)) })
				if _, b, err := c.Read(t.Context()); err != nil {
					t.Errorf("another change cuts it: %s, %v", b, err)
				}
				return
			}
			if got := closedWith(t, c); got != websocket.StatusPolicyViolation {
				t.Errorf("closed with %v", got)
			}
			if d := time.Since(began); d > 5*time.Second { // a busy machine
				t.Errorf("it took %v", d)
			}
			if rec := h.record(); rec.Reason != "revoked" || rec.Status != 101 || !rec.Tokens.Known {
				t.Errorf("recorded as %+v", rec)
			}
			if _, _, ended := u.seen(); len(ended) == 1 && ended[0] != websocket.StatusPolicyViolation && ended[0] != -1 {
				t.Errorf("the upstream was told %v", ended)
			}
		})
	}
}

// replace puts another token in the place of one.
func (h *house) replace(rec *routing.Token, change func(*routing.Token)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for hash, old := range h.tokens {
		if old == rec {
			other := *rec
			change(&other)
			h.tokens[hash] = &other
		}
	}
}

func TestSocketsAreClosedWhenTheServerStops(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	u := h.openAISocket(nil, key("k"))
	c, _ := h.opens("/ai/openai/v1/responses", nil)
	utters(t, c, `{"model":"m"}`)
	closed := make(chan websocket.StatusCode, 1)
	go func() { closed <- closedWith(t, c) }()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	h.gw.CloseSockets(ctx)
	if ctx.Err() != nil {
		t.Fatal("it does not end")
	}
	select {
	case rec := <-h.records: // written before CloseSockets returned
		if rec.Reason != "shutdown" || !rec.Tokens.Known {
			t.Errorf("recorded as %+v", rec)
		}
	default:
		t.Error("no record is there")
	}
	if got := <-closed; got != websocket.StatusGoingAway {
		t.Errorf("closed with %v", got)
	}
	waitFor(t, "the upstream is told", func() bool { _, _, ended := u.seen(); return len(ended) == 1 && u.open.Load() == 0 })
	// One that comes late ends at once.
	late, _ := h.opens("/ai/openai/v1/responses", nil)
	if got := closedWith(t, late); got != websocket.StatusGoingAway {
		t.Errorf("a late one is closed with %v", got)
	}
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// Whoever vanishes takes the other side along, and is written down.
func TestSocketsWhoseEndsVanish(t *testing.T) {
	t.Parallel()
	t.Run("the client", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		u := h.openAISocket(nil, key("k"))
		c, _ := h.opens("/ai/openai/v1/responses", nil)
		utters(t, c, `{"model":"m"}`)
		_ = c.CloseNow()
		if rec := h.record(); rec.Reason != "client_gone" || rec.Attempts[0].Outcome != usage.ClientGone || !rec.Tokens.Known {
			t.Errorf("recorded as %+v", rec)
		}
		waitFor(t, "the upstream is left", func() bool { return u.open.Load() == 0 })
	})
	t.Run("the upstream", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		h.upstream(routing.OpenAI, func(w http.ResponseWriter, r *http.Request) {
			c, err := websocket.Accept(w, r, nil)
			if err == nil {
				_, _, _ = c.Read(r.Context())
				_ = c.CloseNow()
			}
		}, key("k"))
		c, _ := h.opens("/ai/openai/v1/responses", nil)
		_ = c.Write(t.Context(), websocket.MessageText, []byte(`{"model":"m"}`))
		if got := closedWith(t, c); got != -1 {
			t.Errorf("a break is shown as %v", got)
		}
		if rec := h.record(); rec.Reason != "upstream_aborted" || rec.Attempts[0].Outcome != usage.Aborted {
			t.Errorf("recorded as %+v", rec)
		}
	})
	t.Run("an upstream that says nothing", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, func(c *gateway.Config) { c.IdleTimeout = 300 * time.Millisecond })
		h.openAISocket(nil, key("k"))
		c, _ := h.opens("/ai/openai/v1/responses", nil)
		if got := closedWith(t, c); got != websocket.StatusGoingAway {
			t.Errorf("closed with %v", got)
		}
		if rec := h.record(); rec.Reason != "idle_timeout" {
			t.Errorf("recorded as %+v", rec)
		}
	})
	t.Run("an upstream that does not close", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		left := make(chan struct{})
		h.rawUpstream(func(c net.Conn) {
			_, _ = io.Copy(io.Discard, c)
			close(left)
		})
		c, _ := h.opens("/ai/openai/v1/responses", nil)
		go func() { _ = c.Close(websocket.StatusNormalClosure, "") }()
		time.AfterFunc(50*time.Millisecond, func() { _ = c.CloseNow() })
		rec := h.record()
		<-left
		if rec.Reason != "" && rec.Reason != "client_gone" {
			t.Errorf("recorded as %+v", rec)
		}
	})
}

// rawUpstream adds a provider that agrees to a WebSocket and then does as it
// likes.
func (h *house) rawUpstream(then func(net.Conn)) {
	h.upstream(routing.OpenAI, func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "+acceptOf(r)+"\r\n\r\n")
		then(conn)
	}, key("k"))
}

// What is not WebSocket ends it, and does not reach the other side.
func TestSocketsThatSpeakSomethingElse(t *testing.T) {
	t.Parallel()
	t.Run("the upstream", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		h.rawUpstream(func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
			_, _ = io.Copy(io.Discard, c)
		})
		c, _ := h.opens("/ai/openai/v1/responses", nil)
		_, _, err := c.Read(t.Context())
		var ce websocket.CloseError
		if errors.As(err, &ce) && ce.Code != websocket.StatusProtocolError {
			t.Errorf("closed with %v", err)
		}
		if rec := h.record(); rec.Reason != "not_websocket" || rec.ResponseBytes != 0 {
			t.Errorf("recorded as %+v", rec)
		}
	})
	t.Run("the client", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		got := make(chan string, 1)
		h.rawUpstream(func(c net.Conn) {
			b, _ := io.ReadAll(c)
			got <- string(b)
		})
		req := h.request("GET", "/ai/openai/v1/responses", "")
		for _, tc := range []struct{ name, early, late, reason string }{
			{"a request in the place of frames", "", "POST /v1/files HTTP/1.1\r\nHost: x\r\n\r\n", "not_websocket"},
			{"a request behind the handshake", "POST /v1/files HTTP/1.1\r\nHost: x\r\n\r\n", "", "early_data"},
		} {
			conn, err := net.Dial("tcp", req.URL.Host)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n%s", req.URL.Path, h.token.Reveal(), tc.early)
			head := make([]byte, 12)
			_, _ = io.ReadFull(conn, head)
			if (string(head) == "HTTP/1.1 101") != (tc.early == "") {
				t.Errorf("%s: answered with %s", tc.name, head)
			}
			_, _ = io.WriteString(conn, tc.late)
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
			if rec := h.record(); rec.Reason != tc.reason {
				t.Errorf("%s: recorded as %+v", tc.name, rec)
			}
			if up := <-got; strings.Contains(up, "POST") {
				t.Errorf("%s: it went up: %q", tc.name, up)
			}
		}
	})
}

// A 101 that does not prove that the handshake was read, or that agrees to what
// was not offered, is no answer.
func TestSocketHandshakesOfTheUpstreamAreChecked(t *testing.T) {
	t.Parallel()
	for name, extra := range map[string]string{
		"no proof": "", "another proof": "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
		"an extension":  "Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Extensions: permessage-deflate\r\n",
		"a subprotocol": "Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: chat\r\n",
	} {
		h := newHouse(t)
		h.upstream(routing.OpenAI, func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+strings.ReplaceAll(extra, "%s", acceptOf(r))+"\r\n")
		}, key("k"))
		if _, res, err := h.dial("/ai/openai/v1/responses", nil); err == nil || res.StatusCode != 502 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// acceptOf is the proof that a handshake was read.
func acceptOf(r *http.Request) string {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-Websocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
