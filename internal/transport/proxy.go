package transport

import (
	"context"
	"fmt"
	"net/http"
)

// A ProxyError is what a request failed with at the proxy on its way. The
// upstream was not asked.
type ProxyError struct {
	Status int   // of the proxy's answer; zero if there was none
	Err    error // why there was none
}

func (e *ProxyError) Error() string {
	if e.Status != 0 {
		return fmt.Sprintf("the proxy answered with status %d", e.Status)
	}
	return "the proxy: " + e.Err.Error()
}

func (e *ProxyError) Unwrap() error { return e.Err }

// tunnel has the proxy at the other end of c connect to h.
func (t *Transport) tunnel(ctx context.Context, c *conn, h host, via *Egress) error {
	ctx, cancel := via.within(ctx, t.cfg.DialTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, c.interrupt)
	err := t.askForTunnel(c, h, via)
	if !stop() { // the connection is being cut
		return &ProxyError{Err: context.Cause(ctx)}
	}
	return err
}

func (t *Transport) askForTunnel(c *conn, h host, via *Egress) error {
	addr, _ := h.address()
	b := fmt.Appendf(nil, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", addr, addr)
	if a := via.authorization(); a != "" {
		b = fmt.Appendf(b, "Proxy-Authorization: %s\r\n", a)
	}
	if _, err := c.Write(append(b, "\r\n"...)); err != nil {
		return &ProxyError{Err: err}
	}
	in := input{c: c, held: &t.buffers}
	defer in.release()
	var answer head
	limit := t.cfg.MaxResponseHeaderBytes
	for answer.status < 200 && answer.status != http.StatusSwitchingProtocols {
		if err := answer.read(&in, &limit); err != nil {
			return &ProxyError{Err: early(err)}
		}
	}
	switch {
	case answer.status < 200 || answer.status >= 300:
		return &ProxyError{Status: answer.status}
	case in.r != in.w: // it would be taken for the upstream's
		return &ProxyError{Err: malformed("something after the answer to CONNECT")}
	}
	return nil
}

// forwarded looks at the answer to a request that a proxy was given as it is. A
// 407 is the proxy's own; what else there is may be the upstream's.
func forwarded(res *http.Response, err error) (*http.Response, error) {
	if err != nil || res.StatusCode != http.StatusProxyAuthRequired {
		return res, err
	}
	_ = res.Body.Close() // nothing of it is of use
	return nil, &ProxyError{Status: res.StatusCode}
}
