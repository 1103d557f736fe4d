package tally_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
	"github.com/gatehousehq/gatehouse/internal/tally"
)

var noon = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

func newTally(log *slog.Logger) *tally.Tally {
	return tally.New(authn.Recorder, log, func() time.Time { return noon })
}

func describe(e store.AuditEntry) string {
	return fmt.Sprintf("%d× %s %s by %s %q from %q, %q %s", e.Count, e.Action, e.Resource, e.ActorKind, e.ActorName, e.Origin.Address, e.Target, e.Diff)
}

func TestWhatIsAlikeIsOneEntry(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		before := len(s.Audit(t))
		y := newTally(slog.New(slog.DiscardHandler))
		ada := dbgen.Actor(store.User{ID: dbgen.ID(), Name: "bea", Roles: store.SetOf("member")}, rbac.ScopeAll)
		missing := &store.DeniedError{Missing: rbac.Permission{Resource: rbac.AIProvider, Action: rbac.Update}}
		for range 1000 {
			y.Denied(ada, missing)
			y.LoginFailed(authn.Refused("", "", store.Origin{RequestID: dbgen.ID(), Address: "192.0.2.1"}), rbac.APIKey, "unknown_token")
		}
		y.Denied(ada, &store.DeniedError{Missing: rbac.Permission{Resource: rbac.AIProvider, Action: rbac.Delete}})
		y.LoginFailed(authn.Refused("", "", store.Origin{Address: "192.0.2.2"}), rbac.APIKey, "unknown_token")
		open := store.AuditEntry{At: noon, ActorKind: store.ActorSystem, ActorName: "snapshot compiler", Action: rbac.Open, Resource: rbac.AIProviderKey, ID: "k1", Target: "p", Count: 1, Diff: "{}"}
		y.Note(open)
		open.ID = "k2"
		y.Note(open)
		y.Flush(t.Context(), s.DB)
		var got []string
		for _, e := range s.Audit(t)[before:] {
			got = append(got, describe(e))
		}
		want := []string{
			`1000× denied ai_provider by user "bea" from "127.0.0.1", "" {"permission":{"new":"ai_provider:update"}}`,
			`1000× login_failed api_key by anonymous "" from "192.0.2.1", "" {"reason":{"new":"unknown_token"}}`,
			`1× denied ai_provider by user "bea" from "127.0.0.1", "" {"permission":{"new":"ai_provider:delete"}}`,
			`1× login_failed api_key by anonymous "" from "192.0.2.2", "" {"reason":{"new":"unknown_token"}}`,
			`2× open ai_provider_key by system "snapshot compiler" from "", "" {}`,
		}
		if diff := cmp.Diff(sorted(want), sorted(got)); diff != "" {
			t.Errorf("entries (-want +got):\n%s", diff)
		}
		y.Flush(t.Context(), s.DB)
		if n := len(s.Audit(t)); n != before+len(want) {
			t.Errorf("a second flush left %d entries", n-before)
		}
	})
}

func sorted(in []string) []string {
	return slices.Sorted(slices.Values(in))
}

func TestMinuteHasSoManyEntriesAndNoMore(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		before := len(s.Audit(t))
		y := newTally(slog.New(slog.DiscardHandler))
		for i := range 5000 {
			y.LoginFailed(authn.Refused("", "", store.Origin{Address: fmt.Sprintf("2001:db8::%x", i)}), rbac.APIKey, "unknown_token")
		}
		y.Flush(t.Context(), s.DB)
		var total int64
		entries := s.Audit(t)[before:]
		for _, e := range entries {
			total += e.Count
		}
		if len(entries) != 1001 || total != 5000 {
			t.Errorf("%d entries count %d events", len(entries), total)
		}
	})
}

func TestWhatCannotBeWrittenIsKept(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		before := len(s.Audit(t))
		var log bytes.Buffer
		y := newTally(slog.New(slog.NewTextHandler(&log, nil)))
		rename := func(from, to string) {
			if _, err := s.Raw.ExecContext(t.Context(), "ALTER TABLE "+from+" RENAME TO "+to); err != nil {
				t.Fatal(err)
			}
		}
		rename("audit_head", "away")
		for range 3 {
			y.LoginFailed(authn.Refused("", "", store.Origin{}), rbac.APIKey, "unknown_token")
			y.Flush(t.Context(), s.DB)
		}
		rename("away", "audit_head")
		y.Flush(t.Context(), s.DB)
		entries := s.Audit(t)[before:]
		if len(entries) != 1 || entries[0].Count != 3 {
			t.Errorf("entries %+v", entries)
		}
		if n := strings.Count(log.String(), "\n"); n != 1 {
			t.Errorf("%d lines in the log:\n%s", n, log.String())
		}
	})
}
