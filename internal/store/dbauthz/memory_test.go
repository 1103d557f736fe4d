package dbauthz_test

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// A trace notes the operations that got past the layer under test, as
// "Users.Get". A nil one notes nothing.
type trace struct{ ops []string }

func (r *trace) note(field, verb string) error {
	if r != nil {
		r.ops = append(r.ops, field+"."+verb)
	}
	return nil
}

// A memory is a backend without layers. It keeps to what the real one does:
// users and roles are found by name, too, a role keeps its name, names are
// taken once, and nothing goes that something else hangs on.
type memory struct {
	*trace
	providers      records[store.Provider]
	providerKeys   records[store.ProviderKey]
	routes         records[store.Route]
	users          records[store.User]
	roles          records[store.Role]
	keys           records[store.APIKey]
	passwords      records[store.Password]
	sessions       records[store.Session]
	encryptionKeys records[store.EncryptionKey]
	interceptions  []store.Interception
}

func (m *memory) tx() store.Tx {
	rest := rest{m.trace}
	return store.Tx{
		Providers: memTable[store.Provider]{"Providers", m, &m.providers}, ProviderKeys: memTable[store.ProviderKey]{"ProviderKeys", m, &m.providerKeys},
		Routes: memTable[store.Route]{"Routes", m, &m.routes},
		Users:  memTable[store.User]{"Users", m, &m.users}, Roles: memTable[store.Role]{"Roles", m, &m.roles},
		APIKeys: memTable[store.APIKey]{"APIKeys", m, &m.keys}, Passwords: memTable[store.Password]{"Passwords", m, &m.passwords}, Sessions: memTable[store.Session]{"Sessions", m, &m.sessions},
		EncryptionKeys: memTable[store.EncryptionKey]{"EncryptionKeys", m, &m.encryptionKeys},
		Audit:          memAudit{m.trace}, Secrets: rest, Changes: rest, LastUse: rest, Credentials: rest,
		Cells: memCells{m.trace}, Replicas: memReplicas{m.trace}, KeyStates: memKeyStates{m.trace},
		Interceptions: memInterceptions{m},
	}
}

// records are those of a kind, in the order in which they were made.
type records[T store.Record] []T

// find returns the place of the record with that id, or of that name, or -1.
func (r records[T]) find(id string) int {
	for i := range r {
		switch ref := r[i].Ref(); {
		case ref.ID == id:
			return i
		case ref.Target == id && named(r[i]):
			return i
		}
	}
	return -1
}

func named(rec any) bool {
	switch rec.(type) {
	case store.User, store.Role:
		return true
	}
	return false
}

var (
	errTaken = &store.ConflictError{Field: "name"}
	errHeld  = errors.New("memory: something hangs on it")
)

// held reports whether something hangs on a record.
func (m *memory) held(rec any) bool {
	switch rec := rec.(type) {
	case store.User:
		return slices.ContainsFunc(m.keys, func(k store.APIKey) bool { return k.OwnerID == rec.ID })
	case store.Role:
		return slices.ContainsFunc(m.users, func(u store.User) bool {
			for name := range u.Roles.All() {
				if name == rec.Name {
					return true
				}
			}
			return false
		})
	}
	return false
}

type memTable[T store.Record] struct {
	name string
	m    *memory
	recs *records[T]
}

func (t memTable[T]) Get(_ context.Context, id string) (z T, err error) {
	_ = t.m.note(t.name, "Get")
	if i := t.recs.find(id); i >= 0 {
		return (*t.recs)[i], nil
	}
	return z, store.ErrNotFound
}

func (t memTable[T]) List(_ context.Context, q store.Query) (out []T, err error) {
	_ = t.m.note(t.name, "List")
	for _, rec := range *t.recs {
		if q.Scope.All || q.Scope.Owner != "" && rec.Ref().Owner == q.Scope.Owner {
			out = append(out, rec)
		}
	}
	return out, nil
}

func (t memTable[T]) Insert(_ context.Context, rec T) (T, error) {
	if ref := rec.Ref(); named(rec) && t.recs.find(ref.Target) >= 0 || t.recs.find(ref.ID) >= 0 {
		return rec, errTaken
	}
	_ = t.m.note(t.name, "Insert")
	*t.recs = append(*t.recs, rec)
	return rec, nil
}

func (t memTable[T]) Update(_ context.Context, id string, edit func(*T) error) (z T, err error) {
	i := t.recs.find(id)
	if i < 0 {
		return z, store.ErrNotFound
	}
	rec := (*t.recs)[i]
	if err := edit(&rec); err != nil {
		return z, err
	}
	_ = t.m.note(t.name, "Update")
	(*t.recs)[i] = rec
	return rec, nil
}

func (t memTable[T]) Delete(_ context.Context, id string) (z T, err error) {
	i := t.recs.find(id)
	if i < 0 {
		return z, store.ErrNotFound
	}
	rec := (*t.recs)[i]
	if t.m.held(rec) {
		return z, errHeld
	}
	_ = t.m.note(t.name, "Delete")
	*t.recs = slices.Delete(*t.recs, i, i+1)
	return rec, nil
}

type memAudit struct{ *trace }

func (a memAudit) Append(context.Context, store.AuditEntry) error {
	return a.note("Audit", "Append")
}

func (a memAudit) Observe(context.Context, []store.AuditEntry) error {
	return a.note("Audit", "Observe")
}

func (a memAudit) List(context.Context, store.AuditQuery) ([]store.AuditEntry, error) {
	return nil, a.note("Audit", "List")
}

