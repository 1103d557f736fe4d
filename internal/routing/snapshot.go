// Package routing holds the configuration that the gateway serves from: an
// immutable [Snapshot], compiled from the store and swapped whole.
//
// A reader takes the current snapshot once per request and uses it to the end,
// so that a change never reaches a request under way. A change copies only the
// shards it touches.
package routing

import (
	"iter"
	"net/url"
	"time"

	"github.com/gatehousehq/gatehouse/internal/awscredentials"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/token"
	"github.com/gatehousehq/gatehouse/internal/transport"
	"github.com/gatehousehq/gatehouse/internal/upstream/bedrock"
)

// A Snapshot is the configuration as of one generation of the store. Neither
// it nor anything reached through it ever changes. The nil Snapshot is empty.
type Snapshot struct {
	// Generation is the store's generation that the snapshot shows.
	Generation int64

	providers     shards[string, *Provider]  // live ones, by name
	providerNames shards[string, string]     // name by id
	routes        shards[string, *Route]     // by name
	routeNames    shards[string, string]     // name by id
	tokens        shards[token.Hash, *Token] // by hash
	tokenHashes   shards[string, token.Hash] // hash by id
}

// Provider returns the live provider of that name, or nil. It may be disabled.
func (s *Snapshot) Provider(name string) *Provider {
	if s == nil {
		return nil
	}
	p, _ := s.providers.get(name)
	return p
}

// Token returns the token with that hash, or nil. It may have expired.
func (s *Snapshot) Token(h token.Hash) *Token {
	if s == nil {
		return nil
	}
	t, _ := s.tokens.get(h)
	return t
}

// A Dialect is the API that clients speak to a provider.
type Dialect string

// The dialects.
const (
	OpenAI    Dialect = "openai"
	Anthropic Dialect = "anthropic"
	Bedrock   Dialect = "bedrock" // Anthropic's, on Amazon Bedrock
	Azure     Dialect = "azure"   // OpenAI's, on Azure
	Gemini    Dialect = "gemini"
)

// A Provider is an upstream as the gateway sees it.
type Provider struct {
	ID      string
	Name    string
	Dialect Dialect
	Enabled bool
	// BaseURL is what the vendor's SDK takes: with /v1 for openai, without a version
	// for anthropic and gemini. It has no trailing slash, query, fragment or user.
	BaseURL *url.URL
	// Access is what the dialect needs to know besides: of a type of its own, nil
	// for those that need nothing.
	Access any
	// Headers are set on each request upstream, over what the client sent, and
	// Added after them: what operators add may be a credential.
	Headers map[string]string
	Added   map[string]secret.Text
	// Egress is the way to it; nil is that of all providers.
	Egress *transport.Egress
	// FirstByteTimeout is how long it may take to begin its answer, and IdleTimeout
	// how long it may pause within one; zero leaves it to the gateway.
	FirstByteTimeout, IdleTimeout time.Duration
	// Paths, after /v1/, and Models are what is served of it: nil is all.
	Paths, Models []string
	// Strategy is how the first key to try is chosen; the zero Strategy is InOrder.
	Strategy Strategy
	// Keys are the provider's credentials in the order in which to try them.
	// Disabled and unreadable ones are among them, so that "no key" can be told
	// from "no usable key". A provider without keys sends no credential.
	Keys []Key
	// Final are the causes after which a request does not go on to another key.
	Final Causes
	// NoReplay keeps a request that has been sent, and may be billed, from being
	// sent again.
	NoReplay bool
	// NoProbe keeps keys that were refused from being tried in the background.
	NoProbe bool
	// NoBreaker lets requests through to it when it does not answer.
	NoBreaker bool
	// MaxConcurrency is how many requests may be under way with it at a time; 0 is
	// any number.
	MaxConcurrency int64
	// Fault says, for people, why the provider cannot be served at all (its
	// settings do not open, say). It is empty when it can.
	Fault string
	// Unreadable is set when the reason is that its settings do not open.
	Unreadable bool
}

// Credentials returns the AWS credentials that the provider signs with, if they
// are got when they are needed; nil if not, and for the nil Provider.
func (p *Provider) Credentials() *awscredentials.Source {
	if p == nil {
		return nil
	}
	access, ok := p.Access.(*bedrock.Access)
	if !ok {
		return nil
	}
	source, _ := access.Source.(*awscredentials.Source)
	return source
}

// A Strategy is how the first key to try is chosen.
type Strategy string

// The strategies.
const (
	InOrder     Strategy = "in_order"     // the first that is usable
	Weighted    Strategy = "weighted"     // each in proportion to its weight
	LeastLoaded Strategy = "least_loaded" // the one with the fewest requests in flight
)

// A Key is one credential of a provider.
type Key struct {
	ID       string
	Weight   uint32      // its share of the turns; of use to Weighted alone
	Secret   secret.Text // open; zero if Unreadable
	Disabled bool
	// Unreadable is set when the stored secret does not open.
	Unreadable bool
	// ExpiresAt is when the key stops being used; zero is never.
	ExpiresAt time.Time
}

// A Token is what a client presents, with all that is needed to decide.
type Token struct {
	ID   string
	Name string
	// OwnerID is of the user whose token it is.
	OwnerID string
	// Use is whether the token may use the gateway; Passthrough, whether it may
	// call paths outside inference. Owner, role and scopes are worked in.
	Use         bool
	Passthrough bool
	// Providers and Models are the allow-lists: nil allows all.
	Providers []string
	Models    []string
	// RPM and Concurrency are how many requests a minute and at a time it may
	// send; 0 is any number.
	RPM, Concurrency int64
	// ExpiresAt is when the token stops being valid; zero is never.
	ExpiresAt time.Time
}

// NewSnapshot returns a snapshot of exactly these providers and tokens.
func NewSnapshot(generation int64, providers []*Provider, tokens map[token.Hash]*Token) *Snapshot {
	p, names := shards[string, *Provider]{}.edit(), shards[string, string]{}.edit()
	for _, rec := range providers {
		p.set(rec.Name, rec)
		names.set(rec.ID, rec.Name)
	}
	t, hashes := tokenShards(tokens)
	return &Snapshot{
		Generation: generation, providers: p.done(), providerNames: names.done(),
		tokens: t.done(), tokenHashes: hashes.done(),
	}
}

// tokenShards returns the tokens by hash, and their hashes by id.
func tokenShards(tokens map[token.Hash]*Token) (*editor[token.Hash, *Token], *editor[string, token.Hash]) {
	t, hashes := shards[token.Hash, *Token]{}.edit(), shards[string, token.Hash]{}.edit()
	for h, rec := range tokens {
		t.set(h, rec)
		hashes.set(rec.ID, h)
	}
	return t, hashes
}

// Providers yields every provider, in no order.
func (s *Snapshot) Providers() iter.Seq[*Provider] {
	return func(yield func(*Provider) bool) {
		if s != nil {
			s.providers.values(yield)
		}
	}
}

// Credentials yields the AWS credentials that enabled providers sign with and that
// are got when they are needed.
func (s *Snapshot) Credentials() iter.Seq[*awscredentials.Source] {
	return func(yield func(*awscredentials.Source) bool) {
		for p := range s.Providers() {
			if source := p.Credentials(); source != nil && p.Enabled && p.Fault == "" && !yield(source) {
				return
			}
		}
	}
}

// Empty reports whether there is no provider.
func (s *Snapshot) Empty() bool { return s == nil || s.providers.len() == 0 }
