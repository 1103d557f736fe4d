// Package store defines what Gatehouse keeps and the one way to reach it.
//
// A [DB] hands out transactions, never tables. Each transaction belongs to an
// [Actor], and its tables are wrapped by three layers, outermost first: dbauthz
// asks whether the actor may, dbaudit writes down what it did, dbcrypt seals
// what must not be read from disk. The layers are functions from [Tx] to [Tx];
// none knows the others, nor the database underneath.
//
// It fails closed: the zero Actor may do nothing, a change whose audit entry
// cannot be written is undone, a secret that is not sealed is refused by the
// backend, and reading a record never opens its secrets.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
)

// Errors that callers tell apart. Anything else is internal.
var (
	// ErrNotFound is for a record that is not there, or is outside the view of
	// the actor.
	ErrNotFound = errors.New("not found")
	// ErrDenied is for an actor that has no right of that kind on any record.
	ErrDenied = errors.New("permission denied")
	// ErrStale is for an edit of a record that has changed since it was read.
	ErrStale = errors.New("changed in the meantime")
	// ErrUnavailable is for a database that is away, full, or too busy. Nothing
	// was changed.
	ErrUnavailable = errors.New("database unavailable")
	// ErrUncertain is for a database that went away during the commit: the
	// change may have been made.
	ErrUncertain = errors.New("database lost during commit")
	// ErrUnreadable is for a sealed secret that does not open: it was altered,
	// moved, planted, or sealed under a key that is gone.
	ErrUnreadable = errors.New("does not open")
	// ErrKeysChanged is for a process whose data keys are not the newest: nothing
	// was sealed or opened. [DB] loads them and runs the transaction again.
	ErrKeysChanged = errors.New("the data keys changed in the meantime")
)

// A DeniedError is an [ErrDenied] that says what was missing.
type DeniedError struct {
	// Missing is the permission that the actor lacks; zero if it is not for
	// want of one.
	Missing rbac.Permission
	// Reason says, for people, why it is refused. It may be empty.
	Reason string
}

func (e *DeniedError) Error() string {
	if e.Reason != "" {
		return ErrDenied.Error() + ": " + e.Reason
	}
	return ErrDenied.Error() + ": it takes " + e.Missing.String()
}

// Is makes a DeniedError an [ErrDenied].
func (e *DeniedError) Is(target error) bool { return target == ErrDenied }

// A ConflictError is for a value that another record has already, or for a
// change that what is there rules out. Field is the column that is in the way.
type ConflictError struct {
	Field string
	// Reason says, for people, what is in the way. It may be empty, where Field
	// says it all.
	Reason string
}

func (e *ConflictError) Error() string {
	if e.Reason != "" {
		return e.Reason
	}
	return e.Field + " is taken"
}

// An InvalidError is for a value that a record may not have. Field is where it
// stands; Reason says why, without showing it.
type InvalidError struct{ Field, Reason string }

func (e *InvalidError) Error() string { return e.Field + " " + e.Reason }

// A Ref names a record.
type Ref struct {
	Resource rbac.Resource
	ID       string
	// Owner is the id of the user whose record it is, "" for nobody's.
	Owner string
	// Target is how the audit log names it: a name, or for a provider key the
	// full id of its provider.
	Target string
}

// A Record is a row of a [Table]. Records are plain values without references:
// two of them share nothing, and == compares them.
type Record interface {
	comparable
	Ref() Ref
}

// A Table is one kind of record. Its five methods are the whole vocabulary of
// the control plane, so that a layer is written once, not once a query.
type Table[T Record] interface {
	// Get returns the record with that id.
	Get(ctx context.Context, id string) (T, error)
	// List returns the records that q selects, in the order of the table.
	List(ctx context.Context, q Query) ([]T, error)
	// Insert adds rec and returns it as stored.
	Insert(ctx context.Context, rec T) (T, error)
	// Update reads the record, lets edit change it, and writes it back. An edit
	// that changes nothing writes nothing.
	Update(ctx context.Context, id string, edit func(*T) error) (T, error)
	// Delete removes the record and returns it as it was.
	Delete(ctx context.Context, id string) (T, error)
}

