package gateway_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehousehq/gatehouse/internal/gateway"
	"github.com/gatehousehq/gatehouse/internal/keypool"
	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/token"
	"github.com/gatehousehq/gatehouse/internal/usage"
)

// bare returns a gateway over a fake transport, with one provider of two keys,
// and requests that it accepts. Time is that of the bubble it is called in.
func bare(t testing.TB, cfg gateway.Config, transport roundTripper) (*gateway.Gateway, func(body io.Reader) *http.Request) {
	gw, request, p := bareProvider(t, cfg, transport)
	p.Keys = []routing.Key{key("k1"), key("k2")}
	return gw, request
}

// bareProvider is bare with the provider, which has no keys and may be changed
// before it is used.
func bareProvider(t testing.TB, cfg gateway.Config, transport roundTripper) (*gateway.Gateway, func(body io.Reader) *http.Request, *routing.Provider) {
	tok := token.New()
	p := &routing.Provider{ID: "p", Name: "openai", Dialect: routing.OpenAI, Enabled: true, BaseURL: mustURL(t, "http://upstream.invalid/v1")}
	snapshot := routing.NewSnapshot(1, []*routing.Provider{p},
		map[token.Hash]*routing.Token{token.Sum(tok.Reveal()): {ID: "t", Name: "t", Use: true, Passthrough: true}})
	cfg.Snapshot = func() *routing.Snapshot { return snapshot }
	cfg.Pool = keypool.New(time.Now, keypool.Config{})
	cfg.Transport = transport
	return gateway.New(cfg), func(body io.Reader) *http.Request {
		r := httptest.NewRequest("POST", "/ai/openai/v1/chat/completions", body)
		r.Header.Set("Authorization", "Bearer "+tok.Reveal())
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("User-Agent", "test")
		return r
	}, p
}

// never is an upstream that does not answer.
func never(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, context.Cause(r.Context())
}

func respond(r *http.Request, body io.Reader) *http.Response {
	return &http.Response{StatusCode: 200, ContentLength: -1, Header: http.Header{}, Body: io.NopCloser(body), Request: r}
}

func TestNoFirstByteMovesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var rec usage.Record
		n := 0
		gw, request := bare(t, gateway.Config{Observe: func(r usage.Record) { rec = r }}, func(r *http.Request) (*http.Response, error) {
			if n++; n == 1 {
				return never(r)
			}
			return respond(r, strings.NewReader("second")), nil
		})
		w := httptest.NewRecorder()
		gw.ServeHTTP(w, request(strings.NewReader(`{}`)))
		if w.Code != 200 || w.Body.String() != "second" {
			t.Errorf("got %d %q", w.Code, w.Body)
		}
		if len(rec.Attempts) != 2 || rec.Attempts[0].Outcome != "timeout" || rec.Attempts[0].Duration != 10*time.Minute || rec.Duration != 10*time.Minute {
			t.Errorf("recorded as %+v", rec)
		}
	})
}

func TestNoFirstByteAtAllIs504(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var rec usage.Record
		gw, request := bare(t, gateway.Config{FirstByteTimeout: time.Second, Observe: func(r usage.Record) { rec = r }}, never)
		w := httptest.NewRecorder()
		gw.ServeHTTP(w, request(strings.NewReader(`{}`)))
		if w.Code != 504 || !strings.Contains(w.Body.String(), "did not answer in time") || w.Header().Get("X-Should-Retry") != "" {
			t.Errorf("got %d %q", w.Code, w.Body)
		}
		if rec.Duration != 2*time.Second || rec.Reason != "timeout" {
			t.Errorf("recorded as %+v", rec)
		}
	})
}

// A timeout of the dialer's own is a timeout too.
func TestADialThatTimesOutIs504(t *testing.T) {
	t.Parallel()
	gw, request := bare(t, gateway.Config{}, func(*http.Request) (*http.Response, error) {
		return nil, &net.OpError{Op: "dial", Err: context.DeadlineExceeded}
	})
	w := httptest.NewRecorder()
	gw.ServeHTTP(w, request(nil))
	if w.Code != 504 {
		t.Errorf("got %d %q", w.Code, w.Body)
	}
}

// serveAborting serves, and reports whether the connection was to be broken.
func serveAborting(gw http.Handler, w http.ResponseWriter, r *http.Request) (aborted bool) {
	defer func() { aborted = recover() == http.ErrAbortHandler }()
	gw.ServeHTTP(w, r)
	return false
}

// A stream may go on for as long as it likes, so long as it goes on.
func TestAnIdleStreamIsCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var rec usage.Record
		gw, request := bare(t, gateway.Config{Observe: func(r usage.Record) { rec = r }}, func(r *http.Request) (*http.Response, error) {
			pr, pw := io.Pipe()
			go func() {
				for range 10 {
					time.Sleep(4 * time.Minute) // the bubble's time: less than the limit of 5
					io.WriteString(pw, "x")
				}
				<-r.Context().Done()
				pw.CloseWithError(r.Context().Err())
			}()
			return respond(r, pr), nil
		})
		w := httptest.NewRecorder()
		aborted := serveAborting(gw, w, request(strings.NewReader(`{}`)))
		if !aborted || w.Body.String() != "xxxxxxxxxx" {
			t.Errorf("got %q, aborted: %v", w.Body, aborted)
		}
		if rec.Reason != "idle_timeout" || rec.Duration != 45*time.Minute {
			t.Errorf("recorded as %+v", rec)
		}
	})
}

