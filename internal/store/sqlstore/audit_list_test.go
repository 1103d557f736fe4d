package sqlstore_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

var midnight = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// What random entries and queries are made of.
var (
	people    = []string{"0190a5a0-0000-7000-8000-000000000001", "0190a5a0-0000-7000-8000-000000000002", ""}
	names     = []string{"ada", "adam", "Ada", "größe", "100%", "a_b", ""}
	targets   = []string{"main", "main-2", "ma%n", "m_in", "zürich", "'; --", ""}
	actions   = []string{"create", "update", "delete", "denied"}
	resources = []string{"ai_provider", "user", "api_key"}
)

// randomEntries are about a minute apart, by clocks that differ by half an hour,
// some at the same moment.
func randomEntries(r *rand.Rand, n int) (out []store.AuditEntry) {
	pick := func(from []string) string { return from[r.IntN(len(from))] }
	for i := range n {
		at := midnight.Add(time.Duration(i+r.IntN(30)) * time.Minute)
		if r.IntN(2) == 0 {
			at = at.Add(time.Duration(r.IntN(1e6)) * time.Microsecond)
		}
		e := store.AuditEntry{
			At: at, ActorKind: store.ActorUser, ActorID: pick(people), ActorName: pick(names), Action: rbac.Action(pick(actions)),
			Resource: rbac.Resource(pick(resources)), ID: pick(people), Target: pick(targets), Count: 1, Diff: "{}",
			Origin: store.Origin{RequestID: fmt.Sprint("r", r.IntN(50))},
		}
		if r.IntN(8) == 0 {
			e.ActorKind, e.ActorID, e.ActorName = store.ActorSystem, "bootstrap", "bootstrap"
		}
		out = append(out, e)
	}
	return out
}

// selects is what an [store.AuditQuery] selects, said once more.
func selects(q store.AuditQuery, e store.AuditEntry) bool {
	if q.Actor != "" && q.Actor != e.ActorID && q.Actor != e.ActorName {
		return false
	}
	if !q.Since.IsZero() && e.At.UnixMicro() < q.Since.UnixMicro() || !q.Until.IsZero() && e.At.UnixMicro() >= q.Until.UnixMicro() {
		return false
	}
	if q.Resource != "" && q.Resource != string(e.Resource) || q.Action != "" && q.Action != string(e.Action) || q.Before > 0 && e.Index >= q.Before {
		return false
	}
	return slices.ContainsFunc([]string{e.ActorName, e.Target, e.ID, e.Origin.RequestID}, func(s string) bool {
		return len(s) >= len(q.Text) && s[:len(q.Text)] == q.Text
	})
}

// TestEveryFilterSelects compares what is found by every combination of filters
// with what should be.
func TestEveryFilterSelects(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		observe(t, s, randomEntries(rand.New(rand.NewPCG(1, 2)), 400)...)
		all := s.Audit(t)
		slices.Reverse(all)
		maybe := func(values ...string) *rapid.Generator[string] { return rapid.SampledFrom(append(values, "", "", "")) }
		moment := rapid.Custom(func(t *rapid.T) time.Time {
			at := midnight.Add(time.Duration(rapid.IntRange(-5, 450).Draw(t, "minute")) * time.Minute)
			return rapid.SampledFrom([]time.Time{{}, at, at.Add(time.Microsecond)}).Draw(t, "moment")
		})
		matched := 0
		rapid.Check(t, func(rt *rapid.T) {
			q := store.AuditQuery{
				Resource: maybe(resources...).Draw(rt, "resource"), Action: maybe(actions...).Draw(rt, "action"),
				Actor: maybe(people[0], people[1], "bootstrap", "ada", "größe", "nobody").Draw(rt, "actor"),
				Since: moment.Draw(rt, "since"), Until: moment.Draw(rt, "until"),
				Text:   maybe("a", "ad", "A", "ma", "ma%", "m_", "%", "'", "0190", people[1], "r1", "gr", "größ", "zzz").Draw(rt, "text"),
				Before: rapid.SampledFrom([]int64{0, 0, 1, 200}).Draw(rt, "before"), Limit: rapid.SampledFrom([]int{0, 0, 1, 7}).Draw(rt, "limit"),
			}
			var want []store.AuditEntry
			for _, e := range all {
				if selects(q, e) && (q.Limit == 0 || len(want) < q.Limit) {
					want = append(want, e)
				}
				if behind := q.Before > 0 && e.Index >= q.Before; !behind && q.Match(e) != selects(q, e) {
					rt.Errorf("%+v and entry %d: Match says %t", q, e.Index, q.Match(e))
				}
			}
			matched += len(want)
			if got := list(t, s, q); !slices.Equal(got, want) {
				rt.Errorf("%+v: got %d entries, want %d\n%s", q, len(got), len(want), gocmp.Diff(got, want))
			}
		})
		if matched == 0 {
			t.Error("the control: no query selected anything")
		}
	})
}

