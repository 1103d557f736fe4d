package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/catalog"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
)

const providersPath = "/api/v1/ai/providers"

// A ProviderPath is the provider that a route is about.
type ProviderPath struct {
	Provider string `path:"provider" maxLength:"63" doc:"The provider's name or id."`
}

// A Precondition makes a change conditional on what was read.
type Precondition struct {
	IfMatch string `header:"If-Match" maxLength:"64" doc:"The revision of the provider or route in quotes, as its ETag has it. Without it the last write wins."`
}

// revision returns the revision that the change is conditional on.
func (p Precondition) revision() (int64, error) {
	if p.IfMatch == "" || p.IfMatch == "*" {
		return catalog.AnyRevision, nil
	}
	n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimPrefix(p.IfMatch, `"`), `"`), 10, 64)
	if err != nil || n < 1 || strconv.Quote(strconv.FormatInt(n, 10)) != p.IfMatch {
		return 0, refused("header.If-Match", `must be a revision in quotes, such as "7"`)
	}
	return n, nil
}

func etag(revision int64) string { return strconv.Quote(strconv.FormatInt(revision, 10)) }

// A providerOutput is one provider.
type providerOutput struct {
	ETag     string `header:"ETag"`
	Location string `header:"Location"`
	Body     client.Provider
}

// A providerRecord is a provider with its keys, as one transaction saw them.
type providerRecord struct {
	store.Provider
	keys []store.ProviderKey
}

func readProvider(ctx context.Context, tx store.Tx, p store.Provider) (providerRecord, error) {
	keys, err := tx.ProviderKeys.List(ctx, store.Query{ProviderID: p.ID})
	return providerRecord{p, keys}, err
}

func (a *api) registerProviders() {
	register(a, huma.Operation{
		OperationID: "list-providers", Method: http.MethodGet, Path: providersPath, Tags: []string{"Providers"},
		Summary: "List providers", Description: "In order of name, disabled ones included.",
	}, a.listProviders)
	register(a, huma.Operation{
		OperationID: "create-provider", Method: http.MethodPost, Path: providersPath, Tags: []string{"Providers"},
		Summary: "Add a provider", Description: "In force when the answer comes.",
		DefaultStatus: http.StatusCreated, Errors: []int{400, 409, 413, 415},
	}, a.createProvider)
	register(a, huma.Operation{
		OperationID: "get-provider", Method: http.MethodGet, Path: providersPath + "/{provider}", Tags: []string{"Providers"},
		Summary: "Get a provider", Errors: []int{404},
	}, a.getProvider)
	register(a, huma.Operation{
		OperationID: "update-provider", Method: http.MethodPatch, Path: providersPath + "/{provider}", Tags: []string{"Providers"},
		Summary:     "Change a provider",
		Description: "What is left out stays; null clears what may be empty. api_keys is the list that the provider is to have. Changing the scheme, host or port of base_url demands all keys again.",
		Errors:      []int{400, 404, 409, 412, 413, 415},
	}, a.updateProvider)
	register(a, huma.Operation{
		OperationID: "delete-provider", Method: http.MethodDelete, Path: providersPath + "/{provider}", Tags: []string{"Providers"},
		Summary: "Delete a provider", Description: "Its keys and settings go with it; its row stays for history until it is purged, and its name can be used again.",
		DefaultStatus: http.StatusNoContent, Errors: []int{404, 412},
	}, a.deleteProvider)
	a.registerDeletedProviders()
}

type listProvidersInput struct {
	PageInput
	IncludeDeleted bool   `query:"include_deleted" doc:"Also list providers that were deleted."`
	Search         string `query:"search" maxLength:"128" doc:"List those with this in their name or display name, whatever its case."`
}

type listProvidersOutput struct{ Body client.Page[client.Provider] }

