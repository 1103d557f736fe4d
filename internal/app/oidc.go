package app

import (
	"crypto/tls"
	"time"

	"github.com/gatehousehq/gatehouse/internal/oidc"
	"github.com/gatehousehq/gatehouse/internal/transport"
)

// oidcHeaderTime is for the head of an answer of an identity provider.
const oidcHeaderTime = 10 * time.Second

// identityProviders returns those that people sign in by. They are reached as providers
// are, each by way of its own authorities, and not before somebody wants to.
func (s *Server) identityProviders() []*oidc.Provider {
	var out []*oidc.Provider
	for _, p := range s.cfg.OIDC {
		t := transport.New(transport.Config{
			Policy: s.policy(), ResponseHeaderTimeout: oidcHeaderTime, MaxResponseHeaderBytes: maxHeader, MaxIdlePerHost: 2, MaxIdle: 4,
			TLS: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: p.CA},
		})
		s.idps = append(s.idps, t)
		out = append(out, oidc.New(p.Config, t, s.now))
	}
	return out
}
