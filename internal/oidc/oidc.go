// Package oidc signs people in by OpenID Connect: it sends them to an identity
// provider by the authorization code flow, with state, nonce and PKCE (S256), and
// says who came back, and what the settings give them.
//
// What a provider says of itself is asked for when it is first needed, and kept. A
// provider that is down makes an [Error] of whoever signs in there, and harms nobody
// else. All that it answers is bounded in size and time, no redirect is followed, and
// where it is dialled is up to the [http.RoundTripper]. An ID token counts if it is
// signed by a key of the provider with an algorithm for public keys, and is of this
// issuer, for this client, for this flow, and in time; go-oidc checks most of it.
//
// No error has anything in it that a provider or a browser sent, but for names that
// are known beforehand. The package knows nothing of users: package authn finds them.
// A [Provider] may be used concurrently.
package oidc

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/gatehousehq/gatehouse/internal/secret"
)

// Config is what is set of a provider. [Config.Check] says what is wrong with it.
type Config struct {
	// Name stands in URLs and in the audit log, DisplayName on the button.
	Name, DisplayName string
	Issuer            string
	ClientID          string
	ClientSecret      secret.Text // zero: a public client
	// Scopes are asked for besides openid.
	Scopes []string
	// NameClaim is what users are called by that are made; "" is
	// preferred_username, and then email.
	NameClaim string
	// RolesClaim has what Roles gives roles for, by value. If it is "", the roles of a
	// user are not touched once the user is made. It may lead into an object, by dots.
	RolesClaim string
	Roles      map[string]string
	// DefaultRole is for whom Roles gives none; "": they are refused.
	DefaultRole string
	// EmailDomains are the only ones of addresses, which must be verified, that are let
	// in; none: all are.
	EmailDomains []string
	// CreateUsers is whether somebody who is not known yet becomes a user.
	CreateUsers bool
	// EndSession is whether who signs out here is to sign out there, too.
	EndSession bool
}

// A Provider is an identity provider that people sign in by.
type Provider struct {
	cfg    Config
	client *http.Client
	now    func() time.Time

	turn chan struct{} // held by whoever asks the provider, and guards the rest
	last discovery
}

// New returns the provider of cfg, which is reached by way of next. It is not asked
// for anything yet.
func New(cfg Config, next http.RoundTripper, now func() time.Time) *Provider {
	return &Provider{cfg: cfg, client: newClient(next), now: now, turn: make(chan struct{}, 1)}
}

// Name returns the name of the provider.
func (p *Provider) Name() string { return p.cfg.Name }

// DisplayName returns the name of the provider for people.
func (p *Provider) DisplayName() string {
	if p.cfg.DisplayName == "" {
		return p.cfg.Name
	}
	return p.cfg.DisplayName
}

// CreateUsers reports whether somebody who is not known yet becomes a user.
func (p *Provider) CreateUsers() bool { return p.cfg.CreateUsers }

// AuthURL returns where the browser goes to sign in, which comes back to redirectURI.
func (p *Provider) AuthURL(ctx context.Context, f Flow, redirectURI string) (string, error) {
	m, err := p.metadata(ctx)
	if err != nil {
		return "", err
	}
	return p.oauth(m, redirectURI).AuthCodeURL(f.state(p.cfg.Name), oidc.Nonce(f.nonce()), oauth2.S256ChallengeOption(f.verifier())), nil
}

func (p *Provider) oauth(m *metadata, redirectURI string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: p.cfg.ClientID, ClientSecret: p.cfg.ClientSecret.Reveal(), RedirectURL: redirectURI,
		Scopes:   append([]string{oidc.ScopeOpenID}, p.cfg.Scopes...),
		Endpoint: oauth2.Endpoint{AuthURL: m.AuthURL, TokenURL: m.TokenURL, AuthStyle: p.authStyle(m)},
	}
}

