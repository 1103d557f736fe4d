package store

import (
	"context"
	"strings"
	"time"

	"github.com/gatehousehq/gatehouse/internal/rbac"
)

// An AuditEntry says who did what to which record.
type AuditEntry struct {
	Index int64 // set by the backend: 1, 2, 3 and so on
	At    time.Time

	ActorKind          ActorKind
	ActorID, ActorName string
	TokenID, TokenName string

	Action   rbac.Action
	Resource rbac.Resource
	ID       string // of the record
	Target   string
	Origin   Origin
	// Count is how often it happened: more than 1 for events that are counted
	// and not listed one by one.
	Count int64
	Diff  string // JSON object: column to {"old","new"} or {"secret":true,…}
}

// An AuditLog is the append-only record of changes, and of what else is worth
// knowing. Its entries are the leaves of a Merkle tree, which package auditlog
// knows.
type AuditLog interface {
	// Append adds an entry. Only dbaudit can reach it.
	Append(ctx context.Context, e AuditEntry) error
	// Observe adds entries of what is no change: refusals, failed logins, the
	// use of secrets.
	Observe(ctx context.Context, entries []AuditEntry) error
	// List returns the entries that q selects, newest first.
	List(ctx context.Context, q AuditQuery) ([]AuditEntry, error)
	// Rows returns the entries from an index on as they are kept, oldest first,
	// removed ones included.
	Rows(ctx context.Context, from int64, limit int) ([]AuditRow, error)
	// Head returns the size of the log and the right edge of its tree.
	Head(ctx context.Context) (AuditHead, error)
	// Hashes returns what each of these entries added to the tree, as
	// [AuditRow] has it.
	Hashes(ctx context.Context, entries []int64) (map[int64][]byte, error)
	// Prune removes the entries that are older than before, at most limit of
	// them, and returns how many, and the index of the first that is left. What
	// they added to the tree stays.
	Prune(ctx context.Context, before time.Time, limit int) (removed, first int64, err error)
}

// An AuditQuery selects audit entries. Zero fields select all.
type AuditQuery struct {
	Resource, Action string
	// Actor is the id or name of a user, or the name of a part of the system.
	Actor string
	// Since and Until select by time: from Since on, and before Until.
	Since, Until time.Time
	// Text begins the actor's name, the target, the id of the record, or that
	// of the request.
	Text string
	// Before is the index that all entries are below.
	Before int64
	// Limit is the most entries to return; 0 is no limit.
	Limit int
}

// Match reports whether q selects e, by all but Before and Limit.
func (q AuditQuery) Match(e AuditEntry) bool {
	begins := func(s string) bool { return strings.HasPrefix(s, q.Text) }
	return (q.Resource == "" || string(e.Resource) == q.Resource) && (q.Action == "" || string(e.Action) == q.Action) &&
		(q.Actor == "" || e.ActorID == q.Actor || e.ActorName == q.Actor) &&
		!e.At.Before(q.Since) && (q.Until.IsZero() || e.At.Before(q.Until)) &&
		(begins(e.ActorName) || begins(e.Target) || begins(e.ID) || begins(e.Origin.RequestID))
}

// An AuditRow is an entry as it is kept.
type AuditRow struct {
	Index int64
	// Hashes are those that the entry completed in the tree, its own first.
	Hashes []byte
	// Leaf is the entry in its canonical form, nil if it was removed.
	Leaf []byte
	// Entry is what the columns beside it say.
	Entry AuditEntry
}

// An AuditHead is the state of the log's tree: its size, and the hashes of its
// largest complete subtrees, largest first.
type AuditHead struct {
	Size int64
	Edge []byte
}
