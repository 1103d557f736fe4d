package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/catalog"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
)

const keysPath = providersPath + "/{provider}/keys"

// A KeyPath is the provider key that a route is about.
type KeyPath struct {
	ProviderPath
	ID string `path:"id" maxLength:"64" doc:"The id of the key."`
}

// A KeyState is what the gateway thinks of a key.
type KeyState struct {
	State  client.KeyState
	Reason string    // why it is cooling or failed
	Until  time.Time // when it is tried again; zero: it is neither
	// LastError is nil if the provider has not turned it away lately.
	LastError *client.KeyError
	// Limits are the models that it is limited for by themselves.
	Limits []client.LimitedModel
}

type keyOutput struct {
	ETag     string `header:"ETag" doc:"The revision of the provider."`
	Location string `header:"Location"`
	Body     client.ProviderKey
}

func (a *api) registerKeys() {
	register(a, huma.Operation{
		OperationID: "list-provider-keys", Method: http.MethodGet, Path: keysPath, Tags: []string{"Provider keys"},
		Summary: "List the keys of a provider", Description: "In failover order.", Errors: []int{404},
	}, a.listKeys)
	register(a, huma.Operation{
		OperationID: "add-provider-key", Method: http.MethodPost, Path: keysPath, Tags: []string{"Provider keys"},
		Summary: "Add a key to a provider", Description: "In force when the answer comes.",
		DefaultStatus: http.StatusCreated, Errors: []int{400, 404, 409, 412, 413, 415},
	}, a.addKey)
	register(a, huma.Operation{
		OperationID: "get-provider-key", Method: http.MethodGet, Path: keysPath + "/{id}", Tags: []string{"Provider keys"},
		Summary: "Get a key of a provider", Description: "The key itself cannot be read back.", Errors: []int{404},
	}, a.getKey)
	register(a, huma.Operation{
		OperationID: "update-provider-key", Method: http.MethodPatch, Path: keysPath + "/{id}", Tags: []string{"Provider keys"},
		Summary: "Change a key of a provider", Description: "What is left out stays. The key itself cannot be changed: add another and remove this one.",
		Errors: []int{400, 404, 412, 413, 415},
	}, a.updateKey)
	register(a, huma.Operation{
		OperationID: "remove-provider-key", Method: http.MethodDelete, Path: keysPath + "/{id}", Tags: []string{"Provider keys"},
		Summary: "Remove a key from a provider", DefaultStatus: http.StatusNoContent, Errors: []int{404, 412},
	}, a.deleteKey)
}

type listKeysInput struct {
	ProviderPath
	PageInput
}

type listKeysOutput struct {
	Body client.Page[client.ProviderKey]
}

func (a *api) listKeys(ctx context.Context, who store.Actor, in *listKeysInput) (*listKeysOutput, error) {
	after, err := in.after(isPositionAndID)
	if err != nil {
		return nil, err
	}
	var p store.Provider
	var keys []store.ProviderKey
	err = a.DB.View(ctx, who, func(tx store.Tx) (err error) {
		if p, err = catalog.Get(ctx, tx, in.Provider); err != nil {
			return err
		}
		keys, err = tx.ProviderKeys.List(ctx, store.Query{ProviderID: p.ID, After: after, Limit: in.Limit + 1})
		return err
	})
	if err != nil {
		return nil, err
	}
	item := func(k store.ProviderKey) client.ProviderKey { return a.key(p.Name, k) }
	return &listKeysOutput{page(keys, in.Limit, item, func(k store.ProviderKey) string { return fmt.Sprint(k.Position, " ", k.ID) })}, nil
}

func (a *api) getKey(ctx context.Context, who store.Actor, in *KeyPath) (*keyOutput, error) {
	return a.withKey(ctx, who, in.Provider, a.DB.View, func(tx store.Tx) (store.ProviderKey, error) {
		return catalog.GetKey(ctx, tx, in.Provider, in.ID)
	})
}

type addKeyInput struct {
	ProviderPath
	Precondition
	Body struct {
		APIKey    secret.Text `json:"api_key" doc:"The key. It is sealed at once and cannot be read back."`
		Label     *string     `json:"label,omitempty" maxLength:"128" doc:"A name for people."`
		Position  *int64      `json:"position,omitempty" doc:"Its place in the failover order, from 1 to 1000000; left out: last."`
		Weight    *int64      `json:"weight,omitempty" doc:"Its share of the turns where the strategy is weighted, from 0 to 1000; left out: 1."`
		Disabled  *bool       `json:"disabled,omitempty" doc:"Left out: not disabled."`
		ExpiresAt *time.Time  `json:"expires_at,omitempty" doc:"When it stops being used; left out: never."`
	}
}

