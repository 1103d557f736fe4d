package rotation_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// A cluster is a PostgreSQL server of the test's own, which it may stop and
// start. It is made as scripts/with-postgres makes one.
type cluster struct {
	t    *testing.T
	bin  string // the directory of the programs
	dir  string
	attr syscall.SysProcAttr // whose the cluster is
	// URL is of the database.
	URL string

	exited chan struct{} // closed when the running server is gone
	pid    int
}

// newCluster makes and starts a cluster, or skips the test where PostgreSQL is
// not installed.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the processes of the test are told to end with it, as only Linux can")
	}
	// A socket's path may have 107 bytes: a long TMPDIR does not do. A directory of
	// the test may be closed to the cluster's owner.
	root := os.TempDir()
	if len(root) > 60 {
		root = "/tmp"
	}
	c := &cluster{t: t, bin: programs(t)}
	var err error
	if c.dir, err = os.MkdirTemp(root, "gatehouse-pg-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.stop()
		if err := os.RemoveAll(c.dir); err != nil {
			t.Error(err)
		}
	})
	c.attr = syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGQUIT}
	if os.Getuid() == 0 { // PostgreSQL refuses to run as root
		cred := ordinary(t)
		c.attr.Credential = cred
		if err := os.Chown(c.dir, int(cred.Uid), int(cred.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	c.URL = "postgres://postgres@/postgres?host=" + c.dir
	init := exec.CommandContext(t.Context(), filepath.Join(c.bin, "initdb"), "--pgdata", c.data(), "--username", "postgres",
		"--auth", "trust", "--no-locale", "--encoding", "UTF8", "--no-instructions", "--no-sync")
	init.Dir, init.SysProcAttr = "/", &syscall.SysProcAttr{Credential: c.attr.Credential}
	if out, err := init.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	c.start()
	return c
}

func (c *cluster) data() string { return filepath.Join(c.dir, "data") }

// programs returns where PostgreSQL's programs are.
func programs(t *testing.T) string {
	t.Helper()
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // the pattern is well-formed
	slices.SortFunc(dirs, func(a, b string) int { return versionOf(b) - versionOf(a) })
	if initdb, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(initdb); err == nil {
			dirs = append([]string{filepath.Dir(real)}, dirs...)
		}
	}
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "postgres")); err == nil {
			return dir
		}
	}
	t.Skip("PostgreSQL is not installed: run scripts/setup postgres")
	return ""
}

// versionOf returns the version in Debian's name of a directory.
func versionOf(dir string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir))) // others come last
	return n
}

// ordinary returns a user other than root.
func ordinary(t *testing.T) *syscall.Credential {
	t.Helper()
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if uidErr == nil && gidErr == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	t.Skip("PostgreSQL does not run as root, and there is no user postgres or nobody")
	return nil
}

// start starts the server and waits until it answers.
func (c *cluster) start() {
	c.t.Helper()
	log, err := os.OpenFile(filepath.Join(c.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = log.Close() }() // the server has its own
	// What the kernel was given outlives the server: without fsync a crash of the
	// server loses no more than with it, and the recovery takes no seconds.
	cmd := exec.Command(filepath.Join(c.bin, "postgres"), "-D", c.data(), "-k", c.dir, "-c", "listen_addresses=",
		"-c", "unix_socket_permissions=0700", "-c", "fsync=off")
	cmd.Dir, cmd.SysProcAttr, cmd.Stdout, cmd.Stderr = "/", &c.attr, log, log
	c.exited = make(chan struct{})
	exited, started := c.exited, make(chan error)
	go func() { // ends with the server, which stop ends
		// The kernel ends the server when the thread that started it is gone.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // it is stopped as in a crash
			close(exited)
		}
	}()
	if err := <-started; err != nil {
		c.t.Fatal(err)
	}
	c.pid = cmd.Process.Pid
	eventually(c.t, "PostgreSQL answers", func() bool {
		return c.try(func(ctx context.Context, conn *pgx.Conn) error { return conn.Ping(ctx) }) == nil
	})
}

// stop ends the server as pg_ctl stop -m immediate does: what was not committed
// is lost, and the next start recovers.
func (c *cluster) stop() {
	if c.exited == nil {
		return
	}
	_ = syscall.Kill(c.pid, syscall.SIGQUIT) // it may be gone
	<-c.exited
	c.exited = nil
}

// try runs fn on a connection of its own.
func (c *cluster) try(fn func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // the clean-up comes after t's context
	defer cancel()
	conn, err := pgx.Connect(ctx, c.URL)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }() // what fn did is what counts
	return fn(ctx, conn)
}

// cut ends some of the connections of others, and returns how many.
func (c *cluster) cut(rng *rand.Rand) (n int) {
	c.t.Helper()
	err := c.try(func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()")
		if err != nil {
			return err
		}
		pids, err := pgx.CollectRows(rows, pgx.RowTo[int32])
		if err != nil {
			return err
		}
		for _, pid := range pids {
			if rng.IntN(3) == 0 {
				continue
			}
			if _, err := conn.Exec(ctx, "SELECT pg_terminate_backend($1)", pid); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	if err != nil {
		c.t.Fatalf("cut connections: %v", err)
	}
	return n
}

// dropForeignKeys drops those that keep a data key from being retired too early.
func (c *cluster) dropForeignKeys() {
	c.t.Helper()
	err := c.try(func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, "SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) FROM pg_constraint WHERE confrelid = 'dbcrypt_keys'::regclass")
		if err != nil {
			return err
		}
		statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		if len(statements) == 0 {
			return fmt.Errorf("there are no foreign keys")
		}
		_, err = conn.Exec(ctx, strings.Join(statements, "; "))
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
}
