// Package realserver runs the real gatehouse binary as a process of its own,
// for tests and benchmarks that must know what users get.
//
// A [Server] listens on a free port of the loopback interface, with a data
// directory of its own and nothing of the caller's environment but the PATH.
// It is driven through its HTTP API alone, with the token that it wrote at its
// first start. The methods of a Server may be called concurrently.
package realserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gatehousehq/gatehouse/internal/secret"
)

// Build compiles ./cmd/gatehouse into dir, with those flags of go build, and
// returns the binary's path.
func Build(ctx context.Context, dir string, flags ...string) (string, error) {
	bin := filepath.Join(dir, "gatehouse")
	args := append(append([]string{"build", "-o", bin}, flags...), "github.com/gatehousehq/gatehouse/cmd/gatehouse")
	cmd := exec.CommandContext(ctx, "go", args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build gatehouse: %w\n%s", err, out)
	}
	return bin, nil
}

// A Config says how a [Server] is run.
type Config struct {
	// Binary is what [Build] returned.
	Binary string
	// Dir is a directory for the server's HOME and data: empty, or that of a
	// server that is gone.
	Dir string
	// DatabaseURL is a PostgreSQL database. Empty means SQLite.
	DatabaseURL string
	// Address is where it listens: that of a server that is gone, say. Empty means
	// a free port of the loopback interface.
	Address string
	// Prefix is put before the command: taskset and its arguments, say.
	Prefix []string
	// LogLevel is the server's. Empty means debug.
	LogLevel string
	// Flags are further flags of the server, and Env further variables of its
	// environment, NAME=VALUE.
	Flags, Env []string
	// LogFile, if not nil, takes what the server prints. Otherwise it is kept
	// in memory, for [Server.Log].
	LogFile *os.File
}

// A Server is a running gatehouse.
type Server struct {
	// URL is where it listens, without a slash at the end.
	URL string

	cmd    *exec.Cmd
	log    *buffer
	token  string // the file of the owner's token
	owner  secret.Text
	exited chan struct{} // closed when the process is gone, after err is set
	err    error
}

// startTimeout bounds how long a server may take until it is ready.
const startTimeout = 60 * time.Second

// Start starts a server and waits until it is ready. The caller stops it.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	s, err := Launch(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := s.Ready(ctx); err != nil {
		return nil, errors.Join(err, s.Stop(), errors.New("its log: "+s.Log()))
	}
	return s, nil
}

// Launch starts a server and does not wait for it. It ends with the process that
// launched it, if not sooner.
func Launch(ctx context.Context, cfg Config) (*Server, error) {
	addr := cfg.Address
	if addr == "" {
		var err error
		if addr, err = FreeAddress(ctx); err != nil {
			return nil, err
		}
	}
	data := filepath.Join(cfg.Dir, "data")
	level := cfg.LogLevel
	if level == "" {
		level = "debug"
	}
	args := append(append([]string{}, cfg.Prefix...),
		cfg.Binary, "server", "--data-dir", data, "--http-address", addr, "--log-level", level)
	args = append(args, cfg.Flags...)
	s := &Server{URL: "http://" + addr, token: filepath.Join(data, "owner-token"), log: new(buffer), exited: make(chan struct{})}
	s.cmd = exec.Command(args[0], args[1:]...)
	s.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + cfg.Dir}, cfg.Env...)
	if cfg.DatabaseURL != "" {
		s.cmd.Env = append(s.cmd.Env, "GATEHOUSE_DATABASE_URL="+cfg.DatabaseURL)
	}
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if cfg.LogFile != nil {
		s.cmd.Stdout, s.cmd.Stderr = cfg.LogFile, cfg.LogFile
	}
	started := make(chan error)
	go func() { // ends with the process, which Stop and Kill end
		// The kernel ends the process when the thread that started it is gone.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		endWithParent(s.cmd)
		err := s.cmd.Start()
		started <- err
		if err == nil {
			s.err = s.cmd.Wait()
			close(s.exited)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start gatehouse: %w", err)
	}
	return s, nil
}

// Ready waits until the server is ready.
func (s *Server) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		status, err := s.status(ctx, "/readyz")
		if err == nil && status == http.StatusOK {
			break
		}
		select {
		case <-tick.C:
		case <-s.exited:
			return fmt.Errorf("gatehouse ended while it started: %w", s.err)
		case <-ctx.Done():
			return fmt.Errorf("gatehouse is not ready: status %d, %w", status, errors.Join(err, ctx.Err()))
		}
	}
	text, err := os.ReadFile(s.token)
	if err != nil {
		return fmt.Errorf("read the owner's token: %w", err)
	}
	s.owner = secret.New(strings.TrimSpace(string(text)))
	return nil
}

func (s *Server) status(ctx context.Context, path string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+path, nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	return res.StatusCode, res.Body.Close()
}

// OwnerToken returns the token that the server wrote at its first start.
func (s *Server) OwnerToken() secret.Text { return s.owner }

// Call sends in as JSON to a path of the API, with the owner's token, and
// decodes the answer into out. Either may be nil. It returns the answer's body;
// a status of 400 or more is an error.
func (s *Server) Call(ctx context.Context, method, path string, in, out any) ([]byte, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("encode the request: %w", err)
	}
	if in == nil {
		body = nil
	}
	req, err := http.NewRequestWithContext(ctx, method, s.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+s.owner.Reveal())
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("read the answer to %s %s: %w", method, path, err)
	}
	if res.StatusCode >= 400 {
		return answer, fmt.Errorf("%s %s: %s: %s", method, path, res.Status, answer)
	}
	if out != nil {
		if err := json.Unmarshal(answer, out); err != nil {
			return answer, fmt.Errorf("decode the answer to %s %s: %w", method, path, err)
		}
	}
	return answer, nil
}

// PID returns the server's process id.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Log returns what the server has printed so far, if no file takes it.
func (s *Server) Log() string { return s.log.String() }

// Stop asks the server to end, as an operator's service manager does, and
// waits until it has. It reports a server that failed or had to be killed.
func (s *Server) Stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may be gone: then exited is closed
	select {
	case <-s.exited:
	case <-time.After(startTimeout):
		_ = s.cmd.Process.Kill() // likewise
		<-s.exited
		return errors.New("gatehouse did not end when asked to")
	}
	if s.err != nil {
		return fmt.Errorf("gatehouse ended: %w", s.err)
	}
	return nil
}

// Signal sends a signal to the server.
func (s *Server) Signal(sig os.Signal) error { return s.cmd.Process.Signal(sig) }

// Kill ends the server at once, as kill -9 does, and waits until it is gone.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill() // it may be gone: then exited is closed
	<-s.exited
}

// Exited is closed when the server is gone.
func (s *Server) Exited() <-chan struct{} { return s.exited }

// FreeAddress returns an address of the loopback interface that was free a
// moment ago.
func FreeAddress(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// A buffer keeps what a process prints.
type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
