package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/gatehousehq/gatehouse/internal/keypool"
	"github.com/gatehousehq/gatehouse/internal/transport"
	"github.com/gatehousehq/gatehouse/internal/usage"
	"github.com/gatehousehq/gatehouse/internal/websocket"
)

// errNotAgreed is a 101 that is not what was asked for.
var errNotAgreed = errors.New("gateway: the upstream agreed to something else")

// openSockets counts the WebSockets that are open.
type openSockets struct {
	mu   sync.Mutex
	n    int
	none chan struct{} // is closed when there are none; nil if nobody waits
}

func (o *openSockets) opened() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.n++
}

func (o *openSockets) closed() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.n--; o.n == 0 && o.none != nil {
		close(o.none)
		o.none = nil
	}
}

// wait returns when there are none, or when ctx is done.
func (o *openSockets) wait(ctx context.Context) {
	o.mu.Lock()
	if o.n == 0 {
		o.mu.Unlock()
		return
	}
	if o.none == nil {
		o.none = make(chan struct{})
	}
	none := o.none
	o.mu.Unlock()
	select {
	case <-none:
	case <-ctx.Done():
	}
}

// CloseSockets tells the ends of all WebSockets that the server goes away, and
// waits until they are closed and on record, or ctx is done.
func (g *Gateway) CloseSockets(ctx context.Context) {
	g.StopSockets()
	g.sockets.wait(ctx)
}

// StopSockets is the first half of CloseSockets. It does not wait.
func (g *Gateway) StopSockets() { g.stop.Do(func() { close(g.stopping) }) }

// opened goes on when an upstream has agreed to a WebSocket.
func (t *tryState) opened(res *http.Response, up *transport.Tunnel) (answered bool) {
	x := t.x
	if !x.socket.agreed(res.Header) {
		return t.unanswered(errNotAgreed)
	}
	x.tellCircuit(true)
	t.report(keypool.Outcome{})
	t.note().Outcome = usage.OK
	x.watch.wait(forNothing)
	x.watch.stop() // its deadlines are those of requests

	x.g.sockets.opened() // before the server lets go of the connection
	x.socket.counted = true
	conn, rw, err := x.ctl.Hijack()
	if err != nil {
		x.refuse(internalError)
		return true
	}
	defer func() { _ = conn.Close() }()
	x.wrote = true
	early := rw.Reader.Buffered() > 0
	_ = conn.SetDeadline(time.Time{}) // it fails on one that is closed
	_ = conn.SetWriteDeadline(time.Now().Add(x.g.cfg.IdleTimeout))
	if early {
		// What a client sends before it has an answer was meant for nobody, or for
		// somebody else.
		x.rec.Status, x.rec.Reason = http.StatusBadRequest, "early_data"
		t.note().Outcome = usage.ClientError
		_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		return true
	}
	x.rec.Status = http.StatusSwitchingProtocols
	if _, err := conn.Write(x.switching(res.Header)); err != nil {
		x.rec.Status, x.rec.Reason = statusClientGone, clientGone.reason
		t.note().Outcome = usage.ClientGone
		return true
	}
	c := &conversation{
		x: x, client: conn, up: up, limited: x.modelList() != nil, whole: x.modelList() != nil || x.token.RPM > 0,
		idle: x.watch.limit[forUpstream], ends: make(chan ending, 2),
	}
	c.fromClient.Masked = true
	c.run(t)
	return true
}

// switching is the head of the answer to the client. Nothing of the upstream's is
// in it but headers that pass, and the subprotocol.
func (x *exchange) switching(from http.Header) []byte {
	h := x.w.Header()
	x.g.responseHeaders.copyTo(h, from)
	for _, name := range []string{"Content-Length", "Content-Type", "Content-Encoding"} {
		delete(h, name)
	}
	if chosen := from["Sec-Websocket-Protocol"]; len(chosen) == 1 {
		h["Sec-Websocket-Protocol"] = chosen
	}
	b := []byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-Websocket-Accept: " + websocket.Accept(x.socket.key) + "\r\n")
	for name, values := range h {
		for _, v := range values {
			b = append(append(append(append(b, name...), ": "...), v...), "\r\n"...)
		}
	}
	return append(b, "\r\n"...)
}
