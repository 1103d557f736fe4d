package authn

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/gatehousehq/gatehouse/internal/password"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/token"
)

// Why somebody is not let in. The texts are for whoever tries. Which of name and
// password is wrong is not said.
var (
	ErrWrongPassword = errors.New("the name or the password is wrong")
	ErrNoPower       = errors.New("this token cannot open a session: a session can do all that its user can, so it takes a token with the scope all, without limits and without an expiry")
	ErrSessionOver   = errors.New("this session is over: sign in again")
	ErrUserDisabled  = errors.New("this user is disabled")
)

const (
	// seenEvery is how often at most it is written down that a session is used.
	seenEvery = time.Minute
	// hashWait is how long a sign-in may wait for its turn to check a password.
	hashWait = 10 * time.Second
	valueLen = 32 // random bytes of what the browser presents
)

// Limits are how long sessions last.
type Limits struct {
	Idle     time.Duration // since it was used last
	Lifetime time.Duration // since sign-in
}

// Sessions lets people in, and knows them again by what their browser presents. It
// counts attempts in memory, and asks the database each time that a session is
// used: what ends one ends it at every server at once. It may be used concurrently.
type Sessions struct {
	db       *store.DB
	tokens   *Authenticator
	hasher   *password.Hasher
	limits   Limits
	now      func() time.Time
	onFailed FailedFunc

	accounts, addresses, returns *attempts
}

// A FailedFunc hears of somebody who was not let in, as far as they are known, with
// what: a token, or a session that they wanted. The actor has no power.
type FailedFunc func(who store.Actor, what rbac.Resource, reason string)

// NewSessions returns Sessions over db. onFailed may be nil.
func NewSessions(db *store.DB, tokens *Authenticator, limits Limits, now func() time.Time, onFailed FailedFunc) *Sessions {
	return &Sessions{
		db: db, tokens: tokens, hasher: password.NewHasher(), limits: limits, now: now, onFailed: onFailed,
		accounts: newAttempts(perAccount, now), addresses: newAttempts(perAddress, now), returns: newAttempts(perAddress, now),
	}
}

// Authenticate returns the user whose session value is, coming from origin. Their
// power is all that their roles grant, as they are now; before they have changed a
// password that another chose, it is to do that.
func (s *Sessions) Authenticate(ctx context.Context, value string, origin store.Origin) (store.Actor, error) {
	who, rec, err := s.find(ctx, value, origin)
	if now := s.now(); err == nil && now.Sub(rec.LastSeenAt) >= seenEvery {
		// Without the note the session is over earlier than it should be, which is no
		// reason not to answer: the database may be one that only reads.
		_ = s.db.Update(ctx, authenticator, func(tx store.Tx) error { return tx.Credentials.SessionSeen(ctx, rec.ID, now) })
	}
	return who, err
}

// AuthenticateAgain is [Sessions.Authenticate] for an answer that takes long, and is
// no use of the session.
func (s *Sessions) AuthenticateAgain(ctx context.Context, value string, origin store.Origin) (store.Actor, error) {
	who, _, err := s.find(ctx, value, origin)
	return who, err
}

