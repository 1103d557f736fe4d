package chaos_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gatehousehq/gatehouse/test/clients/realserver"
)

// bugs is a file that the faulty binary has besides those of the product. The
// variable GATEHOUSE_BUG says which bug it has.
const bugs = `package app

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/gatehousehq/gatehouse/internal/routing"
)

var bug = os.Getenv("GATEHOUSE_BUG")

func init() {
	if bug != "forgets" {
		return
	}
	for i, arg := range os.Args {
		if arg == "--data-dir" {
			_ = os.RemoveAll(filepath.Join(os.Args[i+1], "journal")) // it may not be there
		}
	}
}

var kept struct {
	sync.Mutex
	last   []byte
	writes int
	memory [][]byte
}

// buggy serves with the bugs that show at the client.
func buggy(next http.Handler, current func() *routing.Snapshot) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch bug {
		case "ends":
			defer func() { _ = recover() }() // the connection ends as if all were well
		case "leaks":
			held := make([]byte, 256<<10)
			for i := range held {
				held[i] = byte(i)
			}
			kept.Lock()
			kept.memory = append(kept.memory, held)
			kept.Unlock()
			_, _ = syscall.Open(os.DevNull, syscall.O_RDONLY, 0)
			go func() { select {} }()
		}
		next.ServeHTTP(&buggyWriter{ResponseWriter: w, began: current(), current: current}, r)
	})
}

type buggyWriter struct {
	http.ResponseWriter
	began   *routing.Snapshot
	current func() *routing.Snapshot
}

func (w *buggyWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *buggyWriter) Write(p []byte) (int, error) {
	kept.Lock()
	kept.writes++
	last, writes := kept.last, kept.writes
	kept.last = append([]byte(nil), p...)
	kept.Unlock()
	switch {
	case bug == "cuts" && w.current() != w.began:
		panic(http.ErrAbortHandler)
	case bug == "alters" && writes%50 == 0:
		p = append([]byte(nil), p...)
		p[len(p)/2] ^= 1
	case bug == "drops" && writes%50 == 0 && len(p) > 1:
		_, err := w.ResponseWriter.Write(p[1:])
		return len(p), err
	case bug == "mixes" && writes%10 == 0 && len(last) == len(p):
		p = last
	}
	return w.ResponseWriter.Write(p)
}

// buggyTransport has the bugs that show at the upstream.
func buggyTransport(next http.RoundTripper) http.RoundTripper { return roundTripper(func(r *http.Request) (*http.Response, error) {
	switch {
	case bug == "untold":
		r = r.WithContext(context.WithoutCancel(r.Context()))
	case bug == "twice" && r.GetBody != nil:
		first := r.Clone(r.Context())
		first.Body, _ = r.GetBody()
		if res, err := next.RoundTrip(first); err == nil {
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		}
	}
	res, err := next.RoundTrip(r)
	if bug == "stays" && err == nil && res.StatusCode >= 500 {
		res.StatusCode = 400
	}
	return res, err
}) }

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
`

// A patch replaces a piece of the source, which is there once.
type patch struct{ was, is string }

// patches put the bugs where what they are about goes through.
var patches = []patch{
	{"gw.ServeHTTP(w, r)", "buggy(gw, s.table.Current).ServeHTTP(w, r)"},
	{"Transport: s.transport,", "Transport: buggyTransport(s.transport),"},
}

// patched is the file that they are in.
const patched = "internal/app/server.go"

// buildFaulty builds the binary with the bugs.
func buildFaulty(ctx context.Context, dir string) (string, error) {
	root, err := filepath.Abs("../..")
	if err != nil {
		return "", err
	}
	dir = filepath.Join(dir, "faulty")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	file := filepath.Join(root, filepath.FromSlash(patched))
	b, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	source := string(b)
	for _, p := range patches {
		if strings.Count(source, p.was) != 1 {
			return "", fmt.Errorf("%s has %q not once: put the bug where that has moved to", patched, p.was)
		}
		source = strings.Replace(source, p.was, p.is, 1)
	}
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for name, content := range map[string]string{"server.go": source, "bugs.go": bugs} {
		mine := filepath.Join(dir, name)
		if err := os.WriteFile(mine, []byte(content), 0o600); err != nil {
			return "", err
		}
		overlay.Replace[filepath.Join(filepath.Dir(file), name)] = mine
	}
	if b, err = json.Marshal(overlay); err != nil {
		return "", err
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, b, 0o600); err != nil {
		return "", err
	}
	return realserver.Build(ctx, dir, "-overlay", list)
}
