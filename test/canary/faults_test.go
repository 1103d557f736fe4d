package canary_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net/http"
	"sync"
)

// statementFaults are what becomes of a statement.
var statementFaults = map[string]func(*faults) error{
	"fails":              func(*faults) error { return errors.New("the disk is on fire") },
	"loses the database": func(*faults) error { return driver.ErrBadConn },
	"is cut off":         func(*faults) error { return io.ErrUnexpectedEOF },
	"comes too late":     func(*faults) error { return context.DeadlineExceeded },
	"is without one":     func(*faults) error { return sql.ErrConnDone },
	"panics":             func(f *faults) error { panic(f.secret()) },
	"leaks":              func(f *faults) error { return errors.New("no such row: " + f.leak) }, // for controls alone
	"loses its client":   func(f *faults) error { f.leave(); return nil },
}

// faults puts one fault between the statements of a server when it is told to.
type faults struct {
	mu    sync.Mutex
	armed string // a statement fault, "" for none
	at    int    // the statement that it meets
	seen  int    // statements since it was armed
	ended bool   // whether it met one
	quit  context.CancelFunc
	// secret is what panics are given: their value may be anything.
	secret func() string
	leak   string // what the statement fault "leaks" has in it
}

// arm has the statement of that number meet a fault.
func (f *faults) arm(fault string, at int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed, f.at, f.seen, f.ended = fault, at, 0, false
}

// disarm reports whether a statement met the fault, and how many there were.
func (f *faults) disarm() (met bool, statements int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = ""
	return f.ended, f.seen
}

// client returns the context of a client that leaves when a fault says so.
func (f *faults) client(ctx context.Context) context.Context {
	f.mu.Lock()
	defer f.mu.Unlock()
	ctx, f.quit = context.WithCancel(ctx)
	return ctx
}

func (f *faults) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.quit != nil {
		f.quit()
	}
}

// before is [app.Options.Before].
func (f *faults) before(ctx context.Context, _ string) error {
	f.mu.Lock()
	fault := f.armed
	if fault == "panics" && ctx.Value(http.ServerContextKey) == nil {
		fault = "" // nobody recovers a panic of the background
	}
	if fault == "" || f.ended {
		f.mu.Unlock()
		return nil
	}
	f.seen++
	if f.seen < f.at {
		f.mu.Unlock()
		return nil
	}
	f.ended = true
	f.mu.Unlock()
	return statementFaults[fault](f)
}
