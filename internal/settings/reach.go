package settings

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehousehq/gatehouse/internal/secret"
)

// A Reach is how a provider is reached, and what of it. Every type of document
// has its fields.
type Reach struct {
	// FirstByteTimeout is how long it may take to begin its answer, IdleTimeout how
	// long it may pause within one, and ConnectTimeout how long a connection may
	// take in all; zero leaves each to the gateway.
	FirstByteTimeout, IdleTimeout, ConnectTimeout time.Duration
	// AddedHeaders are set on each request, by canonical name.
	AddedHeaders map[string]secret.Text
	// CA is the PEM of the certificates that are trusted instead of the system's;
	// "" is the system's.
	CA string
	// Proxy is where requests go through: http://HOST:PORT or https://HOST:PORT;
	// "" is none. ProxyCredentials are USER:PASSWORD for it.
	Proxy            string
	ProxyCredentials secret.Text
	// AllowedPaths and AllowedModels are what the gateway serves of it, a trailing *
	// matching any ending; nil is all. Paths are those after /v1/, models as
	// clients name them.
	AllowedPaths, AllowedModels []string
}

// The bounds of a Reach, beside those of its fields.
const (
	maxTimeout        = 24 * time.Hour
	maxConnectTimeout = 5 * time.Minute
	maxCA             = 64 << 10 // bytes of PEM
	maxCertificates   = 32
	maxList           = 256 // paths or models
	maxElement        = 256 // bytes of a path or model
)

var (
	// Of the characters of a path those that stand for themselves, and escapes.
	pathForm  = regexp.MustCompile(`^[A-Za-z0-9._~!$&'()+,;=:@%-]+(/[A-Za-z0-9._~!$&'()+,;=:@%-]+)*(/?\*)?$`)
	modelForm = regexp.MustCompile(`^[!-)+-~]*\*?$`)
	// https://www.rfc-editor.org/rfc/rfc7617: the name has no colon.
	credentialsForm = regexp.MustCompile(`^[!-9;-~]+:[!-~]*$`)
)

// isPath reports whether s can be met by the path of a request: those are what
// follows /v1/.
func isPath(s string) bool {
	return pathForm.MatchString(s) && !strings.HasPrefix(s, "v1/") || s == "*"
}

func isModel(s string) bool { return s != "" && modelForm.MatchString(s) }

func (r *Reach) fields() []field {
	return []field{
		{name: "first_byte_timeout", value: &duration{&r.FirstByteTimeout, maxTimeout}},
		{name: "idle_timeout", value: &duration{&r.IdleTimeout, maxTimeout}},
		{name: "connect_timeout", value: &duration{&r.ConnectTimeout, maxConnectTimeout}},
		{name: "headers", value: &headers{&r.AddedHeaders}},
		{name: "ca", value: &certificates{&r.CA}},
		{name: "proxy", value: &proxy{&r.Proxy}},
		{name: "proxy_credentials", value: &r.ProxyCredentials, max: 512},
		{name: "allowed_paths", value: &patterns{&r.AllowedPaths, isPath, "paths after /v1/, such as chat/completions or files/*"}},
		{name: "allowed_models", value: &patterns{&r.AllowedModels, isModel, "names of models, such as gpt-5 or claude-*"}},
	}
}

// check says what is wrong with the fields taken together, given the secret ones
// that are kept.
func (r *Reach) check(kept []string) error {
	has := !r.ProxyCredentials.IsZero()
	switch {
	case has && !credentialsForm.MatchString(r.ProxyCredentials.Reveal()):
		return &FieldError{"proxy_credentials", "must be USER:PASSWORD"}
	case r.Proxy == "" && (has || slices.Contains(kept, "proxy_credentials")):
		return &FieldError{"proxy_credentials", "are of no use without proxy: name one, or clear them with an empty string"}
	}
	return nil
}

// Redirects reports whether somebody else than before may see what is sent, if r
// takes the place of old: another proxy, or whoever other certificates vouch for.
// What is taken away opens nothing.
func (r *Reach) Redirects(old Reach) bool {
	return r.Proxy != "" && r.Proxy != old.Proxy || r.CA != "" && r.CA != old.CA
}

// Certificates returns those of CA.
func (r *Reach) Certificates() ([]*x509.Certificate, error) {
	if r.CA == "" {
		return nil, nil
	}
	_, list, err := parseCA(r.CA)
	return list, err
}

// ProxyURL returns Proxy; nil if there is none.
func (r *Reach) ProxyURL() (*url.URL, error) {
	if r.Proxy == "" {
		return nil, nil
	}
	return url.Parse(r.Proxy)
}

// parseCA reads certificates, and returns them in canonical form, too. Text
// between them is passed over, as everywhere; what only begins as a block is not.
func parseCA(text string) (canonical string, list []*x509.Certificate, err error) {
	const begin = "-----BEGIN "
	for i, part := range strings.Split(text, begin)[1:] {
		block, _ := pem.Decode([]byte(begin + part))
		if block == nil {
			return "", nil, fmt.Errorf("has a block that is not whole: block %d", i+1)
		}
		if block.Type != "CERTIFICATE" {
			return "", nil, fmt.Errorf("must have certificates alone: block %d is something else", i+1)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return "", nil, fmt.Errorf("has a certificate that cannot be read: block %d", i+1)
		}
		list = append(list, c)
		canonical += string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: block.Bytes}))
	}
	switch {
	case len(list) == 0:
		return "", nil, errors.New("must have one or more certificates in PEM, which begin with -----BEGIN CERTIFICATE-----")
	case len(list) > maxCertificates:
		return "", nil, fmt.Errorf("must have at most %d certificates", maxCertificates)
	}
	return canonical, list, nil
}

// parseProxy checks the URL of a proxy and returns it as it is kept.
func parseProxy(s string) (string, error) {
	u, err := url.Parse(s)
	switch {
	case len(s) > 512 || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' || c == '\\' }) || err != nil:
		return "", errors.New("is not a URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return "", errors.New("must begin with http:// or https://")
	case u.User != nil:
		return "", errors.New("must not have a user or password in it: they are given as proxy_credentials")
	case u.Hostname() == "" || strings.ContainsAny(u.Host, "%,"):
		return "", errors.New("must have a host")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.ForceQuery || strings.Contains(s, "#"):
		return "", errors.New("must be scheme, host and port alone")
	}
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return "", errors.New("has a port that is none")
		}
	}
	return u.Scheme + "://" + strings.ToLower(u.Host), nil
}
