package clients_test

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/mockupstream"
	"github.com/gatehousehq/gatehouse/test/clients/realserver"
)

// recordedTimeout bounds how long it may take until a request is in the records.
const recordedTimeout = 30 * time.Second

// checkRecords compares what Gatehouse recorded of a provider's requests with what
// the upstream counted for each: the same numbers, each as often.
func checkRecords(t *testing.T, srv *realserver.Server, provider string, requests []mockupstream.Request) {
	t.Helper()
	var want []mockupstream.Usage
	for _, r := range requests {
		if r.Usage != (mockupstream.Usage{}) {
			want = append(want, r.Usage)
		}
	}
	if len(want) == 0 {
		t.Errorf("%s: the upstream counted nothing", provider)
	}
	slices.SortFunc(want, compareUsage)
	var got []mockupstream.Usage
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(recordedTimeout); ; <-tick.C {
		got = recorded(t, srv, provider)
		if len(got) >= len(want) || time.Now().After(deadline) {
			break
		}
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("%s: what was recorded is not what the upstream counted (-want +got):\n%s", provider, diff)
	}
}

// recorded reads the records of a provider's requests that say what was used, in
// order of the numbers.
func recorded(t *testing.T, srv *realserver.Server, provider string) []mockupstream.Usage {
	t.Helper()
	var page client.Page[client.Interception]
	if _, err := srv.Call(t.Context(), http.MethodGet, "/api/v1/interceptions?limit=500&provider="+url.QueryEscape(provider), nil, &page); err != nil {
		t.Fatal(err)
	}
	var list []mockupstream.Usage
	for _, rec := range page.Items {
		if u := rec.Tokens; u != nil {
			list = append(list, mockupstream.Usage{
				Input: int(u.Input), Output: int(u.Output), CacheRead: int(u.CacheRead), CacheWrite: int(u.CacheWrite), Reasoning: int(u.Reasoning),
			})
		}
	}
	slices.SortFunc(list, compareUsage)
	return list
}

func compareUsage(a, b mockupstream.Usage) int {
	return cmp.Or(cmp.Compare(a.Input, b.Input), cmp.Compare(a.Output, b.Output),
		cmp.Compare(a.CacheRead, b.CacheRead), cmp.Compare(a.CacheWrite, b.CacheWrite), cmp.Compare(a.Reasoning, b.Reasoning))
}
