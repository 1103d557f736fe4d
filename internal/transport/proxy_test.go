package transport_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/transport"
)

// A via sends by one way out.
type via struct {
	*transport.Transport
	egress *transport.Egress
}

func (v via) RoundTrip(r *http.Request) (*http.Response, error) {
	return v.RoundTripVia(r, v.egress)
}

func newEgress(t *testing.T, cfg transport.EgressConfig) *transport.Egress {
	t.Helper()
	e, err := transport.NewEgress(cfg)
	if err != nil || e == nil {
		t.Fatalf("the way is %v, %v", e, err)
	}
	return e
}

func mustURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// A proxy is one that connects to, or forwards to, the one address that it knows,
// whatever it is asked for.
type proxy struct {
	*httptest.Server
	tunnels, requests atomic.Int64
	asked             chan string // the target of each, with what was shown
}

func newProxy(t *testing.T, secure bool, target, credentials string, status int) *proxy {
	t.Helper()
	p := &proxy{asked: make(chan string, 100)}
	out := &http.Transport{}
	handler := func(w http.ResponseWriter, r *http.Request) {
		shown := r.Header.Get("Proxy-Authorization")
		p.asked <- r.Method + " " + r.RequestURI + " " + r.Host + " " + shown
		switch {
		case credentials != "" && shown != "Basic "+base64.StdEncoding.EncodeToString([]byte(credentials)):
			w.Header().Set("Proxy-Authenticate", `Basic realm="proxy"`)
			w.WriteHeader(http.StatusProxyAuthRequired)
		case status != 0:
			w.WriteHeader(status)
		case r.Method == http.MethodConnect:
			p.tunnels.Add(1)
			tunnel(t, w, target)
		default:
			p.requests.Add(1)
			req := r.Clone(r.Context())
			req.RequestURI, req.URL.Host = "", target
			req.Header.Del("Proxy-Authorization")
			res, err := out.RoundTrip(req)
			if err != nil {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			defer res.Body.Close()
			w.WriteHeader(res.StatusCode)
			io.Copy(w, res.Body)
		}
	}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(handler))
	if secure {
		p.StartTLS()
	} else {
		p.Start()
	}
	t.Cleanup(func() {
		out.CloseIdleConnections()
		p.Close()
	})
	return p
}

// tunnel copies between the client and the target until either ends.
func tunnel(t *testing.T, w http.ResponseWriter, target string) {
	far, err := net.Dial("tcp", target)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	near, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		far.Close()
		return
	}
	io.WriteString(near, "HTTP/1.0 200 Connection established\r\n\r\n")
	go func() {
		io.Copy(far, near)
		far.Close()
	}()
	io.Copy(near, far)
	near.Close()
}

// otherCA is an authority that signed nothing.
func otherCA(t *testing.T) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "another"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// echo answers with how it was asked and what was sent.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	io.WriteString(w, r.Proto+" "+r.Host+r.RequestURI+" "+r.Header.Get("Proxy-Authorization")+string(body))
}

func newEcho(t *testing.T, secure bool) (srv *httptest.Server, address string, ca []*x509.Certificate) {
	t.Helper()
	srv = httptest.NewUnstartedServer(http.HandlerFunc(echo))
	if secure {
		srv.StartTLS()
		ca = []*x509.Certificate{srv.Certificate()}
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	return srv, srv.Listener.Addr().String(), ca
}

const password = "ada:correct-horse-battery"

var proxyPassword = secret.New(password)
