package gateway

import (
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/transport"
	"github.com/gatehousehq/gatehouse/internal/usage"
	"github.com/gatehousehq/gatehouse/internal/websocket"
)

const (
	// lookEvery is how often an open WebSocket is held against the configuration.
	lookEvery = 250 * time.Millisecond
	// closeTime is for the last words on a connection.
	closeTime = time.Second
)

// A conversation is an open WebSocket. One goroutine relays each direction, and
// that of the request watches over both.
type conversation struct {
	x       *exchange
	client  net.Conn
	up      *transport.Tunnel
	limited bool // to models: of the token, or of the provider
	whole   bool // each message is looked at before it goes up
	idle    time.Duration
	last    atomic.Int64
	ends    chan ending

	// Of the goroutine that relays from the upstream.
	fromUpstream websocket.Frames
	tokens       usage.Tokens
	upClosed     bool // it has said Close

	// Of the one that relays from the client.
	fromClient   websocket.Frames
	sent         int64
	named        string // the first model that a message asked
	clientClosed bool
	asked        bool   // a message has asked for something
	held         []byte // of a message that is looked at, as it came
	message      []byte // and what it says
	reserved     int64
}

// An ending is why a conversation ends.
type ending struct {
	reason  string // "" is as it should
	outcome string // of the attempt
	code    uint16 // of the Close frame that both are sent; 0 is none
}

var (
	asItShould   = ending{outcome: usage.OK}
	clientLeft   = ending{clientGone.reason, usage.ClientGone, 0}
	upstreamLeft = ending{"upstream_aborted", usage.Aborted, 0}
	noFrames     = ending{"not_websocket", usage.Aborted, websocket.ProtocolError}
	badFrames    = ending{"not_websocket", usage.ClientError, websocket.ProtocolError}
	wrongModel   = ending{modelDenied.reason, usage.OK, websocket.Policy}
	tooLong      = ending{bodyTooLarge.reason, usage.OK, websocket.TooBig}
	tooOften     = ending{tokenRate.reason, usage.OK, websocket.Policy}
	broken       = ending{internalError.reason, usage.Aborted, 0}
	wentIdle     = ending{"idle_timeout", usage.OK, websocket.GoingAway}
	shuttingDown = ending{"shutdown", usage.OK, websocket.GoingAway}
	notAllowed   = ending{"revoked", usage.OK, websocket.Policy}
)

// run relays until there is an end, and writes it down.
func (c *conversation) run(t *tryState) {
	x := c.x
	c.touch()
	relayed := make(chan struct{}, 2)
	for _, relay := range []func() ending{c.relayUp, c.relayDown} {
		go func() { // ends with its connection, which settle sees to
			c.ends <- c.guarded(relay)
			relayed <- struct{}{}
		}()
	}
	end := c.watch()
	c.settle(relayed)
	c.say(end.code)

	x.rec.RequestBytes, x.rec.Tokens = c.sent, c.tokens
	if x.rec.Model == "" {
		x.rec.Model = printable(c.named)
	}
	if x.rec.Reason = end.reason; end.outcome != "" {
		t.note().Outcome = end.outcome
	}
}

// guarded makes an ending of a panic, as [exchange.finish] does of others.
func (c *conversation) guarded(relay func() ending) (end ending) {
	defer func() {
		if recover() != nil {
			c.x.g.cfg.Logger.LogAttrs(c.x.r.Context(), slog.LevelError, "gateway panic", slog.String("id", c.x.rec.ID), slog.String("stack", string(debug.Stack())))
			end = broken
		}
	}()
	return relay()
}

func (c *conversation) touch() { c.last.Store(int64(time.Since(c.x.watch.base))) }

// watch waits for an end, or makes one.
func (c *conversation) watch() ending {
	g := c.x.g
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	seen := g.cfg.Snapshot()
	for {
		select {
		case end := <-c.ends:
			return end
		case <-g.stopping:
			return shuttingDown
		case <-tick.C:
		}
		if time.Since(c.x.watch.base)-time.Duration(c.last.Load()) > c.idle {
			return wentIdle
		}
		s := g.cfg.Snapshot()
		if at := c.x.token.ExpiresAt; s != seen && !c.x.stillMay(s) || !at.IsZero() && !g.cfg.Now().Before(at) {
			return notAllowed
		}
		seen = s
	}
}

