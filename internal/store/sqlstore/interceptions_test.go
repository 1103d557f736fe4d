package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

func record(t testing.TB, s *storetest.Store, batch ...store.Interception) {
	t.Helper()
	err := s.Update(t.Context(), authn.Recorder, func(tx store.Tx) error { return tx.Interceptions.Record(t.Context(), batch) })
	if err != nil {
		t.Fatal(err)
	}
}

func recorded(t testing.TB, s *storetest.Store, who store.Actor, q store.InterceptionQuery) (out []store.Interception) {
	t.Helper()
	err := s.View(t.Context(), who, func(tx store.Tx) (err error) {
		out, err = tx.Interceptions.List(t.Context(), q)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func usageOf(t testing.TB, s *storetest.Store, who store.Actor, by store.UsageGroup, q store.InterceptionQuery) (out []store.Usage) {
	t.Helper()
	err := s.View(t.Context(), who, func(tx store.Tx) (err error) {
		out, err = tx.Interceptions.Usage(t.Context(), by, q)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// aRecord has something in every field.
func aRecord(at time.Time) store.Interception {
	return store.Interception{
		ID: dbgen.ID(), At: at, TokenID: dbgen.ID(), TokenName: "laptop", OwnerID: dbgen.ID(), Client: "claude-cli/2.1.330",
		ProviderID: dbgen.ID(), Provider: "vendor", KeyID: dbgen.ID(), Model: "gpt-5", ActualModel: "gpt-5-2026-01-01",
		Endpoint: "chat", Path: "chat/completions", Status: 502, Reason: "upstream_aborted", Outcome: store.Complete,
		Attempts: []store.Attempt{
			{KeyID: dbgen.ID(), Outcome: "timeout", Began: at.Add(time.Millisecond), Duration: 3 * time.Second, BilledTwice: true},
			{KeyID: dbgen.ID(), Status: 200, Outcome: "aborted", Began: at.Add(4 * time.Second), Duration: time.Second},
		},
		FirstByte: 4500 * time.Millisecond, Duration: 5*time.Second + time.Microsecond, RequestBytes: 1 << 40, ResponseBytes: 7,
		Tokens: store.TokenCounts{Input: 1, Output: 2, CacheRead: 3, CacheWrite: 4, Reasoning: 5, Known: true},
	}
}

func TestRecordsAreKeptWhole(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		at := time.Date(2030, 1, 2, 3, 4, 5, 123456000, time.UTC)
		whole := aRecord(at)
		bare := store.Interception{ID: dbgen.ID(), At: at.Add(time.Second), Outcome: store.Unknown, Attempts: []store.Attempt{}}
		odd := store.Interception{ID: dbgen.ID(), At: at.Add(2 * time.Second), TokenName: "it's $1 “%_” ?", Outcome: store.Complete, Attempts: []store.Attempt{}}
		record(t, s, whole, bare, odd)
		if diff := cmp.Diff([]store.Interception{odd, bare, whole}, recorded(t, s, dbgen.Owner, store.InterceptionQuery{})); diff != "" {
			t.Errorf("the list (-want +got):\n%s", diff)
		}
		err := s.View(t.Context(), dbgen.Owner, func(tx store.Tx) error {
			got, err := tx.Interceptions.Get(t.Context(), whole.ID)
			if diff := cmp.Diff(whole, got); diff != "" {
				t.Errorf("one record (-want +got):\n%s", diff)
			}
			for _, id := range []string{dbgen.ID(), "", "x", strings.ToUpper(whole.ID), "a\x00"} {
				if _, err := tx.Interceptions.Get(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
					t.Errorf("get %q: %v", id, err)
				}
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// Whoever writes a batch again, whole or in part, changes nothing.
func TestRecordsAreWrittenOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		var batch []store.Interception
		for i := range 700 {
			batch = append(batch, store.Interception{ID: dbgen.ID(), At: at.Add(time.Duration(i) * time.Second), Status: 200, Outcome: store.Complete})
		}
		record(t, s)
		record(t, s, batch[:1]...)
		record(t, s, batch[:300]...)
		record(t, s, batch...)
		again := slices.Clone(batch)
		for i := range again {
			again[i].Status, again[i].Outcome = 500, store.Unknown
		}
		record(t, s, append(again[600:], again[650:]...)...)
		got := recorded(t, s, dbgen.Owner, store.InterceptionQuery{})
		if len(got) != len(batch) {
			t.Fatalf("%d records, want %d", len(got), len(batch))
		}
		for i, rec := range got {
			if want := batch[len(batch)-1-i]; rec.ID != want.ID || rec.Status != 200 || rec.Outcome != store.Complete {
				t.Fatalf("record %d: %+v", i, rec)
			}
		}
	})
}

// A batch takes few statements where each is a round trip, and none that others
// wait for: the row of the
// installation is the lock of all writers, and that of audit_head the lock of the
// log.
func TestRecordingKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	storetest.EachConfig(t, func(t *testing.T, cfg sqlstore.Config) {
		var sent []string
		cfg.Before = func(_ context.Context, statement string) error {
			sent = append(sent, statement)
			return nil
		}
		s := storetest.Open(t, cfg)
		batch := make([]store.Interception, 500)
		for i := range batch {
			batch[i] = store.Interception{ID: dbgen.ID(), At: time.Now(), Outcome: store.Complete}
		}
		generation := func() (g int64) {
			if err := s.View(t.Context(), dbgen.Owner, func(tx store.Tx) (err error) { g, err = tx.Changes.Generation(t.Context()); return err }); err != nil {
				t.Fatal(err)
			}
			return g
		}
		entries, before := len(s.Audit(t)), generation()
		sent = nil
		if s.Postgres {
			// While somebody has the lock of writers, who never lets go.
			blocker, err := s.Raw.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = blocker.Rollback() }() // it changed nothing
			if _, err := blocker.ExecContext(t.Context(), "SELECT * FROM installation, audit_head FOR UPDATE"); err != nil {
				t.Fatal(err)
			}
		}
		record(t, s, batch...)
		statements := slices.Clone(sent)
		if len(statements) > 9 && s.Postgres {
			t.Errorf("%d records took %d statements", len(batch), len(statements))
		}
		for _, statement := range statements {
			if strings.Contains(statement, "installation") || strings.Contains(statement, "audit") {
				t.Errorf("it takes part in what others wait for: %.60s", statement)
			}
		}
		if n, g := len(s.Audit(t)), generation(); n != entries || g != before {
			t.Errorf("%d entries and generation %d, were %d and %d", n, g, entries, before)
		}
	})
}

func TestRecordsAreFound(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		ann := dbgen.User(t, s.DB, store.User{Name: "ann"})
		bob := dbgen.User(t, s.DB, store.User{Name: "bob"})
		at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		key, other, token, provider := dbgen.ID(), dbgen.ID(), dbgen.ID(), dbgen.ID()
		recs := map[string]store.Interception{
			"a": {OwnerID: ann.ID, TokenID: token, TokenName: "ci", Provider: "vendor", ProviderID: provider, Model: "m1", Status: 200, Client: "tool/1.2"},
			"b": {OwnerID: ann.ID, TokenName: "ci", Provider: "vendor", Model: "m2", Status: 404, Client: "toolbox/1"},
			"c": {OwnerID: bob.ID, TokenName: "laptop", Provider: "other", Model: "m1", Status: 429, Client: "tool"},
			"d": {OwnerID: bob.ID, Provider: "other", Status: 0, Outcome: store.Unknown, KeyID: key, Attempts: []store.Attempt{{KeyID: key}}},
			"e": {OwnerID: bob.ID, Provider: "vendor", Status: 502, KeyID: other, Attempts: []store.Attempt{{KeyID: key}, {KeyID: other}}},
		}
		names := map[string]string{}
		for i, name := range []string{"a", "b", "c", "d", "e"} {
			rec := recs[name]
			rec.ID, rec.At = dbgen.ID(), at.Add(time.Duration(i)*time.Hour)
			if rec.Outcome == "" {
				rec.Outcome = store.Complete
			}
			names[rec.ID] = name
			record(t, s, rec)
		}
		find := func(who store.Actor, q store.InterceptionQuery) (found string) {
			for _, rec := range recorded(t, s, who, q) {
				found += names[rec.ID]
			}
			return found
		}
		for what, c := range map[string]struct {
			q    store.InterceptionQuery
			want string
		}{
			"all, newest first":            {store.InterceptionQuery{}, "edcba"},
			"by the name of a provider":    {store.InterceptionQuery{Provider: "vendor"}, "eba"},
			"by the id of a provider":      {store.InterceptionQuery{Provider: provider}, "a"},
			"by the name of an owner":      {store.InterceptionQuery{Owner: "ann"}, "ba"},
			"by the id of an owner":        {store.InterceptionQuery{Owner: bob.ID}, "edc"},
			"by an owner that is not":      {store.InterceptionQuery{Owner: "eve"}, ""},
			"by the name of a token":       {store.InterceptionQuery{Token: "ci"}, "ba"},
			"by the id of a token":         {store.InterceptionQuery{Token: token}, "a"},
			"by a model":                   {store.InterceptionQuery{Model: "m1"}, "ca"},
			"by a key that was given up":   {store.InterceptionQuery{KeyID: key}, "ed"},
			"by the key that answered":     {store.InterceptionQuery{KeyID: other}, "e"},
			"by something that is no key":  {store.InterceptionQuery{KeyID: "%"}, ""},
			"by a client of any version":   {store.InterceptionQuery{Client: "tool"}, "ca"},
			"by a client of one version":   {store.InterceptionQuery{Client: "tool/1.2"}, "a"},
			"by one status":                {store.InterceptionQuery{StatusFrom: 429, StatusTo: 429}, "c"},
			"by a class of status":         {store.InterceptionQuery{StatusFrom: 400, StatusTo: 499}, "cb"},
			"by a least status":            {store.InterceptionQuery{StatusFrom: 400}, "ecb"},
			"by an unknown end":            {store.InterceptionQuery{Outcome: store.Unknown}, "d"},
			"by time, from and before":     {store.InterceptionQuery{Since: at.Add(time.Hour), Until: at.Add(3 * time.Hour)}, "cb"},
			"by several":                   {store.InterceptionQuery{Provider: "vendor", Owner: "ann", StatusFrom: 400}, "b"},
			"a few":                        {store.InterceptionQuery{Limit: 2}, "ed"},
			"by what is no text":           {store.InterceptionQuery{Model: "m\x00"}, ""},
			"by what is not UTF-8":         {store.InterceptionQuery{Client: "\xff"}, ""},
			"by an injection":              {store.InterceptionQuery{Model: "' OR '1'='1"}, ""},
			"by a wildcard in a client":    {store.InterceptionQuery{Client: "%"}, ""},
			"by a model in other letters":  {store.InterceptionQuery{Model: "M1"}, ""},
			"by a provider, token, client": {store.InterceptionQuery{Provider: "vendor", Token: "ci", Client: "toolbox"}, "b"},
		} {
			if got := find(dbgen.Owner, c.q); got != c.want {
				t.Errorf("%s: %q, want %q", what, got, c.want)
			}
			// What is shown live is selected without the database.
			c.q.Scope, c.want = store.Scope{All: true}, limited(c.want, c.q.Limit)
			matched := ""
			for _, rec := range recorded(t, s, dbgen.Owner, store.InterceptionQuery{}) {
				if c.q.Match(rec) {
					matched += names[rec.ID]
				}
			}
			if limited(matched, c.q.Limit) != c.want {
				t.Errorf("%s: %q match, want %q", what, matched, c.want)
			}
		}
		member := dbgen.Actor(ann, rbac.ScopeAll)
		for what, c := range map[string]struct {
			q    store.InterceptionQuery
			want string
		}{
			"a member has their own":   {store.InterceptionQuery{}, "ba"},
			"and asks for another's":   {store.InterceptionQuery{Owner: bob.ID}, ""},
			"or all":                   {store.InterceptionQuery{Scope: store.Scope{All: true}}, "ba"},
			"or those of a provider":   {store.InterceptionQuery{Provider: "vendor"}, "ba"},
			"or those of a whole time": {store.InterceptionQuery{Since: at}, "ba"},
		} {
			if got := find(member, c.q); got != c.want {
				t.Errorf("%s: %q, want %q", what, got, c.want)
			}
		}
		if rec := recorded(t, s, member, store.InterceptionQuery{Limit: 1})[0]; rec.OwnerName != "ann" {
			t.Errorf("the owner's name is %q", rec.OwnerName)
		}
	})
}

// limited returns what a limit leaves of a list.
func limited(list string, limit int) string {
	if limit == 0 {
		return list
	}
	return list[:min(limit, len(list))]
}

// Records that came at the same moment are in the order of their ids, and none is
// left out or doubled by pages.
func TestPagesOfRecords(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		var want []string
		for i := range 25 {
			rec := store.Interception{ID: dbgen.ID(), At: at.Add(time.Duration(i/10) * time.Microsecond), Outcome: store.Complete}
			record(t, s, rec)
			want = append(want, rec.ID)
		}
		slices.Reverse(want)
		for _, limit := range []int{1, 7, 25, 100} {
			var got []string
			q := store.InterceptionQuery{Limit: limit}
			for {
				page := recorded(t, s, dbgen.Owner, q)
				for _, rec := range page {
					got = append(got, rec.ID)
				}
				if len(page) < limit {
					break
				}
				q.Before = page[len(page)-1].Mark()
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("by %d (-want +got):\n%s", limit, diff)
			}
		}
	})
}

// The record stays when all that it names is gone.
func TestRecordsOutliveWhatTheyName(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		u := dbgen.User(t, s.DB, store.User{Name: "ann"})
		rec := aRecord(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
		rec.OwnerID = u.ID
		record(t, s, rec)
		if err := s.Update(t.Context(), dbgen.Owner, func(tx store.Tx) error { _, err := tx.Users.Delete(t.Context(), u.ID); return err }); err != nil {
			t.Fatal(err)
		}
		got := recorded(t, s, dbgen.Owner, store.InterceptionQuery{Owner: u.ID})
		if len(got) != 1 || got[0].OwnerName != "" || got[0].TokenName != "laptop" {
			t.Errorf("got %+v", got)
		}
	})
}

