//go:build linux

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
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

// An endpoint is where a target takes requests.
type endpoint struct {
	addr, path string
	tls        *tls.Config // nil is plain
}

func (e endpoint) dial(ctx context.Context) (net.Conn, error) {
	if e.tls != nil {
		return (&tls.Dialer{Config: e.tls}).DialContext(ctx, "tcp", e.addr)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", e.addr)
}

// A target is asked by the load generator.
type target struct {
	name           string
	plain, secured endpoint // by how the upstream is reached
	token          secret.Text
	routed         endpoint    // by a route; zero is none
	listed         secret.Text // a token with a list of models; zero is none
	pid            int         // zero for the upstream itself, whose cost is no proxy's
}

// at returns where to ask in a scenario.
func (t target) at(s scenario) endpoint {
	switch {
	case s.secured:
		return t.secured
	case s.routed && t.routed != endpoint{}:
		return t.routed
	}
	return t.plain
}

// tokenFor returns what to show in a scenario.
func (t target) tokenFor(s scenario) secret.Text {
	if s.listed && !t.listed.IsZero() {
		return t.listed
	}
	return t.token
}

// used returns the CPU time of the target's process so far.
func (t target) used() (time.Duration, error) {
	if t.pid == 0 {
		return 0, nil
	}
	return cpuTime(t.pid)
}

// resident returns the memory of the target's process.
func (t target) resident() (int64, error) {
	if t.pid == 0 {
		return 0, nil
	}
	return resident(t.pid)
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
	up, err := r.upstream(ctx, self)
	if err != nil {
		return nil, err
	}
	var targets []target
	if wanted("direct") {
		roots := x509.NewCertPool()
		roots.AddCert(up.certificate)
		targets = append(targets, target{
			name: direct, token: secret.New(upstreamKey), plain: endpoint{addr: up.plain, path: path},
			secured: endpoint{addr: up.secured, path: path, tls: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
		})
	}
	for _, proxy := range []struct {
		name  string
		start func(context.Context, string, served) (target, error)
	}{{"nginx", r.nginx}, {"bare", r.bare}, {"gatehouse", r.gatehouse}} {
		if !wanted(proxy.name) {
			continue
		}
		t, err := proxy.start(ctx, self, up)
		switch {
		case errors.Is(err, exec.ErrNotFound):
			fmt.Fprintln(out, proxy.name, "is not installed (scripts/setup nginx): it is left out")
		case err != nil:
			return nil, fmt.Errorf("%s: %w", proxy.name, err)
		default:
			targets = append(targets, t)
		}
	}
	if len(targets) == 0 {
		return nil, errors.New("there is no target to measure")
	}
	return targets, nil
}

// The names of the targets in the tables.
const (
	direct = "direct"
	nginx  = "nginx"
	bare   = "bare ReverseProxy"
	ours   = "Gatehouse"
)

// served is where the mock upstream listens, and how it shows who it is.
type served struct {
	plain, secured string
	file           string // of the certificate
	certificate    *x509.Certificate
}

// upstream starts the mock upstream.
func (r *rig) upstream(ctx context.Context, self string) (up served, err error) {
	up.file = filepath.Join(r.dir, "upstream.pem")
	key := filepath.Join(r.dir, "upstream.key")
	if up.certificate, err = certify(up.file, key); err != nil {
		return up, err
	}
	if up.plain, err = realserver.FreeAddress(ctx); err != nil {
		return up, err
	}
	if up.secured, err = realserver.FreeAddress(ctx); err != nil {
		return up, err
	}
	_, err = r.spawn(ctx, []string{up.plain, up.secured}, loadCPUs(), nil, self, "mock", up.plain, up.secured, up.file, key)
	return up, err
}

// certify makes a certificate for loopback and its key.
func certify(certificateFile, keyFile string) (*x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"}, // nginx has no addresses in certificates
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		IsCA:     true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	for file, block := range map[string]*pem.Block{
		certificateFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			return nil, err
		}
	}
	return x509.ParseCertificate(der)
}

// trust is what makes a Go program trust the upstream, and nobody else.
func (up served) trust() string { return "SSL_CERT_FILE=" + up.file }

// two returns two addresses that are free.
func two(ctx context.Context) (a, b string, err error) {
	if a, err = realserver.FreeAddress(ctx); err != nil {
		return "", "", err
	}
	b, err = realserver.FreeAddress(ctx)
	return a, b, err
}

func (r *rig) bare(ctx context.Context, self string, up served) (target, error) {
	plain, secured, err := two(ctx)
	if err != nil {
		return target{}, err
	}
	pid, err := r.spawn(ctx, []string{plain, secured}, targetCPU(), []string{up.trust()},
		self, "bare", plain, "http://"+up.plain, secured, "https://"+up.secured)
	return target{
		name: bare, plain: endpoint{addr: plain, path: path}, secured: endpoint{addr: secured, path: path},
		token: secret.New(upstreamKey), pid: pid,
	}, err
}

// spawn runs a command on some CPUs until the rig stops, and waits until it
// listens at the addresses.
func (r *rig) spawn(ctx context.Context, addrs []string, cpus string, env []string, command ...string) (int, error) {
	command = append(onCPUs(cpus), command...)
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), env...)
	// None outlives this program, however it ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	r.stops = append(r.stops, func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = cmd.Wait()                          // its status says no more than that it was told to end
	})
	for _, addr := range addrs {
		for deadline := time.Now().Add(10 * time.Second); ; {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
			if err == nil {
				_ = conn.Close() // it was for the dial
				break
			}
			if time.Now().After(deadline) {
				return 0, fmt.Errorf("%s does not listen: %w", strings.Join(command[3:], " "), err)
			}
			if err := wait(ctx, 10*time.Millisecond); err != nil {
				return 0, err
			}
		}
	}
	return cmd.Process.Pid, nil
}

