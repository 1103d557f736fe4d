// Package app puts the parts together: it is the one package that sees them
// all, and the life cycle of a process is here.
package app

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/auditlog"
	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/awscredentials"
	"github.com/gatehousehq/gatehouse/internal/breaker"
	"github.com/gatehousehq/gatehouse/internal/catalog"
	"github.com/gatehousehq/gatehouse/internal/clientaddr"
	"github.com/gatehousehq/gatehouse/internal/config"
	"github.com/gatehousehq/gatehouse/internal/datadir"
	"github.com/gatehousehq/gatehouse/internal/gateway"
	"github.com/gatehousehq/gatehouse/internal/httpapi"
	"github.com/gatehousehq/gatehouse/internal/journal"
	"github.com/gatehousehq/gatehouse/internal/keypool"
	"github.com/gatehousehq/gatehouse/internal/keyprobe"
	"github.com/gatehousehq/gatehouse/internal/keysync"
	"github.com/gatehousehq/gatehouse/internal/lastuse"
	"github.com/gatehousehq/gatehouse/internal/metrics"
	"github.com/gatehousehq/gatehouse/internal/netguard"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/recorder"
	"github.com/gatehousehq/gatehouse/internal/rotation"
	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/seed"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/tally"
	"github.com/gatehousehq/gatehouse/internal/token"
	"github.com/gatehousehq/gatehouse/internal/transport"
	"github.com/gatehousehq/gatehouse/internal/usage"
	"github.com/gatehousehq/gatehouse/internal/webui"
)

const (
	// pollShared is how often a replica looks for what the others changed, and
	// pollAlone how often a server on its own makes sure that it has its own
	// changes.
	pollShared = 500 * time.Millisecond
	pollAlone  = 5 * time.Second
	// flushUses is how often the last use of keys and tokens is written.
	flushUses = 30 * time.Second

	readHeaderTime = 10 * time.Second
	keepAliveTime  = 2 * time.Minute
	maxHeader      = 64 << 10
	readyTime      = 2 * time.Second
	applyTime      = 10 * time.Second // for putting a change into force
	socketTime     = 5 * time.Second  // for WebSockets to end once they are told
)

// Options are what a server is given besides its settings.
type Options struct {
	Version client.Version
	Log     *slog.Logger
	// RequestLog gets the lines of gateway requests; nil is Log.
	RequestLog *slog.Logger
	// Now is the clock; nil is [time.Now].
	Now func() time.Time
	// Stdout is where checkpoints of the audit log are written if the settings
	// say so; nil is nowhere.
	Stdout io.Writer
	// Observe, if not nil, is told of each gateway request when it is over.
	Observe func(usage.Record)
	// Before, if not nil, is called before each statement of the database: tests
	// put faults in here.
	Before func(ctx context.Context, statement string) error
}

// A Server is a running gatehouse: the data directory is claimed, the store
// open, the configuration compiled and the address bound. Serve it, or Close
// it.
type Server struct {
	cfg       config.Config
	log       *slog.Logger
	release   func() error
	store     *openStore
	table     *routing.Table
	aws       *awscredentials.Keeper
	uses      *lastuse.Recorder
	events    *tally.Tally
	requests  *metrics.Requests
	feed      *recorder.Feed
	journal   *journal.Journal
	recorder  *recorder.Recorder
	audit     *auditlog.Checkpointer
	keeper    *rotation.Keeper
	rotator   *rotation.Rotator
	now       func() time.Time
	transport *transport.Transport
	gateway   *gateway.Gateway
	tokens    *authn.Authenticator
	sessions  *authn.Sessions
	pool      *keypool.Pool
	breakers  *breaker.Set
	keys      *keysync.Syncer
	replica   string // the id of this process
	prober    *keyprobe.Prober
	listener  net.Listener
	http      *http.Server
}

