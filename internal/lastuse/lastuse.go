// Package lastuse remembers when provider keys and tokens were last used, and
// writes it down now and then, so that no request waits for the database.
//
// What was not written when the process dies is lost; it is a hint for people,
// not a record.
package lastuse

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// flushTime is how long one flush may take.
const flushTime = 10 * time.Second

// A Recorder collects uses, in memory for each key and token that was ever
// used. It is safe for concurrent use.
type Recorder struct {
	db   *store.DB
	who  store.Actor
	log  *slog.Logger
	uses sync.Map // thing → *use
}

type thing struct {
	resource rbac.Resource
	id       string
}

// A use is the last time in Unix microseconds, and the last that was written.
type use struct {
	at      atomic.Int64
	written int64 // owned by Flush
}

// New returns a Recorder that writes as who.
func New(db *store.DB, who store.Actor, log *slog.Logger) *Recorder {
	return &Recorder{db: db, who: who, log: log}
}

// Key notes the use of a provider key, and Token that of a token. An empty id
// is nobody's.
func (r *Recorder) Key(id string, at time.Time) { r.note(thing{rbac.AIProviderKey, id}, at) }

// Token notes the use of a token.
func (r *Recorder) Token(id string, at time.Time) { r.note(thing{rbac.APIKey, id}, at) }

func (r *Recorder) note(t thing, at time.Time) {
	if t.id == "" {
		return
	}
	v, ok := r.uses.Load(t)
	if !ok {
		v, _ = r.uses.LoadOrStore(t, &use{})
	}
	u := v.(*use)
	for now := at.UnixMicro(); ; {
		old := u.at.Load()
		if now <= old || u.at.CompareAndSwap(old, now) {
			return
		}
	}
}

// Run writes every so often, and a last time when ctx is done.
func (r *Recorder) Run(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.Flush(ctx)
		case <-ctx.Done():
			r.Flush(context.WithoutCancel(ctx))
			return
		}
	}
}

// Flush writes what was used since the last time. What cannot be written is
// tried again at the next.
func (r *Recorder) Flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, flushTime)
	defer cancel()
	r.uses.Range(func(k, v any) bool {
		t, u := k.(thing), v.(*use)
		at := u.at.Load()
		if at == u.written {
			return true
		}
		// A transaction each: it holds its row no longer than its statement.
		err := r.db.Update(ctx, r.who, func(tx store.Tx) error {
			return tx.LastUse.Touch(ctx, []store.Use{{Resource: t.resource, ID: t.id, At: time.UnixMicro(at)}})
		})
		if err != nil {
			r.log.DebugContext(ctx, "last use not written", "error", err)
			return false
		}
		u.written = at
		return true
	})
}
