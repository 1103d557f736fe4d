package recorder_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/recorder"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
	"github.com/gatehousehq/gatehouse/internal/usage"
)

var noon = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

func over(s *storetest.Store, retention time.Duration) *recorder.Recorder {
	return recorder.New(recorder.Config{
		DB: s.DB, Writer: authn.Recorder, Archivist: authn.Archivist, Retention: retention,
		Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return noon },
	})
}

func written(t *testing.T, s *storetest.Store) (out []store.Interception) {
	t.Helper()
	err := s.View(t.Context(), dbgen.Owner, func(tx store.Tx) (err error) {
		out, err = tx.Interceptions.List(t.Context(), store.InterceptionQuery{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRecordsAreWritten(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		whole := usage.Record{
			ID: id(1), TokenID: dbgen.ID(), Token: "laptop", OwnerID: dbgen.ID(), Client: "claude-cli/2.1", ProviderID: dbgen.ID(), Provider: "vendor",
			Model: "m", ActualModel: "m-1", Endpoint: "messages", Path: "messages", Status: 200, Began: noon, FirstByte: time.Millisecond, Duration: time.Second,
			Attempts:     []usage.Attempt{{ProviderID: "p1", Provider: "first", KeyID: "k1", Outcome: "timeout", Began: noon, Duration: time.Second, BilledTwice: true}, {KeyID: "k2", Status: 200, Outcome: "ok", Began: noon}},
			RequestBytes: 1, ResponseBytes: 2, Tokens: usage.Tokens{Input: 3, Output: 4, CacheRead: 5, CacheWrite: 6, Reasoning: 7, Known: true},
		}
		died := usage.Record{ID: id(2), TokenID: whole.TokenID, Began: noon.Add(-time.Hour), Unfinished: true}
		if err := over(s, 0).Write(t.Context(), []usage.Record{whole, died, whole}); err != nil {
			t.Fatal(err)
		}
		want := []store.Interception{{
			ID: id(1), At: noon, TokenID: whole.TokenID, TokenName: "laptop", OwnerID: whole.OwnerID, Client: "claude-cli/2.1", ProviderID: whole.ProviderID, Provider: "vendor",
			KeyID: "k2", Model: "m", ActualModel: "m-1", Endpoint: "messages", Path: "messages", Status: 200, Outcome: store.Complete, FirstByte: time.Millisecond, Duration: time.Second,
			Attempts:     []store.Attempt{{ProviderID: "p1", Provider: "first", KeyID: "k1", Outcome: "timeout", Began: noon, Duration: time.Second, BilledTwice: true}, {KeyID: "k2", Status: 200, Outcome: "ok", Began: noon}},
			RequestBytes: 1, ResponseBytes: 2, Tokens: store.TokenCounts{Input: 3, Output: 4, CacheRead: 5, CacheWrite: 6, Reasoning: 7, Known: true},
		}, {ID: id(2), At: noon.Add(-time.Hour), TokenID: whole.TokenID, Outcome: store.Unknown, Attempts: []store.Attempt{}}}
		if diff := cmp.Diff(want, written(t, s)); diff != "" {
			t.Errorf("what was written (-want +got):\n%s", diff)
		}
	})
}

// No record keeps the others of its batch from being written, whatever is in it.
func TestNoRecordIsInTheWay(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		odd := "a\x00b\xffc\x1b[31m\u202e " + strings.Repeat("é", 1000)
		bad := usage.Record{
			ID: id(1), TokenID: odd, Token: odd, OwnerID: odd, Client: odd, ProviderID: odd, Provider: odd, Model: odd, ActualModel: odd, Endpoint: odd,
			Path: odd, Reason: odd, Status: -1, Began: time.Time{}, Duration: -1, RequestBytes: -1 << 63, Tokens: usage.Tokens{Input: 1<<63 - 1},
		}
		for range 1000 {
			bad.Attempts = append(bad.Attempts, usage.Attempt{KeyID: odd, Outcome: odd})
		}
		batch := []usage.Record{
			bad, {ID: "x", TokenID: "t"}, {TokenID: "t"}, {ID: strings.ToUpper("0190a5a0-0000-7000-8000-00000000000a"), TokenID: "t"},
			{ID: id(3), Began: noon, Status: 401}, rec(2, "a"),
		}
		if err := over(s, 0).Write(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		got := written(t, s)
		if len(got) != 2 {
			t.Fatalf("%d records were written: %+v", len(got), got)
		}
		for _, r := range got {
			for _, text := range []string{r.TokenID, r.TokenName, r.OwnerID, r.Client, r.Provider, r.Model, r.ActualModel, r.Endpoint, r.Path, r.Reason, r.KeyID} {
				if len(text) > 256 || !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\x1b\u202e") {
					t.Errorf("%q was written", text)
				}
			}
			if len(r.Attempts) > 64 {
				t.Errorf("%d attempts were written", len(r.Attempts))
			}
		}
		if err := over(s, 0).Write(t.Context(), []usage.Record{{Status: 401}}); err != nil { // nothing of it
			t.Error(err)
		}
	})
}

var errAway = errors.New("away")

// An error says that the whole batch is to be kept.
func TestADatabaseThatIsAway(t *testing.T) {
	t.Parallel()
	storetest.EachConfig(t, func(t *testing.T, cfg sqlstore.Config) {
		away := 0
		statements := 0
		cfg.Before = func(context.Context, string) error {
			if statements++; away != 0 && statements == away {
				return errAway
			}
			return nil
		}
		s := storetest.Open(t, cfg)
		batch := []usage.Record{rec(1, "a"), rec(2, "a"), rec(3, "a")}
		for away = 1; away <= 3; away++ { // the statements of a batch of three, and the commit
			statements = 0
			if err := over(s, 0).Write(t.Context(), batch); !errors.Is(err, errAway) {
				t.Fatalf("statement %d: %v", away, err)
			}
			n := away
			away = 0
			if got := written(t, s); len(got) != 0 {
				t.Errorf("with a fault at statement %d there are %d", n, len(got))
			}
			away = n
		}
		away = 0
		if err := over(s, 0).Write(t.Context(), batch); err != nil || len(written(t, s)) != 3 {
			t.Errorf("%d records, %v", len(written(t, s)), err)
		}
	})
}

func count(t *testing.T, s *storetest.Store) (n int) {
	t.Helper()
	if err := s.Raw.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM interceptions").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestOldRecordsGo(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		var batch []usage.Record
		for i := range 1300 {
			r := rec(i, "a")
			r.Began = noon.Add(-time.Duration(i) * time.Hour)
			batch = append(batch, r)
		}
		if err := over(s, 0).Write(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		ended, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan struct{})
		go func() { over(s, 100*time.Hour).Run(ended); close(done) }()
		deadline := time.Now().Add(30 * time.Second)
		for count(t, s) != 101 { // those of the hundred hours, and the one at their beginning
			if time.Now().After(deadline) {
				t.Fatalf("%d are left", count(t, s))
			}
			time.Sleep(10 * time.Millisecond)
		}
		cancel()
		<-done
		// Without a retention all stay.
		over(s, 0).Run(t.Context())
		if n := count(t, s); n != 101 {
			t.Errorf("%d are left", n)
		}
	})
}

