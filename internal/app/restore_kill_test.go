package app_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/pflag"

	"github.com/gatehousehq/gatehouse/internal/app"
	"github.com/gatehousehq/gatehouse/internal/config"
)

// Variables that make this test program a restore that dies: the data directory,
// the backup, and the step after which.
const (
	dieDir    = "TEST_RESTORE_DIR"
	dieBackup = "TEST_RESTORE_BACKUP"
	dieAfter  = "TEST_RESTORE_DIE_AFTER"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(dieDir); dir != "" {
		if err := restoreAndDie(dir, os.Getenv(dieBackup), os.Getenv(dieAfter)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// restoreAndDie says each step that it did, and kills itself after one, as the
// kernel would.
func restoreAndDie(dir, backup, after string) error {
	var cfg config.Config
	fs := pflag.NewFlagSet("restore", pflag.ContinueOnError)
	cfg.BindDatabase(fs)
	if err := fs.Parse([]string{"--data-dir=" + dir}); err != nil {
		return err
	}
	return app.RestoreInSteps(context.Background(), cfg, backup, func(name string) {
		fmt.Println(name)
		if name == after {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // it does not return
		}
	})
}

// dying runs a restore that dies after a step, and returns the steps it did. With
// no step it lives.
func (s site) dying(t *testing.T, dir, after string) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), dieDir+"="+dir, dieBackup+"="+s.backup, dieAfter+"="+after)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	exit, killed := errors.AsType[*exec.ExitError](err)
	killed = killed && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
	if killed != (after != "") || !killed && err != nil {
		t.Fatalf("killed after %q: %t, %v", after, killed, err)
	}
	// Some systems let go of a dead process's locks a moment later.
	eventually(t, "the lock is free", func() bool {
		lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Close()
		fd := int(lock.Fd())
		return syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB) == nil && syscall.Flock(fd, syscall.LOCK_UN) == nil
	})
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// A restore that is killed leaves the old database or the new one, whole, and
// can be made again.
func TestRestoreKilledAtAnyStep(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	steps := s.dying(t, s.fullyDied(t), "")
	if len(steps) < 9 {
		t.Fatalf("there are only these steps: %v", steps)
	}
	placed := false
	for _, step := range steps {
		placed = placed || step == "placed"
		isNew := placed
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			dir := s.fullyDied(t)
			s.dying(t, dir, step)
			r := start(t, dir)
			if status, body := r.ask(t, "vendor", s.token); status != 200 {
				t.Errorf("the gateway answers %d %s", status, body)
			}
			status, body := r.ask(t, "later", s.token)
			if isNew != (status == 404) {
				t.Errorf("what is in the old database alone answers %d %s", status, body)
			}
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			if !isNew {
				verifies(t, dir)
			}
			if isNew && step == "placed" && !strings.Contains(r.log.String(), "the audit log was rewritten") {
				t.Error("a log that does not continue the checkpoints was signed")
			}
			// Again, now to the end. In the checkpoints of a restore that died at the
			// last steps there is nothing that contradicts it.
			s.dying(t, dir, "")
			s.isRestored(t, dir)
			if left := names(t, dir); strings.Contains(left, ".gatehouse.db-restore") {
				t.Errorf("it left %s", left)
			}
		})
	}
}

// fullyDied is died, with a checkpoint of more than the backup has.
func (s site) fullyDied(t *testing.T) string {
	t.Helper()
	dir := s.died(t)
	if err := start(t, dir).stop(); err != nil { // which publishes one
		t.Fatal(err)
	}
	r := start(t, dir)
	r.mint(t, "gateway:use")
	left := keyedDir(t, s.dir)
	for _, name := range []string{"gatehouse.db", "gatehouse.db-wal", "owner-token", "audit-checkpoints"} {
		copyFile(t, filepath.Join(dir, name), filepath.Join(left, name))
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	return left
}
