package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/catalog"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
)

const (
	// testsAtOnce is how many keys are tried together, keyTestTime how long one may
	// take, and testTime how long all of them.
	testsAtOnce = 8
	keyTestTime = 10 * time.Second
	testTime    = time.Minute
	// drainTime is how long to wait for requests with an old key if nobody says.
	drainTime = 30 * time.Second
)

func (a *api) registerKeyTests() {
	register(a, huma.Operation{
		OperationID: "test-provider", Method: http.MethodPost, Path: providersPath + "/{provider}/test", Tags: []string{"Providers"},
		Summary:     "Try the keys of a provider",
		Description: "Lists the models of the provider with each of its keys, those that are switched off among them, and says what came of it. The gateway goes by it, too: a key that is refused is left out. Nothing is stored. It takes the permission to change the provider.",
		Errors:      []int{404},
	}, a.testProvider)
	register(a, huma.Operation{
		OperationID: "test-new-provider", Method: http.MethodPost, Path: providersPath + "/test", Tags: []string{"Providers"},
		Summary:     "Try a provider before it is added",
		Description: "Takes what adding it takes, and refuses what that refuses. Then lists the models of the provider with each of the keys, and says what came of it. Nothing is stored. It takes the permission to add the provider.",
		Errors:      []int{400, 409, 413, 415},
	}, a.testNewProvider)
	register(a, huma.Operation{
		OperationID: "rotate-provider-key", Method: http.MethodPost, Path: keysPath + "/{id}/rotate", Tags: []string{"Provider keys"},
		Summary:     "Put another key in the place of one",
		Description: "Tries the new key; if it is not accepted nothing changes. Then the new key takes the position, weight and label of the old one, which gets no more requests; when those under way are over, or drain_seconds are, the old one is removed. No request fails for it.",
		Errors:      []int{400, 404, 409, 412, 413, 415},
	}, a.rotateKey)
}

type testProviderOutput struct{ Body client.ProviderTest }