// An error whose body does not come is no answer.
func TestAnErrorThatStallsMovesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := 0
		gw, request := bare(t, gateway.Config{IdleTimeout: time.Second}, func(r *http.Request) (*http.Response, error) {
			if n++; n > 1 {
				return respond(r, strings.NewReader("second")), nil
			}
			pr, pw := io.Pipe()
			go func() {
				<-r.Context().Done()
				pw.CloseWithError(r.Context().Err())
			}()
			res := respond(r, pr)
			res.StatusCode = 400
			return res, nil
		})
		w := httptest.NewRecorder()
		gw.ServeHTTP(w, request(strings.NewReader(`{}`)))
		if w.Code != 200 || w.Body.String() != "second" {
			t.Errorf("got %d %q", w.Code, w.Body)
		}
	})
}

// The body of a request has its time too. This one is on a real connection,
// since only those have deadlines.
func TestAStalledRequestBodyIs408(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]int64{"held": 0, "streamed": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, func(c *gateway.Config) { c.IdleTimeout, c.MaxReplayBody = 10*time.Millisecond, limit })
			h.upstream(routing.OpenAI, func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
			pr, pw := io.Pipe()
			defer pw.Close()
			req := h.request("POST", "/ai/openai/v1/files", "")
			req.Body, req.ContentLength = pr, 100
			go io.WriteString(pw, "and no more")
			a := h.do(req)
			if msg := a.message(t, routing.OpenAI); a.status != 408 || !strings.Contains(msg, "stopped arriving") {
				t.Errorf("got %d %s", a.status, a.body)
			}
		})
	}
}

// A client that does not read does not hold on to the upstream for ever.
func TestAClientThatDoesNotReadIsCut(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *gateway.Config) { c.IdleTimeout = 2 * time.Second })
	ended := make(chan struct{})
	h.upstream(routing.OpenAI, func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		for chunk := pattern(64 << 10); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	res, err := h.client.Do(h.request("GET", "/ai/openai/v1/models", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	<-ended
	if rec := h.record(); rec.Status != 499 {
		t.Errorf("recorded as %+v", rec)
	}
}

// A deadline that stayed behind would cut a later stream, or the next request
// on the connection. What is held needs none, as long as nobody is late.
func TestNoDeadlineStaysBehind(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]gateway.Config{"held": {}, "streamed": {MaxReplayBody: 1}} {
		for _, length := range []int64{-1, 13} {
			gw, request := bare(t, cfg, func(r *http.Request) (*http.Response, error) {
				io.Copy(io.Discard, r.Body)
				r.Body.Close()
				return respond(r, strings.NewReader("an answer")), nil
			})
			w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
			r := request(strings.NewReader(`{"model":"m"}`))
			r.ContentLength = length
			gw.ServeHTTP(w, r)
			if w.Body.String() != "an answer" {
				t.Fatalf("%s, %d: got %q", name, length, w.Body)
			}
			if held := name == "held"; held != (len(w.read) == 0) || len(w.write) != 0 {
				t.Errorf("%s, %d: %d and %d deadlines", name, length, len(w.read), len(w.write))
			}
			if n := len(w.read); n > 0 && !w.read[n-1].IsZero() {
				t.Errorf("%s, %d: a deadline stayed behind", name, length)
			}
		}
	}
}

// A body that is late ends by a deadline of its connection, and not before its
// time; a client that is late to read, too.
func TestDeadlinesForWhoIsLate(t *testing.T) {
	t.Parallel()
	const limit = time.Minute
	t.Run("to send", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			gw, request := bare(t, gateway.Config{IdleTimeout: limit}, nil)
			began := time.Now()
			w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
			w.onRead = func() { w.late = time.Since(began) }
			gw.ServeHTTP(w, request(io.MultiReader(strings.NewReader("{"), &stalling{3 * limit / 4, 3, limit * 2, os.ErrDeadlineExceeded})))
			// Three pieces came in time, and what would be the fourth did not.
			if want := 3*(3*limit/4) + limit; w.late != want || w.Code != 408 {
				t.Errorf("got %d, a deadline after %v, want %v", w.Code, w.late, want)
			}
		})
	})
	t.Run("to read", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			gw, request := bare(t, gateway.Config{IdleTimeout: limit}, func(r *http.Request) (*http.Response, error) {
				return respond(r, strings.NewReader("an answer")), nil
			})
			began := time.Now()
			w := &deadlines{ResponseRecorder: httptest.NewRecorder(), writes: 2 * limit}
			w.onWrite = func() { w.late = time.Since(began) }
			gw.ServeHTTP(w, request(strings.NewReader("{}")))
			if w.late != limit {
				t.Errorf("a deadline after %v, want %v", w.late, limit)
			}
		})
	})
}

// A stalling reader gives a byte after each pause, some times, then waits long
// and fails.
type stalling struct {
	pause time.Duration
	times int
	long  time.Duration
	err   error
}

func (s *stalling) Read(p []byte) (int, error) {
	if s.times--; s.times < 0 {
		time.Sleep(s.long) // the bubble's time
		return 0, s.err
	}
	time.Sleep(s.pause) // the bubble's time
	p[0] = ' '
	return 1, nil
}

// deadlines is a ResponseWriter that remembers the deadlines it was given, and
// may take its time to write.
type deadlines struct {
	*httptest.ResponseRecorder
	read, write     []time.Time
	onRead, onWrite func()
	late            time.Duration
	writes          time.Duration
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.read = append(d.read, t)
	if d.onRead != nil {
		d.onRead()
	}
	return nil
}

func (d *deadlines) SetWriteDeadline(t time.Time) error {
	d.write = append(d.write, t)
	if d.onWrite != nil {
		d.onWrite()
	}
	return nil
}

func (d *deadlines) Write(b []byte) (int, error) {
	time.Sleep(d.writes) // zero, or the bubble's time
	return d.ResponseRecorder.Write(b)
}
