package gateway_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/gateway"
	"github.com/gatehousehq/gatehouse/internal/routing"
)

// pattern returns n bytes that do not repeat within a buffer.
func pattern(n int) []byte {
	b := make([]byte, n)
	x := uint32(2463534242)
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return b
}

// seen is what an upstream saw of a request.
type seen struct {
	sum     [32]byte
	length  int64 // the Content-Length
	chunked bool
}

func see(r *http.Request) seen {
	sum := sha256.New()
	io.Copy(sum, r.Body)
	return seen{[32]byte(sum.Sum(nil)), r.ContentLength, len(r.TransferEncoding) > 0}
}

// Bodies arrive as they were sent, with their length, or chunked if they were
// and are too large to be held.
func TestRequestBodiesArriveByteForByte(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *gateway.Config) { c.MaxReplayBody = 1 << 20 })
	got := make(chan seen, 1)
	h.upstream(routing.OpenAI, func(_ http.ResponseWriter, r *http.Request) { got <- see(r) }, key("k"))
	for _, tc := range []struct {
		name    string
		size    int
		chunked bool
		stays   bool // chunked upstream too
	}{
		{"nothing", 0, false, false},
		{"a byte", 1, false, false},
		{"some", 5000, false, false},
		{"just held", 1 << 20, false, false},
		{"just not held", 1<<20 + 1, false, false},
		{"large", 9 << 20, false, false},
		{"chunked, nothing", 0, true, false},
		{"chunked, a byte", 1, true, false},
		{"chunked, the size of a step", 16 << 10, true, false},
		{"chunked, just held", 1 << 20, true, false},
		{"chunked, just not held", 1<<20 + 1, true, true},
		{"chunked, large", 9 << 20, true, true},
	} {
		body := pattern(tc.size)
		req := h.request("POST", "/ai/openai/v1/files", "")
		req.Header.Set("Content-Type", "application/octet-stream")
		var r io.Reader = bytes.NewReader(body)
		req.ContentLength = int64(tc.size)
		if tc.chunked {
			req.ContentLength, r = -1, io.MultiReader(r)
		}
		req.Body = io.NopCloser(r)
		if a := h.do(req); a.status != 200 {
			t.Fatalf("%s: got %d %s", tc.name, a.status, a.body)
		}
		s := <-got
		if s.sum != sha256.Sum256(body) {
			t.Errorf("%s: the body changed", tc.name)
		}
		if want := int64(tc.size); tc.stays && (s.length != -1 || !s.chunked) || !tc.stays && (s.length != want || s.chunked) {
			t.Errorf("%s: arrived with Content-Length %d, chunked %v", tc.name, s.length, s.chunked)
		}
	}
}

// The default limit: 8 MiB are held and sent again, more are streamed, once.
func TestOnlyHeldBodiesAreSentAgain(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		size     int
		chunked  bool
		attempts int
		status   int
	}{
		{"8 MiB", 8 << 20, false, 2, 200},
		{"more", 8<<20 + 1, false, 1, 429},
		{"8 MiB, chunked", 8 << 20, true, 2, 200},
		{"more, chunked", 8<<20 + 1, true, 1, 429},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			body := pattern(tc.size)
			got := make(chan seen, 2)
			h.upstream(routing.OpenAI, func(w http.ResponseWriter, r *http.Request) {
				got <- see(r)
				if r.Header.Get("Authorization") == "Bearer "+key("k1").Secret.Reveal() {
					w.WriteHeader(401)
				}
			}, key("k1"), key("k2"))
			req := h.request("POST", "/ai/openai/v1/files", "")
			var r io.Reader = bytes.NewReader(body)
			req.ContentLength = int64(tc.size)
			if tc.chunked {
				req.ContentLength, r = -1, io.MultiReader(r)
			}
			req.Body = io.NopCloser(r)
			a := h.do(req)
			rec := h.record()
			if a.status != tc.status || len(rec.Attempts) != tc.attempts {
				t.Fatalf("got %d after %d attempts, want %d after %d: %s", a.status, len(rec.Attempts), tc.status, tc.attempts, a.body)
			}
			for range tc.attempts {
				if s := <-got; s.sum != sha256.Sum256(body) {
					t.Error("the body changed")
				}
			}
			if tc.status == 429 && !strings.Contains(a.message(t, routing.OpenAI), "too large to be sent again") {
				t.Errorf("the message is %s", a.body)
			}
		})
	}
}

