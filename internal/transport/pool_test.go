package transport_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/transport"
)

// What came on a connection that waited is never taken for an answer, and a
// connection that ended is not used.
func TestAConnectionThatIsNotQuietIsNotUsed(t *testing.T) {
	t.Parallel()
	for name, meanwhile := range map[string]func(*wire){
		"it was closed":           func(w *wire) { w.Close() },
		"it was reset":            (*wire).reset,
		"an answer nobody wanted": func(w *wire) { w.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong") },
		"a timeout said aloud":    func(w *wire) { w.say("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n") },
		"a byte":                  func(w *wire) { w.say("\n") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now, done := make(chan struct{}), make(chan struct{})
			up := listen(t, func(w *wire) {
				w.request()
				w.say(hello)
				if w.n == 0 {
					<-now
					meanwhile(w)
					close(done)
				}
				w.in.WriteTo(nowhere{})
			})
			tr := newTransport(t, transport.Config{})
			if got := try(tr, get(t, up.url)); got.body != "hello" || got.err != nil {
				t.Fatalf("got %+v", got)
			}
			close(now)
			<-done
			if got := try(tr, get(t, up.url)); got.body != "hello" || got.err != nil {
				t.Errorf("got %+v", got)
			}
			if s := tr.Stats(); s.Stale != 1 || s.Dialed != 2 || s.Reused != 0 || s.Idle != 1 {
				t.Errorf("stats are %+v", s)
			}
		})
	}
}

type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

// A request can be sent again if its connection ended in place of an answer, and
// only then.
func TestWhatAFailureSays(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name         string
		served       int // requests before
		end          func(*wire)
		reused, sent bool
	}{
		{"a new connection that closes", 0, func(*wire) {}, false, true},
		{"a new connection that is reset", 0, (*wire).reset, false, true},
		{"a connection that closes when it is used again", 1, func(*wire) {}, true, true},
		{"a connection that is reset when it is used again", 2, (*wire).reset, true, true},
		{"a connection that ends in the middle of a head", 1, func(w *wire) { w.say("HTTP/1.1 200 OK\r\nX:") }, false, true},
		{"a connection that ends after 100", 1, func(w *wire) { w.say("HTTP/1.1 100 Continue\r\n\r\n") }, false, true},
		{"a connection that says something else", 1, func(w *wire) { w.say("hello") }, false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			up := listen(t, func(w *wire) {
				for range tc.served {
					w.request()
					w.say(hello)
				}
				w.request()
				tc.end(w)
			})
			tr := newTransport(t, transport.Config{})
			for range tc.served {
				try(tr, get(t, up.url))
			}
			got := try(tr, request(t, "POST", up.url, strings.NewReader("x")))
			var failed *transport.Error
			if !errors.As(got.err, &failed) || failed.Reused != tc.reused || failed.Sent != tc.sent {
				t.Errorf("got %#v", got.err)
			}
			if n := up.conns.Load(); n != 1 {
				t.Errorf("%d connections: it was sent again", n)
			}
		})
	}
}

// The connection that was used last is used next.
func TestTheLastOneIsTakenFirst(t *testing.T) {
	t.Parallel()
	var served sync.Map
	together := newMeeting(3)
	up := listen(t, func(w *wire) {
		for {
			r, _ := w.request()
			if r == nil {
				return
			}
			if r.URL.Path == "/together" {
				together.wait()
			} else {
				served.Store(w.n, true)
			}
			w.say(hello)
		}
	})
	tr := newTransport(t, transport.Config{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { try(tr, get(t, up.url+"/together")) })
	}
	wg.Wait()
	for range 10 {
		try(tr, get(t, up.url))
	}
	n := 0
	served.Range(func(any, any) bool { n++; return true })
	if n != 1 || tr.Stats().Idle != 3 {
		t.Errorf("one request after the other used %d connections of %d", n, tr.Stats().Idle)
	}
}

// A meeting lets nobody go on before all are there.
type meeting struct {
	mu   sync.Mutex
	left int
	all  chan struct{}
}

func newMeeting(n int) *meeting { return &meeting{left: n, all: make(chan struct{})} }

func (m *meeting) wait() {
	m.mu.Lock()
	if m.left--; m.left == 0 {
		close(m.all)
	}
	m.mu.Unlock()
	<-m.all
}

func TestIdleConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		cfg  transport.Config
		want []int // idle after 4 requests at once to the first host, then to the second
	}{
		"by default":  {transport.Config{}, []int{4, 8}},
		"for a host":  {transport.Config{MaxIdlePerHost: 3}, []int{3, 6}},
		"in all":      {transport.Config{MaxIdle: 5}, []int{4, 5}},
		"in all, one": {transport.Config{MaxIdle: 1}, []int{1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := newTransport(t, tc.cfg)
			for i, want := range tc.want {
				together := newMeeting(4)
				up := listen(t, func(w *wire) {
					for {
						r, _ := w.request()
						if r == nil {
							return
						}
						if r.URL.Path != "/again" {
							together.wait()
						}
						w.say(hello)
					}
				})
				var wg sync.WaitGroup
				for range 4 {
					wg.Go(func() { try(tr, get(t, up.url)) })
				}
				wg.Wait()
				if s := tr.Stats(); s.Idle != want {
					t.Errorf("host %d: %d wait, want %d", i, s.Idle, want)
				}
				// What made room was the one that waited longest: not this one's.
				if got := try(tr, get(t, up.url+"/again")); got.err != nil || up.conns.Load() != 4 {
					t.Errorf("host %d: %v, %d connections", i, got.err, up.conns.Load())
				}
			}
			tr.CloseIdleConnections()
			if s := tr.Stats(); s.Idle != 0 {
				t.Errorf("%d wait after all", s.Idle)
			}
		})
	}
}