// A Query selects records for [Table.List]. A field that a table has no use
// for is ignored.
type Query struct {
	// Scope is what the actor may see. dbauthz sets it, whatever was in it.
	Scope Scope
	// ProviderID selects the keys of one provider; "" is those of all.
	ProviderID string
	// OfProviders, if not nil, selects the keys of the providers that it selects.
	OfProviders *Query
	// Search selects the providers that have it in their name or display name,
	// whatever its case.
	Search string
	// OwnerID selects the tokens of one user; "" is those of all.
	OwnerID string
	// IncludeDisabled and IncludeDeleted add providers that are left out
	// otherwise.
	IncludeDisabled, IncludeDeleted bool
	// After continues a list behind the record with that id. A table that is not
	// ordered by id takes what it is ordered by (a provider's Name, a key's
	// Position), a space, and the id.
	After string
	// Limit is the most records to return; 0 is no limit.
	Limit int
}

// A Scope is a set of records by their owner. The zero Scope is empty.
type Scope struct {
	All   bool   // every record
	Owner string // otherwise, those of this user
}

// Has reports whether a record of that owner is in s.
func (s Scope) Has(owner string) bool { return s.All || s.Owner != "" && s.Owner == owner }

// A Tx is the tables as one transaction of one actor sees them.
type Tx struct {
	Providers      Table[Provider]
	ProviderKeys   Table[ProviderKey]
	Routes         Table[Route]
	Users          Table[User]
	Roles          Table[Role]
	APIKeys        Table[APIKey]
	Passwords      Table[Password]
	Sessions       Table[Session]
	EncryptionKeys Table[EncryptionKey]
	Audit          AuditLog
	Secrets        Secrets
	Changes        Changes
	LastUse        LastUse
	Credentials    Credentials
	Cells          Cells
	Replicas       Replicas
	KeyStates      KeyStates
	Interceptions  Interceptions
}

// Secrets opens what is sealed in a record.
type Secrets interface {
	// Open returns the secrets of rec in the clear, by column. It returns
	// [ErrUnreadable] if one does not open.
	Open(ctx context.Context, rec Sealed) (map[string]secret.Text, error)
	// Check returns [ErrUnreadable] if a secret of rec does not open, or is not
	// the one that its fingerprint was made of. It tells nothing of the secret.
	Check(ctx context.Context, rec Sealed) error
	// Fingerprint returns the fingerprint of a provider key that is stored with
	// this value.
	Fingerprint(ctx context.Context, value secret.Text) (string, error)
}

// A Sealed record is one that may have secrets in it.
type Sealed interface {
	Ref() Ref
	// Sealings returns every secret of the record.
	Sealings() []Sealing
	// Binding returns what the secrets are bound to besides their own place:
	// where they may be sent. A sealed secret does not open once it changes.
	Binding(ctx context.Context, tx Tx) ([]string, error)
	// Copy returns a record that is equal to this one and shares nothing with it.
	Copy() Sealed
}

// A Sealing is one secret of a record, and the columns that are kept with it.
// Its pointers lead into the record. Those that may be nil say so.
type Sealing struct {
	Table, Column string
	Value         *secret.Text
	KeyID         *string // digest of the data key it is sealed under
	Revision      *int64  // raised each time the secret is written; rotation keeps it
	Hint          *string // nil: no hint is kept
	Fingerprint   *string // nil: no fingerprint is kept
	// Public is what stands in the clear beside the secret and is bound to it by
	// its digest; nil: nothing does.
	Public *string
	// Keep names members of the secret as it is stored, a JSON object, that the
	// one written in its place is to have too; nil: none ever. The writer cannot
	// read them. It is empty again once the secret is sealed.
	Keep *Set
}

// Changes is the order of changes to the configuration that the gateway is
// compiled from.
type Changes interface {
	// Lock waits until no other transaction changes anything, and keeps it so
	// until this one ends: what is read from then on is what a change finds.
	Lock(ctx context.Context) error
	// Generation returns the current generation of the store.
	Generation(ctx context.Context) (int64, error)
	// KeyEpoch returns how often the data keys have changed. In a transaction
	// that writes it waits for its turn as Lock does: what is sealed after it by
	// keys of that epoch is sealed by the newest.
	KeyEpoch(ctx context.Context) (int64, error)
	// Since returns the records that changed after a generation, oldest first,
	// and false if not all of those changes are kept any more.
	Since(ctx context.Context, generation int64) ([]Change, bool, error)
}

// A Change says that a record changed in some way.
type Change struct {
	Generation int64
	Resource   rbac.Resource
	// ID of the record; for a provider key, of its provider.
	ID string
}

// LastUse notes when keys and tokens were last used. It neither raises the
// generation nor writes audit entries.
type LastUse interface {
	Touch(ctx context.Context, uses []Use) error
}

