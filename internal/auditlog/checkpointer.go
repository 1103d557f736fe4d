package auditlog

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/tlog"
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

	last      Head // signed by this process, or found in a sink
	published time.Time
	pending   []bool // by sink: has not got the last one
	failing   []bool // by sink: its failure was said
	rewritten atomic.Bool
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
	if err != nil || head.Root() != last.Root {
		c.rewritten.Store(true)
		c.complain(ctx, last.Size)
	}
	c.last = head
	return c, nil
}

func (c *Checkpointer) complain(ctx context.Context, size int64) {
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
	row, err := c.tree.Head(ctx)
	if err != nil {
		return // the database is away, which others say
	}
	due := now || c.now().Sub(c.published) >= Interval
	if c.Err() != nil {
		if due {
			c.published = c.now()
			c.complain(ctx, c.last.Size)
		}
		return
	}
	if row.Size != c.last.Size && (due || row.Size-c.last.Size >= Batch || row.Size < c.last.Size) {
		if err := c.advance(ctx, row.Size, row.Edge); errors.Is(err, ErrRewritten) {
			c.rewritten.Store(true)
			c.complain(ctx, c.last.Size)
			return
		} else if err != nil {
			c.log.WarnContext(ctx, "no checkpoint of the audit log could be made", "error", err)
			return
		}
		for i := range c.pending {
			c.pending[i] = true
		}
		due = true
	}
	if due && c.last.Size > 0 {
		c.published = c.now()
		c.push(ctx)
	}
}

// advance goes on to a head that continues the last one.
func (c *Checkpointer) advance(ctx context.Context, size int64, edge []byte) error {
	next, err := ParseHead(size, edge)
	if err != nil || size < c.last.Size {
		return ErrRewritten
	}
	if c.last.Size > 0 {
		proof, err := tlog.ProveTree(size, c.last.Size, nodes(ctx, c.tree))
		if err != nil {
			return err
		}
		if tlog.CheckTree(proof, size, next.Root(), c.last.Size, c.last.Root()) != nil {
			return ErrRewritten
		}
	}
	c.last = next
	return nil
}

// push sends the last checkpoint to the sinks that have not got it.
func (c *Checkpointer) push(ctx context.Context) {
	p, err := c.sign(c.last)
	if err != nil {
		c.log.ErrorContext(ctx, "a checkpoint of the audit log could not be signed", "error", err)
		return
	}
	for i, s := range c.sinks {
		if !c.pending[i] {
			continue
		}
		err := s.Publish(ctx, p)
		if err != nil && !c.failing[i] { // one line when it begins and one when it ends
			c.log.ErrorContext(ctx, "a checkpoint of the audit log could not be published; the next will be tried", "sink", s.String(), "error", err)
		} else if err == nil && c.failing[i] {
			c.log.InfoContext(ctx, "checkpoints of the audit log are published again", "sink", s.String())
		}
		c.pending[i], c.failing[i] = err != nil, err != nil
	}
}

// Sign returns a signed checkpoint of the log as tree shows it, and its head. It
// returns [ErrRewritten] once the log was found to be.
func (c *Checkpointer) Sign(ctx context.Context, tree Tree) (Published, Head, error) {
	if err := c.Err(); err != nil {
		return Published{}, Head{}, err
	}
	row, err := tree.Head(ctx)
	if err != nil {
		return Published{}, Head{}, err
	}
	head, err := ParseHead(row.Size, row.Edge)
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
