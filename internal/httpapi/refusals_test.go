package httpapi_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/client"
)

// A refused is a request that must be refused, change nothing, and be told why
// in words that have no part of what was sent.
//
// In paths, bodies and headers {name} stands for what fixture made, and {mark}
// for a value that must not come back.
type refused struct {
	name         string
	status       int
	method, path string
	body         string
	headers      []header
}

// mark is guarded like a secret.
const mark = "Zq8vK3xW1pLm5tRbYh7n"

// fixture makes what the refused requests are about and returns what the
// placeholders stand for.
func fixture(t *testing.T, s *server) *strings.Replacer {
	t.Helper()
	s.log.guard(mark)
	s.log.guard(strings.ToLower(mark))
	p := s.provider(t, "main", "main-1", "main-2")
	other := s.provider(t, "other", "other-1")
	gone := s.provider(t, "gone", "gone-1")
	s.want(t, http.StatusNoContent, "DELETE", providers+"/gone", "")
	taken := s.deleted(t, "taken")
	s.provider(t, "taken")
	s.want(t, http.StatusCreated, "POST", providers, `{"type":"openai","name":"configured","base_url":"`+vendor+`",
		"settings":{"_type":"openai","_version":1,"organization":"org-1"}}`)
	s.aiRoute(t, "alias", "main/m")
	key := func(p client.Provider, i int) string { return p.APIKeys[i].ID }
	return strings.NewReplacer(
		"{mark}", mark, "{p}", providers+"/main", "{id}", p.ID, "{gone}", gone.ID, "{taken}", taken.ID, "{unknown}", "0190a5a0-0000-7000-8000-00000000dead",
		"{k1}", key(p, 0), "{k2}", key(p, 1), "{foreign}", key(other, 0), "{removed}", key(gone, 0),
		"{K1}", s.key("main-1"), "{K2}", s.key("main-2"), "{K3}", s.key("main-3"), "{hint}", p.APIKeys[0].Hint,
		"{4097}", strings.Repeat("k", 4097), "{129}", strings.Repeat("ä", 129), "{2049}", strings.Repeat("a", 2049), "{257}", strings.Repeat("a", 257),
	)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	cases := allRefusals()
	each(t, func(t *testing.T, s *server) {
		fill := fixture(t, s)
		before, generation := s.dump(t), s.generation(t)
		var golden bytes.Buffer
		for _, c := range cases {
			var headers []header
			for _, h := range c.headers {
				headers = append(headers, header{h.name, fill.Replace(h.value)})
			}
			a := s.call(t, c.method, fill.Replace(c.path), fill.Replace(c.body), headers...)
			if a.status != c.status {
				t.Errorf("%s: got %d, want %d: %s", c.name, a.status, c.status, a.body)
				continue
			}
			p := refusal(t, a, c.status)
			fmt.Fprintf(&golden, "%s\n  %s %s\n  %d %s\n", c.name, c.method, short(c.path), p.Status, p.Detail)
			for _, e := range p.Errors {
				fmt.Fprintf(&golden, "    %s: %s\n", e.Location, e.Message)
			}
			if now := s.generation(t); now != generation {
				t.Errorf("%s: a refused request raised the generation", c.name)
				generation = now
			}
		}
		if after := s.dump(t); after != before { // looking at all of it takes too long to do each time
			t.Errorf("refused requests changed the database:\n%s", cmp.Diff(before, after))
		}
		compare(t, "problems.golden", golden.Bytes())
	})
}

func allRefusals() []refused {
	var all []refused
	for _, list := range [][]refused{createRefusals(), patchRefusals(), deletedRefusals(), keyRefusals(), tokenRefusals(), routeRefusals(), accountRefusals(), encryptionRefusals(), usageRefusals(), bodyRefusals(), queryRefusals(), pathRefusals()} {
		all = append(all, list...)
	}
	return all
}

// short is for the golden file.
func short(path string) string {
	if len(path) > 100 {
		return path[:100] + "…"
	}
	return path
}

// compare compares got with a file of testdata, or rewrites that.
func compare(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update && !strings.HasSuffix(t.Name(), "/postgres") { // both databases have one file
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; make it with -update", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got); if it should, run with -update:\n%s", file, diff)
	}
}
