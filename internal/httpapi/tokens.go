package httpapi

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
)

const tokensPath = "/api/v1/tokens"

// A TokenPath is the token that a route is about.
type TokenPath struct {
	ID string `path:"id" maxLength:"64" doc:"The id of the token."`
}

type tokenOutput struct{ Body client.Token }

func (a *api) registerTokens() {
	register(a, huma.Operation{
		OperationID: "list-tokens", Method: http.MethodGet, Path: tokensPath, Tags: []string{"Tokens"},
		Summary: "List tokens", Description: "Those that the caller may see, oldest first.",
	}, a.listTokens)
	register(a, huma.Operation{
		OperationID: "create-token", Method: http.MethodPost, Path: tokensPath, Tags: []string{"Tokens"},
		Summary:       "Create a token",
		Description:   "It belongs to the caller, or to a user whom the caller may manage, and can be no stronger than the token that the caller uses. The answer is the one place where it can be seen.",
		DefaultStatus: http.StatusCreated, Errors: []int{400, 413, 415},
	}, a.createToken)
	register(a, huma.Operation{
		OperationID: "get-token", Method: http.MethodGet, Path: tokensPath + "/{id}", Tags: []string{"Tokens"},
		Summary: "Get a token", Description: "The token itself cannot be read back.", Errors: []int{404},
	}, a.getToken)
	register(a, huma.Operation{
		OperationID: "revoke-token", Method: http.MethodDelete, Path: tokensPath + "/{id}", Tags: []string{"Tokens"},
		Summary: "Revoke a token", Description: "It is refused from when the answer comes.",
		DefaultStatus: http.StatusNoContent, Errors: []int{404},
	}, a.revokeToken)
}

type listTokensOutput struct{ Body client.Page[client.Token] }

type listTokensInput struct {
	PageInput
	Owner string `query:"owner" maxLength:"128" doc:"List those of this user, by name or id."`
}

func (a *api) listTokens(ctx context.Context, who store.Actor, in *listTokensInput) (*listTokensOutput, error) {
	after, err := in.after(isID)
	if err != nil {
		return nil, err
	}
	var keys []store.APIKey
	err = a.DB.View(ctx, who, func(tx store.Tx) (err error) {
		q := store.Query{After: after, Limit: in.Limit + 1}
		if q.OwnerID, err = ownerID(ctx, tx, who, in.Owner); errors.Is(err, errNoUser) {
			return refused("query.owner", "is not the name or id of a user")
		}
		if err != nil {
			return err
		}
		keys, err = tx.APIKeys.List(ctx, q)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &listTokensOutput{page(keys, in.Limit, tokenOf, func(k store.APIKey) string { return k.ID })}, nil
}

// ownerID returns the id of the user that ref names, "" for none. One's own
// takes no right to see others.
func ownerID(ctx context.Context, tx store.Tx, who store.Actor, ref string) (string, error) {
	if ref == "" || ref == who.ID || ref == who.Name {
		if ref != "" {
			ref = who.ID
		}
		return ref, nil
	}
	u, err := tx.Users.Get(ctx, ref)
	if errors.Is(err, store.ErrNotFound) {
		return "", errNoUser
	}
	return u.ID, err
}

var errNoUser = errors.New("no such user")

type createTokenInput struct {
	Body struct {
		Name        string     `json:"name" minLength:"1" maxLength:"128" doc:"A name for people; it stands in logs."`
		Scopes      []string   `json:"scopes" minItems:"1" maxItems:"64" nullable:"false" doc:"What it may do of what its owner may."`
		Providers   []string   `json:"providers,omitempty" maxItems:"256" doc:"The names of the providers it may use; left out: any. Such a token can have gateway scopes only."`
		Models      []string   `json:"models,omitempty" maxItems:"256" doc:"The models it may use, a trailing * matching any ending; left out: any. Such a token can have gateway scopes only."`
		ExpiresAt   *time.Time `json:"expires_at,omitempty" doc:"When it stops working; left out: never."`
		RPM         *int64     `json:"rpm,omitempty" minimum:"0" maximum:"1000000" doc:"How many requests it may send in a minute, to each replica; left out or 0: any number. Such a token can have gateway scopes only."`
		Concurrency *int64     `json:"concurrency,omitempty" minimum:"0" maximum:"1000000" doc:"How many requests it may have under way at a time, at each replica; left out or 0: any number. Such a token can have gateway scopes only."`
		Owner       string     `json:"owner,omitempty" maxLength:"128" doc:"The user, by name or id, whose it is to be; left out: the caller."`
	}
}

type createTokenOutput struct {
	Location string `header:"Location"`
	Body     client.CreatedToken
}

func (a *api) createToken(ctx context.Context, who store.Actor, in *createTokenInput) (*createTokenOutput, error) {
	b := in.Body
	var key store.APIKey
	var minted secret.Text
	err := a.DB.Update(ctx, who, func(tx store.Tx) (err error) {
		owner, err := ownerID(ctx, tx, who, cmp.Or(b.Owner, who.ID))
		if errors.Is(err, errNoUser) {
			return &store.InvalidError{Field: "owner", Reason: "is not the name or id of a user"}
		}
		if err != nil {
			return err
		}
		key, minted, err = authn.Mint(ctx, tx, owner, a.Now(), authn.NewToken{
			Name: b.Name, Scopes: b.Scopes, Providers: b.Providers, Models: b.Models, ExpiresAt: orZero(b.ExpiresAt),
			RPM: orZero(b.RPM), Concurrency: orZero(b.Concurrency),
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return &createTokenOutput{
		Location: tokensPath + "/" + key.ID,
		Body:     client.CreatedToken{Token: tokenOf(key), Secret: minted.Reveal()},
	}, nil
}

func (a *api) getToken(ctx context.Context, who store.Actor, in *TokenPath) (*tokenOutput, error) {
	var key store.APIKey
	err := a.DB.View(ctx, who, func(tx store.Tx) (err error) {
		key, err = tx.APIKeys.Get(ctx, in.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &tokenOutput{tokenOf(key)}, nil
}

func (a *api) revokeToken(ctx context.Context, who store.Actor, in *TokenPath) (*struct{}, error) {
	return nil, a.DB.Update(ctx, who, func(tx store.Tx) error {
		_, err := tx.APIKeys.Delete(ctx, in.ID)
		return err
	})
}

// tokenOf is the wire form of a token.
func tokenOf(k store.APIKey) client.Token {
	return client.Token{
		ID: k.ID, Name: k.Name, Owner: k.OwnerName, Scopes: k.Scopes.Slice(), Providers: k.Providers.Slice(), Models: k.Models.Slice(),
		RPM: k.RPM, Concurrency: k.Concurrency,
		ExpiresAt: orNil(k.ExpiresAt), LastUsedAt: orNil(k.LastUsedAt), CreatedAt: k.CreatedAt,
	}
}
