package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/gatehousehq/gatehouse/internal/store"
)

func openSQLite(t *testing.T) *Backend {
	t.Helper()
	b, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "gatehouse.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func someRecord() store.Interception {
	at := time.Date(2030, 1, 2, 3, 4, 5, 120_000_000, time.FixedZone("", 3600))
	return store.Interception{
		ID: uuid.Must(uuid.NewV7()).String(), At: at, TokenName: "it's $1 “é” ?", Model: "m", Status: 200, Outcome: store.Complete,
		Attempts: []store.Attempt{{KeyID: "k", Began: at, Duration: -1}}, RequestBytes: -1 << 63, Tokens: store.TokenCounts{Input: 1<<63 - 1, Known: true},
	}
}

// What is selected from the rows given is, to the type, what the driver would have
// bound.
func TestRowsGivenAreThoseThatAreBound(t *testing.T) {
	t.Parallel()
	b := openSQLite(t)
	bound, given := someRecord(), someRecord()
	_, err := b.Update(t.Context(), func(tx store.Tx) error {
		records := tx.Interceptions.(interceptions)
		row, err := interceptionRow(bound)
		if err != nil {
			return err
		}
		return errors.Join(records.q.InsertInterception(t.Context(), row), records.Record(t.Context(), []store.Interception{given}))
	})
	if err != nil {
		t.Fatal(err)
	}
	columns, err := b.read.QueryContext(t.Context(), "SELECT name FROM pragma_table_info('interceptions') WHERE name <> 'id'")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = columns.Close() }() // it was read to its end
	var parts []string
	for columns.Next() {
		var name string
		if err := columns.Scan(&name); err != nil {
			t.Fatal(err)
		}
		parts = append(parts, "'"+name+" ' || typeof("+name+") || ' ' || quote("+name+")")
	}
	if err := columns.Err(); err != nil || len(parts) < 20 {
		t.Fatalf("%d columns, %v", len(parts), err)
	}
	stored := func(id string) (row string) {
		if err := b.read.QueryRowContext(t.Context(), "SELECT "+strings.Join(parts, " || char(10) || ")+" FROM interceptions WHERE id = $1", id).Scan(&row); err != nil {
			t.Fatal(err)
		}
		return row
	}
	if diff := cmp.Diff(stored(bound.ID), stored(given.ID)); diff != "" {
		t.Errorf("bound (-) and given (+):\n%s", diff)
	}
}

func TestRowsAreGivenToEveryConnectionThatWrites(t *testing.T) {
	t.Parallel()
	b := openSQLite(t)
	for range 3 {
		_, err := b.Update(t.Context(), func(tx store.Tx) error {
			return tx.Interceptions.Record(t.Context(), []store.Interception{someRecord()})
		})
		if err != nil {
			t.Fatal(err)
		}
		conn, err := b.write.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // the pool makes another
		_ = conn.Close()                                           // it is closed already
	}
	var n int
	if err := b.read.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM interceptions").Scan(&n); err != nil || n != 3 {
		t.Errorf("%d records, %v", n, err)
	}
	if err := b.read.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM sqlite_master WHERE name LIKE '%given%'").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d traces in the file, %v", n, err)
	}
}

// A batch is all in or not at all, wherever in it a row is that the table refuses,
// and nothing of it is kept in memory.
func TestARowThatIsRefusedTakesItsBatchWithIt(t *testing.T) {
	t.Parallel()
	b := openSQLite(t)
	d, ok := b.dialect.(sqliteDialect)
	if !ok {
		t.Fatal("not SQLite")
	}
	for _, bad := range []int{0, 31, 32, 99} {
		batch := make([]store.Interception, 100)
		for i := range batch {
			batch[i] = someRecord()
		}
		batch[bad].Outcome = "neither"
		_, err := b.Update(t.Context(), func(tx store.Tx) error { return tx.Interceptions.Record(t.Context(), batch) })
		if err == nil {
			t.Fatal("it was taken")
		}
		var n int
		if err := b.read.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM interceptions").Scan(&n); err != nil || n != 0 {
			t.Errorf("with a bad row at %d there are %d, %v", bad, n, err)
		}
	}
	if n := len(d.given.rows); n != 0 {
		t.Errorf("%d batches are kept", n)
	}
}

// Between the rows of a long batch others have their turn.
func TestALongBatchIsWrittenInParts(t *testing.T) {
	t.Parallel()
	parts := 0
	before := func(_ context.Context, statement string) error {
		if strings.Contains(statement, givenTable) {
			parts++
		}
		return nil
	}
	b, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "gatehouse.db"), Before: before})
	if err != nil {
		t.Fatal(err)
	}
	batch := make([]store.Interception, 500)
	for i := range batch {
		batch[i] = someRecord()
	}
	_, err = b.Update(t.Context(), func(tx store.Tx) error { return tx.Interceptions.Record(t.Context(), batch) })
	if want := 500/32 + 2; err != nil || parts != want { // the rest is 16 and 4
		t.Errorf("%d parts, want %d: %v", parts, want, err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

func TestRowsAreGivenByTheirNumberAlone(t *testing.T) {
	t.Parallel()
	b := openSQLite(t)
	for _, statement := range []string{"SELECT c0 FROM temp.given", "SELECT c0 FROM temp.given WHERE number = 'x'", "SELECT c0 FROM temp.given WHERE number > 0"} {
		var v any
		err := b.write.QueryRowContext(t.Context(), statement).Scan(&v)
		if err == nil || errors.Is(err, sql.ErrNoRows) {
			t.Errorf("%s: %v, %v", statement, v, err)
		}
	}
	var v any
	if err := b.write.QueryRowContext(t.Context(), "SELECT c0 FROM temp.given WHERE number = 7").Scan(&v); !errors.Is(err, sql.ErrNoRows) {
		t.Errorf("rows that nobody gave: %v, %v", v, err)
	}
}
