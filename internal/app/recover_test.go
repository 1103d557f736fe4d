package app_test

import (
	"bytes"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/app"
)

// recoverUser runs "gatehouse user recover" and returns what it says.
func recoverUser(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := app.UserRecoverCommand()
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(append([]string{"--data-dir=" + dir}, args...))
	err := cmd.ExecuteContext(t.Context())
	if strings.Contains(out.String(), "gate_") || err != nil && strings.Contains(err.Error(), "gate_") {
		t.Error("it shows the token")
	}
	return out.String(), err
}

// newOwner returns a client with the token in the file of a data directory.
func (r *running) newOwner(t *testing.T) *client.Client {
	t.Helper()
	file := filepath.Join(r.dir, "owner-token")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%s: %v", file, err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return connect(t, r.URL(), strings.TrimSpace(string(b)))
}

// lockOut revokes every token there is.
func (r *running) lockOut(t *testing.T) {
	t.Helper()
	page, err := r.owner.ListTokens(t.Context(), listAll)
	if err != nil || len(page.Items) != 1 {
		t.Fatalf("tokens %+v, %v", page.Items, err)
	}
	if err := r.owner.DeleteToken(t.Context(), page.Items[0].ID); err != nil {
		t.Fatal(err)
	}
}

func TestRecoveryLetsTheOwnerBackIn(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, flags ...string) {
		r := start(t, dataDir(t), flags...)
		r.lockOut(t)
		said, err := recoverUser(t, r.dir, flags...)
		if len(flags) == 0 { // SQLite has one process at a time
			if err == nil || !strings.Contains(err.Error(), "stop it, and run this again") {
				t.Fatalf("beside a running server: %v", err)
			}
			if _, err := os.Stat(filepath.Join(r.dir, "owner-token")); err == nil {
				t.Error("a refused recovery wrote a token")
			}
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			said, err = recoverUser(t, r.dir, flags...)
			if err != nil {
				t.Fatal(err)
			}
			r = start(t, r.dir, flags...)
		} else if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(said, "User owner is an owner, and has a new token in "+r.dir) {
			t.Errorf("it said %s", said)
		}
		owner := r.newOwner(t)
		eventually(t, "the new token lets in", func() bool {
			_, err := owner.ListProviders(t.Context(), client.ListOptions{})
			return err == nil
		})
		me, err := owner.Me(t.Context())
		if err != nil || me.Name != "owner" || me.TokenName != "owner-token" {
			t.Errorf("it is the token of %+v, %v", me, err)
		}
		audit, err := owner.ListAudit(t.Context(), client.AuditFilter{}, client.ListOptions{Limit: 5})
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, e := range audit.Items {
			found = found || e.Actor.Kind == "system" && e.Actor.Name == "recovery" && e.Action == "create" && e.ResourceType == "api_key"
		}
		if !found {
			t.Errorf("the audit log says nothing of it: %+v", audit.Items)
		}
	})
}

func TestRecoveryMakesAnOwnerOfAnybody(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, flags ...string) {
		ctx := t.Context()
		r := start(t, dataDir(t), flags...)
		if _, err := r.owner.CreateRole(ctx, client.CreateRole{Name: "gone", Permissions: []string{"gateway:use"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.owner.CreateUser(ctx, client.CreateUser{Name: "bea", Roles: []string{"member", "gone"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.owner.CreateUser(ctx, client.CreateUser{Name: "cy", Roles: []string{"owner"}}); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"bea", "cy"} {
			if _, err := r.owner.UpdateUser(ctx, name, client.UpdateUser{Disabled: client.Set(true)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		// Not even a role that is missing keeps her out.
		dropRoles(t, r.dir, flags...)
		for _, name := range []string{"bea", "cy", "new one"} {
			if _, err := recoverUser(t, r.dir, append(flags, name)...); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			r = start(t, r.dir, flags...)
			owner := r.newOwner(t)
			u, err := owner.User(ctx, name)
			if err != nil || u.Disabled || strings.Join(u.Roles, " ") != "owner" {
				t.Errorf("%s: %+v, %v", name, u, err)
			}
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
		}
		token, err := os.ReadFile(filepath.Join(r.dir, "owner-token"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"a\nb", " ", "0190a5a0-0000-7000-8000-00000000aaaa"} {
			if _, err := recoverUser(t, r.dir, append(flags, name)...); err == nil || !strings.Contains(err.Error(), "name must") {
				t.Errorf("%q: %v", name, err)
			}
		}
		if after, err := os.ReadFile(filepath.Join(r.dir, "owner-token")); err != nil || string(after) != string(token) {
			t.Errorf("a refused recovery changed the token in the file, %v", err)
		}
	})
}

// dropRoles takes every custom role out of a database behind the server's back.
func dropRoles(t *testing.T, dir string, flags ...string) {
	t.Helper()
	driver, dsn := "sqlite", filepath.Join(dir, "gatehouse.db")
	if len(flags) > 0 {
		driver, dsn = "pgx", strings.TrimPrefix(flags[0], "--database-url=")
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "DELETE FROM roles"); err != nil {
		t.Fatal(err)
	}
}

func TestRecoveryMakesNothingWhereNothingIs(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "nowhere")
	if _, err := recoverUser(t, dir); err == nil || !strings.Contains(err.Error(), "open the data directory") {
		t.Errorf("a directory that is not there: %v", err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("it made the directory")
	}
	dir = dataDir(t)
	if _, err := recoverUser(t, dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an empty directory: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "gatehouse.db")); err == nil {
		t.Error("it made a database")
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can give a directory to somebody else")
	}
	if err := os.Chown(dir, 65532, 65532); err != nil {
		t.Fatal(err)
	}
	if _, err := recoverUser(t, dir); err == nil || !strings.Contains(err.Error(), "sudo -u '#65532'") {
		t.Errorf("a directory of another user: %v", err)
	}
}
