package gateway_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/gateway"
	"github.com/gatehousehq/gatehouse/internal/netguard"
	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/transport"
)

const sse = ": a comment\r\n\r\nevent: message_start\ndata: {\"type\":\"message_start\"}\n\n" +
	"data: first line\ndata: second line\n\nid: 7\r\ndata: CRLF\r\n\r\ndata: \"héllo 世界 🌍\"\n\ndata: [DONE]"

func gzipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(s))
	w.Close()
	return b.String()
}

// Responses of every shape arrive byte for byte, whatever the pieces.
func TestResponsesArriveByteForByte(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		header http.Header
		status int
		pieces []string
	}{
		"JSON":                      {http.Header{"Content-Type": {"application/json"}}, 200, []string{`{"id":"chatcmpl-1","choices":[{"message":{"content":"hi"}}]}` + "\n"}},
		"JSON, large":               {http.Header{"Content-Type": {"application/json"}}, 200, []string{`{"x":"` + strings.Repeat("0123456789", 30_000) + `"}`}},
		"a stream":                  {http.Header{"Content-Type": {"text/event-stream"}}, 200, strings.SplitAfter(sse, "\n\n")},
		"a stream, byte by byte":    {http.Header{"Content-Type": {"text/event-stream"}}, 200, strings.Split(sse, "")},
		"UTF-8 cut within a letter": {http.Header{"Content-Type": {"text/event-stream"}}, 200, []string{"data: \xe4\xb8", "\x96\xe7", "\x95\x8c\n\n"}},
		"gzip":                      {http.Header{"Content-Encoding": {"gzip"}, "Content-Type": {"application/json"}}, 200, []string{gzipped(sse)}},
		"gzip in pieces":            {http.Header{"Content-Encoding": {"gzip"}}, 200, []string{gzipped(sse)[:20], gzipped(sse)[20:]}},
		"an unknown coding":         {http.Header{"Content-Encoding": {"br"}}, 200, []string{"\x00\xff\xfe"}},
		"nothing":                   {nil, 204, nil},
		"an empty body":             {nil, 200, nil},
		"created":                   {nil, 201, []string{"{}"}},
		"a client's mistake":        {http.Header{"Content-Type": {"application/json"}}, 400, []string{`{"error":{"message":"no","type":"invalid_request_error"}}`}},
		"not found":                 {nil, 404, []string{"<html>no JSON at all"}},
		"too large":                 {nil, 413, []string{"x"}},
		"unprocessable, in pieces":  {nil, 422, []string{"one", "two"}},
		"a long mistake":            {nil, 400, []string{strings.Repeat("long", 50_000)}},
		"a long mistake in pieces":  {nil, 400, []string{strings.Repeat("long", 10_000), strings.Repeat("more", 10_000)}},
		"a gzipped mistake":         {http.Header{"Content-Encoding": {"gzip"}}, 400, []string{gzipped(`{"error":{"message":"no"}}`)}},
		"forbidden":                 {nil, 403, []string{`{"error":{"code":"unsupported_country_region_territory"}}`}},
	}
	h := newHouse(t)
	h.upstream(routing.OpenAI, func(w http.ResponseWriter, r *http.Request) {
		c := cases[r.URL.Query().Get("case")]
		w.Header()["Content-Type"] = nil // else the server guesses one
		for k, v := range c.header {
			w.Header()[k] = v
		}
		if len(c.pieces) == 1 {
			w.Header().Set("Content-Length", fmt.Sprint(len(c.pieces[0])))
		}
		w.WriteHeader(c.status)
		for _, p := range c.pieces {
			io.WriteString(w, p)
			http.NewResponseController(w).Flush()
		}
	}, key("k"))
	for name, c := range cases {
		req := h.request("POST", "/ai/openai/v1/chat/completions", `{"model":"m"}`)
		q := req.URL.Query()
		q.Set("case", name)
		req.URL.RawQuery = q.Encode()
		got := h.do(req)
		rec := h.record()
		want := strings.Join(c.pieces, "")
		if got.status != c.status || got.body != want || got.err != nil {
			t.Errorf("%s: got %d, %d bytes, %v, want %d and %d bytes as they were", name, got.status, len(got.body), got.err, c.status, len(want))
		}
		got.guarded(t)
		if got.header.Get("Content-Encoding") != c.header.Get("Content-Encoding") || got.header.Get("Content-Type") != c.header.Get("Content-Type") {
			t.Errorf("%s: headers are %v", name, got.header)
		}
		if len(c.pieces) == 1 && got.header.Get("Content-Length") != fmt.Sprint(len(want)) {
			t.Errorf("%s: Content-Length is %q", name, got.header.Get("Content-Length"))
		}
		if rec.Status != c.status || rec.Reason != "" || len(rec.Attempts) != 1 || rec.Attempts[0].Status != c.status {
			t.Errorf("%s: recorded as %+v", name, rec)
		}
	}
}