func (a *api) listProviders(ctx context.Context, who store.Actor, in *listProvidersInput) (*listProvidersOutput, error) {
	after, err := in.after(isNameAndID)
	if err != nil {
		return nil, err
	}
	var recs []providerRecord
	err = a.DB.View(ctx, who, func(tx store.Tx) error {
		q := store.Query{IncludeDisabled: true, IncludeDeleted: in.IncludeDeleted, Search: in.Search, After: after, Limit: in.Limit + 1}
		providers, err := tx.Providers.List(ctx, q)
		if err != nil {
			return err
		}
		all, err := tx.ProviderKeys.List(ctx, store.Query{OfProviders: &q})
		if err != nil {
			return err
		}
		keys := map[string][]store.ProviderKey{}
		for _, k := range all {
			keys[k.ProviderID] = append(keys[k.ProviderID], k)
		}
		for _, p := range providers {
			recs = append(recs, providerRecord{p, keys[p.ID]})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &listProvidersOutput{page(recs, in.Limit, a.provider, func(r providerRecord) string { return r.Name + " " + r.ID })}, nil
}

type createProviderInput struct {
	Body struct {
		Type        string        `json:"type" enum:"openai,anthropic,gemini" doc:"The API that clients speak to the provider. It cannot be changed."`
		Name        string        `json:"name" maxLength:"63" pattern:"^[a-z0-9]+(-[a-z0-9]+)*$" patternDescription:"lower-case letters and digits, with single hyphens between them" doc:"Its name in URLs. It cannot be changed."`
		DisplayName *string       `json:"display_name,omitempty" maxLength:"128" doc:"A name for people."`
		Enabled     *bool         `json:"enabled,omitempty" doc:"Left out: enabled."`
		BaseURL     string        `json:"base_url" maxLength:"2048" doc:"Where it is reached, as the vendor's SDK takes it: with /v1 for openai, without for anthropic."`
		Strategy    *string       `json:"strategy,omitempty" enum:"in_order,weighted,least_loaded" doc:"How the first key to try is chosen; left out: in_order."`
		Settings    document      `json:"settings,omitempty" doc:"A settings document, with _type and _version. Its secret fields cannot be read back."`
		APIKeys     []secret.Text `json:"api_keys,omitempty" nullable:"true" doc:"Its keys in failover order; they are sealed at once and cannot be read back."`
	}
}

func (in *createProviderInput) provider() catalog.NewProvider {
	b := in.Body
	n := catalog.NewProvider{
		Type: b.Type, Name: b.Name, Enabled: b.Enabled == nil || *b.Enabled, BaseURL: b.BaseURL,
		Strategy: orZero(b.Strategy), Settings: settingsOf(b.Settings), APIKeys: b.APIKeys,
	}
	if b.DisplayName != nil {
		n.DisplayName = *b.DisplayName
	}
	return n
}

func (a *api) createProvider(ctx context.Context, who store.Actor, in *createProviderInput) (*providerOutput, error) {
	var rec providerRecord
	err := a.DB.Update(ctx, who, func(tx store.Tx) error {
		p, err := a.Rules.Create(ctx, tx, in.provider())
		if err != nil {
			return err
		}
		rec, err = readProvider(ctx, tx, p)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &providerOutput{ETag: etag(rec.Revision), Location: providersPath + "/" + rec.ID, Body: a.provider(rec)}, nil
}

// settingsOf returns nil for no document.
func settingsOf(d document) []byte {
	if len(d) == 0 || string(d) == "null" {
		return nil
	}
	return d
}

type getProviderInput struct {
	ProviderPath
	IncludeDeleted bool `query:"include_deleted" doc:"Also find a provider that was deleted, by its id."`
}

func (a *api) getProvider(ctx context.Context, who store.Actor, in *getProviderInput) (*providerOutput, error) {
	var rec providerRecord
	err := a.DB.View(ctx, who, func(tx store.Tx) error {
		p, err := tx.Providers.Get(ctx, in.Provider)
		if err == nil && p.Deleted && !in.IncludeDeleted {
			err = store.ErrNotFound
		}
		if err != nil {
			return err
		}
		rec, err = readProvider(ctx, tx, p)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &providerOutput{ETag: etag(rec.Revision), Body: a.provider(rec)}, nil
}

type updateProviderInput struct {
	ProviderPath
	Precondition
	Body struct {
		DisplayName patch[string]      `json:"display_name,omitempty" doc:"Null: none."`
		Enabled     patch[bool]        `json:"enabled,omitempty" doc:"Whether the gateway sends traffic to it."`
		BaseURL     patch[string]      `json:"base_url,omitempty" doc:"Changing its scheme, host or port demands all keys again."`
		Strategy    patch[string]      `json:"strategy,omitempty" doc:"How the first key to try is chosen: in_order, weighted or least_loaded."`
		Settings    patch[document]    `json:"settings,omitempty" doc:"A settings document, which replaces the one there is; null: none. A secret field that is left out stays, an empty one is cleared."`
		APIKeys     patch[[]keepOrAdd] `json:"api_keys,omitempty" doc:"The keys that it is to have, in failover order. Those not listed are removed."`
	}
}

type keepOrAdd struct {
	ID     string      `json:"id,omitempty" doc:"Keeps the key of this id."`
	APIKey secret.Text `json:"api_key,omitempty" doc:"Adds this key."`
}

func (in *updateProviderInput) edit() (catalog.ProviderEdit, error) {
	b := in.Body
	e := catalog.ProviderEdit{DisplayName: b.DisplayName.clearable()}
	var errs [4]error
	e.Enabled, errs[0] = b.Enabled.required("enabled")
	e.BaseURL, errs[1] = b.BaseURL.required("base_url")
	e.Strategy, errs[3] = b.Strategy.required("strategy")
	var keys *[]keepOrAdd
	keys, errs[2] = b.APIKeys.required("api_keys")
	if d := b.Settings.clearable(); d != nil {
		raw := settingsOf(*d)
		e.Settings = &raw
	}
	if keys != nil {
		list := make([]catalog.KeepOrAdd, len(*keys))
		for i, k := range *keys {
			list[i] = catalog.KeepOrAdd(k)
		}
		e.APIKeys = &list
	}
	return e, errors.Join(errs[:]...)
}

func (a *api) updateProvider(ctx context.Context, who store.Actor, in *updateProviderInput) (*providerOutput, error) {
	revision, err := in.revision()
	if err != nil {
		return nil, err
	}
	edit, err := in.edit()
	if err != nil {
		return nil, err
	}
	var rec providerRecord
	err = a.DB.Update(ctx, who, func(tx store.Tx) error {
		p, err := a.Rules.Update(ctx, tx, in.Provider, revision, edit)
		if err != nil {
			return err
		}
		rec, err = readProvider(ctx, tx, p)
		return err
	})
	if err != nil {
		return nil, a.withCurrent(ctx, who, in.Provider, err)
	}
	return &providerOutput{ETag: etag(rec.Revision), Body: a.provider(rec)}, nil
}

type deleteProviderInput struct {
	ProviderPath
	Precondition
}

func (a *api) deleteProvider(ctx context.Context, who store.Actor, in *deleteProviderInput) (*struct{}, error) {
	revision, err := in.revision()
	if err != nil {
		return nil, err
	}
	err = a.DB.Update(ctx, who, func(tx store.Tx) error { return catalog.Delete(ctx, tx, in.Provider, revision) })
	return nil, a.withCurrent(ctx, who, in.Provider, err)
}

// withCurrent adds to a stale error what is there now.
func (a *api) withCurrent(ctx context.Context, who store.Actor, ref string, err error) error {
	if !errors.Is(err, store.ErrStale) {
		return err
	}
	now, getErr := a.getProvider(ctx, who, &getProviderInput{ProviderPath{ref}, true})
	if getErr != nil {
		return getErr
	}
	return &staleError{now.Body}
}

// provider is the wire form of a provider.
func (a *api) provider(r providerRecord) client.Provider {
	p := client.Provider{
		ID: r.ID, Type: client.ProviderType(r.Type), Name: r.Name, Enabled: r.Enabled, Deleted: r.Deleted, BaseURL: r.BaseURL,
		Strategy: string(r.Strategy), Revision: r.Revision, APIKeys: make([]client.ProviderKey, 0, len(r.keys)),
		Settings: json.RawMessage("null"), CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
	if !r.Deleted {
		p.Fault = a.Fault(r.Name)
	}
	if r.DisplayName != "" {
		p.DisplayName = &r.DisplayName
	}
	if r.SettingsPublic != "" {
		p.Settings = json.RawMessage(r.SettingsPublic)
	}
	for _, k := range r.keys {
		p.APIKeys = append(p.APIKeys, a.key(r.Name, k))
	}
	return p
}
