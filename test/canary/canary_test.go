// Package canary_test is the bird in the mine: a marked secret of every kind
// that there is goes through the whole product, with faults injected all the way,
// and then all that came out is searched for any ten characters of any of them,
// in every form that they might have been written down in.
//
// Two tables say what that is: secretKinds has every kind of secret, with where
// it may be, and sinks has every place that the product writes to. Who adds one
// adds a line there. A planted leak shows for each sink that it would be found.
package canary_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

var (
	faultCount         = flag.Int("faults", 200, "how many faults to inject on SQLite")
	faultCountPostgres = flag.Int("faults-postgres", 40, "how many faults to inject on PostgreSQL")
	seed               = flag.Uint64("seed", 1, "chooses the faults")
)

// root has the directories of all houses, and apart from them the one that
// temporary files are made in.
var root string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if root, err = os.MkdirTemp("", "canary-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(root) }() // it is in the way of nobody
	for variable, name := range map[string]string{"TMPDIR": "tmp", "GOTMPDIR": "build", "": "houses"} {
		dir := filepath.Join(root, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if variable != "" {
			_ = os.Setenv(variable, dir) // the name is one
		}
	}
	_ = os.Setenv("AWS_ENDPOINT_URL_STS", stsURL) // likewise
	return m.Run()
}

// homeDir makes a directory that is gone after the test. Those of testing would
// be among the temporary files.
func homeDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(filepath.Join(root, "houses"), "h-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // so is the rest of root
	return dir
}

// journey goes through the product once, without faults.
func (h *house) journey() {
	h.t.Helper()
	h.open()
	h.openaiKey = h.vault.one("key of an OpenAI provider")
	h.api("POST", providers, object{"type": "openai", "name": "openai", "base_url": h.openai.URL + "/v1", "api_keys": []string{h.openaiKey}})
	h.token = h.api("POST", "/api/v1/tokens", object{"name": "clients", "scopes": []string{"gateway:use"}}).field("token")
	for _, s := range steps {
		s.do(h)
	}
	if !h.byProvider {
		h.t.Error("nobody was signed in by an identity provider")
	}
	h.rotated()
	for _, s := range calls {
		s.do(h)
	}
	for _, s := range leaves {
		s.do(h)
	}
	h.recorded()
	h.refuse()
	h.credentials()
	for _, b := range badStarts {
		h.startBadly(b)
	}
	h.sweep(false)
}

// inject puts one fault into the house and reports what it was, "" if it did not
// come about.
func (h *house) inject(n int, r *rand.Rand) string {
	switch n % 8 {
	case 0, 1, 2, 3:
		return h.failStatement(n, r)
	case 4, 5:
		h.turn++
		mode := vendorModes[h.turn%len(vendorModes)]
		h.openai.set(mode)
		h.anthropic.set(mode)
		c := calls[r.IntN(len(calls))]
		c.do(h)
		h.openai.set("")
		h.anthropic.set("")
		return "upstream " + mode + ": " + c.name
	case 6:
		l := leaves[n/8%len(leaves)]
		l.do(h)
		return "a client vanishes " + l.name
	}
	f := fileFaults[(n/8+r.IntN(2))%len(fileFaults)]
	f.do(h)
	return "file " + f.name
}

// failStatement has one statement of a step meet a fault.
func (h *house) failStatement(n int, r *rand.Rand) string {
	kinds := []string{"fails", "loses the database", "is cut off", "comes too late", "is without one", "panics", "loses its client"}
	kind, s := kinds[n%len(kinds)], steps[r.IntN(len(steps))]
	for most := 40; most > 0; {
		at := 1 + r.IntN(most)
		h.faults.arm(kind, at)
		s.do(h)
		met, statements := h.faults.disarm()
		if met {
			return fmt.Sprintf("a statement %s: %s, the %dth", kind, s.name, at)
		}
		most = min(statements, at-1)
	}
	return ""
}

func TestNoSecretLeaks(t *testing.T) {
	t.Parallel()
	for name, count := range map[string]int{"sqlite": *faultCount, "postgres": *faultCountPostgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, name == "postgres")
			h.journey()
			r := rand.New(rand.NewPCG(*seed, uint64(len(name))))
			kinds := map[string]int{}
			for n, done := 0, 0; done < count; n++ {
				if n > 3*count+10 {
					t.Fatalf("only %d of %d faults came about", done, count)
				}
				if what := h.inject(n, r); what != "" {
					done++
					kinds[firstWord(what)]++
					if done%20 == 0 {
						h.rotated()
						h.sweep(false)
					}
				}
			}
			h.close()
			h.sweep(false)
			h.open(h.tlsFiles()...)
			h.api("GET", providers, nil)
			h.ask("openai", "/v1/chat/completions", h.token, true, nil)
			h.close()
			h.judge(t, false)
			for _, want := range []string{
				"API 200", "API 201", "API 202", "API 204", "API 400", "API 401", "API 403", "API 404", "API 405", "API 409", "API 413", "API 422", "API 500", "API 503",
				"audit 200", "gateway 200", "gateway 400", "gateway 401", "gateway 404", "gateway 502", "OpenAPI 200",
			} {
				if h.statuses[want] == 0 && count >= 40 {
					t.Errorf("nothing was answered by %s: the journey is not what it was", want)
				}
			}
			t.Logf("%d faults: %v; answers: %v; searched: %v", count, kinds, h.statuses, h.found.searched)
		})
	}
}

func firstWord(s string) string {
	var word string
	_, _ = fmt.Sscan(s, &word) // it has one
	if word == "a" {
		_, _ = fmt.Sscan(s[2:], &word)
	}
	return word
}