func TestIdleConnectionsExpire(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{})
	up := listen(t, func(w *wire) {
		answering(hello)(w)
		close(gone)
	})
	tr := newTransport(t, transport.Config{IdleTimeout: 20 * time.Millisecond})
	try(tr, get(t, up.url))
	<-gone
	settle(t, "no connection waits", func() bool { return tr.Stats().Idle == 0 })
	if s := tr.Stats(); s.Stale != 0 || s.Dialed != 1 {
		t.Errorf("stats are %+v", s)
	}
}

// A body that is not read to its end takes its connection with it.
func TestAnUnreadBodyEndsTheConnection(t *testing.T) {
	t.Parallel()
	for name, read := range map[string]int{"nothing": 0, "a part": 3, "all but the end": 5} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			more := make(chan struct{})
			defer close(more)
			up := listen(t, func(w *wire) {
				w.request()
				w.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
				<-more
			})
			tr := newTransport(t, transport.Config{})
			res, err := tr.RoundTrip(get(t, up.url))
			if err != nil {
				t.Fatal(err)
			}
			b := make([]byte, read)
			if n, err := res.Body.Read(b); n != read || err != nil {
				t.Errorf("read %d, %v", n, err)
			}
			res.Body.Close()
			res.Body.Close()
			if n, err := res.Body.Read(make([]byte, 1)); n != 0 || err == nil {
				t.Errorf("read %d, %v after the end", n, err)
			}
			if s := tr.Stats(); s.Idle != 0 {
				t.Error("the connection is kept")
			}
		})
	}
}

// A stream that waits has no buffer, whatever came before.
func TestAStreamThatWaitsHasNoBuffer(t *testing.T) {
	t.Parallel()
	step := make(chan string)
	up := listen(t, func(w *wire) {
		w.request()
		for s := range step {
			w.say("%s", s)
		}
	})
	tr := newTransport(t, transport.Config{})
	waits := func(what string) {
		t.Helper()
		settle(t, what, func() bool { return tr.Stats().Buffers == 0 })
	}
	type piece struct {
		n   int
		err error
	}
	head, pieces := make(chan error), make(chan piece)
	go func() {
		res, err := tr.RoundTrip(get(t, up.url))
		head <- err
		if err != nil {
			return
		}
		defer res.Body.Close()
		for err == nil {
			var b []byte
			b, err = res.Body.(*transport.Body).Next()
			pieces <- piece{len(b), err}
		}
	}()
	waits("while there is no head")
	step <- "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	if err := <-head; err != nil {
		t.Fatal(err)
	}
	waits("while there is no chunk")
	for _, size := range []int{10, 1 << 20, 10} {
		go func() { step <- fmt.Sprintf("%x\r\n%s\r\n", size, strings.Repeat("x", size)) }()
		for got := 0; got < size; {
			p := <-pieces
			if p.err != nil {
				t.Fatal(p.err)
			}
			got += p.n
		}
		waits("while there is no further chunk")
	}
	close(step)
	if p := <-pieces; !errors.Is(p.err, io.ErrUnexpectedEOF) {
		t.Errorf("the end of the connection is %v", p.err)
	}
	waits("in the end")
}

// Two requests to one host at once do not share a connection.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	up := listen(t, func(w *wire) {
		for {
			r, body := w.request()
			if r == nil {
				return
			}
			w.say("HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Path: %s\r\n\r\n%s", len(body), r.URL.Path, body)
		}
	})
	tr := newTransport(t, transport.Config{MaxIdlePerHost: 4})
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 50 {
				want := strings.Repeat(string(rune('a'+i)), j*100+1)
				got := try(tr, request(t, http.MethodPost, up.url+"/"+want[:1], strings.NewReader(want)))
				if got.body != want || got.header.Get("X-Path") != "/"+want[:1] || got.err != nil {
					t.Errorf("got %d bytes, %v", len(got.body), got.err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// Who reads a part may go on with Next, and the other way round.
func TestReadAndNextTakeTurns(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"with a length": "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789",
		"in chunks":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n0123\r\n6\r\n456789\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := listen(t, answering(answer))
			tr := newTransport(t, transport.Config{})
			for range 2 {
				res, err := tr.RoundTrip(get(t, up.url))
				if err != nil {
					t.Fatal(err)
				}
				body := res.Body.(*transport.Body)
				b := make([]byte, 3)
				n, err := body.Read(b)
				got := string(b[:n])
				for err == nil {
					if !body.Ready() && len(got) == 3 {
						t.Error("what is there is not ready")
					}
					var piece []byte
					piece, err = body.Next()
					got += string(piece)
				}
				if got != "0123456789" || err != io.EOF {
					t.Errorf("got %q, %v", got, err)
				}
				body.Close()
			}
			if n := up.conns.Load(); n != 1 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// What has not come is not ready, nor is a line around a chunk.
func TestReadyDoesNotWait(t *testing.T) {
	t.Parallel()
	step := make(chan string)
	up := listen(t, func(w *wire) {
		w.request()
		for s := range step {
			w.say("%s", s)
		}
	})
	defer close(step)
	tr := newTransport(t, transport.Config{})
	go func() { step <- "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5" }()
	res, err := tr.RoundTrip(get(t, up.url))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body := res.Body.(*transport.Body)
	for _, s := range []string{"\r\nhello\r", "\n1\r\n!\r\n0\r\n", "\r\n"} {
		if body.Ready() {
			t.Errorf("before %q it is ready", s)
		}
		step <- s
		body.Next()
	}
	if !body.Ready() {
		t.Error("the end is not ready")
	}
}