func (a *api) addKey(ctx context.Context, who store.Actor, in *addKeyInput) (*keyOutput, error) {
	revision, err := in.revision()
	if err != nil {
		return nil, err
	}
	b := in.Body
	n := catalog.NewKey{
		APIKey: b.APIKey, Label: orZero(b.Label), Position: b.Position, Weight: b.Weight, Disabled: orZero(b.Disabled), ExpiresAt: orZero(b.ExpiresAt),
	}
	if !n.ExpiresAt.IsZero() && !n.ExpiresAt.After(a.Now()) {
		return nil, &store.InvalidError{Field: "expires_at", Reason: "is in the past"}
	}
	out, err := a.withKey(ctx, who, in.Provider, a.DB.Update, func(tx store.Tx) (store.ProviderKey, error) {
		return catalog.AddKey(ctx, tx, in.Provider, revision, n)
	})
	if err != nil {
		return nil, err
	}
	out.Location = providersPath + "/" + in.Provider + "/keys/" + out.Body.ID
	return out, nil
}

type updateKeyInput struct {
	KeyPath
	Precondition
	Body struct {
		Label     patch[string]    `json:"label,omitempty" doc:"A name for people."`
		Position  patch[int64]     `json:"position,omitempty" doc:"Its place in the failover order, lowest first."`
		Weight    patch[int64]     `json:"weight,omitempty" doc:"Its share of the turns where the strategy is weighted, from 0 to 1000."`
		Disabled  patch[bool]      `json:"disabled,omitempty" doc:"Whether it is switched off."`
		ExpiresAt patch[time.Time] `json:"expires_at,omitempty" doc:"When it stops being used; null: never."`
	}
}

func (a *api) updateKey(ctx context.Context, who store.Actor, in *updateKeyInput) (*keyOutput, error) {
	revision, err := in.revision()
	if err != nil {
		return nil, err
	}
	e := catalog.KeyEdit{Label: in.Body.Label.clearable(), ExpiresAt: in.Body.ExpiresAt.clearable()}
	var errs [3]error
	e.Position, errs[0] = in.Body.Position.required("position")
	e.Disabled, errs[1] = in.Body.Disabled.required("disabled")
	e.Weight, errs[2] = in.Body.Weight.required("weight")
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	return a.withKey(ctx, who, in.Provider, a.DB.Update, func(tx store.Tx) (store.ProviderKey, error) {
		return catalog.UpdateKey(ctx, tx, in.Provider, in.ID, revision, e)
	})
}

type deleteKeyInput struct {
	KeyPath
	Precondition
}

func (a *api) deleteKey(ctx context.Context, who store.Actor, in *deleteKeyInput) (*struct{}, error) {
	revision, err := in.revision()
	if err != nil {
		return nil, err
	}
	err = a.DB.Update(ctx, who, func(tx store.Tx) error {
		return catalog.DeleteKey(ctx, tx, in.Provider, in.ID, revision)
	})
	return nil, a.withCurrent(ctx, who, in.Provider, err)
}

// withKey runs fn in a transaction and answers with the key that it returns.
func (a *api) withKey(
	ctx context.Context, who store.Actor, provider string,
	run func(context.Context, store.Actor, func(store.Tx) error) error, fn func(store.Tx) (store.ProviderKey, error),
) (*keyOutput, error) {
	var p store.Provider
	var k store.ProviderKey
	err := run(ctx, who, func(tx store.Tx) (err error) {
		if k, err = fn(tx); err != nil {
			return err
		}
		p, err = tx.Providers.Get(ctx, k.ProviderID)
		return err
	})
	if err != nil {
		return nil, a.withCurrent(ctx, who, provider, err)
	}
	return &keyOutput{ETag: etag(p.Revision), Body: a.key(p.Name, k)}, nil
}

// key is the wire form of a provider key.
func (a *api) key(providerName string, k store.ProviderKey) client.ProviderKey {
	s := a.KeyState(providerName, k.ID)
	return client.ProviderKey{
		ID: k.ID, Position: k.Position, Weight: k.Weight, Label: k.Label, Hint: k.Hint, Disabled: k.Disabled,
		ExpiresAt: orNil(k.ExpiresAt), LastUsedAt: orNil(k.LastUsedAt), CreatedAt: k.CreatedAt,
		State: s.State, StateReason: s.Reason, StateUntil: orNil(s.Until), LastError: s.LastError,
		LimitedModels: append([]client.LimitedModel{}, s.Limits...),
	}
}

func orZero[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func orNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
