package dbauthz_test

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/keyring"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbaudit"
	"github.com/gatehousehq/gatehouse/internal/store/dbauthz"
	"github.com/gatehousehq/gatehouse/internal/store/dbcrypt"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

// reached notes the operations that got past the layer under test.
type reached struct{ ops []string }

func (r *reached) note(op string) error { r.ops = append(r.ops, op); return nil }

// A spy is a table, and everything else of a transaction, that notes what
// reached it.
type spy[T store.Record] struct{ *reached }

func (s spy[T]) Get(context.Context, string) (z T, err error)    { return z, s.note("Get") }
func (s spy[T]) List(context.Context, store.Query) ([]T, error)  { return nil, s.note("List") }
func (s spy[T]) Insert(context.Context, T) (z T, err error)      { return z, s.note("Insert") }
func (s spy[T]) Delete(context.Context, string) (z T, err error) { return z, s.note("Delete") }
func (s spy[T]) Update(_ context.Context, _ string, edit func(*T) error) (z T, err error) {
	if err := edit(&z); err != nil {
		return z, err
	}
	return z, s.note("Update")
}

type spyAudit struct{ *reached }

func (s spyAudit) Append(context.Context, store.AuditEntry) error { return s.note("Append") }
func (s spyAudit) List(context.Context, store.AuditQuery) ([]store.AuditEntry, error) {
	return nil, s.note("List")
}
func (s spyAudit) Observe(context.Context, []store.AuditEntry) error { return s.note("Observe") }
func (s spyAudit) Rows(context.Context, int64, int) ([]store.AuditRow, error) {
	return nil, s.note("Rows")
}
func (s spyAudit) Head(context.Context) (store.AuditHead, error) {
	return store.AuditHead{}, s.note("Head")
}
func (s spyAudit) Hashes(context.Context, []int64) (map[int64][]byte, error) {
	return nil, s.note("Hashes")
}
func (s spyAudit) Prune(context.Context, time.Time, int) (int64, int64, error) {
	return 0, 0, s.note("Prune")
}

type spyRest struct{ *reached }

func (s spyRest) Open(context.Context, store.Sealed) (map[string]secret.Text, error) {
	return nil, s.note("Open")
}
func (s spyRest) Check(context.Context, store.Sealed) error        { return s.note("Check") }
func (s spyRest) KeyEpoch(context.Context) (int64, error)          { return 0, s.note("KeyEpoch") }
func (s spyRest) Count(context.Context) ([]store.CellCount, error) { return nil, s.note("Count") }
func (s spyRest) Reseal(context.Context, []store.Resealing) (store.Resealed, error) {
	return store.Resealed{}, s.note("Reseal")
}
func (s spyRest) Beat(context.Context, store.Replica) error       { return s.note("Beat") }
func (s spyRest) Forget(context.Context, string, time.Time) error { return s.note("Forget") }
func (s spyRest) Lock(context.Context) error                      { return s.note("Lock") }
func (s spyRest) Generation(context.Context) (int64, error)       { return 0, s.note("Generation") }
func (s spyRest) Since(context.Context, int64) ([]store.Change, bool, error) {
	return nil, true, s.note("Since")
}
func (s spyRest) Touch(context.Context, []store.Use) error { return s.note("Touch") }
func (s spyRest) Fingerprint(context.Context, secret.Text) (string, error) {
	return "", s.note("Fingerprint")
}
func (s spyRest) ByTokenHash(context.Context, [32]byte) (store.APIKey, store.User, []store.Role, error) {
	return store.APIKey{}, store.User{}, nil, s.note("ByTokenHash")
}
func (s spyRest) ByUser(context.Context, string) (store.Person, error) {
	return store.Person{}, s.note("ByUser")
}
func (s spyRest) BySubject(context.Context, string, string) (store.Person, error) {
	return store.Person{}, s.note("BySubject")
}
func (s spyRest) BySessionHash(context.Context, [32]byte) (store.Session, store.Person, error) {
	return store.Session{}, store.Person{}, s.note("BySessionHash")
}
func (s spyRest) SessionSeen(context.Context, string, time.Time) error { return s.note("SessionSeen") }

type spyCells struct{ spyRest }

