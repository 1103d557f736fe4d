package gateway

import (
	"time"

	"github.com/gatehousehq/gatehouse/internal/quota"
	"github.com/gatehousehq/gatehouse/internal/usage"
	"github.com/gatehousehq/gatehouse/internal/websocket"
)

// relayUp relays from the client to the upstream.
func (c *conversation) relayUp() ending {
	g := c.x.g
	buf, scratch := g.buffers.Get().(*[copySize]byte), g.buffers.Get().(*[copySize]byte)
	defer g.buffers.Put(buf)
	defer g.buffers.Put(scratch)
	name := usage.NewMeter(usage.Completions, "application/json", "") // it looks for a model at the top
	defer name.End()
	for {
		n, err := c.client.Read(buf[:])
		if n > 0 {
			c.touch()
			if end := c.passUp(buf[:n], scratch[:], name); end != nil {
				return *end
			}
		}
		switch {
		case err == nil:
		case c.clientClosed:
			return asItShould
		default:
			return clientLeft
		}
	}
}

// passUp sends on what came, if it may go, and returns nil if all is well. Where
// there is a limit to models, or to how often the token may ask, messages go when
// they are whole.
func (c *conversation) passUp(b, scratch []byte, name *usage.Meter) *ending {
	f, raw := &c.fromClient, b
	look := c.whole || c.named == "" && !c.x.endpoint.QueryModel
	for len(b) > 0 {
		into := scratch
		if !look {
			into = nil
		}
		n, p, err := f.Next(b, into)
		if err != nil {
			return &badFrames
		}
		if p.Opcode == websocket.Close {
			c.clientClosed = c.clientClosed || p.Ends
		}
		if look && !c.whole && p.Opcode == websocket.Text {
			name.Observe(p.Payload)
			if p.Ends {
				_, c.named = name.End()
				name.Reset(usage.Completions, "application/json", "")
				look = c.named == "" && !c.x.endpoint.QueryModel
			}
		}
		if c.whole {
			if end := c.hold(b[:n], p); end != nil {
				return end
			}
		}
		b = b[n:]
	}
	if c.whole {
		return nil
	}
	return c.sendUp(raw)
}

// hold keeps a piece until its message is whole, and lets it go up if it may.
func (c *conversation) hold(raw []byte, p websocket.Part) *ending {
	if grows := int64(len(raw) + len(p.Payload)); int64(len(c.held)+len(c.message))+grows > c.reserved {
		more := max(grows, 32<<10)
		if c.reserved+more > 2*c.x.g.cfg.MaxReplayBody || !c.x.reserve(more) {
			return &tooLong
		}
		c.reserved += more
	}
	c.held = append(c.held, raw...)
	if p.Opcode == websocket.Text || p.Opcode == websocket.Binary {
		c.message = append(c.message, p.Payload...)
	}
	if c.fromClient.Within() {
		return nil
	}
	// The last frame of a message ends it, and what is of none goes by itself.
	if p.Opcode == websocket.Text || p.Opcode == websocket.Binary {
		if end := c.judge(p.Opcode == websocket.Text); end != nil {
			return end
		}
	}
	end := c.sendUp(c.held)
	c.held, c.message = c.held[:0], c.message[:0]
	return end
}

// judge decides on a message, and returns nil if it may go.
func (c *conversation) judge(text bool) *ending {
	allowed := func(model string) bool { return c.x.admitModel(model) == nil }
	if c.limited && (!text || !mayPass(c.message, allowed, !c.x.endpoint.QueryModel)) {
		return &wrongModel
	}
	if c.named == "" && !c.x.endpoint.QueryModel {
		c.named, _ = soleModel(c.message)
	}
	if event, ok := soleString(c.message, "type"); ok && event != "response.create" {
		return nil
	}
	// The first is what the WebSocket itself was counted for.
	if c.asked {
		slot, result, _ := c.x.g.quotas.Admit(c.x.token.ID, quota.Limits{PerMinute: c.x.token.RPM})
		slot.Free()
		if result != quota.Admitted {
			return &tooOften
		}
	}
	c.asked = true
	return nil
}

func (c *conversation) sendUp(b []byte) *ending {
	_ = c.up.SetWriteDeadline(time.Now().Add(c.idle))
	if _, err := c.up.Write(b); err != nil {
		if c.upClosed {
			return &asItShould
		}
		return &upstreamLeft
	}
	c.sent += int64(len(b))
	return nil
}