// NewServer starts everything short of taking requests.
func NewServer(ctx context.Context, cfg config.Config, o Options) (*Server, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Stdout == nil {
		o.Stdout = io.Discard
	}
	s := &Server{cfg: cfg, log: o.Log, now: o.Now}
	if err := s.start(ctx, o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, o Options) (err error) {
	cfg := s.cfg
	var tlsConfig *tls.Config
	if cfg.TLSCert != "" {
		cert, err := loadCertificate(cfg.TLSCert, cfg.TLSKey, o.Log, o.Now)
		if err != nil {
			return err
		}
		tlsConfig = &tls.Config{GetCertificate: cert.get, MinVersion: tls.VersionTLS12}
	}
	if s.release, err = claim(cfg.DataDir); err != nil {
		return err
	}
	// Before the database: a mistyped address must not leave a new one behind.
	if s.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.HTTPAddress); err != nil {
		return listenError(cfg.HTTPAddress, err)
	}
	s.events = tally.New(authn.Recorder, o.Log, o.Now)
	if s.store, err = openDatabase(ctx, cfg, o, s.events); err != nil {
		return err
	}
	if s.audit, err = s.newCheckpointer(ctx, o); err != nil {
		return err
	}
	if err := s.joinRotations(ctx, o); err != nil {
		return err
	}
	if err := s.seed(ctx); err != nil {
		return err
	}
	// The gateway sees to the time until the first byte.
	s.transport = transport.New(transport.Config{Policy: s.policy()})
	s.aws = awscredentials.New(awscredentials.Config{
		InUse:     func() iter.Seq[*awscredentials.Source] { return s.table.Current().Credentials() },
		RoundTrip: s.transport.RoundTripVia, Metadata: awscredentials.Metadata{
			Container: slices.Contains(cfg.AWSMetadata, config.AWSContainer), Instance: slices.Contains(cfg.AWSMetadata, config.AWSInstance),
		}, Log: o.Log, Now: o.Now,
	})
	s.table = routing.NewTable(s.store.db, authn.Compiler, o.Log, s.aws)
	if err := s.table.Refresh(ctx, 0); err != nil {
		return err
	}
	s.pool, s.breakers = keypool.New(o.Now, keypool.Config{}), breaker.New(o.Now)
	s.keys = keysync.New(keysync.Config{
		DB: s.store.db, Who: authn.KeyWatcher, Pool: s.pool, Shared: s.store.backend.Shared(), Log: o.Log, Now: o.Now,
		Self: s.replica, Generation: func() int64 { return s.table.Current().Generation },
	})
	if err := s.keys.Load(ctx); err != nil {
		return err
	}
	s.tokens = authn.New(s.store.db, o.Now, s.events.LoginFailed)
	s.sessions = authn.NewSessions(s.store.db, s.tokens, authn.Limits{Idle: cfg.SessionIdle, Lifetime: cfg.SessionLifetime}, o.Now, s.events.LoginFailed)
	s.dropNeedlessOwnerToken(ctx)
	s.store.db.OnCommit(func(ctx context.Context, generation int64) error {
		// The client may go away; the change is made all the same.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), applyTime)
		defer cancel()
		err := s.table.Refresh(ctx, generation)
		s.dropRevokedOwnerToken()
		return err
	})
	s.uses = lastuse.New(s.store.db, authn.Recorder, o.Log)
	if err := s.recordRequests(o); err != nil {
		return err
	}
	s.http = &http.Server{
		Handler:           s.handler(o),
		TLSConfig:         tlsConfig,
		ReadHeaderTimeout: readHeaderTime,
		IdleTimeout:       keepAliveTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	s.http.RegisterOnShutdown(s.feed.Close) // who listens would keep the server from stopping
	s.http.RegisterOnShutdown(s.gateway.StopSockets)
	return nil
}

// joinRotations makes this process one of the replicas that hold the data keys.
func (s *Server) joinRotations(ctx context.Context, o Options) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	s.replica = id.String()
	name, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("find the name of this machine: %w", err)
	}
	s.keeper, s.rotator = rotation.New(rotation.Config{
		DB: s.store.db, Ring: s.store.ring, Shared: s.store.backend.Shared(),
		Self:      store.Replica{ID: s.replica, Name: name, Version: o.Version.Version, StartedAt: o.Now()},
		Keyholder: authn.Keyholder, Rotator: authn.Rotator, Gone: s.cfg.ReplicaTimeout, Log: o.Log, Now: o.Now,
	})
	return s.keeper.Announce(ctx)
}

