// Package gateway is the data plane: it takes requests under /ai/, picks a
// provider and a key, relays, and records.
//
// A request is decided in this order: its credentials, its path, its provider,
// what its token may do, its body. Under the one URL for all providers it is the
// model in the body that says which targets there are. Then it is tried with one
// key after the other, and one target after the other, until an upstream answers;
// nothing reaches the client before that. From then
// on bytes pass unchanged in both directions, each chunk as it comes, and an
// upstream that breaks off is shown to the client as a connection that breaks
// off. Headers pass by list, see [RequestHeaders] and [ResponseHeaders]. The
// gateway's own answers are errors in the dialect of the client.
//
// Each request uses the one snapshot that was current when it came: a change of
// configuration never reaches a request under way, let alone cuts it.
//
// No key, token, body or query is logged, and no message carries a value that
// the client sent.
//
// Mount the Gateway by prefix, in front of any [http.ServeMux]: a mux cleans
// paths and answers with a redirect what must be refused. It sets the read and
// write deadlines of the connection itself, so the server needs none beyond
// ReadHeaderTimeout and its own idle timeout.
package gateway

import (
	"cmp"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehousehq/gatehouse/internal/breaker"
	"github.com/gatehousehq/gatehouse/internal/journal"
	"github.com/gatehousehq/gatehouse/internal/keypool"
	"github.com/gatehousehq/gatehouse/internal/quota"
	"github.com/gatehousehq/gatehouse/internal/registry"
	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/upstream"
	"github.com/gatehousehq/gatehouse/internal/upstream/anthropic"
	"github.com/gatehousehq/gatehouse/internal/upstream/azure"
	"github.com/gatehousehq/gatehouse/internal/upstream/bedrock"
	"github.com/gatehousehq/gatehouse/internal/upstream/gemini"
	"github.com/gatehousehq/gatehouse/internal/upstream/openai"
	"github.com/gatehousehq/gatehouse/internal/usage"
)

// Prefix is where the gateway is mounted.
const Prefix = "/ai/"

// Config is what a Gateway is made of. Snapshot, Pool and Transport are
// required.
type Config struct {
	// Snapshot returns the current configuration; nil is an empty one. It is
	// called once per request.
	Snapshot func() *routing.Snapshot
	// Pool keeps the state of keys.
	Pool *keypool.Pool
	// Breakers keep requests from providers that do not answer; nil makes new ones.
	Breakers *breaker.Set
	// Transport reaches the upstreams. With the one of package transport, a
	// request costs less, its body is not held longer than it must be, and
	// providers can be reached by a way of their own.
	Transport http.RoundTripper
	// Logger gets one line per request. Nil discards it.
	Logger *slog.Logger
	// Now is the clock. Nil is [time.Now].
	Now func() time.Time
	// OnUse, if not nil, is told of each attempt, with the key it was made with
	// ("" for a provider without keys), and of each request that a valid token
	// made without an attempt, with no key. It must not block.
	OnUse func(tokenID, keyID string, at time.Time)
	// OnRefused, if not nil, is told of each request that was refused for its
	// token, or for what the token may not. It must not block.
	OnRefused func(*http.Request, usage.Record)
	// Observe, if not nil, is told of each request when it is over. It must not
	// block.
	Observe func(usage.Record)

	// Journal, if not nil, keeps a record of each request that came with a token
	// that was accepted: its beginning before an upstream is dialled, and its end
	// before the last of an answer is sent.
	Journal *journal.Journal
	// MaxReplayBody is the largest request body that is held in memory, so that
	// it can be sent again with another key. A larger one is streamed, once.
	// Default 8 MiB.
	MaxReplayBody int64
	// MaxReplayMemory bounds the bodies held by all requests together. A body
	// that does not fit is streamed, once. Default 256 MiB.
	MaxReplayMemory int64
	// FirstByteTimeout is how long an attempt may take until the upstream's
	// headers are there. While a request body is being streamed it counts from
	// the last piece of it. Default 10 min, which is what the vendors' SDKs wait
	// for an answer that is not streamed.
	FirstByteTimeout time.Duration
	// IdleTimeout is how long a body, of a request or a response, may make no
	// progress. Default 5 min.
	IdleTimeout time.Duration
}

// A Gateway serves the requests under [Prefix].
type Gateway struct {
	cfg      Config
	byName   map[routing.Dialect]*upstream.Dialect
	dialects []*upstream.Dialect // in the order in which they are asked; the first is the last resort

	requestHeaders  headerSet
	responseHeaders headerSet

	quotas *quota.Book                       // of tokens, and of providers
	spins  *registry.Registry[atomic.Uint64] // turns by weight, by route id

	sockets  openSockets
	stopping chan struct{} // is closed when they are to end
	stop     sync.Once

	replayLeft atomic.Int64
	exchanges  sync.Pool
	buffers    sync.Pool // of *[copySize]byte
}

// copySize is how much is read at once from an upstream whose transport has no
// buffer to share.
const copySize = 32 << 10

// New returns a Gateway.
func New(cfg Config) *Gateway {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.MaxReplayBody = cmp.Or(cfg.MaxReplayBody, 8<<20)
	cfg.MaxReplayMemory = cmp.Or(cfg.MaxReplayMemory, 256<<20)
	cfg.FirstByteTimeout = cmp.Or(cfg.FirstByteTimeout, 10*time.Minute)
	cfg.IdleTimeout = cmp.Or(cfg.IdleTimeout, 5*time.Minute)

	o, a, ge := openai.Dialect(), anthropic.Dialect(), gemini.Dialect()
	if cfg.Breakers == nil {
		cfg.Breakers = breaker.New(cfg.Now)
	}
	g := &Gateway{
		quotas: quota.New(cfg.Now),
		spins:  registry.New[atomic.Uint64](),
		cfg:    cfg, stopping: make(chan struct{}),
		byName: map[routing.Dialect]*upstream.Dialect{
			routing.OpenAI: o, routing.Anthropic: a, routing.Gemini: ge, routing.Azure: azure.Dialect(), routing.Bedrock: bedrock.Dialect(),
		},
		dialects:        []*upstream.Dialect{o, a, ge},
		requestHeaders:  newHeaderSet(requestHeaders),
		responseHeaders: newHeaderSet(responseHeaders),
		buffers:         sync.Pool{New: func() any { return new([copySize]byte) }},
	}
	g.replayLeft.Store(cfg.MaxReplayMemory)
	g.exchanges.New = func() any { return &exchange{g: g} }
	return g
}

// ServeHTTP serves one request.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := g.begin(w, r)
	defer x.finish()
	x.serve()
}

// claimed returns the dialect of a client about which nothing is known but the
// request.
func (g *Gateway) claimed(path string, h http.Header) *upstream.Dialect {
	for _, d := range g.dialects {
		if d.Claims(path, h) {
			return d
		}
	}
	return g.dialects[0]
}
