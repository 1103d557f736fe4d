package sqlstore_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

// others are the tables that what upstreams make of keys is not in.
var others = append(slices.DeleteFunc(slices.Clone(tables), func(name string) bool { return strings.HasPrefix(name, "key_") }), audited...)

// Of two states of a key the later stays, in whatever order they come.
func TestTheLaterKeyStateStays(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		ctx := t.Context()
		note := func(states ...store.KeyState) {
			t.Helper()
			if err := s.Update(ctx, authn.KeyWatcher, func(tx store.Tx) error { return tx.KeyStates.Note(ctx, states) }); err != nil {
				t.Fatal(err)
			}
		}
		list := func(since time.Time) (states []store.KeyState) {
			t.Helper()
			if err := s.View(ctx, authn.KeyWatcher, func(tx store.Tx) (err error) {
				states, err = tx.KeyStates.List(ctx, since)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			return states
		}
		at := time.Date(2026, 3, 1, 12, 0, 0, 123_456_000, time.UTC)
		a := store.KeyState{KeyID: dbgen.ID(), Reason: "rate_limited", Status: 429, Since: at, Until: at.Add(1500 * time.Millisecond), Wait: 10 * time.Second}
		b := store.KeyState{KeyID: dbgen.ID(), Reason: "unauthorized", Status: 401, Since: at.Add(time.Second), Until: at.Add(time.Minute), Wait: time.Minute}
		before := dump(t, s, others)
		note(a, b, store.KeyState{KeyID: "not an id", Since: at, Until: at})
		if diff := cmp.Diff([]store.KeyState{a, b}, list(time.Time{})); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		well := store.KeyState{KeyID: a.KeyID, Since: at.Add(time.Hour), Until: at.Add(time.Hour)}
		early := well
		early.KeyID, early.Since = b.KeyID, at
		note(well, early)
		note(a)
		if diff := cmp.Diff([]store.KeyState{well, b}, list(at)); diff != "" {
			t.Errorf("after others (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]store.KeyState{well}, list(at.Add(time.Minute))); diff != "" {
			t.Errorf("those of late (-want +got):\n%s", diff)
		}
		if err := s.Update(ctx, authn.KeyWatcher, func(tx store.Tx) error { return tx.KeyStates.Forget(ctx, at.Add(time.Minute)) }); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]store.KeyState{well}, list(time.Time{})); diff != "" {
			t.Errorf("after the old ones are forgotten (-want +got):\n%s", diff)
		}
		// It is no change of configuration, and leaves no entry in the audit log.
		if after := dump(t, s, others); after != before {
			t.Errorf("other tables changed:\n%s", cmp.Diff(before, after))
		}
	})
}
