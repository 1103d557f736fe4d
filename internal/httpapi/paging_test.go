package httpapi_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
)

// An item is what the items of all lists are told apart by.
type item struct {
	ID, Name, Label string
	Index           int64
}

func (i item) String() string {
	if i.Index != 0 {
		return fmt.Sprintf("entry %03d", i.Index)
	}
	return i.Name + i.Label
}

type page struct {
	Items      []item  `json:"items"`
	NextCursor *string `json:"next_cursor"`
}

// walk reads a list to its end, calls between before each page but the first,
// and returns the items and the sizes of the pages.
func walk(t *testing.T, s *server, path string, limit int, between func()) (all []string, sizes []int) {
	t.Helper()
	query := fmt.Sprintf("?limit=%d", limit)
	for {
		p := decode[page](t, s.want(t, http.StatusOK, "GET", path+query, ""))
		for _, i := range p.Items {
			all = append(all, i.String())
		}
		sizes = append(sizes, len(p.Items))
		if p.NextCursor == nil {
			return all, sizes
		}
		query = fmt.Sprintf("?limit=%d&cursor=%s", limit, *p.NextCursor)
		if between != nil {
			between()
		}
	}
}

func TestPagesHaveEveryItemOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		var want []string
		for i := range 7 {
			want = append(want, fmt.Sprintf("p-%d", i))
			s.provider(t, want[i])
			s.aiRoute(t, want[i], "p-0/m")
			dbgen.APIKey(t, s.DB, s.owner, store.APIKey{Name: fmt.Sprintf("t-%d", i)})
			s.want(t, http.StatusCreated, "POST", providers+"/p-0/keys", fmt.Sprintf(`{"api_key":"%s","label":"k-%d"}`, s.key(fmt.Sprint(i)), i))
		}
		for _, list := range []struct {
			path string
			want []string
		}{
			{providers, want},
			{aiRoutes, want},
			{providers + "/p-0/keys", []string{"k-0", "k-1", "k-2", "k-3", "k-4", "k-5", "k-6"}},
			{tokens, []string{"owner-token", "t-0", "t-1", "t-2", "t-3", "t-4", "t-5", "t-6"}},
		} {
			for _, limit := range []int{1, 3, len(list.want), len(list.want) + 1, 500} {
				got, sizes := walk(t, s, list.path, limit, nil)
				if diff := cmp.Diff(list.want, got); diff != "" {
					t.Errorf("%s by %d (-want +got):\n%s", list.path, limit, diff)
				}
				if full := (len(list.want) + limit - 1) / limit; len(sizes) != full {
					t.Errorf("%s by %d came in pages of %v", list.path, limit, sizes)
				}
			}
		}
		entries, _ := walk(t, s, auditPath, 4, nil)
		if n := len(s.Audit(t)); len(entries) != n || !slices.IsSortedFunc(entries, func(a, b string) int { return strings.Compare(b, a) }) {
			t.Errorf("the audit log has %d entries, the pages have %v", n, entries)
		}
	})
}

func TestPagesHaveFiftyUnlessAskedOtherwise(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		for i := range 51 {
			dbgen.Provider(t, s.DB, store.Provider{Name: fmt.Sprintf("p-%02d", i)})
		}
		first := decode[page](t, s.want(t, http.StatusOK, "GET", providers, ""))
		if len(first.Items) != 50 || first.NextCursor == nil {
			t.Fatalf("got %d items", len(first.Items))
		}
		rest := decode[page](t, s.want(t, http.StatusOK, "GET", providers+"?cursor="+*first.NextCursor, ""))
		if len(rest.Items) != 1 || rest.Items[0].Name != "p-50" || rest.NextCursor != nil {
			t.Errorf("then %+v", rest)
		}
	})
}

func TestPagesAreStableUnderChange(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		for _, name := range []string{"b", "d", "f", "h"} {
			s.provider(t, name)
		}
		step := 0
		got, _ := walk(t, s, providers, 2, func() {
			switch step++; step {
			case 1: // one before the cursor, one behind it, and the one that the cursor is of goes
				s.provider(t, "a")
				s.provider(t, "e")
				s.want(t, http.StatusNoContent, "DELETE", providers+"/d", "")
			case 2:
				s.provider(t, "d")
			}
		})
		if diff := cmp.Diff([]string{"b", "d", "e", "f", "h"}, got); diff != "" {
			t.Errorf("providers (-want +got):\n%s", diff)
		}

		// New entries come in front, and do not push old ones to the next page.
		n := len(s.Audit(t))
		entries, _ := walk(t, s, auditPath, 3, func() { s.want(t, http.StatusCreated, "POST", tokens, `{"name":"n","scopes":["all"]}`) })
		if unique := slices.Compact(slices.Clone(entries)); len(entries) != n || len(unique) != n {
			t.Errorf("of %d entries the pages have %v", n, entries)
		}
	})
}