func TestPruningTakesTheOldest(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		for i := range 10 {
			record(t, s, store.Interception{ID: dbgen.ID(), At: at.Add(time.Duration(i) * time.Hour), Status: i, Outcome: store.Complete})
		}
		entries := len(s.Audit(t))
		for _, want := range []struct{ removed, left int64 }{{3, 7}, {2, 5}, {0, 5}} {
			var removed int64
			err := s.Update(t.Context(), authn.Archivist, func(tx store.Tx) (err error) {
				removed, err = tx.Interceptions.Prune(t.Context(), at.Add(5*time.Hour), 3)
				return err
			})
			left := recorded(t, s, dbgen.Owner, store.InterceptionQuery{})
			if err != nil || removed != want.removed || int64(len(left)) != want.left || left[len(left)-1].Status != 10-len(left) {
				t.Errorf("removed %d, left %d: %v", removed, len(left), err)
			}
		}
		if n := len(s.Audit(t)); n != entries {
			t.Errorf("%d audit entries were made", n-entries)
		}
	})
}

// A list by token is the same whether the owner of the token is known, or asked for,
// or gone with it.
func TestRecordsOfAToken(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		ann, bob := dbgen.User(t, s.DB, store.User{Name: "ann"}), dbgen.User(t, s.DB, store.User{Name: "bob"})
		one, _ := dbgen.APIKey(t, s.DB, ann, store.APIKey{})
		other, _ := dbgen.APIKey(t, s.DB, ann, store.APIKey{})
		var want []string
		for i := range 6 {
			rec := store.Interception{
				ID: dbgen.ID(), At: time.Date(2030, 1, 1, i/3, 0, 0, 0, time.UTC), OwnerID: ann.ID, TokenID: []string{one.ID, other.ID}[i%2], Outcome: store.Complete,
			}
			record(t, s, rec)
			if rec.TokenID == one.ID {
				want = append([]string{rec.ID}, want...)
			}
		}
		check := func(what string, q store.InterceptionQuery, want []string) {
			t.Helper()
			got := []string{}
			for _, rec := range recorded(t, s, dbgen.Owner, q) {
				got = append(got, rec.ID)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
		check("a token", store.InterceptionQuery{Token: one.ID}, want)
		check("a token and its owner", store.InterceptionQuery{Token: one.ID, Owner: "ann"}, want)
		check("a token and somebody else", store.InterceptionQuery{Token: one.ID, Owner: bob.ID}, []string{})
		check("some of a token", store.InterceptionQuery{Token: one.ID, Limit: 2}, want[:2])
		if err := s.Update(t.Context(), dbgen.Owner, func(tx store.Tx) error { _, err := tx.APIKeys.Delete(t.Context(), one.ID); return err }); err != nil {
			t.Fatal(err)
		}
		check("a token that is gone", store.InterceptionQuery{Token: one.ID}, want)
	})
}

