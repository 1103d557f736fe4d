// Package keyprobe tries keys that an upstream refused, so that those that work
// again are found before a request has to be the trial.
//
// A refused key is tried shortly before the pool would have a request try it, at
// a moment that differs from process to process: what one finds out the others
// hear of, and need not find out themselves. A key is tried by one at a time, and
// few at once. Only refused credentials are tried. Whether there is credit again,
// or a limit is over, only a request shows that costs something.
//
// A Prober is run once; its Run ends all that it began.
package keyprobe

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/gatehousehq/gatehouse/internal/keypool"
	"github.com/gatehousehq/gatehouse/internal/routing"
)

const (
	// look is how often there may be keys to try, and atOnce how many are tried
	// together.
	look   = time.Second
	atOnce = 4
	// within is how long a trial may take.
	within = 10 * time.Second
	// again is how long to wait after a trial that told nothing.
	again = 30 * time.Second
	// lead is how long before the end of a wait a trial begins at the latest.
	lead = 3 * look
	// early is the largest part of a wait that it may begin earlier than that.
	early = 0.2
)

// Config is what a Prober works with. All fields are required.
type Config struct {
	Pool     *keypool.Pool
	Snapshot func() *routing.Snapshot
	// Check tries a key and returns what that says of it; nil is nothing.
	Check func(context.Context, *routing.Provider, *routing.Key) *keypool.Outcome
	Log   *slog.Logger
	Now   func() time.Time
}

// A Prober tries keys.
type Prober struct {
	cfg  Config
	plan map[string]moment // by key id
	free chan struct{}     // one for each trial that may begin
	work sync.WaitGroup
}

// A moment is when to try a key whose wait ends at a time.
type moment struct{ end, at time.Time }

// New returns a Prober.
func New(cfg Config) *Prober {
	p := &Prober{cfg: cfg, plan: map[string]moment{}, free: make(chan struct{}, atOnce)}
	for range atOnce {
		p.free <- struct{}{}
	}
	return p
}

// Run tries keys until ctx is done.
func (p *Prober) Run(ctx context.Context) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	defer p.work.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.look(ctx)
		}
	}
}

// look begins the trials that are due.
func (p *Prober) look(ctx context.Context) {
	due := p.due()
	if len(due) == 0 {
		return
	}
	keys := p.find(due)
	for _, r := range due {
		k, ok := keys[r.KeyID]
		if !ok {
			continue
		}
		select {
		case <-p.free:
		default:
			return // the others are due at the next look, too
		}
		end := p.cfg.Pool.Try(r.KeyID, within+look)
		if end == nil { // a request is at it
			p.free <- struct{}{}
			continue
		}
		p.plan[r.KeyID] = moment{r.Until, p.cfg.Now().Add(again)}
		p.work.Go(func() {
			defer func() { p.free <- struct{}{} }()
			defer end()
			p.try(ctx, k)
		})
	}
}

// due returns the refused keys whose moment has come, those that wait longest
// first, and plans that of the others.
func (p *Prober) due() (due []keypool.Refusal) {
	now := p.cfg.Now()
	refused := p.cfg.Pool.Refused()
	known := make(map[string]bool, len(refused))
	for _, r := range refused {
		known[r.KeyID] = true
		m, ok := p.plan[r.KeyID]
		if !ok || !m.end.Equal(r.Until) {
			m = moment{r.Until, r.Until.Add(-lead - time.Duration(rand.Float64()*early*float64(r.Wait)))}
			p.plan[r.KeyID] = m
		}
		if !now.Before(m.at) {
			due = append(due, r)
		}
	}
	for id := range p.plan {
		if !known[id] {
			delete(p.plan, id)
		}
	}
	slices.SortFunc(due, func(a, b keypool.Refusal) int {
		return cmp.Or(a.Until.Compare(b.Until), cmp.Compare(a.KeyID, b.KeyID))
	})
	return due
}

// A target is a key and where it is tried.
type target struct {
	provider *routing.Provider
	key      *routing.Key
}

// find returns those of the keys that are in use and may be tried.
func (p *Prober) find(due []keypool.Refusal) map[string]target {
	wanted := make(map[string]bool, len(due))
	for _, r := range due {
		wanted[r.KeyID] = true
	}
	now := p.cfg.Now()
	found := map[string]target{}
	for provider := range p.cfg.Snapshot().Providers() {
		if provider.NoProbe || !provider.Enabled || provider.Fault != "" {
			continue
		}
		for i := range provider.Keys {
			k := &provider.Keys[i]
			if wanted[k.ID] && !k.Disabled && !k.Unreadable && (k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt)) {
				found[k.ID] = target{provider, k}
			}
		}
	}
	return found
}

func (p *Prober) try(ctx context.Context, t target) {
	limited, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	o := p.cfg.Check(limited, t.provider, t.key)
	if o == nil || ctx.Err() != nil || o.Reason == keypool.RateLimited {
		return
	}
	p.cfg.Pool.Report(t.key.ID, *o)
	p.cfg.Log.InfoContext(ctx, "refused key tried again", "provider", t.provider.Name, "key_id", t.key.ID, "accepted", o.Reason == "")
}
