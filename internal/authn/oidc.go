package authn

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/gatehousehq/gatehouse/internal/accounts"
	"github.com/gatehousehq/gatehouse/internal/oidc"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// A Return is what a browser brings back from an identity provider.
type Return struct {
	Cookie string // as [oidc.Flow.Cookie] made it, "" for none
	State  string
	// RedirectURI is where the provider was to lead it.
	RedirectURI string
	oidc.Answer
}

// SignInByOIDC lets in whoever comes back from an identity provider, and returns what
// their browser is to present from then on, and the path to go to. The session that the
// browser had when it left ends. An [oidc.Error] says why somebody is not let in.
func (s *Sessions) SignInByOIDC(ctx context.Context, p *oidc.Provider, r Return, origin store.Origin) (value secret.Text, to string, err error) {
	who := store.Actor{Kind: store.ActorAnonymous, Origin: origin}
	defer func() {
		if e, ok := errors.AsType[*oidc.Error](err); ok {
			s.failed(who, fmt.Sprintf("oidc:%s:%s", p.Name(), e.Reason))
		}
	}()
	// Each takes a request to the provider. Apart from those with a password: a provider
	// that is down must not keep others out.
	if err := s.returns.take(network(origin.Address)); err != nil {
		return value, "", &oidc.Error{Provider: p.Name(), Reason: oidc.TooMany, Err: err}
	}
	f, err := oidc.ParseFlow(r.Cookie, p.Name(), r.State, s.now())
	if err != nil {
		return value, "", err
	}
	id, err := p.Redeem(ctx, f, r.RedirectURI, r.Answer)
	if err != nil {
		return value, "", err
	}
	u, err := s.register(ctx, p, id, origin)
	if u.ID != "" {
		who = store.Actor{Kind: store.ActorUser, ID: u.ID, Name: u.Name, Origin: origin}
	}
	if err != nil {
		return value, "", err
	}
	value, err = s.open(ctx, who, store.SignedInByOIDC(p.Name()), f.Former, func(tx store.Tx) error {
		now, err := tx.Credentials.BySubject(ctx, id.Issuer, id.Subject)
		if errors.Is(err, store.ErrNotFound) || err == nil && (now.User.ID != u.ID || now.User.Disabled || now.User.Roles != u.Roles) {
			err = store.ErrStale // since a moment ago
		}
		return err
	})
	if err == nil {
		s.returns.back(network(origin.Address))
	}
	return value, f.Return, err
}

// register returns the user who is that at the provider, with the roles that it says.
// With an error it returns whom it was able to recognise.
func (s *Sessions) register(ctx context.Context, p *oidc.Provider, id oidc.Identity, origin store.Origin) (u store.User, err error) {
	refuse := func(r oidc.Reason) error { return &oidc.Error{Provider: p.Name(), Reason: r} }
	by := registrar
	by.Origin = origin
	err = s.db.Update(ctx, by, func(tx store.Tx) error {
		if err := tx.Changes.Lock(ctx); err != nil { // nobody else makes the user, or one of that name
			return err
		}
		have, err := tx.Credentials.BySubject(ctx, id.Issuer, id.Subject)
		u = have.User
		switch {
		case errors.Is(err, store.ErrNotFound) && !p.CreateUsers():
			return refuse(oidc.UnknownUser)
		case errors.Is(err, store.ErrNotFound):
			u, err = create(ctx, tx, id, refuse)
			return err
		case err != nil:
			return err
		case u.Disabled:
			return refuse(oidc.DisabledUser)
		case !id.Mapped || sameRoles(u.Roles, id.Roles):
			return nil
		}
		after, err := accounts.UpdateUser(ctx, tx, u.ID, accounts.UserEdit{Roles: &id.Roles})
		if conflict, ok := errors.AsType[*store.ConflictError](err); ok && conflict.Field == "roles" {
			return refuse(oidc.LastOwner)
		}
		if err != nil {
			return roleError(err, refuse)
		}
		u = after
		return nil
	})
	return u, err
}

// create makes a user of whoever that is at a provider. One who is there keeps their
// name: to be called the same is not to be the same.
func create(ctx context.Context, tx store.Tx, id oidc.Identity, refuse func(oidc.Reason) error) (store.User, error) {
	for _, name := range id.Names {
		if accounts.CheckUserName(name) != nil {
			continue
		}
		for _, name := range []string{name, fmt.Sprintf("%s (%s)", name, id.Provider)} {
			if _, err := tx.Users.Get(ctx, name); !errors.Is(err, store.ErrNotFound) {
				if err != nil {
					return store.User{}, err
				}
				continue
			}
			if accounts.CheckUserName(name) != nil {
				break
			}
			u, err := accounts.CreateUserAs(ctx, tx, name, id.Roles, id.Issuer, id.Subject)
			return u, roleError(err, refuse)
		}
		return store.User{}, refuse(oidc.NameTaken)
	}
	return store.User{}, refuse(oidc.BadName)
}

// roleError says that a role that the settings give is not there.
func roleError(err error, refuse func(oidc.Reason) error) error {
	if invalid, ok := errors.AsType[*store.InvalidError](err); ok && invalid.Field == "roles" {
		return refuse(oidc.UnknownRole)
	}
	return err
}

func sameRoles(have store.Set, want []string) bool {
	return slices.Equal(slices.Sorted(have.All()), slices.Sorted(slices.Values(want)))
}