func (s *Sessions) find(ctx context.Context, value string, origin store.Origin) (store.Actor, store.Session, error) {
	if len(value) != base64.RawURLEncoding.EncodedLen(valueLen) {
		return store.Actor{}, store.Session{}, ErrSessionOver
	}
	var rec store.Session
	var p store.Person
	err := s.db.View(ctx, authenticator, func(tx store.Tx) (err error) {
		rec, p, err = tx.Credentials.BySessionHash(ctx, token.Sum(value))
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return store.Actor{}, store.Session{}, ErrSessionOver
	case err != nil:
		return store.Actor{}, store.Session{}, err
	case !s.now().Before(s.End(rec)), p.User.Disabled:
		return store.Actor{}, store.Session{}, ErrSessionOver
	}
	return signedIn(p, rec.ID, origin), rec, nil
}

// End returns when the session is over, if it is not used until then.
func (s *Sessions) End(rec store.Session) time.Time {
	if idle := rec.LastSeenAt.Add(s.limits.Idle); idle.Before(rec.ExpiresAt) {
		return idle
	}
	return rec.ExpiresAt
}

// signedIn returns the actor that somebody is in a session.
func signedIn(p store.Person, sessionID string, origin store.Origin) store.Actor {
	who := store.Actor{
		Kind: store.ActorUser, ID: p.User.ID, Name: p.User.Name, Power: rbac.SignedIn(),
		SessionID: sessionID, Scopes: store.SetOf(string(rbac.ScopeAll)), Origin: origin,
	}
	if !p.Password.MustChange {
		who.Power = who.Power.Or(p.User.Grants(p.Custom))
	}
	return who
}

// Status is what somebody may want to know who is signed in.
type Status struct {
	Session store.Session // zero: it is a token that is used
	Person  store.Person
	// New is whether nobody has a password yet, and this is not somebody whom an identity
	// provider lets in.
	New bool
}

// Status returns that of who.
func (s *Sessions) Status(ctx context.Context, who store.Actor) (st Status, err error) {
	err = s.db.View(ctx, authenticator, func(tx store.Tx) error {
		if st.Person, err = tx.Credentials.ByUser(ctx, who.ID); err != nil {
			return err
		}
		if who.SessionID != "" {
			if st.Session, err = tx.Sessions.Get(ctx, who.SessionID); err != nil {
				return err
			}
		}
		first, err := tx.Passwords.List(ctx, store.Query{Limit: 1})
		st.New = len(first) == 0 && st.Person.User.Subject == ""
		return err
	})
	return st, err
}

// SignIn lets in whoever has that name and password, and returns what their browser
// is to present from then on. former is what it presented until then, "" for
// nothing: that session ends.
func (s *Sessions) SignIn(ctx context.Context, name string, pw secret.Text, former string, origin store.Origin) (secret.Text, error) {
	nobody := store.Actor{Kind: store.ActorAnonymous, Origin: origin}
	back, err := s.attempt(name, origin)
	if err != nil {
		s.failed(nobody, "too_many_attempts")
		return secret.Text{}, err
	}
	p, err := s.person(ctx, name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		back()
		return secret.Text{}, err
	}
	if p.User.Name != name {
		p = store.Person{} // an id is no name: it would be counted apart
	}
	right, err := s.check(ctx, p.Password.Hash, pw)
	if err != nil {
		back()
		return secret.Text{}, err
	}
	who := nobody
	if p.User.ID != "" {
		who = store.Actor{Kind: store.ActorUser, ID: p.User.ID, Name: p.User.Name, Origin: origin}
	}
	switch {
	case !right:
		s.failed(who, "wrong_password")
		return secret.Text{}, ErrWrongPassword
	case p.User.Disabled:
		s.failed(who, "disabled_user")
		return secret.Text{}, ErrUserDisabled
	}
	back()
	return s.open(ctx, who, store.SignedInByPassword, Former(former), func(tx store.Tx) error {
		now, err := tx.Credentials.ByUser(ctx, p.User.ID)
		if err == nil && (now.User.Disabled || now.Password.Hash != p.Password.Hash) {
			err = ErrWrongPassword // since a moment ago
		}
		return err
	})
}

// SignInByToken lets in whoever has a token that can do all that its owner can. See
// [Sessions.SignIn] for the rest.
func (s *Sessions) SignInByToken(ctx context.Context, presented, former string, origin store.Origin) (secret.Text, error) {
	by, err := s.tokens.Authenticate(ctx, presented, origin)
	if err != nil {
		return secret.Text{}, err
	}
	p, err := s.person(ctx, by.ID)
	if err != nil {
		return secret.Text{}, err
	}
	if !by.ExpiresAt.IsZero() || !by.Power.Contains(p.User.Grants(p.Custom)) || by.Scopes != store.SetOf(string(rbac.ScopeAll)) {
		return secret.Text{}, ErrNoPower
	}
	return s.open(ctx, by, store.SignedInByToken, Former(former), func(tx store.Tx) error {
		_, u, _, err := tx.Credentials.ByTokenHash(ctx, token.Sum(presented))
		if errors.Is(err, store.ErrNotFound) || err == nil && u.Disabled {
			err = ErrUnknown // since a moment ago
		}
		return err
	})
}

// Former returns what a session is found by that a browser presented until now, zero for
// nothing. It opens no session.
func Former(presented string) (sum [32]byte) {
	if presented != "" {
		sum = token.Sum(presented)
	}
	return sum
}

// open makes a session of who, in place of the one of former. It is undone if still returns an error, which looks
// once more at what let them in, while nobody else changes anything.
func (s *Sessions) open(ctx context.Context, who store.Actor, by store.SignInMethod, former [32]byte, still func(store.Tx) error) (secret.Text, error) {
	who.Power = authenticator.Power // to look, and to open the session, and nothing else
	var value secret.Text
	err := s.db.Update(ctx, who, func(tx store.Tx) (err error) {
		if value, err = s.insert(ctx, tx, who, by); err != nil {
			return err
		}
		if err := still(tx); err != nil {
			return err
		}
		if former == [32]byte{} {
			return nil
		}
		old, _, err := tx.Credentials.BySessionHash(ctx, former)
		if err == nil {
			_, err = tx.Sessions.Delete(ctx, old.ID)
		}
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		return secret.Text{}, err
	}
	return value, nil
}

// insert adds a session of who.
func (s *Sessions) insert(ctx context.Context, tx store.Tx, who store.Actor, by store.SignInMethod) (secret.Text, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return secret.Text{}, err
	}
	var random [valueLen]byte
	rand.Read(random[:]) // never fails: crypto/rand ends the program instead
	value := base64.RawURLEncoding.EncodeToString(random[:])
	_, err = tx.Sessions.Insert(ctx, store.Session{
		ID: id.String(), UserID: who.ID, SecretHash: token.Sum(value), Method: by,
		Address: who.Origin.Address, UserAgent: who.Origin.UserAgent, ExpiresAt: s.now().Add(s.limits.Lifetime),
	})
	return secret.New(value), err
}

func (s *Sessions) person(ctx context.Context, ref string) (p store.Person, err error) {
	err = s.db.View(ctx, authenticator, func(tx store.Tx) error {
		p, err = tx.Credentials.ByUser(ctx, ref)
		return err
	})
	return p, err
}

// attempt counts an attempt at the account and from the address. back takes it back.
func (s *Sessions) attempt(account string, origin store.Origin) (back func(), err error) {
	from := network(origin.Address)
	if err := s.addresses.take(from); err != nil {
		return nil, err
	}
	if err := s.accounts.take(account); err != nil {
		return nil, err
	}
	return func() {
		s.addresses.back(from)
		s.accounts.back(account)
	}, nil
}

func (s *Sessions) check(ctx context.Context, hash, pw secret.Text) (bool, error) {
	waiting, cancel := context.WithTimeout(ctx, hashWait)
	defer cancel()
	right, err := s.hasher.Check(waiting, hash, pw)
	return right, s.busy(ctx, err)
}

// busy says what it means that there was no turn at the hasher.
func (s *Sessions) busy(ctx context.Context, err error) error {
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return &TooManyError{hashWait}
	}
	return err
}

func (s *Sessions) failed(who store.Actor, reason string) {
	if s.onFailed != nil {
		s.onFailed(who, rbac.Session, reason)
	}
}