func (a memAudit) Rows(context.Context, int64, int) ([]store.AuditRow, error) {
	return nil, a.note("Audit", "Rows")
}

func (a memAudit) Head(context.Context) (store.AuditHead, error) {
	return store.AuditHead{}, a.note("Audit", "Head")
}

func (a memAudit) Hashes(context.Context, []int64) (map[int64][]byte, error) {
	return nil, a.note("Audit", "Hashes")
}

func (a memAudit) Prune(context.Context, time.Time, int) (int64, int64, error) {
	return 0, 0, a.note("Audit", "Prune")
}

// rest is everything else of a transaction.
type rest struct{ *trace }

func (r rest) Open(context.Context, store.Sealed) (map[string]secret.Text, error) {
	return nil, r.note("Secrets", "Open")
}

func (r rest) Check(context.Context, store.Sealed) error { return r.note("Secrets", "Check") }

func (r rest) Fingerprint(context.Context, secret.Text) (string, error) {
	return "", r.note("Secrets", "Fingerprint")
}

func (r rest) Lock(context.Context) error { return r.note("Changes", "Lock") }

func (r rest) Generation(context.Context) (int64, error) {
	return 0, r.note("Changes", "Generation")
}

func (r rest) KeyEpoch(context.Context) (int64, error) { return 0, r.note("Changes", "KeyEpoch") }

func (r rest) Since(context.Context, int64) ([]store.Change, bool, error) {
	return nil, true, r.note("Changes", "Since")
}

func (r rest) Touch(context.Context, []store.Use) error { return r.note("LastUse", "Touch") }

func (r rest) ByTokenHash(context.Context, [32]byte) (store.APIKey, store.User, []store.Role, error) {
	return store.APIKey{}, store.User{}, nil, r.note("Credentials", "ByTokenHash")
}

func (r rest) ByUser(context.Context, string) (store.Person, error) {
	return store.Person{}, r.note("Credentials", "ByUser")
}

func (r rest) BySubject(context.Context, string, string) (store.Person, error) {
	return store.Person{}, r.note("Credentials", "BySubject")
}

func (r rest) BySessionHash(context.Context, [32]byte) (store.Session, store.Person, error) {
	return store.Session{}, store.Person{}, r.note("Credentials", "BySessionHash")
}

func (r rest) SessionSeen(context.Context, string, time.Time) error {
	return r.note("Credentials", "SessionSeen")
}

type memCells struct{ *trace }

func (c memCells) Count(context.Context) ([]store.CellCount, error) {
	return nil, c.note("Cells", "Count")
}

func (c memCells) List(context.Context, store.CellQuery) ([]store.Sealed, error) {
	return nil, c.note("Cells", "List")
}

func (c memCells) Reseal(context.Context, []store.Resealing) (store.Resealed, error) {
	return store.Resealed{}, c.note("Cells", "Reseal")
}

type memReplicas struct{ *trace }

func (r memReplicas) Beat(context.Context, store.Replica) error { return r.note("Replicas", "Beat") }

func (r memReplicas) List(context.Context) ([]store.Replica, error) {
	return nil, r.note("Replicas", "List")
}

func (r memReplicas) Forget(context.Context, string, time.Time) error {
	return r.note("Replicas", "Forget")
}

type memKeyStates struct{ *trace }

func (k memKeyStates) Note(context.Context, []store.KeyState) error {
	return k.note("KeyStates", "Note")
}

func (k memKeyStates) List(context.Context, time.Time) ([]store.KeyState, error) {
	return nil, k.note("KeyStates", "List")
}

func (k memKeyStates) NoteDrain(context.Context, store.KeyDrain) error {
	return k.note("KeyStates", "NoteDrain")
}

func (k memKeyStates) Drains(context.Context) ([]store.KeyDrain, error) {
	return nil, k.note("KeyStates", "Drains")
}

func (k memKeyStates) EndDrain(context.Context, string) error { return k.note("KeyStates", "EndDrain") }

func (k memKeyStates) Forget(context.Context, time.Time) error { return k.note("KeyStates", "Forget") }

type memInterceptions struct{ m *memory }

func (i memInterceptions) Record(_ context.Context, batch []store.Interception) error {
	i.m.interceptions = append(i.m.interceptions, batch...)
	return i.m.note("Interceptions", "Record")
}

func (i memInterceptions) Get(_ context.Context, id string) (z store.Interception, err error) {
	_ = i.m.note("Interceptions", "Get")
	for _, rec := range i.m.interceptions {
		if rec.ID == id {
			return rec, nil
		}
	}
	return z, store.ErrNotFound
}

func (i memInterceptions) List(_ context.Context, q store.InterceptionQuery) (out []store.Interception, err error) {
	for _, rec := range i.m.interceptions {
		if q.Scope.Has(rec.OwnerID) {
			out = append(out, rec)
		}
	}
	return out, i.m.note("Interceptions", "List")
}

func (i memInterceptions) Usage(ctx context.Context, _ store.UsageGroup, q store.InterceptionQuery) ([]store.Usage, error) {
	recs, err := i.List(ctx, q)
	return []store.Usage{{Requests: int64(len(recs))}}, err
}

func (i memInterceptions) Scope(context.Context) (store.Scope, error) {
	return store.Scope{All: true}, i.m.note("Interceptions", "Scope")
}

func (i memInterceptions) Prune(context.Context, time.Time, int) (int64, error) {
	return 0, i.m.note("Interceptions", "Prune")
}
