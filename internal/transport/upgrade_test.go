package transport_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/transport"
)

const switching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\nX-Request-Id: r1\r\n\r\n"

func upgradeRequest(t *testing.T, url string) *http.Request {
	r := get(t, url+"/v1/realtime")
	r.Header = http.Header{"Sec-Websocket-Key": {"k"}, "Upgrade": {"h2c"}, "Connection": {"X-Secret"}}
	return r
}

func TestAnUpgradedConnectionIsTheCallers(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 1)
	u := listen(t, func(w *wire) {
		var head strings.Builder
		for {
			line, err := w.in.ReadString('\n')
			if head.WriteString(line); err != nil || line == "\r\n" {
				break
			}
		}
		asked <- head.String()
		w.say("HTTP/1.1 103 Early Hints\r\n\r\n%searly", switching)
		_, _ = io.Copy(w, w.in) // an echo
	})
	tr := newTransport(t, transport.Config{})
	res, tunnel, err := tr.Upgrade(upgradeRequest(t, u.url), "websocket", nil)
	if err != nil || res.StatusCode != 101 || tunnel == nil || res.Header.Get("X-Request-Id") != "r1" {
		t.Fatalf("got %+v, %v", res, err)
	}
	want := "GET /v1/realtime HTTP/1.1\r\nHost: " + strings.TrimPrefix(u.url, "http://") + "\r\nSec-Websocket-Key: k\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
	if got := <-asked; got != want {
		t.Errorf("sent %q, want %q", got, want)
	}
	if _, err := tunnel.Write([]byte(" and late")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len("early and late"))
	if _, err := io.ReadFull(tunnel, got); err != nil || string(got) != "early and late" {
		t.Fatalf("read %q, %v", got, err)
	}
	if err := tunnel.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := tunnel.Read(got); err == nil {
		t.Error("a tunnel that is closed gives something")
	}
	if n := tr.Stats(); n.Idle != 0 || n.Buffers != 0 {
		t.Errorf("left behind: %+v", n)
	}
}

func TestTheContextCutsATunnel(t *testing.T) {
	t.Parallel()
	u := listen(t, func(w *wire) {
		w.request()
		w.say(switching)
		_, _ = io.Copy(io.Discard, w.in)
	})
	ctx, cancel := context.WithCancel(t.Context())
	tr := newTransport(t, transport.Config{})
	_, tunnel, err := tr.Upgrade(upgradeRequest(t, u.url).WithContext(ctx), "websocket", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tunnel.Close()
	cancel()
	if _, err := tunnel.Read(make([]byte, 1)); err == nil {
		t.Error("reads on")
	}
}

// Only the protocol that was asked for is spoken, and only if the answer leaves
// no doubt; any other answer is an ordinary one.
func TestUpgradesThatAreNone(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"another protocol":       "HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
		"no protocol":            "HTTP/1.1 101 X\r\nConnection: Upgrade\r\n\r\n",
		"two protocols":          "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
		"not of the connection":  "HTTP/1.1 101 X\r\nUpgrade: websocket\r\n\r\n",
		"with a length":          "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 5\r\n\r\nabcde",
		"in chunks":              "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"by an older version":    "HTTP/1.0 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
		"what is no HTTP at all": "\x81\x05hello",
	} {
		u := listen(t, answering(answer))
		_, tunnel, err := newTransport(t, transport.Config{}).Upgrade(upgradeRequest(t, u.url), "websocket", nil)
		var failed *transport.Error
		if !errors.As(err, &failed) || tunnel != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	u := listen(t, answering("HTTP/1.1 429 X\r\nContent-Length: 5\r\n\r\nabcde"))
	tr := newTransport(t, transport.Config{})
	for range 2 {
		res, tunnel, err := tr.Upgrade(upgradeRequest(t, u.url), "websocket", nil)
		if err != nil || tunnel != nil || res.StatusCode != 429 {
			t.Fatalf("got %+v, %v", res, err)
		}
		if body, err := io.ReadAll(res.Body); err != nil || string(body) != "abcde" {
			t.Errorf("the body is %q, %v", body, err)
		}
	}
	if u.conns.Load() != 1 {
		t.Error("a connection that was not upgraded does not serve again")
	}
	// A proxy that forwards has one connection for many, and HTTP/2 has another way.
	via := newEgress(t, transport.EgressConfig{Proxy: mustURL(t, "http://127.0.0.1:1")})
	if _, _, err := tr.Upgrade(upgradeRequest(t, u.url), "websocket", via); !errors.Is(err, transport.ErrNoUpgrade) {
		t.Errorf("by a proxy that forwards: %v", err)
	}
	// Nor is an upgrade that nobody asked for one.
	u = listen(t, answering(switching))
	if _, err := tr.RoundTrip(get(t, u.url)); err == nil {
		t.Error("an upgrade that was not asked for is an answer")
	}
}
