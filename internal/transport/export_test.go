package transport

import (
	"context"
	"net"
)

// DialWith changes how connections are made.
func (t *Transport) DialWith(dial func(ctx context.Context, network, addr string) (net.Conn, error)) {
	t.dial = dial
}

// Dialer is how connections are made.
func (t *Transport) Dialer() func(ctx context.Context, network, addr string) (net.Conn, error) {
	return t.dial
}

const MaxInline = maxInline

// Fallbacks is how many ways have an http.Transport.
func (t *Transport) Fallbacks() int {
	t.fallback.mu.Lock()
	defer t.fallback.mu.Unlock()
	return len(t.fallback.by)
}

var ErrMalformed = errMalformed
