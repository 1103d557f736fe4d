package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// A conn is a connection to an upstream. While it waits it belongs to the pool,
// else to one call.
type conn struct {
	net.Conn // TCP, or TLS over it, or over that again through a proxy
	under    net.Conn
	host     host
	served   bool      // a request before this one
	secure   *tls.Conn // the uppermost

	// To look at the socket and to read from it, without a closure each time.
	raw  syscall.RawConn       // of the TCP connection; nil if there is none
	look func(fd uintptr) bool // sets some
	some bool                  // has come, or the end
	try  func(fd uintptr) bool // c.tryRead, as a value
	in   *input                // that is read for
	n    int                   // what came of it
	err  error

	interrupt func() // c.cut, as a value

	mu    sync.Mutex
	isCut bool

	// In the pool.
	since        time.Time
	older, newer *conn
}

// past is a deadline that is over.
var past = time.Unix(1, 0)

// connect makes a connection to h, by that way.
func (t *Transport) connect(ctx context.Context, h host, via *Egress) (*conn, error) {
	if via != nil && via.connect > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, via.connect)
		defer cancel()
	}
	if !via.proxied() {
		return t.open(ctx, h, h, via)
	}
	// The proxy finds the address of a name. What is an address already can be
	// judged here.
	_, server := h.address()
	if err := t.cfg.Policy.CheckHost(server); err != nil {
		return nil, err
	}
	c, err := t.open(ctx, via.hop, h, via)
	if err != nil {
		return nil, &ProxyError{Err: err}
	}
	if !h.tls {
		return c, nil
	}
	if err = t.tunnel(ctx, c, h, via); err == nil {
		err = t.handshake(ctx, c, server, via)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// open connects to the first hop on the way to h, be it h.
func (t *Transport) open(ctx context.Context, hop, h host, via *Egress) (*conn, error) {
	addr, server := hop.address()
	dialing, cancel := via.within(ctx, t.cfg.DialTimeout)
	under, err := t.dial(dialing, "tcp", addr)
	cancel()
	if err != nil {
		return nil, err
	}
	t.dialed.Add(1)
	c := &conn{Conn: under, under: under, host: h}
	c.interrupt, c.try = c.cut, c.tryRead
	if sc, ok := under.(syscall.Conn); ok {
		if c.raw, err = sc.SyscallConn(); err != nil {
			c.raw = nil
		}
	}
	c.look = func(fd uintptr) bool {
		c.some = pending(fd)
		return true
	}
	if !hop.tls {
		return c, nil
	}
	if err := t.handshake(ctx, c, server, via); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// noApplicationProtocol is the alert of a server that speaks none of the
// protocols it was offered, see RFC 7301. The type that crypto/tls has for alerts
// is not exported, but its text is that of this one.
const noApplicationProtocol = tls.AlertError(120)

func isNoApplicationProtocol(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error" && op.Err.Error() == noApplicationProtocol.Error()
}

// handshake puts TLS over the connection as it is.
func (t *Transport) handshake(ctx context.Context, c *conn, server string, via *Egress) error {
	ctx, cancel := via.within(ctx, t.cfg.TLSHandshakeTimeout)
	defer cancel()
	cfg := t.tls.Clone()
	cfg.ServerName = server
	via.trust(cfg)
	c.secure = tls.Client(c.Conn, cfg)
	err := c.secure.HandshakeContext(ctx)
	if isNoApplicationProtocol(err) {
		return errOnlyHTTP2
	}
	if err != nil {
		return err
	}
	state := c.secure.ConnectionState()
	if state.DidResume {
		t.resumed.Add(1)
	}
	c.Conn = c.secure
	return nil
}

// quiet reports whether nothing has come on a connection that waited: neither
// its end nor bytes that nobody asked for, which would be taken for the answer
// to the next request. There is a moment between the look and that request;
// nothing can close it in HTTP/1.1.
//
// The look at the socket is a recv that takes nothing and waits for nothing.
// TLS may have read ahead: a read whose time is over already gives what is
// there, and does not reach the socket.
func (c *conn) quiet() bool {
	if c.secure != nil {
		if c.secure.SetReadDeadline(past) != nil {
			return false
		}
		var b [1]byte
		if n, err := c.secure.Read(b[:]); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return false
		}
		if c.secure.SetReadDeadline(time.Time{}) != nil {
			return false
		}
	}
	if c.raw == nil {
		return false
	}
	c.some = true
	return c.raw.Read(c.look) == nil && !c.some
}

// cut ends what is being read and written, at once. The connection is of no use
// afterwards.
func (c *conn) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isCut = true
	_ = c.SetDeadline(past) // it fails on one that is closed
}

// readBy sets a time for what is being read; zero is none.
func (c *conn) readBy(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.isCut {
		_ = c.SetReadDeadline(t) // it fails on one that is closed
	}
}

// writeBy sets a time for what is being written.
func (c *conn) writeBy(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.isCut {
		_ = c.SetWriteDeadline(t) // it fails on one that is closed
	}
}

// close closes the connection. There is nothing to be told of it: what it
// carried has come, or is lost.
func (c *conn) close() {
	c.mu.Lock()
	abruptly := c.isCut
	c.mu.Unlock()
	if abruptly && c.secure != nil {
		// tls.Conn would wait to say goodbye, for a peer that may not read.
		_ = c.under.Close()
		return
	}
	_ = c.Conn.Close()
}