func listenError(address string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("the address %s is in use: stop what listens there, or choose another with --http-address", address)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("not allowed to listen on %s: ports below 1024 take root or CAP_NET_BIND_SERVICE; choose another with --http-address", address)
	}
	return fmt.Errorf("listen on %s: %w", address, err)
}

// seed adds the providers that the environment names.
func (s *Server) seed(ctx context.Context) error {
	providers, err := seed.FromEnviron(os.Environ(), s.cfg.SeedFromEnv)
	if err != nil || len(providers) == 0 {
		return err
	}
	results, err := seed.Apply(ctx, s.store.db, authn.Seeder, s.rules(), providers, s.cfg.SeedMode)
	if err != nil {
		return err
	}
	for _, r := range results {
		if r.Outcome == "same" {
			continue
		}
		s.log.InfoContext(ctx, "provider from the environment", "provider", r.Name, "outcome", r.Outcome, "differs", r.Differs)
	}
	return nil
}

func (s *Server) policy() netguard.Policy {
	return netguard.Policy{Deny: s.cfg.UpstreamDeny, Allow: s.cfg.UpstreamAllow}
}

func (s *Server) rules() catalog.Rules {
	return catalog.Rules{Reserved: gateway.Reserved(), CheckHost: s.policy().CheckHost}
}

// handler is the whole of what the listener serves.
func (s *Server) handler(o Options) http.Handler {
	requests := cmp.Or(o.RequestLog, o.Log)
	s.gateway = gateway.New(gateway.Config{
		Snapshot: s.table.Current, Pool: s.pool, Breakers: s.breakers, Transport: s.transport, Logger: requests, Now: o.Now, Observe: s.observe(o.Observe), Journal: s.journal,
		OnUse: func(tokenID, keyID string, at time.Time) {
			s.uses.Token(tokenID, at)
			s.uses.Key(keyID, at)
		},
		OnRefused:     s.refused,
		MaxReplayBody: s.cfg.ReplayBody, MaxReplayMemory: s.cfg.ReplayMemory,
		FirstByteTimeout: s.cfg.FirstByteTimeout, IdleTimeout: s.cfg.IdleTimeout,
	})
	gw := s.gateway
	s.prober = keyprobe.New(keyprobe.Config{
		Pool: s.pool, Snapshot: s.table.Current, Log: o.Log, Now: o.Now,
		Check: func(ctx context.Context, p *routing.Provider, k *routing.Key) *keypool.Outcome {
			return gw.Check(ctx, p, k).Finding
		},
	})
	keys := providerKeys{gw, s.pool, s.table}
	api := httpapi.New(httpapi.Config{
		OIDC:     s.identityProviders(),
		DB:       s.store.db,
		Auth:     s.tokens,
		Sessions: s.sessions, OnPassword: func(ctx context.Context, _ string) { s.dropNeedlessOwnerToken(ctx) },
		Rules:    s.rules(),
		KeyState: keys.state, TestKey: keys.test, TestSecret: keys.testSecret, TestDraft: keys.testDraft,
		Drain: func(ctx context.Context, keyID string) bool {
			return s.keys.Drain(ctx, keyID, s.table.Current().Generation)
		},
		Fault:       s.fault,
		TargetState: s.targetState,
		Metrics:     s.metrics(o),
		Feed:        s.feed,
		Generation:  func() int64 { return s.table.Current().Generation },
		Rotate:      s.rotator.Kick,
		Checkpoints: s.audit, Installation: s.store.backend.Installation(),
		Ready: s.ready, OnUse: s.uses.Token, TrustedProxies: s.cfg.TrustedProxies, PublicURL: s.cfg.PublicURL,
		Version: o.Version, Log: o.Log, Now: o.Now,
	})
	ui := webui.Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch p := r.URL.Path; {
		case strings.HasPrefix(p, gateway.Prefix) || p == strings.TrimSuffix(gateway.Prefix, "/"):
			gw.ServeHTTP(w, r)
		case strings.HasPrefix(p, "/api/") || slices.Contains([]string{"/api", "/healthz", "/readyz", "/metrics"}, p):
			api.ServeHTTP(w, r)
		default:
			ui.ServeHTTP(w, r)
		}
	})
}

