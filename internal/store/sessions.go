package store

import (
	"strings"
	"time"

	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
)

// A Password is a row of user_passwords: what the password of a user is checked
// by. It is apart from [User], so that who reads users does not read it. A change
// of it ends all sessions of the user.
type Password struct {
	UserID string `audit:"user_id,ignore"`
	// UserName is the name of the user; it is read with the password and not
	// written.
	UserName string `audit:"user,ignore"`
	// Hash is in the form of package password. It is no secret that could be used,
	// but one that could be guessed at.
	Hash secret.Text `audit:"password,secret"`
	// MustChange is whether somebody else chose it: whoever signs in with it can do
	// nothing before they have another.
	MustChange bool      `audit:"must_change,track"`
	CreatedAt  time.Time `audit:"created_at,ignore"`
	UpdatedAt  time.Time `audit:"updated_at,ignore"`
}

// Ref implements [Record].
func (p Password) Ref() Ref {
	return Ref{Resource: rbac.Password, ID: p.UserID, Owner: p.UserID, Target: p.UserName}
}

// A Session is a row of sessions: a user who is signed in at a browser.
type Session struct {
	ID     string `audit:"id,ignore"`
	UserID string `audit:"user_id,ignore"`
	// UserName is the name of the user; it is read with the session and not
	// written.
	UserName string `audit:"user,ignore"`
	// SecretHash is the SHA-256 of what the browser presents, which itself is not
	// kept.
	SecretHash [32]byte     `audit:"secret_hash,ignore"`
	Method     SignInMethod `audit:"method,track"`
	// Address and UserAgent are of whoever signed in.
	Address    string    `audit:"address,ignore"`
	UserAgent  string    `audit:"user_agent,ignore"`
	CreatedAt  time.Time `audit:"created_at,ignore"`
	LastSeenAt time.Time `audit:"last_seen_at,ignore"`
	ExpiresAt  time.Time `audit:"expires_at,track"`
}

// Ref implements [Record].
func (s Session) Ref() Ref {
	return Ref{Resource: rbac.Session, ID: s.ID, Owner: s.UserID, Target: s.UserName}
}

// InsertAction says that a new session is a login.
func (Session) InsertAction() rbac.Action { return rbac.Login }

// A SignInMethod is what somebody signed in with.
type SignInMethod string

// The ways to sign in.
const (
	SignedInByPassword SignInMethod = "password"
	SignedInByToken    SignInMethod = "token"
)

// oidcMethod begins the method of who signed in by an identity provider.
const oidcMethod = "oidc:"

// SignedInByOIDC returns the method of signing in by the identity provider of that name.
func SignedInByOIDC(provider string) SignInMethod { return SignInMethod(oidcMethod + provider) }

// Provider returns the name of the identity provider, and "" if it was none.
func (m SignInMethod) Provider() string {
	if name, ok := strings.CutPrefix(string(m), oidcMethod); ok {
		return name
	}
	return ""
}

// A Person is a user with all that it takes to let them in.
type Person struct {
	User     User
	Custom   []Role   // the custom roles that they have
	Password Password // zero: they have none
}

// InsertAction returns what adding rec is in the audit log.
func InsertAction[T Record](rec T) rbac.Action {
	if r, ok := any(rec).(interface{ InsertAction() rbac.Action }); ok {
		return r.InsertAction()
	}
	return rbac.Create
}
