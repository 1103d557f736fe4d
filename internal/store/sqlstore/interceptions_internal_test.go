package sqlstore

import (
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/store"
)

// A page in the middle of a list is found without reading those before it.
func TestBothEndsOfAListAreTheEarlier(t *testing.T) {
	t.Parallel()
	b := openSQLite(t)
	noon := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	mark := store.InterceptionMark{At: noon, ID: someRecord().ID}
	for what, c := range map[string]struct {
		q                store.InterceptionQuery
		until, before    time.Time
		beforeIDIsMarked bool
	}{
		"a mark alone":            {store.InterceptionQuery{Before: mark}, noon.Add(time.Microsecond), noon, true},
		"an end alone":            {store.InterceptionQuery{Until: noon}, noon, noon, false},
		"a mark before the end":   {store.InterceptionQuery{Before: mark, Until: noon.Add(time.Hour)}, noon.Add(time.Microsecond), noon, true},
		"a mark at the end":       {store.InterceptionQuery{Before: mark, Until: noon}, noon, noon, true},
		"a mark behind the end":   {store.InterceptionQuery{Before: mark, Until: noon.Add(-time.Hour)}, noon.Add(-time.Hour), noon.Add(-time.Hour), false},
		"a mark just in front":    {store.InterceptionQuery{Before: mark, Until: noon.Add(time.Microsecond)}, noon.Add(time.Microsecond), noon, true},
		"neither, so all of them": {store.InterceptionQuery{}, time.Date(endOfTime, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(endOfTime, 1, 1, 0, 0, 0, 0, time.UTC), false},
	} {
		c.q.Scope = store.Scope{All: true}
		err := b.View(t.Context(), func(tx store.Tx) error {
			p, ok, err := tx.Interceptions.(interceptions).params(t.Context(), c.q)
			if !ok || !p.Until.Equal(c.until) || !p.BeforeAt.Equal(c.before) || (p.BeforeID == mark.ID) != c.beforeIDIsMarked {
				t.Errorf("%s: until %v, before %v %s", what, p.Until, p.BeforeAt, p.BeforeID)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestSumsAreOfAllPages(t *testing.T) {
	t.Parallel()
	b := openSQLite(t)
	rec := someRecord()
	q := store.InterceptionQuery{Scope: store.Scope{All: true}, Before: store.InterceptionMark{At: rec.At.Add(-time.Hour), ID: rec.ID}}
	_, err := b.Update(t.Context(), func(tx store.Tx) error { return tx.Interceptions.Record(t.Context(), []store.Interception{rec}) })
	if err != nil {
		t.Fatal(err)
	}
	err = b.View(t.Context(), func(tx store.Tx) error {
		sums, err := tx.Interceptions.Usage(t.Context(), store.InAll, q)
		if len(sums) != 1 || sums[0].Requests != 1 {
			t.Errorf("got %+v", sums)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