// TestManyEntriesOfOneMoment are all found by it.
func TestManyEntriesOfOneMoment(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		const n = 2500
		entries := randomEntries(rand.New(rand.NewPCG(3, 4)), n)
		for i := range entries {
			entries[i].At = midnight
		}
		observe(t, s, entries...)
		for name, q := range map[string]store.AuditQuery{
			"until just after": {Until: midnight.Add(time.Microsecond)},
			"since then":       {Since: midnight},
			"at that moment":   {Since: midnight, Until: midnight.Add(time.Microsecond)},
		} {
			got := slices.DeleteFunc(list(t, s, q), func(e store.AuditEntry) bool { return !e.At.Equal(midnight) })
			if len(got) != n {
				t.Errorf("%s: got %d entries, want %d", name, len(got), n)
			}
		}
	})
}

// TestPagesOfTheLogMeet reads everything page by page while entries are added.
func TestPagesOfTheLogMeet(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		observe(t, s, randomEntries(rand.New(rand.NewPCG(5, 6)), 100)...)
		before := s.Audit(t)
		slices.Reverse(before)
		for _, q := range []store.AuditQuery{{}, {Action: "update"}, {Text: "a"}, {Actor: "ada"}, {Resource: "user", Until: midnight.Add(time.Hour)}} {
			want := slices.Clone(before)
			want = slices.DeleteFunc(want, func(e store.AuditEntry) bool { return !selects(q, e) })
			var got []store.AuditEntry
			for q.Limit = 7; ; {
				page := list(t, s, q)
				if len(page) == 0 {
					break
				}
				if got = append(got, page...); len(got) > 1000 {
					t.Fatalf("%+v: it never comes to an end", q)
				}
				q.Before = page[len(page)-1].Index
				observe(t, s, randomEntries(rand.New(rand.NewPCG(7, uint64(len(got)))), 3)...)
			}
			if !slices.Equal(got[max(0, len(got)-len(want)):], want) || !slices.IsSortedFunc(got, func(a, b store.AuditEntry) int { return cmp.Compare(b.Index, a.Index) }) {
				t.Errorf("%+v: the pages do not meet:\n%s", q, gocmp.Diff(got, want))
			}
		}
	})
}

