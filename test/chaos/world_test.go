package chaos_test

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/test/clients/realserver"
)

// A world is a server between upstreams and clients, and all that is wrong with it.
type world struct {
	t         *testing.T
	planner   *planner
	ledger    *ledger
	wrong     *findings
	upstreams []*upstream
	config    realserver.Config
	server    *realserver.Server
	log       string // the server's, a file
	api       *client.Client
	editors   []*editor
	calls     *http.Transport // of api
	scraper   string          // a token

	next  atomic.Uint64 // the number of the next request
	count struct{ answered, broken, once, left, late, changes atomic.Int64 }
}

// timeouts of the server: much longer than a good answer takes to begin or go
// on, however busy the machine is.
const timeouts = "4s"

// slow is from when on the rig has kept the server waiting, which then may well
// have given up: it does not have the processors to itself.
const slow = 1500 * time.Millisecond

// A setup is what a world is made with.
type setup struct {
	seed   uint64
	binary string
	env    []string
	faults []fault
	framed []fault // of the upstream that speaks HTTP/2; nil has none
	steady func(*plan)
	// replayBody is the largest body that the server holds, if not what is usual here.
	replayBody int64
	// keys are those that each provider begins with, by temper.
	keys []string
}

var manyKeys = []string{rude, shaky, rude, shaky, good, shaky}

// newWorld starts the upstreams and the server, and makes the providers: for
// each API one that is reached as it is and one with TLS, and one more by HTTP/2.
func newWorld(t *testing.T, s setup) *world {
	t.Helper()
	w := &world{
		t: t, planner: &planner{seed: s.seed, steady: s.steady}, ledger: newLedger(), wrong: &findings{},
		calls: &http.Transport{MaxIdleConnsPerHost: 8},
	}
	dir := t.TempDir()
	cert, ca := certificate(t, dir)
	for i, api := range []string{"openai", "anthropic", "openai", "anthropic"} {
		u := &upstream{w: w, index: i, api: api, name: api + "-plain", faults: s.faults}
		var with *tls.Certificate
		if i >= 2 {
			u.name, with = api+"-tls", cert
		}
		u.start(t, with)
		w.upstreams = append(w.upstreams, u)
	}
	if s.framed != nil {
		u := &upstream{w: w, index: len(w.upstreams), api: "openai", name: "openai-h2", faults: s.framed}
		u.startFramed(t, cert)
		w.upstreams = append(w.upstreams, u)
	}
	w.log = filepath.Join(dir, "log")
	w.config = realserver.Config{
		Binary: s.binary, Dir: dir, LogLevel: "warn", Env: append([]string{"SSL_CERT_FILE=" + ca}, s.env...),
		Flags: []string{
			"--first-byte-timeout", timeouts, "--idle-timeout", timeouts,
			"--replay-body", fmt.Sprint(cmp.Or(s.replayBody, replayBody)),
		},
	}
	w.start()
	for _, u := range w.upstreams {
		w.create(u, s.keys)
	}
	return w
}

// start starts the server, or another in its place.
func (w *world) start() {
	w.t.Helper()
	log, err := os.OpenFile(w.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = log.Close() }() // the server has its own
	cfg := w.config
	cfg.LogFile = log
	if w.server, err = realserver.Launch(w.t.Context(), cfg); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(w.server.Kill)
	if err := w.server.Ready(w.t.Context()); err != nil {
		w.t.Fatalf("%v\nits log: %s", err, w.printed())
	}
	w.api, err = client.New(w.server.URL, w.server.OwnerToken().Reveal(), client.WithHTTPClient(&http.Client{Transport: w.calls, Timeout: time.Minute}))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(w.calls.CloseIdleConnections)
}

func (w *world) create(u *upstream, tempers []string) {
	w.t.Helper()
	req := client.CreateProvider{Type: client.ProviderType(u.api), Name: u.name, BaseURL: u.url}
	if u.api == "openai" {
		req.BaseURL += "/v1"
	}
	for i, temper := range tempers {
		req.APIKeys = append(req.APIKeys, key{u.index, fmt.Sprintf("%s-%d", temper, i)}.value())
	}
	if _, err := w.api.CreateProvider(w.t.Context(), req); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) providerOf(p *plan) *upstream { return w.upstreams[p.provider%len(w.upstreams)] }

// printed returns what the server printed.
func (w *world) printed() string {
	b, err := os.ReadFile(w.log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// storm has clients make requests until ctx is over, and waits for the last.
func (w *world) storm(ctx context.Context, clients int) {
	var work sync.WaitGroup
	for range clients {
		work.Go(func() {
			c := &caller{w: w}
			defer c.close()
			for ctx.Err() == nil {
				w.request(c, w.planner.plan(w.next.Add(1)))
			}
		})
	}
	work.Wait()
}

// request makes one and judges it.
func (w *world) request(c *caller, p *plan) {
	o := c.do(p)
	if o.left {
		w.count.left.Add(1)
	}
	w.judge(p, o)
}

// end stops the server, and looks at what it printed.
func (w *world) end() {
	w.t.Helper()
	w.calls.CloseIdleConnections()
	if err := w.server.Stop(); err != nil {
		w.wrong.add(house, "%v", err)
	}
	for _, bad := range []string{"DATA RACE", "panic", "fatal error", "level=ERROR"} {
		if text := w.printed(); strings.Contains(text, bad) {
			i := strings.Index(text, bad)
			w.wrong.add(house, "the server printed %s", clip([]byte(text[max(0, i-100):])))
		}
	}
}

// certificate makes one for the loopback address, and a file to trust it by.
func certificate(t *testing.T, dir string) (*tls.Certificate, string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, file
}

// sum says what happened.
func (w *world) sum() string {
	n := &w.count
	return fmt.Sprintf("%d requests: %d answered whole, %d broken off by the upstream, %d of one chance failed, %d clients left, %d not judged since the rig was slow; %d attempts; %d changes",
		w.next.Load(), n.answered.Load(), n.broken.Load(), n.once.Load(), n.left.Load(), n.late.Load(), w.ledger.sightings(), n.changes.Load())
}