// fault returns why no request to a provider is served; "" if that is so of none.
func (s *Server) fault(providerName string) string {
	p := s.table.Current().Provider(providerName)
	if p == nil {
		return ""
	}
	if source := p.Credentials(); source != nil && p.Enabled && p.Fault == "" {
		if condition, problem := source.Condition(); condition == awscredentials.Missing {
			return problem
		}
	}
	return p.Fault
}

// metrics returns what hands the page for Prometheus to who may see it.
func (s *Server) metrics(o Options) func(store.Actor) (http.Handler, error) {
	page := metrics.Handler(metrics.Source{
		Version: o.Version.Version, Snapshot: s.table.Current, KeyStates: keypool.StateNames(),
		KeyState: func(k routing.Key) string { return s.pool.State(k).Name },
		Breakers: s.breakers.Count,
		KeyEpoch: func() int64 { return s.store.ring.Current().Epoch },
		DataKeys: func() int { return len(s.store.ring.Current().ByDigest) },
		Requests: s.requests, Records: metrics.Records{Depth: s.journal.Depth, Dropped: s.journal.Dropped},
	})
	return func(who store.Actor) (http.Handler, error) {
		p := rbac.Permission{Resource: rbac.Metrics, Action: rbac.Read}
		if who.Reach(p) != rbac.All {
			err := &store.DeniedError{Missing: p}
			s.events.Denied(who, err)
			return nil, err
		}
		return page, nil
	}
}

// refused counts what the gateway refuses for the token, as the API's refusals
// are.
func (s *Server) refused(r *http.Request, rec usage.Record) {
	who := authn.Refused(rec.TokenID, rec.Token, store.Origin{RequestID: rec.ID, Address: clientaddr.Of(r, s.cfg.TrustedProxies)})
	if rec.Status == http.StatusUnauthorized {
		s.events.LoginFailed(who, rbac.APIKey, rec.Reason)
		return
	}
	s.events.Denied(who, &store.DeniedError{Missing: rbac.Permission{Resource: rbac.Gateway, Action: rbac.Use}, Reason: rec.Reason})
}

// ready returns why the server cannot do its whole work.
func (s *Server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	return s.store.backend.Ping(ctx)
}

// dropRevokedOwnerToken removes the file of the owner's token once the token
// in it is no longer one: it would only mislead.
func (s *Server) dropRevokedOwnerToken() {
	s.dropOwnerToken(func(t *routing.Token) (bool, error) { return t == nil, nil })
}

// dropNeedlessOwnerToken removes the file of the owner's token once its owner has a
// password: then it is a way in that nobody needs. The token in it goes on.
func (s *Server) dropNeedlessOwnerToken(ctx context.Context) {
	s.dropOwnerToken(func(t *routing.Token) (bool, error) {
		if t == nil {
			return true, nil
		}
		return s.sessions.HasPassword(ctx, t.OwnerID)
	})
}

func (s *Server) dropOwnerToken(when func(*routing.Token) (bool, error)) {
	t, err := ownerToken(s.cfg.DataDir)
	drop := false
	if err == nil && !t.IsZero() {
		drop, err = when(s.table.Current().Token(token.Sum(t.Reveal())))
	}
	if drop && err == nil {
		err = os.Remove(filepath.Join(s.cfg.DataDir, datadir.OwnerToken))
	}
	if err != nil {
		s.log.Warn("the file of the owner's token could not be looked after", "error", err)
	}
}