// A crowd are those whose requests are recorded: 100 people with two tokens each,
// and one provider with one key.
type crowd struct {
	owners, tokens []string
	provider, key  string
}

func newCrowd() crowd {
	c := crowd{provider: dbgen.ID(), key: dbgen.ID()}
	for range 100 {
		c.owners, c.tokens = append(c.owners, dbgen.ID()), append(c.tokens, dbgen.ID(), dbgen.ID())
	}
	return c
}

// typical returns n records like those of every day, from a time on.
func (c crowd) typical(n int, from time.Time) []usage.Record {
	batch := make([]usage.Record, n)
	for i := range batch {
		at := from.Add(time.Duration(i) * 10 * time.Millisecond)
		who := rand.IntN(len(c.tokens))
		batch[i] = usage.Record{
			ID: dbgen.ID(), TokenID: c.tokens[who], Token: "laptop", OwnerID: c.owners[who/2], Client: "claude-cli/2.1.330", ProviderID: c.provider, Provider: "anthropic",
			Model: "claude-sonnet-4-5", ActualModel: "claude-sonnet-4-5-20250929", Endpoint: "messages", Path: "messages", Status: 200, Began: at,
			FirstByte: 400 * time.Millisecond, Duration: 3 * time.Second, RequestBytes: 20_000, ResponseBytes: 4_000,
			Attempts: []usage.Attempt{{KeyID: c.key, Status: 200, Outcome: "ok", Began: at, Duration: 3 * time.Second}},
			Tokens:   usage.Tokens{Input: 12, Output: 400, CacheRead: 9000, CacheWrite: 800, Known: true},
		}
	}
	return batch
}

func BenchmarkWrite(b *testing.B) {
	s := storetest.Open(b, sqlstore.Config{Path: filepath.Join(b.TempDir(), "gatehouse.db")})
	r, c, n := over(s, 0), newCrowd(), 0
	for b.Loop() {
		batch := c.typical(500, noon.Add(time.Duration(n)*10*time.Millisecond))
		if err := r.Write(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
		n += len(batch)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(n), "µs/record")
	var pages, size int64
	for name, v := range map[string]*int64{"page_count": &pages, "page_size": &size} {
		if err := s.Raw.QueryRowContext(b.Context(), "PRAGMA "+name).Scan(v); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(pages*size)/float64(n), "B/record") // with the rest of the database, which is little beside many
}
