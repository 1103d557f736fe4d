package config

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/gatehousehq/gatehouse/internal/oidc"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/settings"
)

// An OIDCProvider is an identity provider that people may sign in by.
type OIDCProvider struct {
	oidc.Config
	// CA are the only certificates of authorities that its own may be signed by; none is
	// those of the system.
	CA []*x509.Certificate
}

// A providerFile is the form of the file that --oidc-providers names.
type providerFile struct {
	Providers []struct {
		Name             string            `yaml:"name"`
		DisplayName      string            `yaml:"display_name"`
		Issuer           string            `yaml:"issuer"`
		ClientID         string            `yaml:"client_id"`
		ClientSecretFile string            `yaml:"client_secret_file"`
		ClientSecretEnv  string            `yaml:"client_secret_env"`
		Scopes           []string          `yaml:"scopes"`
		NameClaim        string            `yaml:"name_claim"`
		RolesClaim       string            `yaml:"roles_claim"`
		Roles            map[string]string `yaml:"roles"`
		DefaultRole      string            `yaml:"default_role"`
		EmailDomains     []string          `yaml:"email_domains"`
		CreateUsers      *bool             `yaml:"create_users"`
		EndSession       *bool             `yaml:"end_session"`
		CAFile           string            `yaml:"ca_file"`
	} `yaml:"providers"`
}

// maxOIDC is how many identity providers there may be: each has a button.
const maxOIDC = 16

// loadOIDC reads the identity providers of a file. Paths in it start from where it is.
func loadOIDC(file string, lookup func(string) (string, bool)) ([]OIDCProvider, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("oidc-providers: %w", err)
	}
	var in providerFile
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&in); err != nil {
		return nil, fmt.Errorf("oidc-providers: %s%s: must be YAML with a list of providers, each with settings that there are; a secret is not in it, but in what client_secret_file or client_secret_env names", file, whereYAML(err))
	}
	if len(in.Providers) == 0 || len(in.Providers) > maxOIDC {
		return nil, fmt.Errorf("oidc-providers: %s must have 1 to %d providers", file, maxOIDC)
	}
	var out []OIDCProvider
	var bad []error
	names := map[string]bool{}
	for i, p := range in.Providers {
		refuse := func(err error) {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				bad = append(bad, fmt.Errorf("%s: providers[%d] %s", file, i, line))
			}
		}
		c := OIDCProvider{Config: oidc.Config{
			Name: p.Name, DisplayName: p.DisplayName, Issuer: p.Issuer, ClientID: p.ClientID, Scopes: p.Scopes, NameClaim: p.NameClaim, RolesClaim: p.RolesClaim,
			Roles: p.Roles, DefaultRole: p.DefaultRole, EmailDomains: p.EmailDomains,
			CreateUsers: p.CreateUsers == nil || *p.CreateUsers, EndSession: p.EndSession == nil || *p.EndSession,
		}}
		if p.Scopes == nil {
			c.Scopes = []string{"profile", "email"}
		}
		if err := c.Check(); err != nil {
			refuse(err)
		}
		if names[p.Name] {
			refuse(errors.New("name: is that of another provider, too"))
		}
		names[p.Name] = true
		if c.ClientSecret, err = clientSecret(filepath.Dir(file), p.ClientSecretFile, p.ClientSecretEnv, lookup); err != nil {
			refuse(err)
		}
		if p.CAFile != "" {
			if c.CA, err = authorities(beside(filepath.Dir(file), p.CAFile)); err != nil {
				refuse(fmt.Errorf("ca_file: %w", err))
			}
		}
		out = append(out, c)
	}
	return out, errors.Join(bad...)
}

// whereYAML returns the line that a parser complains of, and nothing else of what it says: it quotes what it read, which
// may be a secret.
func whereYAML(err error) string {
	_, rest, ok := strings.Cut(err.Error(), "line ")
	if !ok {
		return ""
	}
	line, _, _ := strings.Cut(rest, ":")
	return ", line " + strings.TrimFunc(line, func(c rune) bool { return c < '0' || c > '9' })
}

func beside(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// clientSecret reads a client secret; with neither place it is a public client, which
// has none.
func clientSecret(dir, file, variable string, lookup func(string) (string, bool)) (secret.Text, error) {
	switch {
	case file != "" && variable != "":
		return secret.Text{}, errors.New("client_secret_file: give this or client_secret_env")
	case file != "":
		b, err := os.ReadFile(beside(dir, file))
		if e, ok := errors.AsType[*fs.PathError](err); ok {
			return secret.Text{}, fmt.Errorf("client_secret_file: names a file that cannot be read: %w", e.Err) // without the name: the secret may have been put in its place
		}
		if err == nil && strings.TrimSpace(string(b)) == "" {
			err = errors.New("client_secret_file: is empty")
		}
		return secret.New(strings.TrimSpace(string(b))), err
	case variable != "":
		v, _ := lookup(variable)
		if v == "" {
			return secret.Text{}, errors.New("client_secret_env: names a variable that is not set")
		}
		return secret.New(v), nil
	}
	return secret.Text{}, nil
}

func authorities(file string) ([]*x509.Certificate, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	list, err := (&settings.Reach{CA: string(b)}).Certificates()
	if err == nil && len(list) == 0 {
		err = errors.New("has no certificate in PEM form")
	}
	return list, err
}
