package auditlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gatehousehq/gatehouse/internal/store"
)

const (
	// Interval and Batch are how long, and for how many entries, the log may grow
	// before a checkpoint is published.
	Interval = time.Minute
	Batch    = 100

	lookEvery = time.Second
	roundTime = 15 * time.Second
)

// ErrRewritten is for a log that does not hold what a checkpoint of it says.
var ErrRewritten = errors.New("the audit log does not continue what the last checkpoint says: it was altered, cut, or restored from a backup")

// A Checkpointer publishes signed checkpoints of a log as it grows. It signs
// nothing that does not continue what it signed before.
type Checkpointer struct {
	tree   Tree
	signer *Signer
	sinks  []Sink
	log    *slog.Logger
	now    func() time.Time

	mu   sync.Mutex
	last Head // the largest that was signed by this process, or found in a sink

	rewritten atomic.Bool

	// These are for Run alone.
	head      Head // that was published last
	published time.Time
	stuck     bool   // it was said that the log cannot be read
	pending   []bool // by sink: has not got the last one
	failing   []bool // by sink: its failure was said
}

// NewCheckpointer returns a Checkpointer that continues from the last checkpoint
// that one of the sinks remembers.
func NewCheckpointer(ctx context.Context, tree Tree, signer *Signer, sinks []Sink, log *slog.Logger, now func() time.Time) (*Checkpointer, error) {
	c := &Checkpointer{
		tree: tree, signer: signer, sinks: sinks, log: log, now: now, published: now(),
		pending: make([]bool, len(sinks)), failing: make([]bool, len(sinks)),
	}
	var last Checkpoint
	for _, s := range sinks {
		m, ok := s.(interface {
			Last(key string) (Checkpoint, error)
		})
		if !ok {
			continue
		}
		cp, err := m.Last(signer.VerifierKey())
		if err != nil {
			return nil, err
		}
		if cp.Size > last.Size {
			last = cp
		}
	}
	if last.Size == 0 {
		return c, nil
	}
	head, err := HeadAt(ctx, tree, last.Size)
	if err != nil && !errors.Is(err, errNoHash) {
		return nil, fmt.Errorf("compare the audit log with its last checkpoint: %w", err)
	}
	if err != nil || head.Root() != last.Root {
		c.last.Size = last.Size
		c.accuse(ctx, last.Size)
		return c, nil
	}
	c.last, c.head = head, head
	return c, nil
}

// accuse ends the signing.
func (c *Checkpointer) accuse(ctx context.Context, size int64) {
	c.rewritten.Store(true)
	c.complain(ctx, size)
}

func (c *Checkpointer) complain(ctx context.Context, size int64) {
	c.published = c.now()
	c.log.ErrorContext(ctx, "the audit log was rewritten: it does not hold what its last checkpoint says, so no other is signed; run gatehouse audit verify with the checkpoints that were kept; after a restore from a backup, move the file of checkpoints away and start again", "entries", size)
}

// Err returns [ErrRewritten] once the log was found to be, else nil.
func (c *Checkpointer) Err() error {
	if c.rewritten.Load() {
		return ErrRewritten
	}
	return nil
}

// Run publishes until ctx is done, and once more then.
func (c *Checkpointer) Run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.round(ctx, false)
		case <-ctx.Done():
			c.round(context.WithoutCancel(ctx), true)
			return
		}
	}
}

// round publishes if it is time to.
func (c *Checkpointer) round(ctx context.Context, now bool) {
	ctx, cancel := context.WithTimeout(ctx, roundTime)
	defer cancel()
	last := c.signed() // before the head is read: an honest one is no smaller
	row, err := c.tree.Head(ctx)
	if err != nil {
		return // the database is away, which others say
	}
	due := now || c.now().Sub(c.published) >= Interval
	if c.Err() != nil {
		if due {
			c.complain(ctx, last.Size)
		}
		return
	}
	grown := row.Size - c.head.Size
	if full := grown >= Batch; row.Size > last.Size && !due && !full {
		return
	}
	next, err := c.follow(ctx, c.tree, last, row)
	if errors.Is(err, ErrRewritten) {
		c.accuse(ctx, last.Size)
		return
	}
	if err != nil {
		if !c.stuck { // one line until it is well again
			c.log.WarnContext(ctx, "no checkpoint of the audit log could be made; it is tried again every second", "error", err)
		}
		c.stuck = true
		return
	}
	c.stuck = false
	if !due && grown < Batch {
		return
	}
	c.published = c.now()
	if grown > 0 {
		c.head = next
		for i := range c.pending {
			c.pending[i] = true
		}
	}
	if c.head.Size > 0 {
		c.push(ctx, due)
	}
}

func (c *Checkpointer) signed() Head {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// follow returns the head that row is of, once it is known to continue last. It
// may be signed then.
func (c *Checkpointer) follow(ctx context.Context, tree Tree, last Head, row store.AuditHead) (Head, error) {
	next, err := ParseHead(row.Size, row.Edge)
	if err != nil || row.Size < last.Size {
		return Head{}, ErrRewritten
	}
	if last.Size > 0 {
		proof, err := tlog.ProveTree(next.Size, last.Size, nodes(ctx, tree))
		if errors.Is(err, errNoHash) {
			return Head{}, ErrRewritten
		}
		if err != nil {
			return Head{}, err
		}
		if tlog.CheckTree(proof, next.Size, next.Root(), last.Size, last.Root()) != nil {
			return Head{}, ErrRewritten
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if next.Size > c.last.Size {
		c.last = next
	}
	return next, nil
}

// push sends the checkpoint to the sinks that have not got it, to all at once:
// none waits for another. One that failed is tried again when it is due.
func (c *Checkpointer) push(ctx context.Context, due bool) {
	p, err := c.sign(c.head)
	if err != nil {
		c.log.ErrorContext(ctx, "a checkpoint of the audit log could not be signed", "error", err)
		return
	}
	var all sync.WaitGroup
	for i, s := range c.sinks {
		if !c.pending[i] || c.failing[i] && !due {
			continue
		}
		all.Go(func() {
			err := s.Publish(ctx, p)
			if err != nil && !c.failing[i] { // one line when it begins and one when it ends
				c.log.ErrorContext(ctx, "a checkpoint of the audit log could not be published; it is tried again every minute", "sink", s.String(), "error", err)
			} else if err == nil && c.failing[i] {
				c.log.InfoContext(ctx, "checkpoints of the audit log are published again", "sink", s.String())
			}
			c.pending[i], c.failing[i] = err != nil, err != nil
		})
	}
	all.Wait()
}

// Sign returns a signed checkpoint of the log as tree shows it, and its head. It
// returns [ErrRewritten] for a log that does not continue what was signed
// before. Nothing must have been read from tree, if it is of a transaction that
// sees one moment.
func (c *Checkpointer) Sign(ctx context.Context, tree Tree) (Published, Head, error) {
	if err := c.Err(); err != nil {
		return Published{}, Head{}, err
	}
	last := c.signed() // before the head is read: an honest one is no smaller
	row, err := tree.Head(ctx)
	if err != nil {
		return Published{}, Head{}, err
	}
	head, err := c.follow(ctx, tree, last, row)
	if err != nil {
		return Published{}, Head{}, err
	}
	p, err := c.sign(head)
	return p, head, err
}

func (c *Checkpointer) sign(h Head) (Published, error) {
	signed, err := c.signer.Sign(h)
	return Published{Time: c.now().UTC(), Checkpoint: signed, Key: c.signer.VerifierKey()}, err
}