func (s spyCells) List(context.Context, store.CellQuery) ([]store.Sealed, error) {
	return nil, s.note("List")
}

type spyReplicas struct{ spyRest }

func (s spyReplicas) List(context.Context) ([]store.Replica, error) { return nil, s.note("List") }

type spyKeyStates struct{ *reached }

func (s spyKeyStates) Note(context.Context, []store.KeyState) error { return s.note("Note") }
func (s spyKeyStates) List(context.Context, time.Time) ([]store.KeyState, error) {
	return nil, s.note("List")
}
func (s spyKeyStates) NoteDrain(context.Context, store.KeyDrain) error { return s.note("NoteDrain") }
func (s spyKeyStates) Drains(context.Context) ([]store.KeyDrain, error) {
	return nil, s.note("Drains")
}
func (s spyKeyStates) EndDrain(context.Context, string) error  { return s.note("EndDrain") }
func (s spyKeyStates) Forget(context.Context, time.Time) error { return s.note("Forget") }

type spyInterceptions struct{ *reached }

func (s spyInterceptions) Record(context.Context, []store.Interception) error {
	return s.note("Record")
}
func (s spyInterceptions) Get(context.Context, string) (z store.Interception, err error) {
	return z, s.note("Get")
}
func (s spyInterceptions) List(context.Context, store.InterceptionQuery) ([]store.Interception, error) {
	return nil, s.note("List")
}
func (s spyInterceptions) Usage(context.Context, store.UsageGroup, store.InterceptionQuery) ([]store.Usage, error) {
	return nil, s.note("Usage")
}
func (s spyInterceptions) Scope(context.Context) (z store.Scope, err error) {
	return z, s.note("Scope")
}
func (s spyInterceptions) Prune(context.Context, time.Time, int) (int64, error) {
	return 0, s.note("Prune")
}

func spies(r *reached) store.Tx {
	return store.Tx{
		Providers: spy[store.Provider]{r}, ProviderKeys: spy[store.ProviderKey]{r}, Routes: spy[store.Route]{r}, Users: spy[store.User]{r}, Roles: spy[store.Role]{r},
		APIKeys: spy[store.APIKey]{r}, Passwords: spy[store.Password]{r}, Sessions: spy[store.Session]{r}, EncryptionKeys: spy[store.EncryptionKey]{r}, Audit: spyAudit{r},
		Secrets: spyRest{r}, Changes: spyRest{r}, LastUse: spyRest{r}, Credentials: spyRest{r},
		Cells: spyCells{spyRest{r}}, Replicas: spyReplicas{spyRest{r}}, KeyStates: spyKeyStates{r}, Interceptions: spyInterceptions{r},
	}
}

// call calls every method of every field of tx with empty arguments and
// reports the error of each by name.
func call(t *testing.T, tx store.Tx, report func(name string, err error)) (calls int) {
	t.Helper()
	v := reflect.ValueOf(tx)
	for i := range v.NumField() {
		if v.Field(i).IsNil() {
			t.Errorf("%s was dropped", v.Type().Field(i).Name)
			continue
		}
		field := v.Field(i).Elem()
		for m := range field.NumMethod() {
			fn := field.Method(m)
			args := []reflect.Value{reflect.ValueOf(context.Background())}
			for a := 1; a < fn.Type().NumIn(); a++ {
				in := fn.Type().In(a)
				arg := reflect.Zero(in)
				switch {
				case in.Kind() == reflect.Func: // an edit that changes nothing
					arg = reflect.MakeFunc(in, func([]reflect.Value) []reflect.Value {
						return []reflect.Value{reflect.Zero(reflect.TypeFor[error]())}
					})
				case in == reflect.TypeFor[store.Sealed]():
					arg = reflect.ValueOf(&store.ProviderKey{})
				}
				args = append(args, arg)
			}
			out := fn.Call(args)
			err, _ := out[len(out)-1].Interface().(error)
			calls++
			report(v.Type().Field(i).Name+"."+field.Type().Method(m).Name, err)
		}
	}
	return calls
}

// unguarded returns the operations that nobody may do and that layer lets
// through.
func unguarded(t *testing.T, layer store.Layer) (names []string, calls int) {
	t.Helper()
	r := &reached{}
	calls = call(t, layer(store.Actor{}, spies(r)), func(name string, err error) {
		if !errors.Is(err, store.ErrDenied) || len(r.ops) > 0 {
			names = append(names, name)
		}
		r.ops = nil
	})
	return names, calls
}