func (a *api) testProvider(ctx context.Context, who store.Actor, in *ProviderPath) (*testProviderOutput, error) {
	var p store.Provider
	var keys []store.ProviderKey
	err := a.DB.Update(ctx, who, func(tx store.Tx) (err error) {
		p, keys, err = catalog.Testable(ctx, tx, in.Provider)
		return err
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, testTime)
	defer cancel()
	if len(keys) == 0 {
		t := a.testKey(ctx, p.Name, "")
		return &testProviderOutput{client.ProviderTest{OK: t.OK, Keys: []client.KeyTest{t}}}, nil
	}
	out := client.ProviderTest{OK: true, Keys: tryAll(keys, func(k store.ProviderKey) client.KeyTest {
		t := a.testKey(ctx, p.Name, k.ID)
		t.KeyID, t.Label, t.Hint = k.ID, k.Label, k.Hint
		return t
	})}
	for i, t := range out.Keys {
		out.OK = out.OK && (t.OK || keys[i].Disabled)
	}
	return &testProviderOutput{out}, nil
}

// tryAll tries keys, several at a time, and returns what came of each.
func tryAll[K any](keys []K, try func(K) client.KeyTest) []client.KeyTest {
	out := make([]client.KeyTest, len(keys))
	var work sync.WaitGroup
	free := make(chan struct{}, testsAtOnce)
	for i, k := range keys {
		free <- struct{}{}
		work.Go(func() {
			defer func() { <-free }()
			out[i] = try(k)
		})
	}
	work.Wait()
	return out
}

// testNewProvider tries a provider that is not stored. What can be refused is refused
// before a key leaves for it.
func (a *api) testNewProvider(ctx context.Context, who store.Actor, in *createProviderInput) (*testProviderOutput, error) {
	n := in.provider()
	var p store.Provider
	err := a.DB.Update(ctx, who, func(tx store.Tx) (err error) {
		if p, err = a.Rules.Create(ctx, tx, n); err != nil {
			return err
		}
		return errRehearsed
	})
	if !errors.Is(err, errRehearsed) {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, testTime)
	defer cancel()
	keys := n.APIKeys
	if len(keys) == 0 {
		keys = []secret.Text{{}}
	}
	out := client.ProviderTest{OK: true, Keys: tryAll(keys, func(k secret.Text) client.KeyTest {
		ctx, cancel := context.WithTimeout(ctx, keyTestTime)
		defer cancel()
		return a.TestDraft(ctx, p, n.Settings, k)
	})}
	for _, t := range out.Keys {
		out.OK = out.OK && t.OK
	}
	return &testProviderOutput{out}, nil
}

func (a *api) testKey(ctx context.Context, provider, keyID string) client.KeyTest {
	ctx, cancel := context.WithTimeout(ctx, keyTestTime)
	defer cancel()
	return a.TestKey(ctx, provider, keyID)
}

type rotateKeyInput struct {
	KeyPath
	Precondition
	Body struct {
		APIKey       secret.Text `json:"api_key" doc:"The new key. It is sealed at once and cannot be read back."`
		SkipTest     *bool       `json:"skip_test,omitempty" doc:"Whether not to try the new key: for a provider that has no list of models."`
		DrainSeconds *int64      `json:"drain_seconds,omitempty" minimum:"0" maximum:"300" doc:"How long to wait for requests with the old key; left out: 30."`
	}
}

type rotateKeyOutput struct {
	ETag string `header:"ETag" doc:"The revision of the provider."`
	Body client.KeyRotation
}

// errRehearsed ends a transaction that was run to see whether it would be refused.
var errRehearsed = errors.New("rehearsed")

func (a *api) rotateKey(ctx context.Context, who store.Actor, in *rotateKeyInput) (*rotateKeyOutput, error) {
	revision, err := in.revision()
	if err != nil {
		return nil, err
	}
	// What can be refused is refused before the key leaves for the provider, and
	// before anything is changed.
	var p store.Provider
	err = a.DB.Update(ctx, who, func(tx store.Tx) error {
		if _, err := catalog.ReplaceKey(ctx, tx, in.Provider, in.ID, revision, in.Body.APIKey); err != nil {
			return err
		}
		if p, _, err = catalog.Testable(ctx, tx, in.Provider); err != nil {
			return err
		}
		if err := catalog.DeleteKey(ctx, tx, in.Provider, in.ID, catalog.AnyRevision); err != nil {
			return err
		}
		return errRehearsed
	})
	if !errors.Is(err, errRehearsed) {
		return nil, a.withCurrent(ctx, who, in.Provider, err)
	}
	out := client.KeyRotation{Replaced: in.ID}
	if !orZero(in.Body.SkipTest) {
		t := a.testSecret(ctx, p.Name, in.Body.APIKey)
		if !t.OK {
			return nil, &store.InvalidError{Field: "api_key", Reason: fmt.Sprintf("did not pass the test (%s), and nothing was changed. %s Set skip_test to replace the key all the same", t.Class, t.Message)}
		}
		out.Test = &t
	}
	added, err := a.withKey(ctx, who, in.Provider, a.DB.Update, func(tx store.Tx) (store.ProviderKey, error) {
		return catalog.ReplaceKey(ctx, tx, in.Provider, in.ID, revision, in.Body.APIKey)
	})
	if err != nil {
		return nil, err
	}
	out.Drained = a.drain(ctx, in.ID, in.Body.DrainSeconds)
	// The client may have left; the old key goes all the same.
	ctx = context.WithoutCancel(ctx)
	removed, err := a.withKey(ctx, who, in.Provider, a.DB.Update, func(tx store.Tx) (store.ProviderKey, error) {
		err := catalog.DeleteKey(ctx, tx, in.Provider, in.ID, catalog.AnyRevision)
		if err != nil && !errors.Is(err, store.ErrNotFound) { // somebody else removed it
			return store.ProviderKey{}, err
		}
		return catalog.GetKey(ctx, tx, in.Provider, added.Body.ID)
	})
	if err != nil {
		return nil, err
	}
	out.Key = removed.Body
	return &rotateKeyOutput{ETag: removed.ETag, Body: out}, nil
}

func (a *api) testSecret(ctx context.Context, provider string, key secret.Text) client.KeyTest {
	ctx, cancel := context.WithTimeout(ctx, keyTestTime)
	defer cancel()
	return a.TestSecret(ctx, provider, key)
}

func (a *api) drain(ctx context.Context, keyID string, seconds *int64) bool {
	wait := drainTime
	if seconds != nil {
		wait = time.Duration(*seconds) * time.Second
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), wait)
	defer cancel()
	return a.Drain(ctx, keyID)
}
