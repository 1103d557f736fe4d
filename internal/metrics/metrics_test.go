package metrics_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/metrics"
	"github.com/gatehousehq/gatehouse/internal/routing"
)

func page(snapshot *routing.Snapshot) string {
	h := metrics.Handler(metrics.Source{
		Version: "v1", Snapshot: func() *routing.Snapshot { return snapshot },
		KeyStates: []string{"ready", "unreadable", "cooling"},
		KeyState: func(k routing.Key) string {
			if k.Unreadable {
				return "unreadable"
			}
			return "ready"
		},
		Breakers: func() (int, int) { return 2, 1 },
		KeyEpoch: func() int64 { return 7 }, DataKeys: func() int { return 2 },
	})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w.Body.String()
}

func TestPageCountsStates(t *testing.T) {
	t.Parallel()
	base := &url.URL{Scheme: "https", Host: "vendor.example"}
	one := func(name string, p routing.Provider) *routing.Provider {
		p.ID, p.Name, p.BaseURL = name, name, base
		return &p
	}
	got := page(routing.NewSnapshot(3, []*routing.Provider{
		one("a", routing.Provider{Enabled: true, Keys: []routing.Key{{ID: "1"}, {ID: "2", Unreadable: true}}}),
		one("b", routing.Provider{Enabled: true, Keys: []routing.Key{{ID: "3"}}}),
		one("c", routing.Provider{}),
		one("d", routing.Provider{Enabled: true, Fault: "x", Unreadable: true, Keys: []routing.Key{{ID: "4"}}}),
		one("e", routing.Provider{Enabled: true, Fault: "x"}),
	}, nil))
	for _, line := range []string{
		`gatehouse_build_info{version="v1"} 1`, `gatehouse_snapshot_generation 3`, `gatehouse_data_key_epoch 7`, `gatehouse_data_keys 2`,
		`gatehouse_providers{state="enabled"} 2`, `gatehouse_providers{state="disabled"} 1`, `gatehouse_providers{state="unreadable"} 1`, `gatehouse_providers{state="faulty"} 1`,
		`gatehouse_provider_keys{state="ready"} 3`, `gatehouse_provider_keys{state="unreadable"} 1`, `gatehouse_provider_keys{state="cooling"} 0`,
	} {
		if !strings.Contains(got, "\n"+line+"\n") {
			t.Errorf("the page lacks %s", line)
		}
	}
}

func TestPageWithoutConfiguration(t *testing.T) {
	t.Parallel()
	if got := page(nil); strings.Contains(got, "gatehouse_snapshot_generation ") || !strings.Contains(got, `gatehouse_provider_keys{state="ready"} 0`) {
		t.Errorf("the page: %s", got)
	}
}