// nginxConfig is what a careful operator would write for this: connections to
// the upstream are kept, nothing is held back in either direction, and no
// request is logged.
const nginxConfig = `daemon off;
worker_processes 1;
pid %[1]s/nginx.pid;
error_log %[1]s/nginx.log warn;
%[4]s
worker_rlimit_nofile 16384;
events { worker_connections 8192; }
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
	upstream mocktls {
		server %[6]s;
		keepalive 128;
		keepalive_requests 1000000000;
	}
	proxy_http_version 1.1;
	proxy_set_header Connection "";
	proxy_set_header Authorization "Bearer %[5]s";
	proxy_buffering off;
	proxy_request_buffering off;
	proxy_ssl_trusted_certificate %[8]s;
	proxy_ssl_verify on;
	proxy_ssl_name localhost;
	server {
		listen %[3]s;
		location / { proxy_pass http://mock; }
	}
	server {
		listen %[7]s;
		location / { proxy_pass https://mocktls; }
	}
}
`

func (r *rig) nginx(ctx context.Context, _ string, up served) (target, error) {
	program, err := exec.LookPath("nginx")
	if err != nil {
		// Debian keeps it where only root's PATH looks.
		if program, err = exec.LookPath("/usr/sbin/nginx"); err != nil {
			return target{}, exec.ErrNotFound
		}
	}
	plain, secured, err := two(ctx)
	if err != nil {
		return target{}, err
	}
	user := ""
	if os.Getuid() == 0 {
		user = "user root;" // another could not enter the directory
	}
	config := filepath.Join(r.dir, "nginx.conf")
	text := fmt.Sprintf(nginxConfig, r.dir, up.plain, plain, user, upstreamKey, up.secured, secured, up.file)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return target{}, err
	}
	pid, err := r.spawn(ctx, []string{plain, secured}, targetCPU(), nil, program, "-p", r.dir, "-e", filepath.Join(r.dir, "nginx.log"), "-c", config)
	return target{
		name: nginx, plain: endpoint{addr: plain, path: path}, secured: endpoint{addr: secured, path: path},
		token: secret.New(upstreamKey), pid: pid,
	}, err
}

func (r *rig) gatehouse(ctx context.Context, _ string, up served) (target, error) {
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
		Env: []string{up.trust()},
	})
	if err != nil {
		return target{}, err
	}
	r.stops = append(r.stops, func() {
		if err := srv.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
	})
	for name, base := range map[string]string{"bench": "http://" + up.plain, "bench-tls": "https://" + up.secured} {
		if _, err := srv.Call(ctx, http.MethodPost, "/api/v1/ai/providers", map[string]any{
			"type": "openai", "name": name, "base_url": base + "/v1", "api_keys": []string{upstreamKey},
		}, nil); err != nil {
			return target{}, err
		}
	}
	if _, err := srv.Call(ctx, http.MethodPost, "/api/v1/ai/routes", map[string]any{
		"name": benchModel, "targets": []map[string]any{{"provider": "bench", "model": benchModel}},
	}, nil); err != nil {
		return target{}, err
	}
	mint := func(name string, models []string) (secret.Text, error) {
		var created struct {
			Token secret.Text `json:"token"`
		}
		_, err := srv.Call(ctx, http.MethodPost, "/api/v1/tokens", map[string]any{"name": name, "scopes": []string{"gateway:use"}, "models": models}, &created)
		return created.Token, err
	}
	token, err := mint("bench", nil)
	if err != nil {
		return target{}, err
	}
	listed, err := mint("bench-listed", []string{"another-model", benchModel})
	if err != nil {
		return target{}, err
	}
	addr := strings.TrimPrefix(srv.URL, "http://")
	return target{
		name: ours, plain: endpoint{addr: addr, path: "/ai/bench" + path}, secured: endpoint{addr: addr, path: "/ai/bench-tls" + path},
		routed: endpoint{addr: addr, path: "/ai" + path},
		token:  token, listed: listed, pid: srv.PID(),
	}, nil
}