// A Use is the last time a provider key or an API key was used.
type Use struct {
	Resource rbac.Resource
	ID       string
	At       time.Time
}

// Credentials finds out who presents a token, a password or a session.
type Credentials interface {
	// ByTokenHash returns the API key with that SHA-256, its owner, and the
	// custom roles that the owner has.
	ByTokenHash(ctx context.Context, hash [32]byte) (APIKey, User, []Role, error)
	// ByUser returns the user of that id or name.
	ByUser(ctx context.Context, ref string) (Person, error)
	// BySubject returns the user who is that at an identity provider.
	BySubject(ctx context.Context, issuer, subject string) (Person, error)
	// BySessionHash returns the session with that SHA-256, and whose it is.
	BySessionHash(ctx context.Context, hash [32]byte) (Session, Person, error)
	// SessionSeen notes when a session was used last. It neither raises the
	// generation nor leaves an audit entry.
	SessionSeen(ctx context.Context, id string, at time.Time) error
}

// Cells are all sealed secrets there are, those of soft-deleted records among
// them: what rotation and verification walk. Which there are is said by the
// records, in [Sealed].
type Cells interface {
	// Count returns how many cells each data key has in each column; nothing for
	// none.
	Count(ctx context.Context) ([]CellCount, error)
	// List returns the records that have cells, in an order that stays.
	List(ctx context.Context, q CellQuery) ([]Sealed, error)
	// Reseal seals secrets again under the primary data key, and leaves alone a
	// record whose secret was written or sealed again since it was read. Those
	// that do not open stay as they are.
	Reseal(ctx context.Context, recs []Resealing) (Resealed, error)
}

// A CellCount is how many cells of a column are sealed under a data key.
type CellCount struct {
	Table, Column string
	KeyID         string // digest of the data key
	Cells         int64
}

// A CellQuery selects records for [Cells.List].
type CellQuery struct {
	// NotUnder leaves out those that are sealed under this data key, "" none.
	NotUnder string
	// After continues behind this record; the zero Ref begins.
	After Ref
	// Limit is the most records to return; 0 is no limit.
	Limit int
}

// A Resealing is a record to seal again. New is made of Old by dbcrypt, whatever
// it was; nil: there was nothing to do, or Old does not open.
type Resealing struct{ Old, New Sealed }

// Resealed is what [Cells.Reseal] did.
type Resealed struct {
	Written    []Ref // sealed again
	Unreadable []Ref // left alone: they do not open
}

// Replicas are the servers that share the database. What they say of themselves
// neither raises the generation nor leaves audit entries.
type Replicas interface {
	// Beat writes down that a replica lives, and what it says of itself. SeenAt
	// is set by the backend.
	Beat(ctx context.Context, r Replica) error
	// List returns the replicas that were seen and did not say good-bye, oldest
	// first.
	List(ctx context.Context) ([]Replica, error)
	// Forget removes the replica with that id, if it is not "", and those that
	// were last seen before a time.
	Forget(ctx context.Context, id string, before time.Time) error
}

// A Replica is a server process.
type Replica struct {
	ID      string // made at its start
	Name    string // of the machine
	Version string // of the program
	// KeyEpoch is that of the data keys it has loaded, and KEKs are the ids of
	// the key-encrypting keys it holds, the one that wraps first.
	KeyEpoch int64
	KEKs     Set
	// KeyError says why it could not load newer data keys, "" if it could.
	KeyError          string
	StartedAt, SeenAt time.Time
}

// KeyStates are how provider keys fare at the gateways. They neither raise the
// generation nor leave audit entries.
type KeyStates interface {
	// Note writes states down, unless there is a later one of the same key.
	Note(ctx context.Context, states []KeyState) error
	// List returns the states that keys have been in since a time or later.
	List(ctx context.Context, since time.Time) ([]KeyState, error)
	// Forget removes the states that keys have been in since before a time, and
	// drains that were left behind before it.
	Forget(ctx context.Context, before time.Time) error
	// NoteDrain says how far a replica is with draining a key; the first one asks
	// the others to say it, too. Drains returns what was said, and EndDrain ends it.
	NoteDrain(ctx context.Context, d KeyDrain) error
	Drains(ctx context.Context) ([]KeyDrain, error)
	EndDrain(ctx context.Context, keyID string) error
}

// A KeyDrain says how many requests a replica has under way with a key that it is
// to give up, and of which generation the configuration is that it serves from.
type KeyDrain struct {
	KeyID, ReplicaID     string
	Generation, InFlight int64
}

