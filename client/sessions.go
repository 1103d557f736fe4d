package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// A Session is a user who is signed in at a browser.
type Session struct {
	ID         string    `json:"id" format:"uuid" doc:"The id of the session."`
	UserID     string    `json:"user_id" format:"uuid" doc:"The id of the user."`
	User       string    `json:"user" doc:"The name of the user."`
	Method     string    `json:"method" enum:"password,token,oidc" doc:"What they signed in with."`
	Provider   string    `json:"provider,omitempty" doc:"The name of the identity provider, if it was one."`
	Address    string    `json:"address" doc:"Where they signed in from."`
	UserAgent  string    `json:"user_agent" doc:"What their browser called itself then."`
	Current    bool      `json:"current" doc:"Whether it is the one that asks."`
	Active     bool      `json:"active" doc:"Whether it can still be used."`
	CreatedAt  time.Time `json:"created_at" doc:"When they signed in."`
	LastSeenAt time.Time `json:"last_seen_at" doc:"When it was used last, to the minute."`
	EndsAt     time.Time `json:"ends_at" doc:"When it ends if it is not used until then."`
	ExpiresAt  time.Time `json:"expires_at" doc:"When it ends in any case."`
}

// A SignedIn says who is signed in, or whose token is used.
type SignedIn struct {
	Session            *Session `json:"session" doc:"The session; null: it is a token that is used."`
	ID                 string   `json:"id" format:"uuid" doc:"The id of the user."`
	Name               string   `json:"name" doc:"The name of the user."`
	Roles              []string `json:"roles" nullable:"false" doc:"The names of their roles."`
	Permissions        []string `json:"permissions" nullable:"false" doc:"What they may do now."`
	PasswordSet        bool     `json:"password_set" doc:"Whether the user has a password."`
	PasswordMustChange bool     `json:"password_must_change" doc:"Whether they can do nothing before they have changed it."`
	New                bool     `json:"new" doc:"Whether no user has a password yet: the installation is new."`
}

// SignInMethods are the ways to sign in with a browser.
type SignInMethods struct {
	Password bool         `json:"password" doc:"Whether a name and a password will do."`
	OIDC     []OIDCMethod `json:"oidc" nullable:"false" doc:"The identity providers that people can sign in by."`
}

// An OIDCMethod is an identity provider that people can sign in by.
type OIDCMethod struct {
	Name        string `json:"name" doc:"It stands in the URL to go to: /api/v1/session/oidc/NAME."`
	DisplayName string `json:"display_name" doc:"Its name for people."`
}

const sessionsPath = "/api/v1/sessions"

// SignedIn returns who the client's token belongs to, and whether they have a
// password.
func (c *Client) SignedIn(ctx context.Context) (SignedIn, error) {
	return call[SignedIn](ctx, c, http.MethodGet, "/api/v1/session", 0, nil)
}

// ListSessions returns one page of the sessions that the client may see.
func (c *Client) ListSessions(ctx context.Context, o ListOptions) (Page[Session], error) {
	return call[Page[Session]](ctx, c, http.MethodGet, sessionsPath+o.query(), 0, nil)
}

// Sessions returns every session that the client may see.
func (c *Client) Sessions(ctx context.Context) iter.Seq2[Session, error] {
	return pages(ctx, c.ListSessions)
}

// SessionsOf returns every session of a user, by name or id.
func (c *Client) SessionsOf(ctx context.Context, user string) iter.Seq2[Session, error] {
	return pages(ctx, func(ctx context.Context, o ListOptions) (Page[Session], error) {
		q := o.values()
		q.Set("user", user)
		return call[Page[Session]](ctx, c, http.MethodGet, sessionsPath+query(q, nil), 0, nil)
	})
}

// EndSession ends the session with that id.
func (c *Client) EndSession(ctx context.Context, id string) error {
	return c.remove(ctx, sessionsPath+"/"+url.PathEscape(id), 0)
}

// A passwordChange is a password as it is sent.
type passwordChange struct {
	Current string `json:"current,omitempty"`
	New     string `json:"new"`
}

// ChangePassword gives the user whose token it is a new password. current is ""
// if they had none.
func (c *Client) ChangePassword(ctx context.Context, current, next string) error {
	return c.post(ctx, "/api/v1/me/password", passwordChange{current, next})
}

// SetPassword gives another user, by id or name, a password that they must change.
func (c *Client) SetPassword(ctx context.Context, ref, next string) error {
	return c.post(ctx, usersPath+"/"+url.PathEscape(ref)+"/password", passwordChange{New: next})
}

// post sends a request that is answered with 204 and no body.
func (c *Client) post(ctx context.Context, path string, body any) error {
	answer, err := c.send(ctx, http.MethodPost, path, 0, body)
	if err == nil && answer.status != http.StatusNoContent {
		return answer.foreign()
	}
	return err
}
