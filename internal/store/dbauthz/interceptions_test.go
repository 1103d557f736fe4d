package dbauthz_test

import (
	"errors"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbauthz"
)

// Each sees the records of their own requests, and the auditor all. A record of
// nobody's is seen by those alone who see all.
func TestInterceptionsOfOthers(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	m := &memory{interceptions: []store.Interception{{ID: "hers", OwnerID: "ann"}, {ID: "his", OwnerID: "bob"}, {ID: "nobodys"}}}
	read := rbac.Permission{Resource: rbac.Interception, Action: rbac.Read}
	who := func(id string, r rbac.Reach) store.Actor {
		return store.Actor{Kind: store.ActorUser, ID: id, Power: rbac.Grants{}.With(read, r)}
	}
	for name, c := range map[string]struct {
		who   store.Actor
		sees  []string
		scope store.Scope
	}{
		"a member sees their own":      {who("ann", rbac.Own), []string{"hers"}, store.Scope{Owner: "ann"}},
		"an auditor sees all":          {who("eve", rbac.All), []string{"hers", "his", "nobodys"}, store.Scope{All: true}},
		"who made no request sees nil": {who("eve", rbac.Own), nil, store.Scope{Owner: "eve"}},
		"nor does somebody without id": {who("", rbac.Own), nil, store.Scope{}},
	} {
		recs := dbauthz.Layer(c.who, m.tx()).Interceptions
		for _, id := range []string{"hers", "his", "nobodys"} {
			want := error(store.ErrNotFound)
			for _, s := range c.sees {
				if s == id {
					want = nil
				}
			}
			if rec, err := recs.Get(ctx, id); !errors.Is(err, want) || err != nil && rec.ID != "" {
				t.Errorf("%s: get %s: %+v, %v", name, id, rec, err)
			}
		}
		// Asking for all does not help.
		asked := store.InterceptionQuery{Scope: store.Scope{All: true, Owner: "bob"}}
		list, err := recs.List(ctx, asked)
		if len(list) != len(c.sees) || err != nil {
			t.Errorf("%s: the list has %d, %v", name, len(list), err)
		}
		sums, err := recs.Usage(ctx, store.InAll, asked)
		if err != nil || sums[0].Requests != int64(len(c.sees)) {
			t.Errorf("%s: the usage is %+v, %v", name, sums, err)
		}
		if scope, err := recs.Scope(ctx); scope != c.scope || err != nil {
			t.Errorf("%s: the scope is %+v, %v", name, scope, err)
		}
	}
}
