//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/test/clients/realserver"
)

// A target is asked by the load generator.
type target struct {
	name, addr, path string
	token            secret.Text
	pid              int // zero for the upstream itself, whose cost is no proxy's
}

// used returns the CPU time of the target's process so far.
func (t target) used() (time.Duration, error) {
	if t.pid == 0 {
		return 0, nil
	}
	return cpuTime(t.pid)
}

// A rig is the processes of a run.
type rig struct {
	dir      string // with the binary that realserver.Build made
	logLevel string
	stops    []func()
}

// stop ends what start has started, the last first.
func (r *rig) stop() {
	for _, stop := range slices.Backward(r.stops) {
		stop()
	}
}

// start starts the upstream and the targets that are wanted, and says on out
// which cannot be had.
func (r *rig) start(ctx context.Context, wanted func(string) bool, out io.Writer) ([]target, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	upstream, err := realserver.FreeAddress(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := r.spawn(ctx, upstream, loadCPUs(), self, "mock", upstream); err != nil {
		return nil, err
	}
	var targets []target
	if wanted("direct") {
		targets = append(targets, target{name: "direct", addr: upstream, path: path, token: secret.New(upstreamKey)})
	}
	if wanted("nginx") {
		t, err := r.nginx(ctx, upstream)
		switch {
		case errors.Is(err, exec.ErrNotFound):
			fmt.Fprintln(out, "nginx is not installed (scripts/setup nginx): it is left out")
		case err != nil:
			return nil, err
		default:
			targets = append(targets, t)
		}
	}
	if wanted("bare") {
		addr, err := realserver.FreeAddress(ctx)
		if err != nil {
			return nil, err
		}
		pid, err := r.spawn(ctx, addr, targetCPU(), self, "bare", addr, upstream)
		if err != nil {
			return nil, err
		}
		targets = append(targets, target{name: "bare ReverseProxy", addr: addr, path: path, token: secret.New(upstreamKey), pid: pid})
	}
	if wanted("gatehouse") {
		t, err := r.gatehouse(ctx, upstream)
		if err != nil {
			return nil, err
		}
		targets = append(targets, t)
	}
	if len(targets) == 0 {
		return nil, errors.New("there is no target to measure")
	}
	return targets, nil
}

// spawn runs a command on some CPUs until the rig stops, and waits until it
// listens.
func (r *rig) spawn(ctx context.Context, addr, cpus string, command ...string) (int, error) {
	command = append(onCPUs(cpus), command...)
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	// None outlives this program, however it ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	r.stops = append(r.stops, func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = cmd.Wait()                          // its status says no more than that it was told to end
	})
	for deadline := time.Now().Add(10 * time.Second); ; {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			return cmd.Process.Pid, conn.Close()
		}
		if time.Now().After(deadline) {
			return 0, fmt.Errorf("%s does not listen: %w", strings.Join(command[3:], " "), err)
		}
		if err := wait(ctx, 10*time.Millisecond); err != nil {
			return 0, err
		}
	}
}

// nginxConfig is what a careful operator would write for this: connections to
// the upstream are kept, nothing is held back in either direction, and no
// request is logged.
const nginxConfig = `daemon off;
worker_processes 1;
pid %[1]s/nginx.pid;
error_log %[1]s/nginx.log warn;
%[4]s
events { worker_connections 1024; }
http {
	access_log off;
	client_max_body_size 0;
	client_body_buffer_size 1m;
	keepalive_requests 1000000000;
	client_body_temp_path %[1]s/nginx-body;
	proxy_temp_path %[1]s/nginx-proxy;
	fastcgi_temp_path %[1]s/nginx-fastcgi;
	uwsgi_temp_path %[1]s/nginx-uwsgi;
	scgi_temp_path %[1]s/nginx-scgi;
	upstream mock {
		server %[2]s;
		keepalive 128;
		keepalive_requests 1000000000;
	}
	server {
		listen %[3]s;
		location / {
			proxy_pass http://mock;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Authorization "Bearer %[5]s";
			proxy_buffering off;
			proxy_request_buffering off;
		}
	}
}
`

func (r *rig) nginx(ctx context.Context, upstream string) (target, error) {
	program, err := exec.LookPath("nginx")
	if err != nil {
		// Debian keeps it where only root's PATH looks.
		if program, err = exec.LookPath("/usr/sbin/nginx"); err != nil {
			return target{}, exec.ErrNotFound
		}
	}
	addr, err := realserver.FreeAddress(ctx)
	if err != nil {
		return target{}, err
	}
	user := ""
	if os.Getuid() == 0 {
		user = "user root;" // another could not enter the directory
	}
	config := filepath.Join(r.dir, "nginx.conf")
	text := fmt.Sprintf(nginxConfig, r.dir, upstream, addr, user, upstreamKey)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return target{}, err
	}
	pid, err := r.spawn(ctx, addr, targetCPU(), program, "-p", r.dir, "-e", filepath.Join(r.dir, "nginx.log"), "-c", config)
	return target{name: "nginx", addr: addr, path: path, token: secret.New(upstreamKey), pid: pid}, err
}

func (r *rig) gatehouse(ctx context.Context, upstream string) (target, error) {
	home := filepath.Join(r.dir, "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		return target{}, err
	}
	log, err := os.Create(filepath.Join(r.dir, "gatehouse.log"))
	if err != nil {
		return target{}, err
	}
	defer log.Close() // the server has its own
	srv, err := realserver.Start(ctx, realserver.Config{
		Binary: filepath.Join(r.dir, "gatehouse"), Dir: home, Prefix: onCPUs(targetCPU()), LogLevel: r.logLevel, LogFile: log,
	})
	if err != nil {
		return target{}, err
	}
	r.stops = append(r.stops, func() {
		if err := srv.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
	})
	if _, err := srv.Call(ctx, http.MethodPost, "/api/v1/ai/providers", map[string]any{
		"type": "openai", "name": "bench", "base_url": "http://" + upstream + "/v1", "api_keys": []string{upstreamKey},
	}, nil); err != nil {
		return target{}, err
	}
	var created struct {
		Token secret.Text `json:"token"`
	}
	if _, err := srv.Call(ctx, http.MethodPost, "/api/v1/tokens", map[string]any{
		"name": "bench", "scopes": []string{"gateway:use"},
	}, &created); err != nil {
		return target{}, err
	}
	return target{
		name: "Gatehouse", addr: strings.TrimPrefix(srv.URL, "http://"), path: "/ai/bench" + path,
		token: created.Token, pid: srv.PID(),
	}, nil
}
