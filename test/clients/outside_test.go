package clients_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// An outside is everything that an agent has no business with: all but
// Gatehouse. It is the proxy that agents are told to use for the outside,
// refuses whatever they want there, and remembers it. Where strace can be used,
// it also sees what goes past the proxy.
type outside struct {
	inside, proxy string // addresses
	traces        string // a directory of strace's files, "" without strace

	mu    sync.Mutex
	tried []string
}

// newOutside returns the outside of the server at that URL.
func newOutside(t *testing.T, inside string) *outside {
	t.Helper()
	o := &outside{inside: strings.TrimPrefix(inside, "http://")}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.tried = append(o.tried, r.Method+" "+r.URL.Host+r.URL.Path)
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(proxy.Close)
	o.proxy = strings.TrimPrefix(proxy.URL, "http://")
	if exec.Command("strace", "-f", "--seccomp-bpf", "-o", os.DevNull, "true").Run() == nil {
		o.traces = t.TempDir()
	}
	return o
}

// env are the variables that lead a program to the proxy.
func (o *outside) env() []string {
	var env []string
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
		env = append(env, name+"=http://"+o.proxy, strings.ToLower(name)+"=http://"+o.proxy)
	}
	return append(env, "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
}

// watch returns the command that runs a command and writes down where it, and
// what it starts, connects to.
func (o *outside) watch(command []string) []string {
	if o.traces == "" {
		return command
	}
	f, err := os.CreateTemp(o.traces, "")
	if err != nil {
		return command
	}
	_ = f.Close() // strace writes it
	return append([]string{"strace", "-f", "-qq", "--seccomp-bpf", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-e", "signal=none", "-o", f.Name()}, command...)
}

var peer = regexp.MustCompile(`sa_family=AF_INET6?, sin6?_port=htons\((\d+)\).*?"([^"]+)"`)

// attempts are what was tried outside, so far.
func (o *outside) attempts(t *testing.T) []string {
	t.Helper()
	o.mu.Lock()
	tried := append([]string(nil), o.tried...)
	o.mu.Unlock()
	if o.traces == "" {
		t.Log("strace is missing or may not trace: what goes past the proxy is not seen")
		return tried
	}
	files, err := filepath.Glob(filepath.Join(o.traces, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range peer.FindAllStringSubmatch(string(text), -1) {
			if to := m[2] + ":" + m[1]; to != o.inside && to != o.proxy {
				tried = append(tried, "connect "+to)
			}
		}
	}
	return tried
}

// check fails if anything was tried outside.
func (o *outside) check(t *testing.T) {
	t.Helper()
	for _, what := range o.attempts(t) {
		t.Errorf("the agent wanted something outside: %s", what)
	}
}

// TestTheOutsideIsWatched is the control: a program that wants something
// outside, by the proxy and past it, is found out.
func TestTheOutsideIsWatched(t *testing.T) {
	t.Parallel()
	inside := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(inside.Close)
	other := httptest.NewServer(http.NotFoundHandler()) // also on the loopback interface: nothing leaves the machine
	t.Cleanup(other.Close)
	o := newOutside(t, inside.URL)
	run := func(url string, env ...string) {
		command := o.watch([]string{"bash", "-c", `exec 3<>"/dev/tcp/${1%:*}/${1#*:}"; printf "$2" >&3; head -c 20 <&3`, "bash", url, env[0]})
		out, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), "HTTP/1.1 ") {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	run(o.inside, "GET / HTTP/1.1\\r\\nHost: inside\\r\\n\\r\\n")
	o.check(t)

	run(o.proxy, "CONNECT outside.test:443 HTTP/1.1\\r\\nHost: outside.test:443\\r\\n\\r\\n")
	want := []string{"CONNECT outside.test:443"}
	if o.traces != "" {
		to := strings.TrimPrefix(other.URL, "http://")
		run(to, "GET / HTTP/1.1\\r\\nHost: other\\r\\n\\r\\n")
		want = append(want, "connect "+to)
	}
	if got := o.attempts(t); strings.Join(got, "; ") != strings.Join(want, "; ") {
		t.Errorf("found %q, want %q", got, want)
	}
}
