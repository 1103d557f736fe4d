package app

import (
	"net/http"

	"github.com/gatehousehq/gatehouse/internal/oidc"
	"github.com/gatehousehq/gatehouse/internal/transport"
)

// identityProviders returns those that people sign in by. They are reached as providers
// are, each by way of its own authorities, and not before somebody wants to.
func (s *Server) identityProviders() []*oidc.Provider {
	var out []*oidc.Provider
	for _, p := range s.cfg.OIDC {
		via, _ := transport.NewEgress(transport.EgressConfig{CA: p.CA}) // only a proxy can be wrong
		out = append(out, oidc.New(p.Config, way{s.transport, via}, s.now))
	}
	return out
}

// A way is that to an identity provider.
type way struct {
	by  *transport.Transport
	via *transport.Egress
}

func (w way) RoundTrip(req *http.Request) (*http.Response, error) {
	return w.by.RoundTripVia(req, w.via)
}