func TestListsOfRecordsUseTheirIndexes(t *testing.T) {
	t.Parallel()
	storetest.EachConfig(t, func(t *testing.T, cfg sqlstore.Config) {
		var sent []string
		cfg.Before = func(_ context.Context, statement string) error {
			sent = append(sent, statement)
			return nil
		}
		s := storetest.Open(t, cfg)
		at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		ids := []string{dbgen.ID(), dbgen.ID(), dbgen.ID(), dbgen.ID()}
		var batch []store.Interception
		for i := range 4000 {
			batch = append(batch, store.Interception{
				ID: dbgen.ID(), At: at.Add(time.Duration(i) * time.Minute), OwnerID: ids[i%4], TokenID: ids[i/4%4],
				Provider: fmt.Sprint("p", i%20), Model: fmt.Sprint("m", i%25), Status: 200, Outcome: store.Complete,
			})
		}
		record(t, s, batch...)
		live, _ := dbgen.APIKey(t, s.DB, dbgen.User(t, s.DB, store.User{Name: "ann"}), store.APIKey{})
		record(t, s, store.Interception{ID: dbgen.ID(), At: at, OwnerID: live.OwnerID, TokenID: live.ID, Outcome: store.Complete})
		byToken, byTokenGone := "interceptions_owner", "interceptions_at"
		if s.Postgres {
			byToken, byTokenGone = "interceptions_token", "interceptions_token"
			if _, err := s.Raw.ExecContext(t.Context(), "ANALYZE"); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct {
			index string
			q     store.InterceptionQuery
		}{
			{"interceptions_at", store.InterceptionQuery{}},
			{"interceptions_at", store.InterceptionQuery{Since: at.Add(time.Hour), Until: at.Add(2 * time.Hour)}},
			{"interceptions_owner", store.InterceptionQuery{Owner: ids[1]}},
			{byTokenGone, store.InterceptionQuery{Token: ids[1]}},
			{byToken, store.InterceptionQuery{Token: live.ID}},
			{"interceptions_provider", store.InterceptionQuery{Provider: "p7"}},
			{"interceptions_model", store.InterceptionQuery{Model: "m7", Provider: "p1"}},
		} {
			c.q.Limit = 50
			sent = nil
			recorded(t, s, dbgen.Owner, c.q)
			statement := sent[slices.IndexFunc(sent, func(s string) bool { return strings.Contains(s, "FROM interceptions") })]
			if c.index == "interceptions_owner" && c.q.Token != "" {
				c.q.Owner = live.OwnerID // as it was found out
			}
			if p := explain(t, s, statement, listArguments(c.q)); !strings.Contains(p, c.index) || strings.Contains(p, "Seq Scan") || strings.Contains(p, "SCAN") {
				t.Errorf("%+v does not use %s:\n%s", c.q, c.index, p)
			}
		}
	})
}

// listArguments are those of the statement that lists what q selects.
func listArguments(q store.InterceptionQuery) []any {
	text := func(at time.Time) string { return at.Format("2006-01-02 15:04:05+00:00") }
	end := time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	since, until := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), end
	if !q.Since.IsZero() {
		since, until = q.Since, q.Until
	}
	return []any{text(since), text(until), text(end), "ffffffff-ffff-ffff-ffff-ffffffffffff", q.Owner, q.Token, "", q.Provider, "", q.Model, 0, 1 << 40, "", "", "", q.Limit}
}
