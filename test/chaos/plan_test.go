package chaos_test

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// replayBody is the largest request that the server holds to send it again, so
// that larger ones need not be large.
const replayBody = 1 << 20

// A behaviour is what becomes of a client.
type behaviour int

const (
	stays         behaviour = iota // reads to the end
	dawdles                        // reads slowly
	leavesSending                  // before its body is complete
	leavesWaiting                  // before there is an answer
	leavesAtHead                   // between headers and first byte
	leavesReading                  // in the middle of the answer
)

// A plan is all that chance decides about a request, on both sides: upstreams
// find it by the request's nonce.
type plan struct {
	n        uint64
	nonce    string
	provider int  // modulo how many there are
	quiet    bool // no key has a fault
	list     bool
	upload   int64
	chunked  bool // the upload
	idem     bool // has an Idempotency-Key

	events int // the answer is that many events, or a body
	pause  time.Duration
	body   int64
	framed bool // the body has a Content-Length

	behaviour behaviour
	after     int64         // of bytes, when it leaves in the middle of something
	patience  time.Duration // before it leaves while it waits
	abrupt    bool          // leaves with a reset
}

// A planner makes plans. The same seed gives the same ones.
type planner struct {
	seed uint64
	// steady, if not nil, replaces what a plan would be.
	steady func(*plan)
}

func (pl *planner) nonce(letter string, n uint64) string {
	return fmt.Sprintf("%s%x-%d", letter, pl.seed, n)
}

// of returns the plan that a nonce belongs to, or nil.
func (pl *planner) of(nonce string) *plan {
	_, number, _ := strings.Cut(nonce, "-")
	n, err := strconv.ParseUint(number, 10, 64)
	switch {
	case err != nil:
	case nonce == pl.nonce("r", n):
		return pl.plan(n)
	case nonce == pl.nonce("q", n):
		return pl.quiet(n)
	}
	return nil
}

// foreign reports whether text names a request other than p.
func (pl *planner) foreign(text []byte, p *plan) bool {
	for rest := text; ; {
		_, after, found := bytes.Cut(rest, fmt.Appendf(nil, "%x-", pl.seed))
		if !found {
			return false
		}
		number, _, whole := bytes.Cut(after, []byte("/"))
		n, err := strconv.ParseUint(string(number), 10, 64)
		if rest = after; whole && err == nil && n != p.n {
			return true
		}
	}
}

// quiet returns the plan of a request at which all goes well.
func (pl *planner) quiet(n uint64) *plan {
	return &plan{n: n, nonce: pl.nonce("q", n), provider: int(n), quiet: true, upload: 10, body: 10, framed: true}
}

func (pl *planner) plan(n uint64) *plan {
	p := &plan{n: n, nonce: pl.nonce("r", n)}
	if pl.steady != nil {
		pl.steady(p)
		return p
	}
	rng := rand.New(rand.NewPCG(pl.seed, n))
	p.provider, p.idem, p.chunked, p.abrupt = rng.IntN(1<<20), rng.IntN(10) == 0, rng.IntN(3) == 0, rng.IntN(2) == 0
	p.upload = uploadSize(rng)
	switch d := rng.IntN(100); {
	case d < 60:
		p.events, p.pause = 1+rng.IntN(20), time.Duration(rng.IntN(5))*time.Millisecond
	case d < 95:
		p.body, p.framed = 1+rng.Int64N(100<<10), d < 85
	default:
		p.body, p.framed = 1<<20+rng.Int64N(2<<20), d < 97
	}
	switch d := rng.IntN(100); {
	case d < 6:
		p.list, p.upload = true, 0
	case d < 10:
		p.behaviour = dawdles
		p.events, p.body = 0, 3<<20
	case d < 15:
		p.behaviour, p.upload = leavesSending, 2000+rng.Int64N(2<<20)
		p.after = rng.Int64N(p.upload - 100)
	case d < 20:
		p.behaviour, p.patience = leavesWaiting, time.Duration(1+rng.IntN(200))*time.Millisecond
	case d < 25:
		p.behaviour = leavesAtHead
		p.framed = false // else the head comes with the first of the body
	case d < 31:
		p.behaviour, p.after = leavesReading, rng.Int64N(1000)
		p.events, p.pause = 10_000, 5*time.Millisecond // longer than anybody waits
	}
	return p
}

func uploadSize(rng *rand.Rand) int64 {
	switch d := rng.IntN(100); {
	case d < 80:
		return 1 + rng.Int64N(2000)
	case d < 92:
		return 1 + rng.Int64N(200<<10)
	case d < 96:
		return replayBody - rng.Int64N(3)*rng.Int64N(replayBody/2)
	default:
		return replayBody + 1 + rng.Int64N(replayBody)
	}
}

// replayable reports whether another key can be tried.
func (p *plan) replayable() bool { return p.upload <= replayBody }

func (p *plan) leaves() bool { return p.behaviour >= leavesSending }

func (p *plan) sent() io.Reader { return newText(p.nonce, p.upload) }

// answer returns what a key of that name answers when all is well.
func (p *plan) answer(key string) io.Reader {
	if p.events > 0 {
		return &events{tag: p.nonce + "/" + key, count: p.events}
	}
	return newText(p.nonce+"/"+key, p.body)
}

// A key is one that a provider of the rig has, as its value says. Good ones
// always answer, shaky ones have the faults of an upstream, and rude ones turn
// the key away.
type key struct {
	provider int
	name     string // temper-number
}

const (
	good  = "good"
	shaky = "shaky"
	rude  = "rude"
)

func (k key) temper() string {
	t, _, _ := strings.Cut(k.name, "-")
	return t
}

// goodEnd is how the values of good keys end: the API shows no more of them.
const goodEnd = "good"

func (k key) value() string {
	end := "evil"
	if k.temper() == good {
		end = goodEnd
	}
	return fmt.Sprintf("sk-%d-%s-%016x%s", k.provider, k.name, k.hash(0), end)
}

func parseKey(value string) (k key, ok bool) {
	_, err := fmt.Sscanf(value, "sk-%d-", &k.provider)
	parts := strings.Split(value, "-")
	if err != nil || len(parts) != 5 {
		return k, false
	}
	k.name = parts[2] + "-" + parts[3]
	return k, k.value() == value
}

func (k key) hash(seed uint64) uint64 {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%d/%d/%s", seed, k.provider, k.name) // a hash takes everything
	return h.Sum64()
}

// fault returns what a key does to a request.
func (pl *planner) fault(table []fault, k key, p *plan) *fault {
	if p.quiet {
		return &none
	}
	rng := rand.New(rand.NewPCG(k.hash(pl.seed), p.n))
	all := 0
	for i := range table {
		if table[i].of == k.temper() {
			all += table[i].weight
		}
	}
	if all == 0 {
		return &none
	}
	d := rng.IntN(all)
	for i := range table {
		if table[i].of != k.temper() {
			continue
		}
		if d -= table[i].weight; d < 0 {
			return &table[i]
		}
	}
	return &none
}
