package sqlstore_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

func TestUsageSumsUp(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		ann, bob := dbgen.User(t, s.DB, store.User{Name: "ann"}), dbgen.User(t, s.DB, store.User{Name: "bob"})
		at := time.Date(2030, 1, 1, 22, 30, 0, 0, time.UTC)
		ci, laptop := dbgen.ID(), dbgen.ID()
		big := store.TokenCounts{Input: 1 << 40, Output: 10, CacheRead: 1, CacheWrite: 2, Reasoning: 3, Known: true}
		for i, rec := range []store.Interception{
			{OwnerID: ann.ID, TokenID: ci, TokenName: "ci", Provider: "vendor", Model: "m1", Client: "tool/1", Status: 200, Tokens: big, Duration: time.Second, FirstByte: time.Millisecond, RequestBytes: 5, ResponseBytes: 6, Attempts: make([]store.Attempt, 1)},
			{OwnerID: ann.ID, TokenID: ci, TokenName: "ci", Provider: "vendor", Model: "m2", Client: "tool/2", Status: 200, Tokens: big, Duration: 2 * time.Second, FirstByte: 3 * time.Millisecond, Attempts: make([]store.Attempt, 2)},
			{OwnerID: bob.ID, TokenID: laptop, TokenName: "laptop", Provider: "vendor", Model: "m1", Client: "tool/1", Status: 502, Attempts: make([]store.Attempt, 3)},
			{OwnerID: bob.ID, TokenID: laptop, TokenName: "laptop", Provider: "other", Model: "m1", Client: "tool/1", Outcome: store.Unknown},
		} {
			rec.ID, rec.At = dbgen.ID(), at.Add(time.Duration(i)*time.Hour)
			if rec.Outcome == "" {
				rec.Outcome = store.Complete
			}
			record(t, s, rec)
		}
		whole := store.Usage{
			Requests: 4, Errors: 1, Unknown: 1, Attempts: 6, Metered: 2, Duration: 3 * time.Second, FirstByte: 4 * time.Millisecond, Answered: 2, RequestBytes: 5, ResponseBytes: 6,
			Tokens: store.TokenCounts{Input: 1 << 41, Output: 20, CacheRead: 2, CacheWrite: 4, Reasoning: 6, Known: true},
		}
		if diff := cmp.Diff([]store.Usage{whole}, usageOf(t, s, dbgen.Owner, store.InAll, store.InterceptionQuery{})); diff != "" {
			t.Errorf("everything (-want +got):\n%s", diff)
		}
		// in short: the groups, with their requests, errors and output.
		short := func(usage []store.Usage) string {
			var out []string
			for _, u := range usage {
				name := u.Label
				if u.Name != "" {
					name = u.Name
				}
				if !u.Start.IsZero() {
					name = u.Start.Format("02T15")
				}
				out = append(out, fmt.Sprintf("%s %d %d %d", name, u.Requests, u.Errors, u.Tokens.Output))
			}
			return strings.Join(out, ", ")
		}
		for by, want := range map[store.UsageGroup]string{
			store.ByProvider: "vendor 3 1 20, other 1 0 0", store.ByModel: "m1 3 1 10, m2 1 0 10", store.ByClient: "tool/1 3 1 10, tool/2 1 0 10",
			store.ByHour: "02T01 1 0 0, 02T00 1 1 0, 01T23 1 0 10, 01T22 1 0 10", store.ByDay: "02T00 2 1 0, 01T00 2 0 20",
		} {
			if got := short(usageOf(t, s, dbgen.Owner, by, store.InterceptionQuery{})); got != want {
				t.Errorf("by %s: %s, want %s", by, got, want)
			}
		}
		for by, want := range map[store.UsageGroup][2]string{store.ByOwner: {"ann 2 0 20", "bob 2 1 0"}, store.ByToken: {"ci 2 0 20", "laptop 2 1 0"}} {
			got := short(usageOf(t, s, dbgen.Owner, by, store.InterceptionQuery{}))
			if got != want[0]+", "+want[1] && got != want[1]+", "+want[0] { // as many requests: in the order of their ids
				t.Errorf("by %s: %s", by, got)
			}
		}
		for what, c := range map[string]struct {
			who  store.Actor
			by   store.UsageGroup
			q    store.InterceptionQuery
			want string
		}{
			"a member has their own":           {dbgen.Actor(ann, rbac.ScopeAll), store.ByProvider, store.InterceptionQuery{}, "vendor 2 0 20"},
			"a member by day":                  {dbgen.Actor(bob, rbac.ScopeAll), store.ByDay, store.InterceptionQuery{}, "02T00 2 1 0"},
			"a member asks for another's":      {dbgen.Actor(ann, rbac.ScopeAll), store.ByModel, store.InterceptionQuery{Owner: "bob"}, ""},
			"a member asks in their own scope": {dbgen.Actor(ann, rbac.ScopeAll), store.InAll, store.InterceptionQuery{Scope: store.Scope{All: true}}, " 2 0 20"},
			"of an owner":                      {dbgen.Owner, store.ByModel, store.InterceptionQuery{Owner: "bob"}, "m1 2 1 0"},
			"of a time":                        {dbgen.Owner, store.ByModel, store.InterceptionQuery{Since: at.Add(time.Hour), Until: at.Add(2 * time.Hour)}, "m2 1 0 10"},
			"of a model by hour":               {dbgen.Owner, store.ByHour, store.InterceptionQuery{Model: "m2"}, "01T23 1 0 10"},
			"the largest":                      {dbgen.Owner, store.ByProvider, store.InterceptionQuery{Limit: 1}, "vendor 3 1 20"},
			"the latest":                       {dbgen.Owner, store.ByHour, store.InterceptionQuery{Limit: 1}, "02T01 1 0 0"},
			"of nothing":                       {dbgen.Owner, store.ByProvider, store.InterceptionQuery{Provider: "none"}, ""},
			"of nothing in all":                {dbgen.Owner, store.InAll, store.InterceptionQuery{Provider: "none"}, ""},
		} {
			if got := short(usageOf(t, s, c.who, c.by, c.q)); got != c.want {
				t.Errorf("%s: %q, want %q", what, got, c.want)
			}
		}
	})
}
