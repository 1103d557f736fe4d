package rotation_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// newUpstream starts a provider that answers with what it was sent: whose it is
// shows in its path.
func newUpstream(t *testing.T) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // whoever breaks off gets no answer
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(document{
			Keys:         []string{strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")},
			Organization: r.Header.Get("OpenAI-Organization"),
		})
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// A target is a server that traffic goes to.
type target struct{ url, token string }

// traffic is requests to the gateway, all the time.
type traffic struct {
	ledger *ledger
	wrong  *findings
	// killed is whether the server is killed, so that a request may get no answer.
	killed bool
	// lenient is whether the server may not know the newest yet.
	lenient bool

	http         *http.Client
	served, lost atomic.Int64
}

// newTraffic makes traffic that does not flow yet.
func newTraffic(t *testing.T, l *ledger, wrong *findings) *traffic {
	t.Helper()
	tr := &http.Transport{MaxIdleConnsPerHost: 16}
	t.Cleanup(tr.CloseIdleConnections)
	return &traffic{ledger: l, wrong: wrong, http: &http.Client{Transport: tr, Timeout: 2 * time.Minute}}
}

// flow sends requests to a server until stop is called, which waits for the last
// of them.
func (tr *traffic) flow(t *testing.T, to *atomic.Pointer[target]) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		names := tr.ledger.names()
		tick := time.NewTicker(4 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			// A request is not cut when the traffic stops: it would look like a failure.
			tr.one(*to.Load(), names[i*7%len(names)], tr.lenient)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); work.Wait() })
	t.Cleanup(stop)
	return stop
}

// one sends a request and says whether all was well with it.
func (tr *traffic) one(to target, name string, lenient bool) bool {
	began := time.Now()
	got, err := tr.ask(to, name)
	switch {
	case err == nil:
		if problem := tr.ledger.right(name, got, began, lenient); problem != "" {
			tr.wrong.add("%s", problem)
			return false
		}
		tr.served.Add(1)
		return true
	case !tr.killed || answered(err):
		tr.wrong.add("a request to %s failed after %v: %v", name, time.Since(began), err)
		return false
	}
	tr.lost.Add(1)
	return false
}

// A refusedError is for an answer that is not a success.
type refusedError struct {
	status int
	body   string
}

func (e *refusedError) Error() string { return fmt.Sprintf("%d %s", e.status, e.body) }

func answered(err error) bool { _, is := err.(*refusedError); return is }

const chat = `{"model":"any","messages":[{"role":"user","content":"hi"}]}`

func (tr *traffic) ask(to target, name string) (got document, err error) {
	req, err := http.NewRequest(http.MethodPost, to.url+"/ai/"+name+"/v1/chat/completions", strings.NewReader(chat))
	if err != nil {
		return got, err
	}
	req.Header.Set("Authorization", "Bearer "+to.token)
	req.Header.Set("Content-Type", "application/json")
	res, err := tr.http.Do(req)
	if err != nil {
		return got, err
	}
	defer func() { _ = res.Body.Close() }() // it was read
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return got, err
	}
	if res.StatusCode != http.StatusOK {
		return got, &refusedError{res.StatusCode, string(b)}
	}
	return got, json.Unmarshal(b, &got)
}
