// Package dbauthz lets an actor do only what rbac grants it. It is the
// outermost layer of the store: there is no way to a record but through it.
//
// Every method decides. What the role and scopes can refuse without a record is
// refused before the database is asked. Someone with no right of that kind on
// any record gets [store.ErrDenied]; for a record outside one's view it is
// [store.ErrNotFound], as if it did not exist.
package dbauthz

import (
	"context"
	"time"

	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// Layer is the [store.Layer] that authorises.
func Layer(who store.Actor, tx store.Tx) store.Tx {
	g := guard{who, tx}
	return store.Tx{
		Providers:      table[store.Provider]{tx.Providers, g, rbac.AIProvider, nil},
		ProviderKeys:   table[store.ProviderKey]{tx.ProviderKeys, g, rbac.AIProviderKey, nil},
		Routes:         table[store.Route]{tx.Routes, g, rbac.AIRoute, nil},
		Users:          table[store.User]{tx.Users, g, rbac.User, g.mayAppoint},
		Roles:          table[store.Role]{tx.Roles, g, rbac.CustomRole, g.mayDefine},
		APIKeys:        table[store.APIKey]{tx.APIKeys, g, rbac.APIKey, g.mayMint},
		Passwords:      table[store.Password]{tx.Passwords, g, rbac.Password, g.mayAdmit},
		Sessions:       table[store.Session]{tx.Sessions, g, rbac.Session, nil},
		EncryptionKeys: table[store.EncryptionKey]{tx.EncryptionKeys, g, rbac.EncryptionKey, nil},
		Audit:          auditLog{tx.Audit, g},
		Secrets:        secrets{tx.Secrets, g},
		Changes:        changes{tx.Changes, g},
		LastUse:        lastUse{tx.LastUse, g},
		Credentials:    credentials{tx.Credentials, g},
		Cells:          cells{tx.Cells, g},
		Replicas:       replicas{tx.Replicas, g},
		KeyStates:      keyStates{tx.KeyStates, g},
		Interceptions:  interceptions{tx.Interceptions, g},
	}
}

// A guard decides for one actor.
type guard struct {
	who store.Actor
	tx  store.Tx // the tables under this layer, for who has which roles
}

// reach returns how far the actor may do that, or the error if nowhere.
func (g guard) reach(res rbac.Resource, act rbac.Action) (rbac.Reach, error) {
	p := rbac.Permission{Resource: res, Action: act}
	r := g.who.Reach(p)
	if r == rbac.None {
		return r, &store.DeniedError{Missing: p}
	}
	return r, nil
}

// everywhere is for what has no owner: it takes the permission on all records.
func (g guard) everywhere(res rbac.Resource, act rbac.Action) error {
	return g.someEverywhere([]rbac.Permission{{Resource: res, Action: act}})
}

// someEverywhere takes one of these permissions on all records. If the actor
// has none, the error names the first.
func (g guard) someEverywhere(ps []rbac.Permission) error {
	for _, p := range ps {
		if g.who.Reach(p) == rbac.All {
			return nil
		}
	}
	return &store.DeniedError{Missing: ps[0]}
}

// turn waits until nobody else changes anything, so that what a decision is made
// by is still so when the change is. An Update has its turn from the table
// under it.
func (g guard) turn(ctx context.Context) error { return g.tx.Changes.Lock(ctx) }

// owns reports whether the actor reaches a record of that owner.
func (g guard) owns(r rbac.Reach, ref store.Ref) bool {
	return r == rbac.All || r == rbac.Own && ref.Owner != "" && ref.Owner == g.who.ID
}

// scope returns the records that the actor reaches.
func (g guard) scope(r rbac.Reach) store.Scope {
	switch r {
	case rbac.All:
		return store.Scope{All: true}
	case rbac.Own:
		return store.Scope{Owner: g.who.ID}
	}
	return store.Scope{}
}

// A table names all five methods rather than embedding the one under it, so
// that a sixth does not compile until it is guarded.
type table[T store.Record] struct {
	next     store.Table[T]
	guard    guard
	resource rbac.Resource
	// may, if not nil, decides about a change that can give somebody power, or
	// take it. before is nil for a record that is new, and after for one that
	// goes. It may complete after.
	may func(ctx context.Context, before, after *T) error
}

func (t table[T]) Get(ctx context.Context, id string) (T, error) {
	reach, err := t.guard.reach(t.resource, rbac.Read)
	if err != nil {
		return zero[T](), err
	}
	return t.visible(ctx, reach, id)
}

// visible returns the record if it is within reach.
func (t table[T]) visible(ctx context.Context, reach rbac.Reach, id string) (T, error) {
	rec, err := t.next.Get(ctx, id)
	if err != nil {
		return zero[T](), err
	}
	if !t.guard.owns(reach, rec.Ref()) {
		return zero[T](), store.ErrNotFound
	}
	return rec, nil
}

func (t table[T]) List(ctx context.Context, q store.Query) ([]T, error) {
	reach, err := t.guard.reach(t.resource, rbac.Read)
	if err != nil {
		return nil, err
	}
	q.Scope = t.guard.scope(reach)
	return t.next.List(ctx, q)
}

func (t table[T]) Insert(ctx context.Context, rec T) (T, error) {
	reach, err := t.guard.reach(t.resource, rbac.Create)
	if err != nil {
		return zero[T](), err
	}
	if !t.guard.owns(reach, rec.Ref()) {
		return zero[T](), &store.DeniedError{Reason: "it would belong to somebody else"}
	}
	if err := t.allowed(ctx, nil, &rec); err != nil {
		return zero[T](), err
	}
	return t.next.Insert(ctx, rec)
}

func (t table[T]) Update(ctx context.Context, id string, edit func(*T) error) (T, error) {
	reach, err := t.guard.reach(t.resource, store.EditAction(zero[T]()))
	if err != nil {
		return zero[T](), err
	}
	return t.next.Update(ctx, id, func(rec *T) error {
		if !t.guard.owns(reach, (*rec).Ref()) {
			return store.ErrNotFound
		}
		before := *rec
		if err := edit(rec); err != nil {
			return err
		}
		if (*rec).Ref().ID != before.Ref().ID {
			return &store.DeniedError{Reason: "it would be another record"}
		}
		if !t.guard.owns(reach, (*rec).Ref()) {
			return &store.DeniedError{Reason: "it would belong to somebody else"}
		}
		return t.allowed(ctx, &before, rec)
	})
}

func (t table[T]) Delete(ctx context.Context, id string) (T, error) {
	reach, err := t.guard.reach(t.resource, rbac.Delete)
	if err != nil {
		return zero[T](), err
	}
	if t.may != nil {
		if err := t.guard.turn(ctx); err != nil {
			return zero[T](), err
		}
	}
	rec, err := t.visible(ctx, reach, id)
	if err != nil {
		return zero[T](), err
	}
	if err := t.allowed(ctx, &rec, nil); err != nil {
		return zero[T](), err
	}
	return t.next.Delete(ctx, id)
}

func (t table[T]) allowed(ctx context.Context, before, after *T) error {
	if t.may == nil {
		return nil
	}
	return t.may(ctx, before, after)
}

func zero[T any]() (z T) { return z }

type auditLog struct {
	next  store.AuditLog
	guard guard
}

// Append is refused to everyone: dbaudit, beneath, does not come this way.
func (auditLog) Append(context.Context, store.AuditEntry) error {
	return &store.DeniedError{Reason: "entries are written by the store alone"}
}

func (l auditLog) Observe(ctx context.Context, entries []store.AuditEntry) error {
	if err := l.guard.everywhere(rbac.AuditLog, rbac.Create); err != nil {
		return err
	}
	return l.next.Observe(ctx, entries)
}

func (l auditLog) List(ctx context.Context, q store.AuditQuery) ([]store.AuditEntry, error) {
	if err := l.guard.everywhere(rbac.AuditLog, rbac.Read); err != nil {
		return nil, err
	}
	return l.next.List(ctx, q)
}

func (l auditLog) Rows(ctx context.Context, from int64, limit int) ([]store.AuditRow, error) {
	if err := l.guard.everywhere(rbac.AuditLog, rbac.Read); err != nil {
		return nil, err
	}
	return l.next.Rows(ctx, from, limit)
}

func (l auditLog) Head(ctx context.Context) (store.AuditHead, error) {
	if err := l.guard.everywhere(rbac.AuditLog, rbac.Read); err != nil {
		return store.AuditHead{}, err
	}
	return l.next.Head(ctx)
}

func (l auditLog) Hashes(ctx context.Context, entries []int64) (map[int64][]byte, error) {
	if err := l.guard.everywhere(rbac.AuditLog, rbac.Read); err != nil {
		return nil, err
	}
	return l.next.Hashes(ctx, entries)
}

func (l auditLog) Prune(ctx context.Context, before time.Time, limit int) (removed, first int64, err error) {
	if err := l.guard.everywhere(rbac.AuditLog, rbac.Delete); err != nil {
		return 0, 0, err
	}
	return l.next.Prune(ctx, before, limit)
}

type secrets struct {
	next  store.Secrets
	guard guard
}

func (s secrets) Open(ctx context.Context, rec store.Sealed) (map[string]secret.Text, error) {
	if err := s.guard.everywhere(rec.Ref().Resource, rbac.Open); err != nil {
		return nil, err
	}
	return s.next.Open(ctx, rec)
}

// Check tells nothing that reading the record does not, but whether it is well.
func (s secrets) Check(ctx context.Context, rec store.Sealed) error {
	if err := s.guard.everywhere(rec.Ref().Resource, rbac.Read); err != nil {
		return err
	}
	return s.next.Check(ctx, rec)
}

// A fingerprint tells whether a key is stored, as adding it would.
func (s secrets) Fingerprint(ctx context.Context, value secret.Text) (string, error) {
	if err := s.guard.everywhere(rbac.AIProviderKey, rbac.Create); err != nil {
		return "", err
	}
	return s.next.Fingerprint(ctx, value)
}

type changes struct {
	next  store.Changes
	guard guard
}

// turns are the permissions that let somebody have their turn to change the
// configuration. What they then may do is decided for each operation.
var turns = []rbac.Permission{
	{Resource: rbac.AIProvider, Action: rbac.Read},
	{Resource: rbac.User, Action: rbac.Create},
	{Resource: rbac.User, Action: rbac.Update},
	{Resource: rbac.User, Action: rbac.Delete},
	{Resource: rbac.CustomRole, Action: rbac.Create},
	{Resource: rbac.CustomRole, Action: rbac.Update},
	{Resource: rbac.CustomRole, Action: rbac.Delete},
}

func (c changes) Lock(ctx context.Context) error {
	if err := c.guard.someEverywhere(turns); err != nil {
		return err
	}
	return c.next.Lock(ctx)
}

// What changed is for whoever may read all that can change.
func (c changes) allowed() error {
	for _, r := range []rbac.Resource{rbac.AIProvider, rbac.AIProviderKey, rbac.AIRoute, rbac.APIKey, rbac.User, rbac.CustomRole} {
		if err := c.guard.everywhere(r, rbac.Read); err != nil {
			return err
		}
	}
	return nil
}

func (c changes) Generation(ctx context.Context) (int64, error) {
	if err := c.allowed(); err != nil {
		return 0, err
	}
	return c.next.Generation(ctx)
}

func (c changes) Since(ctx context.Context, generation int64) ([]store.Change, bool, error) {
	if err := c.allowed(); err != nil {
		return nil, false, err
	}
	return c.next.Since(ctx, generation)
}

func (c changes) KeyEpoch(ctx context.Context) (int64, error) {
	if err := c.guard.everywhere(rbac.EncryptionKey, rbac.Read); err != nil {
		return 0, err
	}
	return c.next.KeyEpoch(ctx)
}

type lastUse struct {
	next  store.LastUse
	guard guard
}

func (l lastUse) Touch(ctx context.Context, uses []store.Use) error {
	for _, r := range []rbac.Resource{rbac.AIProviderKey, rbac.APIKey} {
		if err := l.guard.everywhere(r, rbac.Use); err != nil {
			return err
		}
	}
	return l.next.Touch(ctx, uses)
}

type credentials struct {
	next  store.Credentials
	guard guard
}

func (c credentials) ByTokenHash(ctx context.Context, hash [32]byte) (store.APIKey, store.User, []store.Role, error) {
	for _, r := range []rbac.Resource{rbac.APIKey, rbac.User, rbac.CustomRole} {
		if err := c.guard.everywhere(r, rbac.Read); err != nil {
			return store.APIKey{}, store.User{}, nil, err
		}
	}
	return c.next.ByTokenHash(ctx, hash)
}

// credentialReads is what it takes to see what lets a person in.
var credentialReads = []rbac.Resource{rbac.User, rbac.CustomRole, rbac.Password, rbac.Session}

func (c credentials) ByUser(ctx context.Context, ref string) (store.Person, error) {
	for _, r := range credentialReads {
		if err := c.guard.everywhere(r, rbac.Read); err != nil {
			return store.Person{}, err
		}
	}
	return c.next.ByUser(ctx, ref)
}

func (c credentials) BySubject(ctx context.Context, issuer, subject string) (store.Person, error) {
	for _, r := range credentialReads {
		if err := c.guard.everywhere(r, rbac.Read); err != nil {
			return store.Person{}, err
		}
	}
	return c.next.BySubject(ctx, issuer, subject)
}

func (c credentials) BySessionHash(ctx context.Context, hash [32]byte) (store.Session, store.Person, error) {
	for _, r := range credentialReads {
		if err := c.guard.everywhere(r, rbac.Read); err != nil {
			return store.Session{}, store.Person{}, err
		}
	}
	return c.next.BySessionHash(ctx, hash)
}

func (c credentials) SessionSeen(ctx context.Context, id string, at time.Time) error {
	if err := c.guard.everywhere(rbac.Session, rbac.Use); err != nil {
		return err
	}
	return c.next.SessionSeen(ctx, id, at)
}

// cells are those of every kind of record: it takes the permission on each.
type cells struct {
	next  store.Cells
	guard guard
}

func (c cells) Count(ctx context.Context) ([]store.CellCount, error) {
	if err := c.guard.everywhere(rbac.EncryptionKey, rbac.Read); err != nil {
		return nil, err
	}
	return c.next.Count(ctx)
}

func (c cells) List(ctx context.Context, q store.CellQuery) ([]store.Sealed, error) {
	for _, kind := range store.SealedKinds() {
		if err := c.guard.everywhere(kind.Ref().Resource, rbac.Read); err != nil {
			return nil, err
		}
	}
	return c.next.List(ctx, q)
}

func (c cells) Reseal(ctx context.Context, recs []store.Resealing) (store.Resealed, error) {
	for _, kind := range store.SealedKinds() {
		if err := c.guard.everywhere(kind.Ref().Resource, rbac.Rotate); err != nil {
			return store.Resealed{}, err
		}
	}
	return c.next.Reseal(ctx, recs)
}

type replicas struct {
	next  store.Replicas
	guard guard
}

func (r replicas) Beat(ctx context.Context, rep store.Replica) error {
	if err := r.guard.everywhere(rbac.Replica, rbac.Update); err != nil {
		return err
	}
	return r.next.Beat(ctx, rep)
}

func (r replicas) List(ctx context.Context) ([]store.Replica, error) {
	if err := r.guard.everywhere(rbac.Replica, rbac.Read); err != nil {
		return nil, err
	}
	return r.next.List(ctx)
}

func (r replicas) Forget(ctx context.Context, id string, before time.Time) error {
	if err := r.guard.everywhere(rbac.Replica, rbac.Update); err != nil {
		return err
	}
	return r.next.Forget(ctx, id, before)
}

// keyStates are for whoever notes the use of keys: API and metrics show people
// what the gateway knows of them.
type keyStates struct {
	next  store.KeyStates
	guard guard
}

func (k keyStates) Note(ctx context.Context, states []store.KeyState) error {
	if err := k.guard.everywhere(rbac.AIProviderKey, rbac.Use); err != nil {
		return err
	}
	return k.next.Note(ctx, states)
}

func (k keyStates) List(ctx context.Context, since time.Time) ([]store.KeyState, error) {
	if err := k.guard.everywhere(rbac.AIProviderKey, rbac.Use); err != nil {
		return nil, err
	}
	return k.next.List(ctx, since)
}

func (k keyStates) Forget(ctx context.Context, before time.Time) error {
	if err := k.guard.everywhere(rbac.AIProviderKey, rbac.Use); err != nil {
		return err
	}
	return k.next.Forget(ctx, before)
}

func (k keyStates) NoteDrain(ctx context.Context, d store.KeyDrain) error {
	if err := k.guard.everywhere(rbac.AIProviderKey, rbac.Use); err != nil {
		return err
	}
	return k.next.NoteDrain(ctx, d)
}

func (k keyStates) Drains(ctx context.Context) ([]store.KeyDrain, error) {
	if err := k.guard.everywhere(rbac.AIProviderKey, rbac.Use); err != nil {
		return nil, err
	}
	return k.next.Drains(ctx)
}

func (k keyStates) EndDrain(ctx context.Context, keyID string) error {
	if err := k.guard.everywhere(rbac.AIProviderKey, rbac.Use); err != nil {
		return err
	}
	return k.next.EndDrain(ctx, keyID)
}