// The upstream sends a piece only when the client has the one before, the
// headers first. Were anything held back, this would not end.
func TestNothingIsHeldBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ack := make(chan struct{})
	h.upstream(routing.Anthropic, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(200)
		for i := range 20 {
			http.NewResponseController(w).Flush()
			select {
			case <-ack:
			case <-r.Context().Done():
				return
			}
			fmt.Fprintf(w, "data: %02d\n\n", i)
		}
	}, key("k"))
	res, err := h.client.Do(h.request("POST", "/ai/anthropic/v1/messages", `{"model":"m","stream":true}`))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	buf := make([]byte, len("data: 00\n\n"))
	for i := range 20 {
		ack <- struct{}{}
		if _, err := io.ReadFull(res.Body, buf); err != nil || string(buf) != fmt.Sprintf("data: %02d\n\n", i) {
			t.Fatalf("piece %d is %q, %v", i, buf, err)
		}
	}
	if rest, err := io.ReadAll(res.Body); len(rest) != 0 || err != nil {
		t.Errorf("after the end: %q, %v", rest, err)
	}
}

// An upstream that breaks off is never shown as one that came to its end.
func TestABrokenStreamIsShownAsBroken(t *testing.T) {
	t.Parallel()
	for name, length := range map[string]string{"a stream": "", "an answer with a length": "1000"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.upstream(routing.OpenAI, func(w http.ResponseWriter, _ *http.Request) {
				if length != "" {
					w.Header().Set("Content-Length", length)
				}
				io.WriteString(w, "data: half")
				http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}, key("k1"), key("k2"))
			a := h.chat()
			if a.status != 200 || a.body != "data: half" || !errors.Is(a.err, io.ErrUnexpectedEOF) {
				t.Errorf("got %d %q, %v, want what came and then a broken connection", a.status, a.body, a.err)
			}
			rec := h.record()
			if rec.Reason != "upstream_aborted" || len(rec.Attempts) != 1 || rec.Attempts[0].Outcome != "aborted" {
				t.Errorf("recorded as %+v", rec)
			}
			if !strings.Contains(h.logs.String(), `"reason":"upstream_aborted"`) {
				t.Error("the abort is not in the log line")
			}
		})
	}
}

// A client that leaves ends the upstream request, before headers and after.
func TestAClientThatLeavesCancels(t *testing.T) {
	t.Parallel()
	for name, headersFirst := range map[string]bool{"while it waits": false, "in mid-stream": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			arrived, ended := make(chan struct{}), make(chan struct{})
			h.upstream(routing.OpenAI, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				if headersFirst {
					io.WriteString(w, "data: 1\n\n")
					http.NewResponseController(w).Flush()
				}
				close(arrived)
				<-r.Context().Done()
				close(ended)
			}, key("k1"), key("k2"))
			ctx, cancel := context.WithCancel(t.Context())
			req := h.request("POST", "/ai/openai/v1/responses", `{"model":"m"}`).WithContext(ctx)
			gone := make(chan struct{})
			go func() {
				defer close(gone)
				res, err := h.client.Do(req)
				if err == nil {
					io.Copy(io.Discard, res.Body)
					res.Body.Close()
				}
			}()
			<-arrived
			cancel()
			<-gone
			<-ended
			rec := h.record()
			if rec.Status != 499 || rec.Reason != "client_gone" || len(rec.Attempts) != 1 || rec.Attempts[0].Outcome != "client_gone" {
				t.Errorf("recorded as %+v", rec)
			}
		})
	}
}

