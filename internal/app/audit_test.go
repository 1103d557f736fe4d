package app_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/app"
	"github.com/gatehousehq/gatehouse/internal/auditlog"
	"github.com/gatehousehq/gatehouse/internal/datadir"
)

// A hook is a webhook that checkpoints are sent to.
type hook struct {
	*httptest.Server
	mu    sync.Mutex
	lines []byte
	fail  bool
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body) // a part that is cut does not parse
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.fail {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		h.lines = append(h.lines, b...)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) checkpoints(t *testing.T) []auditlog.Checkpoint {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	c, err := auditlog.ReadPublished(h.lines, "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCheckpointsLeaveTheServer(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, flags ...string) {
		h := newHook(t)
		dir := dataDir(t)
		file := filepath.Join(t.TempDir(), "elsewhere")
		flags = append(flags, "--audit-checkpoints=file:"+file+","+h.URL+"/hook?key=canary-in-the-url")
		s := start(t, dir, flags...)
		s.add(t, "vendor", "http://127.0.0.1:1/v1", goodKey)
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
		sent := h.checkpoints(t)
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		written, err := auditlog.ReadPublished(content, "")
		if err != nil || len(written) == 0 || len(sent) == 0 || written[len(written)-1] != sent[len(sent)-1] {
			t.Errorf("%d checkpoints in the file, %d sent, %v", len(written), len(sent), err)
		}

		// A webhook that is away holds nobody up, and does not show its URL.
		h.mu.Lock()
		h.fail = true
		h.mu.Unlock()
		again := start(t, dir, flags...)
		again.mint(t, "gateway:use")
		if err := again.stop(); err != nil {
			t.Fatal(err)
		}
		if log := again.log.String(); !strings.Contains(log, "could not be published") || strings.Contains(log, "canary") {
			t.Errorf("the log says\n%s", log)
		}
	})
}

// A server does not sign a log that is not the one it signed before: here, one
// that was put back to an earlier state.
func TestRewrittenLogIsNotSigned(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	database, file := filepath.Join(dir, datadir.Database), filepath.Join(dir, datadir.AuditCheckpoints)
	s := start(t, dir)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	earlier, err := os.ReadFile(database)
	if err != nil {
		t.Fatal(err)
	}
	s = start(t, dir)
	s.mint(t, "gateway:use")
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	published, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(database, earlier, 0o600); err != nil {
		t.Fatal(err)
	}
	s = start(t, dir)
	s.mint(t, "gateway:use") // it goes on serving
	_, err = s.owner.AuditCheckpoint(t.Context())
	if e, ok := errors.AsType[*client.Error](err); !ok || e.Status != http.StatusConflict {
		t.Errorf("a checkpoint: %v", err)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(s.log.String(), "the audit log was rewritten") {
		t.Errorf("the log says\n%s", s.log.String())
	}
	if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, published) {
		t.Errorf("another checkpoint was published, %v", err)
	}
}

func TestRetentionRemovesAndProofsStay(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, flags ...string) {
		dir := dataDir(t)
		log := &logBuffer{}
		o := options(log)
		late := time.Now().Add(1000 * time.Hour)
		s := start(t, dir, flags...)
		s.add(t, "vendor", "http://127.0.0.1:1/v1", goodKey)
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
		o.Now = func() time.Time { return late }
		again, err := app.NewServer(t.Context(), configure(t, dir, append(flags, "--audit-retention=500h")...), o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- again.Serve(ctx) }()
		owner, err := os.ReadFile(filepath.Join(dir, datadir.OwnerToken))
		if err != nil {
			t.Fatal(err)
		}
		c := connect(t, again.URL(), strings.TrimSpace(string(owner)))
		eventually(t, "the entries are removed", func() bool {
			page, err := c.ListAudit(t.Context(), client.AuditFilter{}, client.ListOptions{})
			return err == nil && len(page.Items) > 0 && page.Items[len(page.Items)-1].Actor.Name == "audit archivist"
		})
		proof, err := c.AuditProof(t.Context(), 1)
		if err != nil || proof.Record != nil || len(proof.Hashes) == 0 {
			t.Errorf("proof %+v, %v", proof, err)
		}
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}
