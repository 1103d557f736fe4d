// Package awscredentials keeps the AWS credentials that providers on Amazon
// Bedrock sign with where their settings name no lasting ones: those of the
// server itself, and those of roles.
//
// A [Source] has the credentials of one provider, for as long as its settings say
// the same of them. A [Keeper] gets them before a request needs them, and renews
// them before they end, once for all requests. When that fails, those that are
// there serve until they end. A request makes no call for them: it reads what is
// there, and waits only where there has been nothing yet.
//
// The server's own credentials are what the SDK of AWS finds in the environment,
// in the shared files, or for a web identity. Services that hand them out to
// containers and machines are asked only where [Config.Metadata] allows it, by a
// client that dials nothing but them; no program is run, and nobody signs in. STS
// is asked by the provider's own way out, under the same rules of what may be
// dialled.
//
// Sources may be used concurrently. A Keeper is run once; its Run ends all that it
// began.
package awscredentials

import (
	"context"
	"iter"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/transport"
)

const (
	// look is how often there may be something to renew, and atOnce how many are
	// renewed together.
	look   = time.Second
	atOnce = 8
	// fetchTime bounds one attempt, with what the SDK tries again. It is shorter than
	// a request waits.
	fetchTime = 12 * time.Second
	// reread is how often credentials are looked for again that have no end.
	reread = 5 * time.Minute
	// minLead and maxLead bound how long before their end credentials are renewed: a
	// quarter of their time.
	minLead, maxLead = time.Minute, 15 * time.Minute
	// firstPause and maxPause are between attempts that fail.
	firstPause, maxPause = 2 * time.Second, time.Minute
)

// Config is what a Keeper works with. All but Metadata are required.
type Config struct {
	// InUse yields the Sources of the configuration in force.
	InUse func() iter.Seq[*Source]
	// RoundTrip sends a request to STS by a way; nil is that of all providers.
	RoundTrip func(*http.Request, *transport.Egress) (*http.Response, error)
	// Metadata are the services that may be asked for the server's own credentials.
	Metadata Metadata
	Log      *slog.Logger
	Now      func() time.Time
}

// A Keeper gets credentials, and renews them.
type Keeper struct {
	cfg      Config
	wake     chan struct{} // has room for one
	metadata aws.HTTPClient
	free     chan struct{} // one for each attempt that may begin
	work     sync.WaitGroup

	mu   sync.Mutex
	busy map[*Source]bool
}

// New returns a Keeper.
func New(cfg Config) *Keeper {
	k := &Keeper{cfg: cfg, wake: make(chan struct{}, 1), metadata: cfg.Metadata.client(), free: make(chan struct{}, atOnce), busy: map[*Source]bool{}}
	for range atOnce {
		k.free <- struct{}{}
	}
	return k
}

// Source returns the Source for spec: the one from before, if it is for the same.
func (k *Keeper) Source(spec Spec, before *Source) *Source {
	if before != nil && before.spec.same(&spec) {
		return before
	}
	s := &Source{spec: spec, now: k.cfg.Now, wake: k.wake}
	s.state.Store(&state{over: make(chan struct{})})
	return s
}

// Run keeps credentials fresh until ctx is done.
func (k *Keeper) Run(ctx context.Context) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	defer k.work.Wait()
	for {
		k.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-k.wake:
		}
	}
}

// look begins the attempts that are due. What finds no room is due at the next look.
func (k *Keeper) look(ctx context.Context) {
	now := k.cfg.Now()
	for s := range k.cfg.InUse() {
		if s.state.Load().due.After(now) || !k.begin(s) {
			continue
		}
		k.work.Go(func() {
			defer k.end(s)
			k.renew(ctx, s)
		})
	}
}

// begin reports whether s may be renewed now, and nobody is at it.
func (k *Keeper) begin(s *Source) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.busy[s] {
		return false
	}
	select {
	case <-k.free:
		k.busy[s] = true
		return true
	default:
		return false
	}
}

func (k *Keeper) end(s *Source) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.busy, s)
	k.free <- struct{}{}
}

// renew makes one attempt.
func (k *Keeper) renew(ctx context.Context, s *Source) {
	limited, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	got, err := k.fetch(limited, &s.spec)
	if ctx.Err() != nil {
		return
	}
	now, before := k.cfg.Now(), s.state.Load()
	log := k.cfg.Log.With("provider", s.spec.Provider, "provider_id", s.spec.ProviderID)
	if err == nil && got.CanExpire && !got.Expires.After(now) {
		err = errEnded
	}
	if err != nil {
		told := explain(limited, err)
		next := *before
		next.problem = told.problem
		next.failures++
		next.due = now.Add(min(firstPause<<min(before.failures, 10), maxPause))
		s.set(next)
		if before.failures == 0 { // one line when it begins, and one when it ends
			log.WarnContext(ctx, "no AWS credentials to be had", "error", told.detail, "last_until", before.expires)
		}
		return
	}
	next := state{
		pair: secret.New(got.AccessKeyID + ":" + got.SecretAccessKey), session: secret.New(got.SessionToken),
		got: now, due: now.Add(reread),
	}
	if got.CanExpire {
		next.expires = got.Expires
		next.due = got.Expires.Add(-min(max(got.Expires.Sub(now)/4, minLead), maxLead))
		next.due = latest(next.due, now.Add(firstPause)) // of what ends at once
	}
	s.set(next)
	if before.failures > 0 {
		log.InfoContext(ctx, "AWS credentials to be had again", "until", next.expires)
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