func TestNobodyReachesNothing(t *testing.T) {
	t.Parallel()
	names, calls := unguarded(t, dbauthz.Layer)
	if len(names) > 0 {
		t.Errorf("without an actor, %q are done", names)
	}
	if calls != 9*5+7+3+4+1+5+3+3+6+6 {
		t.Errorf("%d operations: is a new one thought about?", calls)
	}
}

// The control: with any one field left unguarded, the test above finds it.
func TestAnUnguardedFieldIsFound(t *testing.T) {
	t.Parallel()
	typ := reflect.TypeFor[store.Tx]()
	for i := range typ.NumField() {
		hole := func(who store.Actor, tx store.Tx) store.Tx {
			out := dbauthz.Layer(who, tx)
			reflect.ValueOf(&out).Elem().Field(i).Set(reflect.ValueOf(tx).Field(i))
			return out
		}
		if names, _ := unguarded(t, hole); len(names) == 0 {
			t.Errorf("an unguarded %s is not found", typ.Field(i).Name)
		}
	}
}

func TestNoLayerDropsAnything(t *testing.T) {
	t.Parallel()
	for name, layer := range map[string]store.Layer{
		"dbcrypt": dbcrypt.Layer(&keyring.Ring{}, ""), "dbaudit": dbaudit.Layer(time.Now, nil), "dbauthz": dbauthz.Layer,
	} {
		v := reflect.ValueOf(layer(store.Actor{}, spies(&reached{})))
		for i := range v.NumField() {
			if v.Field(i).IsNil() {
				t.Errorf("%s drops %s", name, v.Type().Field(i).Name)
			}
		}
	}
}

