package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/accounts"
	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/catalog"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbauthz"
	"github.com/gatehousehq/gatehouse/internal/store/dbcrypt"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

// A stage is a store with rows to work on, whose database fails when told to.
type stage struct {
	*storetest.Store
	statements int // since the last reset
	failAt     int // the statement that fails; 0 is none

	provider store.Provider
	deleted  store.Provider
	key      store.ProviderKey
	user     store.User
	role     store.Role
	route    store.Route
	token    store.APIKey
	admitted store.User // with a password, and signed in
	session  store.Session
}

var errFault = errors.New("the disk is on fire")

func newStage(t *testing.T, cfg sqlstore.Config) *stage {
	t.Helper()
	s := &stage{}
	cfg.Before = func(context.Context, string) error {
		s.statements++
		if s.statements == s.failAt {
			return errFault
		}
		return nil
	}
	s.Store = storetest.Open(t, cfg)
	s.provider = dbgen.Provider(t, s.DB, store.Provider{Name: "main"})
	s.key = dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: s.provider.ID})
	s.deleted = dbgen.Provider(t, s.DB, store.Provider{Name: "deleted"})
	s.user = dbgen.User(t, s.DB, store.User{Name: "bea"})
	dbgen.User(t, s.DB, store.User{Name: "ada", Roles: store.SetOf("owner")})
	s.token, _ = dbgen.APIKey(t, s.DB, s.user, store.APIKey{})
	s.admitted = dbgen.User(t, s.DB, store.User{Name: "cleo"})
	dbgen.Password(t, s.DB, store.Password{UserID: s.admitted.ID})
	s.session, _ = dbgen.Session(t, s.DB, s.admitted, store.Session{})
	s.route = dbgen.Route(t, s.DB, store.Route{Name: "fast", Targets: store.TargetsOf(store.Target{ProviderID: s.provider.ID, Provider: "main", Model: "m"})})
	err := s.Update(t.Context(), dbgen.Owner, func(tx store.Tx) (err error) {
		if err := catalog.Delete(t.Context(), tx, "deleted", catalog.AnyRevision); err != nil {
			return err
		}
		s.role, err = accounts.CreateRole(t.Context(), tx, "reader", "", []string{"ai_provider:read"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// An operation changes something.
type operation struct {
	name string
	who  store.Actor
	do   func(ctx context.Context, tx store.Tx, s *stage) error
}

// operations are all that change the store, each as it is used.
func operations() []operation {
	rules := catalog.Rules{}
	id := dbgen.ID
	owner := dbgen.Owner
	return []operation{
		{"create a provider with keys", owner, func(ctx context.Context, tx store.Tx, _ *stage) error {
			_, err := rules.Create(ctx, tx, catalog.NewProvider{Type: "openai", Name: "new", BaseURL: "https://h/v1", Settings: []byte(`{"_type":"openai","_version":1}`), APIKeys: []secret.Text{secret.New("k1"), secret.New("k2")}})
			return err
		}},
		{"change a provider and its keys", owner, func(ctx context.Context, tx store.Tx, s *stage) error {
			_, err := rules.Update(ctx, tx, "main", catalog.AnyRevision, catalog.ProviderEdit{
				DisplayName: new("other"), APIKeys: &[]catalog.KeepOrAdd{{APIKey: secret.New("k3")}, {ID: s.key.ID}},
			})
			return err
		}},
		{"delete a provider", owner, func(ctx context.Context, tx store.Tx, _ *stage) error {
			return catalog.Delete(ctx, tx, "main", catalog.AnyRevision)
		}},
		{"restore a provider", owner, func(ctx context.Context, tx store.Tx, s *stage) error {
			_, err := catalog.Restore(ctx, tx, s.deleted.ID, catalog.AnyRevision)
			return err
		}},
		{"purge a provider", owner, func(ctx context.Context, tx store.Tx, s *stage) error {
			return catalog.Purge(ctx, tx, s.deleted.ID, catalog.AnyRevision)
		}},
		{"add a key", owner, func(ctx context.Context, tx store.Tx, _ *stage) error {
			_, err := catalog.AddKey(ctx, tx, "main", catalog.AnyRevision, catalog.NewKey{APIKey: secret.New("k4")})
			return err
		}},
		{"change a key", owner, func(ctx context.Context, tx store.Tx, s *stage) error {
			_, err := catalog.UpdateKey(ctx, tx, "main", s.key.ID, catalog.AnyRevision, catalog.KeyEdit{Label: new("l")})
			return err
		}},
		{"delete a key", owner, func(ctx context.Context, tx store.Tx, s *stage) error {
			return catalog.DeleteKey(ctx, tx, "main", s.key.ID, catalog.AnyRevision)
		}},
		{"add a user", owner, func(ctx context.Context, tx store.Tx, _ *stage) error {
			_, err := accounts.CreateUser(ctx, tx, "cy", []string{"reader"})
			return err
		}},
		{"change a user", owner, func(ctx context.Context, tx store.Tx, _ *stage) error {
			_, err := accounts.UpdateUser(ctx, tx, "bea", accounts.UserEdit{Disabled: new(true)})
			return err
		}},
		{"delete a user", owner, func(ctx context.Context, tx store.Tx, _ *stage) error { return accounts.DeleteUser(ctx, tx, "bea") }},
		{"make a role", owner, func(ctx context.Context, tx store.Tx, _ *stage) error {
			_, err := accounts.CreateRole(ctx, tx, "writer", "", []string{"ai_provider:update"})
			return err
		}},
		{"change a role", owner, func(ctx context.Context, tx store.Tx, _ *stage) error {
			_, err := accounts.UpdateRole(ctx, tx, "reader", accounts.RoleEdit{Description: new("d")})
			return err
		}},
		{"delete a role", owner, func(ctx context.Context, tx store.Tx, _ *stage) error { return accounts.DeleteRole(ctx, tx, "reader") }},
		{"add a route", owner, func(ctx context.Context, tx store.Tx, _ *stage) error {
			_, err := catalog.CreateRoute(ctx, tx, catalog.NewRoute{Name: "slow", Enabled: true, Targets: []catalog.NewTarget{{Provider: "main", Model: "m"}}})
			return err
		}},
		{"change a route", owner, func(ctx context.Context, tx store.Tx, _ *stage) error {
			_, err := catalog.UpdateRoute(ctx, tx, "fast", catalog.AnyRevision, catalog.RouteEdit{Targets: &[]catalog.NewTarget{{Provider: "main", Model: "n"}}})
			return err
		}},
		{"delete a route", owner, func(ctx context.Context, tx store.Tx, s *stage) error {
			return catalog.DeleteRoute(ctx, tx, s.route.ID, catalog.AnyRevision)
		}},
		{"mint a token", owner, func(ctx context.Context, tx store.Tx, s *stage) error {
			_, _, err := authn.Mint(ctx, tx, s.user.ID, time.Now(), authn.NewToken{Name: "t", Scopes: []string{"gateway:use"}})
			return err
		}},
		{"change a token", owner, func(ctx context.Context, tx store.Tx, s *stage) error {
			_, err := tx.APIKeys.Update(ctx, s.token.ID, func(k *store.APIKey) error { k.Name = "n"; return nil })
			return err
		}},
		{"revoke a token", owner, func(ctx context.Context, tx store.Tx, s *stage) error {
			_, err := tx.APIKeys.Delete(ctx, s.token.ID)
			return err
		}},
		{"give a password", owner, func(ctx context.Context, tx store.Tx, s *stage) error {
			_, err := tx.Passwords.Insert(ctx, store.Password{UserID: s.user.ID, Hash: secret.New("$hash")})
			return err
		}},
		{"change a password", owner, func(ctx context.Context, tx store.Tx, s *stage) error {
			_, err := tx.Passwords.Update(ctx, s.admitted.ID, func(p *store.Password) error { p.Hash = secret.New("$other"); return nil })
			return err
		}},
		{"remove a password", owner, func(ctx context.Context, tx store.Tx, s *stage) error {
			_, err := tx.Passwords.Delete(ctx, s.admitted.ID)
			return err
		}},
		{"sign in", dbgen.Doorkeeper, func(ctx context.Context, tx store.Tx, s *stage) error {
			_, err := tx.Sessions.Insert(ctx, store.Session{ID: dbgen.ID(), UserID: s.user.ID, Method: store.SignedInByToken, ExpiresAt: time.Now().Add(time.Hour)})
			return err
		}},
		{"end a session", owner, func(ctx context.Context, tx store.Tx, s *stage) error {
			_, err := tx.Sessions.Delete(ctx, s.session.ID)
			return err
		}},
		{"disable a user who is signed in", owner, func(ctx context.Context, tx store.Tx, s *stage) error {
			_, err := accounts.UpdateUser(ctx, tx, "cleo", accounts.UserEdit{Disabled: new(true)})
			return err
		}},
		{"add a data key", authn.Bootstrap, func(ctx context.Context, tx store.Tx, _ *stage) error {
			_, err := tx.EncryptionKeys.Insert(ctx, store.EncryptionKey{ActiveDigest: id(), Purpose: store.ForSealing, WrappedKey: "w", KEKID: "k", CheckValue: "c"})
			return err
		}},
		{"note what was refused", authn.Recorder, func(ctx context.Context, tx store.Tx, _ *stage) error {
			return tx.Audit.Observe(ctx, []store.AuditEntry{{Action: rbac.Denied, Count: 3, Diff: "{}"}, {Action: rbac.LoginFailed, Count: 1, Diff: "{}"}})
		}},
		{"remove old entries", authn.Archivist, func(ctx context.Context, tx store.Tx, _ *stage) error {
			_, _, err := tx.Audit.Prune(ctx, time.Now().Add(time.Hour), 3)
			return err
		}},
	}
}

// tables are what operations change; of them, audited are those of the log.
var (
	tables  = []string{"ai_providers", "ai_provider_keys", "ai_routes", "users", "roles", "api_keys", "user_passwords", "sessions", "dbcrypt_keys", "changes", "installation", "replicas", "key_states", "key_drains", "interceptions"}
	audited = []string{"audit_logs", "audit_tree", "audit_head"}
)

// dump returns what is in the tables.
func dump(t *testing.T, s *storetest.Store, names []string) string {
	t.Helper()
	var out strings.Builder
	for _, name := range names {
		rows, err := s.Raw.QueryContext(t.Context(), "SELECT * FROM "+name)
		if err != nil {
			t.Fatal(err)
		}
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for rows.Next() {
			values := make([]any, len(columns))
			for i := range values {
				values[i] = new(any)
			}
			if err := rows.Scan(values...); err != nil {
				t.Fatal(err)
			}
			cells := make([]string, len(columns))
			for i, v := range values {
				cells[i] = fmt.Sprintf("%s=%s", columns[i], *v.(*any))
			}
			slices.Sort(cells) // migrations may put columns in another place
			lines = append(lines, strings.Join(cells, "|"))
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
		slices.Sort(lines)
		fmt.Fprintf(&out, "%s\n%s\n", name, strings.Join(lines, "\n"))
	}
	return out.String()
}

// try runs an operation whose statement n fails (0: none), and reports whether
// anything changed in the tables, and in the log.
func (s *stage) try(t *testing.T, db *store.DB, op operation, n int) (changed, logged bool, err error) {
	t.Helper()
	rows, log := dump(t, s.Store, tables), dump(t, s.Store, audited)
	s.statements, s.failAt = 0, n
	err = db.Update(t.Context(), op.who, func(tx store.Tx) error { return op.do(t.Context(), tx, s) })
	s.failAt = 0
	return dump(t, s.Store, tables) != rows, dump(t, s.Store, audited) != log, err
}

// Each operation is made to fail at
// each of its statements, the commit included, and then let through.
func TestNoFaultPartsAChangeFromItsEntry(t *testing.T) {
	t.Parallel()
	storetest.EachConfig(t, func(t *testing.T, cfg sqlstore.Config) {
		faults := 0
		s := newStage(t, cfg)
		for _, op := range operations() {
			for n := 1; ; n++ {
				if n > 1000 {
					t.Fatalf("%s: it never comes to an end", op.name)
				}
				changed, logged, err := s.try(t, s.DB, op, n)
				if err == nil { // there were fewer statements than that
					onlyLog := op.who == authn.Recorder || op.who == authn.Archivist
					if !logged || changed == onlyLog {
						t.Errorf("%s: changed %t, logged %t", op.name, changed, logged)
					}
					break
				}
				faults++
				if changed || logged || !errors.Is(err, errFault) {
					t.Errorf("%s with a fault at statement %d: changed %t, logged %t, %v", op.name, n, changed, logged, err)
				}
			}
			if s.Postgres { // on to the next, with everything in its place
				s = newStage(t, sqlstore.Config{URL: secret.New(storetest.NewPostgres(t))})
			} else {
				s = newStage(t, sqlstore.Config{Path: filepath.Join(t.TempDir(), "gatehouse.db")})
			}
		}
		t.Logf("%d faults in %d operations", faults, len(operations()))
	})
}

// The control: with an audit layer that forgets, or that does not mind a log
// that cannot be written, the same finds changes without entries.
func TestFaultsFindAnAuditThatForgets(t *testing.T) {
	t.Parallel()
	storetest.EachConfig(t, func(t *testing.T, cfg sqlstore.Config) {
		s := newStage(t, cfg)
		none := func(_ store.Actor, tx store.Tx) store.Tx { return tx }
		forgetful := store.New(s.Backend, dbcrypt.Layer(s.Ring, s.Backend.Installation()), none, dbauthz.Layer)
		changed, logged, err := s.try(t, forgetful, operations()[0], 0)
		if !changed || logged || err != nil {
			t.Errorf("changed %t, logged %t, %v", changed, logged, err)
		}
	})
}
