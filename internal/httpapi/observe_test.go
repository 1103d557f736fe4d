package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/httpapi"
)

// uses are the tokens that were accepted.
type uses struct {
	mu   sync.Mutex
	list []string
}

func (u *uses) note(tokenID string, at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.list = append(u.list, tokenID+" "+at.String())
}

func (u *uses) all() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.list)
}

// watched is a log that knows what must not be in it, or in anything else.
type watched struct {
	mu    sync.Mutex
	lines bytes.Buffer
	parts map[string]bool
}

// part is how many characters of a secret are too many to show.
const part = 10

func newWatched() *watched { return &watched{parts: map[string]bool{}} }

func (w *watched) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lines.Write(b)
}

func (w *watched) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lines.String()
}

// guard adds a secret.
func (w *watched) guard(s string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := 0; i+part <= len(s); i++ {
		w.parts[s[i:i+part]] = true
	}
}

// leaked reports whether a part of a secret is in s.
func (w *watched) leaked(s string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := 0; i+part <= len(s); i++ {
		if w.parts[s[i:i+part]] {
			return true
		}
	}
	return false
}

// dump returns every row of every table, so that two of them can be compared.
func (s *server) dump(t *testing.T) string {
	t.Helper()
	tables := "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
	if s.Postgres {
		tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
	}
	var out strings.Builder
	for _, row := range s.rows(t, tables) {
		fmt.Fprintf(&out, "%s\n", row[0])
		for _, r := range s.rows(t, fmt.Sprintf("SELECT * FROM %s ORDER BY 1, 2", row[0])) {
			fmt.Fprintf(&out, "  %v\n", r)
		}
	}
	return out.String()
}

// generation returns how often the configuration changed.
func (s *server) generation(t *testing.T) any {
	t.Helper()
	return s.rows(t, "SELECT generation FROM installation")[0][0]
}

func (s *server) rows(t *testing.T, query string) (out [][]any) {
	t.Helper()
	rows, err := s.Raw.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }() // rows.Err says all
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		for i, v := range values {
			if b, ok := v.([]byte); ok {
				values[i] = string(b)
			}
		}
		out = append(out, values)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// described reports whether the OpenAPI document has that status among the
// answers of the route, if there is such a route, and names that.
func described(req *http.Request, status int) (route string, ok bool) {
	routes := documented()
	if path.Clean(req.URL.Path) != req.URL.Path {
		return "", true
	}
	probe := req.Clone(context.Background())
	if probe.Method == http.MethodHead {
		probe.Method = http.MethodGet
	}
	_, pattern := routes.mux.Handler(probe)
	return pattern, routes.statuses[pattern] == nil || routes.statuses[pattern][fmt.Sprint(status)]
}

// A documentedRoutes is the routes of the OpenAPI document, with the statuses
// that each may be answered with.
type documentedRoutes struct {
	mux      *http.ServeMux
	statuses map[string]map[string]bool // by pattern
}

var documented = sync.OnceValue(func() documentedRoutes {
	r := documentedRoutes{http.NewServeMux(), map[string]map[string]bool{}}
	b, err := httpapi.Spec("dev")
	if err != nil {
		panic(err)
	}
	var doc struct {
		Paths map[string]map[string]struct{ Responses map[string]any }
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		panic(err)
	}
	for path, operations := range doc.Paths {
		for method, op := range operations {
			pattern := strings.ToUpper(method) + " " + path
			r.mux.HandleFunc(pattern, func(http.ResponseWriter, *http.Request) {})
			r.statuses[pattern] = map[string]bool{}
			for status := range op.Responses {
				r.statuses[pattern][status] = true
			}
		}
	}
	return r
})
