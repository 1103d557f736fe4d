package gateway

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"syscall"

	"github.com/gatehousehq/gatehouse/internal/netguard"
	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/transport"
)

// roundTrip sends a request to a provider, by the way of its own if it has one.
func (g *Gateway) roundTrip(p *routing.Provider, req *http.Request) (*http.Response, error) {
	if p.Egress == nil {
		return g.cfg.Transport.RoundTrip(req)
	}
	t, ok := g.cfg.Transport.(interface {
		RoundTripVia(*http.Request, *transport.Egress) (*http.Response, error)
	})
	if !ok {
		return nil, errNoWay
	}
	return t.RoundTripVia(req, p.Egress)
}

// errNoWay is a transport that knows one way only.
var errNoWay = errors.New("gateway: the transport cannot reach a provider by a way of its own")

// A connectionKind says in which way an upstream gave no answer. The errors
// themselves are not passed on: they can quote what the upstream sent.
type connectionKind string

const (
	kindTimeout connectionKind = "timeout"
	kindName    connectionKind = "name_not_found"
	kindGuarded connectionKind = "address_refused"
	kindRefused connectionKind = "connection_refused"
	kindTLS     connectionKind = "tls"
	kindNoRoute connectionKind = "not_connected"
	kindLost    connectionKind = "connection_lost"
	kindProxy   connectionKind = "proxy"        // it could not be reached, or did not connect
	kindDenied  connectionKind = "proxy_denied" // it wants to be shown something else
)

// advice says what to make of it, for people.
func (k connectionKind) advice() string {
	switch k {
	case kindName:
		return "Its host name does not resolve; an operator should check its base_url."
	case kindGuarded:
		return "Its address, or that of its proxy, is not one that may be dialled; an operator should check its base_url and settings."
	case kindRefused:
		return "Nothing accepts connections at its address; an operator should check its base_url and whether it is running."
	case kindTLS:
		return "There is no trusted TLS connection to it; an operator should check its certificate, the ca in its settings and the scheme of its base_url."
	case kindProxy:
		return "The proxy in its settings cannot be reached, or has no connection to it; an operator should check both."
	case kindDenied:
		return "The proxy in its settings refuses the credentials for it, or asks for some; an operator should check proxy_credentials."
	case kindNoRoute:
		return "There is no connection to its address."
	default:
		return "It closed the connection before it answered, or does not answer in HTTP."
	}
}

func kindOf(err error) connectionKind {
	var (
		dns         *net.DNSError
		timeout     net.Error
		op          *net.OpError
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		proxy       *transport.ProxyError
	)
	switch {
	case errors.Is(err, netguard.ErrRefused):
		return kindGuarded
	case errors.As(err, &timeout) && timeout.Timeout():
		return kindTimeout
	case errors.As(err, &proxy) && proxy.Status == http.StatusProxyAuthRequired:
		return kindDenied
	case proxy != nil:
		return kindProxy
	case errors.As(err, &dns):
		return kindName
	case errors.Is(err, syscall.ECONNREFUSED):
		return kindRefused
	case errors.As(err, &certificate), errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return kindTLS
	case !errors.As(err, &op):
		return kindLost
	}
	switch op.Op {
	case "dial":
		return kindNoRoute
	case "remote error", "local error": // what crypto/tls makes of alerts
		return kindTLS
	}
	return kindLost
}