// What each actor may do, said a second time and by hand.
func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	owner, member := dbgen.Owner, dbgen.Actor(store.User{ID: "m", Roles: store.SetOf(string(rbac.Member))}, rbac.ScopeAll)
	readers := []string{"Get", "List"}
	keyStates := []string{"Note", "List", "Forget", "NoteDrain", "Drains", "EndDrain"}
	all := []string{"Get", "List", "Insert", "Update", "Delete"}
	may := map[string]map[string][]string{
		"owner": {
			"Providers": all, "ProviderKeys": all, "Routes": all, "Users": all, "Roles": all, "APIKeys": all, "Passwords": {"Insert", "Update", "Delete"}, "Sessions": {"Get", "List", "Delete"}, "EncryptionKeys": {"Get", "List", "Update"},
			"Audit": {"List", "Rows", "Head", "Hashes"}, "Secrets": {"Fingerprint", "Check"}, "Changes": {"Lock", "Generation", "Since", "KeyEpoch"}, "Credentials": {"ByTokenHash"},
			"Cells": {"Count", "List"}, "Replicas": {"List"}, "Interceptions": {"Get", "List", "Usage", "Scope"},
		},
		"owner reading providers": {"Providers": readers, "Changes": {"Lock"}},
		"owner limited":           {},
		"member":                  {"APIKeys": {"Get", "List", "Insert", "Delete"}, "Passwords": {"Insert", "Update"}, "Sessions": {"Get", "List", "Delete"}, "Interceptions": {"Get", "List", "Usage", "Scope"}},
		"auditor":                 {"Audit": {"List", "Rows", "Head", "Hashes"}, "Interceptions": {"Get", "List", "Usage", "Scope"}},
		"bootstrap":               {"Users": {"Get", "List", "Insert"}, "APIKeys": {"Insert"}, "EncryptionKeys": {"Get", "List", "Insert"}, "Changes": {"Lock", "KeyEpoch"}, "Cells": {"Count"}},
		"compiler": {
			"Providers": readers, "ProviderKeys": readers, "Routes": readers, "Users": readers, "Roles": readers, "APIKeys": readers, "Secrets": {"Open", "Check"}, "Cells": {"List"},
			"Changes": {"Lock", "Generation", "Since"}, "Credentials": {"ByTokenHash"},
		},
		"rotator": {
			"Providers": readers, "ProviderKeys": readers, "EncryptionKeys": {"Get", "List", "Insert", "Update"}, "Secrets": {"Check"},
			"Changes": {"Lock", "KeyEpoch"}, "Cells": {"Count", "List", "Reseal"}, "Replicas": {"List"},
		},
		"keyholder":   {"EncryptionKeys": readers, "Changes": {"KeyEpoch"}, "Cells": {"Count"}, "Replicas": {"Beat", "Forget"}},
		"recorder":    {"LastUse": {"Touch"}, "Audit": {"Observe"}, "KeyStates": keyStates, "Interceptions": {"Record"}},
		"archivist":   {"Audit": {"List", "Rows", "Head", "Hashes", "Prune"}, "Interceptions": {"Prune"}},
		"key watcher": {"KeyStates": keyStates, "Replicas": {"List"}},
		"impostor":    {},
	}
	limited := owner
	limited.Power = store.APIKey{OwnerID: owner.ID, Scopes: owner.Scopes, Ceiling: store.CeilingAll, Models: store.SetOf("m")}.Power(
		store.User{ID: owner.ID, Roles: store.SetOf("owner")}, nil)
	actors := map[string]store.Actor{
		"owner": owner, "owner reading providers": dbgen.Actor(store.User{ID: "o", Roles: store.SetOf(string(rbac.Owner))}, "ai_provider:read"), "owner limited": limited,
		"member": member, "auditor": dbgen.Actor(store.User{ID: "a", Roles: store.SetOf(string(rbac.Auditor))}, rbac.ScopeAll), "archivist": authn.Archivist, "bootstrap": authn.Bootstrap, "compiler": authn.Compiler, "recorder": authn.Recorder, "rotator": authn.Rotator, "keyholder": authn.Keyholder, "key watcher": authn.KeyWatcher,
		// A person with the role of a part of the system, and the reverse.
		"impostor": dbgen.Actor(store.User{ID: "x", Roles: store.SetOf(string(rbac.SystemCompiler))}, rbac.ScopeAll),
	}
	for name, who := range actors {
		r := &reached{}
		call(t, dbauthz.Layer(who, spies(r)), func(op string, err error) {
			want := allowed(may[name], op)
			// What may be done in kind may still be refused for the empty record
			// given here: it is nobody's, and it is not valid.
			_, invalid := errors.AsType[*store.InvalidError](err)
			denied, _ := errors.AsType[*store.DeniedError](err)
			refusedInKind := denied != nil && denied.Missing != (rbac.Permission{}) || op == "Audit.Append" && denied != nil
			if refusedInKind == want || err != nil && denied == nil && !invalid && !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s: %s: err = %v, want allowed = %v", name, op, err, want)
			}
		})
	}
}

func allowed(may map[string][]string, op string) bool {
	for field, verbs := range may {
		for _, v := range verbs {
			if op == field+"."+v {
				return true
			}
		}
	}
	return false
}

