package dbauthz_test

import (
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbauthz"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

var (
	pureHistories   = flag.Int("histories", 3000, "how many random histories to play on the policy alone")
	storedHistories = flag.Int("stored-histories", 20, "how many to play through each database")
)

// steps is how long a history is.
const steps = 12

// A world is where a history is played.
type world interface {
	// as runs fn on behalf of who.
	as(who store.Actor, fn func(tx store.Tx) error) error
	// state returns all that there is.
	state() ([]store.User, []store.Role, []store.APIKey)
}

// pure is the policy over tables in memory.
type pure struct {
	m     memory
	layer store.Layer
}

func (w *pure) as(who store.Actor, fn func(tx store.Tx) error) error {
	return fn(w.layer(who, w.m.tx()))
}

func (w *pure) state() ([]store.User, []store.Role, []store.APIKey) {
	return w.m.users, w.m.roles, w.m.keys
}

// stored is a real store.
type stored struct {
	t *testing.T
	s *storetest.Store
}

func (w stored) as(who store.Actor, fn func(tx store.Tx) error) error {
	return w.s.Update(w.t.Context(), who, fn)
}

func (w stored) state() (users []store.User, roles []store.Role, keys []store.APIKey) {
	err := w.s.View(w.t.Context(), dbgen.Owner, func(tx store.Tx) (err error) {
		ctx := w.t.Context()
		if users, err = tx.Users.List(ctx, store.Query{}); err != nil {
			return err
		}
		if roles, err = tx.Roles.List(ctx, store.Query{}); err != nil {
			return err
		}
		keys, err = tx.APIKeys.List(ctx, store.Query{})
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return users, roles, keys
}

// A history is a random sequence of people making tokens, users and roles, and
// what is known of it besides what the store keeps.
type history struct {
	world
	r      *rand.Rand
	n      int                    // of the next name
	maker  map[string]rbac.Grants // what the maker of a token could do then
	others map[string]bool        // whether that was somebody else than its owner
	// power is what a token lets its bearer do; a control has a wrong one.
	power func(store.APIKey, store.User, []store.Role) rbac.Grants
}

var (
	everyScope      = rbac.Scopes()
	everyPermission = rbac.Owner.Grants().Strings()
	builtIn         = []string{"owner", "auditor", "user-admin", "member"}
)

// play plays one history, and returns what went wrong.
func (h *history) play() error {
	ctx := context.Background()
	h.maker, h.others = map[string]rbac.Grants{}, map[string]bool{}
	root := store.User{ID: newID(h.r), Name: "root", Roles: store.SetOf("owner")}
	err := h.as(system, func(tx store.Tx) error {
		if _, err := tx.Users.Insert(ctx, root); err != nil {
			return err
		}
		_, err := tx.APIKeys.Insert(ctx, h.key(root.ID, store.SetOf("all")))
		return err
	})
	if err != nil {
		return err
	}
	for range steps {
		before := h.powers()
		who, ok := h.somebody()
		if !ok {
			return nil
		}
		_ = h.step(ctx, who) // refused or not: what counts is what is so afterwards
		if err := h.check(before, who); err != nil {
			return err
		}
	}
	return nil
}

// system makes the first owner.
var system = store.Actor{Kind: store.ActorSystem, Name: "bootstrap", Power: rbac.SystemBootstrap.Grants()}

func newID(r *rand.Rand) string {
	var b [16]byte
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	b[6], b[8] = b[6]&0x0f|0x70, b[8]&0x3f|0x80
	return uuid.UUID(b).String()
}

func (h *history) key(owner string, scopes store.Set) store.APIKey {
	id := newID(h.r)
	return store.APIKey{ID: id, Name: "k", OwnerID: owner, TokenHash: sha256.Sum256([]byte(id)), Scopes: scopes}
}

// somebody returns the actor that the bearer of a random token is.
func (h *history) somebody() (store.Actor, bool) {
	users, roles, keys := h.state()
	if len(keys) == 0 {
		return store.Actor{}, false
	}
	k := keys[h.r.IntN(len(keys))]
	for _, u := range users {
		if u.ID == k.OwnerID {
			return store.Actor{Kind: store.ActorUser, ID: u.ID, Name: u.Name, Power: h.power(k, u, roles), TokenID: k.ID, Scopes: k.Scopes, ExpiresAt: k.ExpiresAt}, true
		}
	}
	return store.Actor{}, false
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// some returns a few of the names.
func some[S ~string](r *rand.Rand, from []S) store.Set {
	var out []string
	for range 1 + r.IntN(3) {
		out = append(out, string(pick(r, from)))
	}
	return store.SetOf(out...)
}

func (h *history) step(ctx context.Context, who store.Actor) error {
	users, roles, keys := h.state()
	roleNames := slices.Clone(builtIn)
	for _, r := range roles {
		roleNames = append(roleNames, r.Name)
	}
	h.n++
	u := pick(h.r, users)
	return h.as(who, func(tx store.Tx) error {
		switch h.r.IntN(12) {
		case 0, 1, 2: // mint, mostly for oneself
			owner := who.ID
			if h.r.IntN(3) == 0 {
				owner = u.ID
			}
			k := h.key(owner, some(h.r, everyScope))
			if h.r.IntN(2) == 0 {
				k.Scopes = store.SetOf("all")
			}
			if h.r.IntN(8) == 0 {
				k.Models, k.Scopes = store.SetOf("m"), store.SetOf("gateway:use")
			}
			if h.r.IntN(4) == 0 {
				k.ExpiresAt = time.Date(2040+h.r.IntN(3), 1, 1, 0, 0, 0, 0, time.UTC)
			}
			if h.r.IntN(4) == 0 {
				k.Ceiling = store.CeilingAll // which is not for whoever asks to say
			}
			made, err := tx.APIKeys.Insert(ctx, k)
			if err == nil {
				h.maker[made.ID], h.others[made.ID] = who.Power, owner != who.ID
			}
			return err
		case 3: // widen a token
			_, err := tx.APIKeys.Update(ctx, pick(h.r, keys).ID, func(k *store.APIKey) error {
				k.Scopes, k.Models = some(h.r, everyScope), store.Set{}
				return nil
			})
			return err
		case 4: // delegate
			_, err := tx.Roles.Insert(ctx, store.Role{ID: newID(h.r), Name: fmt.Sprint("role-", h.n), Permissions: some(h.r, everyPermission)})
			return err
		case 5:
			if len(roles) == 0 {
				return nil
			}
			_, err := tx.Roles.Update(ctx, pick(h.r, roles).ID, func(r *store.Role) error {
				r.Permissions = some(h.r, everyPermission)
				return nil
			})
			return err
		case 6:
			_, err := tx.Users.Insert(ctx, store.User{ID: newID(h.r), Name: fmt.Sprint("user-", h.n), Roles: some(h.r, roleNames)})
			return err
		case 7, 8: // promote and demote
			_, err := tx.Users.Update(ctx, u.ID, func(u *store.User) error {
				u.Roles = some(h.r, roleNames)
				return nil
			})
			return err
		case 9:
			_, err := tx.Users.Update(ctx, u.ID, func(u *store.User) error {
				u.Disabled = !u.Disabled
				return nil
			})
			return err
		case 10:
			_, err := tx.APIKeys.Delete(ctx, pick(h.r, keys).ID)
			return err
		default:
			for _, k := range keys {
				if k.OwnerID == u.ID {
					if _, err := tx.APIKeys.Delete(ctx, k.ID); err != nil {
						return err
					}
				}
			}
			_, err := tx.Users.Delete(ctx, u.ID)
			return err
		}
	})
}

func (h *history) powers() map[string]rbac.Grants {
	users, roles, keys := h.state()
	out := make(map[string]rbac.Grants, len(keys))
	for _, k := range keys {
		for _, u := range users {
			if u.ID == k.OwnerID {
				out[k.ID] = h.power(k, u, roles)
			}
		}
	}
	return out
}

// check says again what a token may be worth, from what the history remembers
// and not from what the store keeps of it.
func (h *history) check(before map[string]rbac.Grants, who store.Actor) error {
	users, roles, keys := h.state()
	after := h.powers()
	for _, k := range keys {
		power := after[k.ID]
		var now rbac.Grants // what the owner can do now
		for _, u := range users {
			if u.ID != k.OwnerID || u.Disabled {
				continue
			}
			for name := range u.Roles.All() {
				now = now.Or(rbac.Role(name).Grants())
				for _, r := range roles {
					if r.Name == name {
						now = now.Or(rbac.KeptGrants(r.Permissions.Slice()))
					}
				}
			}
		}
		if p := now.Lacks(power); p != (rbac.Permission{}) {
			return fmt.Errorf("a token does %s, which its owner cannot now", p)
		}
		if maker, made := h.maker[k.ID]; made {
			if h.others[k.ID] {
				maker = maker.OnOthers()
			}
			if p := maker.Lacks(power); p != (rbac.Permission{}) {
				return fmt.Errorf("a token does %s, which its maker could not then", p)
			}
		}
		old, was := before[k.ID]
		if p := old.Or(who.Power).Lacks(power); was && p != (rbac.Permission{}) {
			return fmt.Errorf("a step gave a token %s, which whoever took it could not do", p)
		}
	}
	return nil
}

// playMany plays histories in turn and returns the first error.
func playMany(n int, layer store.Layer, power func(store.APIKey, store.User, []store.Role) rbac.Grants) error {
	const players = 2
	errs := make([]error, players)
	var all sync.WaitGroup
	for p := range players {
		all.Go(func() {
			for i := p; i < n && errs[p] == nil; i += players {
				h := history{world: &pure{layer: layer}, r: rand.New(rand.NewPCG(7, uint64(i))), power: power}
				if err := h.play(); err != nil {
					errs[p] = fmt.Errorf("history %d: %w", i, err)
				}
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// No token ever does what its maker could not when it was made, or its owner
// cannot now, and no step gives anybody what whoever takes it does not have.
func TestNoHistoryMakesATokenTooStrong(t *testing.T) {
	t.Parallel()
	start := time.Now()
	if err := playMany(*pureHistories, dbauthz.Layer, store.APIKey.Power); err != nil {
		t.Error(err)
	}
	t.Logf("%d histories of %d steps in %v", *pureHistories, steps, time.Since(start).Round(time.Millisecond))
}

// The controls: without the ceiling, without the owner as they are now, or
// without the guard, a token becomes too strong before long.
func TestHistoriesFindWhatIsMissing(t *testing.T) {
	t.Parallel()
	const enough = 3000
	for name, c := range map[string]struct {
		layer store.Layer
		power func(store.APIKey, store.User, []store.Role) rbac.Grants
	}{
		"no ceiling": {dbauthz.Layer, func(k store.APIKey, u store.User, roles []store.Role) rbac.Grants {
			k.Ceiling = store.CeilingAll
			return k.Power(u, roles)
		}},
		"the owner of then": {dbauthz.Layer, func(k store.APIKey, u store.User, roles []store.Role) rbac.Grants {
			u.Disabled = false
			return k.Power(u, roles)
		}},
		"no guard": {func(_ store.Actor, tx store.Tx) store.Tx { return tx }, store.APIKey.Power},
	} {
		if err := playMany(enough, c.layer, c.power); err == nil {
			t.Errorf("%s: nothing is found in %d histories", name, enough)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
}

func TestNoHistoryThroughTheStoreMakesATokenTooStrong(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		for i := range *storedHistories {
			h := history{world: stored{t, s}, r: rand.New(rand.NewPCG(11, uint64(i))), power: store.APIKey.Power}
			if err := h.play(); err != nil {
				t.Fatalf("history %d: %v", i, err)
			}
			for _, table := range []string{"api_keys", "users", "roles"} {
				if _, err := s.Raw.ExecContext(t.Context(), "DELETE FROM "+table); err != nil {
					t.Fatal(err)
				}
			}
		}
		t.Logf("%d histories of %d steps", *storedHistories, steps)
	})
}
