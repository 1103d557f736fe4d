// Package authn finds out who is asking. It is the only maker of
// [store.Actor]s: of people by the token or the session that they present, and of
// the named parts of the system. It lets people in by a password, or by what an
// identity provider says, and has the rules of that: see [Sessions].
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
	// Recorder writes down what is no change: requests to the gateway, the last
	// use of keys and tokens, refusals, failed logins, the use of secrets.
	Recorder = system("recorder", rbac.SystemRecorder)
	// Seeder adds the providers that the environment names.
	Seeder = system("seeder", rbac.SystemSeeder)
	// Rotator seals secrets again under another data key.
	Rotator = system("rotator", rbac.SystemRotator)
	// Verifier signs checkpoints of the audit log, and verifies it.
	Verifier = system("audit verifier", rbac.SystemVerifier)
	// Recovery makes an owner of a user again, at the machine, and writes down
	// that a backup was restored there.
	Recovery = system("recovery", rbac.SystemRecovery)
	// Archivist removes audit entries and records of requests that are past their
	// retention.
	Archivist = system("audit archivist", rbac.SystemArchivist)
	// Keyholder loads the data keys, and says which it has.
	Keyholder = system("keyholder", rbac.SystemKeyholder)
	// Exporter exports secrets in the clear, at the machine.
	Exporter = system("exporter", rbac.SystemExporter)
	// KeyWatcher tells the replicas how provider keys fare.
	KeyWatcher = system("key watcher", rbac.SystemKeyWatcher)
	// Custodian removes what cannot be opened any more, at the machine.
	Custodian = system("custodian", rbac.SystemCustodian)

	authenticator = system("authenticator", rbac.SystemAuthenticator)
	// registrar makes users of whoever an identity provider vouches for.
	registrar = system("registrar", rbac.SystemRegistrar)
)

func system(name string, role rbac.Role) store.Actor {
	return store.Actor{Kind: store.ActorSystem, ID: name, Name: name, Power: role.Grants()}
}

// Refused returns whom an audit entry is about that was refused by others than
// this package: the bearer of a token, or nobody known if it has no id. The
// actor has no power.
func Refused(tokenID, tokenName string, origin store.Origin) store.Actor {
	kind := store.ActorUser
	if tokenID == "" {
		kind = store.ActorAnonymous
	}
	return store.Actor{Kind: kind, TokenID: tokenID, TokenName: tokenName, Origin: origin}
}

// An Authenticator turns tokens into actors.
type Authenticator struct {
	db       *store.DB
	now      func() time.Time
	onFailed FailedFunc
}

// New returns an Authenticator over db. onFailed, if not nil, hears of each
// token that was not accepted, with an actor who has no power and who is known
// as far as the token says.
func New(db *store.DB, now func() time.Time, onFailed FailedFunc) *Authenticator {
	return &Authenticator{db, now, onFailed}
}

// Authenticate returns the user that presents a token, coming from origin. A
// token that is mistyped is refused without a query.
func (a *Authenticator) Authenticate(ctx context.Context, presented string, origin store.Origin) (store.Actor, error) {
	who, err := a.authenticate(ctx, presented, origin)
	if err == nil {
		return who, nil
	}
	if reason := failure(err); reason != "" && a.onFailed != nil {
		who.Power = rbac.Grants{}
		a.onFailed(who, rbac.APIKey, reason)
	}
	return store.Actor{}, err
}

// failure names why a token was not accepted, as the gateway does; "" if it
// could not be looked up.
func failure(err error) string {
	for e, reason := range map[error]string{
		ErrMissing: "no_token", ErrMalformed: "malformed_token", ErrUnknown: "unknown_token", ErrExpired: "expired_token", ErrDisabled: "disabled_user",
	} {
		if errors.Is(err, e) {
			return reason
		}
	}
	return ""
}

// authenticate returns with an error whom it was able to recognise.
func (a *Authenticator) authenticate(ctx context.Context, presented string, origin store.Origin) (store.Actor, error) {
	nobody := store.Actor{Kind: store.ActorAnonymous, Origin: origin}
	if presented == "" {
		return nobody, ErrMissing
	}
	if !token.Valid(presented) {
		return nobody, ErrMalformed
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
		return nobody, ErrUnknown
	case err != nil:
		return nobody, err
	}
	who := store.Actor{
		Kind: store.ActorUser, ID: user.ID, Name: user.Name, Power: key.Power(user, roles),
		TokenID: key.ID, TokenName: key.Name, Scopes: key.Scopes, ExpiresAt: key.ExpiresAt,
		Origin: origin,
	}
	switch {
	case !key.ExpiresAt.IsZero() && !a.now().Before(key.ExpiresAt):
		return who, ErrExpired
	case user.Disabled:
		return who, ErrDisabled
	}
	return who, nil
}
