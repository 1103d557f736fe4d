package app_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/mockupstream"
)

// browse sends a request as a page of the server does, with a cookie unless that is
// nil, and returns the status and the cookie that was set.
func (r *running) browse(t *testing.T, method, path, body string, in *http.Cookie) (int, *http.Cookie) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Origin", r.URL())
	if in != nil {
		req.AddCookie(&http.Cookie{Name: in.Name, Value: in.Value})
	}
	res, err := (&http.Client{Transport: newTransport(t)}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil {
		t.Error(err)
	}
	for _, c := range res.Cookies() {
		return res.StatusCode, c
	}
	return res.StatusCode, nil
}

// signIn signs in with the token in the data directory.
func (r *running) signIn(t *testing.T) *http.Cookie {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, "owner-token"))
	if err != nil {
		t.Fatal(err)
	}
	status, c := r.browse(t, "POST", "/api/v1/session", `{"token":"`+strings.TrimSpace(string(b))+`"}`, nil)
	if status != http.StatusCreated || c == nil {
		t.Fatalf("signing in: %d", status)
	}
	return c
}

const (
	onePassword = `{"new":"a castle by the sea 1"}`
	signInBody  = `{"name":"owner","password":"a castle by the sea 1"}`
)

func TestTheOwnersTokenOpensTheFirstSession(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, flags ...string) {
		_, upstream := newUpstream(t, mockupstream.Config{})
		r := start(t, dataDir(t), flags...)
		r.add(t, "vendor", upstream+"/v1", goodKey)
		in := r.signIn(t)
		for path, want := range map[string]int{"/api/v1/ai/providers": 200, "/api/v1/session": 200, "/metrics": 401, "/ai/vendor/v1/models": 401, "/ai/v1/models": 401} {
			if status, _ := r.browse(t, "GET", path, "", in); status != want {
				t.Errorf("%s with the cookie: %d, want %d", path, status, want)
			}
		}
		file := filepath.Join(r.dir, "owner-token")
		status, next := r.browse(t, "POST", "/api/v1/me/password", onePassword, in)
		if status != http.StatusNoContent || next == nil {
			t.Fatalf("setting the password: %d", status)
		}
		if _, err := os.Stat(file); !os.IsNotExist(err) {
			t.Errorf("the file of the token is there: %v", err)
		}
		if _, err := r.owner.Me(t.Context()); err != nil {
			t.Errorf("the token in it: %v", err)
		}
		if status, _ := r.browse(t, "GET", "/api/v1/session", "", in); status != 401 {
			t.Errorf("the session before: %d", status)
		}
		// It is not made again, and one that somebody puts there goes at the next start.
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		r = start(t, r.dir, flags...)
		if _, err := os.Stat(file); !os.IsNotExist(err) {
			t.Errorf("the file of the token is there again: %v", err)
		}
		if status, _ := r.browse(t, "GET", "/api/v1/session", "", next); status != 200 {
			t.Errorf("after a start the session is over: %d", status)
		}
		if status, _ := r.browse(t, "POST", "/api/v1/session", signInBody, nil); status != 201 {
			t.Errorf("signing in by password: %d", status)
		}
		// Who is locked out gets back in.
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		if out, err := recoverUser(t, r.dir, flags...); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		r = start(t, r.dir, flags...)
		if status, _ := r.browse(t, "GET", "/api/v1/session", "", next); status != 401 {
			t.Errorf("after a recovery the session goes on: %d", status)
		}
		if status, _ := r.browse(t, "POST", "/api/v1/session", signInBody, nil); status != 401 {
			t.Errorf("after a recovery the password lets in: %d", status)
		}
		r.signIn(t)
	})
}

// What ends a session ends it at the other servers with the next request.
func TestASessionEndsAtEveryServer(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, flags ...string) {
		if len(flags) == 0 {
			return // SQLite has one server
		}
		one := start(t, dataDir(t), flags...)
		dir := dataDir(t)
		copyFile(t, filepath.Join(one.dir, "encryption-key"), filepath.Join(dir, "encryption-key"))
		two := start(t, dir, flags...)
		in := one.signIn(t)
		for i, r := range []*running{one, two} {
			if status, _ := r.browse(t, "GET", "/api/v1/session", "", in); status != 200 {
				t.Errorf("server %d: %d", i+1, status)
			}
		}
		if status, _ := one.browse(t, "DELETE", "/api/v1/session", "", in); status != 204 {
			t.Errorf("signing out: %d", status)
		}
		if status, _ := two.browse(t, "GET", "/api/v1/session", "", in); status != 401 {
			t.Errorf("after that, at the other: %d", status)
		}
	})
}

func TestARestoreEndsSessions(t *testing.T) {
	t.Parallel()
	r := start(t, dataDir(t))
	in := r.signIn(t)
	backup := backupOf(t, r.dir)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if said, err := restore(t, r.dir, backup, "--force"); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	r = start(t, r.dir)
	if status, _ := r.browse(t, "GET", "/api/v1/session", "", in); status != 401 {
		t.Errorf("the session of the backup: %d", status)
	}
	audit, err := r.owner.ListAudit(t.Context(), client.AuditFilter{Resource: "session"}, client.ListOptions{})
	if err != nil || len(audit.Items) != 2 || audit.Items[0].Actor.Name != "recovery" || audit.Items[1].Action != "login" {
		t.Errorf("the log has %+v, %v", audit.Items, err)
	}
}