func TestMembersSeeTheirOwnTokensOnly(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		ctx := t.Context()
		ann, bob := dbgen.User(t, s.DB, store.User{}), dbgen.User(t, s.DB, store.User{})
		hers, _ := dbgen.APIKey(t, s.DB, ann, store.APIKey{})
		his, _ := dbgen.APIKey(t, s.DB, bob, store.APIKey{})
		who := dbgen.Actor(ann, rbac.ScopeAll)
		err := s.Update(ctx, who, func(tx store.Tx) error {
			// Asking for all does not help.
			keys, err := tx.APIKeys.List(ctx, store.Query{Scope: store.Scope{All: true, Owner: bob.ID}})
			if err != nil || len(keys) != 1 || keys[0].ID != hers.ID {
				t.Errorf("list: %d keys, %v", len(keys), err)
			}
			if _, err := tx.APIKeys.Get(ctx, his.ID); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("get another's: %v", err)
			}
			if _, err := tx.APIKeys.Delete(ctx, his.ID); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("delete another's: %v", err)
			}
			if _, err := tx.APIKeys.Insert(ctx, store.APIKey{ID: dbgen.ID(), OwnerID: bob.ID, Name: "x", Scopes: store.SetOf("gateway:use")}); !errors.Is(err, store.ErrDenied) {
				t.Errorf("mint for another: %v", err)
			}
			if _, err := tx.Providers.List(ctx, store.Query{}); !errors.Is(err, store.ErrDenied) {
				t.Errorf("list providers: %v", err)
			}
			_, err = tx.APIKeys.Delete(ctx, hers.ID)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestNobodyMintsMoreThanTheyHave(t *testing.T) {
	t.Parallel()
	soon, later := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
	user := store.User{ID: dbgen.ID(), Roles: store.SetOf(string(rbac.Owner))}
	with := func(scopes ...rbac.Scope) store.Actor { return dbgen.Actor(user, scopes...) }
	expiring := with(rbac.ScopeAll)
	expiring.ExpiresAt = soon
	for name, c := range map[string]struct {
		who  store.Actor
		key  store.APIKey
		want error // nil: it is minted
	}{
		"all by all":                       {with("all"), store.APIKey{Scopes: store.SetOf("all")}, nil},
		"all by every resource":            {with("api_key:*", "ai_provider:*", "ai_provider_key:*", "audit_log:*", "encryption_key:*", "gateway:*", "user:*", "role:*", "interception:*", "setting:*", "metrics:*"), store.APIKey{Scopes: store.SetOf("all")}, store.ErrDenied},
		"one by its resource":              {with("api_key:*", "ai_provider:*"), store.APIKey{Scopes: store.SetOf("ai_provider:read")}, nil},
		"a resource by its actions":        {with("api_key:create", "gateway:use", "gateway:passthrough"), store.APIKey{Scopes: store.SetOf("gateway:*")}, nil},
		"a resource by some of them":       {with("api_key:create", "gateway:use"), store.APIKey{Scopes: store.SetOf("gateway:*")}, store.ErrDenied},
		"what the minter has not":          {with("api_key:create"), store.APIKey{Scopes: store.SetOf("gateway:use")}, store.ErrDenied},
		"without the right to mint":        {with("gateway:use"), store.APIKey{Scopes: store.SetOf("gateway:use")}, store.ErrDenied},
		"no scope":                         {with("all"), store.APIKey{}, errInvalid},
		"an unknown scope":                 {with("all"), store.APIKey{Scopes: store.SetOf("root")}, errInvalid},
		"a system-only permission":         {with("all"), store.APIKey{Scopes: store.SetOf("ai_provider_key:open")}, errInvalid},
		"for ever by one that expires":     {expiring, store.APIKey{Scopes: store.SetOf("all")}, store.ErrDenied},
		"longer than the one that expires": {expiring, store.APIKey{Scopes: store.SetOf("all"), ExpiresAt: later}, store.ErrDenied},
		"as long as the one that expires":  {expiring, store.APIKey{Scopes: store.SetOf("all"), ExpiresAt: soon}, nil},
		"limited, for the gateway":         {with("all"), store.APIKey{Scopes: store.SetOf("gateway:use"), Models: store.SetOf("m")}, nil},
		"limited, for more":                {with("all"), store.APIKey{Scopes: store.SetOf("gateway:use", "audit_log:read"), Models: store.SetOf("m")}, errInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &reached{}
			if c.key.OwnerID == "" {
				c.key.OwnerID = user.ID
			}
			_, err := dbauthz.Layer(c.who, spies(r)).APIKeys.Insert(t.Context(), c.key)
			ok := errors.Is(err, c.want)
			if c.want == errInvalid {
				_, ok = errors.AsType[*store.InvalidError](err)
			}
			if !ok || (c.want == nil) != (len(r.ops) == 1) {
				t.Errorf("err = %v, want %v; reached %q", err, c.want, r.ops)
			}
		})
	}
}

var errInvalid = errors.New("invalid")

func TestNobodyAppointsAboveThemselves(t *testing.T) {
	t.Parallel()
	r := &reached{}
	users := dbauthz.Layer(dbgen.Owner, spies(r)).Users
	if _, err := users.Insert(t.Context(), store.User{ID: "u", Roles: store.SetOf("member")}); err != nil {
		t.Errorf("a member: %v", err)
	}
	if _, err := users.Insert(t.Context(), store.User{ID: "u", Roles: store.SetOf("system:compiler")}); err == nil {
		t.Error("a person was given a role of the system")
	}
}