// A change of configuration touches no request under way, even if it takes
// away all that the request lives on.
func TestASwapDoesNotCutAStream(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	proceed := make(chan struct{})
	h.upstream(routing.OpenAI, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "data: before\n\n")
		http.NewResponseController(w).Flush()
		select {
		case <-proceed:
		case <-r.Context().Done():
			return
		}
		io.WriteString(w, "data: after\n\n")
	}, key("k"))
	res, err := h.client.Do(h.request("POST", "/ai/openai/v1/chat/completions", `{"model":"m"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	first := make([]byte, len("data: before\n\n"))
	if _, err := io.ReadFull(res.Body, first); err != nil {
		t.Fatal(err)
	}
	h.snapshot.Store(routing.NewSnapshot(2, nil, nil))
	if a := h.chat(); a.status != 401 {
		t.Errorf("the next request got %d, want 401 under the new configuration", a.status)
	}
	close(proceed)
	rest, err := io.ReadAll(res.Body)
	if string(rest) != "data: after\n\n" || err != nil {
		t.Errorf("the stream went on with %q, %v", rest, err)
	}
}

func TestHEADHasNoBody(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.upstream(routing.OpenAI, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1234")
	})
	a := h.do(h.request("HEAD", "/ai/openai/v1/models", ""))
	if a.status != 200 || a.header.Get("Content-Length") != "1234" || a.body != "" {
		t.Errorf("got %d %v %q", a.status, a.header, a.body)
	}
}

// A panic is answered and logged, and its value shows nowhere.
func TestAPanicIsAnswered(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *gateway.Config) {
		c.Transport = roundTripper(func(*http.Request) (*http.Response, error) { panic("canary-in-a-panic") })
	})
	h.addProvider(&routing.Provider{Name: "openai", Dialect: routing.Anthropic, Enabled: true, BaseURL: mustURL(t, "http://127.0.0.1:1")})
	a := h.chat()
	if msg := a.message(t, routing.Anthropic); a.status != 500 || !strings.Contains(msg, "request id") {
		t.Errorf("got %d %s", a.status, a.body)
	}
	a.guarded(t)
	logs := h.logs.String()
	if strings.Contains(logs+a.body, "canary-in-a-panic") || !strings.Contains(logs, "gateway panic") || !strings.Contains(logs, "relay_test.go") {
		t.Errorf("want the stack without the value, got:\n%s", logs)
	}
	if rec := h.record(); rec.Status != 500 || rec.Reason != "internal_error" {
		t.Errorf("recorded as %+v", rec)
	}
}

// A panic after the response began breaks the connection off.
func TestALatePanicAborts(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *gateway.Config) {
		c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, ContentLength: -1, Header: http.Header{}, Body: io.NopCloser(panicReader{}), Request: r}, nil
		})
	})
	h.addProvider(&routing.Provider{Name: "openai", Dialect: routing.OpenAI, Enabled: true, BaseURL: mustURL(t, "http://127.0.0.1:1")})
	if a := h.chat(); a.status != 200 || a.err == nil {
		t.Errorf("got %d %q, %v, want a broken connection", a.status, a.body, a.err)
	}
}

type panicReader struct{}

func (panicReader) Read([]byte) (int, error) { panic("late") }

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestOneLogLinePerRequest(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	n := 0
	h.upstream(routing.OpenAI, func(w http.ResponseWriter, r *http.Request) {
		if n++; n == 1 {
			w.WriteHeader(503)
		}
	}, key("k1"), key("k2"))
	h.chat()
	rec := h.record()
	logs := h.logs.String()
	if strings.Count(logs, "\n") != 1 {
		t.Fatalf("want one line, got:\n%s", logs)
	}
	for _, want := range []string{
		`"msg":"gateway request"`, `"id":"` + rec.ID + `"`, `"token":"everything"`, `"provider":"openai"`, `"model":"gpt-x"`,
		`"endpoint":"chat/completions"`, `"status":200`, `"attempts":2`, `"ms":0`,
	} {
		if !strings.Contains(logs, want) {
			t.Errorf("the line lacks %s: %s", want, logs)
		}
	}
	if rec.TokenID != "t-all" || rec.Model != "gpt-x" || len(rec.Attempts) != 2 || rec.Attempts[0].KeyID != "k1" || rec.Attempts[0].Status != 503 ||
		rec.Attempts[0].Outcome != "unavailable" || rec.Attempts[1].Outcome != "ok" {
		t.Errorf("recorded as %+v", rec)
	}
}

// Loopback stands for a forbidden address, so that nothing else is dialled.
func TestTheGuardIsAskedAtTheDial(t *testing.T) {
	t.Parallel()
	guarded := transport.New(transport.Config{Policy: netguard.Policy{Deny: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}})
	h := newHouse(t, func(c *gateway.Config) { c.Transport = guarded })
	h.upstream(routing.OpenAI, func(http.ResponseWriter, *http.Request) { t.Error("the upstream was reached") })
	a := h.chat()
	if msg := a.message(t, routing.OpenAI); a.status != 502 || !strings.Contains(msg, "not one that may be dialled") {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if rec := h.record(); rec.Attempts[0].Outcome != "address_refused" {
		t.Errorf("recorded as %+v", rec)
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	h.addProvider(&routing.Provider{Name: "openai", Dialect: routing.OpenAI, Enabled: true, BaseURL: mustURL(t, "http://"+addr)})
	a := h.chat()
	if msg := a.message(t, routing.OpenAI); a.status != 502 || !strings.Contains(msg, "base_url") || strings.Contains(msg, addr) || a.header.Get("X-Should-Retry") != "false" {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if rec := h.record(); rec.Attempts[0].Outcome != "connection_refused" {
		t.Errorf("recorded as %+v", rec)
	}
}
