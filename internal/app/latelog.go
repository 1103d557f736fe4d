package app

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

// lateness is how long the line of a request may wait for others.
const lateness = 100 * time.Millisecond

// A lateWriter writes what it is given together, at most lateness later: to
// write the line of each request by itself costs as much as to make it. What is
// waiting is lost if the process is killed.
type lateWriter struct {
	w io.Writer

	mu    sync.Mutex
	b     []byte
	armed bool // a flush will come
}

// manyLines is how much waits at most.
const manyLines = 32 << 10

// Write implements [io.Writer]. It never fails: nobody would hear of it later.
func (l *lateWriter) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = append(l.b, line...)
	switch {
	case len(l.b) >= manyLines:
		l.flush()
	case !l.armed:
		l.armed = true
		time.AfterFunc(lateness, l.Flush)
	}
	return len(line), nil
}

// Flush writes what is waiting.
func (l *lateWriter) Flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.armed = false
	l.flush()
}

func (l *lateWriter) flush() {
	if len(l.b) > 0 {
		_, _ = l.w.Write(l.b) // as the logger does: there is nowhere to complain
		l.b = l.b[:0]
	}
}

// A lateHandler lets lines wait that are of no alarm.
type lateHandler struct {
	slog.Handler // writes to w
	w            *lateWriter
}

func (h lateHandler) Handle(ctx context.Context, r slog.Record) error {
	err := h.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelWarn {
		h.w.Flush()
	}
	return err
}

func (h lateHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return lateHandler{h.Handler.WithAttrs(attrs), h.w}
}

func (h lateHandler) WithGroup(name string) slog.Handler {
	return lateHandler{h.Handler.WithGroup(name), h.w}
}
