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
	return l.tx.ExecContext(ctx, statement, args...)
}

func (l *lazyTx) QueryContext(ctx context.Context, statement string, args ...any) (*sql.Rows, error) {
	if err := l.ready(ctx, statement); err != nil {
		return nil, err
	}
	return l.tx.QueryContext(ctx, statement, args...)
}

func (l *lazyTx) QueryRowContext(ctx context.Context, statement string, args ...any) *sql.Row {
	if err := l.ready(ctx, statement); err != nil {
		return failedRow(ctx, err)
	}
	return l.tx.QueryRowContext(ctx, statement, args...)
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
	return l.tx.Commit()
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
