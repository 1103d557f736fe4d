package transport

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// ErrNoUpgrade is that an upstream is reached in a way by which there is no other
// protocol: over HTTP/2 alone, or by a proxy that forwards.
var ErrNoUpgrade = errors.New("the connection to the upstream cannot change its protocol")

// Upgrade sends a request that asks for another protocol, by a way of one's own if
// via is not nil. If the upstream agrees, with status 101, the connection is the
// Tunnel's, which the caller closes; the context of the request cuts it for as long
// as it lasts. Any other answer is as one of [Transport.RoundTrip], and the Tunnel is
// nil.
func (t *Transport) Upgrade(req *http.Request, protocol string, via *Egress) (*http.Response, *Tunnel, error) {
	h, ok := hostOf(req.URL)
	h.via = via.key()
	if !ok || t.http2.has(h) || via.forwards(h) {
		return nil, nil, ErrNoUpgrade
	}
	out := getOutput()
	if err := out.head(req, via); err != nil {
		out.release()
		return nil, nil, err
	}
	// What a request has of these by itself is never sent.
	out.b = append(out.b[:len(out.b)-len("\r\n")], "Connection: Upgrade\r\nUpgrade: "+protocol+"\r\n\r\n"...)
	c, err := t.conn(req.Context(), h, via)
	if err != nil {
		out.release()
	}
	if err == errOnlyHTTP2 { //nolint:errorlint // it is returned bare
		t.http2.add(h)
		return nil, nil, ErrNoUpgrade
	}
	if err != nil {
		return nil, nil, cancelled(req.Context(), err)
	}
	x := &Body{t: t, c: c, ctx: req.Context(), req: req, upgrade: protocol}
	x.in.c, x.in.held = c, &t.buffers
	res, err := x.exchange(out)
	return res, x.tunnel, err
}

// switches reports whether the head of status 101 is for that protocol.
func (h *head) switches(protocol string) bool {
	upgrade := h.header["Upgrade"]
	if protocol == "" || len(upgrade) != 1 || !strings.EqualFold(upgrade[0], protocol) || h.chunked || h.length > 0 || h.minor == 0 {
		return false
	}
	return slices.ContainsFunc(h.header["Connection"], func(v string) bool { return hasOption(v, "upgrade") })
}

// open makes a tunnel of the connection.
func (x *Body) open() {
	x.tunnel = &Tunnel{c: x.c, stop: x.stop, early: append([]byte(nil), x.in.b[x.in.r:x.in.w]...)}
	x.in.release()
	x.finished = true // for all but the tunnel
}

// A Tunnel is a connection to an upstream on which another protocol is spoken.
// One goroutine may read while another writes; Close may come at any time.
type Tunnel struct {
	c     *conn
	stop  func() bool
	early []byte // came with the head
}

// Read implements [io.Reader].
func (t *Tunnel) Read(p []byte) (int, error) {
	if len(t.early) > 0 {
		n := copy(p, t.early)
		t.early = t.early[n:]
		return n, nil
	}
	return t.c.Read(p)
}

// Write implements [io.Writer].
func (t *Tunnel) Write(p []byte) (int, error) { return t.c.Write(p) }

// SetReadDeadline is that of a [net.Conn].
func (t *Tunnel) SetReadDeadline(at time.Time) error {
	t.c.readBy(at)
	return nil
}

// SetWriteDeadline is that of a [net.Conn].
func (t *Tunnel) SetWriteDeadline(at time.Time) error {
	t.c.writeBy(at)
	return nil
}

// Close closes the connection, and says no goodbye: the protocol has its own.
func (t *Tunnel) Close() error {
	if t.stop != nil {
		t.stop()
	}
	t.c.cut()
	t.c.close()
	return nil
}
