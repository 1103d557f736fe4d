package canary_test

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"sync"
)

// A piece is something that came out of the product. Where says of which sink
// it is and what of it, as in "files/gatehouse.db-wal".
type piece struct {
	where   string
	content []byte
}

// A tape keeps what comes out bit by bit, each kind of it apart.
type tape struct {
	mu      sync.Mutex
	content map[string]*bytes.Buffer
}

func newTape() *tape { return &tape{content: map[string]*bytes.Buffer{}} }

func (t *tape) write(where string, b []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.content[where] == nil {
		t.content[where] = &bytes.Buffer{}
	}
	t.content[where].Write(b)
	t.content[where].WriteByte('\n')
}

// to returns a writer to the tape.
func (t *tape) to(where string) io.Writer { return tapeWriter{t, where} }

type tapeWriter struct {
	tape  *tape
	where string
}

func (w tapeWriter) Write(b []byte) (int, error) {
	w.tape.mu.Lock()
	defer w.tape.mu.Unlock()
	if w.tape.content[w.where] == nil {
		w.tape.content[w.where] = &bytes.Buffer{}
	}
	return w.tape.content[w.where].Write(b)
}

// of returns what there is of a sink.
func (t *tape) of(sink string) []piece {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []piece
	for where, b := range t.content {
		if where == sink || strings.HasPrefix(where, sink+"/") {
			out = append(out, piece{where, bytes.Clone(b.Bytes())})
		}
	}
	slices.SortFunc(out, func(a, b piece) int { return strings.Compare(a.where, b.where) })
	return out
}

// wheres returns what the tape has something of.
func (t *tape) wheres() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []string
	for where := range t.content {
		out = append(out, where)
	}
	return out
}
