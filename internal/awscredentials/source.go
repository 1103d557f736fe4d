package awscredentials

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/transport"
	"github.com/gatehousehq/gatehouse/internal/upstream"
)

// A Spec says whose credentials a Source has.
type Spec struct {
	// ProviderID and Provider are the id and name of the provider that signs with
	// them. The name is in what AWS logs of a role's sessions.
	ProviderID, Provider string
	// Region is that of the provider; STS is asked there.
	Region string
	// RoleARN is the role to assume; "" is none.
	RoleARN string
	// Pair is ACCESS_KEY_ID:SECRET to assume it with; zero is the server's own
	// credentials.
	Pair secret.Text
	// Egress is the way to the provider, which is that to STS, too.
	Egress *transport.Egress
}

// same reports whether what one was given for serves for the other.
func (s *Spec) same(o *Spec) bool {
	return s.ProviderID == o.ProviderID && s.Provider == o.Provider && s.Region == o.Region && s.RoleARN == o.RoleARN &&
		s.Pair == o.Pair && s.Egress.Same(o.Egress)
}

// The conditions of a Source.
const (
	Ready   = "ready"   // its credentials are good, and were renewed when they had to be
	Failing = "failing" // they are good for now, and cannot be renewed
	Missing = "missing" // there are none
)

const (
	// waitTime is how long a request waits for credentials that are being got.
	waitTime = 15 * time.Second
	// renewPause is how long credentials that were refused are kept before others
	// are asked for again.
	renewPause = 30 * time.Second
)

// A Source has the credentials of one provider. It may be used concurrently;
// while they are good, reading them is one atomic load.
type Source struct {
	spec  Spec
	now   func() time.Time
	wake  chan<- struct{}
	state atomic.Pointer[state]
}

// A state is what is known at a time. It never changes, but for being over.
type state struct {
	pair, session secret.Text // zero before the first
	got           time.Time
	expires       time.Time // zero is never
	problem       string    // why the last attempt gave none; "" is that it did, or was not yet
	failures      int       // since the last success
	due           time.Time // for the next attempt
	over          chan struct{}
}

func (s *state) usable(now time.Time) bool {
	return !s.pair.IsZero() && (s.expires.IsZero() || now.Before(s.expires))
}

// set puts another state into force, and lets those go on who wait for one.
func (s *Source) set(next state) {
	next.over = make(chan struct{})
	close(s.state.Swap(&next).over)
}

// Credentials returns the pair ACCESS_KEY_ID:SECRET and the session token to sign
// with. It waits, for a time, only while none have been got; an error is an
// [upstream.CredentialError] or the context's.
func (s *Source) Credentials(ctx context.Context) (pair, session secret.Text, err error) {
	st := s.state.Load()
	if st.usable(s.now()) {
		return st.pair, st.session, nil
	}
	if st.problem == "" {
		if err := s.await(ctx, st); err != nil {
			return secret.Text{}, secret.Text{}, err
		}
		if st = s.state.Load(); st.usable(s.now()) {
			return st.pair, st.session, nil
		}
	}
	return secret.Text{}, secret.Text{}, errNone
}

// errNone has no reason with it: that is for operators, see [Source.Condition].
var errNone = &upstream.CredentialError{}

// await waits until st is over.
func (s *Source) await(ctx context.Context, st *state) error {
	s.rouse()
	timer := time.NewTimer(waitTime)
	defer timer.Stop()
	select {
	case <-st.over:
		return nil
	case <-timer.C:
		return errNone
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rouse has the Keeper look now.
func (s *Source) rouse() {
	select {
	case s.wake <- struct{}{}:
	default: // it was told already
	}
}

// Refused says that AWS did not take the credentials: their session was revoked,
// say, or the key behind them was changed. Others are asked for, not too often.
func (s *Source) Refused() {
	st := s.state.Load()
	now := s.now()
	if st.pair.IsZero() || now.Before(st.got.Add(renewPause)) || !st.due.After(now) {
		return
	}
	next := *st
	next.due, next.over = now, make(chan struct{})
	if s.state.CompareAndSwap(st, &next) {
		close(st.over)
		s.rouse()
	}
}

// Condition returns how the Source fares, and for people why if it is not Ready.
// A Source that was not asked for credentials yet is Ready.
func (s *Source) Condition() (name, problem string) {
	st := s.state.Load()
	switch {
	case st.usable(s.now()) && st.problem == "", st.pair.IsZero() && st.problem == "":
		return Ready, ""
	case st.usable(s.now()):
		return Failing, st.problem
	case st.problem == "":
		return Missing, "its AWS credentials have ended, and are being renewed"
	default:
		return Missing, st.problem
	}
}
