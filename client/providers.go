package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
)

// A provider is named by its name or its id. A revision of 0 makes a change
// unconditional: the last write wins.

func providerPath(provider string) string {
	return "/api/v1/ai/providers/" + url.PathEscape(provider)
}

func keysPath(provider string) string { return providerPath(provider) + "/keys" }

func keyPath(provider, id string) string { return keysPath(provider) + "/" + url.PathEscape(id) }

// ListProviders returns one page of the providers, in order of their names.
// Disabled ones are among them.
func (c *Client) ListProviders(ctx context.Context, o ListOptions) (Page[Provider], error) {
	return call[Page[Provider]](ctx, c, http.MethodGet, "/api/v1/ai/providers"+o.query(), 0, nil)
}

// Providers returns every provider, in order of their names.
func (c *Client) Providers(ctx context.Context) iter.Seq2[Provider, error] {
	return pages(ctx, c.ListProviders)
}

// Provider returns the provider with that name or id.
func (c *Client) Provider(ctx context.Context, provider string) (Provider, error) {
	return call[Provider](ctx, c, http.MethodGet, providerPath(provider), 0, nil)
}

// CreateProvider adds a provider.
func (c *Client) CreateProvider(ctx context.Context, req CreateProvider) (Provider, error) {
	return call[Provider](ctx, c, http.MethodPost, "/api/v1/ai/providers", 0, req)
}

// UpdateProvider changes a provider if it still has that revision.
func (c *Client) UpdateProvider(ctx context.Context, provider string, revision int64, req UpdateProvider) (Provider, error) {
	return call[Provider](ctx, c, http.MethodPatch, providerPath(provider), revision, req)
}

// DeleteProvider removes a provider and its keys if it still has that
// revision.
func (c *Client) DeleteProvider(ctx context.Context, provider string, revision int64) error {
	return c.remove(ctx, providerPath(provider), revision)
}

// ListKeys returns one page of the keys of a provider, in failover order.
func (c *Client) ListKeys(ctx context.Context, provider string, o ListOptions) (Page[ProviderKey], error) {
	return call[Page[ProviderKey]](ctx, c, http.MethodGet, keysPath(provider)+o.query(), 0, nil)
}

// Keys returns every key of a provider, in failover order.
func (c *Client) Keys(ctx context.Context, provider string) iter.Seq2[ProviderKey, error] {
	return pages(ctx, func(ctx context.Context, o ListOptions) (Page[ProviderKey], error) {
		return c.ListKeys(ctx, provider, o)
	})
}

// Key returns one key of a provider.
func (c *Client) Key(ctx context.Context, provider, id string) (ProviderKey, error) {
	return call[ProviderKey](ctx, c, http.MethodGet, keyPath(provider, id), 0, nil)
}

// CreateKey adds a key to a provider.
func (c *Client) CreateKey(ctx context.Context, provider string, req AddKey) (ProviderKey, error) {
	return call[ProviderKey](ctx, c, http.MethodPost, keysPath(provider), 0, req)
}

// UpdateKey changes a key if its provider still has that revision.
func (c *Client) UpdateKey(ctx context.Context, provider, id string, revision int64, req UpdateKey) (ProviderKey, error) {
	return call[ProviderKey](ctx, c, http.MethodPatch, keyPath(provider, id), revision, req)
}

// DeleteKey removes a key if its provider still has that revision.
func (c *Client) DeleteKey(ctx context.Context, provider, id string, revision int64) error {
	return c.remove(ctx, keyPath(provider, id), revision)
}
