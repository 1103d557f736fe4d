package sqlstore

import (
	"context"
	"database/sql"
	"sync"
)

// statements are what was prepared on a pool of SQLite connections. Its driver
// parses a statement each time that it is run, which is a third of the time of a
// small transaction; PostgreSQL's keeps what it prepared. There are as many as
// there are queries. The nil *statements prepares nothing.
type statements struct {
	db *sql.DB

	mu     sync.RWMutex
	byText map[string]*sql.Stmt
}

func newStatements(db *sql.DB) *statements {
	return &statements{db: db, byText: map[string]*sql.Stmt{}}
}

// in returns the statement for use in a transaction on the pool, or nil if it
// was not prepared yet.
func (s *statements) in(ctx context.Context, tx *sql.Tx, text string) *sql.Stmt {
	if s == nil {
		return nil
	}
	s.mu.RLock()
	stmt := s.byText[text]
	s.mu.RUnlock()
	if stmt == nil {
		return nil
	}
	return tx.StmtContext(ctx, stmt)
}

// prepare has the statements ready for the next transaction. It needs a
// connection, so none of the pool's may be held. What cannot be prepared is run as
// it is, and says itself what is wrong with it.
func (s *statements) prepare(ctx context.Context, texts []string) {
	for _, text := range texts {
		stmt, err := s.db.PrepareContext(ctx, text)
		if err != nil {
			return
		}
		s.mu.Lock()
		_, known := s.byText[text]
		if !known {
			s.byText[text] = stmt
		}
		s.mu.Unlock()
		if known { // another transaction wanted it, too
			_ = stmt.Close() // it was never run
		}
	}
}
