package transport

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unique"

	"github.com/gatehousehq/gatehouse/internal/secret"
)

// An EgressConfig says how an upstream is reached where that differs from the
// way to the others. The zero EgressConfig is no difference.
type EgressConfig struct {
	// ConnectTimeout is for a connection as a whole: the name, the proxy and the
	// handshakes. Zero leaves each of them the time that the Transport gives it.
	ConnectTimeout time.Duration
	// CA are the certificates that are trusted, in the place of those that the
	// Transport trusts; an https proxy is held to them, too. Empty leaves it to the
	// Transport.
	CA []*x509.Certificate
	// Proxy is http://HOST:PORT or https://HOST:PORT; nil is none.
	Proxy *url.URL
	// ProxyCredentials are USER:PASSWORD for the proxy; zero is none.
	ProxyCredentials secret.Text
}

// An Egress is a way out to an upstream. Connections that were made by one way
// are never used by another; by one that is the same they are. It never changes,
// and may be used concurrently. The nil Egress is the way of the Transport.
type Egress struct {
	connect     time.Duration
	roots       *x509.CertPool // nil is those of the Transport
	proxy       *url.URL       // nil is none
	hop         host           // of the proxy
	credentials secret.Text
	// A session that is resumed is not verified in full again, so it must not come
	// from a way that trusted somebody else.
	sessions tls.ClientSessionCache
	id       egressID
}

// An egressID tells ways apart. The zero id is that of the nil Egress.
type egressID = unique.Handle[string]

var errProxyURL = errors.New("the proxy must be http or https, with a host in ASCII")

// NewEgress returns the way that cfg describes, nil for the zero config.
func NewEgress(cfg EgressConfig) (*Egress, error) {
	if cfg.ConnectTimeout == 0 && len(cfg.CA) == 0 && cfg.Proxy == nil {
		return nil, nil
	}
	e := &Egress{connect: cfg.ConnectTimeout, credentials: cfg.ProxyCredentials, sessions: tls.NewLRUClientSessionCache(32)}
	sum := sha256.New()
	fmt.Fprintf(sum, "%d %d\n", cfg.ConnectTimeout, len(cfg.CA))
	if len(cfg.CA) > 0 {
		e.roots = x509.NewCertPool()
		for _, c := range cfg.CA {
			e.roots.AddCert(c)
			fmt.Fprintf(sum, "%x\n", sha256.Sum256(c.Raw))
		}
	}
	if cfg.Proxy != nil {
		hop, ok := hostOf(cfg.Proxy)
		if !ok {
			return nil, errProxyURL
		}
		e.proxy, e.hop = &url.URL{Scheme: cfg.Proxy.Scheme, Host: cfg.Proxy.Host}, hop
		fmt.Fprintf(sum, "%s\n%s", e.proxy, cfg.ProxyCredentials.Reveal())
	}
	e.id = unique.Make(hex.EncodeToString(sum.Sum(nil)))
	return e, nil
}

// Same reports whether two ways are one: it leads past the same proxy, trusts the
// same certificates, and takes as long.
func (e *Egress) Same(o *Egress) bool { return e.key() == o.key() }

// key tells the way from others.
func (e *Egress) key() egressID {
	if e == nil {
		return egressID{}
	}
	return e.id
}

// proxied reports whether there is a proxy on the way.
func (e *Egress) proxied() bool { return e != nil && e.proxy != nil }

// forwards reports whether requests to h are given to the proxy as they are, and
// not to the upstream through it.
func (e *Egress) forwards(h host) bool { return e.proxied() && !h.tls }

// authorization returns what the proxy is shown; "" if there is nothing.
func (e *Egress) authorization() string {
	if e.credentials.IsZero() {
		return ""
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(e.credentials.Reveal()))
}

// user is authorization as http.Transport takes it.
func (e *Egress) user() *url.Userinfo {
	if e.credentials.IsZero() {
		return nil
	}
	name, password, _ := strings.Cut(e.credentials.Reveal(), ":")
	return url.UserPassword(name, password)
}

// within bounds one step of connecting, unless the way has a time for all.
func (e *Egress) within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if e != nil && e.connect > 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, d)
}

// trust changes cfg to the certificates of the way.
func (e *Egress) trust(cfg *tls.Config) {
	if e == nil {
		return
	}
	cfg.ClientSessionCache = e.sessions
	if e.roots != nil {
		cfg.RootCAs = e.roots
	}
}
