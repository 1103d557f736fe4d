package chaos_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gatehousehq/gatehouse/client"
)

// mostKeys is how many keys an editor lets a provider have.
const mostKeys = 9

// An editor changes one provider that is in use, and others beside it. It
// removes no good key and puts none in front, so that the bad ones are tried.
type editor struct {
	w       *world
	u       *upstream
	rng     *rand.Rand
	tempers []string // of the keys that it adds

	keys   []client.ProviderKey
	made   int // keys so far
	beside int // providers so far
}

// edit has an editor for each provider make changes, rate a second together,
// until there were n or ctx is over, and waits for the last.
// The keys that they add are of the tempers.
func (w *world) edit(ctx context.Context, rate, n int, tempers ...string) {
	var work sync.WaitGroup
	if w.editors == nil {
		for _, u := range w.upstreams {
			w.editors = append(w.editors, &editor{w: w, u: u, rng: rand.New(rand.NewPCG(w.planner.seed, uint64(u.index))), tempers: tempers, made: 100})
		}
	}
	for _, e := range w.editors {
		work.Go(func() {
			e.work(ctx, time.Duration(len(w.upstreams))*time.Second/time.Duration(rate), n/len(w.upstreams))
		})
	}
	work.Wait()
}

func (e *editor) work(ctx context.Context, pace time.Duration, n int) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for i := 0; i < n && ctx.Err() == nil; i++ {
		// A change is not cut off when time is up: it would look like a failure.
		if what, err := e.change(context.WithoutCancel(ctx)); err != nil {
			e.w.wrong.add(house, "%s of %s: %v", what, e.u.name, err)
			return
		}
		e.w.count.changes.Add(1)
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// change makes one change, and says which.
func (e *editor) change(ctx context.Context) (what string, err error) {
	if e.keys == nil {
		return "a look", e.look(ctx)
	}
	c, name := e.w.api, e.u.name
	bad := slices.DeleteFunc(slices.Clone(e.keys), func(k client.ProviderKey) bool { return temperOf(k) == good })
	switch d := e.rng.IntN(10); {
	case d < 3 && len(bad) > 1:
		return "a replacement", e.replace(ctx, bad[e.rng.IntN(len(bad))].ID)
	case d < 4 && len(e.keys) < mostKeys:
		k := e.fresh()
		position := int64(1 + e.rng.IntN(3))
		_, err = c.CreateKey(ctx, name, client.AddKey{APIKey: k.value(), Label: k.name, Position: &position})
		e.keys = nil
		return "an addition", err
	case d < 5 && len(bad) > 3:
		err = c.DeleteKey(ctx, name, bad[e.rng.IntN(len(bad))].ID, 0)
		e.keys = nil
		return "a removal", err
	case d < 6 && len(bad) > 0:
		i := e.rng.IntN(len(bad))
		off := !bad[i].Disabled
		_, err = c.UpdateKey(ctx, name, bad[i].ID, 0, client.UpdateKey{Disabled: &off})
		e.keys = nil
		return "a switch", err
	case d < 7 && e.u.api == "openai":
		doc := fmt.Sprintf(`{"_type":"openai","_version":1,"organization":"org-%d"}`, e.rng.IntN(1000))
		_, err = c.UpdateProvider(ctx, name, 0, client.UpdateProvider{Settings: client.Set(json.RawMessage(doc))})
		return "settings", err
	case d < 8:
		_, err = c.UpdateProvider(ctx, name, 0, client.UpdateProvider{DisplayName: client.Set(fmt.Sprintf("Number %d", e.rng.IntN(1000)))})
		return "a name", err
	}
	return "a provider beside", e.another(ctx)
}

func (e *editor) look(ctx context.Context) error {
	e.keys = nil
	for k, err := range e.w.api.Keys(ctx, e.u.name) {
		if err != nil {
			return err
		}
		e.keys = append(e.keys, k)
	}
	return nil
}

// fresh returns a key that there has not been.
func (e *editor) fresh() key {
	e.made++
	return key{e.u.index, fmt.Sprintf("%s-%d", e.tempers[e.rng.IntN(len(e.tempers))], e.made)}
}

// replace gives the provider a new key in the place of one, and all of them in
// another order.
func (e *editor) replace(ctx context.Context, gone string) error {
	order := slices.Clone(e.keys)
	e.rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	slices.SortStableFunc(order, func(a, b client.ProviderKey) int { return strings.Compare(half(b), half(a)) })
	var want []client.KeepOrAdd
	for _, k := range order {
		if k.ID == gone {
			want = append(want, client.KeepOrAdd{APIKey: e.fresh().value()})
		} else {
			want = append(want, client.KeepOrAdd{ID: k.ID})
		}
	}
	p, err := e.w.api.UpdateProvider(ctx, e.u.name, 0, client.UpdateProvider{APIKeys: want})
	e.keys = p.APIKeys
	return err
}

// half puts a good key behind the first bad ones.
func half(k client.ProviderKey) string {
	if temperOf(k) == good || k.ID[len(k.ID)-1] < '4' {
		return "behind"
	}
	return "in front"
}

// temperOf is what the hint says, which ends as the key does.
func temperOf(k client.ProviderKey) string {
	if strings.HasSuffix(k.Hint, goodEnd) {
		return good
	}
	return ""
}

// another makes, renames, switches or removes a provider that nobody uses.
func (e *editor) another(ctx context.Context) error {
	c, name := e.w.api, fmt.Sprintf("beside-%d-%d", e.u.index, e.beside)
	switch d := e.rng.IntN(4); {
	case e.beside == 0 || d == 0:
		e.beside++
		name = fmt.Sprintf("beside-%d-%d", e.u.index, e.beside)
		_, err := c.CreateProvider(ctx, client.CreateProvider{Type: client.OpenAI, Name: name, BaseURL: e.u.url, APIKeys: []string{"sk-" + name}})
		return err
	case d == 1 && e.beside > 1:
		e.beside--
		return c.DeleteProvider(ctx, name, 0)
	case d == 2:
		_, err := c.UpdateProvider(ctx, name, 0, client.UpdateProvider{DisplayName: client.Set(fmt.Sprintf("Number %d", e.rng.IntN(1000)))})
		return err
	default:
		on := e.rng.IntN(2) == 0
		_, err := c.UpdateProvider(ctx, name, 0, client.UpdateProvider{Enabled: &on})
		return err
	}
}
