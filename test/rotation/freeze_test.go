package rotation_test

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/test/clients/realserver"
)

// soon has a rotation go on without a replica that is silent for a second.
const soon = "--replica-timeout=1s"

// TestFrozenThroughARotation stops a replica in the middle of its edits, as a
// laptop that sleeps does, and lets the other rotate from beginning to end. What
// it writes when it wakes is under the new data key.
func TestFrozenThroughARotation(t *testing.T) {
	t.Parallel()
	s := newSite(t, chance(t))
	p, stop := newPair(t, s, realserver.Config{Binary: binary(t, binaries.honest), Flags: []string{soon}})
	start := time.Now()
	rounds := p.freezes(*freezeCount)
	stop()
	p.alive()
	found := p.inspect()
	t.Logf("%d rounds in %v; %d rotations ended; %d edits were acknowledged, %d refused and %d uncertain; %d requests were served; %d audit entries",
		rounds, time.Since(start).Round(time.Second), found.Retired, s.made.Load(), s.refused.Load(), s.unsure.Load(), s.traffic.served.Load(), found.Entries)
	s.mustBeWell()
}

// TestFreezesFindMissingFence is the control of TestFrozenThroughARotation: its
// servers do not ask whether there are newer data keys, and no foreign key keeps
// the database from taking what is sealed under an older one.
func TestFreezesFindMissingFence(t *testing.T) {
	t.Parallel()
	s := newSite(t, chance(t))
	p, stop := newPair(t, s, realserver.Config{Binary: binary(t, binaries.faulty), Env: []string{unfenced}, Flags: []string{soon}})
	p.db.dropForeignKeys()
	rounds := p.freezes(30)
	stop()
	t.Logf("%d rounds", rounds)
	s.mustBeFound("which is retired")
}

// freezes has n rounds, or as many as it takes until something is wrong.
func (p *pair) freezes(n int) (rounds int) {
	p.t.Helper()
	for rounds < n && len(p.wrong.all()) == 0 {
		p.freeze(p.rng.IntN(2))
		rounds++
	}
	return rounds
}

// freeze freezes one of the servers through a rotation.
func (p *pair) freeze(which int) {
	p.t.Helper()
	asleep, awake := p.servers[which], p.servers[1-which]
	// Edits come while it sleeps, and sometimes are under way when it falls asleep:
	// then PostgreSQL takes ten seconds to end the transaction of the sleeper.
	underWay := p.rng.IntN(4) == 0
	// An edit may get no answer: one that a server had begun to read when it fell
	// asleep is late when it wakes, and its connection is reset.
	var stopEditors func()
	if underWay {
		stopEditors = p.editors(2, true, p.clients[:]...)
		<-time.After(between(p.rng, 0, 100*time.Millisecond)) // the moment is by chance
	}
	p.signal(asleep, syscall.SIGSTOP)
	if !underWay {
		stopEditors = p.editors(2, true, p.clients[:]...)
	}
	p.rotateWhole(p.clients[1-which])
	before := p.made.Load()
	p.signal(asleep, syscall.SIGCONT)
	p.acknowledged(before + 20)
	stopEditors()
	p.alive()
	// Each writes once more when all is quiet.
	for i, c := range p.clients {
		names := p.ledger.names()
		e := p.editor(names[i : i+1])
		if d, ids, ok := p.ledger.known(names[i]); ok && !e.edit(c, names[i], d, ids) {
			p.wrong.add("server %d does not take edits", i)
		}
	}
	p.inspect()
	if len(p.wrong.all()) > 0 {
		return // what is wrong already would be waited for in vain
	}
	p.serves(asleep)
	p.serves(awake)
}

func (p *pair) signal(srv *realserver.Server, sig syscall.Signal) {
	p.t.Helper()
	if err := srv.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

// rotateWhole has one server rotate from beginning to end, whatever was under way.
func (p *pair) rotateWhole(c *client.Client) {
	p.t.Helper()
	before := int64(0)
	eventually(p.t, "a rotation ended without the frozen replica", func() bool {
		ctx, cancel := context.WithTimeout(p.t.Context(), 10*time.Second)
		defer cancel()
		r, err := c.Rotation(ctx)
		if err != nil || r.State != "idle" {
			return false // the frozen one may have a lock, which it loses in a while
		}
		page, err := c.ListEncryptionKeys(ctx, client.ListOptions{Limit: 500})
		if err != nil {
			return false
		}
		primary := int64(0)
		for _, k := range page.Items {
			if k.Purpose == "seal" && k.State == "primary" {
				primary = k.Number
			}
		}
		if before != 0 && primary > before {
			return true
		}
		if before == 0 {
			before = primary
		}
		_, _ = c.Rotate(ctx, client.Rotate{Mode: "full"}) // again, if it was refused
		return false
	})
}

// acknowledged waits until that many edits were, or something is wrong.
func (p *pair) acknowledged(edits int64) {
	p.t.Helper()
	eventually(p.t, "edits are taken again", func() bool { return p.made.Load() >= edits || len(p.wrong.all()) > 0 })
}
