package canary_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestPlantedLeaksAreFound goes through the product once, without faults, and then
// hides a part of a secret of each kind, in each form, in what came out of each
// sink: every one must be found, and told as a leak but where it may be.
func TestPlantedLeaksAreFound(t *testing.T) {
	t.Parallel()
	for _, database := range []string{"sqlite", "postgres"} {
		t.Run(database, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, database == "postgres")
			h.journey()
			for _, k := range secretKinds { // what this journey has no use for
				if k.make != nil {
					h.vault.one(k.name)
				}
			}
			h.close()
			planted := 0
			for _, s := range sinks {
				if !s.here(h, true) {
					continue
				}
				pieces := s.pieces(h)
				if s.only == "program" { // no program ran; it is the same, as far as searching goes
					pieces = []piece{{s.name, []byte("goroutine 1 [running]:\n")}}
				}
				for n, f := range forms {
					planted += h.plant(t, s, pieces[n%len(pieces)], f, n)
				}
			}
			t.Logf("%d leaks were planted, in %d forms", planted, len(forms))
		})
	}
}

// plant hides a part of a secret of each kind in a piece, at its beginning, in
// its midst or at its end.
func (h *house) plant(t *testing.T, s sink, p piece, f form, n int) (planted int) {
	t.Helper()
	leak, want := []byte{}, map[string]bool{}
	for i, k := range secretKinds {
		secret := searched(k.name, h.vault.first(k.name))
		all := parts(secret)
		texts := f.write(all[(7*n+i)%len(all)])
		if len(texts) == 0 {
			continue // there is no such form of bytes that are no text
		}
		leak = append(append(leak, texts[(n+i)%len(texts)]...), ' ')
		want[k.name] = true
		planted++
	}
	leak = leak[:len(leak)-1]
	content := p.content[:min(len(p.content), 1<<20)]
	switch at := len(content) / 2; n % 3 {
	case 0:
		content = append(bytes.Clone(leak), content...)
	case 1:
		content = bytes.Join([][]byte{content[:at], content[at:]}, leak)
	case 2:
		content = append(bytes.Clone(content), leak...)
	}
	found := map[string]bool{}
	for _, hit := range h.vault.in(content) {
		found[hit.kind] = true
	}
	blank := &house{t: t, vault: h.vault, found: newFindings()}
	blank.look(s, []piece{{p.where, content}})
	told := strings.Join(blank.found.leaks, "\n")
	for kind := range want {
		if !found[kind] {
			t.Errorf("%s, %s: a part of %q was not found", p.where, f.name, kind)
		}
		if !kindNamed(kind).mayBe(p.where) && !strings.Contains(told, fmt.Sprintf("a part of: %s (", kind)) {
			t.Errorf("%s, %s: a part of %q was not told", p.where, f.name, kind)
		}
	}
	return planted
}

// TestLeaksThroughTheProductAreFound has the product itself write secrets down, by
// giving them to it as what is none: they are found in every sink that they get to.
func TestLeaksThroughTheProductAreFound(t *testing.T) {
	t.Parallel()
	for _, database := range []string{"sqlite", "postgres"} {
		t.Run(database, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, database == "postgres")
			h.open()
			key := h.vault.one("key of an OpenAI provider")
			h.api("POST", providers, object{"type": "openai", "name": "openai", "base_url": h.openai.URL + "/v1", "api_keys": []string{key}, "display_name": key})
			h.token = h.api("POST", "/api/v1/tokens", object{"name": "t", "scopes": []string{"gateway:use"}}).field("token")
			step := func(name string) {
				for _, s := range steps {
					if s.name == name {
						s.do(h)
					}
				}
			}
			step("read all lists")
			step("export")
			step("read what needs no token")
			// A provider that answers with a token that it got in a prompt.
			h.vault.mu.Lock()
			h.vault.values["prompt"], h.vault.values["answer"] = slices.Repeat([]string{h.token}, perKind), slices.Repeat([]string{h.token}, perKind)
			h.vault.mu.Unlock()
			h.ask("openai", "/v1/chat/completions", h.token, false, nil)
			// A database whose errors have what it was asked for in them.
			h.faults.leak = h.token
			h.faults.arm("leaks", 2)
			h.api("POST", providers, h.newProviders()[0])
			h.faults.disarm()
			// An address that is none.
			h.start("a secret for an address", h.newDir("other"), "--http-address="+strings.Map(onlyToken, key[:30])+":0")
			h.vault.search.add("key of an OpenAI provider", strings.Map(onlyToken, key[:30]))
			h.close()
			for _, s := range sinks {
				if s.here(h, false) {
					h.look(s, s.pieces(h))
				}
			}
			for _, want := range []struct{ kind, sink, only string }{
				{"key of an OpenAI provider", "files/gatehouse.db", "sqlite"},
				{"key of an OpenAI provider", "backup/copy.db", "sqlite"},
				{"key of an OpenAI provider", "rows/ai_providers as text", "postgres"},
				{"key of an OpenAI provider", "rows/audit_logs as binary", "postgres"},
				{"key of an OpenAI provider", "database files/ai_providers", "postgres"},
				{"key of an OpenAI provider", "database log/", "postgres"},
				{"key of an OpenAI provider", "API answers/all", ""},
				{"key of an OpenAI provider", "audit export/jsonl", ""},
				{"key of an OpenAI provider", "audit export/csv", ""},
				{"key of an OpenAI provider", "errors/at the start", ""},
				{"token", "upstream requests/openai body", ""},
				{"token", "gateway answers", ""},
				{"token", "logs/text", ""},
				{"token", "logs/json", ""},
			} {
				if s := (sink{only: want.only}); !s.here(h, false) {
					continue
				}
				told := false
				for _, leak := range h.found.leaks {
					told = told || strings.HasPrefix(leak, "a part of: "+want.kind+" (") && strings.Contains(leak, "in: "+want.sink)
				}
				if !told {
					t.Errorf("a part of %q in %q was not told", want.kind, want.sink)
				}
			}
		})
	}
}

// TestTheRigSeesWhatIsNotThere: a sink from which nothing comes, and something on
// the tape that no sink has, fail the test.
func TestTheRigSeesWhatIsNotThere(t *testing.T) {
	t.Parallel()
	h := newHouse(t, false)
	h.tape.write("a place that nobody thought of", []byte("x"))
	var said recorder
	h.judge(&said, false)
	all := strings.Join(said.errors, "\n")
	for _, want := range []string{`"a place that nobody thought of" is on the tape`, `nothing came out of the sink "gateway answers"`, `no secret of the kind "token"`} {
		if !strings.Contains(all, want) {
			t.Errorf("it was not said that %s; what was said:\n%s", want, all)
		}
	}
}

// A recorder takes the errors of a test that is to fail.
type recorder struct{ errors []string }

func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}
