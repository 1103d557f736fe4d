package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
)

// ListTokens returns one page of the tokens that the caller may see.
func (c *Client) ListTokens(ctx context.Context, o ListOptions) (Page[Token], error) {
	return call[Page[Token]](ctx, c, http.MethodGet, "/api/v1/tokens"+o.query(), 0, nil)
}

// Tokens returns every token that the caller may see.
func (c *Client) Tokens(ctx context.Context) iter.Seq2[Token, error] {
	return pages(ctx, c.ListTokens)
}

// TokensOf returns every token of a user, by name or id.
func (c *Client) TokensOf(ctx context.Context, owner string) iter.Seq2[Token, error] {
	return pages(ctx, func(ctx context.Context, o ListOptions) (Page[Token], error) {
		q := o.values()
		q.Set("owner", owner)
		return call[Page[Token]](ctx, c, http.MethodGet, "/api/v1/tokens"+query(q, nil), 0, nil)
	})
}

// Token returns the token with that id.
func (c *Client) Token(ctx context.Context, id string) (Token, error) {
	return call[Token](ctx, c, http.MethodGet, "/api/v1/tokens/"+url.PathEscape(id), 0, nil)
}

// CreateToken makes a token. The answer is the only one that carries it.
func (c *Client) CreateToken(ctx context.Context, req CreateToken) (CreatedToken, error) {
	return call[CreatedToken](ctx, c, http.MethodPost, "/api/v1/tokens", 0, req)
}

// DeleteToken revokes a token.
func (c *Client) DeleteToken(ctx context.Context, id string) error {
	return c.remove(ctx, "/api/v1/tokens/"+url.PathEscape(id), 0)
}
