// Package authn finds out who is asking. It is the only maker of
// [store.Actor]s: of people by the token they present, and of the named parts
// of the system.
package authn

import (
	"context"
	"errors"
	"time"

	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/token"
)

// Why a token is not accepted. The texts are for whoever presented it.
var (
	ErrMissing   = errors.New("a Gatehouse token is needed: send it as Authorization: Bearer gate_…")
	ErrMalformed = errors.New("this is not a Gatehouse token, or it was mistyped or cut: a token is gate_ and 38 more characters")
	ErrUnknown   = errors.New("this token is unknown here, or was revoked")
	ErrExpired   = errors.New("this token has expired")
	ErrDisabled  = errors.New("the user that this token belongs to is disabled")
)

// The parts of the system that act on their own. Each has a role with the
// least that its work needs.
var (
	// Bootstrap makes the first owner, their token and the data keys.
	Bootstrap = system("bootstrap", rbac.SystemBootstrap)
	// Compiler compiles the gateway's snapshot.
	Compiler = system("snapshot compiler", rbac.SystemCompiler)
	// Recorder writes down what is no change: the last use of keys and tokens,
	// refusals, failed logins, the use of secrets.
	Recorder = system("recorder", rbac.SystemRecorder)
	// Seeder adds the providers that the environment names.
	Seeder = system("seeder", rbac.SystemSeeder)
	// Rotator seals secrets again under another data key.
	Rotator = system("rotator", rbac.SystemRotator)
	// Verifier signs checkpoints of the audit log, and verifies it.
	Verifier = system("audit verifier", rbac.SystemVerifier)
	// Archivist removes audit entries that are past their retention.
	Archivist = system("audit archivist", rbac.SystemArchivist)

	authenticator = system("authenticator", rbac.SystemAuthenticator)
)

func system(name string, role rbac.Role) store.Actor {
	return store.Actor{Kind: store.ActorSystem, ID: name, Name: name, Power: role.Grants()}
}

// An Authenticator turns tokens into actors.
type Authenticator struct {
	db  *store.DB
	now func() time.Time
}

// New returns an Authenticator over db.
func New(db *store.DB, now func() time.Time) *Authenticator { return &Authenticator{db, now} }

// Authenticate returns the user that presents a token, coming from origin. A
// token that is mistyped is refused without a query.
func (a *Authenticator) Authenticate(ctx context.Context, presented string, origin store.Origin) (store.Actor, error) {
	if presented == "" {
		return store.Actor{}, ErrMissing
	}
	if !token.Valid(presented) {
		return store.Actor{}, ErrMalformed
	}
	var key store.APIKey
	var user store.User
	var roles []store.Role
	err := a.db.View(ctx, authenticator, func(tx store.Tx) (err error) {
		key, user, roles, err = tx.Credentials.ByTokenHash(ctx, token.Sum(presented))
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return store.Actor{}, ErrUnknown
	case err != nil:
		return store.Actor{}, err
	case !key.ExpiresAt.IsZero() && !a.now().Before(key.ExpiresAt):
		return store.Actor{}, ErrExpired
	case user.Disabled:
		return store.Actor{}, ErrDisabled
	}
	return store.Actor{
		Kind: store.ActorUser, ID: user.ID, Name: user.Name, Power: key.Power(user, roles),
		TokenID: key.ID, TokenName: key.Name, Scopes: key.Scopes, ExpiresAt: key.ExpiresAt,
		Origin: origin,
	}, nil
}
