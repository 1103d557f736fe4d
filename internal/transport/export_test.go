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
