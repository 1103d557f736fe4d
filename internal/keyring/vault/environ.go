package vault

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path"
	"strings"
	"time"

	"github.com/gatehousehq/gatehouse/internal/keyring"
	"github.com/gatehousehq/gatehouse/internal/netguard"
	"github.com/gatehousehq/gatehouse/internal/secret"
)

func newTransit(name string, env keyring.Environ) (*transit, error) {
	k := &transit{mount: path.Dir(name), key: path.Base(name), namespace: env.Get("VAULT_NAMESPACE")}
	var err error
	if k.address, err = address(env.Get("VAULT_ADDR")); err != nil {
		return nil, err
	}
	if k.token, err = tokenFrom(env); err != nil {
		return nil, err
	}
	if k.client, err = newClient(env.Get("VAULT_CACERT")); err != nil {
		return nil, err
	}
	return k, nil
}

// address returns scheme and host. Errors do not repeat what they refuse, which
// may have a password in it.
func address(addr string) (string, error) {
	if addr == "" {
		return "", errors.New("VAULT_ADDR is not set: the URL of Vault, such as https://vault.internal:8200")
	}
	u, err := url.Parse(addr)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return "", errors.New("VAULT_ADDR must be a URL of scheme and host, such as https://vault.internal:8200")
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return "", fmt.Errorf("VAULT_ADDR is http://%s: data keys and the token would cross the network in the clear; use https, or a Vault Agent on this machine", u.Host)
	}
	return u.Scheme + "://" + u.Host, nil
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// tokenFrom returns where the token comes from at each call. A file counts before
// the variable: it is what can be renewed.
func tokenFrom(env keyring.Environ) (func() (secret.Text, error), error) {
	if file := env.Get("VAULT_TOKEN_FILE"); file != "" {
		return func() (secret.Text, error) {
			b, err := os.ReadFile(file)
			if err != nil {
				return secret.Text{}, fmt.Errorf("read VAULT_TOKEN_FILE: %w", err)
			}
			t, err := checked(string(b))
			if err != nil {
				return t, fmt.Errorf("VAULT_TOKEN_FILE %s: %w", file, err)
			}
			return t, nil
		}, nil
	}
	t, err := checked(env.Get("VAULT_TOKEN"))
	if err != nil {
		return nil, fmt.Errorf("VAULT_TOKEN, or the file of VAULT_TOKEN_FILE: %w", err)
	}
	return func() (secret.Text, error) { return t, nil }, nil
}

func checked(token string) (secret.Text, error) {
	token = strings.TrimSpace(token)
	if token == "" {
		return secret.Text{}, errors.New("there is no token in it")
	}
	// A header that cannot be sent would be repeated in the error.
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return secret.Text{}, errors.New("it is not a token")
	}
	return secret.New(token), nil
}

func newClient(caFile string) (*http.Client, error) {
	t := &http.Transport{
		// As for providers: no proxy, and no address that nothing but an attack leads to.
		DialContext:         (&net.Dialer{Timeout: callTime, Control: netguard.Policy{}.Control}).DialContext,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: callTime,
		IdleConnTimeout:     time.Second, // calls are rare
	}
	if caFile != "" {
		b, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("read VAULT_CACERT: %w", err)
		}
		t.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("VAULT_CACERT %s has no certificate in PEM in it", caFile)
		}
	}
	return &http.Client{
		Transport: t,
		// The token would go along.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// unreachable says why nothing came back. The address is said by whoever asked.
func unreachable(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("it cannot be reached: no answer within %v", callTime)
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return fmt.Errorf("it cannot be reached: %w", err)
}
