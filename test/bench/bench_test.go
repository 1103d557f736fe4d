//go:build linux

package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/secret"
)

// The rig must not fail itself, or every figure is worth nothing.
func TestScenariosHaveNoErrors(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serveMock(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	bare := httptest.NewServer(newBare(l.Addr().String()))
	t.Cleanup(bare.Close)
	for name, addr := range map[string]string{"direct": l.Addr().String(), "bare": bare.Listener.Addr().String()} {
		for _, s := range scenarios() {
			t.Run(name+", "+s.name, func(t *testing.T) {
				// One at a time: 1 MiB by 8 clients twice is enough for any machine.
				s.clients = min(s.clients, 4)
				r, err := load(ctx, target{name: name, addr: addr, path: path, token: secret.New(upstreamKey)}, s, 0, 300*time.Millisecond)
				if err != nil {
					t.Fatal(err)
				}
				if r.errors != 0 || r.rate == 0 || r.p50 <= 0 || r.p99 < r.p50 {
					t.Errorf("got %+v, the first error: %v", r, r.first)
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
			r, err := load(t.Context(), target{addr: srv.Listener.Addr().String(), path: path}, s, 0, 100*time.Millisecond)
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

func TestTableShowsMediansAndErrors(t *testing.T) {
	t.Parallel()
	failed := errors.New("it broke")
	rounds := func(cpu ...time.Duration) (list []result) {
		for _, c := range cpu {
			list = append(list, result{rate: 1000, p50: 1500 * time.Microsecond, p99: 20 * time.Millisecond, cpu: c})
		}
		return list
	}
	broken := rounds(time.Microsecond)
	broken[0].errors, broken[0].first = 3, failed
	var out strings.Builder
	err := table(&out, []scenario{{name: "row"}}, []target{{name: "direct"}, {name: "good", pid: 1}, {name: "bad", pid: 2}}, map[string][]result{
		"rowdirect": rounds(0), "rowgood": rounds(90*time.Microsecond, 10*time.Microsecond, 30*time.Microsecond), "rowbad": broken,
	})
	if !errors.Is(err, failed) {
		t.Errorf("got the error %v", err)
	}
	for target, want := range map[string]string{
		"direct": "| row | direct | 1000 | 1.50 ms | 20.0 ms | – | 0 |",
		"good":   "| row | good | 1000 | 1.50 ms | 20.0 ms | 30 | 0 |",
		"bad":    "| row | bad | 1000 | 1.50 ms | 20.0 ms | 1 | 3 |",
	} {
		if got := strings.Join(strings.Fields(out.String()), " "); !strings.Contains(got, want) {
			t.Errorf("%s: no %q in %s", target, want, out.String())
		}
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
