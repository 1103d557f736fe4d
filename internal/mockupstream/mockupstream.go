// Package mockupstream is an AI provider that needs no network and no money.
//
// An [Upstream] speaks the OpenAI API (chat completions, responses,
// embeddings, models), the Anthropic API (messages, token counting, models) and
// the Gemini API (content, token counting, embeddings, models) well enough for the vendors' own SDKs and for Claude Code and Codex, with
// and without streaming. What it answers says that it is a mock and repeats
// the last thing the user said, or is played from a [Script], calls of tools and
// all; the same requests in the same order get the same bytes. Each key has a [Behaviour], so that every failure a provider is
// known for can be had on demand, with that vendor's status, headers and body.
//
// It remembers what it was sent ([Upstream.Requests]), for tests that must
// know what left the gateway, and what was used for each by its own count. It
// serves any model name. All methods may be called concurrently.
package mockupstream

import (
	"bytes"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehousehq/gatehouse/internal/secret"
)

// Models that the upstream lists. It answers for any other name as well.
const (
	ChatModel      = "mock-gpt"
	EmbeddingModel = "mock-embedding"
	ClaudeModel    = "mock-claude"
	GeminiModel    = "mock-gemini"
)

// A Config says how an [Upstream] behaves. The zero Config refuses every key.
type Config struct {
	// Keys are the credentials that are known. Any other is answered with 401.
	Keys map[secret.Text]Key
	// Keyless serves requests that carry no credential, as a local model does.
	Keyless bool
	// Pace is the pause before each word of a stream. Zero is none.
	Pace time.Duration
	// RetryAfter is what a rate-limited key is told to wait. Zero means 20 s;
	// it is rounded up to whole seconds.
	RetryAfter time.Duration
	// Reply is the text of every answer, in place of the echo. With it the
	// model and the stream flag are looked for in the first 4 KiB of a request
	// only, which keeps large requests cheap: it is meant for benchmarks.
	Reply string
	// Script, if not nil, is asked first what to answer. Reply goes before it.
	Script Script
	// Keep is how many requests are remembered, the newest. Zero means 1,000,
	// less than zero none; then, and without OnRequest, bodies are not hashed.
	Keep int
	// OnRequest, if not nil, is called with each request before it is
	// answered, concurrently. It must not keep the request's maps.
	OnRequest func(Request)
	// Now is the clock. Nil means time.Now.
	Now func() time.Time
}

// A Key is one credential that an [Upstream] knows.
type Key struct {
	// Label names the key in records. It must not give the key away.
	Label     string
	Behaviour Behaviour
}

// A Behaviour is what happens to a request that presents a key.
type Behaviour uint8

// The behaviours of a key.
const (
	// OK answers.
	OK Behaviour = iota
	// RateLimited answers 429 with Retry-After.
	RateLimited
	// Invalid answers 401, as a revoked key does; Gemini 400.
	Invalid
	// Exhausted answers as a spent account does: OpenAI 429
	// insufficient_quota, Anthropic 400 with a low credit balance, Gemini 429
	// with a quota for the day.
	Exhausted
	// Overloaded answers OpenAI's 500, Anthropic's 529 or Gemini's 503.
	Overloaded
	// Stall reads the request and sends nothing until the request's context
	// ends, which is when the client leaves or the server is closed.
	Stall
	// Reset sends half of the answer and resets the connection.
	Reset
)

// String names b, for people.
func (b Behaviour) String() string {
	switch b {
	case OK:
		return "ok"
	case RateLimited:
		return "rate limited"
	case Invalid:
		return "invalid"
	case Exhausted:
		return "exhausted"
	case Overloaded:
		return "overloaded"
	case Stall:
		return "stall"
	case Reset:
		return "reset mid-stream"
	}
	return "unknown"
}

// An Upstream is the mock provider, an [http.Handler].
type Upstream struct {
	cfg    Config
	count  atomic.Uint64 // requests so far; every id is made from it
	record record
	// buffers hold bodies, so that a benchmark's megabytes are not garbage.
	buffers sync.Pool

	mu   sync.RWMutex
	keys map[secret.Text]Key
}

// New returns an upstream that behaves as cfg says.
func New(cfg Config) *Upstream {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.RetryAfter <= 0 {
		cfg.RetryAfter = 20 * time.Second
	}
	if cfg.Keep == 0 {
		cfg.Keep = 1000
	}
	u := &Upstream{cfg: cfg, keys: make(map[secret.Text]Key, len(cfg.Keys))}
	u.record.keep = cfg.Keep
	u.buffers.New = func() any { return new(bytes.Buffer) }
	for text, key := range cfg.Keys {
		u.keys[text] = key
	}
	return u
}

