package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
)

// A lazyTx begins its transaction with the first statement: what is refused
// before one costs the database nothing, and keeps nobody waiting.
type lazyTx struct {
	db     *sql.DB
	opts   *sql.TxOptions
	before func(ctx context.Context, statement string) error // may be nil
	tx     *sql.Tx                                           // nil: not begun

	prepared *statements // may be nil
	wanted   []string    // statements that were run and are not prepared
}

// ready begins the transaction if need be, and asks whether the statement may
// run.
func (l *lazyTx) ready(ctx context.Context, statement string) error {
	if l.before != nil {
		if err := l.before(ctx, statement); err != nil {
			return err
		}
	}
	if l.tx != nil {
		return nil
	}
	tx, err := l.db.BeginTx(ctx, l.opts)
	if err != nil {
		return err
	}
	l.tx = tx
	return nil
}

func (l *lazyTx) ExecContext(ctx context.Context, statement string, args ...any) (sql.Result, error) {
	if err := l.ready(ctx, statement); err != nil {
		return nil, err
	}
	if l.prepared == nil {
		return l.tx.ExecContext(ctx, statement, args...)
	}
	// The driver would start a goroutine for each statement, to interrupt it. In a
	// transaction none waits for anything, and an end of ctx ends the transaction.
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	brief := context.WithoutCancel(ctx)
	if s := l.statement(brief, statement); s != nil {
		return s.ExecContext(brief, args...)
	}
	return l.tx.ExecContext(brief, statement, args...)
}

func (l *lazyTx) QueryContext(ctx context.Context, statement string, args ...any) (*sql.Rows, error) {
	if err := l.ready(ctx, statement); err != nil {
		return nil, err
	}
	if s := l.statement(ctx, statement); s != nil {
		return s.QueryContext(ctx, args...)
	}
	return l.tx.QueryContext(ctx, statement, args...)
}

func (l *lazyTx) QueryRowContext(ctx context.Context, statement string, args ...any) *sql.Row {
	if err := l.ready(ctx, statement); err != nil {
		return failedRow(ctx, err)
	}
	if s := l.statement(ctx, statement); s != nil {
		return s.QueryRowContext(ctx, args...)
	}
	return l.tx.QueryRowContext(ctx, statement, args...)
}

// statement returns the prepared statement, or nil, and then has it prepared for
// the next transaction.
func (l *lazyTx) statement(ctx context.Context, text string) *sql.Stmt {
	s := l.prepared.in(ctx, l.tx, text)
	if s == nil && l.prepared != nil {
		l.wanted = append(l.wanted, text)
	}
	return s
}

// PrepareContext is for the prepared form of the queries, which transactions do
// not use.
func (l *lazyTx) PrepareContext(ctx context.Context, statement string) (*sql.Stmt, error) {
	if err := l.ready(ctx, statement); err != nil {
		return nil, err
	}
	return l.tx.PrepareContext(ctx, statement)
}

// commit does nothing if there was no statement.
func (l *lazyTx) commit(ctx context.Context) error {
	if l.tx == nil {
		return nil
	}
	if l.before != nil {
		if err := l.before(ctx, "COMMIT"); err != nil {
			return err
		}
	}
	if err := l.tx.Commit(); err != nil {
		return err
	}
	if len(l.wanted) > 0 {
		l.prepared.prepare(ctx, l.wanted)
	}
	return nil
}

// rollback undoes what was not committed. After a commit, or a lost connection,
// there is nothing left to undo.
func (l *lazyTx) rollback() {
	if l.tx != nil {
		_ = l.tx.Rollback()
	}
}

// failedRow returns a row whose Scan returns err. Only package sql can make one:
// it does when it cannot connect.
func failedRow(ctx context.Context, err error) *sql.Row {
	db := sql.OpenDB(failing{err})
	defer func() { _ = db.Close() }() // it never had a connection
	return db.QueryRowContext(ctx, "")
}

type failing struct{ err error }

func (f failing) Connect(context.Context) (driver.Conn, error) { return nil, f.err }

func (f failing) Driver() driver.Driver { return nil }
