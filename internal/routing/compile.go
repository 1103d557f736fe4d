package routing

import (
	"context"
	"errors"
	"log/slog"
	"net/url"

	"github.com/gatehousehq/gatehouse/internal/awscredentials"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/settings"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/token"
	"github.com/gatehousehq/gatehouse/internal/transport"
	"github.com/gatehousehq/gatehouse/internal/upstream/azure"
	"github.com/gatehousehq/gatehouse/internal/upstream/bedrock"
)

// A compiler turns records, as one transaction sees them, into what the
// gateway serves from. A secret that does not open takes its key, or for
// settings its provider, out of service, and nothing else.
type compiler struct {
	ctx  context.Context
	tx   store.Tx
	log  *slog.Logger
	aws  *awscredentials.Keeper // nil is none
	base *Snapshot              // the one before
}

// whole compiles everything.
func (c compiler) whole(generation int64) (*Snapshot, error) {
	recs, err := c.tx.Providers.List(c.ctx, store.Query{IncludeDisabled: true})
	if err != nil {
		return nil, err
	}
	all, err := c.tx.ProviderKeys.List(c.ctx, store.Query{})
	if err != nil {
		return nil, err
	}
	keys := make(map[string][]store.ProviderKey, len(recs))
	for _, k := range all {
		keys[k.ProviderID] = append(keys[k.ProviderID], k)
	}
	providers := make([]*Provider, 0, len(recs))
	for _, rec := range recs {
		p, err := c.provider(rec, keys[rec.ID])
		if err != nil {
			return nil, err
		}
		providers = append(providers, p)
	}
	tokens, err := c.tokens()
	if err != nil {
		return nil, err
	}
	routes, err := c.routes()
	if err != nil {
		return nil, err
	}
	return NewSnapshot(generation, providers, tokens).WithRoutes(routes...), nil
}