// TestEverySearchHasAnIndex asks the databases how they would run what List
// sends them over 50,000 entries.
func TestEverySearchHasAnIndex(t *testing.T) {
	t.Parallel()
	storetest.EachConfig(t, func(t *testing.T, cfg sqlstore.Config) {
		var sent []string
		cfg.Before = func(_ context.Context, statement string) error {
			sent = append(sent, statement)
			return nil
		}
		s := storetest.Open(t, cfg)
		at := "'2030-01-' || substr('0' || (1 + i / 2000), -2) || ' 00:00:00+00:00'"
		if s.Postgres {
			at = "CAST('2030-01-01 00:00:00+00:00' AS TIMESTAMPTZ) + i / 2000 * INTERVAL '1 day'"
		}
		s.Exec(t, `INSERT INTO audit_logs (entry_index, at, actor_kind, actor_id, actor_name, token_id, token_name, action, resource, resource_id,
			target, request_id, address, user_agent, diff)
			WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
			SELECT i, `+at+`, 'user', 'id-' || (i % 50), 'person-' || (i % 50), '', '', 'action-' || (i % 5), 'kind-' || (i / 5 % 5),
			'record-' || i, 'target-' || (i % 5000), 'request-' || i, '', '', '{}' FROM n`)
		if s.Postgres {
			if _, err := s.Raw.ExecContext(t.Context(), "ANALYZE"); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct {
			query   store.AuditQuery
			indexes []string
		}{
			{store.AuditQuery{}, []string{"audit_logs_pkey"}},
			{store.AuditQuery{Before: 4000}, []string{"audit_logs_pkey"}},
			{store.AuditQuery{Resource: "kind-1"}, []string{"audit_logs_resource"}},
			{store.AuditQuery{Action: "action-1"}, []string{"audit_logs_action"}},
			{store.AuditQuery{Action: "action-1", Resource: "kind-1"}, []string{"audit_logs_action"}},
			{store.AuditQuery{Actor: people[0]}, []string{"audit_logs_actor_id"}},
			{store.AuditQuery{Actor: "person-7"}, []string{"audit_logs_actor_name"}},
			{store.AuditQuery{Text: "target-77"}, []string{"audit_logs_actor_name", "audit_logs_target", "audit_logs_resource_id", "audit_logs_request_id"}},
			{store.AuditQuery{Since: midnight.AddDate(0, 0, 3), Until: midnight.AddDate(0, 0, 4)}, []string{"audit_logs_at", "audit_logs_pkey"}},
		} {
			c.query.Limit = 50
			sent = nil
			list(t, s, c.query)
			var plans strings.Builder
			for _, statement := range sent {
				if statement != "COMMIT" {
					plans.WriteString(plan(t, s, statement, c.query))
				}
			}
			for _, index := range c.indexes {
				if !s.Postgres && index == "audit_logs_pkey" {
					index = "INTEGER PRIMARY KEY"
				}
				if !strings.Contains(plans.String(), index) {
					t.Errorf("%+v does not use %s:\n%s", c.query, index, plans.String())
				}
			}
			// SQLite scans what it made itself, and PostgreSQL a table that a plan
			// found too small for an index.
			if p := plans.String(); strings.Contains(p, "SCAN audit_logs") || strings.Contains(p, "Seq Scan") {
				t.Errorf("%+v reads the whole table:\n%s", c.query, p)
			}
		}
	})
}

// plan asks how a statement of List would be run.
func plan(t *testing.T, s *storetest.Store, statement string, q store.AuditQuery) string {
	t.Helper()
	text := func(at time.Time) string { return at.Format("2006-01-02 15:04:05+00:00") }
	before, since, until := q.Before, q.Since, q.Until
	if before == 0 {
		before = 1 << 62
	}
	if until.IsZero() {
		until = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	id, name := q.Actor, ""
	if q.Actor != people[0] {
		id, name = "", q.Actor
	}
	args := []any{0, before, text(since), text(until), q.Resource, q.Action, id, name}
	switch {
	case strings.Contains(statement, "GetAuditIndexSince"):
		args = []any{text(since)}
	case strings.Contains(statement, "GetAuditIndexBefore"):
		args = []any{text(until)}
	case q.Text != "":
		args = append(args, q.Text, q.Text+"\U0010ffff", q.Limit)
	default:
		args = append(args, q.Limit)
	}
	return explain(t, s, statement, args)
}

// explain asks how a statement would be run.
func explain(t *testing.T, s *storetest.Store, statement string, args []any) string {
	t.Helper()
	_, statement, _ = strings.Cut(statement, "\n") // behind its name
	ask := "EXPLAIN QUERY PLAN "
	if s.Postgres { // as the driver prepares it, whatever the values are
		ask = "EXPLAIN "
		var literals []string
		for _, a := range args {
			literals = append(literals, "'"+strings.ReplaceAll(fmt.Sprint(a), "'", "''")+"'")
		}
		s.Raw.SetMaxOpenConns(1)
		if _, err := s.Raw.ExecContext(t.Context(), "SET plan_cache_mode = force_generic_plan; DEALLOCATE ALL; PREPARE explained AS "+statement); err != nil {
			t.Fatal(err)
		}
		statement, args = "EXECUTE explained ("+strings.Join(literals, ", ")+")", nil
	}
	rows, err := s.Raw.QueryContext(t.Context(), ask+statement, args...)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	var out strings.Builder
	for rows.Next() {
		var line string
		into := []any{&line}
		if !s.Postgres {
			into = []any{new(int), new(int), new(int), &line}
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		out.WriteString(line + "\n")
	}
	if err := cmp.Or(rows.Err(), rows.Close()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func list(t testing.TB, s *storetest.Store, q store.AuditQuery) (out []store.AuditEntry) {
	t.Helper()
	err := s.View(t.Context(), dbgen.Owner, func(tx store.Tx) (err error) { out, err = tx.Audit.List(t.Context(), q); return err })
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func observe(t testing.TB, s *storetest.Store, entries ...store.AuditEntry) {
	t.Helper()
	err := s.Update(t.Context(), authn.Recorder, func(tx store.Tx) error { return tx.Audit.Observe(t.Context(), entries) })
	if err != nil {
		t.Fatal(err)
	}
}
