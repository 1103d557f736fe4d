package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/gatehousehq/gatehouse/internal/store/sqlstore/internal/sqlcgen"
)

// insertRows adds rows by a statement that the queries have for one. Sizes of what
// is added at once are powers of two, so that there are few statements to prepare.
func insertRows[P any](ctx context.Context, d dialect, db sqlcgen.DBTX, rows []P, one func(*sqlcgen.Queries, context.Context, P) error) error {
	var c collected
	q := sqlcgen.New(&c)
	for size := d.rowsAtOnce(); len(rows) > 0; {
		if size > len(rows) {
			size /= 2
			continue
		}
		c.args = c.args[:0]
		for _, r := range rows[:size] {
			if err := one(q, ctx, r); err != nil {
				return err
			}
		}
		if err := d.insert(ctx, db, c.statement, size, c.args); err != nil {
			return err
		}
		rows = rows[size:]
	}
	return nil
}

// cutValues cuts a statement at its list of values.
func cutValues(statement string) (before, values, after string) {
	begin := strings.Index(statement, "VALUES (")
	end := begin + strings.IndexByte(statement[begin:], ')') + 1
	return statement[:begin], statement[begin:end], statement[end:]
}

// repeatValues gives a statement with VALUES ($1, $2, …, $k) n lists of values.
func repeatValues(statement string, n int) string {
	if n == 1 {
		return statement
	}
	start, values, rest := cutValues(statement)
	k := strings.Count(values, "$")
	var b strings.Builder
	b.WriteString(start)
	before := "VALUES ("
	for i := range n * k {
		if i > 0 && i%k == 0 {
			before = "), ("
		}
		fmt.Fprintf(&b, "%s$%d", before, i+1)
		before = ", "
	}
	b.WriteByte(')')
	b.WriteString(rest)
	return b.String()
}

// A collected is a database that runs nothing: it keeps the statement that was
// to be run, and the arguments of all its runs.
type collected struct {
	statement string
	args      []any
}

var errCollects = errors.New("sqlstore: only statements without rows are collected")

func (c *collected) ExecContext(_ context.Context, statement string, args ...any) (sql.Result, error) {
	c.statement, c.args = statement, append(c.args, args...)
	return nil, nil
}

func (*collected) PrepareContext(context.Context, string) (*sql.Stmt, error) { return nil, errCollects }

func (*collected) QueryContext(context.Context, string, ...any) (*sql.Rows, error) {
	return nil, errCollects
}

func (*collected) QueryRowContext(ctx context.Context, _ string, _ ...any) *sql.Row {
	return failedRow(ctx, errCollects)
}
