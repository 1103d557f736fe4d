package gateway

import (
	"cmp"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/gatehousehq/gatehouse/internal/netguard"
)

// TransportConfig are the settings of a transport. Zero fields take the
// defaults.
type TransportConfig struct {
	// DialTimeout is for finding and connecting to an upstream. Default 10 s.
	DialTimeout time.Duration
	// TLSHandshakeTimeout is for the handshake after that. Default 10 s.
	TLSHandshakeTimeout time.Duration
	// ResponseHeaderTimeout is for the headers of a response once the request
	// has been sent. Default 10 min, as [Config.FirstByteTimeout].
	ResponseHeaderTimeout time.Duration
	// MaxResponseHeaderBytes bounds those headers. Default 256 KiB.
	MaxResponseHeaderBytes int64
	// MaxIdleConnsPerHost is how many connections are kept for each upstream.
	// Default 256.
	MaxIdleConnsPerHost int
	// IdleConnTimeout is for how long they are kept. Default 90 s.
	IdleConnTimeout time.Duration
}

// NewTransport returns a transport that dials only what the policy allows. It
// takes no proxy and no credential from the environment, adds no header of its
// own, and leaves content codings alone. Its owner closes its idle connections
// in the end.
func NewTransport(policy netguard.Policy, cfg TransportConfig) *http.Transport {
	dialer := &net.Dialer{
		Timeout: cmp.Or(cfg.DialTimeout, 10*time.Second),
		Control: policy.Control,
	}
	return &http.Transport{
		Proxy:                  nil, // HTTP_PROXY and its kind do not steer keys
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    cmp.Or(cfg.TLSHandshakeTimeout, 10*time.Second),
		ResponseHeaderTimeout:  cmp.Or(cfg.ResponseHeaderTimeout, 10*time.Minute),
		MaxResponseHeaderBytes: cmp.Or(cfg.MaxResponseHeaderBytes, 256<<10),
		MaxIdleConnsPerHost:    cmp.Or(cfg.MaxIdleConnsPerHost, 256),
		IdleConnTimeout:        cmp.Or(cfg.IdleConnTimeout, 90*time.Second),
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
	}
}

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
)

// advice says what to make of it, for people.
func (k connectionKind) advice() string {
	switch k {
	case kindName:
		return "Its host name does not resolve; an operator should check its base_url."
	case kindGuarded:
		return "Its address is not one that may be dialled; an operator should check its base_url."
	case kindRefused:
		return "Nothing accepts connections at its address; an operator should check its base_url and whether it is running."
	case kindTLS:
		return "There is no trusted TLS connection to it; an operator should check its certificate and the scheme of its base_url."
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
		alert       tls.AlertError
	)
	switch {
	case errors.Is(err, netguard.ErrRefused):
		return kindGuarded
	case errors.As(err, &timeout) && timeout.Timeout():
		return kindTimeout
	case errors.As(err, &dns):
		return kindName
	case errors.Is(err, syscall.ECONNREFUSED):
		return kindRefused
	case errors.As(err, &certificate), errors.As(err, &alert), errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return kindTLS
	case errors.As(err, &op) && op.Op == "dial":
		return kindNoRoute
	}
	return kindLost
}
