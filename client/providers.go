package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// A provider is named by its name or its id, a deleted one by its id alone. A
// revision of 0 makes a change unconditional: the last write wins.

// A ProviderOption says which providers are looked for besides those that were
// not deleted.
type ProviderOption func(url.Values)

// IncludeDeleted also finds providers that were deleted.
func IncludeDeleted() ProviderOption {
	return func(q url.Values) { q.Set("include_deleted", "true") }
}

func providerPath(provider string) string {
	return "/api/v1/ai/providers/" + url.PathEscape(provider)
}

func keysPath(provider string) string { return providerPath(provider) + "/keys" }

func keyPath(provider, id string) string { return keysPath(provider) + "/" + url.PathEscape(id) }

// ListProviders returns one page of the providers, in order of their names.
// Disabled ones are among them.
func (c *Client) ListProviders(ctx context.Context, o ListOptions, opts ...ProviderOption) (Page[Provider], error) {
	return call[Page[Provider]](ctx, c, http.MethodGet, "/api/v1/ai/providers"+query(o.values(), opts), 0, nil)
}

// Providers returns every provider, in order of their names.
func (c *Client) Providers(ctx context.Context, opts ...ProviderOption) iter.Seq2[Provider, error] {
	return pages(ctx, func(ctx context.Context, o ListOptions) (Page[Provider], error) {
		return c.ListProviders(ctx, o, opts...)
	})
}

// Provider returns the provider with that name or id.
func (c *Client) Provider(ctx context.Context, provider string, opts ...ProviderOption) (Provider, error) {
	return call[Provider](ctx, c, http.MethodGet, providerPath(provider)+query(url.Values{}, opts), 0, nil)
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

// RestoreProvider brings back the deleted provider of that id, disabled and
// without keys and settings, if it still has that revision.
func (c *Client) RestoreProvider(ctx context.Context, id string, revision int64) (Provider, error) {
	return call[Provider](ctx, c, http.MethodPost, providerPath(id)+"/restore", revision, nil)
}

// PurgeProvider removes the deleted provider of that id for good if it still
// has that revision.
func (c *Client) PurgeProvider(ctx context.Context, id string, revision int64) error {
	return c.done(ctx, http.MethodPost, providerPath(id)+"/purge", revision)
}

// TestProvider tries every key of a provider.
func (c *Client) TestProvider(ctx context.Context, provider string) (ProviderTest, error) {
	return call[ProviderTest](ctx, c.patient(testWithin), http.MethodPost, providerPath(provider)+"/test", 0, nil)
}

// RotateKey puts another key in the place of one if the provider still has that
// revision, and waits for requests with the old one to end.
func (c *Client) RotateKey(ctx context.Context, provider, id string, revision int64, req RotateKey) (KeyRotation, error) {
	wait := drainWithin
	if req.DrainSeconds != nil {
		wait = time.Duration(*req.DrainSeconds) * time.Second
	}
	return call[KeyRotation](ctx, c.patient(wait), http.MethodPost, keyPath(provider, id)+"/rotate", revision, req)
}

const (
	// testWithin is the longest that a server takes to try the keys of a provider.
	testWithin = time.Minute
	// drainWithin is how long a server waits for requests with an old key.
	drainWithin = 30 * time.Second
)

// patient returns a client that waits for an answer longer.
func (c *Client) patient(longer time.Duration) *Client {
	p := *c
	p.http = new(*c.http)
	if p.http.Timeout > 0 {
		p.http.Timeout += longer
	}
	return &p
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
