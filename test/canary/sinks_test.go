package canary_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// A sink is a line of the table of places that the product writes to.
type sink struct {
	name string
	// collect returns what is there now; nil is for what is on the tape.
	collect func(h *house) []piece
	// only, if not "", is the one database, or the program, that has it.
	only string
}

// sinks is every place that the product writes to. A new one is a line here;
// what is on the tape and in no line fails the test.
var sinks = []sink{
	{name: "files", collect: (*house).dataDirectory},
	{name: "temporary files", collect: (*house).temporaryFiles},
	{name: "backup", collect: (*house).backup, only: "sqlite"},
	{name: "rows", collect: (*house).rows, only: "postgres"},
	{name: "database files", collect: (*house).databaseFiles, only: "postgres"},
	{name: "database log", collect: (*house).databaseLog, only: "postgres"},
	{name: "logs"},
	{name: "program output"},
	{name: "errors"},
	{name: "API answers"},
	{name: "audit export"},
	{name: "records"},
	{name: "events"},
	{name: "OpenAPI"},
	{name: "metrics"},
	{name: "web pages"},
	{name: "gateway answers"},
	{name: "upstream requests"},
	{name: "proxy head"},
	{name: "webhook head"},
	{name: "webhook bodies"},
	{name: "exports", only: "program"},
	{name: "crash", only: "program"},
}

// here reports whether a house has the sink.
func (s sink) here(h *house, program bool) bool {
	switch s.only {
	case "sqlite":
		return h.pg == ""
	case "postgres":
		return h.pg != ""
	case "program":
		return program
	}
	return true
}

func (s sink) pieces(h *house) []piece {
	if s.collect == nil {
		return h.tape.of(s.name)
	}
	return s.collect(h)
}

// filesBelow returns every file below a directory, as it is now.
func (h *house) filesBelow(sink, dir string) []piece {
	var out []piece
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a temporary file that has gone
		}
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		rel, _ := filepath.Rel(dir, path) // it is below
		out = append(out, piece{sink + "/" + rel, append([]byte(path+"\n"), b...)})
		return err
	})
	if err != nil {
		h.t.Errorf("%s: %v", sink, err)
	}
	return out
}

func (h *house) dataDirectory() []piece { return h.filesBelow("files", h.dir) }

// temporaryFiles are those of all tests at once: nothing may be in any. The
// first is there so that an empty directory is not taken for one not looked into.
func (h *house) temporaryFiles() []piece {
	return append([]piece{{"temporary files", []byte(os.TempDir())}}, h.filesBelow("temporary files", os.TempDir())...)
}

// findings are the secrets that were found, allowed ones apart.
type findings struct {
	mu       sync.Mutex
	leaks    []string
	told     map[string]bool
	athome   map[string]bool // kinds that were found where they may be
	searched map[string]int64
}

func newFindings() *findings {
	return &findings{told: map[string]bool{}, athome: map[string]bool{}, searched: map[string]int64{}}
}

// look searches pieces of a sink for all secrets that are known by now.
func (h *house) look(s sink, pieces []piece) {
	for _, p := range pieces {
		hits := h.vault.in(p.content)
		h.found.mu.Lock()
		h.found.searched[s.name] += int64(len(p.content))
		for _, hit := range hits {
			if kindNamed(hit.kind).mayBe(p.where) {
				h.found.athome[hit.kind] = true
				continue
			}
			what := fmt.Sprintf("a part of: %s (%s), in: %s", hit.kind, hit.form, p.where)
			if !h.found.told[what] {
				h.found.told[what] = true
				h.found.leaks = append(h.found.leaks, what+"\n\t"+around(p.content, hit.at))
			}
		}
		h.found.mu.Unlock()
	}
}

func (k *secretKind) mayBe(where string) bool {
	for _, home := range k.homes {
		if strings.HasPrefix(where, home) {
			return true
		}
	}
	return false
}

// sweep searches what changes with time, as it is now.
func (h *house) sweep(program bool) {
	for _, s := range sinks {
		if s.collect != nil && s.here(h, program) {
			h.look(s, s.pieces(h))
		}
	}
}

// judge searches everything, and fails the test for what was found, now or
// before, and for what should have been there to be searched.
func (h *house) judge(t interface{ Errorf(string, ...any) }, program bool) {
	for _, s := range sinks {
		if !s.here(h, program) {
			continue
		}
		pieces := s.pieces(h)
		size := 0
		for _, p := range pieces {
			size += len(p.content)
		}
		if size == 0 {
			t.Errorf("nothing came out of the sink %q: it was not searched", s.name)
		}
		h.look(s, pieces)
	}
	for _, where := range h.tape.wheres() {
		known := false
		for _, s := range sinks {
			known = known || s.collect == nil && (where == s.name || strings.HasPrefix(where, s.name+"/"))
		}
		if !known {
			t.Errorf("%q is on the tape, and in no sink of the table", where)
		}
	}
	for _, k := range secretKinds {
		if program != (k.only == "program") {
			continue // the journey in this process has all but a few
		}
		if h.vault.first(k.name) == "" {
			t.Errorf("there was no secret of the kind %q: the journey does not use it", k.name)
		} else if len(k.homes) > 0 && !h.found.athome[k.name] {
			t.Errorf("no secret of the kind %q was seen where it belongs: the journey proves nothing of it", k.name)
		}
	}
	for _, leak := range h.found.leaks {
		t.Errorf("LEAK: %s", leak)
	}
}
