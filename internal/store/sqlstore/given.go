package sqlstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite"
	"modernc.org/sqlite/vtab"
)

// given is a table of SQLite with rows that this program has in memory: what is
// selected from it is inserted without a statement for each row, which would have
// each of its values named, looked up and bound. It has the rows of several
// callers at once; each asks for its own by their number.
//
// It is there for the connection that writes alone, in its temp schema: nothing
// of it is in the file.
type given struct {
	mu   sync.Mutex
	last int64
	rows map[int64]givenRows
}

// givenRows are rows of the same width, one behind the other.
type givenRows struct {
	width  int
	values []any
}

const (
	givenTable = "given"
	// givenWidth is how many columns a row has at most.
	givenWidth = 48
	// sqliteTime is the form that the driver gives a time, by _time_format=sqlite.
	sqliteTime = "2006-01-02 15:04:05.999999999-07:00"
)

// lend makes rows selectable by their number until taken back.
func (g *given) lend(r givenRows) (number int64, takeBack func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.rows == nil {
		g.rows = map[int64]givenRows{}
	}
	g.last++
	number = g.last
	g.rows[number] = r
	return number, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.rows, number)
	}
}

// fromGiven turns INSERT INTO … VALUES ($1, …, $k) into the statement that inserts
// the rows of the number $1. FAIL and not ABORT: SQLite would keep a copy of each
// page that the statement changes, to undo it alone, and whoever gets an error here
// gives up the transaction.
func fromGiven(statement string) string {
	before, values, after := cutValues(statement)
	var b strings.Builder
	b.WriteString(strings.Replace(before, "INSERT INTO", "INSERT OR FAIL INTO", 1) + "SELECT ")
	for i := range strings.Count(values, "$") {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "c%d", i)
	}
	b.WriteString(" FROM temp." + givenTable + " WHERE number = $1" + after)
	return b.String()
}

// A connector opens connections that have the rows given.
type connector struct {
	driver *sqlite.Driver
	dsn    string
}

// connector returns one for a database.
func (g *given) connector(dsn string) (connector, error) {
	c := connector{&sqlite.Driver{}, dsn}
	return c, c.driver.RegisterModule(givenTable, g)
}

func (c connector) Driver() driver.Driver { return c.driver }

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.driver.Open(c.dsn)
	if err != nil {
		return nil, err
	}
	if e, ok := conn.(driver.ExecerContext); ok {
		_, err = e.ExecContext(ctx, "CREATE VIRTUAL TABLE temp."+givenTable+" USING "+givenTable, nil)
	} else {
		err = errors.New("the driver's connections run no statements")
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// Create implements [vtab.Module].
func (g *given) Create(ctx vtab.Context, args []string) (vtab.Table, error) {
	return g.Connect(ctx, args)
}

// Connect implements [vtab.Module].
func (g *given) Connect(ctx vtab.Context, _ []string) (vtab.Table, error) {
	var b strings.Builder
	for i := range givenWidth {
		fmt.Fprintf(&b, "c%d, ", i)
	}
	return givenAccess{g}, ctx.Declare("CREATE TABLE " + givenTable + " (" + b.String() + "number HIDDEN)")
}

// givenAccess implements [vtab.Table].
type givenAccess struct{ g *given }

var errGivenNumber = errors.New("the rows that are given are selected by their number")

// BestIndex has Filter called with the number.
func (givenAccess) BestIndex(info *vtab.IndexInfo) error {
	for i := range info.Constraints {
		if c := &info.Constraints[i]; c.Column == givenWidth && c.Op == vtab.OpEQ && c.Usable {
			c.ArgIndex, c.Omit = 0, true
			return nil
		}
	}
	return errGivenNumber
}

func (a givenAccess) Open() (vtab.Cursor, error) { return &givenCursor{g: a.g}, nil }

func (givenAccess) Disconnect() error { return nil }

func (givenAccess) Destroy() error { return nil }

// A givenCursor implements [vtab.Cursor].
type givenCursor struct {
	g    *given
	rows givenRows
	at   int // where the row begins
}

func (c *givenCursor) Filter(_ int, _ string, args []vtab.Value) error {
	if len(args) != 1 {
		return errGivenNumber
	}
	number, ok := args[0].(int64)
	if !ok {
		return errGivenNumber
	}
	c.g.mu.Lock()
	defer c.g.mu.Unlock()
	c.rows, c.at = c.g.rows[number], 0
	return nil
}

func (c *givenCursor) Next() error {
	c.at += c.rows.width
	return nil
}

//lint:ignore ST1003 the interface names it
func (c *givenCursor) Eof() bool { return c.at >= len(c.rows.values) }

func (c *givenCursor) Column(n int) (vtab.Value, error) {
	if n >= c.rows.width {
		return nil, nil
	}
	v := c.rows.values[c.at+n]
	if t, ok := v.(time.Time); ok {
		return t.UTC().Format(sqliteTime), nil
	}
	return v, nil
}

func (c *givenCursor) Rowid() (int64, error) { return int64(c.at), nil }

func (c *givenCursor) Close() error { return nil }
