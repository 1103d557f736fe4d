package transport_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/transport"
)

// secured returns a certificate for loopback, and settings that trust it.
func secured(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	return &tls.Config{Certificates: srv.TLS.Certificates, MinVersion: tls.VersionTLS12}, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

func listenTLS(t *testing.T, cfg *tls.Config, script func(*wire)) *upstream {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, tls.NewListener(ln, cfg), "https", script)
}

// Sessions are resumed, in both versions, and connections used again.
func TestTLS(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, client := secured(t)
			server.MaxVersion = version
			protocols := make(chan string, 100)
			server.NextProtos = []string{"h2", "http/1.1"}
			up := listenTLS(t, server, func(w *wire) {
				defer func() { protocols <- w.Conn.(*tls.Conn).ConnectionState().NegotiatedProtocol }()
				for {
					r, body := w.request()
					if r == nil {
						return
					}
					w.say("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
					if r.URL.Path == "/last" {
						return
					}
				}
			})
			tr := newTransport(t, transport.Config{TLS: client})
			large := strings.Repeat("x", 300_000)
			for i, path := range []string{"/", "/", "/last", "/", "/", "/last", "/last"} {
				want := large[:1+i*40_000]
				if got := try(tr, request(t, "POST", up.url+path, strings.NewReader(want))); got.body != want || got.err != nil {
					t.Fatalf("got %d bytes, %v", len(got.body), got.err)
				}
				if path == "/last" {
					if p := <-protocols; p != "http/1.1" {
						t.Errorf("the protocol is %q", p)
					}
				}
			}
			if s := tr.Stats(); s.Dialed != 3 || s.Resumed != 2 || s.Reused != 4 || s.HTTP2 != 0 {
				t.Errorf("stats are %+v", s)
			}
		})
	}
}

// What came over TLS on a connection that waited is not an answer, whether it
// came with the last record or with one of its own.
func TestATLSConnectionThatIsNotQuietIsNotUsed(t *testing.T) {
	t.Parallel()
	wrong := "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong"
	for name, tc := range map[string]struct {
		answer string
		more   func(*wire)
	}{
		"in the same record":          {hello + wrong, func(*wire) {}},
		"far behind in the same":      {fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: 8000\r\n\r\n%8000s", "hello") + wrong, func(*wire) {}},
		"in the next record":          {hello, func(w *wire) { w.say(wrong) }},
		"after a record that is full": {fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: 4055\r\n\r\n%4055s", "hello"), func(w *wire) { w.say(wrong) }},
		"it was closed":               {hello, func(w *wire) { w.Close() }},
		"closed without goodbye":      {hello, func(w *wire) { w.Conn.(*tls.Conn).NetConn().Close() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, client := secured(t)
			said := make(chan struct{}, 2)
			up := listenTLS(t, server, func(w *wire) {
				w.request()
				if w.n > 0 {
					w.say(hello)
				} else {
					w.say("%s", tc.answer)
					tc.more(w)
				}
				said <- struct{}{}
				io.Copy(io.Discard, w.in)
			})
			tr := newTransport(t, transport.Config{TLS: client})
			if got := try(tr, get(t, up.url)); strings.TrimSpace(got.body) != "hello" || got.err != nil {
				t.Fatalf("got %+v", got)
			}
			<-said
			if got := try(tr, get(t, up.url)); got.body != "hello" || got.err != nil {
				t.Errorf("got %+v", got)
			}
			if s := tr.Stats(); s.Dialed != 2 || s.Reused != 0 || s.Idle != 1 {
				t.Errorf("stats are %+v", s)
			}
		})
	}
}

func TestTLSThatIsNotTrusted(t *testing.T) {
	t.Parallel()
	server, client := secured(t)
	up := listenTLS(t, server, func(w *wire) {
		if r, _ := w.request(); r != nil {
			t.Error("there was a request")
		}
	})
	plain := listen(t, func(w *wire) {
		w.in.ReadByte()
		w.say("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
		io.Copy(io.Discard, w.in)
	})
	for name, tc := range map[string]struct {
		cfg  *tls.Config
		url  string
		want any
	}{
		"an unknown authority": {nil, up.url, new(*tls.CertificateVerificationError)},
		"another name":         {client, strings.Replace(up.url, "127.0.0.1", "localhost", 1), new(*tls.CertificateVerificationError)},
		"no TLS at all":        {client, strings.Replace(plain.url, "http:", "https:", 1), new(tls.RecordHeaderError)},
	} {
		tr := newTransport(t, transport.Config{TLS: tc.cfg})
		if got := try(tr, get(t, tc.url)); !errors.As(got.err, tc.want) {
			t.Errorf("%s: got %v", name, got.err)
		}
	}
}

// An upstream that speaks only HTTP/2 is found out once.
func TestHTTP2Only(t *testing.T) {
	t.Parallel()
	hellos := make(chan string, 10)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.Proto, body)
	}))
	srv.EnableHTTP2 = true
	_, client := secured(t)
	srv.TLS = &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			hellos <- strings.Join(h.SupportedProtos, " ")
			cfg := srv.TLS.Clone()
			cfg.GetConfigForClient = nil
			// The library lets clients that know nothing of h2 in; others do not.
			cfg.NextProtos = []string{"h2", "none of ours"}
			if h.SupportedProtos[0] == "http/1.1" {
				cfg.NextProtos = []string{"none of ours"}
			}
			return cfg, nil
		},
	}
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of what it is asked for here
	srv.StartTLS()
	defer srv.Close()
	tr := newTransport(t, transport.Config{TLS: client})
	for _, body := range []string{"one", "two", "three"} {
		got := try(tr, request(t, "POST", srv.URL, strings.NewReader(body)))
		if got.body != "HTTP/2.0 "+body || got.err != nil {
			t.Errorf("got %q, %v", got.body, got.err)
		}
	}
	if s := tr.Stats(); s.HTTP2 != 3 || s.Dialed != 1 {
		t.Errorf("stats are %+v", s)
	}
	if first, second := <-hellos, <-hellos; first != "http/1.1" || second != "h2 http/1.1" || len(hellos) != 0 {
		t.Errorf("it was offered %q and %q, and %d more", first, second, len(hellos))
	}
	tr.CloseIdleConnections()
}