// stillMay reports whether the token could open the WebSocket by a newer
// configuration, to the same models. Other changes do not cut it.
func (x *exchange) stillMay(s *routing.Snapshot) bool {
	t, p := s.Token(x.hash), s.Provider(x.provider.Name)
	return t != nil && t.Use && p != nil && p.ID == x.provider.ID && p.Enabled && providerAllowed(t.Providers, p) &&
		sameList(t.Models, x.token.Models) && sameList(p.Models, x.provider.Models)
}

// sameList tells apart an empty list, which has nothing, and nil, which has all.
func sameList(a, b []string) bool { return (a == nil) == (b == nil) && slices.Equal(a, b) }

// settle ends both directions.
func (c *conversation) settle(relayed <-chan struct{}) {
	now := time.Now()
	_ = c.client.SetReadDeadline(now) // it fails on one that is closed
	_ = c.up.SetReadDeadline(now)
	late := time.AfterFunc(closeTime, func() { // who does not read is not waited for
		_ = c.client.Close()
		_ = c.up.Close()
	})
	<-relayed
	<-relayed
	late.Stop()
}

// say tells both ends why it is over, where a frame can be put in, and closes.
func (c *conversation) say(code uint16) {
	by := time.Now().Add(closeTime)
	_ = c.client.SetWriteDeadline(by)
	_ = c.up.SetWriteDeadline(by)
	if code != 0 && c.fromUpstream.Boundary() && !c.upClosed {
		_, _ = c.client.Write(websocket.CloseFrame(code, "", false)) // whoever is gone needs no goodbye
	}
	if code != 0 && (c.whole || c.fromClient.Boundary()) && !c.clientClosed {
		_, _ = c.up.Write(websocket.CloseFrame(code, "", true))
	}
	_ = c.up.Close()
	// What the client has not read yet is lost if it is sent more after the end: so
	// that is taken in, for a while.
	half, ok := c.client.(interface{ CloseWrite() error })
	if ok && half.CloseWrite() == nil {
		_ = c.client.SetReadDeadline(by)
		_, _ = io.Copy(io.Discard, c.client)
	}
}

// relayDown relays from the upstream to the client.
func (c *conversation) relayDown() ending {
	g := c.x.g
	buf := g.buffers.Get().(*[copySize]byte)
	defer g.buffers.Put(buf)
	defer c.x.meter.End()
	rec := &c.x.rec
	for {
		n, err := c.up.Read(buf[:])
		if n > 0 {
			c.touch()
			if !c.meterFrames(buf[:n]) {
				return noFrames
			}
			_ = c.client.SetWriteDeadline(time.Now().Add(c.idle)) // it fails on one that is closed
			if _, err := c.client.Write(buf[:n]); err != nil {
				return clientLeft
			}
			if rec.ResponseBytes == 0 {
				rec.FirstByte = g.cfg.Now().Sub(rec.Began)
			}
			rec.ResponseBytes += int64(n)
		}
		switch {
		case err == nil:
		case c.upClosed:
			return asItShould
		default:
			return upstreamLeft
		}
	}
}

// meterFrames reads what was used from frames of the upstream, each message being
// one document. It reports whether they are frames.
func (c *conversation) meterFrames(b []byte) bool {
	x, f := c.x, &c.fromUpstream
	for len(b) > 0 {
		begins := !f.Within()
		n, p, err := f.Next(b, nil)
		if err != nil {
			return false
		}
		b = b[n:]
		if begins {
			x.meter.Reset(usage.KindOf(x.rec.Endpoint), "application/json", "")
		}
		switch p.Opcode {
		case websocket.Close:
			c.upClosed = c.upClosed || p.Ends
		case websocket.Text:
			x.meter.Observe(p.Payload)
			if p.Ends {
				tokens, model := x.meter.End()
				c.tokens.Add(tokens)
				if x.rec.ActualModel == "" {
					x.rec.ActualModel = printable(model)
				}
			}
		}
	}
	return true
}
