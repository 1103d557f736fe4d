package transport_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
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
