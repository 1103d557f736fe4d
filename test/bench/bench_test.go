//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/secret"
)

// The rig must not fail itself, or every figure is worth nothing.
func TestScenariosHaveNoErrors(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	dir := t.TempDir()
	certificate, err := certify(filepath.Join(dir, "cert"), filepath.Join(dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert"), filepath.Join(dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	trust := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	upstream := func(wrap func(net.Listener) net.Listener) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- serveMock(ctx, wrap(l)) }()
		t.Cleanup(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
		return l.Addr().String()
	}
	plain := upstream(func(l net.Listener) net.Listener { return l })
	secured := upstream(func(l net.Listener) net.Listener {
		return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	})
	proxy := func(scheme, addr string, trust *tls.Config) endpoint {
		srv := httptest.NewServer(newBare(&url.URL{Scheme: scheme, Host: addr}, trust))
		t.Cleanup(srv.Close)
		return endpoint{addr: srv.Listener.Addr().String(), path: path}
	}
	for _, target := range []target{
		{name: direct, plain: endpoint{addr: plain, path: path}, secured: endpoint{addr: secured, path: path, tls: trust}},
		{name: bare, plain: proxy("http", plain, nil), secured: proxy("https", secured, trust)},
	} {
		target.token = secret.New(upstreamKey)
		for _, s := range scenarios() {
			t.Run(target.name+", "+s.name, func(t *testing.T) {
				// One at a time: 1 MiB by 8 clients twice is enough for any machine.
				s.clients = min(s.clients, 4)
				r, err := load(ctx, target, s, 0, 300*time.Millisecond)
				if err != nil {
					t.Fatal(err)
				}
				if r.errors != 0 || !s.open && (r.rate == 0 || r.p50 <= 0 || r.p99 < r.p50) {
					t.Errorf("got %+v, the first error: %v", r, r.first)
				}
				if s.rate > 0 && r.rate > float64(s.rate)*1.5 { // a busy machine has fewer
					t.Errorf("%.0f requests a second, want %d", r.rate, s.rate)
				}
			})
		}
	}
}

func TestAnswersThatAreNotExpectedAreErrors(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{
		"another status": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
		"another size":   func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("short")) },
		"broken off":     func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(handler)
			t.Cleanup(srv.Close)
			s := scenarios()[0]
			r, err := load(t.Context(), target{plain: endpoint{addr: srv.Listener.Addr().String(), path: path}}, s, 0, 100*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if r.errors == 0 || r.first == nil || r.rate != 0 {
				t.Errorf("got %+v", r)
			}
		})
	}
}

func TestTheReplyIsOneKiB(t *testing.T) {
	t.Parallel()
	reply, _ := render(replyText(), false)
	if len(reply) != replySize {
		t.Errorf("it has %d bytes", len(reply))
	}
	if n := len(answer(strings.TrimSpace(strings.Repeat("word ", streamWords)), true)); n != 50 {
		t.Errorf("the stream has %d chunks", n)
	}
}

func TestCPUTimeCountsChildren(t *testing.T) {
	t.Parallel()
	// The shell waits for a child that is busy until its input ends.
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "(while :; do :; done) & read x; kill $!")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var used time.Duration
	for deadline := time.Now().Add(20 * time.Second); used < 50*time.Millisecond && time.Now().Before(deadline); {
		if used, err = cpuTime(cmd.Process.Pid); err != nil {
			t.Fatal(err)
		}
	}
	if used < 50*time.Millisecond {
		t.Errorf("after 20 s: %v", used)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // the shell's status is the child's
	if _, err := cpuTime(cmd.Process.Pid); err == nil {
		t.Error("a process that is gone has a CPU time")
	}
	if used, err := cpuTime(os.Getpid()); err != nil || used < 0 {
		t.Errorf("our own: %v, %v", used, err)
	}
}

