package lastuse_test

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/lastuse"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

// rows are a provider key and a token to use.
type rows struct {
	s          *storetest.Store
	key, token string
}

func seed(t *testing.T, s *storetest.Store) rows {
	t.Helper()
	p := dbgen.Provider(t, s.DB, store.Provider{})
	owner := dbgen.User(t, s.DB, store.User{Roles: store.SetOf(string(rbac.Owner))})
	tok, _ := dbgen.APIKey(t, s.DB, owner, store.APIKey{})
	return rows{s, dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: p.ID}).ID, tok.ID}
}

// used returns when the key and the token were last used, as it is stored.
func (r rows) used(t *testing.T) (key, token time.Time) {
	t.Helper()
	err := r.s.View(t.Context(), dbgen.Owner, func(tx store.Tx) error {
		k, err := tx.ProviderKeys.Get(t.Context(), r.key)
		if err != nil {
			return err
		}
		a, err := tx.APIKeys.Get(t.Context(), r.token)
		key, token = k.LastUsedAt, a.LastUsedAt
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return key, token
}

var noon = time.Date(2030, 1, 1, 12, 0, 0, 123456789, time.UTC)

// kept is noon as it is stored: to the microsecond.
var kept = noon.Truncate(time.Microsecond)

func TestFlushWritesTheLastUse(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		r := seed(t, s)
		rec := lastuse.New(s.DB, authn.Recorder, slog.New(slog.DiscardHandler))
		entries := len(s.Audit(t))
		rec.Flush(t.Context()) // of nothing
		rec.Key(r.key, noon.Add(-time.Hour))
		rec.Key(r.key, noon)
		rec.Key(r.key, noon.Add(-time.Minute)) // one that comes late does not count
		rec.Token(r.token, noon.Add(time.Second))
		rec.Key("", noon)
		rec.Token("", noon)
		if key, token := r.used(t); !key.IsZero() || !token.IsZero() {
			t.Errorf("before the flush: %s, %s", key, token)
		}
		rec.Flush(t.Context())
		if key, token := r.used(t); !key.Equal(kept) || !token.Equal(kept.Add(time.Second)) {
			t.Errorf("after it: %s, %s", key, token)
		}
		if n := len(s.Audit(t)); n != entries {
			t.Errorf("it left %d audit entries", n-entries)
		}
	})
}

func TestFlushWritesOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		r := seed(t, s)
		rec := lastuse.New(s.DB, authn.Recorder, slog.New(slog.DiscardHandler))
		rec.Key(r.key, noon)
		rec.Flush(t.Context())
		s.Exec(t, "UPDATE ai_provider_keys SET last_used_at = NULL")
		rec.Flush(t.Context())
		rec.Key(r.key, noon) // no later
		rec.Flush(t.Context())
		if key, _ := r.used(t); !key.IsZero() {
			t.Error("what was written was written again")
		}
		rec.Key(r.key, noon.Add(time.Minute))
		rec.Flush(t.Context())
		if key, _ := r.used(t); !key.Equal(kept.Add(time.Minute)) {
			t.Errorf("a later use: %s", key)
		}
	})
}

func TestWhatCouldNotBeWrittenIsTriedAgain(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		r := seed(t, s)
		var log bytes.Buffer
		rec := lastuse.New(s.DB, authn.Recorder, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
		rec.Key(r.key, noon)
		rec.Token(r.token, noon)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		rec.Flush(gone)
		if key, token := r.used(t); !key.IsZero() || !token.IsZero() {
			t.Fatalf("written in a context that is over: %s, %s", key, token)
		}
		if log.Len() == 0 {
			t.Error("the failure is not in the log")
		}
		rec.Flush(t.Context())
		if key, token := r.used(t); !key.Equal(kept) || !token.Equal(kept) {
			t.Errorf("at the next flush: %s, %s", key, token)
		}
	})
}

func TestOneThatIsGoneKeepsNoOtherBack(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		r := seed(t, s)
		rec := lastuse.New(s.DB, authn.Recorder, slog.New(slog.DiscardHandler))
		for range 8 { // whatever order they are taken in
			rec.Key(dbgen.ID(), noon)
			rec.Token(dbgen.ID(), noon)
		}
		rec.Key(r.key, noon)
		rec.Token(r.token, noon)
		rec.Flush(t.Context())
		if key, token := r.used(t); !key.Equal(kept) || !token.Equal(kept) {
			t.Errorf("got %s, %s", key, token)
		}
	})
}

func TestRecorderMayDoNothingElse(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		r := seed(t, s)
		rec := lastuse.New(s.DB, authn.Compiler, slog.New(slog.DiscardHandler)) // an actor without the right
		rec.Key(r.key, noon)
		rec.Flush(t.Context())
		if key, _ := r.used(t); !key.IsZero() {
			t.Error("an actor without the right wrote")
		}
	})
}

func TestUsesAreNotedFromManyPlacesAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		r := seed(t, s)
		rec := lastuse.New(s.DB, authn.Recorder, slog.New(slog.DiscardHandler))
		var wg sync.WaitGroup
		const users, times = 8, 200
		for u := range users {
			wg.Go(func() {
				for i := range times {
					at := noon.Add(time.Duration(i*users+u) * time.Millisecond)
					rec.Key(r.key, at)
					rec.Token(r.token, at)
				}
			})
		}
		for range 5 {
			rec.Flush(t.Context())
		}
		wg.Wait()
		rec.Flush(t.Context())
		want := kept.Add((users*times - 1) * time.Millisecond)
		if key, token := r.used(t); !key.Equal(want) || !token.Equal(want) {
			t.Errorf("got %s, %s, want %s", key, token, want)
		}
	})
}

// A notingBackend stands in for a database, which synctest cannot wait for.
type notingBackend struct {
	mu   sync.Mutex
	uses []store.Use
}

func (b *notingBackend) View(context.Context, func(store.Tx) error) error { return nil }

func (b *notingBackend) Update(ctx context.Context, fn func(store.Tx) error) (int64, error) {
	return 0, fn(store.Tx{LastUse: b})
}

func (b *notingBackend) Touch(ctx context.Context, uses []store.Use) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.uses = append(b.uses, uses...)
	return ctx.Err()
}

func (b *notingBackend) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.uses)
}

func TestRunWritesEverySoOftenAndALastTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &notingBackend{}
		pass := func(_ store.Actor, tx store.Tx) store.Tx { return tx }
		rec := lastuse.New(store.New(b, pass, pass, pass), authn.Recorder, slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			rec.Run(ctx, 30*time.Second)
		}()
		rec.Key("k", noon)
		time.Sleep(29 * time.Second)
		synctest.Wait()
		if n := b.count(); n != 0 {
			t.Errorf("%d writes before it is time", n)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := b.count(); n != 1 {
			t.Errorf("%d writes at its time, want 1", n)
		}
		rec.Token("t", noon)
		stop()
		<-done
		if n := b.count(); n != 2 {
			t.Errorf("%d writes at the end, want 2", n)
		}
	})
}