// authStyle returns how the client says who it is. It is not tried out: some providers
// take a code that is presented twice for a stolen one.
func (p *Provider) authStyle(m *metadata) oauth2.AuthStyle {
	if p.cfg.ClientSecret.IsZero() || len(m.AuthMethods) > 0 && !slices.Contains(m.AuthMethods, "client_secret_basic") {
		return oauth2.AuthStyleInParams
	}
	return oauth2.AuthStyleInHeader
}

// An Answer is what the browser brings back from the provider.
type Answer struct {
	Code   string
	Issuer string // as RFC 9207 has it, "" if it was not said
	Error  string // in place of a code
}

// Redeem returns who came back by the flow, and what the settings give them.
func (p *Provider) Redeem(ctx context.Context, f Flow, redirectURI string, a Answer) (Identity, error) {
	m, err := p.metadata(ctx)
	if err != nil {
		return Identity{}, err
	}
	switch {
	case a.Issuer != "" && a.Issuer != m.Issuer, a.Issuer == "" && m.IssParameter:
		return Identity{}, p.refuse(WrongIssuer, errors.New("the answer is of another issuer than was asked, or does not say which"))
	case a.Error != "":
		return Identity{}, p.refuse(RefusedByProvider, fmt.Errorf("it answered %s", known(a.Error)))
	case a.Code == "":
		return Identity{}, p.refuse(RefusedByProvider, errors.New("it answered without a code"))
	}
	ctx = oidc.ClientContext(ctx, p.client)
	tok, err := p.oauth(m, redirectURI).Exchange(ctx, a.Code, oauth2.VerifierOption(f.verifier()))
	if err != nil {
		return Identity{}, p.exchangeError(err)
	}
	raw, _ := tok.Extra("id_token").(string)
	if raw == "" {
		return Identity{}, p.refuse(BadToken, errors.New("the answer of its token endpoint has no ID token"))
	}
	claims, err := p.verify(ctx, m, raw, f)
	if err != nil {
		return Identity{}, err
	}
	return p.identify(claims)
}

// verify returns the claims of an ID token that is as it should be.
func (p *Provider) verify(ctx context.Context, m *metadata, raw string, f Flow) (claims, error) {
	keys := &fetching{KeySet: m.keys}
	token, err := oidc.NewVerifier(m.Issuer, keys, &oidc.Config{
		ClientID: p.cfg.ClientID, SupportedSigningAlgs: m.algorithms(), Now: p.now,
	}).Verify(ctx, raw)
	if err != nil {
		if keys.err != nil {
			return nil, p.refuse(Unreachable, fmt.Errorf("its keys could not be fetched: %w", keys.err))
		}
		return nil, p.refuse(whyNot(err, raw, m.Issuer, p.cfg.ClientID), nil)
	}
	var c claims
	if err := token.Claims(&c); err != nil {
		return nil, p.refuse(BadToken, nil)
	}
	party, hasParty := c["azp"]
	switch {
	case subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(f.nonce())) != 1:
		return nil, p.refuse(WrongNonce, nil)
	case hasParty && party != p.cfg.ClientID, !hasParty && len(token.Audience) > 1:
		return nil, p.refuse(WrongAudience, errors.New("the ID token was issued to another client"))
	case token.Subject == "" || len(token.Subject) > maxSubject:
		return nil, p.refuse(BadToken, errors.New("the ID token has no subject, or one that is too long"))
	}
	return c, nil
}

// EndSessionURL returns where a browser goes to sign out at the provider, which brings
// it back, and false if there is no such place, or none is wanted.
func (p *Provider) EndSessionURL(ctx context.Context, back string) (string, bool) {
	if !p.cfg.EndSession {
		return "", false
	}
	m, err := p.metadata(ctx)
	if err != nil || m.EndSessionURL == "" {
		return "", false
	}
	return withQuery(m.EndSessionURL, map[string]string{"client_id": p.cfg.ClientID, "post_logout_redirect_uri": back}), true
}
