package gateway_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/gateway"
	"github.com/gatehousehq/gatehouse/internal/routing"
)

// The memory of a body serves the next request only when the last one has been
// sent, be it long after its answer began.
func TestABodyThatIsStillSentIsNobodyElses(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	answered, proceed := make(chan struct{}), make(chan struct{})
	got := make(chan seen, 1)
	h.upstream(routing.OpenAI, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/slow" {
			io.Copy(io.Discard, r.Body)
			return
		}
		rc := http.NewResponseController(w)
		rc.EnableFullDuplex()
		io.WriteString(w, "data: early\n\n")
		rc.Flush()
		answered <- struct{}{}
		<-proceed
		got <- see(r)
	}, key("k"))
	h.upstream(routing.Anthropic, func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }, key("k"))
	body := pattern(8 << 20)
	slow := h.request("POST", "/ai/openai/v1/slow", string(body))
	done := make(chan answer)
	go func() { done <- h.do(slow) }()
	<-answered
	for range 8 {
		h.do(h.request("POST", "/ai/openai/v1/files", strings.Repeat("somebody else's", 8<<20/15)))
	}
	close(proceed)
	if s := <-got; s.sum != sha256.Sum256(body) {
		t.Error("the body changed while it was sent")
	}
	if a := <-done; a.body != "data: early\n\n" {
		t.Errorf("got %q", a.body)
	}
}

// A transport that goes against the rules gets an error, not somebody else's
// body: it reads on after it has closed, or asks for the body again when it has
// answered.
func TestALateReaderGetsNothing(t *testing.T) {
	t.Parallel()
	var late []*http.Request
	gw, request := bare(t, gateway.Config{}, func(r *http.Request) (*http.Response, error) {
		late = append(late, r)
		again, err := r.GetBody()
		if err != nil {
			t.Error(err)
		}
		for _, b := range []io.ReadCloser{r.Body, again} {
			if text, err := io.ReadAll(b); string(text) != `{"model":"mine"}` || err != nil {
				t.Errorf("got %q, %v", text, err)
			}
			b.Close()
			b.Close()
		}
		return respond(r, strings.NewReader("ok")), nil
	})
	for range 2 {
		w := &sink{h: http.Header{}}
		gw.ServeHTTP(w, request(strings.NewReader(`{"model":"mine"}`)))
	}
	for _, r := range late {
		if n, err := r.Body.Read(make([]byte, 10)); n != 0 || err == nil || errors.Is(err, io.EOF) {
			t.Errorf("read %d, %v", n, err)
		}
		if n, err := r.Body.(io.WriterTo).WriteTo(io.Discard); n != 0 || err == nil {
			t.Errorf("wrote %d, %v", n, err)
		}
		if _, err := r.GetBody(); err == nil {
			t.Error("there is a body again")
		}
	}
}

// Many requests at once, of all sizes, one exchange and one buffer after the
// other: nobody gets what is another's.
func TestExchangesDoNotMix(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.upstream(routing.OpenAI, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if len(body)%7 == 0 {
			w.WriteHeader(500)
		}
		w.Write(body)
	}, key("k1"), key("k2"))
	h.request("GET", "/", "") // starts the server
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 40 {
				body := bytes.Repeat([]byte{byte('a' + i)}, j*j*50+1)
				req := h.request("POST", "/ai/openai/v1/files", string(body))
				if j%3 == 0 {
					req.ContentLength, req.Body = -1, io.NopCloser(bytes.NewReader(body))
				}
				a := h.do(req)
				if a.body != string(body) || a.status != map[bool]int{true: 500, false: 200}[len(body)%7 == 0] {
					t.Errorf("got %d and %d bytes, sent %d", a.status, len(a.body), len(body))
					return
				}
			}
		})
	}
	wg.Wait()
}