// When the memory for bodies is used up, requests are streamed; when it is free
// again, they are held again.
func TestMemoryForBodiesIsBounded(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *gateway.Config) { c.MaxReplayBody, c.MaxReplayMemory = 1<<20, 1<<20 })
	arrived, proceed := make(chan struct{}), make(chan struct{})
	h.upstream(routing.OpenAI, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/v1/hold" {
			arrived <- struct{}{}
			<-proceed
			return
		}
		w.WriteHeader(500)
	}, key("k1"), key("k2"))
	big := string(pattern(1 << 20))
	done := make(chan answer)
	holding := h.request("POST", "/ai/openai/v1/hold", big)
	go func() { done <- h.do(holding) }()
	<-arrived
	h.do(h.request("POST", "/ai/openai/v1/files", "xyz"))
	if rec := h.record(); len(rec.Attempts) != 1 {
		t.Errorf("without memory there were %d attempts, want 1", len(rec.Attempts))
	}
	close(proceed)
	<-done
	h.record()
	h.do(h.request("POST", "/ai/openai/v1/files", big))
	if rec := h.record(); len(rec.Attempts) != 2 {
		t.Errorf("with the memory free again there were %d attempts, want 2", len(rec.Attempts))
	}
}

// An answer that comes before the body has been sent is relayed at once.
func TestAnEarlyAnswerIsRelayed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *gateway.Config) { c.MaxReplayBody = 10 })
	h.upstream(routing.OpenAI, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(413)
		io.WriteString(w, "too much")
	})
	pr, pw := io.Pipe()
	defer pw.Close()
	req := h.request("POST", "/ai/openai/v1/files", "")
	req.Body, req.ContentLength = pr, -1
	go pw.Write(pattern(100)) // and no more: the end never comes
	a := h.do(req)
	if a.status != 413 || a.body != "too much" {
		t.Errorf("got %d %s", a.status, a.body)
	}
}

// A client that breaks off in the middle of a body has sent nothing worth
// passing on.
func TestAClientThatBreaksOffItsBody(t *testing.T) {
	t.Parallel()
	for name, framing := range map[string]string{"with a length": "Content-Length: 100\r\n\r\nhalf", "chunked": "Transfer-Encoding: chunked\r\n\r\n64\r\nhalf"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.upstream(routing.OpenAI, func(http.ResponseWriter, *http.Request) { t.Error("the upstream was reached") })
			req := h.request("POST", "/ai/openai/v1/files", "")
			c, err := net.Dial("tcp", req.URL.Host)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(c, "POST /ai/openai/v1/files HTTP/1.1\r\nHost: h\r\nAuthorization: %s\r\n%s", req.Header.Get("Authorization"), framing)
			c.Close()
			if rec := h.record(); rec.Status != 499 || len(rec.Attempts) != 0 {
				t.Errorf("recorded as %+v", rec)
			}
		})
	}
}

// A streamed body that breaks off breaks the upstream's off, and is the
// client's doing.
func TestAClientThatBreaksOffAStreamedBody(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *gateway.Config) { c.MaxReplayBody = 10 })
	failed := make(chan error, 1)
	arrived := make(chan struct{})
	h.upstream(routing.OpenAI, func(_ http.ResponseWriter, r *http.Request) {
		io.ReadFull(r.Body, make([]byte, 20))
		close(arrived)
		_, err := io.ReadAll(r.Body)
		failed <- err
	}, key("k1"), key("k2"))
	req := h.request("POST", "/ai/openai/v1/files", "")
	c, err := net.Dial("tcp", req.URL.Host)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "POST /ai/openai/v1/files HTTP/1.1\r\nHost: h\r\nAuthorization: %s\r\nContent-Length: 1000000\r\n\r\n%s",
		req.Header.Get("Authorization"), pattern(50_000))
	<-arrived
	c.Close()
	if err := <-failed; err == nil {
		t.Error("the upstream saw a body that came to its end")
	}
	if rec := h.record(); rec.Status != 499 || len(rec.Attempts) != 1 {
		t.Errorf("recorded as %+v", rec)
	}
}

// A keep-alive connection serves one request after the other: nothing of the
// gateway's deadlines stays behind.
func TestConnectionsAreReused(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *gateway.Config) { c.MaxReplayBody = 10 })
	conns := map[string]bool{}
	h.upstream(routing.OpenAI, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, r.Body)
	})
	gw := h.gw
	h.start.Do(func() {
		h.server = newServer(func(w http.ResponseWriter, r *http.Request) {
			conns[r.RemoteAddr] = true
			gw.ServeHTTP(w, r)
		})
	})
	for _, body := range []string{"short", "", "longer than may be held", "short again"} {
		if a := h.do(h.request("POST", "/ai/openai/v1/files", body)); a.status != 200 || a.body != body {
			t.Fatalf("got %d %q", a.status, a.body)
		}
	}
	if len(conns) != 1 {
		t.Errorf("%d connections for four requests", len(conns))
	}
}