// URL returns where clients reach the server.
func (s *Server) URL() string {
	if s.cfg.PublicURL != "" {
		return s.cfg.PublicURL
	}
	scheme := "http"
	if s.cfg.TLSCert != "" {
		scheme = "https"
	}
	addr, ok := s.listener.Addr().(*net.TCPAddr)
	if !ok {
		return scheme + "://" + s.listener.Addr().String()
	}
	host := addr.IP.String()
	if addr.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	return fmt.Sprintf("%s://%s", scheme, net.JoinHostPort(host, fmt.Sprint(addr.Port)))
}

// Serve takes requests until ctx is done, lets those under way finish for as
// long as --shutdown-timeout, and closes everything.
func (s *Server) Serve(ctx context.Context) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var work sync.WaitGroup
	every := pollAlone
	if s.store.backend.Shared() {
		every = pollShared
	}
	work.Go(func() { s.table.Follow(background, every) })
	work.Go(func() { s.uses.Run(background, flushUses) })
	work.Go(func() { s.keys.Run(background) })
	work.Go(func() { s.aws.Run(background) })
	work.Go(func() { s.prober.Run(background) })
	work.Go(func() { s.events.Run(background, s.store.db) })
	work.Go(func() { s.retain(background, s.now) })
	work.Go(func() { s.recorder.Run(background) })
	work.Go(func() { s.keeper.Run(background) })
	work.Go(func() { s.rotator.Run(background) })
	checkpoints, stopCheckpoints := context.WithCancel(context.WithoutCancel(ctx))
	defer stopCheckpoints()
	var last sync.WaitGroup
	last.Go(func() { s.audit.Run(checkpoints) })
	shipped := make(chan error, 1)
	go func(j *journal.Journal) { shipped <- s.shipRecords(context.WithoutCancel(ctx), j) }(s.journal) // ends with closeJournal

	served := make(chan error, 1)
	go func() { // ends with Shutdown or Close, below
		if s.cfg.TLSCert != "" {
			served <- s.http.ServeTLS(s.listener, "", "")
		} else {
			served <- s.http.Serve(s.listener)
		}
	}()
	var err error
	select {
	case err = <-served:
	case <-ctx.Done():
		err = s.drain(context.WithoutCancel(ctx))
		<-served // http.ErrServerClosed
	}
	stop()
	work.Wait()
	s.closeJournal(context.WithoutCancel(ctx))
	<-shipped         // an error says that the journal was closed before this began, as when a server is to stop at once
	stopCheckpoints() // after whatever else writes entries
	last.Wait()
	return errors.Join(err, s.Close())
}

// drain lets running requests finish, and cuts those that take too long.
func (s *Server) drain(ctx context.Context) error {
	s.log.InfoContext(ctx, "stopping: letting running requests finish", "at_most", s.cfg.ShutdownTimeout)
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ShutdownTimeout)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.WarnContext(ctx, "requests were still running and have been cut")
		err = s.http.Close()
	}
	// The server knows nothing of WebSockets. They have been told, and end soon.
	ctx, cancelSockets := context.WithTimeout(context.WithoutCancel(ctx), socketTime)
	defer cancelSockets()
	s.gateway.CloseSockets(ctx)
	return err
}

// Close lets go of everything. It is for a server that is not served; Serve
// does it itself.
func (s *Server) Close() error {
	var errs []error
	if s.listener != nil {
		if err := s.listener.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if s.transport != nil {
		s.transport.CloseIdleConnections()
	}
	if s.journal != nil {
		s.closeJournal(context.Background())
	}
	if s.store != nil {
		errs = append(errs, s.store.backend.Close())
		s.store = nil
	}
	if s.release != nil {
		errs = append(errs, s.release())
		s.release = nil
	}
	return errors.Join(errs...)
}
