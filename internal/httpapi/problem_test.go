package httpapi

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/store"
)

// What the database did not do must not be confused with what it may have done.
func TestProblemsOfTheDatabase(t *testing.T) {
	t.Parallel()
	a := &api{Config: Config{Log: slog.New(slog.DiscardHandler)}}
	for want, err := range map[string]error{
		"nothing was changed":                                       fmt.Errorf("%w: gone", store.ErrUnavailable),
		"it may have been made or not":                              fmt.Errorf("%w: gone", store.ErrUncertain),
		"is saved, but this server could not put it into force yet": &store.NotInForceError{Err: errors.New("canary")},
	} {
		p := a.problem(t.Context(), err)
		if p.Status != http.StatusServiceUnavailable || !strings.Contains(p.Detail, want) || strings.Contains(p.Detail, "canary") {
			t.Errorf("%v: %d %s", err, p.Status, p.Detail)
		}
	}
}