// SetKey makes text a known key or changes what it does, from the next
// request on.
func (u *Upstream) SetKey(text secret.Text, key Key) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.keys[text] = key
}

func (u *Upstream) key(text secret.Text) (Key, bool) {
	u.mu.RLock()
	defer u.mu.RUnlock()
	key, ok := u.keys[text]
	return key, ok
}

// ServeHTTP answers one request. It is recorded before the first byte of the
// answer is sent, so whoever has an answer also finds it in the record.
func (u *Upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := call{id: u.count.Add(1), now: u.cfg.Now(), cfg: &u.cfg, r: r}
	c.vendor, c.endpoint = match(r)
	hash := u.cfg.Keep > 0 || u.cfg.OnRequest != nil
	buf := u.buffers.Get().(*bytes.Buffer)
	defer u.buffers.Put(buf)
	body, err := readBody(r, buf, hash)
	if err != nil {
		return // the client broke off: nobody is there to be answered
	}
	c.body = body.bytes

	presented := c.vendor.credential(r)
	key, known := u.key(presented)
	if presented.IsZero() && u.cfg.Keyless {
		key, known = Key{Label: "none"}, true
	}
	rep := c.reply(key, known, presented)
	if hash {
		req := newRequest(r, body, key.Label, rep, c.now)
		u.record.add(req)
		if u.cfg.OnRequest != nil {
			u.cfg.OnRequest(req)
		}
	}
	if known && key.Behaviour == Stall {
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
	c.vendor.headers(w.Header(), &c, rep)
	rep.send(w, r, known && key.Behaviour == Reset, u.cfg.Pace)
}

// A call is one request on its way to an answer.
type call struct {
	id       uint64
	now      time.Time
	cfg      *Config
	r        *http.Request
	vendor   vendor
	endpoint endpoint
	body     []byte
}

// An endpoint makes the answer to a call that was let in.
type endpoint func(*call) reply

// reply decides what c is answered.
func (c *call) reply(key Key, known bool, presented secret.Text) reply {
	switch {
	case !known:
		return c.vendor.unauthorized(c, presented)
	case key.Behaviour == Stall:
		return reply{}
	case key.Behaviour == OK, key.Behaviour == Reset:
		return c.endpoint(c)
	default:
		return c.vendor.refusal(c, key.Behaviour, presented)
	}
}

// A vendor is what the APIs do differently around their endpoints.
type vendor interface {
	// credential returns what r presents where this vendor looks.
	credential(r *http.Request) secret.Text
	// headers sets what goes with every answer.
	headers(http.Header, *call, reply)
	// unauthorized refuses a key that is not known, or none.
	unauthorized(c *call, presented secret.Text) reply
	// refusal is what the behaviours other than OK, Stall and Reset answer.
	refusal(c *call, b Behaviour, presented secret.Text) reply
	// unknown answers for a path (404), a method (405) or a protocol (426)
	// that is not there.
	unknown(c *call, status int) reply
}

// match finds the API and the endpoint that a request is meant for. Paths that
// both vendors have are told apart by the headers that only Anthropic's
// clients send.
func match(r *http.Request) (vendor, endpoint) {
	var v vendor = openAI{}
	listed := endpoint(openAIModels)
	if r.Header.Get("Anthropic-Version") != "" || r.Header.Get("X-Api-Key") != "" {
		v, listed = anthropic{}, anthropicModels
	}
	method, end := http.MethodPost, endpoint(nil)
	switch path := r.URL.Path; {
	case path == "/v1/chat/completions":
		v, end = openAI{}, chatCompletions
	case path == "/v1/responses":
		v, end = openAI{}, responses
	case path == "/v1/embeddings":
		v, end = openAI{}, embeddings
	case path == "/v1/messages":
		v, end = anthropic{}, messages
	case path == "/v1/messages/count_tokens":
		v, end = anthropic{}, countTokens
	case strings.HasPrefix(path, "/v1beta/"):
		v = gemini{}
		if method, end = matchGemini(r); end == nil {
			return v, func(c *call) reply { return v.unknown(c, http.StatusNotFound) }
		}
	case path == "/v1/models" || strings.HasPrefix(path, "/v1/models/"):
		method, end = http.MethodGet, listed
	default:
		return v, func(c *call) reply { return v.unknown(c, http.StatusNotFound) }
	}
	if r.Header.Get("Upgrade") != "" {
		// The one status on which Codex goes on over HTTP at once.
		return v, func(c *call) reply { return v.unknown(c, http.StatusUpgradeRequired) }
	}
	if r.Method != method {
		return v, func(c *call) reply { return v.unknown(c, http.StatusMethodNotAllowed) }
	}
	return v, end
}
