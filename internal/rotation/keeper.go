// Package rotation replaces the encryption keys of an installation while it
// serves, with any number of replicas.
//
// A [Keeper] in each replica loads new data keys as they come, and says which it
// has. A [Rotator] takes the steps of a rotation, each a transaction of its own:
//
//  1. the data keys are wrapped by the newest KEK, once every replica has it;
//  2. a new data key is added, under which nothing is sealed yet;
//  3. it becomes the primary, once every live replica has it;
//  4. what is sealed under older ones is sealed again, batch by batch;
//  5. older ones are retired, once nothing is sealed under them.
//
// Which step is next is read from the rows of dbcrypt_keys and nowhere else, so
// a rotation goes on after a crash, and it does no harm when two processes take
// the same step. The oldest live replica does; the others look on.
package rotation

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/gatehousehq/gatehouse/internal/keyring"
	"github.com/gatehousehq/gatehouse/internal/store"
)

const (
	// beatEvery is how often a replica says that it lives, or more often if it would
	// be taken for gone otherwise.
	beatEvery = 3 * time.Second
	// beatsMissed is how many times in a row a replica that lives may fail to.
	beatsMissed = 3
	// forgetAfter is when a replica that said no good-bye is forgotten.
	forgetAfter = 24 * time.Hour
	// loadTime bounds loading the data keys, for which a KEK may be asked.
	loadTime = time.Minute
)

// Config is what Keeper and Rotator work with.
type Config struct {
	DB   *store.DB
	Ring *keyring.Ring
	// Self is this process: all but its keys.
	Self store.Replica
	// Shared is whether other replicas can use the same database.
	Shared bool
	// Keyholder and Rotator are whom the two act as.
	Keyholder, Rotator store.Actor
	// Gone is how long a replica may be silent before nobody waits for it.
	Gone time.Duration
	// Every is how often to look; 0 is each second, or more often if Gone is short.
	Every time.Duration
	// Batch is how many records are sealed again in one transaction; 0 is 3: what
	// else is to be done by this processor or written waits for no more.
	Batch int
	Log   *slog.Logger
	// Now is the clock.
	Now func() time.Time
}

// A Keeper keeps the data keys of this process in step with the database's. It
// is announced first, and run once.
type Keeper struct {
	cfg     Config
	trouble *trouble

	said   store.Replica // what was said last
	saidAt time.Time
	silent bool // whether the last try failed
}

// trouble is what this replica says of itself beside its keys.
type trouble struct {
	mu   sync.Mutex
	text string
}

func (t *trouble) set(text string) {
	t.mu.Lock()
	t.text = text
	t.mu.Unlock()
}

func (t *trouble) get() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text
}

// New returns the two halves.
func New(cfg Config) (*Keeper, *Rotator) {
	if cfg.Every == 0 {
		cfg.Every = time.Second
		if cfg.Gone > 0 {
			cfg.Every = min(cfg.Every, cfg.Gone/beatsMissed)
		}
	}
	if cfg.Batch == 0 {
		cfg.Batch = 3
	}
	t := &trouble{}
	return &Keeper{cfg: cfg, trouble: t}, &Rotator{
		cfg: cfg, trouble: t, kicked: make(chan struct{}, 1), seen: map[string]sighting{},
	}
}

// Announce says that this replica is there, before it serves. On a database of
// its own it is the only one there can be.
func (k *Keeper) Announce(ctx context.Context) error {
	before := k.cfg.Now().Add(-forgetAfter)
	if !k.cfg.Shared {
		before = k.cfg.Now().Add(forgetAfter)
	}
	err := k.cfg.DB.Update(ctx, k.cfg.Keyholder, func(tx store.Tx) error { return tx.Replicas.Forget(ctx, "", before) })
	if err != nil {
		return err
	}
	return k.say(ctx, "")
}

// Run looks for new data keys until ctx is done, and says good-bye.
func (k *Keeper) Run(ctx context.Context) {
	tick := time.NewTicker(k.cfg.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			// Best effort: the others notice it by themselves.
			_ = k.cfg.DB.Update(ctx, k.cfg.Keyholder, func(tx store.Tx) error {
				return tx.Replicas.Forget(ctx, k.cfg.Self.ID, k.cfg.Now().Add(-forgetAfter))
			})
			return
		case <-tick.C:
			k.look(ctx)
		}
	}
}

// look loads the data keys if they changed, and says so.
func (k *Keeper) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, loadTime)
	defer cancel()
	err := k.load(ctx)
	if ctx.Err() != nil {
		return
	}
	keyError := k.trouble.get()
	if err != nil {
		keyError = err.Error()
	}
	if sayErr := k.say(ctx, keyError); err == nil {
		err = sayErr
	}
	// One line when it begins and one when it ends, not one a tick.
	if err != nil && !k.silent {
		k.cfg.Log.WarnContext(ctx, "the newest data keys could not be loaded, or that they were could not be said", "error", err)
	} else if err == nil && k.silent {
		k.cfg.Log.InfoContext(ctx, "data keys up to date again")
	}
	k.silent = err != nil
}

func (k *Keeper) load(ctx context.Context) error {
	var epoch int64
	err := k.cfg.DB.View(ctx, k.cfg.Keyholder, func(tx store.Tx) (err error) {
		epoch, err = tx.Changes.KeyEpoch(ctx)
		return err
	})
	if err != nil || epoch == k.cfg.Ring.Current().Epoch {
		return err
	}
	return k.cfg.Ring.Reload(ctx, k.cfg.DB, k.cfg.Keyholder)
}

// say writes down how this replica is, if that is news or it is time. Who is
// alone need not say that they live.
func (k *Keeper) say(ctx context.Context, keyError string) error {
	r := k.cfg.Self
	r.KeyEpoch, r.KEKs, r.KeyError = k.cfg.Ring.Current().Epoch, store.SetOf(k.cfg.Ring.KEKs()...), keyError
	now := k.cfg.Now()
	if r == k.said && (!k.cfg.Shared || now.Sub(k.saidAt) < min(beatEvery, k.cfg.Gone/beatsMissed)) {
		return nil
	}
	if err := k.cfg.DB.Update(ctx, k.cfg.Keyholder, func(tx store.Tx) error { return tx.Replicas.Beat(ctx, r) }); err != nil {
		return err
	}
	k.said, k.saidAt = r, now
	return nil
}
