package rotation_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/keyring"
	"github.com/gatehousehq/gatehouse/internal/rotation"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbaudit"
	"github.com/gatehousehq/gatehouse/internal/store/dbauthz"
	"github.com/gatehousehq/gatehouse/internal/store/dbcrypt"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

// A replica is a process of the test: its own keys, over the same database.
type replica struct {
	db      *store.DB
	ring    *keyring.Ring
	keeper  *rotation.Keeper
	rotator *rotation.Rotator
	log     *syncBuffer
	stop    func()
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// join adds a replica that has these KEKs. It does nothing by itself until run.
func join(t *testing.T, s *storetest.Store, gone time.Duration, keks ...keyring.KEK) *replica {
	t.Helper()
	r := &replica{ring: keyring.NewRing(s.Backend.Installation(), keks), log: &syncBuffer{}}
	r.db = store.New(s.Backend, dbcrypt.Layer(r.ring, s.Backend.Installation()), dbaudit.Layer(time.Now, nil), dbauthz.Layer)
	reload := func(ctx context.Context) error { return r.ring.Reload(ctx, r.db, authn.Keyholder) }
	if err := reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.db.OnKeysChanged(reload)
	id := dbgen.ID()
	r.keeper, r.rotator = rotation.New(rotation.Config{
		DB: r.db, Ring: r.ring, Self: store.Replica{ID: id, Name: "replica-" + id[len(id)-4:], StartedAt: time.Now()},
		Shared: true, Keyholder: authn.Keyholder, Rotator: authn.Rotator, Gone: gone, Every: time.Millisecond, Batch: 3,
		Log: slog.New(slog.NewTextHandler(r.log, nil)), Now: time.Now,
	})
	if err := r.keeper.Announce(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

// run lets the replica live until the test is over or stop is called.
func (r *replica) run(t *testing.T) *replica {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { r.keeper.Run(ctx) })
	work.Go(func() { r.rotator.Run(ctx) })
	r.stop = sync.OnceFunc(func() { cancel(); work.Wait() })
	t.Cleanup(r.stop)
	return r
}

func newKEK(t *testing.T) keyring.KEK {
	t.Helper()
	k, _, err := keyring.NewLocal()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func request(t *testing.T, db *store.DB, mode store.Rotation) {
	t.Helper()
	if err := db.Update(t.Context(), dbgen.Owner, func(tx store.Tx) error { return rotation.Request(t.Context(), tx, mode) }); err != nil {
		t.Fatal(err)
	}
}

func status(t *testing.T, db *store.DB) (s rotation.Status) {
	t.Helper()
	err := db.View(t.Context(), dbgen.Owner, func(tx store.Tx) (err error) {
		s, err = rotation.Read(t.Context(), tx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// until waits for a condition, which a replica in the background is to bring
// about.
func until(t *testing.T, what string, met func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !met(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func idle(t *testing.T, db *store.DB) func() bool {
	return func() bool { return status(t, db).State == rotation.Idle }
}

// fill makes providers with keys and settings, and returns the secrets by id.
func fill(t *testing.T, s *storetest.Store, n int) map[string]string {
	t.Helper()
	want := map[string]string{}
	for i := range n {
		settings := fmt.Sprintf(`{"_type":"openai","n":%d}`, i)
		p := dbgen.Provider(t, s.DB, store.Provider{Settings: secret.New(settings), SettingsPublic: settings})
		want[p.ID] = settings
		for j := range 2 {
			text := fmt.Sprintf("sk-%d-%d-0123456789-0123456789", i, j)
			want[dbgen.ProviderKey(t, s.DB, store.ProviderKey{ProviderID: p.ID, APIKey: secret.New(text)}).ID] = text
		}
	}
	return want
}

// opened returns every secret as the compiler of a replica opens it.
func opened(t *testing.T, db *store.DB) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := db.View(t.Context(), authn.Compiler, func(tx store.Tx) error {
		clear(got)
		recs, err := tx.Cells.List(t.Context(), store.CellQuery{})
		for _, rec := range recs {
			all, err := tx.Secrets.Open(t.Context(), rec)
			if errors.Is(err, store.ErrUnreadable) {
				got[rec.Ref().ID] = "unreadable"
				continue
			}
			if err != nil {
				return err
			}
			for _, text := range all {
				got[rec.Ref().ID] = text.Reveal()
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func same(t *testing.T, what string, want, got map[string]string) {
	t.Helper()
	if len(want) != len(got) {
		t.Errorf("%s: %d secrets, want %d", what, len(got), len(want))
	}
	for id, text := range want {
		if got[id] != text {
			t.Errorf("%s: secret %s is not what it was", what, id)
		}
	}
}

func TestFullRotationWithThreeReplicas(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		want := fill(t, s, 6)
		first := status(t, s.DB)
		var replicas []*replica
		for range 3 {
			replicas = append(replicas, join(t, s, time.Minute, s.KEKs...).run(t))
		}
		request(t, replicas[2].db, store.FullRotation)
		request(t, replicas[1].db, store.FullRotation) // asks for nothing more
		until(t, "the rotation", idle(t, s.DB))
		now := status(t, s.DB)
		if now.Done != now.Cells || now.Cells != int64(len(want)) || len(now.Keys) != len(first.Keys)+1 {
			t.Errorf("after it: %+v", now)
		}
		for _, k := range now.Keys {
			old := k.Number == first.Keys[0].Number
			if old && (k.Active() || k.WrappedKey != "" || k.RevokedAt.IsZero() || k.Cells != 0) {
				t.Errorf("the old key: %+v", k)
			}
		}
		for i, r := range replicas {
			same(t, fmt.Sprintf("replica %d", i), want, opened(t, r.db))
		}
		var entries []string
		for _, e := range s.Audit(t) {
			if e.Action == "rotate" || e.Resource == "encryption_key" && e.ActorName == authn.Rotator.Name {
				entries = append(entries, fmt.Sprintf("%s %s %s %d", e.ActorName, e.Action, e.Resource, e.Count))
			}
		}
		log := strings.Join(entries, "\n")
		for _, part := range []string{dbgen.Owner.Name + " rotate encryption_key 1", "rotator create encryption_key 1", "rotator rotate encryption_key 1", "rotator rotate ai_provider_key 3", "rotator rotate ai_provider 3"} {
			if !strings.Contains(log, part) {
				t.Errorf("the log lacks %q:\n%s", part, log)
			}
		}
	})
}

// When the KEK alone changes, data keys are wrapped again and no cell is touched.
func TestRewrapTouchesNoCell(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		want := fill(t, s, 2)
		fresh := newKEK(t)
		r := join(t, s, time.Minute, fresh, s.KEKs[0]).run(t)
		before := cells(t, s)
		request(t, r.db, store.Rewrap)
		until(t, "the rotation", idle(t, s.DB))
		for _, k := range status(t, s.DB).Keys {
			if k.KEKID != fresh.ID() {
				t.Errorf("data key %d is wrapped by %s", k.Number, k.KEKID)
			}
		}
		if after := cells(t, s); after != before {
			t.Error("cells were touched")
		}
		same(t, "afterwards", want, opened(t, r.db))

		// The old one is not needed any more, and not let back in.
		alone := keyring.NewRing(s.Backend.Installation(), []keyring.KEK{fresh})
		if err := alone.Reload(t.Context(), r.db, authn.Keyholder); err != nil {
			t.Errorf("with the new KEK alone: %v", err)
		}
		back := keyring.NewRing(s.Backend.Installation(), []keyring.KEK{s.KEKs[0], fresh})
		if _, ok := errors.AsType[*keyring.RetiredKEKError](back.Reload(t.Context(), r.db, authn.Keyholder)); !ok {
			t.Error("a retired KEK is taken as the first")
		}
	})
}

func cells(t *testing.T, s *storetest.Store) string {
	t.Helper()
	var out strings.Builder
	for _, query := range []string{"SELECT id, api_key FROM ai_provider_keys ORDER BY id", "SELECT id, settings FROM ai_providers ORDER BY id"} {
		rows, err := s.Raw.QueryContext(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var id string
			var cell []byte
			if err := rows.Scan(&id, &cell); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&out, "%s %x\n", id, cell)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}

// However soon a silent replica is taken for gone, one that lives says so sooner.
func TestALiveReplicaIsNotTakenForGone(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		const gone = time.Second
		now := time.Now()
		keeper, _ := rotation.New(rotation.Config{
			DB: s.DB, Ring: s.Ring, Self: store.Replica{ID: dbgen.ID(), Name: "replica", StartedAt: now}, Shared: true,
			Keyholder: authn.Keyholder, Rotator: authn.Rotator, Gone: gone,
			Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now },
		})
		if err := keeper.Announce(t.Context()); err != nil {
			t.Fatal(err)
		}
		said := status(t, s.DB).Replicas[0].SeenAt
		now = now.Add(gone / 2)
		keeper.Look(t.Context())
		if again := status(t, s.DB).Replicas[0].SeenAt; !again.After(said) {
			t.Errorf("half of the time is over after which it is taken for gone, and it has said nothing")
		}
	})
}

// No step is taken that a live replica could not follow; one that is gone is not
// waited for.
func TestEveryLiveReplicaIsWaitedFor(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		want := fill(t, s, 2)
		fresh := newKEK(t)
		leader := join(t, s, 2*time.Second, fresh, s.KEKs[0]).run(t)
		lacks := join(t, s, 2*time.Second, s.KEKs[0]).run(t) // the new KEK
		request(t, leader.db, store.Rewrap)
		until(t, "the leader to say what it waits for", func() bool { return strings.Contains(leader.log.String(), "is not at every replica") })
		for _, k := range status(t, s.DB).Keys {
			if k.KEKID != s.KEKs[0].ID() {
				t.Error("a data key was wrapped by a KEK that a replica lacks")
			}
		}
		same(t, "the replica that lacks it", want, opened(t, lacks.db))
		lacks.stop() // says good-bye
		until(t, "the rotation", idle(t, s.DB))

		asleep := join(t, s, time.Minute, fresh) // does not run: it will not report
		request(t, leader.db, store.FullRotation)
		until(t, "the leader to wait for the sleeper", func() bool { return strings.Contains(leader.log.String(), "is not at every replica yet") })
		if got := status(t, s.DB); got.State != rotation.Distributing || got.Done != got.Cells {
			t.Errorf("with a replica that does not report: %+v", got)
		}
		until(t, "the rotation without the sleeper", idle(t, s.DB))
		same(t, "the sleeper, awake", want, opened(t, asleep.db))
	})
}

// What does not open stays as it is and keeps the old data key in use, and is
// said; everything else goes on.
func TestUnreadableSecretsKeepTheOldKey(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *storetest.Store) {
		want := fill(t, s, 2)
		var lost string
		for id, text := range want {
			if strings.HasPrefix(text, "sk-") {
				lost = id
			}
		}
		s.Exec(t, "UPDATE ai_provider_keys SET secret_revision = 9 WHERE id = $1", lost)
		r := join(t, s, time.Minute, s.KEKs...).run(t)
		request(t, r.db, store.FullRotation)
		until(t, "what cannot be sealed again to be said", func() bool { return strings.Contains(r.log.String(), "1 secrets do not open") })
		got := status(t, s.DB)
		if got.State != rotation.Resealing || got.Done != got.Cells-1 {
			t.Errorf("with a secret that does not open: %+v", got)
		}
		want[lost] = "unreadable"
		same(t, "meanwhile", want, opened(t, r.db))
		until(t, "the other replicas to see it", func() bool { return strings.Contains(status(t, s.DB).Replicas[0].KeyError, "do not open") })
		err := s.Update(t.Context(), dbgen.Owner, func(tx store.Tx) error {
			_, err := tx.ProviderKeys.Update(t.Context(), lost, func(k *store.ProviderKey) error { k.APIKey = secret.New("sk-again-0123456789"); return nil })
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		until(t, "the rotation", idle(t, s.DB))
		want[lost] = "sk-again-0123456789"
		same(t, "afterwards", want, opened(t, r.db))
	})
}

// A fault at any statement, and in place of a commit, stops a rotation; whoever
// comes next finishes it. Edits go on meanwhile.
func TestARotationGoesOnAfterEveryFault(t *testing.T) {
	t.Parallel()
	storetest.EachConfig(t, func(t *testing.T, cfg sqlstore.Config) {
		var mu sync.Mutex
		left, armed := 0, false
		cfg.Before = func(context.Context, string) error {
			mu.Lock()
			defer mu.Unlock()
			if !armed {
				return nil
			}
			if left--; left >= 0 {
				return nil
			}
			armed = false
			return errors.New("fault")
		}
		arm := func(n int) {
			mu.Lock()
			left, armed = n, true
			mu.Unlock()
		}
		disarm := func() (hit bool) {
			mu.Lock()
			defer mu.Unlock()
			hit, armed = !armed, false
			return hit
		}
		s := storetest.Open(t, cfg)
		want := fill(t, s, 2)
		faults := 0
		for n := 0; ; n += 1 + n/16 {
			request(t, s.DB, store.FullRotation)
			first := join(t, s, time.Minute, s.KEKs...)
			arm(n)
			done := first.steps(t)
			hit := disarm()
			first.leave(t)
			if !hit {
				if !done {
					t.Error("without a fault the rotation is not finished")
				}
				break
			}
			faults++
			same(t, fmt.Sprintf("after a fault at statement %d", n), want, opened(t, first.db))
			second := join(t, s, time.Minute, s.KEKs...)
			if !second.steps(t) {
				t.Fatalf("after a fault at statement %d the rotation is not finished: %s", n, second.log)
			}
			second.leave(t)
			same(t, fmt.Sprintf("after a fault at statement %d, finished", n), want, opened(t, second.db))
			if got := status(t, s.DB); got.Done != got.Cells {
				t.Errorf("after a fault at statement %d: %+v", n, got)
			}
		}
		t.Logf("%d faults", faults)
		if faults < 20 {
			t.Errorf("%d faults only", faults)
		}
	})
}

// steps takes steps until there is none left or one fails, and reports whether
// the rotation is finished.
func (r *replica) steps(t *testing.T) bool {
	t.Helper()
	for {
		more, err := r.rotator.Step(t.Context())
		if err != nil {
			return false
		}
		if !more {
			return true
		}
	}
}

// leave takes back that the replica is there.
func (r *replica) leave(t *testing.T) {
	t.Helper()
	err := r.db.Update(t.Context(), authn.Keyholder, func(tx store.Tx) error {
		return tx.Replicas.Forget(t.Context(), "", time.Now().Add(time.Hour))
	})
	if err != nil {
		t.Fatal(err)
	}
}
