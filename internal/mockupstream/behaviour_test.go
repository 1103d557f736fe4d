package mockupstream_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/mockupstream"
	"github.com/gatehousehq/gatehouse/internal/secret"
)

func TestTheSameRequestsGetTheSameBytes(t *testing.T) {
	t.Parallel()
	answer := func() string {
		up := newUpstream(mockupstream.Config{})
		var all strings.Builder
		for _, path := range []string{"/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/embeddings"} {
			w := httptest.NewRecorder()
			up.ServeHTTP(w, newRequest(t, http.MethodPost, path, goodKey,
				`{"model":"m","max_tokens":1,"input":"x","messages":[{"role":"user","content":"x"}]}`))
			all.WriteString(w.Body.String())
		}
		return all.String()
	}
	if diff := cmp.Diff(answer(), answer()); diff != "" {
		t.Errorf("answers differ:\n%s", diff)
	}
}

func TestAStreamIsPaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up := newUpstream(mockupstream.Config{Pace: time.Second, Reply: "one two three four"})
		begun := time.Now()
		w := httptest.NewRecorder()
		up.ServeHTTP(w, newRequest(t, http.MethodPost, "/v1/chat/completions", goodKey, `{"model":"m","stream":true}`))
		if got := time.Since(begun); got != 4*time.Second {
			t.Errorf("four words took %v", got)
		}
		if got := strings.Count(w.Body.String(), "data: "); got != 7 {
			t.Errorf("%d events, want 4 words, the first, the last and the end", got)
		}
	})
}

func TestRequestsAreRecorded(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var hooked []mockupstream.Request
	up, url := newServer(t, mockupstream.Config{OnRequest: func(r mockupstream.Request) {
		mu.Lock()
		defer mu.Unlock()
		hooked = append(hooked, r)
	}})
	body := strings.Repeat("x", 3<<20)
	req := newRequest(t, http.MethodPost, url+"/v1/mess%61ges?beta=true", goodKey, body)
	req.Header.Set("X-App", "cli")
	do(t, req)
	req = newRequest(t, http.MethodGet, url+"/v1/models", "mock-key-of-nobody", "")
	req.Header.Set("Cookie", "a=b")
	do(t, req)

	got := up.Requests()
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff(got, hooked, cmp.Comparer(func(a, b secret.Text) bool { return a == b })); diff != "" {
		t.Errorf("the hook saw something else:\n%s", diff)
	}
	if len(got) != 2 {
		t.Fatalf("%d requests", len(got))
	}
	sum := sha256.Sum256([]byte(body))
	first := got[0]
	if first.Method != "POST" || first.Path != "/v1/mess%61ges" || first.Query != "beta=true" || first.Key != "ok" ||
		first.Status != http.StatusBadRequest || first.BodySize != int64(len(body)) || first.BodySHA256 != hex.EncodeToString(sum[:]) ||
		!first.Time.Equal(at()) || first.Header.Get("X-App") != "cli" {
		t.Errorf("recorded %+v", first)
	}
	second := got[1]
	if second.Key != "" || second.Status != http.StatusUnauthorized {
		t.Errorf("recorded %+v", second)
	}
	if !slices.Equal(second.Credentials["Authorization"], []secret.Text{secret.New("Bearer mock-key-of-nobody")}) ||
		!slices.Equal(second.Credentials["Cookie"], []secret.Text{secret.New("a=b")}) {
		t.Error("the credentials are not as they were sent")
	}
	if v := second.Header.Get("Authorization") + second.Header.Get("Cookie"); v != secret.Redacted+secret.Redacted {
		t.Error("the recorded header shows a credential")
	}
}

func TestOnlyTheNewestAreKept(t *testing.T) {
	t.Parallel()
	up := newUpstream(mockupstream.Config{Keep: 3})
	for i := range 20 {
		up.ServeHTTP(httptest.NewRecorder(), newRequest(t, http.MethodGet, "/v1/"+strconv.Itoa(i), goodKey, ""))
		if got, want := len(up.Requests()), min(i+1, 3); got != want {
			t.Fatalf("after %d: %d are kept, want %d", i+1, got, want)
		}
	}
	var paths []string
	for _, r := range up.Requests() {
		paths = append(paths, r.Path)
	}
	if diff := cmp.Diff([]string{"/v1/17", "/v1/18", "/v1/19"}, paths); diff != "" {
		t.Error(diff)
	}
}

func TestAConnectionIsResetWithinTheAnswer(t *testing.T) {
	t.Parallel()
	_, url := newServer(t, mockupstream.Config{})
	for name, stream := range map[string]string{"stream": "true", "whole": "false"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := newRequest(t, http.MethodPost, url+"/v1/chat/completions", "mock-key-that-breaks-off",
				`{"model":"m","stream":`+stream+`,"messages":[{"role":"user","content":"x"}]}`)
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if _, err = io.ReadAll(res.Body); err == nil {
				t.Error("the answer came whole")
			}
			if res.StatusCode != http.StatusOK {
				t.Errorf("status %d", res.StatusCode)
			}
		})
	}
}

func TestAStallLastsUntilTheClientLeaves(t *testing.T) {
	t.Parallel()
	seen := make(chan mockupstream.Request, 1)
	up := newUpstream(mockupstream.Config{OnRequest: func(r mockupstream.Request) { seen <- r }})
	ended := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		up.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	req := newRequest(t, http.MethodPost, srv.URL+"/v1/chat/completions", "mock-key-that-says-nothing", `{}`)
	ctx, leave := contextWithCause(t)
	left := make(chan error, 1)
	go func() {
		_, err := http.DefaultClient.Do(req.WithContext(ctx))
		left <- err
	}()
	if r := <-seen; r.Status != 0 || r.Key != "stall" {
		t.Errorf("recorded %+v", r)
	}
	select {
	case <-ended:
		t.Error("it answered")
	default:
	}
	leave()
	<-ended
	if err := <-left; !errors.Is(err, errLeft) {
		t.Errorf("the client saw %v", err)
	}
}

func TestAKeyCanChange(t *testing.T) {
	t.Parallel()
	up, url := newServer(t, mockupstream.Config{})
	up.SetKey(secret.New("mock-key-that-is-new"), mockupstream.Key{Label: "new"})
	up.SetKey(secret.New(goodKey), mockupstream.Key{Label: "ok", Behaviour: mockupstream.Overloaded})
	for key, want := range map[string]int{"mock-key-that-is-new": 200, goodKey: 500} {
		res, _ := do(t, newRequest(t, http.MethodGet, url+"/v1/models", key, ""))
		if res.StatusCode != want {
			t.Errorf("got %d, want %d", res.StatusCode, want)
		}
	}
}