// A KeyState is what was found out last about a provider key.
type KeyState struct {
	KeyID string
	// Reason is why the upstream turned it away; "" is that it works again. Status
	// is the upstream's.
	Reason string
	Status int64
	// Since is when that was, Until when it is to be tried again, and Wait the time
	// between as the pool has it grow.
	Since, Until time.Time
	Wait         time.Duration
}

// A Backend is a database. It knows nothing of actors.
type Backend interface {
	// View runs fn on a consistent, read-only view.
	View(ctx context.Context, fn func(Tx) error) error
	// Update runs fn in a transaction and commits if fn returns nil. It returns
	// the new generation, or 0 if the transaction did not raise it.
	Update(ctx context.Context, fn func(Tx) error) (generation int64, err error)
}

// A Layer wraps the tables of a transaction that is made for who.
type Layer func(who Actor, tx Tx) Tx

// A DB is a backend behind its layers.
type DB struct {
	backend             Backend
	crypt, audit, authz Layer
	committed           func(ctx context.Context, generation int64) error
	denied              func(who Actor, err *DeniedError)
	loadKeys            func(ctx context.Context) error
}

// New stacks the layers on b. All three are required, and their order is
// fixed.
func New(b Backend, crypt, audit, authz Layer) *DB {
	return &DB{backend: b, crypt: crypt, audit: audit, authz: authz}
}

// OnCommit sets what [DB.Update] does after a commit that raised the
// generation, before it returns: put the change into force. It must be called
// before the first Update whose effect matters, and once at most.
func (db *DB) OnCommit(fn func(ctx context.Context, generation int64) error) { db.committed = fn }

// OnDenied sets what hears of each transaction that ended because who may not.
// It must not wait for the database, and is set before the first transaction
// that matters, once at most.
func (db *DB) OnDenied(fn func(who Actor, err *DeniedError)) { db.denied = fn }

// OnKeysChanged sets what loads the newest data keys. It is called outside of
// transactions, when one ended with [ErrKeysChanged]. It is set before the first
// of them, once at most; without it such a transaction is not run again.
func (db *DB) OnKeysChanged(fn func(ctx context.Context) error) { db.loadKeys = fn }

// keyTries is how often a transaction is run while the data keys change.
const keyTries = 4

// withNewestKeys runs a transaction, and runs it again with the newest data keys
// when it turns out that this process had older ones.
func (db *DB) withNewestKeys(ctx context.Context, run func() error) error {
	var err error
	for range keyTries {
		if err = run(); !errors.Is(err, ErrKeysChanged) || db.loadKeys == nil {
			return err
		}
		if err := db.loadKeys(ctx); err != nil {
			return fmt.Errorf("%w: load the newest data keys: %w", ErrUnavailable, err)
		}
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// View runs fn in a read-only transaction on behalf of who. It may run it more
// than once: fn does nothing besides that it would not do again.
func (db *DB) View(ctx context.Context, who Actor, fn func(Tx) error) error {
	err := db.withNewestKeys(ctx, func() error {
		return db.backend.View(ctx, func(tx Tx) error { return fn(db.stack(who, tx)) })
	})
	db.noteDenied(who, err)
	return err
}

func (db *DB) noteDenied(who Actor, err error) {
	if denied, ok := errors.AsType[*DeniedError](err); ok && db.denied != nil {
		db.denied(who, denied)
	}
}

// A NotInForceError is returned by [DB.Update] for a change that is committed
// but that this process could not put into force yet.
type NotInForceError struct{ Err error }

func (e *NotInForceError) Error() string {
	return fmt.Sprintf("saved, but not in force yet: %v", e.Err)
}

func (e *NotInForceError) Unwrap() error { return e.Err }

// Update runs fn in a transaction on behalf of who and commits if fn returns
// nil. When it returns nil, the change is in force in this process. Like View, it
// may run fn more than once.
func (db *DB) Update(ctx context.Context, who Actor, fn func(Tx) error) error {
	var generation int64
	err := db.withNewestKeys(ctx, func() (err error) {
		generation, err = db.backend.Update(ctx, func(tx Tx) error { return fn(db.stack(who, tx)) })
		return err
	})
	if err != nil {
		db.noteDenied(who, err)
		return err
	}
	if generation == 0 || db.committed == nil {
		return nil
	}
	if err := db.committed(ctx, generation); err != nil {
		return &NotInForceError{err}
	}
	return nil
}

func (db *DB) stack(who Actor, tx Tx) Tx {
	return db.authz(who, db.audit(who, db.crypt(who, tx)))
}