func TestFiguresAreMediansWithErrors(t *testing.T) {
	t.Parallel()
	failed := errors.New("it broke")
	rounds := func(cpu ...time.Duration) (list []result) {
		for _, c := range cpu {
			list = append(list, result{rate: 1000, p50: 1500 * time.Microsecond, p99: 20 * time.Millisecond, cpu: c, resident: 3 << 19})
		}
		return list
	}
	broken := rounds(time.Microsecond)
	broken[0].errors, broken[0].first = 3, failed
	var out strings.Builder
	err := figures(&out, []scenario{{name: "row"}, {name: "open", open: true}}, []target{{name: "direct"}, {name: "good", pid: 1}, {name: "bad", pid: 2}}, results{
		{"row", "direct"}: rounds(0), {"row", "good"}: rounds(90*time.Microsecond, 10*time.Microsecond, 30*time.Microsecond), {"row", "bad"}: broken,
		{"open", "good"}: rounds(0),
	})
	if !errors.Is(err, failed) {
		t.Errorf("got the error %v", err)
	}
	for _, want := range []string{
		"| row | direct | 1000 | 1.50 ms | 20.0 ms | – | – | 0 |",
		"| row | good | 1000 | 1.50 ms | 20.0 ms | 30 | 1.5 | 0 |",
		"| row | bad | 1000 | 1.50 ms | 20.0 ms | 1 | 1.5 | 3 |",
		"| open | good | – | – | – | – | 1.5 | 0 |",
	} {
		if got := strings.Join(strings.Fields(out.String()), " "); !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, out.String())
		}
	}
}

// Each limit says what it should, on both sides of it.
func TestLimitsAreCompared(t *testing.T) {
	t.Parallel()
	figures := func(cpu, rate, latency float64, memory int64) []result {
		return []result{{
			rate: rate, cpu: time.Duration(cpu * float64(time.Microsecond)), resident: memory << 20,
			p50: time.Duration(latency * float64(time.Millisecond)), p99: time.Duration(latency * float64(time.Millisecond)),
		}}
	}
	for name, tc := range map[string]struct {
		ours   []result
		missed int
	}{
		"better":  {figures(10, 2000, 1.1, 20), 0},
		"worse":   {figures(200, 1000, 3, 200), len(limits())},
		"in part": {figures(10, 2000, 3, 20), 6},
	} {
		all := results{}
		for _, s := range scenarios() {
			all[[2]string{s.name, direct}] = figures(0, 5000, 1, 0)
			all[[2]string{s.name, bare}] = figures(100, 1000, 2, 10)
			all[[2]string{s.name, ours}] = tc.ours
		}
		var out strings.Builder
		if err := compare(&out, all); err != nil {
			t.Fatal(err)
		}
		text := strings.Join(strings.Fields(out.String()), " ")
		if n := strings.Count(text, "| **missed** |"); n != tc.missed || strings.Count(text, "| met |")+n != len(limits()) {
			t.Errorf("%s: %d missed, want %d:\n%s", name, n, tc.missed, out.String())
		}
	}
	var out strings.Builder
	if err := compare(&out, results{}); err != nil || strings.Count(out.String(), "\n") != 2 {
		t.Errorf("with no figures: %v\n%s", err, out.String())
	}
}

func TestResidentMemoryCountsChildren(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "sh -c 'read y' & read x; kill $!")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if n, err := resident(cmd.Process.Pid); n <= 0 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // the shell's status is the child's
	if _, err := resident(cmd.Process.Pid); err == nil {
		t.Error("a process that is gone has memory")
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	for _, bad := range [][]string{{"-rounds", "0"}, {"-duration", "0"}, {"-only", "nobody"}, {"extra"}} {
		if _, err := parse(bad); err == nil {
			t.Errorf("%v is taken", bad)
		}
	}
	opt, err := parse([]string{"-short", "-only", "bare,nginx"})
	if err != nil || opt.rounds != 1 || opt.duration > time.Second {
		t.Errorf("got %+v, %v", opt, err)
	}
}
