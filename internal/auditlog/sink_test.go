package auditlog_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/auditlog"
)

// published is what a server sends out.
func published(t *testing.T, size int64) auditlog.Published {
	t.Helper()
	key := newSigner(t, 1)
	return auditlog.Published{Time: noon, Checkpoint: newMemory(t, size).signed(t, key), Key: key.VerifierKey()}
}

func newSink(t *testing.T, spec string, stdout io.Writer) auditlog.Sink {
	t.Helper()
	s, err := auditlog.ParseSink(spec, stdout)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSinksAreParsed(t *testing.T) {
	t.Parallel()
	for spec, want := range map[string]string{
		"stdout":           "stdout",
		"file:checkpoints": "file:checkpoints",
		"https://ada:canary@hooks.example/x?canary": "webhook at hooks.example",
		"http://[::1]:8080":                         "webhook at [::1]:8080",
	} {
		if got := newSink(t, spec, io.Discard).String(); got != want {
			t.Errorf("%s: got %s, want %s", spec, got, want)
		}
	}
	for _, spec := range []string{"", "stderr", "file:", "file", "https://", "ftp://host/canary", "://canary", "/var/canary"} {
		if s, err := auditlog.ParseSink(spec, io.Discard); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: got %v (%v), want an error that does not show it", spec, s, err)
		}
	}
}

func TestStdoutGetsOneLineEach(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	sink := newSink(t, "stdout", &out)
	for size := range int64(3) {
		if err := sink.Publish(t.Context(), published(t, size+1)); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Count(out.String(), "\n"); got != 3 {
		t.Errorf("got %d lines, want 3", got)
	}
	got, err := auditlog.ReadPublished(out.Bytes(), newSigner(t, 1).VerifierKey())
	if err != nil || len(got) != 3 || got[2].Size != 3 {
		t.Errorf("got %v (%v), want three", got, err)
	}
}

// TestTheFileSurvivesACrash cuts the file at each length: what was whole can be
// read, and what comes next is whole again.
func TestTheFileSurvivesACrash(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "checkpoints")
	sink := newSink(t, "file:"+file, nil)
	for size := range int64(2) {
		if err := sink.Publish(t.Context(), published(t, size+1)); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got mode %v (%v), want 0600", info.Mode(), err)
	}
	whole := read(t, file)
	first := strings.Index(whole, "\n") + 1
	last, ok := sink.(interface {
		Last(key string) (auditlog.Checkpoint, error)
	})
	if !ok {
		t.Fatal("the file does not say what it has last")
	}
	next := published(t, 3)
	for cut := range len(whole) + 1 {
		if err := os.WriteFile(file, []byte(whole[:cut]), 0o600); err != nil {
			t.Fatal(err)
		}
		var want int64
		if cut >= first-1 { // its end may be missing
			want = 1
		}
		if cut >= len(whole)-1 {
			want = 2
		}
		if got, err := last.Last(next.Key); err != nil || got.Size != want {
			t.Fatalf("cut at %d: got %d (%v), want %d", cut, got.Size, err, want)
		}
		if cut%8 != 0 && cut != first-1 && cut != first && cut < len(whole)-1 {
			continue // writing waits for the disk
		}
		if err := sink.Publish(t.Context(), next); err != nil {
			t.Fatal(err)
		}
		if got, err := auditlog.ReadPublished([]byte(read(t, file)), next.Key); err != nil || got[len(got)-1].Size != 3 || len(got) != int(want)+1 {
			t.Fatalf("cut at %d, and one more: got %v (%v), want %d", cut, got, err, want+1)
		}
	}
}

// TestTheLargestIsTheLast: two replicas may write in either order.
func TestTheLargestIsTheLast(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "checkpoints")
	sink := newSink(t, "file:"+file, nil)
	for _, size := range []int64{1, 3, 2} {
		if err := sink.Publish(t.Context(), published(t, size)); err != nil {
			t.Fatal(err)
		}
	}
	last, ok := sink.(interface {
		Last(key string) (auditlog.Checkpoint, error)
	})
	if !ok {
		t.Fatal("the file does not say what it has last")
	}
	if got, err := last.Last(newSigner(t, 1).VerifierKey()); err != nil || got.Size != 3 {
		t.Errorf("got %d (%v), want 3", got.Size, err)
	}
	if got, err := last.Last(newSigner(t, 2).VerifierKey()); err != nil || got.Size != 0 {
		t.Errorf("by another key: got %d (%v), want 0", got.Size, err)
	}
}

func TestAFileThatCannotBeReadIsAnError(t *testing.T) {
	t.Parallel()
	last, ok := newSink(t, "file:"+t.TempDir(), nil).(interface {
		Last(key string) (auditlog.Checkpoint, error)
	})
	if !ok {
		t.Fatal("the file does not say what it has last")
	}
	if c, err := last.Last("k"); err == nil {
		t.Errorf("got %+v, want an error", c)
	}
}

func TestWebhooks(t *testing.T) {
	t.Parallel()
	p := published(t, 3)
	tests := map[string]struct {
		answer int
		want   string // in the error; "" is none
	}{
		"taken":               {http.StatusAccepted, ""},
		"refused":             {http.StatusForbidden, "it answered 403"},
		"sent somewhere else": {http.StatusTemporaryRedirect, "it answered 307"},
		"broken":              {http.StatusInternalServerError, "it answered 500"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				var got auditlog.Published
				if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
					t.Error(err)
				}
				if diff := cmp.Diff(got, p); diff != "" || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
					t.Errorf("%s %s: %s", r.Method, r.Header.Get("Content-Type"), diff)
				}
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(tt.answer)
			}))
			t.Cleanup(srv.Close)
			err := newSink(t, srv.URL+"/canary", nil).Publish(t.Context(), p)
			if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if got := calls.Load(); got != 1 {
				t.Errorf("got %d calls, want 1", got)
			}
		})
	}
}

// TestAWebhooksURLIsInNoError: it may hold a credential.
func TestAWebhooksURLIsInNoError(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.NotFoundHandler())
	srv.Close()
	url := strings.Replace(srv.URL, "http://", "http://ada:canary@", 1) + "/canary?key=canary"
	err := newSink(t, url, nil).Publish(t.Context(), published(t, 3))
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v, want an error without the URL", err)
	}
}