// providerByID returns nil for a provider that is gone.
func (c compiler) providerByID(id string) (*Provider, error) {
	rec, err := c.tx.Providers.Get(c.ctx, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && rec.Deleted {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	keys, err := c.tx.ProviderKeys.List(c.ctx, store.Query{ProviderID: id})
	if err != nil {
		return nil, err
	}
	return c.provider(rec, keys)
}

// provider compiles one provider with its keys in order.
func (c compiler) provider(rec store.Provider, keys []store.ProviderKey) (*Provider, error) {
	p := newProvider(rec)
	if p.Fault != "" {
		return p, nil
	}
	doc, err := c.settings(rec)
	if err != nil {
		if !errors.Is(err, store.ErrUnreadable) {
			return nil, err
		}
		c.log.WarnContext(c.ctx, "provider settings unreadable", "provider", rec.Name, "provider_id", rec.ID, "error", err)
		p.Fault, p.Unreadable = "its settings cannot be read; save them again", true
	}
	c.setUp(p, doc)
	for _, k := range keys {
		key := Key{ID: k.ID, Weight: uint32(max(0, k.Weight)), Disabled: k.Disabled, ExpiresAt: k.ExpiresAt}
		opened, err := c.tx.Secrets.Open(c.ctx, &k)
		switch {
		case err == nil:
			key.Secret = opened["api_key"]
		case errors.Is(err, store.ErrUnreadable):
			c.log.WarnContext(c.ctx, "provider key unreadable", "provider", rec.Name, "key_id", k.ID, "error", err)
		default:
			return nil, err
		}
		key.Unreadable = key.Secret.IsZero()
		p.Keys = append(p.Keys, key)
	}
	return p, nil
}

// Draft compiles a provider that is not stored, without keys, as it will be once it
// is stored with this settings document, or with none if it is empty. It has a fault
// if its settings ask for AWS credentials that are got when they are needed.
func Draft(rec store.Provider, document []byte) *Provider {
	p := newProvider(rec)
	if p.Fault != "" {
		return p
	}
	var doc settings.Fields
	if len(document) > 0 {
		parsed, err := settings.Parse(string(rec.Type), document, "")
		if err != nil {
			p.Fault = "its settings cannot be read"
			return p
		}
		doc = parsed.Fields
	}
	compiler{}.setUp(p, doc)
	return p
}

// newProvider is a provider as its row has it.
func newProvider(rec store.Provider) *Provider {
	p := &Provider{ID: rec.ID, Name: rec.Name, Dialect: Dialect(rec.Type), Enabled: rec.Enabled, Strategy: Strategy(rec.Strategy)}
	base, err := url.Parse(rec.BaseURL)
	if err != nil || base.Host == "" {
		p.Fault = "its base_url is not a URL"
		return p
	}
	p.BaseURL = base
	return p
}

// setUp takes over the settings, nil for none.
func (c compiler) setUp(p *Provider, doc settings.Fields) {
	pool := settings.PoolOf(doc)
	p.Final, p.NoReplay, p.NoProbe = finalCauses(pool), !pool.Replays(), !pool.Probes()
	p.NoBreaker, p.MaxConcurrency = !pool.Breaks(), pool.MaxConcurrency
	if err := p.reachedBy(settings.ReachOf(doc)); err != nil {
		p.Fault = "its settings say how to reach it in a way that this version cannot; save them again"
	}
	switch fields := doc.(type) {
	case nil:
	case *settings.Bedrock:
		p.Dialect, p.Access = Bedrock, &bedrock.Access{
			Region: fields.Region, Model: fields.Model, SmallFastModel: fields.SmallFastModel, Pair: fields.Pair(),
		}
		c.credentials(p, fields)
	case *settings.Azure:
		p.Dialect, p.Access = Azure, &azure.Access{APIVersion: fields.APIVersion}
	default:
		p.Headers = fields.Headers()
	}
}

// credentials gives a provider on Bedrock the AWS credentials that its settings ask
// for, if they name no lasting ones.
func (c compiler) credentials(p *Provider, fields *settings.Bedrock) {
	switch {
	case !fields.Ambient && fields.RoleARN == "" || p.Fault != "":
		return
	case c.aws == nil:
		p.Fault = "its settings ask for AWS credentials that are got when they are needed, which this process does not do"
		return
	}
	access := p.Access.(*bedrock.Access)
	source := c.aws.Source(awscredentials.Spec{
		ProviderID: p.ID, Provider: p.Name, Region: fields.Region, RoleARN: fields.RoleARN, Pair: access.Pair, Egress: p.Egress,
	}, c.base.Provider(p.Name).Credentials())
	access.Pair, access.Source = secret.Text{}, source
}

// reachedBy takes over how the provider is reached, and what of it.
func (p *Provider) reachedBy(r settings.Reach) error {
	p.FirstByteTimeout, p.IdleTimeout = r.FirstByteTimeout, r.IdleTimeout
	p.Added, p.Paths, p.Models = r.AddedHeaders, r.AllowedPaths, r.AllowedModels
	ca, err := r.Certificates()
	if err != nil {
		return err
	}
	proxy, err := r.ProxyURL()
	if err != nil {
		return err
	}
	p.Egress, err = transport.NewEgress(transport.EgressConfig{
		ConnectTimeout: r.ConnectTimeout, CA: ca, Proxy: proxy, ProxyCredentials: r.ProxyCredentials,
	})
	return err
}

// settings returns the settings of a provider, nil if it has none. They are read
// from the sealed document, not from the public copy beside it.
func (c compiler) settings(rec store.Provider) (settings.Fields, error) {
	opened, err := c.tx.Secrets.Open(c.ctx, &rec)
	if err != nil {
		return nil, err
	}
	doc := opened["settings"]
	if doc.IsZero() {
		if rec.SettingsPublic != "" {
			return nil, store.ErrUnreadable // the sealed document was taken away
		}
		return nil, nil
	}
	parsed, err := settings.Parse(string(rec.Type), []byte(doc.Reveal()), "")
	if err != nil {
		return nil, errors.Join(store.ErrUnreadable, err)
	}
	return parsed.Fields, nil
}

// tokens returns every token, by hash.
func (c compiler) tokens() (map[token.Hash]*Token, error) {
	roles, err := c.tx.Roles.List(c.ctx, store.Query{})
	if err != nil {
		return nil, err
	}
	users, err := c.tx.Users.List(c.ctx, store.Query{})
	if err != nil {
		return nil, err
	}
	owners := make(map[string]store.User, len(users))
	for _, u := range users {
		owners[u.ID] = u
	}
	keys, err := c.tx.APIKeys.List(c.ctx, store.Query{})
	if err != nil {
		return nil, err
	}
	tokens := make(map[token.Hash]*Token, len(keys))
	for _, k := range keys {
		tokens[k.TokenHash] = newToken(k, owners[k.OwnerID], roles)
	}
	return tokens, nil
}

// tokenByID returns nil for a token that is gone.
func (c compiler) tokenByID(id string) (token.Hash, *Token, error) {
	k, err := c.tx.APIKeys.Get(c.ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return token.Hash{}, nil, nil
	}
	if err != nil {
		return token.Hash{}, nil, err
	}
	owner, err := c.tx.Users.Get(c.ctx, k.OwnerID)
	if err != nil {
		return token.Hash{}, nil, err
	}
	roles, err := c.tx.Roles.List(c.ctx, store.Query{})
	if err != nil {
		return token.Hash{}, nil, err
	}
	return k.TokenHash, newToken(k, owner, roles), nil
}

// newToken works in what the token's owner may do: nothing, if they are
// disabled or gone.
func newToken(k store.APIKey, owner store.User, custom []store.Role) *Token {
	power := k.Power(owner, custom)
	may := func(a rbac.Action) bool {
		return power.Reach(rbac.Permission{Resource: rbac.Gateway, Action: a}) == rbac.All
	}
	return &Token{
		ID: k.ID, Name: k.Name, OwnerID: k.OwnerID, Use: may(rbac.Use), Passthrough: may(rbac.Passthrough),
		Providers: k.Providers.Slice(), Models: k.Models.Slice(), ExpiresAt: k.ExpiresAt,
		RPM: k.RPM, Concurrency: k.Concurrency,
	}
}
