package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

const (
	// fresh is how long it is kept what a provider says of itself, and its keys: so long
	// one may count that it took back. What was kept goes on to serve while the provider
	// does not say it again.
	fresh = time.Hour
	// again is how long a provider that failed is not asked.
	again = 10 * time.Second
	// callTime is for one request to a provider.
	callTime = 10 * time.Second
	// maxDocument is the longest answer of a provider that is read, in bytes.
	maxDocument = 256 << 10
)

var (
	errTooLarge = fmt.Errorf("its answer is larger than %d bytes", maxDocument)
	errRedirect = errors.New("it answered with a redirect, which is not followed")
)

// metadata is what a provider says of itself.
type metadata struct {
	Issuer        string   `json:"issuer"`
	AuthURL       string   `json:"authorization_endpoint"`
	TokenURL      string   `json:"token_endpoint"`
	KeysURL       string   `json:"jwks_uri"`
	EndSessionURL string   `json:"end_session_endpoint"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`
	AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
	IssParameter  bool     `json:"authorization_response_iss_parameter_supported"`

	keys oidc.KeySet
}

// discovery is the last time a provider was asked what it says of itself.
type discovery struct {
	at   time.Time
	meta *metadata // nil: it never said
	err  error     // of the last time
}

// signing are the algorithms by which a provider may sign: those for public keys.
var signing = []string{oidc.RS256, oidc.ES256, oidc.PS256, oidc.RS384, oidc.ES384, oidc.PS384, oidc.RS512, oidc.ES512, oidc.PS512, oidc.EdDSA}

// algorithms returns those of signing that the provider says it uses: RS256 if it says
// nothing.
func (m *metadata) algorithms() []string {
	var out []string
	for _, a := range m.Algorithms {
		if slices.Contains(signing, a) {
			out = append(out, a)
		}
	}
	if out == nil {
		out = []string{oidc.RS256}
	}
	return out
}

// metadata returns what the provider says of itself, and asks it if need be.
func (p *Provider) metadata(ctx context.Context) (*metadata, error) {
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	now, last := p.now(), p.last
	if last.at.IsZero() || last.err == nil && now.Sub(last.at) >= fresh || last.err != nil && now.Sub(last.at) >= again {
		// Whoever asks first may go away; the others wait for the answer all the same.
		m, err := p.discover(context.WithoutCancel(ctx))
		p.last = discovery{at: now, meta: m, err: err}
		if m == nil {
			p.last.meta = last.meta
		}
	}
	if p.last.meta == nil {
		return nil, p.refuse(Unreachable, p.last.err)
	}
	return p.last.meta, nil
}

func (p *Provider) discover(ctx context.Context) (*metadata, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(p.cfg.Issuer, "/")+"/.well-known/openid-configuration", nil)
	if err != nil {
		return nil, errors.New("its issuer is not a URL")
	}
	res, err := p.client.Do(req)
	if err != nil {
		if sent, ok := errors.AsType[*url.Error](err); ok {
			err = sent.Err
		}
		return nil, fmt.Errorf("its discovery document: %w", err)
	}
	defer func() { _ = res.Body.Close() }() // it was read, or is not wanted
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("its discovery document: %w", err)
	}
	var m metadata
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, errors.New("its discovery document is not one")
	}
	if m.Issuer != p.cfg.Issuer {
		return nil, errors.New("its discovery document names another issuer than the settings do; they must be the same to the letter, with a slash at the end or without")
	}
	for name, u := range map[string]string{"authorization_endpoint": m.AuthURL, "token_endpoint": m.TokenURL, "jwks_uri": m.KeysURL, "end_session_endpoint": m.EndSessionURL} {
		if u == "" && name == "end_session_endpoint" {
			continue
		}
		if err := CheckURL(u); err != nil {
			return nil, fmt.Errorf("the %s of its discovery document %w", name, err)
		}
	}
	m.keys = oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), p.client), m.KeysURL)
	return &m, nil
}

// CheckURL refuses a URL by which secrets could be read on the way: it takes https, or
// http on the machine itself.
func CheckURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		return errors.New("must be a URL of https://, without a user and a fragment")
	case u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	}
	return errors.New("must begin with https://; http:// will do on the machine itself")
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

func newClient(next http.RoundTripper) *http.Client {
	return &http.Client{
		Transport: bounded{next}, Timeout: callTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return errRedirect },
	}
}

// A bounded round trip has an answer that is not too large. To what only reads, another
// status than 200 is an error: its body is nobody's.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := b.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if req.Method == http.MethodGet && res.StatusCode != http.StatusOK && res.StatusCode/100 != 3 {
		return nil, errors.Join(fmt.Errorf("it answered with status %d", res.StatusCode), res.Body.Close())
	}
	res.Body = &limited{res.Body, maxDocument}
	return res, nil
}

// A limited body fails once more was read of it than is allowed.
type limited struct {
	io.ReadCloser
	left int
}

func (l *limited) Read(b []byte) (int, error) {
	n, err := l.ReadCloser.Read(b)
	if l.left -= n; l.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}

// fetching is a key set that notes that the keys could not be fetched: the verifier
// says so in words only. It is of one verification.
type fetching struct {
	oidc.KeySet
	err error
}

func (k *fetching) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := k.KeySet.VerifySignature(ctx, jwt)
	if sent, ok := errors.AsType[*url.Error](err); ok {
		k.err = sent.Err
	} else if err != nil && strings.HasPrefix(err.Error(), "fetching keys") { // it may repeat the answer
		k.err = errors.New("its answer is no set of keys, or too large")
	}
	return payload, err
}

// withQuery adds to the query of a URL.
func withQuery(to string, add map[string]string) string {
	u, err := url.Parse(to)
	if err != nil {
		return to // it was checked when it was read
	}
	q := u.Query()
	for k, v := range add {
		q.Set(k, v)
	}
	u.RawQuery = q.Encode()
	return u.String()
}
